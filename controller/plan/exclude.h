// SPDX-License-Identifier: Apache-2.0
// controller/plan/exclude.h -- the addresses that must never be given out, from what the agents report of their links.
#ifndef BERTH_CONTROLLER_PLAN_EXCLUDE_H_
#define BERTH_CONTROLLER_PLAN_EXCLUDE_H_

#include <map>
#include <string>

#include "common/net/ip_range.h"
#include "controller/plan/place.h"

namespace berth::plan {

// Every node's own addresses and gateways; of each connected IPv4 subnet up to /30 the network and broadcast address
// (a /31 has none, RFC 3021); of each IPv6 subnet shorter than /127 the subnet-router anycast address (RFC
// 4291, 2.6.1). Nodes out of contact count with what they reported last.
IpRangeSet ExcludedAddresses(const std::map<std::string, NodeView>& nodes);

}  // namespace berth::plan

#endif  // BERTH_CONTROLLER_PLAN_EXCLUDE_H_
