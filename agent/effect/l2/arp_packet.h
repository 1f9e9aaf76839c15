// SPDX-License-Identifier: Apache-2.0
// agent/effect/l2/arp_packet.h -- ARP for IPv4 over Ethernet (RFC 826, RFC 5227): frames to values and back. Pure.
//
//   ArpParse parsed = ParseArp(bytes);
//   if (parsed.ok() && parsed.packet.op == ArpOp::kRequest) frame = BuildArp(ArpReplyTo(parsed.packet, our_mac));
//
// Nothing here allocates. Every frame built is 60 bytes long, Ethernet's minimum without the check sequence, the rest
// zeros. All addresses are IPv4: passing IPv6 to a builder is a bug of the caller; announce_frames.h is for both.
#ifndef BERTH_AGENT_EFFECT_L2_ARP_PACKET_H_
#define BERTH_AGENT_EFFECT_L2_ARP_PACKET_H_

#include <array>
#include <cstddef>
#include <cstdint>

#include "absl/strings/string_view.h"
#include "absl/types/span.h"
#include "agent/effect/l2/ether_bytes.h"
#include "common/net/ip_addr.h"
#include "common/net/mac_addr.h"

namespace berth::agent {

inline constexpr std::size_t kMinFrameSize = 60;
inline constexpr std::size_t kArpSize = 28;  // the packet behind the Ethernet header

enum class ArpOp : std::uint16_t { kRequest = 1, kReply = 2 };

// One frame: the Ethernet header's addresses and the fields of RFC 826.
struct ArpPacket {
  MacAddr ether_dst;
  MacAddr ether_src;
  ArpOp op = ArpOp::kRequest;
  MacAddr sender_mac;
  IpAddr sender_ip;
  MacAddr target_mac;
  IpAddr target_ip;

  // Speaks of itself: RFC 5227's announcement, or the older gratuitous reply.
  bool gratuitous() const { return sender_ip == target_ip; }
  friend bool operator==(const ArpPacket&, const ArpPacket&) = default;
};

enum class ArpFault : std::uint8_t {
  kNone,
  kTruncated,        // ends before the field that was needed next
  kVlanTagged,       // 802.1Q or 802.1ad tag: belongs to another interface
  kNotArp,           // another EtherType
  kHardwareType,     // not Ethernet (1)
  kProtocolType,     // not IPv4 (0x0800)
  kAddressLength,    // not 6 and 4
  kOperation,        // neither request nor reply
  kHardwareAddress,  // the Ethernet source or the sender is zero or a group: nobody can be answered there
};
// "vlan tagged", for tools and tests.
absl::string_view ArpFaultName(ArpFault fault);

struct ArpParse {
  ArpFault fault = ArpFault::kNone;
  ArpPacket packet;  // meaningful only when ok()
  bool ok() const { return fault == ArpFault::kNone; }
};

// Padding behind the packet is ignored. The Ethernet source and the sender MAC may differ (bonds, VRRP do that).
ArpParse ParseArp(absl::Span<const std::uint8_t> frame);

using ArpFrame = std::array<std::uint8_t, kMinFrameSize>;
ArpFrame BuildArp(const ArpPacket& packet);
// The same into memory of the caller, who owns kMinFrameSize bytes at `out`.
void BuildArpInto(const ArpPacket& packet, std::uint8_t* out);

// RFC 5227 section 2.3, the announcement: broadcast request, sender = target = `ip`, target MAC zero.
ArpPacket GratuitousRequest(const MacAddr& mac, const IpAddr& ip);
// Broadcast reply, sender = target = `ip`, target MAC = sender MAC. Linux ignores ff:ff:ff:ff:ff:ff as target MAC for
// as long as the neighbour entry is locked (1 s after its last change), and takes this form.
ArpPacket GratuitousReply(const MacAddr& mac, const IpAddr& ip);
// RFC 5227 section 2.1.1: broadcast request with sender 0.0.0.0, so that it pollutes nobody's cache.
ArpPacket ArpProbe(const MacAddr& mac, const IpAddr& ip);
// RFC 826: `mac` answers for the address asked for, unicast to the asker's sender MAC.
ArpPacket ArpReplyTo(const ArpPacket& request, const MacAddr& mac);

}  // namespace berth::agent

#endif  // BERTH_AGENT_EFFECT_L2_ARP_PACKET_H_
