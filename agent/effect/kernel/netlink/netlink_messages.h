// SPDX-License-Identifier: Apache-2.0
// agent/effect/kernel/netlink/netlink_messages.h -- what rtnetlink messages say, as values. Pure: bytes in, values out.
//
// The attributes are read raw because libnl-route 3.7 does not know IFA_PROTO, the mark by which Berth tells its own
// addresses from others (Linux 5.18; on older kernels the mark of an IPv4 address is its label).
#ifndef BERTH_AGENT_EFFECT_KERNEL_NETLINK_NETLINK_MESSAGES_H_
#define BERTH_AGENT_EFFECT_KERNEL_NETLINK_NETLINK_MESSAGES_H_

#include <cstdint>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "agent/effect/kernel/kernel.h"

struct nlmsghdr;

namespace berth::agent {

inline constexpr std::uint8_t kAddressMark = 0xBE;       // IFA_PROTO of addresses that an agent added
inline constexpr char kAddressLabel[] = "berth";         // and their IFA_LABEL, IPv4 only
inline constexpr std::uint16_t kIfaProtoAttribute = 11;  // IFA_PROTO, absent from older headers

struct LinkMessage {
  bool gone = false;
  Link link;         // without addresses and gateways
  std::string kind;  // IFLA_INFO_KIND: "bridge", "dummy", ...; empty for physical ones
};

struct AddressMessage {
  bool gone = false;
  int ifindex = 0;
  LinkAddress address;
  IpAddr peer;  // part of the address's identity on point-to-point links; else equal to the address
};

// One route by way of a gateway, or of several.
struct GatewayRoute {
  std::vector<std::pair<int, IpAddr>> hops;  // interface index, gateway; empty: it is none
  Cidr destination;
  std::uint32_t metric = 0;  // smaller is better
  bool main_table = false;
};

// By which the kernel takes in what comes for an IPv6 address of its own: a route of the type "local", in whatever
// table. It adds one for each address, after it has told of the address. (IPv4's are there before an address is
// acknowledged.)
struct LocalRoute {
  bool gone = false;
  IpAddr address;
  int ifindex = 0;
};

// nullopt for messages of another type, malformed ones, and those that say nothing about a link as such (bridge port
// and wireless notifications, which come over the same group and lack most attributes).
std::optional<LinkMessage> DecodeLink(const nlmsghdr& message);
std::optional<AddressMessage> DecodeAddress(const nlmsghdr& message);
// Without hops for routes without gateway, and for local, broadcast, multicast, unreachable and cached ones.
GatewayRoute DecodeRoute(const nlmsghdr& message);
// nullopt for all but local routes to one IPv6 address.
std::optional<LocalRoute> DecodeLocalRoute(const nlmsghdr& message);

}  // namespace berth::agent

#endif  // BERTH_AGENT_EFFECT_KERNEL_NETLINK_NETLINK_MESSAGES_H_
