// SPDX-License-Identifier: Apache-2.0
// What keeps an address from being announced, and what must be known before it is announced again.
#include <catch2/catch.hpp>
#include <functional>

#include "tests/unit/agent/core/core_harness.h"

namespace berth::agent {
namespace {

const char* const kAddress = "192.0.2.10";

struct Obstacle {
  std::string name;
  std::function<void(CoreHarness&)> begin, end;
};

std::vector<Obstacle> Obstacles() {
  return {
      {"its interface has no carrier",
       [](CoreHarness& agent) {
         agent.LinkAt(kEth0).carrier = false;
         agent.ShowKernel();
       },
       [](CoreHarness& agent) {
         agent.LinkAt(kEth0).carrier = true;
         agent.ShowKernel();
       }},
      {"the node has it as its own address",
       [](CoreHarness& agent) {
         agent.LinkAt(kEth0).addresses.push_back(Own("192.0.2.10/24"));
         agent.ShowKernel();
       },
       [](CoreHarness& agent) {
         agent.LinkAt(kEth0).addresses.pop_back();
         agent.ShowKernel();
       }},
      {"the interface for addresses is gone and cannot be made",
       [](CoreHarness& agent) {
         agent.vip_status = absl::UnavailableError("no more interfaces");
         std::erase_if(agent.kernel.links, [](const Link& l) { return l.index == kBerth0; });
         agent.ShowKernel();
         agent.Advance(absl::Milliseconds(200));
       },
       [](CoreHarness& agent) {
         agent.vip_status = absl::OkStatus();
         agent.Advance(absl::Milliseconds(1100));
       }},
      {"somebody took it off and the kernel refuses it",
       [](CoreHarness& agent) {
         agent.add_status = absl::ResourceExhaustedError("no buffer space");
         agent.LinkAt(kBerth0).addresses.clear();
         agent.ShowKernel();
       },
       [](CoreHarness& agent) {
         agent.add_status = absl::OkStatus();
         agent.Advance(absl::Milliseconds(1100));
       }},
  };
}

TEST_CASE("whatever kept an address from being announced, its end alone does not bring it back", "[unit]") {
  const std::size_t which = GENERATE(0, 1, 2, 3);
  const Obstacle obstacle = Obstacles().at(which);
  INFO(obstacle.name);
  CoreHarness agent = Settled({Announce(kAddress)});
  SECTION("while a leader is heard, which may have given it away, its newer word is waited for") {
    obstacle.begin(agent);
    CHECK_FALSE(agent.Answers(kAddress));
    REQUIRE(agent.Last<sync::Report>().has_value());
    CHECK(agent.Last<sync::Report>()->announced->empty());
    obstacle.end(agent);
    agent.Advance(absl::Seconds(20));
    CHECK_FALSE(agent.Answers(kAddress));
    CHECK(agent.Gratuitous(kAddress) == 0);
    agent.Controller(CoreHarness::DeltaOf(1, {Announce(kAddress, {1, 2})}));
    CHECK(agent.Answers(kAddress));
    CHECK(agent.Local(kAddress));
  }
  SECTION("without one the LAN is asked") {
    agent.Feed(LinkDown{"gone"});
    obstacle.begin(agent);
    CHECK_FALSE(agent.Answers(kAddress));
    agent.Advance(absl::Seconds(3));
    obstacle.end(agent);
    CHECK_FALSE(agent.Answers(kAddress));
    for (int i = 0; i < 200 && agent.Probes(kAddress) == 0; ++i) agent.Advance(absl::Milliseconds(10));
    REQUIRE(agent.Probes(kAddress) >= 1);
    CHECK_FALSE(agent.Answers(kAddress));
    SECTION("and it is silent") {
      agent.Advance(absl::Milliseconds(200));
      CHECK(agent.Answers(kAddress));
    }
    SECTION("and another node answers") {
      agent.See(kAddress, kMacB);
      agent.Advance(absl::Seconds(3));
      CHECK_FALSE(agent.Answers(kAddress));
    }
  }
}

TEST_CASE("what could not be announced when the leader was lost is asked about, though the leader heard of no obstacle",
          "[unit]") {
  CoreHarness agent;
  agent.kernel.links.front().addresses.push_back(Own("192.0.2.10/24"));
  agent.Connect();
  agent.Controller(CoreHarness::SnapshotOf(1, {}));
  agent.hold_adds = true;  // so that no rejection is sent yet
  agent.Controller(CoreHarness::DeltaOf(1, {Announce(kAddress), Announce("192.0.2.11")}));
  REQUIRE_FALSE(agent.Last<sync::Rejected>().has_value());
  agent.Feed(LinkDown{"gone"});
  agent.hold_adds = false;
  for (const Event& event : std::exchange(agent.held, {})) agent.Feed(event);
  agent.LinkAt(kEth0).addresses.pop_back();
  agent.ShowKernel();
  CHECK(agent.Local(kAddress));
  CHECK_FALSE(agent.Answers(kAddress));
  CHECK(agent.Answers("192.0.2.11"));
  agent.Advance(absl::Seconds(3));
  CHECK(agent.Probes(kAddress) >= 1);
  CHECK(agent.Answers(kAddress));
}

TEST_CASE("an obstacle's end is told once, and what is waited for", "[unit]") {
  const std::size_t which = GENERATE(0, 1, 2, 3);
  const Obstacle obstacle = Obstacles().at(which);
  INFO(obstacle.name);
  CoreHarness agent = Settled({Announce(kAddress)});
  obstacle.begin(agent);
  agent.Advance(absl::Seconds(3));
  obstacle.end(agent);
  agent.Advance(absl::Seconds(5));
  std::size_t told = 0;
  for (const Effect& e : agent.history) {
    const auto* log = std::get_if<Log>(&e);
    if (log == nullptr || log->sentence != "nothing keeps an address from being announced any more") continue;
    ++told;
    CHECK(log->fields.at(1) == std::pair<std::string, std::string>("waits_for", "the leader's word"));
  }
  CHECK(told == 1);
}

}  // namespace
}  // namespace berth::agent
