// SPDX-License-Identifier: Apache-2.0
#include "controller/kube/objects/read_field.h"

#include <nlohmann/json.hpp>

namespace berth::kube {
namespace {

using nlohmann::json;

const json* Find(const json& map, const char* key) {
  if (!map.is_object()) return nullptr;
  const auto it = map.find(key);
  return it == map.end() ? nullptr : &*it;
}

}  // namespace

const json& MapAt(const json& map, const char* key) {
  static const json kEmpty = json::object();
  const json* found = Find(map, key);
  return found != nullptr && found->is_object() ? *found : kEmpty;
}

const json& ListAt(const json& map, const char* key) {
  static const json kEmpty = json::array();
  const json* found = Find(map, key);
  return found != nullptr && found->is_array() ? *found : kEmpty;
}

std::string StringAt(const json& map, const char* key) {
  const json* found = Find(map, key);
  return found != nullptr && found->is_string() ? found->get<std::string>() : "";
}

bool BoolAt(const json& map, const char* key) {
  const json* found = Find(map, key);
  return found != nullptr && found->is_boolean() && found->get<bool>();
}

json& MapIn(json& map, const char* key) {
  json& found = map[key];
  if (!found.is_object()) found = json::object();
  return found;
}

model::ObjectId IdOf(const json& object) {
  const json& metadata = MapAt(object, "metadata");
  return {StringAt(metadata, "namespace"), StringAt(metadata, "name")};
}

std::string Rfc3339(absl::Time time) { return absl::FormatTime("%Y-%m-%dT%H:%M:%SZ", time, absl::UTCTimeZone()); }
std::string Rfc3339Micro(absl::Time time) {
  return absl::FormatTime("%Y-%m-%dT%H:%M:%E6SZ", time, absl::UTCTimeZone());
}

}  // namespace berth::kube
