// SPDX-License-Identifier: Apache-2.0
#include <catch2/catch.hpp>

#include "agent/effect/l2/responder.h"
#include "tests/unit/agent/l2/ndp_bytes.h"

namespace berth::agent {
namespace {

using namespace berth::testing;  // NOLINT(google-build-using-namespace): frames in hex

const std::string kOurMac = "02005e100001", kRivalMac = "02005e100066";
const std::string kWatched = "fd000000000000000000000000000011";

struct Outcome {
  RespondResult result;
  Bytes reply;  // as many bytes as the result says; what was not written is 0xee
};

// n1 owns fd00::10 on eth0, and watches it and fd00::11.
Outcome Hear(const Bytes& frame, absl::Duration age = absl::ZeroDuration()) {
  InterfaceTable table;
  table.mac = *MacAddr::Parse("02:00:5e:10:00:01");
  table.answer = {*IpAddr::Parse("fd00::10")};
  table.watch = {*IpAddr::Parse("fd00::10"), *IpAddr::Parse("fd00::11")};
  Outcome outcome;
  outcome.reply.assign(kMaxReplySize, 0xee);
  outcome.result = Respond(table, frame, age, outcome.reply.data());
  if (outcome.result.verdict == Verdict::kReply) {
    outcome.reply.resize(outcome.result.reply_size);
  } else {
    CHECK(outcome.reply == Bytes(kMaxReplySize, 0xee));
  }
  return outcome;
}

Bytes Answer(const std::string& to_mac, const std::string& to, const std::string& flags) {
  return Ndp(to_mac, kOurMac, kVip, to, "88", flags, kVip, "0201" + kOurMac);
}
Bytes Advertisement(const std::string& target, const std::string& flags, const std::string& mac,
                    const std::string& options) {
  const bool solicited = flags == "40" || flags == "60";
  return Ndp(solicited ? kAskerMac : kAllNodesMac, mac, target, solicited ? kAsker : kAllNodes, "88", flags, target,
             options);
}

TEST_CASE("T120: a multicast solicitation is answered once: solicited, our MAC, to who asks", "[unit]") {
  const Outcome heard = Hear(Solicitation());
  CHECK(heard.result.verdict == Verdict::kReply);
  CHECK(heard.result.family == Family::kIpv6);
  CHECK(heard.result.request);
  CHECK_FALSE(heard.result.sighting.has_value());
  CHECK(heard.reply == Answer(kAskerMac, kAsker, "40"));
}

TEST_CASE("F11: the answer to a solicitation is solicited and does not override", "[unit]") {
  const Outcome heard = Hear(Solicitation());
  REQUIRE(heard.reply.size() == 86);
  CHECK(heard.reply[58] == 0x40);
}

TEST_CASE("the answer goes to the address that the solicitation names, not to who forwards it", "[unit]") {
  const Outcome heard =
      Hear(Ndp(kVipGroupMac, "02005e1000aa", kAsker, kVipGroup, "87", "00", kVip, "0101" + kAskerMac));
  CHECK(heard.reply == Answer(kAskerMac, kAsker, "40"));
}

TEST_CASE("a unicast solicitation, as of a host that checks its neighbour, is answered", "[unit]") {
  CHECK(Hear(Solicitation(kVip, kOurMac, kVip)).reply == Answer(kAskerMac, kAsker, "40"));
  // It need not name a MAC: then the Ethernet source is it.
  const Outcome bare = Hear(Ndp(kOurMac, kAskerMac, kAsker, kVip, "87", "00", kVip, ""));
  CHECK(bare.result.verdict == Verdict::kReply);
  CHECK(bare.reply == Answer(kAskerMac, kAsker, "40"));
}

TEST_CASE("a probe for our address is answered to all nodes, so that the prober leaves it alone", "[unit]") {
  const Outcome heard = Hear(Ndp(kVipGroupMac, kAskerMac, kNobody, kVipGroup, "87", "00", kVip, ""));
  CHECK(heard.result.verdict == Verdict::kReply);
  CHECK(heard.reply == Answer(kAllNodesMac, kAllNodes, "00"));
  CHECK_FALSE(heard.result.sighting.has_value());
}

TEST_CASE("solicitations for others, and to foreign MACs or groups, are not answered", "[unit]") {
  const Outcome other = Hear(Solicitation(kWatched, "3333ff000011", "ff0200000000000000000001ff000011"));
  CHECK(other.result.verdict == Verdict::kIgnore);
  CHECK(other.result.request);
  for (const std::string& to : {kRivalMac, std::string("3333ff000011"), kAllNodesMac, std::string("ffffffffffff")}) {
    CHECK(Hear(Solicitation(kVip, to)).result.verdict == Verdict::kIgnore);
  }
}

TEST_CASE("advertisements are never answered; a rival's are sighted", "[unit]") {
  const Outcome announced = Hear(Advertisement(kVip, "20", kRivalMac, "0201" + kRivalMac));
  CHECK(announced.result.verdict == Verdict::kIgnore);
  CHECK_FALSE(announced.result.request);
  REQUIRE(announced.result.sighting.has_value());
  CHECK(announced.result.sighting->address == *IpAddr::Parse("fd00::10"));
  CHECK(announced.result.sighting->mac == *MacAddr::Parse("02:00:5e:10:00:66"));
  CHECK_FALSE(announced.result.sighting->request);
  CHECK(announced.result.sighting->gratuitous);
  // An answer, to somebody else or to a probe, is a claim too, but no announcement; its MAC may be the Ethernet source.
  for (const char* flags : {"40", "00"}) {
    const Outcome answered = Hear(Advertisement(kWatched, flags, kRivalMac, ""));
    REQUIRE(answered.result.sighting.has_value());
    CHECK(answered.result.sighting->address == *IpAddr::Parse("fd00::11"));
    CHECK(answered.result.sighting->mac == *MacAddr::Parse("02:00:5e:10:00:66"));
    CHECK_FALSE(answered.result.sighting->gratuitous);
  }
  CHECK_FALSE(Hear(Advertisement("fd000000000000000000000000000012", "20", kRivalMac, "")).result.sighting.has_value());
}

TEST_CASE("who asks from a watched address is sighted, and answered all the same", "[unit]") {
  const Outcome heard = Hear(Ndp(kVipGroupMac, kRivalMac, kWatched, kVipGroup, "87", "00", kVip, "0101" + kRivalMac));
  CHECK(heard.result.verdict == Verdict::kReply);
  REQUIRE(heard.result.sighting.has_value());
  CHECK(heard.result.sighting->address == *IpAddr::Parse("fd00::11"));
  CHECK(heard.result.sighting->request);
  CHECK_FALSE(heard.result.sighting->gratuitous);
}

TEST_CASE("who asks for our address from that very address is sighted and not answered", "[unit]") {
  const Outcome heard = Hear(Ndp(kVipGroupMac, kRivalMac, kVip, kVipGroup, "87", "00", kVip, "0101" + kRivalMac));
  CHECK(heard.result.verdict == Verdict::kIgnore);
  CHECK(heard.result.sighting.has_value());
}

TEST_CASE("our own neighbour discovery is neither answered nor sighted", "[unit]") {
  const Bytes frames[] = {
      Ndp(kVipGroupMac, kOurMac, kAsker, kVipGroup, "87", "00", kVip, "0101" + kOurMac),
      Ndp(kVipGroupMac, kAskerMac, kAsker, kVipGroup, "87", "00", kVip, "0101" + kOurMac),
      Ndp(kVipGroupMac, kOurMac, kAsker, kVipGroup, "87", "00", kVip, "0101" + kAskerMac),
      Ndp(kVipGroupMac, kOurMac, kNobody, kVipGroup, "87", "00", kVip, ""),
      Advertisement(kVip, "20", kOurMac, "0201" + kOurMac),
  };
  for (const Bytes& frame : frames) {
    const Outcome heard = Hear(frame);
    CHECK(heard.result.verdict == Verdict::kIgnore);
    CHECK_FALSE(heard.result.request);
    CHECK_FALSE(heard.result.sighting.has_value());
  }
}

TEST_CASE("a solicitation older than 200 ms, or from before the clock was set back, is never answered", "[unit]") {
  CHECK(Hear(Solicitation(), absl::Milliseconds(200)).result.verdict == Verdict::kReply);
  for (const absl::Duration age :
       {absl::Milliseconds(200) + absl::Nanoseconds(1), absl::Milliseconds(-200) - absl::Nanoseconds(1)}) {
    CHECK(Hear(Solicitation(), age).result.verdict == Verdict::kStale);
  }
  CHECK(Hear(Advertisement(kVip, "20", kRivalMac, ""), absl::Hours(1)).result.sighting.has_value());
}

TEST_CASE("malformed neighbour discovery is named so, and nothing else comes of it", "[unit]") {
  Bytes forwarded = Solicitation();
  forwarded[21] = 64;
  Bytes damaged = Solicitation();
  damaged[60] = 1;
  Bytes other = Solicitation();
  other[54] = 128;  // an echo request
  for (const Bytes& frame : {forwarded, damaged, Summed(other)}) {
    const Outcome heard = Hear(frame);
    CHECK(heard.result.verdict == Verdict::kMalformed);
    CHECK_FALSE(heard.result.request);
    CHECK_FALSE(heard.result.sighting.has_value());
  }
}

TEST_CASE("F12: one table answers for IPv4 and for IPv6 addresses of an interface", "[unit]") {
  InterfaceTable table;
  table.mac = *MacAddr::Parse("02:00:5e:10:00:01");
  table.answer = {*IpAddr::Parse("10.0.0.10"), *IpAddr::Parse("fd00::10")};
  Bytes out(kMaxReplySize);
  const Bytes arp = Padded(
      Hex("ffffffffffff" + kAskerMac + "0806 0001 0800 06 04 0001" + kAskerMac + "0a000001 000000000000 0a00000a"));
  const RespondResult four = Respond(table, arp, absl::ZeroDuration(), out.data());
  CHECK(four.verdict == Verdict::kReply);
  CHECK(four.family == Family::kIpv4);
  CHECK(four.reply_size == 60);
  const RespondResult six = Respond(table, Solicitation(), absl::ZeroDuration(), out.data());
  CHECK(six.verdict == Verdict::kReply);
  CHECK(six.family == Family::kIpv6);
  CHECK(six.reply_size == 86);
}

}  // namespace
}  // namespace berth::agent
