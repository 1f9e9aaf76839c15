// SPDX-License-Identifier: Apache-2.0
#include "controller/files/manifest/plain_json.h"

#include <algorithm>
#include <cstring>
#include <nlohmann/json.hpp>

namespace berth::files {
namespace {

using Json = nlohmann::json;

constexpr std::size_t kSurelyFits = 18;  // digits of a 64-bit number

bool IsDigit(char c) { return c >= '0' && c <= '9'; }
bool OfNumber(char c) { return IsDigit(c) || c == '-' || c == '+' || c == '.' || c == 'e' || c == 'E'; }
// Stands for itself in a string.
bool IsPlain(char c) { return c >= 0x20 && c < 0x7f && c != '"' && c != '\\'; }

Json Alone(absl::string_view token) { return Json::parse(token.begin(), token.end(), nullptr, false); }

}  // namespace

bool PlainJson::Read() {
  Next();
  if (!Element()) return false;
  while (!open_.empty()) {
    char c = Next();
    if (c == open_.back()) {
      if (!Close()) return false;
      continue;
    }
    if (!just_begun_) {
      if (c != ',') return false;
      ++at_;
      Next();
    }
    just_begun_ = false;
    if (open_.back() == '}' && !Member()) return false;
    if (!Element()) return false;
  }
  return Next() == 0 && at_ == end_;
}

char PlainJson::Next() {
  for (; at_ != end_; ++at_) {
    if (*at_ == '\n') {
      ++line_;
    } else if (*at_ != ' ' && *at_ != '\t' && *at_ != '\r') {
      return *at_;
    }
  }
  return 0;
}

bool PlainJson::Element() {
  if (at_ == end_) return false;
  switch (*at_) {
    case '{':
    case '[':
      open_.push_back(*at_ == '{' ? '}' : ']');
      just_begun_ = true;
      return (*at_++ == '{' ? builder_.StartMap(line_) : builder_.StartList(line_)).ok();
    case '"':
      return String(Value::Kind::kString);
    case 't':
      return Word("true", Value::Kind::kBool);
    case 'f':
      return Word("false", Value::Kind::kBool);
    case 'n':
      return Word("null", Value::Kind::kNull);
    default:
      return Number();
  }
}

bool PlainJson::Member() {
  // Not as a kString: "<<" means nothing special in JSON.
  if (at_ == end_ || *at_ != '"' || !String(Value::Kind::kNull) || Next() != ':') return false;
  ++at_;
  Next();
  return true;
}

bool PlainJson::Close() {
  ++at_;
  open_.pop_back();
  just_begun_ = false;
  return builder_.End().ok();
}

bool PlainJson::String(Value::Kind kind) {
  const char* const begin = at_++;
  at_ = std::find_if_not(at_, end_, IsPlain);
  if (at_ != end_ && *at_ == '"') {
    const absl::string_view text(begin + 1, static_cast<std::size_t>(at_ - begin - 1));
    ++at_;
    return builder_.Scalar(kind, text, line_).ok();
  }
  while (at_ != end_ && *at_ != '"') {
    if (*at_ == '\n') return false;  // it would be counted
    if (*at_ == '\\' && ++at_ == end_) return false;
    ++at_;
  }
  if (at_ == end_) return false;
  ++at_;
  const Json value = Alone(absl::string_view(begin, static_cast<std::size_t>(at_ - begin)));
  return value.is_string() && builder_.Scalar(kind, value.get_ref<const std::string&>(), line_).ok();
}

bool PlainJson::Number() {
  const char* const begin = at_;
  at_ = std::find_if_not(at_, end_, OfNumber);
  const absl::string_view text(begin, static_cast<std::size_t>(at_ - begin));
  const bool plain = !text.empty() && text.size() <= kSurelyFits && std::all_of(text.begin(), text.end(), IsDigit) &&
                     (text.size() == 1 || text.front() != '0');
  if (plain) return builder_.Scalar(Value::Kind::kInt, text, line_).ok();
  const Json value = Alone(text);
  if (value.is_number_float()) return builder_.Scalar(Value::Kind::kFloat, text, line_).ok();
  return value.is_number_integer() && builder_.Scalar(Value::Kind::kInt, value.dump(), line_).ok();
}

bool PlainJson::Word(absl::string_view word, Value::Kind kind) {
  if (static_cast<std::size_t>(end_ - at_) < word.size() || std::memcmp(at_, word.data(), word.size()) != 0) {
    return false;
  }
  at_ += word.size();
  return builder_.Scalar(kind, kind == Value::Kind::kNull ? "" : word, line_).ok();
}

}  // namespace berth::files
