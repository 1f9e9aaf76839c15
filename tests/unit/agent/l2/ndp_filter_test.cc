// SPDX-License-Identifier: Apache-2.0
#include <catch2/catch.hpp>

#include "agent/effect/l2/arp_packet.h"
#include "agent/effect/l2/frame_filter.h"
#include "agent/effect/l2/ndp_packet.h"
#include "agent/effect/l2/responder.h"
#include "tests/unit/agent/l2/kernel_filter.h"
#include "tests/unit/agent/l2/ndp_bytes.h"

namespace berth::agent {
namespace {

using testing::Bytes;

constexpr std::uint64_t kPool = 0xfd00ULL << 48;

IpAddr At(std::uint32_t tail) { return IpAddr::V6(absl::MakeUint128(kPool, tail)); }

Bytes Frame(NdpKind kind, const IpAddr& source, const IpAddr& target) {
  NdpPacket packet = NdpProbe(MacAddr({2, 0, 0, 0, 0, 1}), target);
  packet.kind = kind;
  packet.source = source;
  if (!source.is_unspecified()) packet.link_address = packet.ether_src;
  Bytes frame(kMaxNdpFrameSize);
  frame.resize(BuildNdpInto(packet, frame.data()));
  return frame;
}

bool Admits(const KernelFilter& filter, const Bytes& frame) { return filter.PassesFrame(frame.data(), frame.size()); }
bool Asks(const KernelFilter& filter, std::uint32_t source, std::uint32_t target) {
  return Admits(filter, Frame(NdpKind::kSolicitation, At(source), At(target)));
}
bool Tells(const KernelFilter& filter, std::uint32_t target) {
  return Admits(filter, Frame(NdpKind::kAdvertisement, At(target ^ 1), At(target)));
}

TEST_CASE("a cover of IPv6 addresses goes by their last 32 bits", "[unit]") {
  CHECK(CoverOf(Family::kIpv6, {*IpAddr::Parse("fd00::10"), *IpAddr::Parse("fd11::11"), *IpAddr::Parse("fd00::11")},
                5) == std::vector<AddressSpan>{{0x10, 0x11}});
  CHECK(CoverOf(Family::kIpv6, {*IpAddr::Parse("fd00::7"), *IpAddr::Parse("10.0.0.1")}, 5) ==
        std::vector<AddressSpan>{{7, 7}});
}

TEST_CASE("without IPv6 addresses no neighbour discovery passes, nor ARP without IPv4 ones", "[unit]") {
  const KernelFilter four({.targets = {{0, kTop}}, .senders = {{0, kTop}}});
  CHECK_FALSE(Asks(four, 1, 2));
  CHECK_FALSE(Tells(four, 2));
  const KernelFilter six({.targets6 = {{0, kTop}}, .senders6 = {{0, kTop}}});
  CHECK(Asks(six, 1, 2));
  CHECK(Tells(six, 2));
  const ArpFrame arp = BuildArp(ArpProbe(MacAddr({2, 0, 0, 0, 0, 1}), IpAddr::V4(5)));
  CHECK_FALSE(six.PassesFrame(arp.data(), arp.size()));
}

TEST_CASE("neighbour discovery passes exactly when an address is in its spans, at every edge", "[unit]") {
  std::mt19937 random(4);
  for (const std::size_t targets : {0, 1, 3, 60}) {
    for (const std::size_t senders : {0, 1, 60}) {
      const FrameFilter filter{.targets = RandomSpans(random, 60),
                               .senders = RandomSpans(random, 60),
                               .targets6 = RandomSpans(random, targets),
                               .senders6 = RandomSpans(random, senders)};
      const KernelFilter kernel(filter);
      std::vector<std::uint32_t> probes = {0, 1, kTop, kTop - 1};
      for (const auto* spans : {&filter.targets6, &filter.senders6}) {
        for (const AddressSpan& span : *spans) {
          for (const std::uint32_t at : {span.first, span.last}) {
            probes.insert(probes.end(), {at - 1, at, at + 1});  // may wrap around: an address all the same
          }
        }
      }
      for (const std::uint32_t probe : probes) {
        const auto other = static_cast<std::uint32_t>(random());
        REQUIRE(Asks(kernel, other, probe) == (In(filter.targets6, probe) || In(filter.senders6, other)));
        REQUIRE(Asks(kernel, probe, other) == (In(filter.targets6, other) || In(filter.senders6, probe)));
        REQUIRE(Tells(kernel, probe) == In(filter.senders6, probe));
      }
    }
  }
}

TEST_CASE("other IPv6 and short frames do not pass the widest filter", "[unit]") {
  const KernelFilter all(WidestFilter());
  const Bytes sound = Frame(NdpKind::kSolicitation, At(1), At(2));
  CHECK(Admits(all, sound));
  const ArpFrame arp = BuildArp(ArpProbe(MacAddr({2, 0, 0, 0, 0, 1}), IpAddr::V4(5)));
  CHECK(all.PassesFrame(arp.data(), arp.size()));
  Bytes echo = sound;
  echo[54] = 128;
  CHECK_FALSE(Admits(all, echo));
  for (const std::uint8_t type : {std::uint8_t{134}, std::uint8_t{137}}) {
    echo[54] = type;
    CHECK_FALSE(Admits(all, echo));
  }
  Bytes udp = sound;
  udp[20] = 17;
  CHECK_FALSE(Admits(all, udp));
  CHECK_FALSE(all.PassesFrame(sound.data(), 77));  // ends within the target
}

TEST_CASE("whatever neighbour discovery the responder answers or reports passes the filter of the same table",
          "[unit]") {
  std::mt19937 random(5);
  for (int round = 0; round < 30; ++round) {
    InterfaceTable table;
    table.mac = MacAddr({2, 0, 0, 0, 0, 9});
    const auto any = [&] { return At(static_cast<std::uint32_t>(random() % 2'000)); };
    const std::size_t many = random() % 400;
    for (std::size_t i = 0; i < many; ++i) {
      table.answer.insert(any());
      table.watch.insert(any());
    }
    const KernelFilter kernel(FilterFor(table));
    int mattered = 0;
    for (int i = 0; i < 200; ++i) {
      const IpAddr source = random() % 8 == 0 ? IpAddr::V6(0) : any();
      const Bytes frame = Frame(random() % 2 == 0 ? NdpKind::kSolicitation : NdpKind::kAdvertisement, source, any());
      Bytes out(kMaxReplySize);
      const RespondResult result = Respond(table, frame, absl::ZeroDuration(), out.data());
      const bool matters = result.verdict == Verdict::kReply || result.sighting.has_value();
      if (matters) REQUIRE(Admits(kernel, frame));
      mattered += matters ? 1 : 0;
    }
    if (many > 50) CHECK(mattered > 0);
  }
}

}  // namespace
}  // namespace berth::agent
