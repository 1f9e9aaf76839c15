// SPDX-License-Identifier: Apache-2.0
// agent/diff/address_ops.h -- which addresses to add to and take off the node's interfaces. Pure.
#ifndef BERTH_AGENT_DIFF_ADDRESS_OPS_H_
#define BERTH_AGENT_DIFF_ADDRESS_OPS_H_

#include <set>
#include <vector>

#include "agent/diff/kernel_view.h"
#include "common/net/ip_addr.h"

namespace berth::agent {

// Marked addresses that no assignment names any more: all of them on an interface of our own; on one that others use
// too, only those whose last Service is gone (`released`), since kube-proxy needs the rest there. `assigned(address)`
// tells whether an assignment names it. Never an unmarked address.
template <typename Assigned>
std::vector<MarkedAddress> AddressesToRemove(const KernelView& view, const Assigned& assigned,
                                             const std::set<IpAddr>& released) {
  std::vector<MarkedAddress> remove;
  for (const MarkedAddress& m : view.marked) {
    if (assigned(m.address)) continue;
    if (m.own_interface || released.contains(m.address)) remove.push_back(m);
  }
  return remove;
}

}  // namespace berth::agent

#endif  // BERTH_AGENT_DIFF_ADDRESS_OPS_H_
