// SPDX-License-Identifier: Apache-2.0
#include "controller/files/json_line.h"

#include <algorithm>
#include <nlohmann/json.hpp>

#include "absl/strings/str_cat.h"

namespace berth::files {
namespace {

bool IsPlain(char c) { return c >= 0x20 && c < 0x7f && c != '"' && c != '\\'; }

}  // namespace

void JsonLine::Separate() {
  if (comma_) text_.push_back(',');
  comma_ = true;
}

JsonLine& JsonLine::Begin(char bracket) {
  Separate();
  text_.push_back(bracket);
  comma_ = false;
  return *this;
}

JsonLine& JsonLine::End(char bracket) {
  text_.push_back(bracket);
  comma_ = true;
  return *this;
}

JsonLine& JsonLine::Key(absl::string_view name) {
  Separate();
  absl::StrAppend(&text_, "\"", name, "\":");
  comma_ = false;
  return *this;
}

JsonLine& JsonLine::Text(absl::string_view value) {
  Separate();
  if (std::all_of(value.begin(), value.end(), IsPlain)) {
    absl::StrAppend(&text_, "\"", value, "\"");
  } else {  // rare
    text_ += nlohmann::json(std::string(value)).dump(-1, ' ', false, nlohmann::json::error_handler_t::replace);
  }
  return *this;
}

JsonLine& JsonLine::Name(absl::string_view name) {
  Text(name);
  text_.push_back(':');
  comma_ = false;
  return *this;
}

JsonLine& JsonLine::True() {
  Separate();
  text_ += "true";
  return *this;
}

JsonLine& JsonLine::Number(std::uint64_t value) {
  Separate();
  absl::StrAppend(&text_, value);
  return *this;
}

}  // namespace berth::files
