// SPDX-License-Identifier: Apache-2.0
#include "controller/plan/exclude.h"

namespace berth::plan {
namespace {

constexpr int kLongestV4Subnet = 30;
constexpr int kLongestV6Subnet = 126;

void AddPrefix(const Cidr& prefix, IpRangeSet& excluded) {
  excluded.Add(prefix.address());
  if (prefix.address().is_v4() && prefix.length() <= kLongestV4Subnet) {
    excluded.Add(prefix.first());
    excluded.Add(prefix.last());
  }
  if (prefix.address().is_v6() && prefix.length() <= kLongestV6Subnet) excluded.Add(prefix.first());
}

}  // namespace

IpRangeSet ExcludedAddresses(const std::map<std::string, NodeView>& nodes) {
  IpRangeSet excluded;
  for (const auto& [name, node] : nodes) {
    for (const sync::InterfaceInfo& interface : node.interfaces) {
      for (const Cidr& prefix : interface.prefixes) AddPrefix(prefix, excluded);
      for (const IpAddr& gateway : interface.gateways) excluded.Add(gateway);
    }
  }
  return excluded;
}

}  // namespace berth::plan
