// SPDX-License-Identifier: Apache-2.0
#include "tools/berthctl/json_yaml.h"

#include <algorithm>
#include <nlohmann/json.hpp>

#include "absl/strings/ascii.h"
#include "absl/strings/match.h"
#include "absl/strings/string_view.h"

namespace berth::ctl {
namespace {

using Json = nlohmann::ordered_json;

// Letters first, and nothing behind them that YAML gives a meaning: then no quotes are needed, unless the word is one
// of YAML's own. Numbers, times and addresses are quoted, which costs nothing and is never wrong.
bool IsPlain(const std::string& text) {
  if (text.empty() || !absl::ascii_isalpha(static_cast<unsigned char>(text.front())) || text.back() == ' ')
    return false;
  const bool safe = std::all_of(text.begin(), text.end(), [](unsigned char c) {
    return absl::ascii_isalnum(c) || c == '-' || c == '_' || c == '.' || c == '/' || c == ' ' || c == '(' || c == ')';
  });
  if (!safe) return false;
  static constexpr const char* kWords[] = {"true", "false", "null", "yes", "no", "on", "off", "y", "n"};
  return std::none_of(std::begin(kWords), std::end(kWords),
                      [&text](const char* word) { return absl::EqualsIgnoreCase(text, word); });
}

std::string Scalar(const Json& value) {
  // A JSON string is a YAML double-quoted one.
  if (value.is_string() && IsPlain(value.get_ref<const std::string&>())) return value.get<std::string>();
  return value.dump();
}

bool IsBlock(const Json& value) { return value.is_structured() && !value.empty(); }

void Append(const Json& value, std::size_t indent, std::string& out);

// Behind "key:" or "-"; what is no block stays on the line.
void AppendInline(const Json& value, std::string& out) {
  out += ' ';
  out += value.is_structured() ? (value.is_array() ? "[]" : "{}") : Scalar(value);
  out += '\n';
}

void AppendObject(const Json& object, std::size_t indent, bool first_is_indented, std::string& out) {
  for (const auto& [key, value] : object.items()) {
    if (!first_is_indented) out.append(indent, ' ');
    first_is_indented = false;
    out += Scalar(Json(key));
    out += ':';
    if (!IsBlock(value)) {
      AppendInline(value, out);
      continue;
    }
    out += '\n';
    // Lists stand under their key, as kubectl prints them.
    Append(value, value.is_array() ? indent : indent + 2, out);
  }
}

void AppendArray(const Json& array, std::size_t indent, std::string& out) {
  for (const Json& value : array) {
    out.append(indent, ' ');
    out += '-';
    if (!IsBlock(value)) {
      AppendInline(value, out);
    } else if (value.is_object()) {
      out += ' ';
      AppendObject(value, indent + 2, true, out);
    } else {
      out += '\n';
      AppendArray(value, indent + 2, out);
    }
  }
}

void Append(const Json& value, std::size_t indent, std::string& out) {
  if (value.is_array()) {
    AppendArray(value, indent, out);
  } else {
    AppendObject(value, indent, false, out);
  }
}

}  // namespace

absl::StatusOr<std::string> JsonToYaml(const std::string& json) {
  const Json value = Json::parse(json, nullptr, false);
  if (value.is_discarded()) return absl::InvalidArgumentError("the text is no JSON");
  std::string out;
  if (IsBlock(value)) {
    Append(value, 0, out);
  } else {
    AppendInline(value, out);
    out.erase(0, 1);
  }
  return out;
}

}  // namespace berth::ctl
