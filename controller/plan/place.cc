// SPDX-License-Identifier: Apache-2.0
#include "controller/plan/place.h"

#include <algorithm>
#include <utility>

#include <xxhash.h>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "common/base/status_macros.h"

namespace berth::plan {
namespace {

// CanHold without the question whether the node is leaving or drained.
absl::Status CanServe(const AddressView& address, const absl::StatusOr<sync::InterfaceRule>& rule, const NodeView& node,
                      const Rules& rules) {
  const auto no = [](const std::string& why) { return absl::FailedPreconditionError(why); };
  if (!node.connected)
    return no("its agent is not connected; check that berth-agent runs there and reaches the controller");
  if (node.layer2_off) return no(sync::kLayer2Off);
  if (!rule.ok()) return no(absl::StrCat("spec.interface of its Eip: ", rule.status().message()));
  const absl::StatusOr<const sync::InterfaceInfo*> interface = ResolveInterface(*rule, address.address, node);
  if (!interface.ok()) return no(std::string(interface.status().message()));
  if (!(*interface)->up) return no(absl::StrCat("interface ", (*interface)->name, " is down or has no carrier"));
  if (node.node.network_unavailable) return no("condition NetworkUnavailable of the Node is True");
  if (!rules.ignore_exclude_label && node.node.labels.count(model::kExcludeNodeLabel) != 0) {
    return no(absl::StrCat("the Node has label ", model::kExcludeNodeLabel,
                           "; remove it, or run the controller with --ignore-exclude-label"));
  }
  if (address.node_selector && !address.node_selector->Matches(node.node.labels)) {
    return no("the Node's labels do not match spec.nodeSelector of the Eip");
  }
  if (address.endpoint_nodes && address.endpoint_nodes->count(node.name) == 0) {
    return no("no ready endpoint here of each Service with externalTrafficPolicy Local on this address");
  }
  return absl::OkStatus();
}

absl::Status CanHold(const AddressView& address, const absl::StatusOr<sync::InterfaceRule>& rule, const NodeView& node,
                     const Rules& rules) {
  RETURN_IF_ERROR(CanServe(address, rule, node, rules));
  if (node.leaving) return absl::FailedPreconditionError("its agent is ending and hands its addresses over");
  if (node.drained) {
    return absl::FailedPreconditionError(
        absl::StrCat("the node is drained; berthctl undrain ", node.name, " lets it hold addresses again"));
  }
  return absl::OkStatus();
}

bool CanKeepWhileLeaving(const AddressView& address, const NodeView& node, const Rules& rules) {
  return (node.leaving || node.drained) &&
         CanServe(address, sync::InterfaceRule::Parse(address.interface), node, rules).ok();
}

// Which nodes can hold an address: a matter of its Eip and Services, not of the address itself.
struct Eligible {
  std::vector<const std::pair<const std::string, NodeView>*> able;  // entries of the map of nodes
  std::vector<Refusal> refusals;
};

Eligible FindEligible(const AddressView& address, const std::map<std::string, NodeView>& nodes, const Rules& rules) {
  Eligible eligible;
  const auto rule = sync::InterfaceRule::Parse(address.interface);
  for (const auto& entry : nodes) {
    const absl::Status status = CanHold(address, rule, entry.second, rules);
    if (status.ok()) {
      eligible.able.push_back(&entry);
    } else {
      eligible.refusals.push_back({entry.first, std::string(status.message())});
    }
  }
  return eligible;
}

Ranking RankAmong(const IpAddr& address, const Eligible& eligible) {
  std::vector<std::pair<std::uint64_t, const std::pair<const std::string, NodeView>*>> ranked;
  ranked.reserve(eligible.able.size());
  for (const auto* entry : eligible.able) ranked.emplace_back(Weight(entry->first, address), entry);
  std::sort(ranked.begin(), ranked.end(), [](const auto& a, const auto& b) {
    const int tier_a = Tier(a.second->second), tier_b = Tier(b.second->second);
    if (tier_a != tier_b) return tier_a < tier_b;
    if (a.first != b.first) return a.first > b.first;
    return a.second->first < b.second->first;
  });
  Ranking ranking{.nodes = {}, .refusals = eligible.refusals};
  ranking.nodes.reserve(ranked.size());
  for (const auto& [weight, entry] : ranked) ranking.nodes.push_back(entry->first);
  return ranking;
}

// How many of the first nodes of a ranking a new holder is sought among: those of the best tier that there is.
std::size_t TierSize(const std::vector<std::string>& ranked, const std::map<std::string, NodeView>& nodes) {
  const int best = Tier(nodes.at(ranked.front()));
  return static_cast<std::size_t>(std::count_if(ranked.begin(), ranked.end(),
                                                [&](const std::string& name) { return Tier(nodes.at(name)) == best; }));
}

// The first of the best `tier` nodes that stays within ceil(1.25 x mean); where all are beyond it, the least loaded.
// `unplaced` is how many addresses, this one included, are not in `load` yet.
const std::string& Choose(const std::vector<std::string>& ranked, std::size_t tier, std::size_t unplaced,
                          std::map<std::string, std::size_t>& load) {
  std::size_t total = unplaced;
  for (std::size_t i = 0; i < tier; ++i) total += load[ranked[i]];
  const std::size_t bound = (5 * total + 4 * tier - 1) / (4 * tier);
  std::size_t least = 0;
  for (std::size_t i = 0; i < tier; ++i) {
    if (load[ranked[i]] < bound) return ranked[i];
    if (load[ranked[i]] < load[ranked[least]]) least = i;
  }
  return ranked[least];
}

// Whether the present holder stays. One that is leaving stays only where nobody else can hold the address, one that is
// not preferred only where no preferred node can or it may not leave yet.
bool KeepsHolder(const AddressView& address, const Ranking& ranking, const std::map<std::string, NodeView>& nodes,
                 const Rules& rules, bool may_leave_unpreferred) {
  if (!address.holder) return false;
  const auto holder = nodes.find(*address.holder);
  if (holder == nodes.end()) return false;
  if (std::count(ranking.nodes.begin(), ranking.nodes.end(), holder->first) == 0) {
    return ranking.nodes.empty() && CanKeepWhileLeaving(address, holder->second, rules);
  }
  // Preferred nodes rank first, so the first tells whether there is one.
  return holder->second.preferred || !may_leave_unpreferred || !nodes.at(ranking.nodes.front()).preferred;
}

}  // namespace

absl::StatusOr<const sync::InterfaceInfo*> ResolveInterface(const sync::InterfaceRule& rule, const IpAddr& address,
                                                            const NodeView& node) {
  absl::StatusOr<const sync::InterfaceInfo*> chosen = rule.Choose(address, node.interfaces);
  if (chosen.ok()) return chosen;
  return absl::NotFoundError(absl::StrCat("node ", node.name, " has ", chosen.status().message()));
}

absl::StatusOr<const sync::InterfaceInfo*> ResolveInterface(const std::string& rule, const IpAddr& address,
                                                            const NodeView& node) {
  ASSIGN_OR_RETURN(const sync::InterfaceRule parsed, sync::InterfaceRule::Parse(rule));
  return ResolveInterface(parsed, address, node);
}

absl::Status CanHold(const AddressView& address, const NodeView& node, const Rules& rules) {
  return CanHold(address, sync::InterfaceRule::Parse(address.interface), node, rules);
}

bool CanSpeakFor(const AddressView& address, const NodeView& node) {
  if (!node.connected) return false;
  const absl::StatusOr<const sync::InterfaceInfo*> interface =
      ResolveInterface(address.interface, address.address, node);
  return interface.ok() && (*interface)->up;
}

bool SameNodes(const AddressView& a, const AddressView& b) {
  if (a.interface != b.interface || a.node_selector != b.node_selector || a.endpoint_nodes != b.endpoint_nodes) {
    return false;
  }
  // Other rules may mean another interface for each address.
  return a.address == b.address || (a.interface != "auto" && a.interface.find_first_of(":,") == std::string::npos);
}

int Tier(const NodeView& node) { return !node.preferred ? 2 : node.unsteady ? 1 : 0; }

std::uint64_t Weight(const std::string& node, const IpAddr& address) {
  // The zero byte keeps the two parts apart; node names have none.
  std::string key = node;
  key.push_back('\0');
  key += address.ToBytes();
  return XXH3_64bits(key.data(), key.size());
}

Ranking Rank(const AddressView& address, const std::map<std::string, NodeView>& nodes, const Rules& rules) {
  return RankAmong(address.address, FindEligible(address, nodes, rules));
}

std::map<IpAddr, Placement> Place(const std::vector<AddressView>& addresses,
                                  const std::map<std::string, NodeView>& nodes, const Rules& rules,
                                  std::map<std::string, std::size_t>& load, bool may_leave_unpreferred) {
  std::map<IpAddr, Placement> placements;
  std::set<IpAddr> homeless;
  const AddressView* former = nullptr;
  Eligible eligible;
  for (const AddressView& address : addresses) {
    // Addresses of one Eip come in a row and mostly have the same nodes.
    if (former == nullptr || !SameNodes(*former, address)) eligible = FindEligible(address, nodes, rules);
    former = &address;
    Ranking ranking = RankAmong(address.address, eligible);
    Placement& placement = placements[address.address];
    if (!address.ordered.empty() && std::count(ranking.nodes.begin(), ranking.nodes.end(), address.ordered) != 0) {
      placement.holder = address.ordered;
      ++load[address.ordered];
    } else if (KeepsHolder(address, ranking, nodes, rules, may_leave_unpreferred)) {
      placement.holder = address.holder;
      ++load[*address.holder];
    } else if (!ranking.nodes.empty()) {
      homeless.insert(address.address);
    }
    placement.refusals = std::move(ranking.refusals);
    placement.candidates = std::move(ranking.nodes);
  }
  std::size_t unplaced = homeless.size();
  for (const IpAddr& address : homeless) {
    Placement& placement = placements[address];
    placement.holder = Choose(placement.candidates, TierSize(placement.candidates, nodes), unplaced, load);
    ++load[*placement.holder];
    --unplaced;
  }
  for (auto& [address, placement] : placements) {
    if (!placement.holder) continue;
    auto& candidates = placement.candidates;
    candidates.erase(std::remove(candidates.begin(), candidates.end(), *placement.holder), candidates.end());
    candidates.insert(candidates.begin(), *placement.holder);
  }
  return placements;
}

}  // namespace berth::plan
