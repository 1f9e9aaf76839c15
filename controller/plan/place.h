// SPDX-License-Identifier: Apache-2.0
// controller/plan/place.h -- which node holds which layer 2 address, and in what order others would. Pure.
//
// Rendezvous hashing (XXH3 of node and address) orders the nodes that can hold an address; bounded load keeps each node
// at or below ceil(1.25 x mean) where that is avoidable; a holder stays while it can, so a node that comes back moves
// nothing (docs/placement.md).
#ifndef BERTH_CONTROLLER_PLAN_PLACE_H_
#define BERTH_CONTROLLER_PLAN_PLACE_H_

#include <map>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "common/sync/interface_rule.h"
#include "common/sync/messages.h"
#include "controller/model/objects.h"
#include "controller/plan/rules.h"

namespace berth::plan {

// What placement knows of a node.
struct NodeView {
  std::string name;
  bool connected = false;   // its agent is in contact with us
  bool leaving = false;     // its agent asked to hand over (SIGTERM)
  bool drained = false;     // by order, until it is undrained
  bool layer2_off = false;  // its agent answers for no address
  bool unsteady = false;  // its agent comes and goes: it gains only what no steady node can hold, and keeps what it has
  bool preferred = true;  // Ready, not cordoned: where only others are, the holder keeps it
  std::vector<sync::InterfaceInfo> interfaces;
  model::Node node;  // labels and conditions
};

// What placement knows of an address: the union over the Services on it.
struct AddressView {
  IpAddr address;
  std::string interface;                              // the pool's rule
  std::optional<model::LabelSelector> node_selector;  // of the pool
  // Set when a Service on it has policy Local: the nodes with a ready endpoint of every such Service.
  std::optional<std::set<std::string>> endpoint_nodes;
  std::optional<std::string> holder;  // who holds it now
  std::string ordered;                // who shall, by order of a person; empty: nobody said
};

struct Refusal {
  std::string node;
  std::string why;  // "interface eth0 has no carrier"
  friend bool operator==(const Refusal&, const Refusal&) = default;
};

// The interface (its InterfaceInfo) that `rule` means on a node for `address`, or why there is none.
// Errors: NotFound "node node2 has no interface eth9 (it has eth0, eth1)".
absl::StatusOr<const sync::InterfaceInfo*> ResolveInterface(const sync::InterfaceRule& rule, const IpAddr& address,
                                                            const NodeView& node);
// The same for a rule that has not been read yet; errors also those of InterfaceRule::Parse.
absl::StatusOr<const sync::InterfaceInfo*> ResolveInterface(const std::string& rule, const IpAddr& address,
                                                            const NodeView& node);

// Whether a node can hold an address; OK, or FailedPrecondition with the reason.
absl::Status CanHold(const AddressView& address, const NodeView& node, const Rules& rules);

// Whether the node could announce an address now, whether or not it should: in contact, its interface up.
bool CanSpeakFor(const AddressView& address, const NodeView& node);

// Whether the same nodes can hold both, as far as can be told without the nodes.
bool SameNodes(const AddressView& a, const AddressView& b);

// 0 for a node that is preferred and steady, 1 for one that is not steady, 2 for one that is not preferred. Of the
// nodes that can hold an address those of the lowest tier gain it.
int Tier(const NodeView& node);

struct Ranking {
  std::vector<std::string> nodes;  // that can hold it, best first: by tier, then by hash
  std::vector<Refusal> refusals;   // the others, by name
};
Ranking Rank(const AddressView& address, const std::map<std::string, NodeView>& nodes, const Rules& rules);

// The XXH3 weight of (node, address); public so that its stability across versions can be tested.
std::uint64_t Weight(const std::string& node, const IpAddr& address);

struct Placement {
  std::optional<std::string> holder;    // nullopt: nobody can
  std::vector<std::string> candidates;  // holder first, then the rest of the ranking
  std::vector<Refusal> refusals;
};

// Places many addresses at once, in address order; `load` is the number of addresses each node holds beyond those
// placed here (it is updated). An address goes where it was ordered to if that node can hold it. Else an address whose
// holder can keep it keeps it. A holder that is not preferred keeps its
// address too unless a preferred node can take it and `may_leave_unpreferred` is true (never more than half of the
// nodes at once: the caller decides that). Bound: no node is chosen over ceil(1.25 x total / nodes) while another can.
std::map<IpAddr, Placement> Place(const std::vector<AddressView>& addresses,
                                  const std::map<std::string, NodeView>& nodes, const Rules& rules,
                                  std::map<std::string, std::size_t>& load, bool may_leave_unpreferred = true);

}  // namespace berth::plan

#endif  // BERTH_CONTROLLER_PLAN_PLACE_H_
