// SPDX-License-Identifier: Apache-2.0
// Any bytes off the wire taken for IPv6: parsed and judged without a fault, and answered only where the rules say so.
// Each input is tried as it is and with the checksum put right, which a fuzzer would hardly ever guess.
#include <array>
#include <cstdlib>
#include <vector>

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
    made->answer = {*IpAddr::Parse("fd00::10")};
    made->watch = {*IpAddr::Parse("fd00::10"), *IpAddr::Parse("fd00::11")};
    return made;
  }();
  return *table;
}

std::vector<std::uint8_t> Build(const NdpPacket& packet) {
  std::vector<std::uint8_t> frame(kMaxNdpFrameSize);
  frame.resize(BuildNdpInto(packet, frame.data()));
  return frame;
}

void CheckParse(absl::Span<const std::uint8_t> frame) {
  const NdpParse parsed = ParseNdp(frame);
  Require(!NdpFaultName(parsed.fault).empty());
  if (parsed.ok()) Require(ParseNdp(Build(parsed.packet)).packet == parsed.packet);
}

void CheckAnswer(absl::Span<const std::uint8_t> frame, absl::Duration age) {
  std::array<std::uint8_t, kMaxReplySize> reply{};
  const RespondResult result = Respond(Table(), frame, age, reply.data());
  if (!IsIpv6Frame(frame)) return;  // arp_fuzz's
  const NdpParse asked = ParseNdp(frame);
  Require((result.verdict == Verdict::kMalformed) == !asked.ok());
  Require(result.family == Family::kIpv6);
  if (result.sighting.has_value()) Require(Table().watch.contains(result.sighting->address));
  if (result.verdict != Verdict::kReply) return;
  const NdpParse answer = ParseNdp(absl::MakeConstSpan(reply.data(), result.reply_size));
  Require(asked.ok() && answer.ok());
  Require(age <= kMaxRequestAge);
  Require(asked.packet.kind == NdpKind::kSolicitation && answer.packet.kind == NdpKind::kAdvertisement);
  Require(asked.packet.is_probe() ? answer.packet.destination == AllNodesGroup()
                                  : !answer.packet.ether_dst.is_multicast() && answer.packet.solicited);
  Require(answer.packet.ether_src == Table().mac && answer.packet.link_address == Table().mac);
  Require(Table().answer.contains(answer.packet.target) && answer.packet.target == answer.packet.source);
}

// The checksum of what its length says is the message.
void PutChecksum(std::vector<std::uint8_t>& frame) {
  if (frame.size() < 58) return;
  const std::size_t size = std::min<std::size_t>(frame[18] << 8 | frame[19], frame.size() - 54);
  frame[56] = frame[57] = 0;
  std::uint64_t sum = size + 58;
  for (std::size_t i = 22; i < 54 + size; ++i) sum += static_cast<std::uint64_t>(frame[i]) << (i % 2 == 0 ? 8 : 0);
  while (sum > 0xffff) sum = (sum & 0xffff) + (sum >> 16);
  frame[56] = static_cast<std::uint8_t>(~sum >> 8);
  frame[57] = static_cast<std::uint8_t>(~sum);
}

void CheckAll(absl::Span<const std::uint8_t> frame) {
  CheckParse(frame);
  CheckAnswer(frame, absl::ZeroDuration());
  CheckAnswer(frame, absl::Hours(1));
}

}  // namespace
}  // namespace berth::agent

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  std::vector<std::uint8_t> frame(data, data + size);
  berth::agent::CheckAll(frame);
  berth::agent::PutChecksum(frame);
  berth::agent::CheckAll(frame);
  return 0;
}
