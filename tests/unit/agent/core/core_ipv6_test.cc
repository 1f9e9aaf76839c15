// SPDX-License-Identifier: Apache-2.0
// IPv6 addresses go the way of IPv4 ones; what differs on the wire is tried here.
#include <catch2/catch.hpp>

#include "tests/unit/agent/core/core_harness.h"

namespace berth::agent {
namespace {

const char kIpv6Vip[] = "2001:db8::10";

sync::ProbeRequest Probe(sync::ProbeKind kind, const std::string& address) {
  sync::ProbeRequest request;
  request.term = 1;
  request.id = 7;
  request.kind = kind;
  request.timeout = absl::Milliseconds(200);
  request.targets = {{Ip(address), "eth0"}};
  return request;
}

TEST_CASE("an IPv6 address is silenced, made local, answered for and announced as often as IPv4's", "[unit]") {
  CoreHarness agent = Connected({Announce(kIpv6Vip)});
  CHECK(agent.Answers(kIpv6Vip));
  CHECK(agent.Local(kIpv6Vip));
  CHECK(agent.silence.addresses.contains(Ip(kIpv6Vip)));
  CHECK_FALSE(agent.order_broken);
  CHECK(agent.Last<sync::Applied>().has_value());
  CHECK_FALSE(agent.Last<sync::Rejected>().has_value());
  CHECK(agent.Gratuitous(kIpv6Vip) == 1);
  CHECK(agent.frames.at(0).packet.ether_dst == Mac("33:33:00:00:00:01"));
  agent.Advance(absl::Milliseconds(1099));
  CHECK(agent.Gratuitous(kIpv6Vip) == 1);
  agent.Advance(absl::Milliseconds(1));
  CHECK(agent.Gratuitous(kIpv6Vip) == 2);
  agent.Advance(absl::Minutes(10));
  CHECK(agent.Gratuitous(kIpv6Vip) == 5);
}

TEST_CASE("F12: IPv4 and IPv6 addresses on one interface are both answered for", "[unit]") {
  CoreHarness agent = Connected({Announce("192.0.2.10"), Announce(kIpv6Vip)});
  CHECK(agent.Answers("192.0.2.10"));
  CHECK(agent.Answers(kIpv6Vip));
  CHECK(agent.table->interfaces.at(kEth0).watch.contains(Ip(kIpv6Vip)));
}

TEST_CASE("a new IPv6 address is asked for three times, and who has it is told", "[unit]") {
  CoreHarness agent = Connected({});
  agent.Controller(Probe(sync::ProbeKind::kNewAddress, kIpv6Vip));
  CHECK(agent.Probes(kIpv6Vip) == 1);
  CHECK(agent.frames.at(0).packet.ether_dst == Mac("33:33:ff:00:00:10"));
  CHECK(agent.table->interfaces.at(kEth0).watch.contains(Ip(kIpv6Vip)));
  agent.See(kIpv6Vip, kStranger);
  agent.Advance(absl::Milliseconds(200));
  CHECK(agent.Probes(kIpv6Vip) == 3);
  const auto result = agent.Last<sync::ProbeResult>();
  REQUIRE(result.has_value());
  CHECK(result->answers.at(0).probed);
  CHECK(result->answers.at(0).macs == std::vector<MacAddr>{kStranger});
}

TEST_CASE("rivals and strangers are told apart for IPv6 too", "[unit]") {
  CoreHarness agent = Connected({Announce(kIpv6Vip)});
  agent.Advance(absl::Seconds(20));
  agent.Forget();
  SECTION("a candidate mutes us") {
    agent.See(kIpv6Vip, kMacB);
    CHECK_FALSE(agent.Answers(kIpv6Vip));
  }
  SECTION("a stranger is reported, and the address defended") {
    agent.See(kIpv6Vip, kStranger);
    CHECK(agent.Answers(kIpv6Vip));
    CHECK(agent.Gratuitous(kIpv6Vip) == 1);
    CHECK(agent.conflicts == 1);
  }
}

TEST_CASE("where the kernel cannot be silenced for IPv6 its addresses are refused, and IPv4 goes on", "[unit]") {
  CoreHarness agent;
  agent.silence6 = false;
  agent.Connect();
  agent.Controller(CoreHarness::SnapshotOf(1, {Announce("192.0.2.10"), Announce(kIpv6Vip)}));
  CHECK(agent.Answers("192.0.2.10"));
  CHECK_FALSE(agent.Answers(kIpv6Vip));
  CHECK_FALSE(agent.Local(kIpv6Vip));
  CHECK(agent.Gratuitous(kIpv6Vip) == 0);
  const auto rejected = agent.Last<sync::Rejected>();
  REQUIRE(rejected.has_value());
  REQUIRE(rejected->rejections.size() == 1);
  CHECK(rejected->rejections[0].address == Ip(kIpv6Vip));
  CHECK(rejected->rejections[0].code == sync::RejectCode::kSilenceUnavailable);
  CHECK(rejected->rejections[0].message.find("CONFIG_NF_TABLES_IPV6") != std::string::npos);
  agent.Controller(CoreHarness::DeltaOf(1, {Announce("192.0.2.11")}));
  CHECK(agent.Answers("192.0.2.11"));
}

TEST_CASE("T123: an interface whose link-local address is not in use, or with a /128 only, announces all the same",
          "[unit]") {
  CoreHarness agent;
  LinkAddress tentative = Own("fe80::1/64");
  tentative.tentative = true;
  agent.kernel.links[0].addresses = {tentative};
  SECTION("nothing but an address in doubt") {}
  SECTION("a /128 besides") { agent.kernel.links[0].addresses.push_back(Own("2001:db8::1/128")); }
  agent.Connect();
  agent.Controller(CoreHarness::SnapshotOf(1, {Announce(kIpv6Vip)}));
  CHECK(agent.Answers(kIpv6Vip));
  CHECK(agent.Gratuitous(kIpv6Vip) == 1);
}

}  // namespace
}  // namespace berth::agent
