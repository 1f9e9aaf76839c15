// SPDX-License-Identifier: Apache-2.0
#include "agent/effect/l2/ndp_packet.h"

#include <rapidcheck/catch.h>
#include <catch2/catch.hpp>

#include "agent/effect/l2/announce_frames.h"
#include "tests/unit/agent/l2/ndp_bytes.h"

namespace berth::agent {
namespace {

using namespace berth::testing;  // NOLINT(google-build-using-namespace): frames in hex

const MacAddr kMac = *MacAddr::Parse("02:00:5e:10:00:01");
const IpAddr kIp = *IpAddr::Parse("fd00::10");

Bytes AsBytes(const std::string& text) { return Bytes(text.begin(), text.end()); }
Bytes Built(const NdpPacket& packet) {
  Bytes frame(kMaxNdpFrameSize);
  frame.resize(BuildNdpInto(packet, frame.data()));
  return frame;
}
NdpFault FaultOf(const Bytes& frame) { return ParseNdp(frame).fault; }

TEST_CASE("T122: the announcement is an advertisement to all nodes that overrides and names our MAC", "[unit]") {
  const std::vector<std::string> frames = GratuitousFrames(kMac, kIp);
  REQUIRE(frames.size() == 1);
  CHECK(AsBytes(frames[0]) == Hex("333300000001 02005e100001 86dd 60000000 0020 3aff" + kVip + kAllNodes +
                                  "8800 fc6c 20000000" + kVip + "0201 02005e100001"));
  CHECK(AnnouncedBy(AsBytes(frames[0])) == kIp);
}

TEST_CASE("an IPv6 probe comes from nobody and goes to the group of its target", "[unit]") {
  const std::string frame = ProbeFrame(kMac, kIp);
  CHECK(AsBytes(frame) ==
        Hex("3333ff000010 02005e100001 86dd 60000000 0018 3aff" + kNobody + kVipGroup + "8700 7d87 00000000" + kVip));
  CHECK_FALSE(AnnouncedBy(AsBytes(frame)).has_value());
}

TEST_CASE("an answer is unicast, solicited, and leaves what is known elsewhere alone", "[unit]") {
  const NdpParse asked = ParseNdp(Solicitation());
  REQUIRE(asked.ok());
  const Bytes answer = Built(NdpReplyTo(asked.packet, kMac));
  CHECK(answer == Hex(kAskerMac + "02005e100001 86dd 60000000 0020 3aff" + kVip + kAsker + "8800 ddd6 40000000" + kVip +
                      "0201 02005e100001"));
  CHECK_FALSE(AnnouncedBy(answer).has_value());
}

TEST_CASE("the answer to a probe goes to all nodes and is not solicited", "[unit]") {
  const NdpParse asked = ParseNdp(Ndp(kVipGroupMac, kAskerMac, kNobody, kVipGroup, "87", "00", kVip, ""));
  REQUIRE(asked.ok());
  CHECK(asked.packet.is_probe());
  const Bytes answer = Built(NdpReplyTo(asked.packet, kMac));
  CHECK(answer == Hex("333300000001 02005e100001 86dd 60000000 0020 3aff" + kVip + kAllNodes + "8800 1c6d 00000000" +
                      kVip + "0201 02005e100001"));
  CHECK_FALSE(AnnouncedBy(answer).has_value());
}

TEST_CASE("a solicitation is read field by field", "[unit]") {
  const NdpParse parsed = ParseNdp(Hex(kVipGroupMac + kAskerMac + "86dd 60000000 0020 3aff" + kAsker + kVipGroup +
                                       "8700 1e3b 00000000" + kVip + "0101" + kAskerMac));
  REQUIRE(parsed.ok());
  CHECK(parsed.packet.ether_dst == *MacAddr::Parse("33:33:ff:00:00:10"));
  CHECK(parsed.packet.ether_src == *MacAddr::Parse("02:00:5e:10:00:99"));
  CHECK(parsed.packet.kind == NdpKind::kSolicitation);
  CHECK(parsed.packet.source == *IpAddr::Parse("fd00::99"));
  CHECK(parsed.packet.destination == *IpAddr::Parse("ff02::1:ff00:10"));
  CHECK(parsed.packet.target == kIp);
  CHECK(parsed.packet.link_address == *MacAddr::Parse("02:00:5e:10:00:99"));
  CHECK_FALSE(parsed.packet.is_probe());
}

TEST_CASE("padding, unknown options, a traffic class and a flow label do no harm", "[unit]") {
  Bytes padded = Solicitation();
  padded.resize(padded.size() + 20, 0xaa);
  CHECK(FaultOf(padded) == NdpFault::kNone);
  const NdpParse nonce = ParseNdp(Ndp(kVipGroupMac, kAskerMac, kAsker, kVipGroup, "87", "00", kVip,
                                      "0e01 112233445566 0101" + kAskerMac + "0101 020000000077"));
  REQUIRE(nonce.ok());
  CHECK(nonce.packet.link_address == *MacAddr::Parse("02:00:5e:10:00:99"));  // the first one counts
  Bytes marked = Solicitation();
  marked[14] = 0x6e;
  marked[17] = 0x12;
  CHECK(FaultOf(marked) == NdpFault::kNone);
}

TEST_CASE("the reserved field of a solicitation is ignored, and the wrong option too", "[unit]") {
  const NdpParse parsed =
      ParseNdp(Ndp(kVipGroupMac, kAskerMac, kAsker, kVipGroup, "87", "ff", kVip, "0201" + kAskerMac));
  REQUIRE(parsed.ok());
  CHECK_FALSE((parsed.packet.router || parsed.packet.solicited || parsed.packet.overrides));
  CHECK_FALSE(parsed.packet.link_address.has_value());
  CHECK(parsed.packet.claimed_by() == *MacAddr::Parse("02:00:5e:10:00:99"));  // the Ethernet source
}

TEST_CASE("what a router has forwarded is refused", "[unit]") {
  Bytes forwarded = Solicitation();
  forwarded[21] = 254;
  CHECK(FaultOf(forwarded) == NdpFault::kHopLimit);
}

TEST_CASE("any bit that differs after the checksum was made is noticed", "[unit]") {
  const Bytes sound = Solicitation();
  for (std::size_t i = 22; i < sound.size(); ++i) {  // addresses and message
    for (int bit = 0; bit < 8; ++bit) {
      Bytes frame = sound;
      frame[i] = static_cast<std::uint8_t>(frame[i] ^ (1 << bit));
      CHECK(FaultOf(frame) != NdpFault::kNone);
    }
  }
}

TEST_CASE("a frame cut short anywhere is refused", "[unit]") {
  const Bytes whole = Solicitation();
  for (std::size_t size = 0; size < whole.size(); ++size) {
    CHECK_FALSE(ParseNdp(absl::MakeConstSpan(whole.data(), size)).ok());
  }
}

TEST_CASE("each thing that RFC 4861 wants discarded has its name", "[unit]") {
  const std::string option = "0101" + kAskerMac;
  const auto solicit = [&](const std::string& source, const std::string& destination, const std::string& target,
                           const std::string& options) {
    return Ndp(kVipGroupMac, kAskerMac, source, destination, "87", "00", target, options);
  };
  const auto advertise = [](const std::string& destination, const std::string& flags, const std::string& options) {
    return Ndp(kAllNodesMac, kAskerMac, kAsker, destination, "88", flags, kVip, options);
  };
  Bytes vlan = Solicitation();
  vlan[12] = 0x81;
  vlan[13] = 0;
  CHECK(FaultOf(vlan) == NdpFault::kVlanTagged);
  Bytes code = Solicitation();
  code[55] = 1;
  CHECK(FaultOf(Summed(code)) == NdpFault::kCode);
  Bytes router = Solicitation();
  router[54] = 133;
  CHECK(FaultOf(Summed(router)) == NdpFault::kNotNdp);
  Bytes udp = Solicitation();
  udp[20] = 17;
  CHECK(FaultOf(udp) == NdpFault::kNotNdp);
  Bytes version = Solicitation();
  version[14] = 0x40;
  CHECK(FaultOf(version) == NdpFault::kNotNdp);
  Bytes brief = Solicitation();
  brief[19] = 23;
  CHECK(FaultOf(brief) == NdpFault::kLength);

  CHECK(FaultOf(solicit(kAsker, kVipGroup, kAllNodes, option)) == NdpFault::kTarget);
  CHECK(FaultOf(solicit(kAllNodes, kVipGroup, kVip, option)) == NdpFault::kSource);
  CHECK(FaultOf(solicit(kNobody, kVipGroup, kVip, option)) == NdpFault::kOption);   // a probe tells no address
  CHECK(FaultOf(solicit(kNobody, kVip, kVip, "")) == NdpFault::kDestination);       // and goes to a group,
  CHECK(FaultOf(solicit(kNobody, kAllNodes, kVip, "")) == NdpFault::kDestination);  // that of its target
  CHECK(FaultOf(solicit(kAsker, kVipGroup, kVip, "0100" + kAskerMac)) == NdpFault::kOption);
  CHECK(FaultOf(solicit(kAsker, kVipGroup, kVip, "0e00 112233445566")) == NdpFault::kOption);
  CHECK(FaultOf(solicit(kAsker, kVipGroup, kVip, "0e02 112233445566")) == NdpFault::kOption);
  CHECK(FaultOf(solicit(kAsker, kVipGroup, kVip, "0102" + kAskerMac + "1122334455667788")) == NdpFault::kOption);
  CHECK(FaultOf(solicit(kAsker, kVipGroup, kVip, "01")) == NdpFault::kOption);
  CHECK(FaultOf(solicit(kAsker, kVipGroup, kVip, "0101 333300000001")) == NdpFault::kHardwareAddress);
  CHECK(FaultOf(solicit(kAsker, kVipGroup, kVip, "0101 000000000000")) == NdpFault::kHardwareAddress);
  CHECK(FaultOf(Ndp(kVipGroupMac, kAllNodesMac, kAsker, kVipGroup, "87", "00", kVip, option)) ==
        NdpFault::kHardwareAddress);
  CHECK(FaultOf(advertise(kAllNodes, "60", "0201" + kAskerMac)) == NdpFault::kDestination);
  CHECK(FaultOf(advertise(kAllNodes, "20", "0201" + kAskerMac)) == NdpFault::kNone);
}

TEST_CASE("whatever is built is read back as it was: neighbour discovery", "[unit]") {
  rc::prop("parse after build is the identity", [] {
    const auto mac = [] {
      auto bytes = *rc::gen::arbitrary<std::array<std::uint8_t, 6>>();
      bytes[0] = static_cast<std::uint8_t>((bytes[0] & 0xfe) | 2);  // one station
      return MacAddr(bytes);
    };
    const auto unicast = [] {
      const auto low = *rc::gen::arbitrary<std::uint64_t>();
      return IpAddr::V6(absl::MakeUint128(0xfd00ULL << 48 | (*rc::gen::arbitrary<std::uint64_t>() >> 16), low));
    };
    NdpPacket packet;
    packet.ether_dst = MacAddr(*rc::gen::arbitrary<std::array<std::uint8_t, 6>>());
    packet.ether_src = mac();
    packet.kind = *rc::gen::element(NdpKind::kSolicitation, NdpKind::kAdvertisement);
    packet.source = unicast();
    packet.destination = unicast();
    packet.target = unicast();
    if (*rc::gen::arbitrary<bool>()) packet.link_address = mac();
    if (packet.kind == NdpKind::kAdvertisement) {
      packet.router = *rc::gen::arbitrary<bool>();
      packet.solicited = *rc::gen::arbitrary<bool>();
      packet.overrides = *rc::gen::arbitrary<bool>();
    }
    const NdpParse parsed = ParseNdp(Built(packet));
    RC_ASSERT(parsed.ok());
    RC_ASSERT(parsed.packet == packet);
  });
}

}  // namespace
}  // namespace berth::agent
