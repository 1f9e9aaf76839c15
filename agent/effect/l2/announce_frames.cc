// SPDX-License-Identifier: Apache-2.0
#include "agent/effect/l2/announce_frames.h"

#include "absl/strings/str_cat.h"
#include "agent/effect/l2/arp_packet.h"

namespace berth::agent {
namespace {

std::string ToString(const ArpPacket& packet) {
  const ArpFrame frame = BuildArp(packet);
  return std::string(frame.begin(), frame.end());
}

absl::Status NoNeighbourDiscovery(const IpAddr& ip) {
  return absl::UnimplementedError(
      absl::StrCat("address ", ip.ToString(), ": IPv6 neighbour discovery is not supported yet by this agent"));
}

}  // namespace

absl::StatusOr<std::vector<std::string>> GratuitousFrames(const MacAddr& mac, const IpAddr& ip) {
  if (ip.is_v6()) return NoNeighbourDiscovery(ip);
  return std::vector<std::string>{ToString(GratuitousRequest(mac, ip)), ToString(GratuitousReply(mac, ip))};
}

absl::StatusOr<std::string> ProbeFrame(const MacAddr& mac, const IpAddr& ip) {
  if (ip.is_v6()) return NoNeighbourDiscovery(ip);
  return ToString(ArpProbe(mac, ip));
}

}  // namespace berth::agent
