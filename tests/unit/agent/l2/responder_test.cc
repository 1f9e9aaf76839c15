// SPDX-License-Identifier: Apache-2.0
#include "agent/effect/l2/responder.h"

#include <catch2/catch.hpp>
#include <random>

#include "agent/effect/l2/arp_packet.h"
#include "tests/unit/agent/l2/arp_bytes.h"

namespace berth::agent {
namespace {

using testing::Bytes;
using testing::Hex;
using testing::Padded;

const std::string kBroadcast = "ffffffffffff";
const std::string kM1 = "02005e100001";  // ours
const std::string kClient = "02005e100099";
const std::string kRival = "02005e100066";
const std::string kZero = "000000000000";
const std::string kDot1 = "0a000001", kDot10 = "0a00000a", kDot11 = "0a00000b";

Bytes Arp(const std::string& to, const std::string& from, const std::string& op, const std::string& sender_mac,
          const std::string& sender_ip, const std::string& target_mac, const std::string& target_ip) {
  return Padded(Hex(to + from + "0806 0001 0800 06 04" + op + sender_mac + sender_ip + target_mac + target_ip));
}
Bytes Request(const std::string& target, const std::string& to = kBroadcast) {
  return Arp(to, kClient, "0001", kClient, kDot1, kZero, target);
}

struct Outcome {
  RespondResult result;
  Bytes reply;  // what stands in the buffer
};

// n1 owns 10.0.0.10 on eth0 (MAC m1), and watches it and 10.0.0.11.
Outcome Hear(const Bytes& frame, absl::Duration age = absl::ZeroDuration()) {
  InterfaceTable table;
  table.mac = *MacAddr::Parse("02:00:5e:10:00:01");
  table.answer = {*IpAddr::Parse("10.0.0.10")};
  table.watch = {*IpAddr::Parse("10.0.0.10"), *IpAddr::Parse("10.0.0.11")};
  Outcome outcome;
  outcome.reply.assign(kMaxReplySize, 0xee);
  outcome.result = Respond(table, frame, age, outcome.reply.data());
  if (outcome.result.verdict == Verdict::kReply) outcome.reply.resize(outcome.result.reply_size);
  return outcome;
}

bool Untouched(const Bytes& reply) { return reply == Bytes(kMaxReplySize, 0xee); }

TEST_CASE("T110: a broadcast request for our address is answered, unicast to the asker, with our MAC", "[unit]") {
  const Outcome heard = Hear(Request(kDot10));
  CHECK(heard.result.verdict == Verdict::kReply);
  CHECK(heard.result.request);
  CHECK_FALSE(heard.result.sighting.has_value());
  CHECK(heard.reply == Arp(kClient, kM1, "0002", kM1, kDot10, kClient, kDot1));
}

TEST_CASE("T111: replies about our address and requests for others are not answered", "[unit]") {
  const Outcome reply = Hear(Arp(kBroadcast, kClient, "0002", kClient, kDot1, kZero, kDot10));
  CHECK(reply.result.verdict == Verdict::kIgnore);
  CHECK_FALSE(reply.result.request);
  CHECK(Untouched(reply.reply));
  const Outcome other = Hear(Request(kDot11));
  CHECK(other.result.verdict == Verdict::kIgnore);
  CHECK(other.result.request);
  CHECK(Untouched(other.reply));
}

TEST_CASE("T112: a request to a foreign unicast MAC, or to a group, is not answered", "[unit]") {
  CHECK(Hear(Request(kDot10, kRival)).result.verdict == Verdict::kIgnore);
  CHECK(Hear(Request(kDot10, "01005e000001")).result.verdict == Verdict::kIgnore);
  CHECK(Hear(Request(kDot10, kZero)).result.verdict == Verdict::kIgnore);
}

TEST_CASE("T113: a request unicast to our MAC is answered", "[unit]") {
  const Outcome heard = Hear(Request(kDot10, kM1));
  CHECK(heard.result.verdict == Verdict::kReply);
  CHECK(heard.reply == Arp(kClient, kM1, "0002", kM1, kDot10, kClient, kDot1));
}

TEST_CASE("an ARP probe is answered, so that the prober leaves our address alone", "[unit]") {
  const Outcome heard = Hear(Arp(kBroadcast, kClient, "0001", kClient, "00000000", kZero, kDot10));
  CHECK(heard.result.verdict == Verdict::kReply);
  CHECK(heard.reply == Arp(kClient, kM1, "0002", kM1, kDot10, kClient, "00000000"));
}

TEST_CASE("our own frames are neither answered nor sighted", "[unit]") {
  const Bytes frames[] = {
      Arp(kBroadcast, kM1, "0001", kM1, kDot1, kZero, kDot10),       // our kernel asks
      Arp(kBroadcast, kM1, "0001", kM1, kDot10, kZero, kDot10),      // our announcement, handed back by a switch
      Arp(kBroadcast, kM1, "0002", kM1, kDot10, kM1, kDot10),        //
      Arp(kBroadcast, kM1, "0001", kClient, kDot1, kZero, kDot10),   // our Ethernet source alone
      Arp(kBroadcast, kClient, "0001", kM1, kDot11, kZero, kDot10),  // our sender MAC alone
  };
  for (const Bytes& frame : frames) {
    const Outcome heard = Hear(frame);
    CHECK(heard.result.verdict == Verdict::kIgnore);
    CHECK_FALSE(heard.result.request);
    CHECK_FALSE(heard.result.sighting.has_value());
    CHECK(Untouched(heard.reply));
  }
}

TEST_CASE("a rival's gratuitous request is sighted and never answered", "[unit]") {
  const Outcome heard = Hear(Arp(kBroadcast, kRival, "0001", kRival, kDot10, kZero, kDot10));
  CHECK(heard.result.verdict == Verdict::kIgnore);
  CHECK(Untouched(heard.reply));
  REQUIRE(heard.result.sighting.has_value());
  CHECK(heard.result.sighting->address == *IpAddr::Parse("10.0.0.10"));
  CHECK(heard.result.sighting->mac == *MacAddr::Parse("02:00:5e:10:00:66"));
  CHECK(heard.result.sighting->request);
  CHECK(heard.result.sighting->gratuitous);
}

TEST_CASE("a rival's replies are sighted, gratuitous and other ones", "[unit]") {
  const Outcome gratuitous = Hear(Arp(kBroadcast, kRival, "0002", kRival, kDot11, kRival, kDot11));
  REQUIRE(gratuitous.result.sighting.has_value());
  CHECK_FALSE(gratuitous.result.sighting->request);
  CHECK(gratuitous.result.sighting->gratuitous);
  const Outcome answer = Hear(Arp(kM1, kRival, "0002", kRival, kDot11, kM1, kDot1));
  REQUIRE(answer.result.sighting.has_value());
  CHECK_FALSE(answer.result.sighting->gratuitous);
}

TEST_CASE("one request may be answered for its target and sighted for its sender", "[unit]") {
  const Outcome heard = Hear(Arp(kBroadcast, kRival, "0001", kRival, kDot11, kZero, kDot10));
  CHECK(heard.result.verdict == Verdict::kReply);
  REQUIRE(heard.result.sighting.has_value());
  CHECK(heard.result.sighting->address == *IpAddr::Parse("10.0.0.11"));
}

TEST_CASE("what nobody watches is not sighted", "[unit]") {
  CHECK_FALSE(Hear(Arp(kBroadcast, kRival, "0001", kRival, "0a00000c", kZero, "0a00000c")).result.sighting.has_value());
}

TEST_CASE("a request older than 200 ms, or from before the clock was set back, is never answered", "[unit]") {
  CHECK(Hear(Request(kDot10), absl::Milliseconds(200)).result.verdict == Verdict::kReply);
  CHECK(Hear(Request(kDot10), absl::Milliseconds(-200)).result.verdict == Verdict::kReply);
  for (const absl::Duration age : {absl::Milliseconds(200) + absl::Nanoseconds(1), absl::Hours(1),
                                   absl::Milliseconds(-200) - absl::Nanoseconds(1)}) {
    const Outcome heard = Hear(Request(kDot10), age);
    CHECK(heard.result.verdict == Verdict::kStale);
    CHECK(heard.result.request);
    CHECK(Untouched(heard.reply));
  }
  CHECK(Hear(Request(kDot11), absl::Hours(1)).result.verdict == Verdict::kIgnore);
}

TEST_CASE("an old claim is still sighted: it tells a process that stood still who took over", "[unit]") {
  CHECK(
      Hear(Arp(kBroadcast, kRival, "0001", kRival, kDot10, kZero, kDot10), absl::Hours(1)).result.sighting.has_value());
}

TEST_CASE("malformed frames are named so, and nothing else comes of them", "[unit]") {
  Bytes vlan = Request(kDot10);
  vlan[12] = 0x81;
  vlan[13] = 0x00;
  const Bytes frames[] = {
      {},
      Hex("ffffffffffff"),
      vlan,
      Arp(kBroadcast, kClient, "0001", kZero, kDot10, kZero, kDot10),
      Arp(kBroadcast, kClient, "0001", kBroadcast, kDot1, kZero, kDot10),
      Arp(kBroadcast, kClient, "0003", kClient, kDot10, kZero, kDot10),
  };
  for (const Bytes& frame : frames) {
    const Outcome heard = Hear(frame);
    CHECK(heard.result.verdict == Verdict::kMalformed);
    CHECK_FALSE(heard.result.request);
    CHECK_FALSE(heard.result.sighting.has_value());
    CHECK(Untouched(heard.reply));
  }
}

TEST_CASE("an empty table answers and sights nothing", "[unit]") {
  Bytes reply(kMaxReplySize);
  const RespondResult result = Respond(InterfaceTable(), Request(kDot10), absl::ZeroDuration(), reply.data());
  CHECK(result.verdict == Verdict::kIgnore);
  CHECK_FALSE(result.sighting.has_value());
}

}  // namespace
}  // namespace berth::agent
