// SPDX-License-Identifier: Apache-2.0
// What an agent tells its controller, and what it asks the LAN for it.
#include <catch2/catch.hpp>

#include "absl/strings/str_cat.h"
#include "tests/unit/agent/core/core_harness.h"

namespace berth::agent {
namespace {

sync::ProbeRequest Probe(std::vector<std::string> addresses, sync::ProbeKind kind = sync::ProbeKind::kNewAddress,
                         absl::Duration timeout = absl::Milliseconds(200)) {
  sync::ProbeRequest request{.term = 1, .id = 4, .kind = kind, .timeout = timeout, .targets = {}};
  for (const std::string& a : addresses) request.targets.push_back({Ip(a), "eth0"});
  return request;
}

TEST_CASE("a stream begins with a hello that says all, and a heartbeat", "[unit]") {
  CoreHarness agent = Settled({Announce("192.0.2.10")});
  agent.Feed(LinkDown{"gone"});
  agent.Forget();
  agent.Connect();
  REQUIRE(agent.sent.size() == 3);
  const auto* hello = std::get_if<sync::Hello>(&agent.sent[0]);
  REQUIRE(hello != nullptr);
  CHECK(hello->node == "node-a");
  CHECK(hello->boot_id == "boot-1");
  CHECK(hello->highest_term == 1);
  CHECK(hello->state == sync::Stamp{1, 1});
  REQUIRE(hello->interfaces.size() == 1);
  CHECK(hello->interfaces[0].name == "eth0");
  REQUIRE(hello->announced.size() == 1);
  CHECK(hello->announced[0].interfaces == std::vector<std::string>{"eth0"});
  CHECK(hello->local == std::vector<IpAddr>{Ip("192.0.2.10")});
  CHECK(std::holds_alternative<sync::Heartbeat>(agent.sent[2]));
  // The controller may know of a claim that has ended meanwhile.
  const auto* report = std::get_if<sync::Report>(&agent.sent[1]);
  REQUIRE(report != nullptr);
  REQUIRE(report->conflicts.has_value());
  CHECK(report->conflicts->empty());
}

TEST_CASE("heartbeats come as often as the settings say, and only on a stream", "[unit]") {
  CoreHarness agent = Settled();
  agent.Advance(absl::Seconds(2));
  CHECK(agent.All<sync::Heartbeat>().size() == 10);
  agent.Controller(sync::SettingsUpdate{1, {absl::Milliseconds(500), absl::Milliseconds(1500), {}}});
  agent.Forget();
  agent.Advance(absl::Seconds(5));
  CHECK(agent.All<sync::Heartbeat>().size() == 10);
  agent.Feed(LinkDown{"gone"});
  agent.Forget();
  agent.Advance(absl::Seconds(5));
  CHECK(agent.sent.empty());
}

TEST_CASE("a steady agent reports nothing", "[unit]") {
  CoreHarness agent = Settled({Announce("192.0.2.10")});
  agent.Advance(absl::Minutes(5));
  CHECK(agent.All<sync::Report>().empty());
  CHECK(agent.Touches() == 0);
  CHECK(agent.Effected<Publish>() == 0);
  CHECK(agent.Effected<Store>() == 0);
}

TEST_CASE("a new address is probed three times and its result comes at the timeout", "[unit]") {
  CoreHarness agent = Settled();
  agent.Controller(Probe({"192.0.2.30", "192.0.2.31"}));
  CHECK(agent.table->interfaces.at(kEth0).watch.contains(Ip("192.0.2.30")));
  agent.See("192.0.2.31", kStranger);
  agent.Advance(absl::Milliseconds(199));
  CHECK(agent.Probes("192.0.2.30") == 3);
  CHECK(agent.All<sync::ProbeResult>().empty());
  agent.Advance(absl::Milliseconds(1));
  const auto result = agent.Last<sync::ProbeResult>();
  REQUIRE(result.has_value());
  CHECK(result->id == 4);
  REQUIRE(result->answers.size() == 2);
  CHECK(result->answers[0].macs.empty());
  CHECK(result->answers[1].macs == std::vector<MacAddr>{kStranger});
  CHECK_FALSE(agent.table->interfaces.at(kEth0).watch.contains(Ip("192.0.2.30")));
}

TEST_CASE("a probe before a takeover ends with the first answer", "[unit]") {
  CoreHarness agent = Settled();
  agent.Controller(Probe({"192.0.2.30"}, sync::ProbeKind::kTakeOver, absl::Milliseconds(30)));
  CHECK(agent.Probes("192.0.2.30") == 1);
  SECTION("answered") {
    agent.Advance(absl::Milliseconds(2));
    agent.See("192.0.2.30", kMacB);
    REQUIRE(agent.Last<sync::ProbeResult>().has_value());
    CHECK(agent.Last<sync::ProbeResult>()->answers.at(0).macs == std::vector<MacAddr>{kMacB});
  }
  SECTION("unanswered") {
    agent.Advance(absl::Milliseconds(29));
    CHECK(agent.Probes("192.0.2.30") == 2);
    CHECK(agent.All<sync::ProbeResult>().empty());
    agent.Advance(absl::Milliseconds(1));
    CHECK(agent.Last<sync::ProbeResult>()->answers.at(0).macs.empty());
  }
}

TEST_CASE("what needs no asking is answered without a frame, what cannot be asked says why", "[unit]") {
  CoreHarness agent = Settled({Announce("192.0.2.10")});
  sync::ProbeRequest request = Probe({"192.0.2.10"});
  request.targets.push_back({Ip("192.0.2.40"), "eth9"});
  agent.Controller(request);
  const auto result = agent.Last<sync::ProbeResult>();
  REQUIRE(result.has_value());
  REQUIRE(result->answers.size() == 2);
  CHECK(result->answers[0].macs == std::vector<MacAddr>{kOurMac});
  CHECK_FALSE(result->answers[1].probed);
  CHECK(result->answers[1].message.find("eth9") != std::string::npos);
  CHECK(agent.frames.empty());
}

TEST_CASE("ten thousand probes are paced and all come to an end", "[unit]") {
  CoreHarness agent = Settled();
  std::vector<std::string> many;
  for (int i = 0; i < 10000; ++i) many.push_back(absl::StrCat("10.1.", i / 250, ".", i % 250 + 1));
  agent.Controller(Probe(many, sync::ProbeKind::kTakeOver));
  CHECK(agent.frames.size() == 500);
  agent.Advance(absl::Milliseconds(10));
  CHECK(agent.frames.size() == 1000);
  agent.Advance(absl::Milliseconds(600));
  REQUIRE(agent.Last<sync::ProbeResult>().has_value());
  CHECK(agent.Last<sync::ProbeResult>()->answers.size() == 10000);
}

TEST_CASE("a standby's word changes nothing", "[unit]") {
  CoreHarness agent = Settled({Announce("192.0.2.10")});
  agent.Controller(sync::NotLeader{9, "controller-1"});
  CHECK(agent.Answers("192.0.2.10"));
  CHECK(agent.core().status().highest_term == 1);
  CHECK_FALSE(agent.core().status().leader_heard);
}

TEST_CASE("an agent that reached a standby dials the next controller within a second, unless it leads by then",
          "[unit]") {
  CoreHarness agent = Settled({Announce("192.0.2.10")});
  agent.Controller(sync::NotLeader{9, "controller-1"});
  SECTION("it goes on not leading") {
    agent.Advance(absl::Seconds(1));
    CHECK(agent.Effected<Redial>() == 1);
    CHECK(agent.Answers("192.0.2.10"));
  }
  SECTION("it leads") {
    agent.Advance(absl::Milliseconds(300));
    sync::Snapshot word = CoreHarness::SnapshotOf(1, {Announce("192.0.2.10")});
    word.term = 2;
    agent.Controller(word);
    agent.Advance(absl::Seconds(1));
    CHECK(agent.Effected<Redial>() == 0);
  }
  SECTION("it leads, and the disk is slow to take its term") {
    agent.Advance(absl::Milliseconds(300));
    agent.hold_disk = true;
    sync::Snapshot word = CoreHarness::SnapshotOf(1, {Announce("192.0.2.10")});
    word.term = 2;
    agent.Controller(word);
    agent.Advance(absl::Milliseconds(900));
    CHECK_FALSE(agent.core().status().leader_heard);
    agent.Advance(absl::Seconds(1));
    CHECK(agent.core().status().leader_heard);
    CHECK(agent.Effected<Redial>() == 0);
  }
}

TEST_CASE("an agent is ready once a controller was reached and the silence is in force", "[unit]") {
  CoreHarness agent;
  agent.hold_silence = true;
  agent.Start();
  CHECK(agent.core().status().unready.size() == 2);
  agent.Feed(agent.held.front());
  CHECK(agent.core().status().unready.size() == 1);
  agent.Feed(LinkUp{});
  CHECK(agent.core().status().unready.empty());
  agent.Feed(LinkDown{"gone"});
  CHECK(agent.core().status().unready.empty());
}

}  // namespace
}  // namespace berth::agent
