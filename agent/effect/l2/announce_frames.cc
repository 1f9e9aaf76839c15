// SPDX-License-Identifier: Apache-2.0
#include "agent/effect/l2/announce_frames.h"

#include <array>
#include <cstddef>

#include "agent/effect/l2/arp_packet.h"
#include "agent/effect/l2/ndp_packet.h"

namespace berth::agent {
namespace {

std::string ToString(const ArpPacket& packet) {
  const ArpFrame frame = BuildArp(packet);
  return std::string(frame.begin(), frame.end());
}

std::string ToString(const NdpPacket& packet) {
  std::array<std::uint8_t, kMaxNdpFrameSize> frame;
  const std::size_t size = BuildNdpInto(packet, frame.data());
  return std::string(frame.begin(), frame.begin() + static_cast<std::ptrdiff_t>(size));
}

}  // namespace

std::vector<std::string> GratuitousFrames(const MacAddr& mac, const IpAddr& ip) {
  if (ip.is_v6()) return {ToString(UnsolicitedAdvertisement(mac, ip))};
  return {ToString(GratuitousRequest(mac, ip)), ToString(GratuitousReply(mac, ip))};
}

std::string ProbeFrame(const MacAddr& mac, const IpAddr& ip) {
  return ip.is_v6() ? ToString(NdpProbe(mac, ip)) : ToString(ArpProbe(mac, ip));
}

std::string QuestionFrame(const MacAddr& mac, const IpAddr& own, const IpAddr& ip) {
  NdpPacket question = NdpProbe(mac, ip);
  question.source = own;
  question.link_address = mac;
  return ToString(question);
}

std::optional<IpAddr> AnnouncedBy(absl::Span<const std::uint8_t> frame) {
  if (IsIpv6Frame(frame)) {
    const NdpParse parsed = ParseNdp(frame);
    return parsed.ok() && parsed.packet.is_announcement() ? std::optional(parsed.packet.target) : std::nullopt;
  }
  const ArpParse parsed = ParseArp(frame);
  return parsed.ok() && parsed.packet.gratuitous() ? std::optional(parsed.packet.sender_ip) : std::nullopt;
}

}  // namespace berth::agent
