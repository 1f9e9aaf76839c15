// SPDX-License-Identifier: Apache-2.0
#include "agent/effect/l2/responder.h"

#include "agent/effect/l2/arp_packet.h"

namespace berth::agent {
namespace {

bool ShouldAnswer(const InterfaceTable& table, const ArpPacket& packet) {
  if (packet.op != ArpOp::kRequest || packet.gratuitous()) return false;
  if (!packet.ether_dst.is_broadcast() && packet.ether_dst != table.mac) return false;
  return table.answer.contains(packet.target_ip);
}

}  // namespace

RespondResult Respond(const InterfaceTable& table, absl::Span<const std::uint8_t> frame, absl::Duration age,
                      std::uint8_t* out) {
  RespondResult result;
  const ArpParse parsed = ParseArp(frame);
  if (!parsed.ok()) {
    result.verdict = Verdict::kMalformed;
    return result;
  }
  const ArpPacket& packet = parsed.packet;
  // Either mark is enough: a switch may hand our own frames back, and nobody else has business with our MAC.
  if (packet.sender_mac == table.mac || packet.ether_src == table.mac) return result;

  result.request = packet.op == ArpOp::kRequest;
  if (table.watch.contains(packet.sender_ip)) {
    result.sighting = Sighting{.ifindex = 0,
                               .address = packet.sender_ip,
                               .mac = packet.sender_mac,
                               .request = result.request,
                               .gratuitous = packet.gratuitous()};
  }
  if (!ShouldAnswer(table, packet)) return result;
  if (age > kMaxRequestAge || age < -kMaxRequestAge) {
    result.verdict = Verdict::kStale;
    return result;
  }
  BuildArpInto(ArpReplyTo(packet, table.mac), out);
  result.verdict = Verdict::kReply;
  return result;
}

}  // namespace berth::agent
