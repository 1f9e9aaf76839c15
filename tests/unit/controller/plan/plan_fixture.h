// SPDX-License-Identifier: Apache-2.0
// tests/unit/controller/plan/plan_fixture.h -- Eips, Services and a small world in which decisions take effect at once.
#ifndef BERTH_TESTS_UNIT_CONTROLLER_PLAN_PLAN_FIXTURE_H_
#define BERTH_TESTS_UNIT_CONTROLLER_PLAN_PLAN_FIXTURE_H_

#include <algorithm>
#include <map>
#include <string>
#include <utility>
#include <vector>

#include <catch2/catch.hpp>

#include "absl/strings/str_cat.h"

#include "controller/plan/allocate.h"
#include "controller/plan/ledger.h"
#include "controller/plan/ownership.h"

namespace berth::plan {

inline IpAddr Ip(const std::string& text) { return *IpAddr::Parse(text); }

// A layer2 Eip on eth0, open to all namespaces.
inline model::Pool MakePool(const std::string& name, const std::string& address) {
  model::Pool pool;
  pool.name = name;
  pool.address_text = address;
  pool.addresses = *IpRangeSet::Parse(address);
  pool.family = pool.addresses.First()->family();
  pool.protocol = model::Protocol::kLayer2;
  pool.interface = "eth0";
  return pool;
}

inline model::Pool DefaultPool(const std::string& name, const std::string& address) {
  model::Pool pool = MakePool(name, address);
  pool.is_default = true;
  return pool;
}

inline model::Pool BoundPool(const std::string& name, const std::string& address, const std::string& ns,
                             std::int64_t priority = 0) {
  model::Pool pool = MakePool(name, address);
  pool.namespaces = {ns};
  pool.priority = priority;
  return pool;
}

// An opted-in Service on tcp/80, "name" or "namespace/name".
inline model::Service MakeService(const std::string& id, std::uint16_t port = 80) {
  model::Service service;
  const std::size_t slash = id.find('/');
  service.id = slash == std::string::npos ? model::ObjectId{"default", id}
                                          : model::ObjectId{id.substr(0, slash), id.substr(slash + 1)};
  service.load_balancer = true;
  service.annotations[model::kOptInAnnotation] = "openelb";
  service.ports = {{.name = "", .protocol = "TCP", .port = port}};
  return service;
}

inline model::Service AsksPool(model::Service service, const std::string& pools) {
  service.annotations[model::kPoolAnnotation] = pools;
  return service;
}
inline model::Service AsksIp(model::Service service, const std::string& address) {
  service.load_balancer_ip = address;
  return service;
}
inline model::Service WithKey(model::Service service, const std::string& key) {
  service.annotations[model::kSharingKeyAnnotation] = key;
  return service;
}
inline model::Service WithProtocol(model::Service service, const std::string& protocol) {
  service.annotations[model::kProtocolAnnotation] = protocol;
  return service;
}
inline model::Service Local(model::Service service, const std::string& app) {
  service.traffic_policy = model::TrafficPolicy::kLocal;
  service.selector = {{"app", app}};
  return service;
}

inline std::vector<std::string> Texts(const std::vector<model::Allocation>& allocations) {
  std::vector<std::string> out;
  for (const model::Allocation& a : allocations) out.push_back(a.address.ToString());
  return out;
}

// Decisions take effect at once: what is not wanted any more is released, what is new is assigned and recorded.
class World {
 public:
  Ledger ledger;
  Rules rules;
  std::map<std::string, model::Labels> namespaces;
  std::map<model::ObjectId, model::Service> services;

  void Pool(const model::Pool& pool) { ledger.UpsertPool(pool); }

  Decision Look(const model::Service& service) { return Decide(service, ledger, namespaces[service.id.ns], rules); }

  // The Service appears or changes as given; what is recorded about it stays.
  Decision Put(model::Service service) {
    if (const auto had = services.find(service.id); had != services.end()) {
      service.allocations = had->second.allocations;
      service.managed_by = had->second.managed_by;
      service.marked = had->second.marked;
    }
    const Decision decision = Look(service);
    for (const model::Allocation& held : service.allocations) {
      const bool kept = std::any_of(decision.want.begin(), decision.want.end(),
                                    [&held](const auto& wanted) { return wanted.address == held.address; });
      if (!kept) ledger.Release(service.id, held.address);
    }
    service.allocations = decision.want;
    service.managed_by = decision.managed_by;
    service.marked = !decision.want.empty();
    for (const model::Allocation& held : service.allocations) ledger.Assign(MakeClaim(service, held));
    services[service.id] = service;
    return decision;
  }
  Decision Again(const std::string& id) { return Put(services.at(MakeService(id).id)); }

  void Delete(const std::string& id) {
    model::Service service = services.at(MakeService(id).id);
    service.deleting = true;
    Put(service);
    services.erase(service.id);
  }

  // The addresses a Service has, "a,b"; empty when it has none.
  std::string Has(const std::string& id) const {
    std::string out;
    for (const std::string& address : Texts(services.at(MakeService(id).id).allocations)) {
      out += out.empty() ? address : "," + address;
    }
    return out;
  }
};

}  // namespace berth::plan

#endif  // BERTH_TESTS_UNIT_CONTROLLER_PLAN_PLAN_FIXTURE_H_
