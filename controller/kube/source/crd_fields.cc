// SPDX-License-Identifier: Apache-2.0
#include "controller/kube/source/crd_fields.h"

#include <map>
#include <nlohmann/json.hpp>

#include "absl/strings/str_cat.h"
#include "controller/kube/objects/read_field.h"

namespace berth::kube {
namespace {

using nlohmann::json;

struct Fields {
  std::vector<std::string> spec, status;
};

const std::map<std::string, Fields>& Known() {
  static const std::map<std::string, Fields> kKnown = {
      {"eips",
       {{"address", "protocol", "interface", "disable", "usingKnownIPs", "priority", "namespaces", "namespaceSelector",
         "nodeSelector"},
        {"firstIP", "lastIP", "poolSize", "used", "usage", "occupied", "v4", "ready", "usedTruncated", "excluded",
         "conflicted", "conditions", "message"}}},
      {"bgpconfs",
       {{"as", "asPerRack", "routerId", "listenPort", "listenAddresses", "families", "useMultiplePaths",
         "gracefulRestart", "policy"},
        {"nodesConfStatus", "conditions"}}},
      {"bgppeers",
       {{"conf", "ebgpMultihop", "transport", "timers", "gracefulRestart", "afiSafis", "nodeSelector"},
        {"nodesPeerStatus", "conditions"}}}};
  return kKnown;
}

}  // namespace

const std::vector<std::string>& CrdResources() {
  static const std::vector<std::string> kResources = {"eips", "bgpconfs", "bgppeers"};
  return kResources;
}

std::vector<std::string> MissingFields(const std::string& resource, const json& crd) {
  const Fields& known = Known().at(resource);
  std::vector<std::string> missing;
  for (const json& version : ListAt(MapAt(crd, "spec"), "versions")) {
    if (StringAt(version, "name") != "v1alpha2") continue;
    const json& fields = MapAt(MapAt(MapAt(version, "schema"), "openAPIV3Schema"), "properties");
    const auto look = [&](const char* part, const std::vector<std::string>& names) {
      const json& there = MapAt(MapAt(fields, part), "properties");
      for (const std::string& name : names) {
        if (!there.contains(name)) missing.push_back(absl::StrCat(part, ".", name));
      }
    };
    look("spec", known.spec);
    look("status", known.status);
  }
  return missing;
}

}  // namespace berth::kube
