// SPDX-License-Identifier: Apache-2.0
#include <yaml-cpp/eventhandler.h>
#include <yaml-cpp/exceptions.h>
#include <yaml-cpp/parser.h>

#include <cctype>
#include <map>
#include <sstream>
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/ascii.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "controller/files/manifest/read_text.h"

namespace berth::files {
namespace {

// Leaves yaml-cpp's parser from inside a callback, which has no other way to say stop.
struct Stop {
  absl::Status why;
  int line;
};

bool AllOf(absl::string_view text, int (*is)(int)) {
  if (text.empty()) return false;
  for (unsigned char c : text) {
    if (is(c) == 0) return false;
  }
  return true;
}

int IsOctal(int c) { return c >= '0' && c <= '7' ? 1 : 0; }

// The core schema's types (YAML 1.2.2, section 10.3.2).
Value::Kind PlainKind(absl::string_view text) {
  using Kind = Value::Kind;
  if (text.empty() || text == "~" || text == "null" || text == "Null" || text == "NULL") return Kind::kNull;
  if (text == "true" || text == "True" || text == "TRUE" || text == "false" || text == "False" || text == "FALSE") {
    return Kind::kBool;
  }
  absl::string_view digits = text;
  if (digits.front() == '+' || digits.front() == '-') digits.remove_prefix(1);
  if (AllOf(digits, &std::isdigit)) return Kind::kInt;
  if (text.substr(0, 2) == "0x" && AllOf(text.substr(2), &std::isxdigit)) return Kind::kInt;
  if (text.substr(0, 2) == "0o" && AllOf(text.substr(2), &IsOctal)) return Kind::kInt;
  double ignored = 0;
  // Words such as nan and infinity are names here; only what has a digit is a number.
  const bool numeric =
      !digits.empty() && (absl::ascii_isdigit(static_cast<unsigned char>(digits.front())) || digits.front() == '.');
  if (numeric && text.find_first_of("xX") == absl::string_view::npos && absl::SimpleAtod(text, &ignored)) {
    return Kind::kFloat;
  }
  return Kind::kString;
}

class YamlHandler final : public YAML::EventHandler {
 public:
  explicit YamlHandler(Documents* out) : builder_(out) {}

  void OnDocumentStart(const YAML::Mark&) override {
    anchors_.clear();
    open_anchors_.clear();
  }
  void OnDocumentEnd() override {}
  void OnNull(const YAML::Mark& mark, YAML::anchor_t anchor) override {
    const bool is_key = builder_.expects_key();
    Check(builder_.Scalar(Value::Kind::kNull, "", Line(mark)), mark);
    if (!is_key) Keep(anchor);
  }
  void OnAlias(const YAML::Mark& mark, YAML::anchor_t anchor) override {
    auto it = anchors_.find(anchor);
    if (it == anchors_.end()) Check(absl::InvalidArgumentError("an alias inside of what it stands for"), mark);
    Check(builder_.Copy(it->second, Line(mark)), mark);
  }
  void OnScalar(const YAML::Mark& mark, const std::string& tag, YAML::anchor_t anchor,
                const std::string& value) override {
    if (tag == "!") last_quoted_ = mark;
    const bool is_string = tag == "!" || tag == "tag:yaml.org,2002:str";
    Value::Kind kind = is_string ? Value::Kind::kString : PlainKind(value);
    const bool is_key = builder_.expects_key();
    if (kind == Value::Kind::kBool) {
      Check(builder_.Scalar(kind, is_key ? value : absl::AsciiStrToLower(value), Line(mark)), mark);
    } else {
      // A quoted "<<" is a key like any other.
      Check(builder_.Scalar(is_key && tag == "!" ? Value::Kind::kNull : kind, value, Line(mark)), mark);
    }
    if (!is_key) Keep(anchor);
  }
  void OnSequenceStart(const YAML::Mark& mark, const std::string&, YAML::anchor_t anchor,
                       YAML::EmitterStyle::value) override {
    Check(builder_.StartList(Line(mark)), mark);
    open_anchors_.push_back(anchor);
  }
  void OnSequenceEnd() override { End(); }
  void OnMapStart(const YAML::Mark& mark, const std::string&, YAML::anchor_t anchor,
                  YAML::EmitterStyle::value) override {
    Check(builder_.StartMap(Line(mark)), mark);
    open_anchors_.push_back(anchor);
  }
  void OnMapEnd() override { End(); }

  // Where the last text in quotes, or its anchor, begins.
  const YAML::Mark& last_quoted() const { return last_quoted_; }

 private:
  static int Line(const YAML::Mark& mark) { return mark.line + 1; }
  static void Check(absl::Status status, const YAML::Mark& mark) {
    if (!status.ok()) throw Stop{std::move(status), Line(mark)};
  }
  void End() {
    Check(builder_.End(), YAML::Mark());
    const YAML::anchor_t anchor = open_anchors_.back();
    open_anchors_.pop_back();
    Keep(anchor);
  }
  void Keep(YAML::anchor_t anchor) {
    if (anchor != 0) anchors_[anchor] = builder_.last();
  }

  TreeBuilder builder_;
  std::vector<YAML::anchor_t> open_anchors_;
  std::map<YAML::anchor_t, Value> anchors_;
  YAML::Mark last_quoted_ = YAML::Mark::null_mark();
};

// Whether the quoted text at or behind `pos` ends. The parser takes the end of the file for a missing quote when it is
// at the beginning of a line, which is how a half-written file often ends.
bool QuoteEnds(absl::string_view text, std::size_t pos) {
  const std::size_t begin = text.find_first_of("\"'", pos);
  if (begin == absl::string_view::npos) return true;  // not the text that was parsed: another encoding
  const char quote = text[begin];
  for (std::size_t at = begin + 1; at < text.size(); ++at) {
    if (quote == '"' && text[at] == '\\') {
      ++at;
    } else if (text[at] == quote) {
      if (quote == '"' || at + 1 == text.size() || text[at + 1] != quote) return true;
      ++at;  // '' is one quote inside
    }
  }
  return false;
}

}  // namespace

absl::StatusOr<Documents> ReadYaml(absl::string_view text) {
  if (text.substr(0, 3) == "\xEF\xBB\xBF") text.remove_prefix(3);
  Documents docs;
  YamlHandler handler(&docs);
  try {
    std::istringstream in{std::string(text)};
    YAML::Parser parser(in);
    while (parser.HandleNextDocument(handler)) {
    }
  } catch (const Stop& stop) {
    return absl::InvalidArgumentError(absl::StrCat(stop.line, ": ", stop.why.message()));
  } catch (const YAML::Exception& e) {
    return absl::InvalidArgumentError(absl::StrCat(e.mark.line + 1, ": not YAML: ", e.msg));
  } catch (const std::exception& e) {
    return absl::InvalidArgumentError(absl::StrCat("1: not YAML: ", e.what()));
  }
  const YAML::Mark& quoted = handler.last_quoted();
  if (!quoted.is_null() && !QuoteEnds(text, static_cast<std::size_t>(quoted.pos))) {
    return absl::InvalidArgumentError(absl::StrCat(quoted.line + 1, ": not YAML: a quote without its end"));
  }
  return docs;
}

}  // namespace berth::files
