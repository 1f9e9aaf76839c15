// SPDX-License-Identifier: Apache-2.0
#include "controller/kube/source/crd_check.h"

#include <nlohmann/json.hpp>

#include "controller/kube/objects/read_field.h"

namespace berth::kube {

using nlohmann::json;

std::vector<std::string> MissingEipFields(const json& crd) {
  static constexpr const char* kSpec[] = {"address",  "protocol",   "interface",         "disable",     "usingKnownIPs",
                                          "priority", "namespaces", "namespaceSelector", "nodeSelector"};
  static constexpr const char* kStatus[] = {"firstIP",    "lastIP",     "poolSize", "used",          "usage",
                                            "occupied",   "v4",         "ready",    "usedTruncated", "excluded",
                                            "conflicted", "conditions", "message"};
  std::vector<std::string> missing;
  for (const json& version : ListAt(MapAt(crd, "spec"), "versions")) {
    if (StringAt(version, "name") != "v1alpha2") continue;
    const json& fields = MapAt(MapAt(MapAt(version, "schema"), "openAPIV3Schema"), "properties");
    const auto look = [&](const char* part, const auto& names) {
      const json& there = MapAt(MapAt(fields, part), "properties");
      for (const char* name : names) {
        if (!there.contains(name)) missing.push_back(std::string(part) + "." + name);
      }
    };
    look("spec", kSpec);
    look("status", kStatus);
  }
  return missing;
}

}  // namespace berth::kube
