// SPDX-License-Identifier: Apache-2.0
#include <cstddef>
#include <iterator>
#include <nlohmann/json.hpp>
#include <string>
#include <utility>

#include "absl/strings/str_cat.h"
#include "controller/files/manifest/plain_json.h"
#include "controller/files/manifest/read_text.h"

namespace berth::files {
namespace {

// Where the parser has read to. It reads one byte past a number, never past another token.
struct Position {
  int line = 1;
  bool at_line_start = false;  // the byte read last ended a line
  int token_line() const { return at_line_start ? line - 1 : line; }
};

// Walks over the text and keeps Position; the parser itself tells no lines to its callbacks.
class CountingIterator {
 public:
  using iterator_category = std::input_iterator_tag;
  using value_type = char;
  using difference_type = std::ptrdiff_t;
  using pointer = const char*;
  using reference = const char&;

  CountingIterator(const char* at, Position* position) : at_(at), position_(position) {}
  reference operator*() const { return *at_; }
  CountingIterator& operator++() {
    position_->at_line_start = *at_ == '\n';
    if (*at_ == '\n') ++position_->line;
    ++at_;
    return *this;
  }
  CountingIterator operator++(int) {
    CountingIterator before = *this;
    ++*this;
    return before;
  }
  friend bool operator==(const CountingIterator& a, const CountingIterator& b) { return a.at_ == b.at_; }

 private:
  const char* at_;
  Position* position_;
};

// nlohmann's SAX interface; a callback's false stops the parser.
class JsonHandler {
 public:
  JsonHandler(Documents* out, const Position* position) : builder_(out), position_(*position) {}

  bool null() { return Scalar(Value::Kind::kNull, ""); }
  bool boolean(bool value) { return Scalar(Value::Kind::kBool, value ? "true" : "false"); }
  bool number_integer(std::int64_t value) { return Scalar(Value::Kind::kInt, absl::StrCat(value)); }
  bool number_unsigned(std::uint64_t value) { return Scalar(Value::Kind::kInt, absl::StrCat(value)); }
  bool number_float(double, const std::string& text) { return Scalar(Value::Kind::kFloat, text); }
  bool string(std::string& value) { return Scalar(Value::Kind::kString, value); }
  bool binary(nlohmann::json::binary_t&) { return false; }
  bool start_object(std::size_t) { return Check(builder_.StartMap(position_.token_line())); }
  // Not as a kString: "<<" means nothing special in JSON.
  bool key(std::string& name) { return Scalar(Value::Kind::kNull, name); }
  bool end_object() { return Check(builder_.End()); }
  bool start_array(std::size_t) { return Check(builder_.StartList(position_.token_line())); }
  bool end_array() { return Check(builder_.End()); }
  bool parse_error(std::size_t, const std::string& last_token, const nlohmann::json::exception& e) {
    // "[json.exception.parse_error.101] parse error at line 2, column 3: syntax error while ...": ours begins later.
    absl::string_view what = e.what();
    const std::size_t begin = what.find("syntax error");
    status_ = absl::InvalidArgumentError(
        absl::StrCat("not JSON: ", begin == absl::string_view::npos
                                       ? absl::StrCat("at \"", absl::string_view(last_token).substr(0, 40), "\"")
                                       : std::string(what.substr(begin))));
    return false;
  }
  const absl::Status& status() const { return status_; }

 private:
  bool Scalar(Value::Kind kind, absl::string_view text) {
    return Check(builder_.Scalar(kind, text, position_.token_line()));
  }
  bool Check(absl::Status status) {
    status_ = std::move(status);
    return status_.ok();
  }

  TreeBuilder builder_;
  const Position& position_;
  absl::Status status_;
};

}  // namespace

absl::StatusOr<Documents> ReadJson(absl::string_view text) {
  {
    Documents docs;
    TreeBuilder builder(&docs);
    if (PlainJson(text, builder).Read()) return docs;
  }
  Documents docs;
  Position position;
  JsonHandler handler(&docs, &position);
  const CountingIterator first(text.data(), &position);
  const CountingIterator last(text.data() + text.size(), &position);
  const bool ok = nlohmann::json::sax_parse(first, last, &handler);
  if (ok && handler.status().ok()) return docs;
  const absl::string_view why = handler.status().ok() ? "not JSON" : handler.status().message();
  return absl::InvalidArgumentError(absl::StrCat(position.token_line(), ": ", why));
}

}  // namespace berth::files
