// SPDX-License-Identifier: Apache-2.0
// agent/effect/kernel/netlink/link_ops.h -- the changes Berth makes to links and addresses, one request each.
//
// Errors: as NetlinkError, the message naming interface or address.
#ifndef BERTH_AGENT_EFFECT_KERNEL_NETLINK_LINK_OPS_H_
#define BERTH_AGENT_EFFECT_KERNEL_NETLINK_LINK_OPS_H_

#include <string>

#include "absl/status/status.h"
#include "agent/effect/kernel/netlink/netlink_socket.h"
#include "common/net/cidr.h"

namespace berth::agent {

// A link without lower device. Errors: Unimplemented when the kernel does not know `kind`; AlreadyExists.
absl::Status CreateLink(NetlinkSocket& socket, const std::string& name, const std::string& kind);
// Raises the interface; before that, turns IPv6 autoconfiguration off on it and notes in its alias whose it is.
absl::Status RaiseOwnLink(NetlinkSocket& socket, int ifindex);
absl::Status DeleteLink(NetlinkSocket& socket, int ifindex);

// Adds `address` as a single one (/32, /128): marked as ours, without prefix route, without duplicate detection (the
// kernel's is of no use: every node holds the address silently), in IPv4 with link scope, so that the kernel never
// picks it as source for the node's own connections. Errors: AlreadyExists.
absl::Status AddMarkedAddress(NetlinkSocket& socket, int ifindex, const IpAddr& address);
// Errors: NotFound.
absl::Status DeleteAddress(NetlinkSocket& socket, int ifindex, const Cidr& cidr);

}  // namespace berth::agent

#endif  // BERTH_AGENT_EFFECT_KERNEL_NETLINK_LINK_OPS_H_
