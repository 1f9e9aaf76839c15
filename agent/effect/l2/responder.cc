// SPDX-License-Identifier: Apache-2.0
#include "agent/effect/l2/responder.h"

#include "agent/effect/l2/arp_packet.h"
#include "agent/effect/l2/ndp_packet.h"

namespace berth::agent {
namespace {

static_assert(kMaxReplySize == kMaxNdpFrameSize && kMaxReplySize >= kMinFrameSize);

bool ShouldAnswer(const InterfaceTable& table, const ArpPacket& packet) {
  if (packet.op != ArpOp::kRequest || packet.gratuitous()) return false;
  if (!packet.ether_dst.is_broadcast() && packet.ether_dst != table.mac) return false;
  return table.answer.contains(packet.target_ip);
}

bool ShouldAnswer(const InterfaceTable& table, const NdpPacket& packet) {
  if (packet.kind != NdpKind::kSolicitation || packet.source == packet.target) return false;
  if (packet.ether_dst != table.mac && packet.ether_dst != MacOfGroup(SolicitedNodeGroup(packet.target))) return false;
  return table.answer.contains(packet.target);
}

bool IsTooOld(absl::Duration age) { return age > kMaxRequestAge || age < -kMaxRequestAge; }

RespondResult Malformed(Family family) {
  RespondResult result;
  result.verdict = Verdict::kMalformed;
  result.family = family;
  return result;
}

RespondResult RespondNdp(const InterfaceTable& table, absl::Span<const std::uint8_t> frame, absl::Duration age,
                         std::uint8_t* out) {
  const NdpParse parsed = ParseNdp(frame);
  if (!parsed.ok()) return Malformed(Family::kIpv6);
  RespondResult result;
  result.family = Family::kIpv6;
  const NdpPacket& packet = parsed.packet;
  if (packet.claimed_by() == table.mac || packet.ether_src == table.mac) return result;

  result.request = packet.kind == NdpKind::kSolicitation;
  if (table.watch.contains(packet.claims())) {
    result.sighting = Sighting{.ifindex = 0,
                               .address = packet.claims(),
                               .mac = packet.claimed_by(),
                               .request = result.request,
                               .gratuitous = packet.is_announcement()};
  }
  if (!ShouldAnswer(table, packet)) return result;
  if (IsTooOld(age)) {
    result.verdict = Verdict::kStale;
    return result;
  }
  result.reply_size = static_cast<std::uint8_t>(BuildNdpInto(NdpReplyTo(packet, table.mac), out));
  result.verdict = Verdict::kReply;
  return result;
}

}  // namespace

RespondResult Respond(const InterfaceTable& table, absl::Span<const std::uint8_t> frame, absl::Duration age,
                      std::uint8_t* out) {
  if (IsIpv6Frame(frame)) return RespondNdp(table, frame, age, out);
  const ArpParse parsed = ParseArp(frame);
  if (!parsed.ok()) return Malformed(Family::kIpv4);
  RespondResult result;
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
  if (IsTooOld(age)) {
    result.verdict = Verdict::kStale;
    return result;
  }
  BuildArpInto(ArpReplyTo(packet, table.mac), out);
  result.reply_size = kMinFrameSize;
  result.verdict = Verdict::kReply;
  return result;
}

}  // namespace berth::agent
