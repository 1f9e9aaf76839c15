// SPDX-License-Identifier: Apache-2.0
// tests/unit/controller/core/plan_oracle.h -- what docs/allocation.md promises, said a second time.
//
// Written from the page, for a world of a few addresses that are looked at one by one. Shares with the code under test
// the objects and the address types, and nothing else.
#ifndef BERTH_TESTS_UNIT_CONTROLLER_CORE_PLAN_ORACLE_H_
#define BERTH_TESTS_UNIT_CONTROLLER_CORE_PLAN_ORACLE_H_

#include <map>
#include <optional>
#include <set>
#include <stdexcept>
#include <string>
#include <vector>

#include "controller/model/objects.h"
#include "controller/plan/rules.h"

namespace berth::core {

// A promise that was broken.
struct Broken : std::runtime_error {
  using std::runtime_error::runtime_error;
};

// Every address there is: 12 of IPv4 that straddle a .255 and a .0, and 8 of IPv6.
const std::vector<IpAddr>& Universe();

// What the rules are applied to, at one moment.
struct Facts {
  std::map<std::string, model::Pool> pools;            // in force
  std::map<model::ObjectId, model::Service> services;  // with what is recorded of them
  std::map<std::string, model::Labels> namespaces;
  std::set<IpAddr> excluded;  // of nodes, gateways and connected subnets
  std::set<IpAddr> blocked;   // conflicted or quarantined
  plan::Rules rules;

  std::vector<const model::Service*> OwnersOf(const IpAddr& address) const;
};

std::vector<Family> Families(const model::Service& service);
bool IsOurs(const model::Service& service, const plan::Rules& rules);
// Why nothing can be given to it, whatever Eips there are: no ports, unreadable wishes.
bool Hopeless(const model::Service& service);
bool PortsClash(const model::Service& a, const model::Service& b);
// Whether `service` may join `owner` on one address (rule "Sharing").
bool MayShare(const model::Service& service, const model::Service& owner, const plan::Rules& rules);
// Whether what the Service asks for explicitly is something else than this allocation.
bool AsksForAnother(const Facts& facts, const model::Service& service, const model::Allocation& held);

// The address that the rules offer the Service for a family now, besides what it has.
std::optional<IpAddr> Offer(const Facts& facts, const model::Service& service, Family family);

// Throws unless `given` may be given to the Service now: it lies in an Eip that allows it, agrees with the Service's
// wishes, and nobody else has it who does not share.
void CheckGiven(const Facts& facts, const model::Service& service, const model::Allocation& given);
// The last part of it.
void CheckShared(const Facts& facts, const model::Service& service, const model::Allocation& given);
// Throws unless there is a reason to take `taken` from the Service, which then has `left`.
void CheckTaken(const Facts& facts, const model::Service& service, const model::Allocation& taken,
                const std::vector<model::Allocation>& left);
// Throws when a Service lacks what it could have, or has what it must not, though nothing is on its way any more.
void CheckAtRest(const Facts& facts);

}  // namespace berth::core

#endif  // BERTH_TESTS_UNIT_CONTROLLER_CORE_PLAN_ORACLE_H_
