// SPDX-License-Identifier: Apache-2.0
// The world's judge: what it takes for facts, and when it looks.
#include <algorithm>
#include <utility>

#include "absl/strings/str_cat.h"
#include "tests/unit/controller/core/plan_world.h"

namespace berth::core {
namespace {

bool Lists(const std::vector<model::Allocation>& list, const IpAddr& address) {
  return std::any_of(list.begin(), list.end(), [&](const auto& a) { return a.address == address; });
}

// The same facts, but for what others asked for when these claims stood.
Facts AsClaimed(Facts facts, const std::vector<plan::Claim>& claims, const model::ObjectId& but) {
  for (const plan::Claim& claim : claims) {
    if (claim.service == but) continue;
    auto [it, gone] = facts.services.try_emplace(claim.service);
    it->second.id = claim.service;
    if (gone) it->second.allocations.push_back(claim.allocation);  // of whom it is not let go yet
    it->second.ports = claim.ports;
    it->second.traffic_policy = claim.traffic_policy;
    it->second.selector = claim.selector;
    it->second.annotations[model::kSharingKeyAnnotation] = claim.sharing_key;
  }
  return facts;
}

}  // namespace

std::vector<plan::Claim> PlanWorld::ClaimsNow() const {
  std::vector<plan::Claim> claims;
  for (const IpAddr& a : Universe()) {
    const auto& owners = core_->ledger().OwnersOf(a);
    claims.insert(claims.end(), owners.begin(), owners.end());
  }
  return claims;
}

std::set<IpAddr> PlanWorld::Blocked() const {
  std::set<IpAddr> blocked;
  for (const IpAddr& a : Universe()) {
    if (core_->ledger().IsConflicted(a) || core_->ledger().IsQuarantined(a)) blocked.insert(a);
  }
  return blocked;
}

Facts PlanWorld::TheFacts() const {
  Facts facts;
  facts.rules = setup_.rules;
  facts.pools = core_->ledger().pools();
  facts.namespaces = shown_namespaces_;
  facts.services = shown_;
  for (auto& [id, service] : facts.services) service.allocations.clear();
  for (const IpAddr& a : Universe()) {
    for (const plan::Claim& claim : core_->ledger().OwnersOf(a)) {
      auto it = facts.services.find(claim.service);
      if (it != facts.services.end()) it->second.allocations.push_back(claim.allocation);
    }
  }
  for (const auto& [node, interfaces] : heard_interfaces_) {
    for (const sync::InterfaceInfo& i : interfaces) {
      facts.excluded.insert(i.gateways.begin(), i.gateways.end());
      for (const Cidr& prefix : i.prefixes) {
        facts.excluded.insert({prefix.address(), prefix.first()});
        if (prefix.address().is_v4()) facts.excluded.insert(prefix.last());
      }
    }
  }
  facts.blocked = Blocked();
  return facts;
}

// Promise 1 once more: by the records as they are, and by what their Services asked for then or when it was written. A
// write on its way cannot be called back, and the first owner is never disturbed, so its ports may change beneath a
// sharer's write, which lands all the same; the sharer leaves after it, and at rest none that clash may be left.
void PlanWorld::CheckLanding(const Pending& pending, const std::vector<model::Allocation>& had) const {
  const model::ServiceWrite& write = pending.write;
  Facts facts = TheFacts();
  // A write that is repeated carries an old decision; what does not fit any more is put right by the next one.
  if (const auto it = repeated_.find(write.id); it != repeated_.end() && it->second == write.allocations) return;
  const auto writer = facts.services.find(write.id);
  if (writer == facts.services.end()) return;  // news of its end is on its way
  const model::Service& by = writer->second;
  std::vector<model::Allocation> given;
  for (const model::Allocation& a : write.allocations) {
    if (!Lists(had, a.address) && !Lists(by.allocations, a.address)) given.push_back(a);
  }
  for (auto& [id, service] : facts.services) {
    auto it = services_.find(id);
    service.allocations = it == services_.end() ? std::vector<model::Allocation>{} : it->second.allocations;
  }
  for (const model::Allocation& a : given) {
    try {
      CheckShared(facts, by, a);
      continue;
    } catch (const Broken&) {
    }
    try {
      CheckShared(AsClaimed(facts, pending.claims, write.id), by, a);
    } catch (const Broken&) {
      CheckShared(AsClaimed(facts, pending.claims_before, write.id), by, a);
    }
  }
}

// Promises 1 and 2, and that nothing is taken without a reason.
void PlanWorld::CheckWrite(const model::ServiceWrite& write) {
  const auto shown = shown_.find(write.id);
  if (shown == shown_.end()) throw Broken(absl::StrCat("a write for ", write.id.ToString(), ", which is gone"));
  if (const auto it = repeated_.find(write.id); it != repeated_.end() && it->second == write.allocations) return;
  const Facts facts = TheFacts();
  const model::Service& service = facts.services.at(write.id);
  for (const model::Allocation& a : write.allocations) {
    if (Lists(service.allocations, a.address)) continue;
    try {
      CheckGiven(facts, service, a);
    } catch (const Broken&) {
      // An Eip may have changed at this very moment, after the decision; and what changed of a Service that is being
      // written counts from the end of that.
      Facts sooner = AsClaimed(facts, claims_before_, write.id);
      sooner.pools = before_;
      sooner.blocked = blocked_before_;
      CheckGiven(sooner, service, a);
    }
  }
  for (const model::Allocation& a : service.allocations) {
    if (Lists(write.allocations, a.address)) continue;
    try {
      CheckTaken(facts, service, a, write.allocations);
    } catch (const Broken&) {
      CheckTaken(AsClaimed(facts, claims_before_, write.id), service, a,
                 write.allocations);  // an owner may change at this very moment
    }
  }
  if (write.allocations.empty() && IsOurs(service, setup_.rules) && write.condition_reason.empty()) {
    throw Broken(absl::StrCat(write.id.ToString(), " is left without an address and without a reason"));
  }
}

// Promise 6: assigned, or a reason.
void PlanWorld::CheckWords() {
  std::set<model::ObjectId> seen;
  for (const model::ServiceView& view : core_->ServiceViews()) {
    seen.insert(view.id);
    const std::string who = view.id.ToString();
    const bool pending = view.state == model::ServiceState::kPending;
    if (pending && (view.reason.empty() || view.message.empty())) throw Broken(who + " is pending without a reason");
    if (view.state == model::ServiceState::kAssigned && view.addresses.empty()) {
      throw Broken(who + " is called assigned and has no address");
    }
    const auto shown = shown_.find(view.id);
    if (view.state != model::ServiceState::kIgnored || shown == shown_.end()) continue;
    if (IsOurs(shown->second, setup_.rules) && IsOurs(TheFacts().services.at(view.id), setup_.rules)) {
      throw Broken(absl::StrCat(who, " is ours and ignored: ", view.message));
    }
  }
  for (const auto& [id, service] : shown_) {
    if (IsOurs(service, setup_.rules) && seen.count(id) == 0) throw Broken(id.ToString() + " is not shown at all");
  }
}

// At rest the ledger and the records say the same, no two Eips in force overlap, and none is refused without a cause.
void PlanWorld::CheckRecords() {
  const plan::Ledger& ledger = core_->ledger();
  for (const IpAddr& a : Universe()) {
    std::set<model::ObjectId> recorded, known;
    for (const auto& [id, service] : services_) {
      if (Lists(service.allocations, a)) recorded.insert(id);
    }
    for (const plan::Claim& claim : ledger.OwnersOf(a)) known.insert(claim.service);
    if (recorded != known) throw Broken(absl::StrCat(a.ToString(), " has other owners in the ledger than on record"));
    if (ledger.IsReserved(a)) throw Broken(absl::StrCat(a.ToString(), " is reserved for nobody"));
  }
  std::map<std::string, std::string> said;
  for (const model::PoolView& view : core_->PoolViews()) said[view.name] = view.message;
  int defaults = 0;
  IpRangeSet all;
  for (const auto& [name, pool] : ledger.pools()) {
    if (all.Overlaps(pool.addresses)) throw Broken(name + " overlaps another Eip in force");
    all.Add(pool.addresses);
    defaults += pool.is_default ? 1 : 0;
  }
  if (defaults > 1) throw Broken("two default Eips are in force");
  for (const auto& [name, wanted] : pools_) {
    const model::Pool* in_force = ledger.FindPool(name);
    if (in_force != nullptr && *in_force == wanted) continue;
    const bool refused = said[name].rfind("refused: ", 0) == 0;
    if (!refused) throw Broken(name + " is not in force as it is written, and nobody says so");
    bool cause = wanted.protocol != model::Protocol::kBgp && wanted.interface.empty();
    for (const auto& [other, pool] : ledger.pools()) {
      if (other == name) continue;
      cause |= pool.addresses.Overlaps(wanted.addresses) || (pool.is_default && wanted.is_default);
    }
    for (const IpAddr& a : Universe()) {
      cause |= in_force != nullptr && in_force->addresses.Contains(a) && !wanted.addresses.Contains(a) &&
               !ledger.OwnersOf(a).empty();
    }
    if (!cause) throw Broken(name + " is refused still, though nothing speaks against it: " + said[name]);
  }
}

}  // namespace berth::core
