// SPDX-License-Identifier: Apache-2.0
#include "controller/kube/source/crd_fields.h"

#include <catch2/catch.hpp>
#include <nlohmann/json.hpp>

namespace berth::kube {
namespace {

using nlohmann::json;

json CrdWith(const json& spec, const json& status) {
  const json properties = {{"spec", {{"properties", spec}}}, {"status", {{"properties", status}}}};
  return {{"spec",
           {{"versions",
             {{{"name", "v1alpha1"}, {"schema", json::object()}},
              {{"name", "v1alpha2"}, {"schema", {{"openAPIV3Schema", {{"properties", properties}}}}}}}}}}};
}

TEST_CASE("fields that an older CRD lacks are named", "[unit]") {
  json spec, status;
  for (const char* field : {"address", "protocol", "interface", "disable", "usingKnownIPs", "priority", "namespaces",
                            "namespaceSelector"}) {
    spec[field] = json::object();
  }
  for (const char* field : {"firstIP", "lastIP", "poolSize", "used", "usage", "occupied", "v4", "ready"}) {
    status[field] = json::object();
  }
  CHECK(MissingFields("eips", CrdWith(spec, status)) ==
        std::vector<std::string>{"spec.nodeSelector", "status.usedTruncated", "status.excluded", "status.conflicted",
                                 "status.conditions", "status.message"});
}

TEST_CASE("fields that older CRDs of BGP lack are named", "[unit]") {
  json spec, status;
  for (const char* field : {"as", "asPerRack", "routerId", "listenPort", "listenAddresses", "families",
                            "useMultiplePaths", "gracefulRestart"}) {
    spec[field] = json::object();
  }
  status["nodesConfStatus"] = json::object();
  CHECK(MissingFields("bgpconfs", CrdWith(spec, status)) ==
        std::vector<std::string>{"spec.policy", "status.conditions"});
  CHECK(MissingFields("bgppeers", CrdWith(spec, {{"conditions", json::object()}})) ==
        std::vector<std::string>{"spec.conf", "spec.ebgpMultihop", "spec.transport", "spec.timers", "spec.afiSafis",
                                 "spec.nodeSelector", "status.nodesPeerStatus"});
}

TEST_CASE("an answer that is no CRD lacks nothing that could be named", "[unit]") {
  for (const std::string& resource : CrdResources()) {
    CHECK(MissingFields(resource, json()).empty());
    CHECK(MissingFields(resource, json::array()).empty());
  }
}

}  // namespace
}  // namespace berth::kube
