// SPDX-License-Identifier: Apache-2.0
// tests/unit/controller/admission/admission_testing.h -- a cluster as the webhook sees it, and what an API server asks.
#ifndef BERTH_TESTS_UNIT_CONTROLLER_ADMISSION_ADMISSION_TESTING_H_
#define BERTH_TESTS_UNIT_CONTROLLER_ADMISSION_ADMISSION_TESTING_H_

#include <map>
#include <nlohmann/json.hpp>
#include <optional>
#include <string>
#include <vector>

#include "controller/admission/decide.h"
#include "tests/unit/controller/plan/plan_fixture.h"

namespace berth::admission {

struct FakeView final : AdmissionView {
  bool synced = true;
  std::map<std::string, model::Pool> pools;
  std::vector<plan::Claim> claims;
  plan::Rules rules;
  std::map<std::string, model::Labels> namespaces;
  std::optional<Family> first_family = Family::kIpv4;

  bool Synced() const override { return synced; }
  const std::map<std::string, model::Pool>& Pools() const override { return pools; }
  std::vector<plan::Claim> ClaimsWithin(const IpRangeSet& addresses) const override {
    std::vector<plan::Claim> out;
    for (const plan::Claim& claim : claims) {
      if (addresses.Contains(claim.allocation.address)) out.push_back(claim);
    }
    return out;
  }
  const plan::Rules& Rules() const override { return rules; }
  const model::Labels& NamespaceLabels(const std::string& name) const override {
    static const model::Labels kNone;
    const auto it = namespaces.find(name);
    return it == namespaces.end() ? kNone : it->second;
  }
  std::optional<Family> FirstFamily() const override { return first_family; }

  void Add(const model::Pool& pool) { pools[pool.name] = pool; }
  void Use(const std::string& service, const std::string& address) {
    claims.push_back(plan::MakeClaim(
        plan::MakeService(service),
        {.address = plan::Ip(address), .pool = "", .protocol = model::Protocol::kLayer2, .interface = ""}));
  }
};

// As an API server asks. `object` and `before` may be null.
inline std::string ReviewBody(const std::string& operation, const std::string& resource, const nlohmann::json& object,
                              const nlohmann::json& before = nullptr) {
  const bool core = resource == "services";
  const nlohmann::json body = {{"kind", "AdmissionReview"},
                               {"apiVersion", "admission.k8s.io/v1"},
                               {"request",
                                {{"uid", "705ab4f5-6393-11e8-b7cc-42010a800002"},
                                 {"resource",
                                  {{"group", core ? "" : "network.kubesphere.io"},
                                   {"version", core ? "v1" : "v1alpha2"},
                                   {"resource", resource}}},
                                 {"name", "edge"},
                                 {"namespace", core ? "shop" : ""},
                                 {"operation", operation},
                                 {"object", object},
                                 {"oldObject", before},
                                 {"dryRun", false}}}};
  return body.dump();
}

inline Review MakeReview(const std::string& operation, const std::string& resource, const nlohmann::json& object,
                         const nlohmann::json& before = nullptr) {
  return *ParseReview(ReviewBody(operation, resource, object, before));
}

inline nlohmann::json Eip(const std::string& address, const std::string& name = "edge") {
  return {{"apiVersion", "network.kubesphere.io/v1alpha2"},
          {"kind", "Eip"},
          {"metadata", {{"name", name}, {"resourceVersion", "5"}}},
          {"spec", {{"address", address}, {"protocol", "layer2"}, {"interface", "eth0"}}}};
}

}  // namespace berth::admission

#endif  // BERTH_TESTS_UNIT_CONTROLLER_ADMISSION_ADMISSION_TESTING_H_
