// SPDX-License-Identifier: Apache-2.0
#include "agent/effect/kernel/netlink/link_ops.h"

#include <linux/if_addr.h>
#include <linux/if_link.h>
#include <linux/rtnetlink.h>
#include <net/if.h>
#include <netlink/attr.h>
#include <netlink/msg.h>
#include <sys/socket.h>

#include <utility>

#include "absl/strings/str_cat.h"
#include "agent/effect/kernel/netlink/netlink_messages.h"
#include "common/base/status_macros.h"

namespace berth::agent {
namespace {

constexpr char kAlias[] = "addresses of LoadBalancer services, kept by berth-agent";

// A message with the fixed header of its family in place. Allocation of such a small message does not fail, and putting
// small attributes into its 4 KiB neither.
template <typename Header>
NlMsgPtr NewMessage(int type, int flags, Header header) {
  NlMsgPtr message(nlmsg_alloc_simple(type, flags));
  if (message != nullptr) nlmsg_append(message.get(), &header, sizeof(header), NLMSG_ALIGNTO);
  return message;
}

absl::Status OutOfMemory() { return absl::ResourceExhaustedError("netlink request: out of memory"); }

NlMsgPtr NewLinkMessage(int type, int flags, int ifindex) {
  ifinfomsg header{};
  header.ifi_family = AF_UNSPEC;
  header.ifi_index = ifindex;
  return NewMessage(type, flags, header);
}

NlMsgPtr NewAddressMessage(int type, int flags, int ifindex, const Cidr& cidr) {
  const IpAddr address = cidr.address();
  ifaddrmsg header{};
  header.ifa_family = address.is_v4() ? AF_INET : AF_INET6;
  header.ifa_prefixlen = static_cast<unsigned char>(cidr.length());
  header.ifa_scope = address.is_v4() ? RT_SCOPE_LINK : RT_SCOPE_UNIVERSE;
  header.ifa_index = static_cast<unsigned>(ifindex);
  NlMsgPtr message = NewMessage(type, flags, header);
  if (message == nullptr) return message;
  const std::string bytes = address.ToBytes();
  nla_put(message.get(), IFA_LOCAL, static_cast<int>(bytes.size()), bytes.data());
  nla_put(message.get(), IFA_ADDRESS, static_cast<int>(bytes.size()), bytes.data());
  return message;
}

}  // namespace

absl::Status CreateLink(NetlinkSocket& socket, const std::string& name, const std::string& kind) {
  NlMsgPtr message = NewLinkMessage(RTM_NEWLINK, NLM_F_CREATE | NLM_F_EXCL, 0);
  if (message == nullptr) return OutOfMemory();
  nla_put_string(message.get(), IFLA_IFNAME, name.c_str());
  nlattr* info = nla_nest_start(message.get(), IFLA_LINKINFO);
  nla_put_string(message.get(), IFLA_INFO_KIND, kind.c_str());
  nla_nest_end(message.get(), info);
  return socket.Request(std::move(message), absl::StrCat("create interface ", name, " of kind ", kind));
}

absl::Status RaiseOwnLink(NetlinkSocket& socket, int ifindex) {
  NlMsgPtr quiet = NewLinkMessage(RTM_NEWLINK, 0, ifindex);
  if (quiet == nullptr) return OutOfMemory();
  nla_put_string(quiet.get(), IFLA_IFALIAS, kAlias);
  nlattr* families = nla_nest_start(quiet.get(), IFLA_AF_SPEC);
  nlattr* inet6 = nla_nest_start(quiet.get(), AF_INET6);
  nla_put_u8(quiet.get(), IFLA_INET6_ADDR_GEN_MODE, IN6_ADDR_GEN_MODE_NONE);
  nla_nest_end(quiet.get(), inet6);
  nla_nest_end(quiet.get(), families);
  // Not worth failing for: a node without IPv6 refuses it, and a link-local address more does no harm.
  socket.Request(std::move(quiet), "set up interface").IgnoreError();

  ifinfomsg header{};
  header.ifi_family = AF_UNSPEC;
  header.ifi_index = ifindex;
  header.ifi_flags = IFF_UP;
  header.ifi_change = IFF_UP;
  NlMsgPtr raise = NewMessage(RTM_NEWLINK, 0, header);
  if (raise == nullptr) return OutOfMemory();
  return socket.Request(std::move(raise), absl::StrCat("raise interface with index ", ifindex));
}

absl::Status DeleteLink(NetlinkSocket& socket, int ifindex) {
  NlMsgPtr message = NewLinkMessage(RTM_DELLINK, 0, ifindex);
  if (message == nullptr) return OutOfMemory();
  return socket.Request(std::move(message), absl::StrCat("delete interface with index ", ifindex));
}

absl::Status AddMarkedAddress(NetlinkSocket& socket, int ifindex, const IpAddr& address) {
  ASSIGN_OR_RETURN(const Cidr cidr, Cidr::Make(address, FamilyBits(address.family())));
  NlMsgPtr message = NewAddressMessage(RTM_NEWADDR, NLM_F_CREATE | NLM_F_EXCL, ifindex, cidr);
  if (message == nullptr) return OutOfMemory();
  // NODAD has no meaning for IPv4.
  nla_put_u32(message.get(), IFA_FLAGS, IFA_F_NOPREFIXROUTE | (address.is_v6() ? IFA_F_NODAD : 0U));
  if (address.is_v4()) nla_put_string(message.get(), IFA_LABEL, kAddressLabel);
  nla_put_u8(message.get(), kIfaProtoAttribute, kAddressMark);
  absl::Status status = socket.Request(
      std::move(message), absl::StrCat("add address ", address.ToString(), " to interface with index ", ifindex));
  if (address.is_v6() && absl::IsPermissionDenied(status)) {
    return Annotate(status, "IPv6 may be turned off there (sysctl net.ipv6.conf.*.disable_ipv6)");
  }
  return status;
}

absl::Status DeleteAddress(NetlinkSocket& socket, int ifindex, const Cidr& cidr) {
  NlMsgPtr message = NewAddressMessage(RTM_DELADDR, 0, ifindex, cidr);
  if (message == nullptr) return OutOfMemory();
  return socket.Request(std::move(message),
                        absl::StrCat("remove address ", cidr.ToString(), " from interface with index ", ifindex));
}

}  // namespace berth::agent
