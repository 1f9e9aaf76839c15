// SPDX-License-Identifier: Apache-2.0
#include "tests/fakes/neighbour_frame.h"

#include <array>
#include <cstddef>

#include "agent/effect/l2/ndp_packet.h"

namespace berth {

using agent::ArpOp;
using agent::ArpPacket;
using agent::NdpKind;
using agent::NdpPacket;

std::optional<ArpPacket> ReadNeighbourFrame(const std::string& frame) {
  const absl::Span<const std::uint8_t> bytes(reinterpret_cast<const std::uint8_t*>(frame.data()), frame.size());
  if (!agent::IsIpv6Frame(bytes)) {
    const agent::ArpParse arp = agent::ParseArp(bytes);
    return arp.ok() ? std::optional(arp.packet) : std::nullopt;
  }
  const agent::NdpParse parsed = agent::ParseNdp(bytes);
  if (!parsed.ok()) return std::nullopt;
  const NdpPacket& ndp = parsed.packet;
  ArpPacket told{.ether_dst = ndp.ether_dst,
                 .ether_src = ndp.ether_src,
                 .op = ndp.kind == NdpKind::kSolicitation ? ArpOp::kRequest : ArpOp::kReply,
                 .sender_mac = ndp.claimed_by(),
                 .sender_ip = ndp.claims(),
                 .target_mac = {},
                 .target_ip = ndp.target};
  if (told.op == ArpOp::kRequest) return told;
  told.target_mac = ndp.ether_dst;
  if (!ndp.is_announcement()) told.target_ip = ndp.solicited ? ndp.destination : IpAddr::V6(0);
  return told;
}

std::string WriteNeighbourFrame(const ArpPacket& packet) {
  if (packet.target_ip.is_v4()) {
    const agent::ArpFrame frame = agent::BuildArp(packet);
    return std::string(frame.begin(), frame.end());
  }
  NdpPacket ndp;
  if (packet.op == ArpOp::kRequest) {
    ndp = agent::NdpProbe(packet.ether_src, packet.target_ip);
    if (!packet.sender_ip.is_unspecified()) {
      ndp.source = packet.sender_ip;
      ndp.link_address = packet.sender_mac;
    }
    if (!packet.ether_dst.is_broadcast()) {  // checks whether its neighbour is still there
      ndp.ether_dst = packet.ether_dst;
      ndp.destination = packet.target_ip;
    }
  } else {
    ndp = agent::UnsolicitedAdvertisement(packet.sender_mac, packet.sender_ip);
    ndp.ether_src = packet.ether_src;
    ndp.overrides = packet.gratuitous();
    ndp.solicited = !packet.gratuitous() && !packet.target_ip.is_unspecified();
    if (ndp.solicited) {
      ndp.ether_dst = packet.ether_dst;
      ndp.destination = packet.target_ip;
    }
  }
  std::array<std::uint8_t, agent::kMaxNdpFrameSize> frame;
  const std::size_t size = agent::BuildNdpInto(ndp, frame.data());
  return std::string(frame.begin(), frame.begin() + static_cast<std::ptrdiff_t>(size));
}

}  // namespace berth
