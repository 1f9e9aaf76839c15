// SPDX-License-Identifier: Apache-2.0
#include "controller/plan/allocate.h"

#include <algorithm>
#include <optional>
#include <utility>

#include "absl/strings/str_cat.h"
#include "common/net/quote.h"
#include "controller/plan/choose_pool.h"
#include "controller/plan/ownership.h"
#include "controller/plan/sharing.h"
#include "controller/plan/wish.h"

namespace berth::plan {
namespace {

using model::Allocation;
using model::Pool;

// What one family of a Service comes to.
struct FamilyResult {
  std::optional<Allocation> allocation;
  Reason reason;  // see Decision::reason
  std::vector<std::string> looked_at;
};

// Why the Service as a whole can be given nothing, whatever it asks for.
std::optional<Reason> RefuseService(const model::Service& service) {
  const auto proxy = service.annotations.find(model::kNodeProxyAnnotation);
  if (proxy != service.annotations.end() && (proxy->second == "deployment" || proxy->second == "daemonset")) {
    return Reason{reason::kNodeProxy,
                  absl::StrCat("annotation ", model::kNodeProxyAnnotation, " is ", Quote(proxy->second),
                               ", a mode that Berth does not have; remove it to get an address of an Eip")};
  }
  if (service.headless) {
    return Reason{reason::kNoPorts,
                  "spec.clusterIP is None, and a headless Service cannot be balanced; remove that field"};
  }
  if (service.ports.empty()) return Reason{reason::kNoPorts, "spec.ports is empty; add the ports to serve"};
  return std::nullopt;
}

// Whether one explicit wish contradicts an allocation. Wishes that are absent contradict nothing.
bool Contradicts(const Request& request, const Allocation& held) {
  const Family family = held.address.family();
  const Pool* pool = request.ledger.PoolOf(held.address);
  const auto wanted = request.wish.addresses.find(family);
  if (wanted != request.wish.addresses.end() && wanted->second.address != held.address) return true;
  if (request.wish.protocol && *request.wish.protocol != held.protocol &&
      (pool == nullptr || *request.wish.protocol != pool->protocol)) {
    return true;
  }
  const auto names = [&request](const std::string& name) {
    return std::count(request.wish.pools.begin(), request.wish.pools.end(), name) != 0;
  };
  if (names(held.pool) || (pool != nullptr && names(pool->name))) return false;
  return FindNamed(request, family).said_something();
}

// Why the Service must give an address up although it asks for nothing else, or nullopt.
std::optional<Reason> MustGive(const Request& request, const Allocation& held) {
  const Pool* pool = request.ledger.PoolOf(held.address);
  if (pool == nullptr) pool = request.ledger.FindPool(held.pool);
  if (pool != nullptr && pool->deleting && pool->force_delete) {
    return Reason{reason::kPoolDeleting,
                  absl::StrCat("eip:", pool->name, " is deleting: annotation ", model::kForceDeleteAnnotation, " took ",
                               held.address.ToString(), " from the Service; name another Eip")};
  }
  return MustLeave(MakeClaim(request.service, held), request.ledger.OwnersOf(held.address));
}

// `held` as it shall be recorded: an Eip that contains an orphan now adopts it, unless the user asked for something
// else.
Allocation Adopted(const Request& request, const Allocation& held) {
  if (request.ledger.FindPool(held.pool) != nullptr) return held;
  const Pool* pool = request.ledger.PoolOf(held.address);
  if (pool == nullptr) return held;
  const Allocation adopted{held.address, pool->name, pool->protocol, pool->interface};
  return Contradicts(request, adopted) ? held : adopted;
}

std::optional<Reason> RefuseWanted(const Request& request, const Pool& pool, const WantedAddress& wanted,
                                   const Allocation& allocation) {
  const Ledger& ledger = request.ledger;
  const IpAddr& address = wanted.address;
  const std::string asked = absl::StrCat(wanted.field, " asks for ", address.ToString(), ", ");
  if (ledger.excluded().Contains(address)) {
    return Reason{reason::kAddressExcluded,
                  absl::StrCat(asked,
                               "which is never given out: it is a node's address, a gateway, or the network or "
                               "broadcast address of a connected subnet; ask for another address")};
  }
  if (pool.avoid_buggy_ips && IsBuggy(address)) {
    return Reason{reason::kAddressExcluded,
                  absl::StrCat(asked, "which annotation ", model::kAvoidBuggyAnnotation, " of Eip ", Quote(pool.name),
                               " leaves out; ask for an address that ends in neither .0 nor .255")};
  }
  if (ledger.IsConflicted(address)) {
    return Reason{reason::kAddressConflicted,
                  absl::StrCat(asked,
                               "but another host on the LAN answers for it; take the address off that host, or "
                               "ask for another address")};
  }
  if (ledger.IsQuarantined(address)) {
    return Reason{reason::kAddressQuarantined,
                  absl::StrCat(asked,
                               "but a node out of contact may still answer for it; bring that node's agent back or "
                               "delete its Node, or ask for another address")};
  }
  const std::vector<Claim>& owners = ledger.OwnersOf(address);
  const bool mine = std::any_of(owners.begin(), owners.end(),
                                [&request](const Claim& owner) { return owner.service == request.service.id; });
  if (ledger.IsReserved(address) && !mine) {
    return Reason{reason::kProbing, absl::StrCat(asked,
                                                 "which is being probed or written right now; it is tried again "
                                                 "when that has ended")};
  }
  return RefuseJoin(MakeClaim(request.service, allocation), owners, request.rules);
}

FamilyResult AllocateNew(const Request& request, Family family) {
  PoolChoice choice = ChoosePool(request, family);
  FamilyResult result{
      .allocation = std::nullopt, .reason = std::move(choice.reason), .looked_at = std::move(choice.looked_at)};
  if (choice.pool == nullptr) return result;
  Allocation allocation{IpAddr(), choice.pool->name, choice.pool->protocol, choice.pool->interface};
  const auto wanted = request.wish.addresses.find(family);
  if (wanted == request.wish.addresses.end()) {
    allocation.address = *request.ledger.LowestFree(choice.pool->name);
  } else {
    allocation.address = wanted->second.address;
    if (auto refusal = RefuseWanted(request, *choice.pool, wanted->second, allocation)) {
      result.reason = *std::move(refusal);
      return result;
    }
  }
  result.allocation = std::move(allocation);
  return result;
}

// A wanted address of a family that the Service has not, where it wants none of `family`.
std::optional<Reason> RefuseForeignWanted(const Request& request, Family family) {
  if (request.wish.addresses.count(family) != 0) return std::nullopt;
  for (const auto& [other, wanted] : request.wish.addresses) {
    if (std::count(request.families.begin(), request.families.end(), other) != 0) continue;
    return Reason{reason::kFamilyMismatch,
                  absl::StrCat("service can't use different family eip: ", wanted.field, " asks for ",
                               wanted.address.ToString(), ", but spec.ipFamilies has no ", FamilyName(other),
                               "; ask for an ", FamilyName(family), " address, or change spec.ipFamilies")};
  }
  return std::nullopt;
}

// The address the Service holds already and would keep if all else failed, and whether it agrees with its wishes.
struct Held {
  std::optional<Allocation> allocation;
  bool agrees = false;
  std::optional<Reason> taken;  // why one was taken away, when none is left
};
Held FindHeld(const Request& request, Family family) {
  Held held;
  for (const Allocation& allocation : request.service.allocations) {
    if (allocation.address.family() != family) continue;
    if (auto reason = MustGive(request, allocation)) {
      held.taken = std::move(reason);
      continue;
    }
    const bool agrees = !Contradicts(request, allocation);
    if (held.allocation && !agrees) continue;
    held.allocation = allocation;
    held.agrees = agrees;
    if (agrees) break;
  }
  return held;
}

FamilyResult DecideFamily(const Request& request, Family family, const std::optional<Reason>& refusal) {
  Held held = FindHeld(request, family);
  FamilyResult result;
  if (refusal) {
    result.reason = *refusal;
  } else if (auto foreign = RefuseForeignWanted(request, family)) {
    result.reason = *std::move(foreign);
  } else if (!held.agrees) {
    result = AllocateNew(request, family);
  }
  if (result.allocation) {
    // A Service that was moved against its will is told why.
    if (held.taken && !held.allocation) result.reason = *std::move(held.taken);
    return result;
  }
  if (!held.allocation) return result;
  const std::vector<Claim>& owners = request.ledger.OwnersOf(held.allocation->address);
  if (!result.reason.code.empty()) {
    result.reason.message = absl::StrCat(held.allocation->address.ToString(), " is kept: ", result.reason.message);
  } else if (auto note = Disagreement(MakeClaim(request.service, *held.allocation), owners, request.rules)) {
    result.reason = *std::move(note);
  }
  result.allocation = Adopted(request, *held.allocation);
  if (result.looked_at.empty()) result.looked_at.push_back(result.allocation->pool);
  return result;
}

// Whether it is only that this cluster has no Eip of a family, which a Service that merely prefers dual stack need not
// be told of.
bool NothingToOffer(const Reason& reason) {
  return reason.code == reason::kNoPool || reason.code == reason::kFamilyMismatch;
}

void Combine(const model::Service& service, std::vector<FamilyResult> results, Decision& decision) {
  std::size_t got = 0;
  for (const FamilyResult& result : results) got += result.allocation ? 1 : 0;
  const bool prefers = service.ip_family_policy == model::IpFamilyPolicy::kPreferDualStack;
  decision.satisfied = prefers ? got > 0 : got == results.size();
  for (FamilyResult& result : results) {
    for (std::string& pool : result.looked_at) {
      auto& pools = decision.candidate_pools;
      if (std::count(pools.begin(), pools.end(), pool) == 0) pools.push_back(std::move(pool));
    }
    const bool untold = prefers && got > 0 && !result.allocation && NothingToOffer(result.reason);
    if (decision.reason.code.empty() && !untold) decision.reason = std::move(result.reason);
    if (decision.satisfied && result.allocation) decision.want.push_back(*std::move(result.allocation));
  }
}

}  // namespace

Decision Decide(const model::Service& service, const Ledger& ledger, const model::Labels& namespace_labels,
                const Rules& rules) {
  Decision decision;
  decision.ownership = Classify(service, rules);
  if (decision.ownership != Ownership::kOurs) {
    decision.reason = {reason::kNotOurs, WhyNotOurs(service, rules)};
    return decision;
  }
  decision.managed_by = ManagedBy(service);
  absl::StatusOr<Wish> wish = ReadWish(service);
  std::optional<Reason> refusal = RefuseService(service);
  if (!refusal && !wish.ok()) refusal = Reason{reason::kInvalidRequest, std::string(wish.status().message())};
  const Wish readable = wish.ok() ? *std::move(wish) : Wish();
  const Request request{service, readable, FamiliesOf(service), ledger, namespace_labels, rules};
  std::vector<FamilyResult> results;
  for (const Family family : request.families) results.push_back(DecideFamily(request, family, refusal));
  Combine(service, std::move(results), decision);
  return decision;
}

}  // namespace berth::plan
