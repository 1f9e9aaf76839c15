// SPDX-License-Identifier: Apache-2.0
#include "agent/effect/l2/frame_filter.h"

#include <array>
#include <catch2/catch.hpp>
#include <random>

#include "agent/effect/l2/arp_packet.h"
#include "agent/effect/l2/responder.h"
#include "tests/unit/agent/l2/kernel_filter.h"

namespace berth::agent {
namespace {

bool Passes(const KernelFilter& filter, std::uint32_t sender, std::uint32_t target) {
  const ArpFrame frame = BuildArp({.ether_dst = MacAddr::Broadcast(),
                                   .ether_src = MacAddr({2, 0, 0, 0, 0, 1}),
                                   .op = ArpOp::kRequest,
                                   .sender_mac = MacAddr({2, 0, 0, 0, 0, 1}),
                                   .sender_ip = IpAddr::V4(sender),
                                   .target_mac = MacAddr(),
                                   .target_ip = IpAddr::V4(target)});
  return filter.PassesFrame(frame.data(), frame.size());
}

absl::flat_hash_set<IpAddr> Set(const std::vector<std::uint32_t>& numbers) {
  absl::flat_hash_set<IpAddr> set;
  for (const std::uint32_t each : numbers) set.insert(IpAddr::V4(each));
  return set;
}

TEST_CASE("a cover of few runs is exact", "[unit]") {
  CHECK(CoverOf(Family::kIpv4, {}, 3).empty());
  CHECK(CoverOf(Family::kIpv4, Set({7}), 1) == std::vector<AddressSpan>{{7, 7}});
  CHECK(CoverOf(Family::kIpv4, Set({5, 7, 6, 9, 0, kTop}), 4) ==
        std::vector<AddressSpan>{{0, 0}, {5, 7}, {9, 9}, {kTop, kTop}});
}

TEST_CASE("a cover of many runs closes the smallest gaps and keeps to its number of spans", "[unit]") {
  CHECK(CoverOf(Family::kIpv4, Set({10, 12, 20, 23, 40}), 3) == std::vector<AddressSpan>{{10, 12}, {20, 23}, {40, 40}});
  CHECK(CoverOf(Family::kIpv4, Set({10, 12, 20, 23, 40}), 2) == std::vector<AddressSpan>{{10, 23}, {40, 40}});
  CHECK(CoverOf(Family::kIpv4, Set({10, 12, 20, 23, 40}), 1) == std::vector<AddressSpan>{{10, 40}});
  CHECK(CoverOf(Family::kIpv4, Set({0, 2, 4, 6, 8}), 3).size() == 3);  // gaps of one width
}

TEST_CASE("a cover leaves addresses of the other family out", "[unit]") {
  CHECK(CoverOf(Family::kIpv4, {*IpAddr::Parse("fd00::1"), *IpAddr::Parse("10.0.0.1")}, 5) ==
        std::vector<AddressSpan>{{0x0a000001, 0x0a000001}});
}

TEST_CASE("a filter without addresses lets nothing through", "[unit]") {
  const KernelFilter filter{FrameFilter()};
  CHECK_FALSE(Passes(filter, 0, 0));
  CHECK_FALSE(Passes(filter, 1, kTop));
}

TEST_CASE("frames pass exactly when target or sender is in a span, at every edge", "[unit]") {
  std::mt19937 random(1);
  for (const std::size_t targets : {0, 1, 2, 3, 17, 60}) {
    for (const std::size_t senders : {0, 1, 2, 59, 60}) {
      const FrameFilter filter{.targets = RandomSpans(random, targets), .senders = RandomSpans(random, senders)};
      const KernelFilter kernel(filter);
      std::vector<std::uint32_t> probes = {0, 1, kTop, kTop - 1};
      for (const auto* spans : {&filter.targets, &filter.senders}) {
        for (const AddressSpan& span : *spans) {
          for (const std::uint32_t at : {span.first, span.last}) {
            probes.insert(probes.end(), {at - 1, at, at + 1});  // may wrap around: an address all the same
          }
        }
      }
      for (const std::uint32_t probe : probes) {
        const auto other = static_cast<std::uint32_t>(random());
        REQUIRE(Passes(kernel, other, probe) == (In(filter.targets, probe) || In(filter.senders, other)));
        REQUIRE(Passes(kernel, probe, other) == (In(filter.targets, other) || In(filter.senders, probe)));
      }
    }
  }
}

TEST_CASE("the widest filter the kernel is given fits one program", "[unit]") {
  std::mt19937 random(2);
  const std::size_t max = FrameFilter::kMaxRanges;
  CHECK(CompileFilter(
            {RandomSpans(random, max), RandomSpans(random, max), RandomSpans(random, max), RandomSpans(random, max)})
            .size() <= BPF_MAXINSNS / 3);
}

TEST_CASE("other protocols and short frames do not pass", "[unit]") {
  const KernelFilter all({.targets = {{0, kTop}}, .senders = {}});
  ArpFrame frame = BuildArp(ArpProbe(MacAddr({2, 0, 0, 0, 0, 1}), IpAddr::V4(5)));
  CHECK(all.PassesFrame(frame.data(), frame.size()));
  CHECK(all.PassesFrame(frame.data(), 42));
  CHECK_FALSE(all.PassesFrame(frame.data(), 41));
  frame[12] = 0x86;
  frame[13] = 0xdd;
  CHECK_FALSE(all.PassesFrame(frame.data(), frame.size()));
}

TEST_CASE("whatever ARP the responder answers or reports passes the filter of the same table", "[unit]") {
  std::mt19937 random(3);
  for (int round = 0; round < 30; ++round) {
    InterfaceTable table;
    table.mac = MacAddr({2, 0, 0, 0, 0, 9});
    const auto any = [&] { return 0x0a000000 + static_cast<std::uint32_t>(random() % 2'000); };
    const std::size_t many = random() % 400;
    for (std::size_t i = 0; i < many; ++i) {
      table.answer.insert(IpAddr::V4(any()));
      table.watch.insert(IpAddr::V4(any()));
    }
    const KernelFilter kernel(FilterFor(table));
    for (int i = 0; i < 200; ++i) {
      const ArpFrame frame = BuildArp({.ether_dst = MacAddr::Broadcast(),
                                       .ether_src = MacAddr({2, 0, 0, 0, 0, 1}),
                                       .op = random() % 2 == 0 ? ArpOp::kRequest : ArpOp::kReply,
                                       .sender_mac = MacAddr({2, 0, 0, 0, 0, 1}),
                                       .sender_ip = IpAddr::V4(any()),
                                       .target_mac = MacAddr(),
                                       .target_ip = IpAddr::V4(any())});
      std::array<std::uint8_t, kMaxReplySize> out;
      const RespondResult result = Respond(table, frame, absl::ZeroDuration(), out.data());
      const bool matters = result.verdict == Verdict::kReply || result.sighting.has_value();
      if (matters) REQUIRE(kernel.PassesFrame(frame.data(), frame.size()));
    }
  }
}

}  // namespace
}  // namespace berth::agent
