// SPDX-License-Identifier: Apache-2.0
#include "controller/files/manifest/fields.h"

#include <algorithm>

#include "absl/strings/ascii.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "common/net/quote.h"

namespace berth::files {
namespace {

bool ParseInt(absl::string_view text, std::int64_t* out) {
  if (text.substr(0, 2) == "0o") {
    std::int64_t value = 0;
    for (char c : text.substr(2)) {
      if (value > (std::int64_t{1} << 59)) return false;
      value = value * 8 + (c - '0');
    }
    *out = value;
    return true;
  }
  if (text.substr(0, 2) == "0x") {
    std::uint64_t value = 0;
    if (text.size() > 17 || !absl::SimpleHexAtoi(text, &value)) return false;
    *out = static_cast<std::int64_t>(value);
    return true;
  }
  return absl::SimpleAtoi(text, out);
}

}  // namespace

int Field::line() const {
  for (const Field* at = this; at != nullptr; at = at->parent_) {
    if (at->value_ != nullptr) return at->value_->line;
  }
  return 0;
}

std::string Field::Path() const {
  if (parent_ == nullptr) return "";
  std::string path = parent_->Path();
  if (index_ >= 0) return absl::StrCat(path, "[", index_, "]");
  const bool plain = std::all_of(key_.begin(), key_.end(), [](char c) {
    return absl::ascii_isalnum(static_cast<unsigned char>(c)) || c == '-' || c == '_';
  });
  if (!plain) return absl::StrCat(path, "[", Quote(key_), "]");
  return path.empty() ? std::string(key_) : absl::StrCat(path, ".", key_);
}

std::string ProblemText(absl::string_view file, int line, absl::string_view what) {
  std::string text = file.empty() ? std::string(what) : absl::StrCat(file, ":", line, ": ", what);
  for (char& c : text) {
    if (!absl::ascii_isprint(static_cast<unsigned char>(c))) c = '?';
  }
  return text;
}

void FieldReader::Problem(const Field& at, absl::string_view what) {
  const std::string path = at.Path();
  problems_.push_back(ProblemText(file_, at.line(),
                                  absl::StrCat(who_, who_.empty() ? "" : ": ", path, path.empty() ? "" : ": ", what)));
}

void FieldReader::WrongType(const Field& at, absl::string_view wanted) {
  const Value& value = *at.value();
  std::string what = absl::StrCat("must be ", wanted, ", not ", KindWords(value.kind));
  const bool scalar = value.kind != Value::Kind::kList && value.kind != Value::Kind::kMap;
  if (scalar) absl::StrAppend(&what, " ", Quote(value.text));
  if (scalar && wanted == "a string") absl::StrAppend(&what, "; put it in quotes");
  Problem(at, what);
}

bool FieldReader::CheckMap(const Field& field) {
  if (field.value()->kind != Value::Kind::kMap) {
    WrongType(field, "a map");
    return false;
  }
  if (!field.value()->twice.empty()) {
    Problem(field, absl::StrCat("has the key ", Quote(field.value()->twice), " twice, remove one"));
    return false;
  }
  return true;
}

Field FieldReader::Get(const Field& parent, absl::string_view key) {
  const Value* value = parent.present() ? parent.value()->Find(key) : nullptr;
  if (value != nullptr && value->kind == Value::Kind::kNull) value = nullptr;
  return Field(&parent, key, value);
}

Field FieldReader::Map(const Field& parent, absl::string_view key) {
  Field field = Get(parent, key);
  if (field.present() && !CheckMap(field)) field.value_ = nullptr;
  return field;
}

Field FieldReader::List(const Field& parent, absl::string_view key) {
  Field field = Get(parent, key);
  if (field.present() && field.value()->kind != Value::Kind::kList) {
    WrongType(field, "a list");
    field.value_ = nullptr;
  }
  return field;
}

std::vector<Field> FieldReader::Elements(const Field& list) {
  std::vector<Field> elements;
  if (!list.present()) return elements;
  elements.reserve(list.value()->children.size());
  int index = 0;
  for (const Value& child : list.value()->children) {
    Field element(&list, {}, &child);
    element.index_ = index++;
    elements.push_back(element);
  }
  return elements;
}

std::optional<absl::string_view> FieldReader::String(const Field& field) {
  if (!field.present()) return std::nullopt;
  if (field.value()->kind == Value::Kind::kString) return field.value()->text;
  WrongType(field, "a string");
  return std::nullopt;
}

std::optional<absl::string_view> FieldReader::String(const Field& parent, absl::string_view key) {
  return String(Get(parent, key));
}

std::optional<bool> FieldReader::Bool(const Field& parent, absl::string_view key) {
  const Field field = Get(parent, key);
  if (!field.present()) return std::nullopt;
  if (field.value()->kind == Value::Kind::kBool) return field.value()->text == "true";
  WrongType(field, "true or false");
  return std::nullopt;
}

std::optional<std::int64_t> FieldReader::Int(const Field& parent, absl::string_view key, std::int64_t min,
                                             std::int64_t max) {
  const Field field = Get(parent, key);
  if (!field.present()) return std::nullopt;
  if (field.value()->kind != Value::Kind::kInt) {
    WrongType(field, "a whole number");
    return std::nullopt;
  }
  std::int64_t number = 0;
  if (!ParseInt(field.value()->text, &number) || number < min || number > max) {
    Problem(field, absl::StrCat(field.value()->text.substr(0, 40), " is not within ", min, " to ", max));
    return std::nullopt;
  }
  return number;
}

std::optional<std::size_t> FieldReader::Enum(const Field& parent, absl::string_view key,
                                             std::initializer_list<absl::string_view> words) {
  const Field field = Get(parent, key);
  const std::optional<absl::string_view> text = String(field);
  if (!text) return std::nullopt;
  const auto* it = std::find(words.begin(), words.end(), *text);
  if (it != words.end()) return static_cast<std::size_t>(it - words.begin());
  Problem(field, absl::StrCat(Quote(*text), " is not one of ", absl::StrJoin(words, ", ")));
  return std::nullopt;
}

std::vector<std::string> FieldReader::Strings(const Field& parent, absl::string_view key) {
  std::vector<std::string> strings;
  const Field list = List(parent, key);
  for (const Field& element : Elements(list)) {
    if (std::optional<absl::string_view> text = String(element)) strings.emplace_back(*text);
  }
  return strings;
}

model::Labels FieldReader::StringMap(const Field& parent, absl::string_view key) {
  model::Labels labels;
  const Field map = Map(parent, key);
  if (!map.present()) return labels;
  for (const Value& child : map.value()->children) {
    // The API server takes a null here as "".
    if (child.kind == Value::Kind::kNull) {
      labels.emplace(std::string(child.key), "");
    } else if (std::optional<absl::string_view> text = String(Field(&map, child.key, &child))) {
      labels.emplace(std::string(child.key), std::string(*text));
    }
  }
  return labels;
}

}  // namespace berth::files
