// SPDX-License-Identifier: Apache-2.0
// The part of Holders that puts an address into words for agents: the holder's assignment, and those of the candidates
// that stand by to follow it while no leader is heard (docs/candidates-chain.md).
#include <algorithm>
#include <utility>

#include "common/base/host_port.h"
#include "controller/core/holders.h"

namespace berth::core {
namespace {

constexpr std::size_t kStandbys = 2;  // of each address
// Standbys are told after holders and some at a time: a failover has no time to wait for them.
constexpr absl::Duration kStandbySlice = absl::Milliseconds(20);
constexpr std::size_t kStandbysInSlice = 500;

}  // namespace

// Where other agents probe this one about an address of that interface rule.
std::string Holders::ProbeEndpoint(const Agent& agent, const absl::StatusOr<sync::InterfaceRule>& rule,
                                   const IpAddr& address) const {
  if (agent.hello.probe_endpoint.empty()) return "";
  absl::StatusOr<HostPort> listen = ParseListenAddress(agent.hello.probe_endpoint);
  if (!listen.ok() || listen->port == 0) return "";
  if (!listen->host.empty()) return listen->ToString();
  const auto view = NodeViews().find(agent.node);
  if (view == NodeViews().end() || !rule.ok()) return "";
  const absl::StatusOr<const sync::InterfaceInfo*> found = plan::ResolveInterface(*rule, address, view->second);
  if (!found.ok()) return "";
  const auto& prefixes = (*found)->prefixes;
  auto own = std::find_if(prefixes.begin(), prefixes.end(), [](const Cidr& p) { return p.address().is_v4(); });
  if (own == prefixes.end()) {
    own = std::find_if(prefixes.begin(), prefixes.end(), [](const Cidr& p) { return !p.address().is_link_local(); });
  }
  // Agents ask from a socket of that very interface, so a link-local address will do where there is no other.
  if (own == prefixes.end()) own = prefixes.begin();
  if (own == prefixes.end()) return "";
  listen->host = own->address().ToString();
  return listen->ToString();
}

sync::Assignment Holders::MakeAssignment(const Holding& h, sync::Role role) const {
  sync::Assignment a;
  a.address = h.address;
  a.interface = ViewOf(h).interface;
  a.role = role;
  const auto rule = sync::InterfaceRule::Parse(a.interface);
  std::vector<sync::Candidate> candidates;
  const auto list = [&](const std::string& node) {
    const Agent* agent = agents_.Find(node);
    if (agent != nullptr) candidates.push_back({node, agent->Macs(), ProbeEndpoint(*agent, rule, a.address)});
  };
  // Whoever watches the candidates takes the first one for the holder.
  const bool settled = !h.holder.empty() && h.next.empty();
  if (settled) list(h.holder);
  for (const std::string& node : h.candidates) {
    if (!settled || node != h.holder) list(node);
  }
  a.candidates = lists_.Share(std::move(candidates));
  for (const plan::Claim& claim : ctx_.ledger.OwnersOf(h.address)) {
    sync::ServiceRef ref{claim.service.ns, claim.service.name, {}};
    for (const model::ServicePort& p : claim.ports) ref.ports.push_back({p.protocol, p.port});
    a.services.push_back(std::move(ref));
  }
  return a;
}

bool Holders::StandsBy(const std::string& node, const IpAddr& address) const {
  const sync::Assignment* role = agents_.RoleOf(node, address);
  return role != nullptr && role->role == sync::Role::kStandby;
}

// Candidates that are none any more need not watch. One out of contact watches on, whatever it is told now.
void Holders::DismissStandbys(const Holding& h, const std::vector<std::string>& except) {
  for (const std::string& node : h.candidates) {
    if (std::find(except.begin(), except.end(), node) != except.end() || !StandsBy(node, h.address)) continue;
    if (agents_.Find(node)->connected()) agents_.Drop(node, h.address);
  }
}

void Holders::WantStandbys(const Holding& h) {
  // An agent that is about to be told everything is told this with it.
  const bool now = std::any_of(h.candidates.begin(), h.candidates.end(), [&](const std::string& node) {
    const Agent* agent = agents_.Find(node);
    return agent != nullptr && agent->connected() && agent->fresh;
  });
  if (now) return TellStandbys(h);
  standby_due_.insert(h.address);
  if (standby_timer_ == 0) standby_timer_ = ctx_.After(kStandbySlice, [this] { TellDueStandbys(); });
}

void Holders::TellDueStandbys() {
  standby_timer_ = 0;
  for (std::size_t n = 0; n < kStandbysInSlice && !standby_due_.empty(); ++n) {
    const auto it = holdings_.find(*standby_due_.begin());
    standby_due_.erase(standby_due_.begin());
    if (it != holdings_.end()) TellStandbys(it->second);
  }
  if (!standby_due_.empty()) standby_timer_ = ctx_.After(kStandbySlice, [this] { TellDueStandbys(); });
}

void Holders::TellStandbys(const Holding& h) {
  // A move under way ends with another round of this.
  if (!ctx_.active || h.phase != Holding::Phase::kHeld || h.withdrawing) return;
  std::size_t told = 0;
  for (const std::string& node : h.candidates) {
    const Agent* agent = agents_.Find(node);
    if (node == h.holder || agent == nullptr || !agent->connected()) continue;
    const sync::Assignment* role = agents_.RoleOf(node, h.address);
    if (role != nullptr && role->role != sync::Role::kStandby) continue;  // it still forwards, and is asked again later
    // An agent of a version that has no such role has no such endpoint either.
    if (agent->leaving || agent->hello.probe_endpoint.empty() || told == kStandbys) {
      if (role != nullptr) agents_.Drop(node, h.address);
      continue;
    }
    ++told;
    agents_.SetRole(node, MakeAssignment(h, sync::Role::kStandby));
  }
}

}  // namespace berth::core
