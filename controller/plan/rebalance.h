// SPDX-License-Identifier: Apache-2.0
// controller/plan/rebalance.h -- which addresses change their holder so that the load of the nodes is even. Pure.
//
// Even: of two nodes that can hold the same address, the one with more has at most max(1, mean / 4) more than the
// other, where the mean is taken over all nodes that can hold something. As few addresses move as that takes: one at a
// time from the most to the least loaded node, and of those that could go the one that rendezvous hashing likes best
// there (docs/placement.md).
#ifndef BERTH_CONTROLLER_PLAN_REBALANCE_H_
#define BERTH_CONTROLLER_PLAN_REBALANCE_H_

#include <map>
#include <string>
#include <vector>

#include "controller/plan/place.h"

namespace berth::plan {

struct Shift {
  IpAddr address;
  std::string from, to;
  friend bool operator==(const Shift&, const Shift&) = default;
};

// `addresses` are those that may move, each with its holder; `load` is how many addresses each node has, these
// included. An address goes only where Place would put it: to nodes that can hold it, and to preferred ones where there
// are some. One whose holder is not among these stays, since Place moves it anyway. In the order of addresses, each
// once.
std::vector<Shift> Rebalance(const std::vector<AddressView>& addresses, const std::map<std::string, NodeView>& nodes,
                             const Rules& rules, const std::map<std::string, std::size_t>& load);

}  // namespace berth::plan

#endif  // BERTH_CONTROLLER_PLAN_REBALANCE_H_
