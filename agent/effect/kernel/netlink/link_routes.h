// SPDX-License-Identifier: Apache-2.0
// agent/effect/kernel/netlink/link_routes.h -- by which link the node reaches what, of one dump of its routes. Pure.
#ifndef BERTH_AGENT_EFFECT_KERNEL_NETLINK_LINK_ROUTES_H_
#define BERTH_AGENT_EFFECT_KERNEL_NETLINK_LINK_ROUTES_H_

#include <cstdint>
#include <map>
#include <set>
#include <vector>

#include "agent/effect/kernel/netlink/netlink_messages.h"

namespace berth::agent {

class LinkRoutes {
 public:
  void Add(const GatewayRoute& route);
  void Merge(const LinkRoutes& other);  // of another family
  void Forget(int ifindex);             // the link is gone
  // Sorted.
  std::vector<IpAddr> GatewaysOf(int ifindex) const;
  // Of the main table, where no other link has the same with a lower metric. Sorted.
  std::vector<Cidr> DestinationsOf(int ifindex) const;
  friend bool operator==(const LinkRoutes&, const LinkRoutes&) = default;

 private:
  struct Best {
    std::uint32_t metric = 0;
    std::set<int> links;
    friend bool operator==(const Best&, const Best&) = default;
  };
  std::map<int, std::set<IpAddr>> gateways_;
  std::map<Cidr, Best> best_;
};

}  // namespace berth::agent

#endif  // BERTH_AGENT_EFFECT_KERNEL_NETLINK_LINK_ROUTES_H_
