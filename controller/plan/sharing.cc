// SPDX-License-Identifier: Apache-2.0
#include "controller/plan/sharing.h"

#include <algorithm>
#include <cstdint>
#include <set>
#include <string>
#include <utility>

#include "absl/strings/ascii.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/string_view.h"

namespace berth::plan {
namespace {

std::optional<Reason> KeyRefusal(const Claim& claim, const Claim& owner) {
  if (claim.service.ns == owner.service.ns) return std::nullopt;
  if (!claim.sharing_key.empty() && claim.sharing_key == owner.sharing_key) return std::nullopt;
  const std::string address = claim.allocation.address.ToString();
  if (owner.sharing_key.empty()) {
    return Reason{reason::kAddressInUse,
                  absl::StrCat("address ", address, " is in use by ", owner.service.ToString(),
                               ", which shares it with no other namespace; ask for another address, or give both "
                               "Services the same annotation ",
                               model::kSharingKeyAnnotation)};
  }
  if (claim.sharing_key.empty()) {
    return Reason{reason::kAddressInUse, absl::StrCat("address ", address, " is in use by ", owner.service.ToString(),
                                                      " of another namespace, and ", claim.service.ToString(),
                                                      " has no annotation ", model::kSharingKeyAnnotation,
                                                      "; set it to the key agreed on, or ask for another address")};
  }
  return Reason{reason::kSharingKeyMismatch,
                absl::StrCat("address ", address, " is in use by ", owner.service.ToString(), ", whose annotation ",
                             model::kSharingKeyAnnotation, " is not that of ", claim.service.ToString(),
                             "; set both alike, or ask for another address")};
}

std::optional<Reason> PortRefusal(const Claim& claim, const Claim& owner) {
  std::set<std::pair<std::uint16_t, absl::string_view>> theirs;  // either may have very many
  for (const model::ServicePort& port : owner.ports) theirs.emplace(port.port, port.protocol);
  for (const model::ServicePort& mine : claim.ports) {
    if (!theirs.contains({mine.port, mine.protocol})) continue;
    return Reason{reason::kPortConflict, absl::StrCat(absl::AsciiStrToLower(mine.protocol), "/", mine.port, " on ",
                                                      claim.allocation.address.ToString(), " is in use by ",
                                                      owner.service.ToString(), "; change the port in spec.ports of ",
                                                      claim.service.ToString(), " or ask for another address")};
  }
  return std::nullopt;
}

std::optional<Reason> PolicyRefusal(const Claim& claim, const Claim& owner) {
  const bool agree = claim.traffic_policy == owner.traffic_policy &&
                     (claim.traffic_policy == model::TrafficPolicy::kCluster || claim.selector == owner.selector);
  if (agree) return std::nullopt;
  const bool selectors = claim.traffic_policy == owner.traffic_policy;
  return Reason{
      reason::kPolicyMismatch,
      absl::StrCat("address ", claim.allocation.address.ToString(), " is shared with ", owner.service.ToString(),
                   ", but ",
                   selectors ? "with spec.externalTrafficPolicy Local their spec.selector differ"
                             : "their spec.externalTrafficPolicy differ",
                   "; set both to Cluster, or both to Local with equal selectors, or ask for another address")};
}

}  // namespace

std::optional<Reason> RefuseJoin(const Claim& claim, const std::vector<Claim>& owners, const Rules& rules) {
  // What another tenant uses is told only to those who may share with it at all.
  for (const auto check : {KeyRefusal, PortRefusal, PolicyRefusal}) {
    if (rules.open_sharing && check != PortRefusal) continue;
    for (const Claim& owner : owners) {
      if (owner.service == claim.service) continue;
      if (auto refusal = check(claim, owner)) return refusal;
    }
  }
  return std::nullopt;
}

std::optional<Reason> MustLeave(const Claim& claim, const std::vector<Claim>& owners) {
  const auto mine = std::find_if(owners.begin(), owners.end(),
                                 [&claim](const Claim& owner) { return owner.service == claim.service; });
  if (mine == owners.begin()) return std::nullopt;
  const bool changed = mine != owners.end() && mine->ports != claim.ports;
  for (auto it = owners.begin(); it != owners.end(); ++it) {
    if (it == mine) {
      if (changed) continue;
      break;
    }
    if (auto refusal = PortRefusal(claim, *it)) return refusal;
  }
  return std::nullopt;
}

std::optional<Reason> Disagreement(const Claim& claim, const std::vector<Claim>& owners, const Rules& rules) {
  if (rules.open_sharing) return std::nullopt;
  for (const auto check : {PolicyRefusal, KeyRefusal}) {
    for (const Claim& owner : owners) {
      if (owner.service == claim.service) continue;
      auto refusal = check(claim, owner);
      if (!refusal) continue;
      refusal->message = absl::StrCat("both keep it for now: ", refusal->message);
      return refusal;
    }
  }
  return std::nullopt;
}

}  // namespace berth::plan
