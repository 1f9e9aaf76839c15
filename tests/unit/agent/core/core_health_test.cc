// SPDX-License-Identifier: Apache-2.0
// What an agent says of its node's health, when it looks, and how it answers a census.
#include <catch2/catch.hpp>

#include "tests/unit/agent/core/core_harness.h"

namespace berth::agent {
namespace {

using Severity = sync::NodeFinding::Severity;
using Catch::Contains;

AgentConfig Reads() {
  AgentConfig config = CoreHarness::Config();
  config.reads_node = true;
  return config;
}

sync::ProbeRequest Census(std::vector<std::string> addresses) {
  sync::ProbeRequest request{
      .term = 1, .id = 4, .kind = sync::ProbeKind::kCensus, .timeout = absl::Milliseconds(300), .targets = {}};
  for (const std::string& a : addresses) request.targets.push_back({Ip(a), "eth0"});
  return request;
}

// The findings that the controller knows.
std::vector<sync::NodeFinding> Told(const CoreHarness& agent) {
  std::vector<sync::NodeFinding> told;
  for (const sync::Report& report : agent.All<sync::Report>()) {
    if (report.findings.has_value()) told = *report.findings;
  }
  return told;
}

TEST_CASE("what is wrong with the node is told once, again with each hello, and when it is over", "[unit]") {
  CoreHarness agent({}, Reads());
  agent.facts.forwarding = false;
  agent.Connect();
  CHECK(Told(agent).empty());  // it bears on nothing yet
  agent.Controller(CoreHarness::SnapshotOf(1, {Announce("192.0.2.10")}));
  agent.Advance(absl::Seconds(12));
  REQUIRE(Told(agent).size() == 1);
  CHECK_THAT(Told(agent)[0].message, Contains("does not forward IPv4"));
  agent.Forget();
  agent.Advance(absl::Minutes(2));
  CHECK(agent.All<sync::Report>().empty());
  CHECK(agent.Effected<ReadNode>() == 4);  // one each half minute

  agent.Feed(LinkDown{"gone"});
  agent.Forget();
  agent.Connect();
  CHECK(Told(agent).size() == 1);
  agent.facts.forwarding = true;
  agent.Advance(absl::Seconds(31));
  CHECK(agent.All<sync::Report>().size() == 2);
  CHECK(Told(agent).empty());
}

TEST_CASE("an agent without a reader neither reads nor tells the time", "[unit]") {
  CoreHarness agent;
  agent.Connect();
  agent.Controller(CoreHarness::SnapshotOf(1, {Announce("192.0.2.10")}));
  agent.Controller(Census({}));
  agent.Advance(absl::Minutes(1));
  CHECK(agent.Effected<ReadNode>() == 0);
  CHECK(agent.Last<sync::Hello>()->wall_ns == 0);
  for (const sync::Report& report : agent.All<sync::Report>()) CHECK(report.wall_ns == 0);
}

TEST_CASE("interfaces that may carry IPv4 are looked at, soon after they have changed", "[unit]") {
  CoreHarness agent({}, Reads());
  agent.Connect();
  CHECK(agent.read_of == std::vector<std::string>{"eth0"});
  Link eth1{.index = 3, .name = "eth1", .mac = kMacB, .up = true, .carrier = true};
  eth1.addresses = {Own("10.0.0.1/24")};
  Link veth{.index = 4, .name = "veth0", .mac = kMacC, .up = true, .carrier = true};
  veth.addresses = {Own("fe80::1/64")};
  agent.kernel.links.push_back(eth1);
  agent.kernel.links.push_back(veth);
  agent.ShowKernel();
  agent.Advance(absl::Seconds(1));
  CHECK(agent.read_of == std::vector<std::string>{"eth0", "eth1"});
}

TEST_CASE("a strict rp_filter on the announcing interface is a warning, which leaves the agent ready", "[unit]") {
  CoreHarness agent({}, Reads());
  agent.kernel.links[0].routes = {*Cidr::Parse("198.51.100.0/24")};
  Link eth1{.index = 3, .name = "eth1", .mac = kMacB, .up = true, .carrier = true};
  eth1.addresses = {Own("10.0.0.1/24")};
  eth1.routes = {*Cidr::Parse("0.0.0.0/0")};
  agent.kernel.links.push_back(eth1);
  agent.facts.rp_filter = {{"eth0", 1}, {"eth1", 1}};
  agent.Connect();
  agent.Controller(CoreHarness::SnapshotOf(1, {Announce("192.0.2.10")}));
  agent.Advance(absl::Seconds(2));
  REQUIRE(Told(agent).size() == 1);
  CHECK(Told(agent)[0].severity == Severity::kWarning);
  CHECK_THAT(Told(agent)[0].cure, Contains("eth0.rp_filter=2"));
  CHECK(agent.core().status().findings == Told(agent));
  CHECK(agent.core().status().unready.empty());
}

TEST_CASE("an error on the node makes the agent say that it is not ready", "[unit]") {
  CoreHarness agent({}, Reads());
  agent.facts.capabilities = 0;
  agent.Connect();
  REQUIRE(agent.core().status().unready.size() == 1);
  CHECK_THAT(agent.core().status().unready[0], Contains("NET_ADMIN, NET_RAW"));
  agent.facts.capabilities = ~std::uint64_t{0};
  agent.Advance(absl::Seconds(31));
  CHECK(agent.core().status().unready.empty());
}

TEST_CASE("our own interface set down, and a named one that is absent, are told", "[unit]") {
  CoreHarness agent({}, Reads());
  SECTION("down") {
    agent.Connect();
    agent.Controller(CoreHarness::SnapshotOf(1, {Announce("192.0.2.10")}));
    agent.Advance(absl::Seconds(2));
    REQUIRE(Told(agent).empty());
    agent.kernel.links.back().up = false;
    REQUIRE(agent.kernel.links.back().name == "berth0");
    agent.ShowKernel();
    agent.Advance(absl::Seconds(1));
    REQUIRE(Told(agent).size() == 1);
    CHECK(Told(agent)[0].severity == Severity::kError);
    CHECK(Told(agent)[0].cure == "ip link set berth0 up");
  }
  SECTION("absent") {
    agent.vip_status = absl::NotFoundError("no such interface");
    agent.Connect();
    REQUIRE(Told(agent).size() == 1);
    CHECK_THAT(Told(agent)[0].message, Contains("no such interface"));
    CHECK(agent.core().status().unready.size() == 1);
  }
}

TEST_CASE("a kernel that cannot be silenced is told at once, and when it can", "[unit]") {
  CoreHarness agent({}, Reads());
  agent.silence_status = absl::UnimplementedError("no arp family");
  agent.Connect();
  REQUIRE(Told(agent).size() == 1);
  CHECK(Told(agent)[0].severity == Severity::kError);
  CHECK_THAT(Told(agent)[0].message, Contains("no arp family"));
  agent.silence_status = absl::OkStatus();
  agent.Advance(absl::Seconds(2));
  CHECK(Told(agent).empty());
  CHECK(agent.core().status().unready.empty());
}

TEST_CASE("a census has the node looked at, is told the time, and gathers everybody", "[unit]") {
  CoreHarness agent({}, Reads());
  agent.Connect();
  agent.Controller(CoreHarness::SnapshotOf(1, {Announce("192.0.2.10")}));
  agent.Advance(absl::Seconds(12));
  CHECK(agent.Last<sync::Hello>()->wall_ns == absl::ToUnixNanos(agent.wall(agent.now - absl::Seconds(12))));
  agent.Forget();
  agent.facts.forwarding = false;  // since it was last looked at
  agent.wall = [](absl::Time t) { return t + absl::Hours(1); };
  agent.Controller(Census({"192.0.2.10", "192.0.2.30"}));
  CHECK(Told(agent).size() == 1);
  CHECK(agent.Last<sync::Report>()->wall_ns == absl::ToUnixNanos(agent.now + absl::Hours(1)));
  // Another candidate's kernel answers for what we announce, by a reply to us: that is for the leader to judge.
  agent.Feed(Seen{{.ifindex = kEth0, .address = Ip("192.0.2.10"), .mac = kMacB}});
  CHECK(agent.Answers("192.0.2.10"));
  agent.Feed(Seen{{.ifindex = kEth0, .address = Ip("192.0.2.30"), .mac = kMacB}});
  agent.Feed(Seen{{.ifindex = kEth0, .address = Ip("192.0.2.30"), .mac = kMacC}});
  CHECK(agent.All<sync::ProbeResult>().empty());
  agent.Advance(absl::Milliseconds(300));
  CHECK(agent.Probes("192.0.2.10") == 3);
  CHECK(agent.Probes("192.0.2.30") == 3);
  REQUIRE(agent.All<sync::ProbeResult>().size() == 1);
  const sync::ProbeResult result = *agent.Last<sync::ProbeResult>();
  CHECK(result.answers[0].macs == std::vector<MacAddr>{kOurMac, kMacB});
  CHECK(result.answers[1].macs == std::vector<MacAddr>{kMacB, kMacC});
  CHECK(agent.conflicts == 0);
  // Once it is over, and when it is said unasked, a claim is a claim.
  agent.See("192.0.2.10", kMacB);
  CHECK_FALSE(agent.Answers("192.0.2.10"));
}

TEST_CASE("a rival that claims an address unasked is heard during a census, too", "[unit]") {
  CoreHarness agent({}, Reads());
  agent.Connect();
  agent.Controller(CoreHarness::SnapshotOf(1, {Announce("192.0.2.10")}));
  agent.Advance(absl::Seconds(12));
  agent.Controller(Census({"192.0.2.10"}));
  agent.See("192.0.2.10", kMacB);
  CHECK_FALSE(agent.Answers("192.0.2.10"));
}

TEST_CASE("a census of an IPv6 address is asked for by name, so that nobody's answer goes to all nodes", "[unit]") {
  CoreHarness agent({}, Reads());
  agent.kernel.links[0].addresses.push_back(Own("fd00::1/64"));
  agent.Connect();
  agent.Controller(CoreHarness::SnapshotOf(1, {}));
  agent.Advance(absl::Seconds(1));
  agent.Forget();
  agent.Controller(Census({"fd00::30"}));
  agent.Advance(absl::Milliseconds(300));
  REQUIRE(agent.frames.size() == 3);
  for (const CoreHarness::Sent& sent : agent.frames) {
    CHECK(sent.packet.op == ArpOp::kRequest);
    CHECK(sent.packet.sender_ip == Ip("fd00::1"));
    CHECK(sent.packet.sender_mac == kOurMac);
    CHECK(sent.packet.target_ip == Ip("fd00::30"));
  }
}

}  // namespace
}  // namespace berth::agent
