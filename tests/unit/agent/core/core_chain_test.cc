// SPDX-License-Identifier: Apache-2.0
// Standbys, probes and take-overs, as one agent sees them. tests/system/chain_test.cc has whole clusters.
#include <catch2/catch.hpp>
#include <deque>

#include "agent/peer/peers.h"
#include "tests/unit/agent/core/chain_harness.h"

namespace berth::agent {
namespace {

TEST_CASE("a standby is not local, not watched for on the LAN, and acknowledged", "[unit]") {
  CoreHarness agent;
  agent.Connect();
  agent.Controller(WithKeys({StandBy(kVip)}));
  REQUIRE(agent.Last<sync::Applied>().has_value());
  CHECK(agent.Last<sync::Applied>()->version == 1);
  CHECK_FALSE(agent.Answers(kVip));
  CHECK_FALSE(agent.silence.addresses.contains(Ip(kVip)));
  CHECK(agent.core().status().standbys == 1);
  agent.Advance(absl::Seconds(1));
  REQUIRE(agent.disk.has_value());
  CHECK(agent.disk->settings.peer_keys == kKeys);
  REQUIRE(agent.disk->assignments.size() == 1);
  CHECK(agent.disk->assignments.front() == StandBy(kVip));
  REQUIRE(!agent.peer_packets.empty());
  CHECK(agent.peer_packets.front().address == Ip("192.0.2.11"));
}

TEST_CASE("with a leader a silent holder is the leader's affair", "[unit]") {
  CoreHarness agent;
  agent.Connect();
  agent.Controller(WithKeys({StandBy(kVip)}));
  agent.Advance(absl::Minutes(1));
  CHECK(agent.take_overs == 0);
}

TEST_CASE("without one the address is taken over once the holder and the LAN are silent", "[unit]") {
  CoreHarness agent;
  agent.kernel.links.front().gateways = {Ip("192.0.2.254")};
  Other holder(agent);
  agent.Connect();
  agent.Controller(WithKeys({StandBy(kVip)}));
  holder.Run(absl::Seconds(1), true);
  agent.Feed(LinkDown{"gone"});
  holder.Run(absl::Minutes(1), true);
  CHECK(agent.take_overs == 0);
  const absl::Time died = agent.now;
  SECTION("nobody answers") {
    while (!agent.Answers(kVip) && agent.now < died + absl::Seconds(3)) {
      holder.Run(absl::Milliseconds(10), false);
      agent.See("192.0.2.254", kStranger);
    }
    CHECK(agent.Answers(kVip));
    CHECK(agent.now - died <= absl::Milliseconds(1000));
    CHECK(agent.take_overs == 1);
    // With a claim that is newer than the holder's, and on disk.
    const auto announced = agent.core().announced();
    REQUIRE(announced.size() == 1);
    CHECK(announced.front().since > sync::Stamp{1, 1});
    agent.Advance(absl::Seconds(1));
    CHECK(agent.disk->assignments.front().role == sync::Role::kAnnounce);
    // It is asked for its claim when it comes back, and a lower one changes nothing.
    holder.claim = {.held = true, .led = false, .stamp = {1, 1}, .rank = 0};
    holder.Run(absl::Seconds(1), true);
    CHECK(agent.Answers(kVip));
    // A leader's word is above it.
    SECTION("unless its claim is higher") {
      holder.Run(absl::Seconds(2), false);
      holder.claim = {.held = true, .led = true, .stamp = {1, 1}, .rank = 0};
      holder.Run(absl::Seconds(1), true);
      CHECK_FALSE(agent.Answers(kVip));
    }
  }
  SECTION("nor the gateway, though nobody else is heard: it may be this node that is cut off") {
    holder.Run(absl::Seconds(10), false);
    CHECK_FALSE(agent.Answers(kVip));
    CHECK(agent.Probes("192.0.2.254") >= 2);
  }
  SECTION("somebody answers") {
    while (agent.now < died + absl::Seconds(2)) {
      holder.Run(absl::Milliseconds(10), false);
      agent.See(kVip, kMacB);
    }
    CHECK_FALSE(agent.Answers(kVip));
    CHECK(agent.take_overs == 0);
  }
}

TEST_CASE("an agent whose last neighbour falls silent while it asks the LAN needs the gateway's answer as well",
          "[unit]") {
  CoreHarness agent;
  agent.kernel.links.front().gateways = {Ip("192.0.2.254")};
  Other holder(agent), third(agent, "node-c");
  sync::Assignment standby = StandBy(kVip);
  std::vector<sync::Candidate> candidates(standby.candidates.begin(), standby.candidates.end());
  candidates.push_back({"node-c", {kStranger}, "192.0.2.12:7445"});
  standby.candidates = candidates;
  agent.Connect();
  agent.Controller(WithKeys({standby}));
  // The third one's answers come 50 ms later, and so does its silence.
  std::deque<std::vector<PeerPacket>> under_way(5);
  const auto run = [&](absl::Duration d, bool holder_lives, bool third_lives, bool gateway) {
    for (const absl::Time until = agent.now + d; agent.now < until;) {
      agent.Advance(absl::Milliseconds(10));
      under_way.push_back(std::exchange(agent.peer_packets, {}));
      if (holder_lives) holder.Answer(under_way.back());
      if (third_lives) third.Answer(under_way.front());
      under_way.pop_front();
      if (gateway) agent.See("192.0.2.254", kStranger);
    }
  };
  run(absl::Seconds(1), true, true, false);
  agent.Feed(LinkDown{"gone"});
  run(absl::Seconds(10), true, true, false);
  CHECK(agent.Probes(kVip) == 0);
  run(absl::Milliseconds(50), false, true, false);  // what it has been asked already
  SECTION("which does not come") {
    run(absl::Seconds(10), false, false, false);
    CHECK(agent.Probes(kVip) >= 2);
    CHECK_FALSE(agent.Answers(kVip));
    CHECK(agent.take_overs == 0);
  }
  SECTION("which comes, and no time is lost") {
    run(absl::Seconds(1), false, false, true);
    CHECK(agent.Answers(kVip));
  }
}

TEST_CASE("the gateway of one interface says nothing of another, where it has the same link-local address", "[unit]") {
  constexpr int kEth1 = 3;
  constexpr const char* kOther = "198.51.100.100";
  constexpr const char* kGateway = "fe80::1";
  CoreHarness agent;
  agent.kernel.links.front().gateways = {Ip(kGateway)};
  Link eth1 = agent.kernel.links.front();
  eth1.index = kEth1;
  eth1.name = "eth1";
  eth1.mac = Mac("02:00:00:00:01:0a");
  eth1.addresses = {Own("198.51.100.1/24")};
  eth1.gateways = {Ip(kGateway)};
  agent.kernel.links.push_back(eth1);
  Other holder(agent);
  agent.Connect();
  sync::Assignment there = StandBy(kOther);
  there.interface = "eth1";
  there.candidates = {{"node-b", {kMacB}, "198.51.100.11:7445"}, {"node-a", {eth1.mac}, "198.51.100.10:7445"}};
  agent.Controller(WithKeys({StandBy(kVip), there}));
  holder.Run(absl::Seconds(1), true);
  agent.Feed(LinkDown{"gone"});
  holder.Run(absl::Minutes(1), true);
  REQUIRE(agent.take_overs == 0);
  for (int i = 0; i < 1000; ++i) {
    holder.Run(absl::Milliseconds(10), false);
    agent.See(kGateway, kStranger, kEth0);
  }
  CHECK(agent.Answers(kVip));
  CHECK(agent.take_overs == 1);
  for (int i = 0; i < 200; ++i) {
    holder.Run(absl::Milliseconds(10), false);
    agent.See(kGateway, kStranger, kEth1);
  }
  CHECK(agent.take_overs == 2);
}

TEST_CASE("a question of another agent is answered with what is held", "[unit]") {
  CoreHarness agent;
  agent.Connect();
  sync::Assignment held = StandBy(kVip);
  held.role = sync::Role::kAnnounce;
  agent.Controller(WithKeys({held}));
  REQUIRE(agent.Answers(kVip));
  agent.Feed(LinkDown{"gone"});
  peer::Peers other("node-b", 1, "seed");
  other.SetKeys(kKeys, agent.now);
  const auto path = other.PathTo("node-a", "192.0.2.10:7445", kEth0, agent.now);
  std::vector<PeerPacket> out;
  other.Ask(*path, {{Ip(kVip), {}}, {Ip("192.0.2.101"), {}}}, kHolder, agent.now, out);
  REQUIRE(out.size() == 1);
  agent.peer_packets.clear();
  PeerPacket question = out.front();
  question.question = false;
  agent.Feed(PeerReceived{question});
  REQUIRE(!agent.peer_packets.empty());
  PeerPacket answer = agent.peer_packets.back();
  answer.question = true;
  out.clear();
  const peer::Incoming told = other.Receive(answer, kHolder, agent.now, out);
  REQUIRE(told.what == peer::Incoming::What::kTold);
  REQUIRE(told.claims.size() == 2);
  CHECK(told.claims[0].claim == peer::Claim{.held = true, .led = false, .stamp = {1, 1}, .rank = 1});
  CHECK_FALSE(told.claims[1].claim.held);
}

}  // namespace
}  // namespace berth::agent
