// SPDX-License-Identifier: Apache-2.0
#include "agent/effect/kernel/netlink/link_routes.h"

namespace berth::agent {

void LinkRoutes::Add(const GatewayRoute& route) {
  for (const auto& [index, gateway] : route.hops) gateways_[index].insert(gateway);
  if (!route.main_table || route.hops.empty()) return;
  const auto [it, first] = best_.try_emplace(route.destination, Best{route.metric, {}});
  if (route.metric > it->second.metric) return;
  if (route.metric < it->second.metric) it->second = {route.metric, {}};
  for (const auto& [index, gateway] : route.hops) it->second.links.insert(index);
}

void LinkRoutes::Merge(const LinkRoutes& other) {
  for (const auto& [index, gateways] : other.gateways_) gateways_[index].insert(gateways.begin(), gateways.end());
  best_.insert(other.best_.begin(), other.best_.end());
}

void LinkRoutes::Forget(int ifindex) {
  gateways_.erase(ifindex);
  for (auto it = best_.begin(); it != best_.end();) {
    it->second.links.erase(ifindex);
    it = it->second.links.empty() ? best_.erase(it) : std::next(it);
  }
}

std::vector<IpAddr> LinkRoutes::GatewaysOf(int ifindex) const {
  const auto it = gateways_.find(ifindex);
  return it == gateways_.end() ? std::vector<IpAddr>() : std::vector<IpAddr>(it->second.begin(), it->second.end());
}

std::vector<Cidr> LinkRoutes::DestinationsOf(int ifindex) const {
  std::vector<Cidr> destinations;
  for (const auto& [destination, best] : best_) {
    if (best.links.count(ifindex) != 0) destinations.push_back(destination);
  }
  return destinations;
}

}  // namespace berth::agent
