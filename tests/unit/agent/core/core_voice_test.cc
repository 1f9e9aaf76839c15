// SPDX-License-Identifier: Apache-2.0
// Who is answered for, and what becomes of it when others claim the same.
#include <catch2/catch.hpp>

#include "absl/strings/str_cat.h"
#include "tests/unit/agent/core/core_harness.h"

namespace berth::agent {
namespace {

using sync::Role;

TEST_CASE("a gained address is announced at once, after 1.1 s, and no more after 10 s", "[unit]") {
  CoreHarness agent = Connected({Announce("192.0.2.10")});
  CHECK(agent.Gratuitous("192.0.2.10") == 2);
  CHECK(agent.frames.at(0).packet.op == ArpOp::kRequest);
  CHECK(agent.frames.at(1).packet.op == ArpOp::kReply);
  agent.Advance(absl::Milliseconds(1099));
  CHECK(agent.Gratuitous("192.0.2.10") == 2);
  agent.Advance(absl::Milliseconds(1));
  CHECK(agent.Gratuitous("192.0.2.10") == 4);
  agent.Advance(absl::Seconds(9));
  const std::size_t all = agent.Gratuitous("192.0.2.10");
  CHECK(all == 10);
  agent.Advance(absl::Minutes(10));
  CHECK(agent.Gratuitous("192.0.2.10") == all);
}

TEST_CASE("hundreds of addresses are paced, each answered for from its first frame on, firsts before repeats",
          "[unit]") {
  CoreHarness agent;
  agent.echo = false;
  agent.Connect();
  std::vector<sync::Assignment> many;
  for (int i = 0; i < 800; ++i) many.push_back(Announce(absl::StrCat("198.51.", 100 + i / 250, ".", i % 250 + 1)));
  agent.Controller(CoreHarness::SnapshotOf(1, many));
  agent.ShowKernel();
  CHECK(agent.frames.size() == 400);
  CHECK_FALSE(agent.Last<sync::Applied>().has_value());
  std::size_t before = agent.frames.size();
  for (int slice = 0; slice < 3; ++slice) {
    agent.Advance(absl::Milliseconds(10));
    CHECK(agent.frames.size() - before <= 400);
    CHECK(agent.core().announced().size() * 2 == agent.frames.size());
    before = agent.frames.size();
  }
  CHECK(agent.frames.size() == 1600);
  CHECK(agent.Last<sync::Applied>().has_value());
  std::set<IpAddr> heard;
  for (const auto& f : agent.frames) heard.insert(f.packet.sender_ip);
  CHECK(heard.size() == 800);
  CHECK(agent.All<sync::Report>().size() <= 4);
  CHECK(agent.All<sync::Report>().back().announced->size() == 800);
}

TEST_CASE("a holder told to yield mutes on the successor's first frame and reports it", "[unit]") {
  sync::Assignment a = Announce("192.0.2.10");
  CoreHarness agent = Connected({a});
  a.yield_to = {kMacC};
  agent.Controller(CoreHarness::DeltaOf(1, {a}));
  CHECK(agent.Answers("192.0.2.10"));
  agent.Forget();
  agent.See("192.0.2.10", kMacC);
  CHECK_FALSE(agent.Answers("192.0.2.10"));
  CHECK(agent.Last<sync::Report>()->announced->empty());
  agent.Advance(absl::Minutes(1));
  CHECK(agent.frames.empty());
  CHECK(agent.Local("192.0.2.10"));
}

TEST_CASE("a rival candidate mutes an address until the leader's newer word", "[unit]") {
  CoreHarness agent = Connected({Announce("192.0.2.10"), Announce("192.0.2.11")});
  agent.Forget();
  agent.See("192.0.2.10", kMacC);
  CHECK_FALSE(agent.Answers("192.0.2.10"));
  CHECK(agent.Answers("192.0.2.11"));
  REQUIRE(agent.Last<sync::Report>().has_value());
  CHECK(agent.Last<sync::Report>()->announced->size() == 1);
  CHECK_FALSE(agent.Last<sync::Report>()->conflicts.has_value());
  agent.Advance(absl::Seconds(20));
  CHECK_FALSE(agent.Answers("192.0.2.10"));
  agent.Controller(CoreHarness::DeltaOf(1, {Announce("192.0.2.10", {1, 1})}));
  CHECK_FALSE(agent.Answers("192.0.2.10"));
  agent.Forget();
  agent.Controller(CoreHarness::DeltaOf(2, {Announce("192.0.2.10", {1, 3})}));
  CHECK(agent.Answers("192.0.2.10"));
  CHECK(agent.Gratuitous("192.0.2.10") == 2);
}

TEST_CASE("a new leader's first snapshot settles a rivalry", "[unit]") {
  CoreHarness agent = Connected({Announce("192.0.2.10")});
  agent.See("192.0.2.10", kMacB);
  agent.Feed(LinkDown{"gone"});
  agent.Connect();
  agent.Controller(CoreHarness::SnapshotOf(1, {Announce("192.0.2.10")}, 2));
  CHECK(agent.Answers("192.0.2.10"));
}

TEST_CASE("without a leader the better candidate wins and the worse one keeps silent", "[unit]") {
  CoreHarness agent = Connected({Announce("192.0.2.10")});
  agent.Feed(LinkDown{"gone"});
  agent.Forget();
  SECTION("against a better rival") {
    agent.See("192.0.2.10", kMacB);
    agent.Advance(absl::Minutes(1));
    CHECK_FALSE(agent.Answers("192.0.2.10"));
  }
  SECTION(
      "against a worse rival it asks the LAN after a second, and speaks again where that is silent, but only once") {
    agent.See("192.0.2.10", kMacC);
    CHECK_FALSE(agent.Answers("192.0.2.10"));
    agent.Advance(absl::Milliseconds(1100));
    CHECK_FALSE(agent.Answers("192.0.2.10"));
    CHECK(agent.Probes("192.0.2.10") >= 1);
    agent.Advance(absl::Milliseconds(200));
    CHECK(agent.Answers("192.0.2.10"));
    CHECK(agent.Gratuitous("192.0.2.10") >= 2);
    agent.See("192.0.2.10", kMacC);
    agent.Advance(absl::Minutes(1));
    CHECK_FALSE(agent.Answers("192.0.2.10"));
  }
}

TEST_CASE("a rivalry that the leader left undecided when it went is decided by rank", "[unit]") {
  CoreHarness agent = Connected({Announce("192.0.2.10")});
  agent.See("192.0.2.10", kMacC);
  agent.Feed(LinkDown{"gone"});
  agent.Advance(absl::Milliseconds(1100));
  SECTION("where the rival is silent") {
    agent.Advance(absl::Milliseconds(200));
    CHECK(agent.Answers("192.0.2.10"));
  }
  SECTION("but not while the rival answers") {
    agent.See("192.0.2.10", kMacC);
    agent.Advance(absl::Seconds(3));
    CHECK_FALSE(agent.Answers("192.0.2.10"));
  }
}

TEST_CASE("a stranger is reported and defended against at most every 10 seconds", "[unit]") {
  CoreHarness agent = Connected({Announce("192.0.2.10")});
  agent.Advance(absl::Seconds(12));
  agent.Forget();
  for (int i = 0; i < 99; ++i) {
    agent.See("192.0.2.10", kStranger);
    agent.Advance(absl::Milliseconds(100));
  }
  CHECK(agent.Gratuitous("192.0.2.10") == 2);
  CHECK(agent.Answers("192.0.2.10"));
  CHECK(agent.conflicts == 1);
  REQUIRE(agent.All<sync::Report>().size() == 1);
  CHECK(agent.Last<sync::Report>()->conflicts->at(0) == sync::Conflict{Ip("192.0.2.10"), "eth0", kStranger});
  agent.Advance(absl::Milliseconds(100));
  agent.See("192.0.2.10", kStranger);
  CHECK(agent.Gratuitous("192.0.2.10") == 4);
  agent.Advance(absl::Seconds(29));
  CHECK(agent.All<sync::Report>().size() == 1);
  agent.Advance(absl::Seconds(1));
  CHECK(agent.Last<sync::Report>()->conflicts->empty());
}

TEST_CASE("who makes up MACs without end is remembered to a bound", "[unit]") {
  CoreHarness agent = Connected({Announce("192.0.2.10")});
  for (std::uint8_t i = 0; i < 200; ++i) agent.See("192.0.2.10", MacAddr({2, 9, 9, 9, 9, i}));
  CHECK(agent.Last<sync::Report>()->conflicts->size() <= 8);
}

TEST_CASE("frames of this node's own interfaces are no claim", "[unit]") {
  CoreHarness agent = Connected({Announce("192.0.2.10")});
  Link eth1 = agent.kernel.links.at(0);
  eth1.index = 3;
  eth1.name = "eth1";
  eth1.mac = kMacC;
  eth1.addresses.clear();
  agent.kernel.links.push_back(eth1);
  agent.ShowKernel();
  agent.See("192.0.2.10", kMacC);
  CHECK(agent.Answers("192.0.2.10"));
  CHECK(agent.conflicts == 0);
}

TEST_CASE("claims of an address held silently change nothing", "[unit]") {
  CoreHarness agent = Connected({Assign("192.0.2.10", Role::kPrepare)});
  agent.Forget();
  agent.See("192.0.2.10", kMacB);
  agent.See("192.0.2.10", kStranger);
  CHECK(agent.frames.empty());
  CHECK(agent.sent.empty());
}

}  // namespace
}  // namespace berth::agent
