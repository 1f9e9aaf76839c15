// SPDX-License-Identifier: Apache-2.0
// agent/effect/kernel/netlink/link_table.h -- links and their addresses, kept up to date message by message. Pure.
//
// Messages may be older than a dump that was applied before them: each names its object in full, so once the last one
// is applied the table is right whatever came between.
#ifndef BERTH_AGENT_EFFECT_KERNEL_NETLINK_LINK_TABLE_H_
#define BERTH_AGENT_EFFECT_KERNEL_NETLINK_LINK_TABLE_H_

#include <map>
#include <optional>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "absl/container/btree_set.h"
#include "agent/effect/kernel/kernel.h"
#include "agent/effect/kernel/netlink/link_routes.h"
#include "agent/effect/kernel/netlink/netlink_messages.h"

namespace berth::agent {

class LinkTable {
 public:
  enum class Change {
    kNone,
    kState,           // what Snapshot returns differs now
    kStateAndRoutes,  // and routes may have changed along, of which the kernel does not always tell
    kRoutes,          // a gatewayed route came or went
  };
  // Any route netlink message; others than links, addresses and routes are ignored.
  Change Apply(const nlmsghdr& message);
  Change Apply(const AddressMessage& message);

  void ClearLinks() { links_.clear(); }
  void ClearAddresses();
  void ClearLocalRoutes() { local_routes_.clear(); }
  // The routes of a whole dump, put in place of the former ones. True when they differ.
  bool ReplaceRoutes(LinkRoutes routes) { return std::exchange(routes_, std::move(routes)) != routes_; }

  KernelState Snapshot() const;

  struct NamedLink {
    int index = 0;
    std::string kind;
  };
  std::optional<NamedLink> FindLink(const std::string& name) const;
  // What interface `ifindex` has of `address`, with any prefix length.
  std::vector<LinkAddress> AddressesEqualTo(int ifindex, const IpAddr& address) const;
  // Whether the kernel takes in what comes for that IPv6 address.
  bool Delivers(const IpAddr& address) const;
  // The IPv6 addresses for which it has begun to since the last call.
  std::vector<IpAddr> TakeDelivered() { return std::exchange(delivered_, {}); }
  // Every marked address, with its interface.
  std::vector<std::pair<int, Cidr>> MarkedAddresses() const;

 private:
  struct Entry {
    Link link;
    std::string kind;
  };
  struct Traits {  // as in LinkAddress
    bool ours = false, tentative = false;
    friend bool operator==(const Traits&, const Traits&) = default;
  };
  Change ApplyLink(LinkMessage message);
  Change Apply(const LocalRoute& route);
  LinkAddress Whole(const Cidr& cidr, const Traits& traits) const;

  std::map<int, Entry> links_;
  // Apart from links_: an address message may overtake its link's after a resync. Ordered by cidr, then peer.
  std::map<int, std::map<std::pair<Cidr, IpAddr>, Traits>> addresses_;
  LinkRoutes routes_;
  absl::btree_set<std::pair<IpAddr, int>> local_routes_;  // of IPv6 addresses, with the interface
  std::vector<IpAddr> delivered_;                         // not taken yet
};

}  // namespace berth::agent

#endif  // BERTH_AGENT_EFFECT_KERNEL_NETLINK_LINK_TABLE_H_
