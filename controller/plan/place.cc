// SPDX-License-Identifier: Apache-2.0
#include "controller/plan/place.h"

#include <algorithm>
#include <tuple>
#include <utility>

#include <xxhash.h>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "common/base/status_macros.h"

namespace berth::plan {
namespace {

// CanHold without the question whether the node is leaving.
absl::Status CanServe(const AddressView& address, const NodeView& node, const Rules& rules) {
  const auto no = [](const std::string& why) { return absl::FailedPreconditionError(why); };
  if (!node.connected)
    return no("its agent is not connected; check that berth-agent runs there and reaches the controller");
  const absl::StatusOr<const sync::InterfaceInfo*> interface = ResolveInterface(address.interface, node);
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

bool CanKeepWhileLeaving(const AddressView& address, const NodeView& node, const Rules& rules) {
  return node.leaving && CanServe(address, node, rules).ok();
}

// The nodes of a ranking among which a new holder is sought: the preferred ones, or all where there are none.
std::vector<std::string> Tier(const Ranking& ranking, const std::map<std::string, NodeView>& nodes) {
  std::vector<std::string> tier;
  std::copy_if(ranking.nodes.begin(), ranking.nodes.end(), std::back_inserter(tier),
               [&nodes](const std::string& name) { return nodes.at(name).preferred; });
  return tier.empty() ? ranking.nodes : tier;
}

// The first of the tier that stays within ceil(1.25 x mean); where all are beyond it, the least loaded. `unplaced` is
// how many addresses, this one included, are not in `load` yet.
const std::string& Choose(const std::vector<std::string>& tier, std::size_t unplaced,
                          std::map<std::string, std::size_t>& load) {
  std::size_t total = unplaced;
  for (const std::string& name : tier) total += load[name];
  const std::size_t bound = (5 * total + 4 * tier.size() - 1) / (4 * tier.size());
  const auto within =
      std::find_if(tier.begin(), tier.end(), [&](const std::string& name) { return load[name] < bound; });
  if (within != tier.end()) return *within;
  return *std::min_element(tier.begin(), tier.end(),
                           [&load](const std::string& a, const std::string& b) { return load[a] < load[b]; });
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

absl::StatusOr<const sync::InterfaceInfo*> ResolveInterface(const std::string& rule, const NodeView& node) {
  for (const sync::InterfaceInfo& interface : node.interfaces) {
    if (interface.name == rule) return &interface;
  }
  const std::string has =
      absl::StrJoin(node.interfaces, ", ", [](std::string* out, const sync::InterfaceInfo& i) { out->append(i.name); });
  return absl::NotFoundError(
      absl::StrCat("node ", node.name, " has no interface ", rule.empty() ? "\"\"" : rule,
                   has.empty() ? std::string(" (it has none)") : absl::StrCat(" (it has ", has, ")")));
}

absl::Status CanHold(const AddressView& address, const NodeView& node, const Rules& rules) {
  RETURN_IF_ERROR(CanServe(address, node, rules));
  if (node.leaving)
    return absl::FailedPreconditionError("the node is leaving: it is drained, or its agent is stopping");
  return absl::OkStatus();
}

std::uint64_t Weight(const std::string& node, const IpAddr& address) {
  // The zero byte keeps the two parts apart; node names have none.
  const std::string key = absl::StrCat(node, absl::string_view("\0", 1), address.ToBytes());
  return XXH3_64bits(key.data(), key.size());
}

Ranking Rank(const AddressView& address, const std::map<std::string, NodeView>& nodes, const Rules& rules) {
  Ranking ranking;
  struct Ranked {
    bool preferred;
    std::uint64_t weight;
    const std::string* name;
  };
  std::vector<Ranked> able;
  for (const auto& [name, node] : nodes) {
    const absl::Status status = CanHold(address, node, rules);
    if (status.ok()) {
      able.push_back({node.preferred, Weight(name, address.address), &name});
    } else {
      ranking.refusals.push_back({name, std::string(status.message())});
    }
  }
  std::sort(able.begin(), able.end(), [](const Ranked& a, const Ranked& b) {
    return std::tie(b.preferred, b.weight, *a.name) < std::tie(a.preferred, a.weight, *b.name);
  });
  ranking.nodes.reserve(able.size());
  for (const Ranked& ranked : able) ranking.nodes.push_back(*ranked.name);
  return ranking;
}

std::map<IpAddr, Placement> Place(const std::vector<AddressView>& addresses,
                                  const std::map<std::string, NodeView>& nodes, const Rules& rules,
                                  std::map<std::string, std::size_t>& load, bool may_leave_unpreferred) {
  std::map<IpAddr, Placement> placements;
  std::map<IpAddr, Ranking> homeless;
  for (const AddressView& address : addresses) {
    Ranking ranking = Rank(address, nodes, rules);
    Placement& placement = placements[address.address];
    placement.refusals = ranking.refusals;
    placement.candidates = ranking.nodes;
    if (KeepsHolder(address, ranking, nodes, rules, may_leave_unpreferred)) {
      placement.holder = address.holder;
      ++load[*address.holder];
    } else if (!ranking.nodes.empty()) {
      homeless.emplace(address.address, std::move(ranking));
    }
  }
  std::size_t unplaced = homeless.size();
  for (const auto& [address, ranking] : homeless) {
    Placement& placement = placements[address];
    placement.holder = Choose(Tier(ranking, nodes), unplaced, load);
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
