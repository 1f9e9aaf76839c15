// SPDX-License-Identifier: Apache-2.0
#include "agent/effect/kernel/netlink/link_table.h"

#include <linux/rtnetlink.h>

namespace berth::agent {

LinkTable::Change LinkTable::Apply(const nlmsghdr& message) {
  switch (message.nlmsg_type) {
    case RTM_NEWLINK:
    case RTM_DELLINK:
      if (std::optional<LinkMessage> link = DecodeLink(message)) return ApplyLink(*std::move(link));
      return Change::kNone;
    case RTM_NEWADDR:
    case RTM_DELADDR:
      if (const std::optional<AddressMessage> address = DecodeAddress(message)) return Apply(*address);
      return Change::kNone;
    case RTM_NEWROUTE:
    case RTM_DELROUTE:
      if (const std::optional<LocalRoute> local = DecodeLocalRoute(message)) return Apply(*local);
      return DecodeRoute(message).hops.empty() ? Change::kNone : Change::kRoutes;
    default:
      return Change::kNone;
  }
}

LinkTable::Change LinkTable::ApplyLink(LinkMessage message) {
  const int index = message.link.index;
  if (message.gone) {
    addresses_.erase(index);
    routes_.Forget(index);
    absl::erase_if(local_routes_, [&](const auto& route) { return route.second == index; });
    return links_.erase(index) == 0 ? Change::kNone : Change::kStateAndRoutes;
  }
  Entry& entry = links_[index];
  const bool routes_may_change = entry.link.up != message.link.up || entry.link.carrier != message.link.carrier;
  const bool same = entry.link == message.link;
  entry.link = std::move(message.link);
  entry.kind = std::move(message.kind);
  if (same) return Change::kNone;
  // The kernel drops IPv4 routes of a link that goes down without a word.
  return routes_may_change ? Change::kStateAndRoutes : Change::kState;
}

LinkTable::Change LinkTable::Apply(const AddressMessage& message) {
  auto& addresses = addresses_[message.ifindex];
  const std::pair<Cidr, IpAddr> key(message.address.cidr, message.peer);
  if (message.gone) {
    // Its route went along; a kernel may be set up to say nothing of those that go with a link.
    local_routes_.erase({message.address.cidr.address(), message.ifindex});
    if (addresses.erase(key) == 0) return Change::kNone;
    // Routes that prefer this source go along, again without a word. Nobody makes such routes for a marked address.
    return message.address.ours ? Change::kState : Change::kStateAndRoutes;
  }
  const Traits traits{.ours = message.address.ours, .tentative = message.address.tentative};
  const auto [it, added] = addresses.emplace(key, traits);
  if (!added && it->second == traits) return Change::kNone;
  it->second = traits;
  return Change::kState;
}

LinkTable::Change LinkTable::Apply(const LocalRoute& route) {
  const std::pair<IpAddr, int> key(route.address, route.ifindex);
  if (route.gone) return local_routes_.erase(key) == 0 ? Change::kNone : Change::kState;
  if (!local_routes_.insert(key).second) return Change::kNone;
  delivered_.push_back(route.address);
  return Change::kState;
}

bool LinkTable::Delivers(const IpAddr& address) const {
  const auto route = local_routes_.lower_bound({address, 0});
  return route != local_routes_.end() && route->first == address;
}

LinkAddress LinkTable::Whole(const Cidr& cidr, const Traits& traits) const {
  const IpAddr address = cidr.address();
  return {.cidr = cidr,
          .ours = traits.ours,
          .tentative = traits.tentative,
          .delivered = address.is_v4() || Delivers(address)};
}

void LinkTable::ClearAddresses() { addresses_.clear(); }

KernelState LinkTable::Snapshot() const {
  KernelState state;
  state.links.reserve(links_.size());
  for (const auto& [index, entry] : links_) {
    Link& link = state.links.emplace_back(entry.link);
    if (const auto it = addresses_.find(index); it != addresses_.end()) {
      link.addresses.reserve(it->second.size());
      for (const auto& [key, traits] : it->second) {
        if (!link.addresses.empty() && link.addresses.back().cidr == key.first) {
          link.addresses.back().ours |= traits.ours;  // same address towards another peer
        } else {
          link.addresses.push_back(Whole(key.first, traits));
        }
      }
    }
    link.gateways = routes_.GatewaysOf(index);
    link.routes = routes_.DestinationsOf(index);
  }
  return state;
}

std::optional<LinkTable::NamedLink> LinkTable::FindLink(const std::string& name) const {
  for (const auto& [index, entry] : links_) {
    if (entry.link.name == name) return NamedLink{.index = index, .kind = entry.kind};
  }
  return std::nullopt;
}

std::vector<LinkAddress> LinkTable::AddressesEqualTo(int ifindex, const IpAddr& address) const {
  std::vector<LinkAddress> found;
  const auto link = addresses_.find(ifindex);
  if (link == addresses_.end()) return found;
  const absl::StatusOr<Cidr> shortest = Cidr::Make(address, 0);
  if (!shortest.ok()) return found;
  for (auto it = link->second.lower_bound({*shortest, IpAddr()}); it != link->second.end(); ++it) {
    if (it->first.first.address() != address) break;
    found.push_back(Whole(it->first.first, it->second));
  }
  return found;
}

std::vector<std::pair<int, Cidr>> LinkTable::MarkedAddresses() const {
  std::vector<std::pair<int, Cidr>> marked;
  for (const auto& [index, addresses] : addresses_) {
    for (const auto& [key, traits] : addresses) {
      if (traits.ours) marked.emplace_back(index, key.first);
    }
  }
  return marked;
}

}  // namespace berth::agent
