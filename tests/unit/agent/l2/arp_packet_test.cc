// SPDX-License-Identifier: Apache-2.0
#include "agent/effect/l2/arp_packet.h"

#include <rapidcheck.h>

#include <catch2/catch.hpp>

#include "agent/effect/l2/announce_frames.h"
#include "agent/effect/l2/gratuitous_schedule.h"
#include "tests/unit/agent/l2/arp_bytes.h"
// After catch.hpp, which it extends.
#include <rapidcheck/catch.h>

namespace berth::agent {
namespace {

using testing::Bytes;
using testing::Hex;
using testing::Padded;

const MacAddr kMac({0x02, 0x00, 0x5e, 0x10, 0x00, 0x01});
const MacAddr kAsker({0x02, 0x00, 0x5e, 0x10, 0x00, 0x99});
const IpAddr kIp = IpAddr::V4(0x0a00000a);       // 10.0.0.10
const IpAddr kAskerIp = IpAddr::V4(0x0a000001);  // 10.0.0.1

// "Who has 10.0.0.10? Tell 10.0.0.1", as Linux sends it.
const char kRequest[] =
    "ffffffffffff 02005e100099 0806 0001 0800 06 04 0001 02005e100099 0a000001 000000000000 0a00000a";

Bytes Built(const ArpPacket& packet) {
  const ArpFrame frame = BuildArp(packet);
  return {frame.begin(), frame.end()};
}

Bytes AsBytes(const std::string& frame) { return {frame.begin(), frame.end()}; }

TEST_CASE("a request as Linux sends it is read field by field", "[unit]") {
  const ArpParse parsed = ParseArp(Hex(kRequest));
  REQUIRE(parsed.ok());
  CHECK(parsed.packet.ether_dst == MacAddr::Broadcast());
  CHECK(parsed.packet.ether_src == kAsker);
  CHECK(parsed.packet.op == ArpOp::kRequest);
  CHECK(parsed.packet.sender_mac == kAsker);
  CHECK(parsed.packet.sender_ip == kAskerIp);
  CHECK(parsed.packet.target_mac.is_zero());
  CHECK(parsed.packet.target_ip == kIp);
  CHECK_FALSE(parsed.packet.gratuitous());
  CHECK(ParseArp(Padded(Hex(kRequest))).packet == parsed.packet);
}

TEST_CASE("a frame cut short anywhere is truncated, never read past its end", "[unit]") {
  const Bytes whole = Hex(kRequest);
  REQUIRE(whole.size() == 42);
  for (std::size_t size = 0; size < whole.size(); ++size) {
    CAPTURE(size);
    const Bytes part(whole.begin(),
                     whole.begin() + static_cast<std::ptrdiff_t>(size));  // own memory: ASan sees the end
    CHECK(ParseArp(part).fault == ArpFault::kTruncated);
  }
}

TEST_CASE("each field that is not ARP for IPv4 over Ethernet is refused by its own name", "[unit]") {
  struct Case {
    std::size_t at;
    Bytes bytes;
    ArpFault fault;
  };
  const Case cases[] = {
      {12, {0x81, 0x00}, ArpFault::kVlanTagged},
      {12, {0x88, 0xa8}, ArpFault::kVlanTagged},
      {12, {0x91, 0x00}, ArpFault::kVlanTagged},
      {12, {0x08, 0x00}, ArpFault::kNotArp},
      {12, {0x86, 0xdd}, ArpFault::kNotArp},
      {12, {0x80, 0x35}, ArpFault::kNotArp},  // RARP
      {14, {0x00, 0x06}, ArpFault::kHardwareType},
      {14, {0x01, 0x00}, ArpFault::kHardwareType},
      {16, {0x86, 0xdd}, ArpFault::kProtocolType},
      {16, {0x00, 0x08}, ArpFault::kProtocolType},
      {18, {0}, ArpFault::kAddressLength},
      {18, {5}, ArpFault::kAddressLength},
      {18, {8}, ArpFault::kAddressLength},
      {19, {0}, ArpFault::kAddressLength},
      {19, {16}, ArpFault::kAddressLength},
      {20, {0, 0}, ArpFault::kOperation},
      {20, {0, 3}, ArpFault::kOperation},
      {20, {1, 1}, ArpFault::kOperation},
      {6, {0, 0, 0, 0, 0, 0}, ArpFault::kHardwareAddress},
      {6, {3}, ArpFault::kHardwareAddress},
      {22, {0, 0, 0, 0, 0, 0}, ArpFault::kHardwareAddress},
      {22, {0x01, 0x00, 0x5e}, ArpFault::kHardwareAddress},
      {22, {0xff, 0xff, 0xff, 0xff, 0xff, 0xff}, ArpFault::kHardwareAddress},
  };
  for (const Case& each : cases) {
    Bytes frame = Padded(Hex(kRequest));
    std::copy(each.bytes.begin(), each.bytes.end(), frame.begin() + static_cast<std::ptrdiff_t>(each.at));
    CAPTURE(each.at, each.bytes);
    CHECK(ArpFaultName(ParseArp(frame).fault) == ArpFaultName(each.fault));
  }
}

TEST_CASE("a VLAN tag with a good ARP packet behind it is still refused", "[unit]") {
  Bytes frame = Padded(Hex(kRequest));
  const Bytes tag = Hex("8100 0005");
  frame.insert(frame.begin() + 12, tag.begin(), tag.end());
  CHECK(ParseArp(frame).fault == ArpFault::kVlanTagged);
}

TEST_CASE("the answer to a request is these bytes, padded to the Ethernet minimum", "[unit]") {
  const ArpParse request = ParseArp(Hex(kRequest));
  CHECK(Built(ArpReplyTo(request.packet, kMac)) ==
        Padded(Hex("02005e100099 02005e100001 0806 0001 0800 06 04 0002 02005e100001 0a00000a 02005e100099 0a000001")));
}

TEST_CASE("T118: announcements are the request form, then the reply form with target MAC = sender MAC", "[unit]") {
  const auto frames = GratuitousFrames(kMac, kIp);
  REQUIRE(frames.size() == 2);
  CHECK(AsBytes(frames[0]) ==
        Padded(Hex("ffffffffffff 02005e100001 0806 0001 0800 06 04 0001 02005e100001 0a00000a 000000000000 0a00000a")));
  CHECK(AsBytes(frames[1]) ==
        Padded(Hex("ffffffffffff 02005e100001 0806 0001 0800 06 04 0002 02005e100001 0a00000a 02005e100001 0a00000a")));
  for (const std::string& frame : frames) CHECK(AnnouncedBy(AsBytes(frame)) == kIp);
  CHECK_FALSE(AnnouncedBy(AsBytes(ProbeFrame(kMac, kIp))).has_value());
}

TEST_CASE("T118: announcements begin at once, come again after a client's 1 s lock, and end within 10 s", "[unit]") {
  CHECK(kGratuitousOffsets.front() == absl::ZeroDuration());
  CHECK(kGratuitousOffsets[1] == absl::Milliseconds(1100));
  CHECK(std::is_sorted(kGratuitousOffsets.begin(), kGratuitousOffsets.end()));
  CHECK(kGratuitousOffsets.back() < absl::Seconds(10));
}

TEST_CASE("a probe names nobody as sender", "[unit]") {
  CHECK(AsBytes(ProbeFrame(kMac, kIp)) ==
        Padded(Hex("ffffffffffff 02005e100001 0806 0001 0800 06 04 0001 02005e100001 00000000 000000000000 0a00000a")));
}

TEST_CASE("whatever is built is read back as it was", "[unit]") {
  rc::prop("parse after build is the identity", [] {
    const auto mac = [] {
      auto bytes = *rc::gen::arbitrary<std::array<std::uint8_t, 6>>();
      bytes[0] = static_cast<std::uint8_t>((bytes[0] & 0xfe) | 2);  // one station
      return MacAddr(bytes);
    };
    const ArpPacket packet{.ether_dst = MacAddr(*rc::gen::arbitrary<std::array<std::uint8_t, 6>>()),
                           .ether_src = mac(),
                           .op = *rc::gen::element(ArpOp::kRequest, ArpOp::kReply),
                           .sender_mac = mac(),
                           .sender_ip = IpAddr::V4(*rc::gen::arbitrary<std::uint32_t>()),
                           .target_mac = MacAddr(*rc::gen::arbitrary<std::array<std::uint8_t, 6>>()),
                           .target_ip = IpAddr::V4(*rc::gen::arbitrary<std::uint32_t>())};
    const ArpParse parsed = ParseArp(BuildArp(packet));
    RC_ASSERT(parsed.ok());
    RC_ASSERT(parsed.packet == packet);
  });
}

}  // namespace
}  // namespace berth::agent
