// SPDX-License-Identifier: Apache-2.0
// The part of Holders that tells people: of what nobody can hold, and of what is allowed and yet perhaps not meant.
#include <cstddef>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "controller/core/holders.h"

namespace berth::core {
namespace {

constexpr char kStays[] = "its node is drained, but no other node can hold it: it stays";
constexpr std::size_t kRefusalsTold = 10;  // at once

}  // namespace

bool Holders::IsAnnounced(const Holding& h) const {
  using Phase = Holding::Phase;
  if (h.phase == Phase::kUnheld || h.phase == Phase::kVerifying || h.phase == Phase::kAnnouncing) return false;
  const Agent* holder = agents_.Find(h.holder);
  return holder != nullptr && (holder->connected() || holder->control_lost);
}

// What a holder told of others is void with it.
void Holders::SetRival(Holding& h, std::optional<MacAddr> mac) {
  h.rival = mac;
  claims_.erase(h.address);
}

std::string Holders::ClaimsText(const Holding& h) const {
  if (!h.rival) return "";
  const auto claims = claims_.find(h.address);
  if (claims == claims_.end()) return h.rival->ToString();
  return absl::StrJoin(claims->second, ", ", [](std::string* out, const sync::Conflict& c) {
    absl::StrAppend(out, c.mac.ToString(), " on interface ", c.interface);
  });
}

// Its holder is heard: whatever kept it from being held is over.
void Holders::ForgetTrouble(Holding& h) {
  if (h.message.empty() || h.message == kStays) return;
  h.message.clear();
  observer_.on_changed(h.address);
}

// A drained node keeps what no other can hold.
void Holders::TellWhetherItStays(Holding& h) {
  const bool stays = agents_.Drained(h.holder);
  if (stays == (h.message == kStays)) return;
  h.message = stays ? kStays : "";
  observer_.on_changed(h.address);
  if (!stays) return;
  for (const plan::Claim& claim : ctx_.ledger.OwnersOf(h.address)) {
    ctx_.ServiceEvent(claim.service, true, "SetBalancer",
                      absl::StrCat("address ", h.address.ToString(), " stays with ", h.holder,
                                   ", which is drained: no other node can hold it"));
  }
}

// Once for each Eip as it is: routed ranges are in no subnet on purpose, and it may as well be a typing error.
void Holders::TellWhenOutside(const Holding& h) {
  const model::Pool* pool = ctx_.ledger.PoolOf(h.address);
  const Agent* holder = agents_.Find(h.holder);
  if (pool == nullptr || holder == nullptr) return;
  const std::string as_it_is = absl::StrJoin({pool->name, pool->interface, pool->address_text}, "\n");
  if (told_outside_.count(as_it_is) != 0) return;
  const auto rule = sync::InterfaceRule::Parse(pool->interface);
  if (!rule.ok()) return;
  const auto interface = rule->Choose(h.address, holder->hello.interfaces);
  if (!interface.ok()) return;
  std::vector<std::string> subnets;
  for (const Cidr& prefix : (*interface)->prefixes) {
    if (prefix.Contains(h.address)) return;
    const bool same_kind = prefix.address().family() == h.address.family() && !prefix.address().is_link_local();
    if (same_kind) subnets.push_back(prefix.ToString());
  }
  told_outside_.insert(as_it_is);
  ctx_.PoolEvent(
      pool->name, true, "OutsideSubnet",
      absl::StrCat("address ", h.address.ToString(), " is in no subnet of interface ", (*interface)->name, " of ",
                   h.holder, " (", subnets.empty() ? std::string("it has none") : absl::StrJoin(subnets, ", "),
                   "): it is announced there all the same; clients reach it only if their router has a route for it"));
}

std::string RefusalsText(const Holding& h) {
  std::vector<std::string> why;
  for (const plan::Refusal& r : h.refusals) {
    if (why.size() == kRefusalsTold) {
      why.push_back(absl::StrCat("and ", h.refusals.size() - kRefusalsTold, " others"));
      break;
    }
    why.push_back(absl::StrCat(r.node, ": ", r.why));
  }
  return absl::StrJoin(why, "; ");
}

// Once until somebody holds it again. That there is no agent at all is no Service's trouble alone.
void Holders::TellUnheld(Holding& h) {
  if (h.refusals.empty() || std::exchange(h.told_unheld, true)) return;
  for (const plan::Claim& claim : ctx_.ledger.OwnersOf(h.address)) {
    ctx_.ServiceEvent(claim.service, true, "SetBalancer",
                      absl::StrCat("no available nodes for service ip ", h.address.ToString(), ": ", RefusalsText(h)));
  }
}

}  // namespace berth::core
