// SPDX-License-Identifier: Apache-2.0
// Any bytes off the wire: parsed and judged without a fault, and answered only where the rules say so.
#include <array>
#include <cstdlib>

#include "agent/effect/l2/arp_packet.h"
#include "agent/effect/l2/ndp_packet.h"
#include "agent/effect/l2/responder.h"

namespace berth::agent {
namespace {

void Require(bool held) {
  if (!held) std::abort();
}

const InterfaceTable& Table() {
  static const InterfaceTable* const table = [] {
    auto* made = new InterfaceTable;
    made->mac = MacAddr({0x02, 0x00, 0x5e, 0x10, 0x00, 0x01});
    made->answer = {IpAddr::V4(0x0a00000a)};
    made->watch = {IpAddr::V4(0x0a00000a), IpAddr::V4(0x0a00000b)};
    return made;
  }();
  return *table;
}

void CheckParse(absl::Span<const std::uint8_t> frame) {
  const ArpParse parsed = ParseArp(frame);
  Require(!ArpFaultName(parsed.fault).empty());
  if (parsed.ok()) Require(ParseArp(BuildArp(parsed.packet)).packet == parsed.packet);
}

void CheckAnswer(absl::Span<const std::uint8_t> frame, absl::Duration age) {
  if (IsIpv6Frame(frame)) return;  // ndp_fuzz's
  std::array<std::uint8_t, kMaxReplySize> reply{};
  const RespondResult result = Respond(Table(), frame, age, reply.data());
  const ArpParse asked = ParseArp(frame);
  Require((result.verdict == Verdict::kMalformed) == !asked.ok());
  if (result.sighting.has_value()) Require(Table().watch.contains(result.sighting->address));
  if (result.verdict != Verdict::kReply) return;
  const ArpParse answer = ParseArp(reply);
  Require(asked.ok() && answer.ok());
  Require(age <= kMaxRequestAge);
  Require(asked.packet.op == ArpOp::kRequest && answer.packet.op == ArpOp::kReply);
  Require(!answer.packet.ether_dst.is_multicast() && answer.packet.ether_dst == asked.packet.sender_mac);
  Require(answer.packet.ether_src == Table().mac && answer.packet.sender_mac == Table().mac);
  Require(Table().answer.contains(answer.packet.sender_ip));
}

}  // namespace
}  // namespace berth::agent

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const absl::Span<const std::uint8_t> frame(data, size);
  berth::agent::CheckParse(frame);
  berth::agent::CheckAnswer(frame, absl::ZeroDuration());
  berth::agent::CheckAnswer(frame, absl::Hours(1));
  return 0;
}
