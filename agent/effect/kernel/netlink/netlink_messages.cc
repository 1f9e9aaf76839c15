// SPDX-License-Identifier: Apache-2.0
#include "agent/effect/kernel/netlink/netlink_messages.h"

#include <linux/if_addr.h>
#include <linux/if_link.h>
#include <linux/rtnetlink.h>
#include <net/if.h>
#include <net/if_arp.h>
#include <netlink/attr.h>
#include <netlink/msg.h>
#include <sys/socket.h>

#include <algorithm>
#include <array>

#include "absl/strings/string_view.h"

namespace berth::agent {
namespace {

constexpr unsigned kIffLowerUp = 1U << 16;  // IFF_LOWER_UP, which <net/if.h> lacks and <linux/if.h> clashes over

constexpr std::size_t kAttributeTypes = 80;
static_assert(IFLA_MAX < kAttributeTypes && RTA_MAX < kAttributeTypes && kIfaProtoAttribute < kAttributeTypes);

// Attribute type -> attribute. Later ones of the same type win, as in the kernel's own parser; types beyond are
// skipped.
class Attributes {
 public:
  static std::optional<Attributes> Of(const nlmsghdr& message, std::size_t header_size) {
    nlmsghdr* header = const_cast<nlmsghdr*>(&message);
    const int size = static_cast<int>(header_size);
    if (!nlmsg_valid_hdr(header, size)) return std::nullopt;
    return Attributes(nlmsg_attrdata(header, size), nlmsg_attrlen(header, size));
  }
  static Attributes Nested(nlattr* outer) { return Attributes(static_cast<nlattr*>(nla_data(outer)), nla_len(outer)); }
  Attributes(nlattr* first, int length) {
    nlattr* attribute = nullptr;
    int rest = 0;
    nla_for_each_attr(attribute, first, length, rest) {
      const auto type = static_cast<std::size_t>(nla_type(attribute));
      if (type < kAttributeTypes) table_[type] = attribute;
    }
  }
  nlattr* operator[](std::size_t type) const { return table_[type]; }
  absl::string_view Bytes(std::size_t type) const {
    if (table_[type] == nullptr) return {};
    return {static_cast<const char*>(nla_data(table_[type])), static_cast<std::size_t>(nla_len(table_[type]))};
  }
  std::string Text(std::size_t type) const {
    const absl::string_view bytes = Bytes(type);
    return std::string(bytes.substr(0, std::min(bytes.find('\0'), bytes.size())));
  }
  std::optional<std::uint32_t> U32(std::size_t type) const {
    if (table_[type] == nullptr || nla_len(table_[type]) < 4) return std::nullopt;
    return nla_get_u32(table_[type]);
  }
  std::optional<IpAddr> Address(std::size_t type) const {
    if (table_[type] == nullptr) return std::nullopt;
    const absl::StatusOr<IpAddr> address = IpAddr::FromBytes(Bytes(type));
    return address.ok() ? std::optional<IpAddr>(*address) : std::nullopt;
  }

 private:
  std::array<nlattr*, kAttributeTypes> table_{};
};

// The gateway of a route or of one hop of a multipath route: RTA_GATEWAY, or RTA_VIA for one of the other family.
std::optional<IpAddr> GatewayIn(const Attributes& attributes) {
  if (std::optional<IpAddr> gateway = attributes.Address(RTA_GATEWAY)) return gateway;
  const absl::string_view via = attributes.Bytes(RTA_VIA);
  constexpr std::size_t kFamilyBytes = sizeof(rtvia);
  if (via.size() <= kFamilyBytes) return std::nullopt;
  const absl::StatusOr<IpAddr> address = IpAddr::FromBytes(via.substr(kFamilyBytes));
  return address.ok() ? std::optional<IpAddr>(*address) : std::nullopt;
}

void AddHops(const Attributes& attributes, GatewayRoute* route) {
  nlattr* multipath = attributes[RTA_MULTIPATH];
  auto* hop = static_cast<rtnexthop*>(nla_data(multipath));
  int rest = nla_len(multipath);
  while (rest >= static_cast<int>(sizeof(rtnexthop)) && hop->rtnh_len >= sizeof(rtnexthop) && hop->rtnh_len <= rest) {
    auto* first = reinterpret_cast<nlattr*>(RTNH_DATA(hop));
    const Attributes hop_attributes(first, hop->rtnh_len - static_cast<int>(RTNH_LENGTH(0)));
    if (const auto gateway = GatewayIn(hop_attributes)) route->hops.emplace_back(hop->rtnh_ifindex, *gateway);
    rest -= static_cast<int>(RTNH_ALIGN(hop->rtnh_len));
    hop = RTNH_NEXT(hop);
  }
}

}  // namespace

std::optional<LinkMessage> DecodeLink(const nlmsghdr& message) {
  if (message.nlmsg_type != RTM_NEWLINK && message.nlmsg_type != RTM_DELLINK) return std::nullopt;
  const auto attributes = Attributes::Of(message, sizeof(ifinfomsg));
  if (!attributes) return std::nullopt;
  const auto& header = *static_cast<const ifinfomsg*>(nlmsg_data(&message));
  // A bridge announces that a port left it by DELLINK of family AF_BRIDGE: the link itself lives on.
  if (header.ifi_family != AF_UNSPEC || (*attributes)[IFLA_WIRELESS] != nullptr) return std::nullopt;

  LinkMessage out;
  out.gone = message.nlmsg_type == RTM_DELLINK;
  out.link.index = header.ifi_index;
  out.link.name = attributes->Text(IFLA_IFNAME);
  if (const auto mac = MacAddr::FromBytes(attributes->Bytes(IFLA_ADDRESS)); mac.ok()) out.link.mac = *mac;
  out.link.up = (header.ifi_flags & IFF_UP) != 0;
  // Both: a link may be lit but not usable yet (IEEE 802.1X, a bond that has no active port).
  out.link.carrier = (header.ifi_flags & kIffLowerUp) != 0 && (header.ifi_flags & IFF_RUNNING) != 0;
  out.link.loopback = (header.ifi_flags & IFF_LOOPBACK) != 0;
  out.link.ethernet = header.ifi_type == ARPHRD_ETHER && (header.ifi_flags & IFF_NOARP) == 0;
  out.link.master = static_cast<int>(attributes->U32(IFLA_MASTER).value_or(0));
  if (nlattr* info = (*attributes)[IFLA_LINKINFO]; info != nullptr) {
    out.kind = Attributes::Nested(info).Text(IFLA_INFO_KIND);
  }
  return out;
}

std::optional<AddressMessage> DecodeAddress(const nlmsghdr& message) {
  if (message.nlmsg_type != RTM_NEWADDR && message.nlmsg_type != RTM_DELADDR) return std::nullopt;
  const auto attributes = Attributes::Of(message, sizeof(ifaddrmsg));
  if (!attributes) return std::nullopt;
  const auto& header = *static_cast<const ifaddrmsg*>(nlmsg_data(&message));
  const std::optional<IpAddr> peer = attributes->Address(IFA_ADDRESS);
  std::optional<IpAddr> local = attributes->Address(IFA_LOCAL);
  if (!local) local = peer;  // IPv6 gives IFA_LOCAL only where there is a peer
  if (!local) return std::nullopt;
  const absl::StatusOr<Cidr> cidr = Cidr::Make(*local, header.ifa_prefixlen);
  if (!cidr.ok()) return std::nullopt;

  AddressMessage out;
  out.gone = message.nlmsg_type == RTM_DELADDR;
  out.ifindex = static_cast<int>(header.ifa_index);
  out.address.cidr = *cidr;
  const absl::string_view mark = attributes->Bytes(kIfaProtoAttribute);
  out.address.ours = (mark.size() == 1 && static_cast<std::uint8_t>(mark[0]) == kAddressMark) ||
                     attributes->Text(IFA_LABEL) == kAddressLabel;
  out.address.tentative = local->is_v6() && (header.ifa_flags & (IFA_F_TENTATIVE | IFA_F_DADFAILED)) != 0;
  out.peer = peer.value_or(*local);
  return out;
}

GatewayRoute DecodeRoute(const nlmsghdr& message) {
  GatewayRoute route;
  if (message.nlmsg_type != RTM_NEWROUTE && message.nlmsg_type != RTM_DELROUTE) return route;
  const auto attributes = Attributes::Of(message, sizeof(rtmsg));
  if (!attributes) return route;
  const auto& header = *static_cast<const rtmsg*>(nlmsg_data(&message));
  if (header.rtm_type != RTN_UNICAST || (header.rtm_flags & RTM_F_CLONED) != 0) return route;
  const IpAddr any = header.rtm_family == AF_INET6 ? IpAddr::V6(0) : IpAddr::V4(0);
  const absl::StatusOr<Cidr> destination = Cidr::Make(attributes->Address(RTA_DST).value_or(any), header.rtm_dst_len);
  if (!destination.ok()) return route;
  route.destination = *destination;
  route.metric = attributes->U32(RTA_PRIORITY).value_or(0);
  route.main_table = attributes->U32(RTA_TABLE).value_or(header.rtm_table) == RT_TABLE_MAIN;
  if (const auto gateway = GatewayIn(*attributes)) {
    route.hops.emplace_back(static_cast<int>(attributes->U32(RTA_OIF).value_or(0)), *gateway);
  }
  if ((*attributes)[RTA_MULTIPATH] != nullptr) AddHops(*attributes, &route);
  return route;
}

std::optional<LocalRoute> DecodeLocalRoute(const nlmsghdr& message) {
  if (message.nlmsg_type != RTM_NEWROUTE && message.nlmsg_type != RTM_DELROUTE) return std::nullopt;
  if (!nlmsg_valid_hdr(const_cast<nlmsghdr*>(&message), sizeof(rtmsg))) return std::nullopt;
  const auto& header = *static_cast<const rtmsg*>(nlmsg_data(&message));
  if (header.rtm_family != AF_INET6 || header.rtm_type != RTN_LOCAL || header.rtm_dst_len != 128) return std::nullopt;
  if ((header.rtm_flags & RTM_F_CLONED) != 0) return std::nullopt;
  const auto attributes = Attributes::Of(message, sizeof(rtmsg));
  const std::optional<IpAddr> address = attributes ? attributes->Address(RTA_DST) : std::nullopt;
  if (!address || !address->is_v6()) return std::nullopt;
  return LocalRoute{.gone = message.nlmsg_type == RTM_DELROUTE,
                    .address = *address,
                    .ifindex = static_cast<int>(attributes->U32(RTA_OIF).value_or(0))};
}

}  // namespace berth::agent
