// SPDX-License-Identifier: Apache-2.0
// agent/effect/l2/ndp_packet.h -- neighbour solicitations and advertisements for IPv6 over Ethernet (RFC 4861): frames
// to values and back. Pure.
//
//   NdpParse parsed = ParseNdp(bytes);
//   if (parsed.ok() && parsed.packet.kind == NdpKind::kSolicitation) {
//     size = BuildNdpInto(NdpReplyTo(parsed.packet, our_mac), out);
//   }
//
// Nothing here allocates. All addresses are IPv6: passing IPv4 to a builder is a bug of the caller; announce_frames.h
// is for both.
#ifndef BERTH_AGENT_EFFECT_L2_NDP_PACKET_H_
#define BERTH_AGENT_EFFECT_L2_NDP_PACKET_H_

#include <cstddef>
#include <cstdint>
#include <optional>

#include "absl/strings/string_view.h"
#include "absl/types/span.h"
#include "agent/effect/l2/ether_bytes.h"
#include "common/net/ip_addr.h"
#include "common/net/mac_addr.h"

namespace berth::agent {

// A frame that is built has no more: Ethernet, IPv6, the message and one option with a MAC.
inline constexpr std::size_t kMaxNdpFrameSize = kEthernetHeaderSize + 40 + 24 + 8;

enum class NdpKind : std::uint8_t { kSolicitation = 135, kAdvertisement = 136 };  // ICMPv6 types

// One frame: the Ethernet and IPv6 headers' addresses and the fields of RFC 4861 sections 4.3 and 4.4.
struct NdpPacket {
  MacAddr ether_dst;
  MacAddr ether_src;
  NdpKind kind = NdpKind::kSolicitation;
  IpAddr source, destination;
  IpAddr target;
  // Of a solicitation the source link-layer address, of an advertisement the target's, where there is such an option.
  std::optional<MacAddr> link_address;
  // Of an advertisement.
  bool router = false, solicited = false, overrides = false;

  // Asks whether anybody has the target, without saying who asks (duplicate address detection, RFC 4862).
  bool is_probe() const { return kind == NdpKind::kSolicitation && source.is_unspecified(); }
  // Speaks of the target unasked, and means to change what others hold of it.
  bool is_announcement() const { return kind == NdpKind::kAdvertisement && !solicited && overrides; }
  // Whose address it bears: the solicitation its sender's, the advertisement its target's; and the MAC it names for it.
  const IpAddr& claims() const { return kind == NdpKind::kSolicitation ? source : target; }
  const MacAddr& claimed_by() const { return link_address.has_value() ? *link_address : ether_src; }
  friend bool operator==(const NdpPacket&, const NdpPacket&) = default;
};

// What RFC 4861 sections 7.1.1 and 7.1.2 have a receiver discard.
enum class NdpFault : std::uint8_t {
  kNone,
  kTruncated,        // ends before what its lengths say
  kVlanTagged,       // 802.1Q or 802.1ad tag: belongs to another interface
  kNotNdp,           // no IPv6, or not directly followed by a solicitation or an advertisement
  kHopLimit,         // not 255: a router has forwarded it
  kChecksum,         // wrong
  kCode,             // not 0
  kLength,           // shorter than its kind has to be
  kSource,           // a group
  kTarget,           // a group
  kOption,           // of length 0, or longer than the message, or an address of another length than Ethernet's
  kDestination,      // a probe that is not for its target's group, or a solicited advertisement to a group
  kHardwareAddress,  // the Ethernet source or the option's address is zero or a group: nobody can be answered there
};
// "wrong checksum", for tools and tests.
absl::string_view NdpFaultName(NdpFault fault);

struct NdpParse {
  NdpFault fault = NdpFault::kNone;
  NdpPacket packet;  // meaningful only when ok()
  bool ok() const { return fault == NdpFault::kNone; }
};

// Whether the frame says that it is IPv6, and so is ParseNdp's to judge rather than ParseArp's.
bool IsIpv6Frame(absl::Span<const std::uint8_t> frame);

// Padding behind the packet and options of other kinds are ignored.
NdpParse ParseNdp(absl::Span<const std::uint8_t> frame);

// Writes at most kMaxNdpFrameSize bytes to `out` and returns how many.
std::size_t BuildNdpInto(const NdpPacket& packet, std::uint8_t* out);

// The group in which hosts that have `ip` listen for solicitations (RFC 4291 section 2.7.1), and the MAC it goes by
// (RFC 2464 section 7). Both depend on the last 24 bits only.
IpAddr SolicitedNodeGroup(const IpAddr& ip);
MacAddr MacOfGroup(const IpAddr& group);
IpAddr AllNodesGroup();  // ff02::1

// RFC 4861 section 7.2.6: tells all nodes that `ip` is at `mac`; what they hold is overridden.
NdpPacket UnsolicitedAdvertisement(const MacAddr& mac, const IpAddr& ip);
// RFC 4862 section 5.4.2: asks the group of `ip` from the unspecified address, so that it pollutes nobody's cache.
NdpPacket NdpProbe(const MacAddr& mac, const IpAddr& ip);
// RFC 4861 section 7.2.4: `mac` answers for the address asked for; unicast to whom asks, or to all nodes when that one
// has no address yet (a probe).
NdpPacket NdpReplyTo(const NdpPacket& solicitation, const MacAddr& mac);

}  // namespace berth::agent

#endif  // BERTH_AGENT_EFFECT_L2_NDP_PACKET_H_
