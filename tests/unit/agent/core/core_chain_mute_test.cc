// SPDX-License-Identifier: Apache-2.0
// How an agent that fell silent comes back without a leader, and what it does not take over.
#include <catch2/catch.hpp>

#include "tests/unit/agent/core/chain_harness.h"

namespace berth::agent {
namespace {

// As an agent lives while standby controllers are all that it reaches: each is left for the next one after a while.
void RunOnStandbys(CoreHarness& agent, absl::Duration d, Other* other = nullptr) {
  for (const absl::Time until = agent.now + d; agent.now < until;) {
    if (!agent.core().status().link_up) {
      agent.Feed(LinkUp{});
      agent.Controller(sync::NotLeader{});
    }
    if (other != nullptr) {
      other->Run(absl::Milliseconds(10), true);
    } else {
      agent.Advance(absl::Milliseconds(10));
    }
  }
}

TEST_CASE("an agent that reaches only standbys asks the LAN about what it fell silent for, and speaks again",
          "[unit]") {
  CoreHarness agent;
  sync::Assignment held = StandBy(kVip);
  held.role = sync::Role::kAnnounce;
  agent.Connect();
  const bool chained = GENERATE(true, false);
  const bool frozen = GENERATE(true, false);
  INFO("chained " << chained << ", frozen " << frozen);
  Other other(agent);
  agent.Controller(chained ? WithKeys({held}) : CoreHarness::SnapshotOf(1, {held}));
  REQUIRE(agent.Answers(kVip));
  if (chained) other.Run(absl::Seconds(1), true);
  if (frozen) {
    agent.StandStill(absl::Seconds(1));
    agent.Feed(Timer{});
  } else {
    agent.kernel.links.front().carrier = false;
    agent.ShowKernel();
    agent.kernel.links.front().carrier = true;
    agent.ShowKernel();
    SECTION("whose controller went") { agent.Feed(LinkDown{"gone"}); }
    SECTION("whose controller leads no more") { agent.Controller(sync::NotLeader{}); }
  }
  REQUIRE_FALSE(agent.Answers(kVip));
  agent.Forget();
  RunOnStandbys(agent, absl::Milliseconds(2500), chained ? &other : nullptr);
  CHECK(agent.Effected<Redial>() >= 2);
  CHECK(agent.Probes(kVip) >= 1);
  CHECK(agent.Answers(kVip));
}

TEST_CASE("an address is not taken over while an obstacle stands, and asked about once it is gone", "[unit]") {
  CoreHarness agent;
  sync::Assignment held = StandBy(kVip);
  held.role = sync::Role::kAnnounce;
  Other other(agent);
  agent.Connect();
  agent.Controller(WithKeys({held}));
  other.Run(absl::Seconds(1), true);
  agent.Feed(LinkDown{"gone"});
  agent.kernel.links.front().addresses.push_back(Own("192.0.2.100/24"));
  agent.ShowKernel();
  CHECK_FALSE(agent.Answers(kVip));
  other.Run(absl::Seconds(10), true);
  CHECK(agent.take_overs == 0);
  agent.kernel.links.front().addresses.pop_back();
  agent.ShowKernel();
  agent.Forget();
  CHECK_FALSE(agent.Answers(kVip));
  SECTION("nobody has it") {
    other.Run(absl::Seconds(2), true);
    CHECK(agent.Probes(kVip) >= 1);
    CHECK(agent.Answers(kVip));
  }
  SECTION("another one has taken it over") {
    for (int i = 0; i < 300; ++i) {
      other.Run(absl::Milliseconds(10), true);
      agent.See(kVip, kMacB);
    }
    CHECK_FALSE(agent.Answers(kVip));
    CHECK(agent.take_overs == 0);
  }
}

TEST_CASE("a holder that fell silent for its successor speaks again without a leader once that one is gone", "[unit]") {
  CoreHarness agent;
  sync::Assignment held = StandBy(kVip);
  held.role = sync::Role::kAnnounce;
  held.yield_to = {kMacB};
  Other successor(agent);
  agent.Connect();
  agent.Controller(WithKeys({held}));
  agent.kernel.links.front().gateways = {Ip("192.0.2.254")};
  agent.ShowKernel();
  successor.Run(absl::Seconds(1), true);
  agent.Feed(LinkDown{"gone"});
  agent.See(kVip, kMacB);
  CHECK_FALSE(agent.Answers(kVip));
  for (int i = 0; i < 300; ++i) {
    successor.Run(absl::Milliseconds(10), true);
    agent.See(kVip, kMacB);
  }
  CHECK_FALSE(agent.Answers(kVip));
  for (int i = 0; i < 300; ++i) {
    successor.Run(absl::Milliseconds(10), false);
    agent.See("192.0.2.254", kStranger);
  }
  CHECK(agent.Answers(kVip));
}

TEST_CASE("what could not be asked well is asked again, whatever the address is to this node", "[unit]") {
  CoreHarness agent;
  agent.kernel.links.front().gateways = {Ip("192.0.2.254")};
  sync::Assignment given = StandBy(kVip);
  given.role = GENERATE(sync::Role::kStandby, sync::Role::kPrepare, sync::Role::kMute, sync::Role::kAnnounce);
  given.yield_to = {kMacB};
  INFO("role " << static_cast<int>(given.role));
  Other holder(agent);
  agent.Connect();
  agent.Controller(WithKeys({given}));
  holder.Run(absl::Seconds(1), true);
  agent.See(kVip, kMacB);  // it has what is this node's no more
  agent.Feed(LinkDown{"gone"});
  holder.Run(absl::Milliseconds(200), true);
  agent.Forget();
  for (int i = 0; i < 300 && agent.Probes(kVip) == 0; ++i) holder.Run(absl::Milliseconds(10), false);
  REQUIRE(agent.Probes(kVip) >= 1);
  REQUIRE_FALSE(agent.Answers(kVip));
  SECTION("the cable was out for a moment") {
    agent.kernel.links.front().carrier = false;
    agent.ShowKernel();
    agent.Advance(absl::Milliseconds(50));
    agent.kernel.links.front().carrier = true;
    agent.ShowKernel();
  }
  SECTION("the agent stood still") {
    agent.StandStill(absl::Seconds(1));
    agent.Feed(Timer{});
  }
  for (int i = 0; i < 20; ++i) {
    holder.Run(absl::Milliseconds(10), false);
    agent.See("192.0.2.254", kStranger);
  }
  CHECK_FALSE(agent.Answers(kVip));  // silence counts for nothing where an answer might have been missed
  for (int i = 0; i < 300; ++i) {
    holder.Run(absl::Milliseconds(10), false);
    agent.See("192.0.2.254", kStranger);
  }
  CHECK(agent.Answers(kVip));
}

TEST_CASE("a standby that cannot listen on its interface takes nothing over", "[unit]") {
  CoreHarness agent;
  agent.kernel.links.front().gateways = {Ip("192.0.2.254")};
  Other holder(agent);
  agent.Connect();
  agent.Controller(WithKeys({StandBy(kVip)}));
  holder.Run(absl::Seconds(1), true);
  agent.Feed(LinkDown{"gone"});
  for (int i = 0; i < 500; ++i) {
    if (i % 50 == 0) agent.Feed(PortError{kEth0, absl::UnavailableError("That device is not up")});
    holder.Run(absl::Milliseconds(10), false);
    agent.See("192.0.2.254", kStranger);
  }
  CHECK(agent.take_overs == 0);
}

}  // namespace
}  // namespace berth::agent
