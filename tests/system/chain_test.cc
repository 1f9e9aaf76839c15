// SPDX-License-Identifier: Apache-2.0
// Addresses while no controller is there: whoever holds them dies, freezes or is cut off, and the next candidate
// follows.
#include <catch2/catch.hpp>

#include "tests/sanitized.h"
#include "tests/system/stories.h"

namespace berth::system {
namespace {

// Of `vip`, as every agent on the LAN but `dead` would say.
std::string HolderBeside(const World& world, const IpAddr& vip, const std::vector<std::string>& dead) {
  std::vector<std::string> all = world.Announcers(vip);
  std::erase_if(all, [&](const std::string& n) { return std::find(dead.begin(), dead.end(), n) != dead.end(); });
  return all.size() == 1 ? all.front() : std::string();
}

void SwitchOff(World& world, const std::string& node) {
  world.NodeNamed(node).port->drop_all = true;
  world.wire.Cut(node, true);
}

// The candidates of `vip` in order, as their disks have them; the holder first.
std::vector<std::string> CandidatesOf(World& world, const IpAddr& vip) {
  for (const sync::Assignment& a : world.NodeNamed(world.HolderOf(vip)).disk.state->assignments) {
    if (a.address != vip) continue;
    std::vector<std::string> nodes;
    for (const sync::Candidate& c : a.candidates) nodes.push_back(c.node);
    return nodes;
  }
  return {};
}

// At rest, its controller killed a second ago.
struct Leaderless : World {
  Leaderless(int node_count, int services) {
    Prepare(*this, node_count, services);
    vip = AddressOf("svc1");
    candidates = CandidatesOf(*this, vip);
    KillController("a");
    Run(absl::Seconds(1));
  }
  IpAddr vip;
  std::vector<std::string> candidates;  // of `vip`
};

TEST_CASE("T101: no controller, and the holder's node vanishes: the next candidate answers within 1.5 s", "[system]") {
  World world;
  Prepare(world, 3, 6);
  const IpAddr vip = world.AddressOf("svc1");
  const auto candidates = CandidatesOf(world, vip);
  REQUIRE(candidates.size() == 3);
  REQUIRE(candidates.front() == world.HolderOf(vip));
  world.KillController("a");
  for (const auto& [address, holder] : world.Holders()) world.client.AskEvery(address, absl::Milliseconds(10));
  world.Run(absl::Minutes(10));
  const auto before = world.Holders();
  const absl::Time cut = world.Now();
  SwitchOff(world, candidates[0]);
  REQUIRE(world.RunUntil([&] { return !HolderBeside(world, vip, {candidates[0]}).empty(); }, absl::Milliseconds(1500)));
  const absl::Duration took = world.Now() - cut;
  CAPTURE(took);
  CHECK(HolderBeside(world, vip, {candidates[0]}) == candidates[1]);
  world.Run(absl::Seconds(5));
  for (const auto& [address, holder] : before) {
    INFO(address.ToString());
    const std::string now = HolderBeside(world, address, {candidates[0]});
    CHECK(now != "");
    CHECK(world.client.neighbour(address) == world.NodeNamed(now).mac);
    if (holder != candidates[0]) {
      CHECK(now == holder);
      CHECK(world.GratuitousSince(cut, address) == 0);
    }
  }
  CHECK(Text(world.client.double_answers()) == "");
}

TEST_CASE("T101: and when a controller returns, it adopts who holds them now", "[system]") {
  World world;
  Prepare(world, 3, 6);
  const auto allocations = world.Allocations();
  const std::string victim = world.HolderOf(world.AddressOf("svc1"));
  world.KillController("a");
  world.Run(absl::Seconds(1));
  SwitchOff(world, victim);
  world.Run(absl::Seconds(15));  // taken over, and the frames of that are over
  std::map<IpAddr, std::string> held;
  for (const auto& [address, unused] : world.Holders()) held[address] = HolderBeside(world, address, {victim});
  const absl::Time back = world.Now();
  world.StartController("a");
  world.Run(absl::Seconds(10));
  for (const auto& [address, holder] : held) {
    INFO(address.ToString());
    CHECK(holder != "");
    CHECK(HolderBeside(world, address, {victim}) == holder);
    CHECK(world.Explain(address).holder == holder);
    CHECK(world.GratuitousSince(back, address) == 0);
  }
  CHECK(world.Allocations() == allocations);

  // The node that vanished comes back and learns that it was followed.
  world.lan_is_broken = true;  // until then
  world.NodeNamed(victim).port->drop_all = false;
  world.wire.Cut(victim, false);
  world.Run(absl::Seconds(4));
  world.lan_is_broken = false;
  CHECK(world.AgentState(victim) == model::AgentState::kReady);
  for (const auto& [address, holder] : held) CHECK(world.HolderOf(address) == holder);
}

TEST_CASE("T100: an outage of ten minutes is nothing to clients, and its end neither", "[system]") {
  World world;
  Prepare(world, 3, 6);
  const auto before = world.Holders();
  for (const auto& [address, holder] : before) world.client.AskEvery(address, absl::Milliseconds(50));
  const absl::Time from = world.Now();
  world.KillController("a");
  world.Run(absl::Minutes(kSanitized ? 3 : 10));
  world.StartController("a");
  world.Run(absl::Seconds(15));
  CHECK(world.Holders() == before);
  for (const auto& [address, holder] : before) {
    INFO(address.ToString());
    CHECK(world.GratuitousSince(from, address) < 2);
    CHECK(world.client.Unanswered(address, from, world.Now() - absl::Milliseconds(50)) == 0);
  }
  CHECK(world.WhatMoved(absl::Seconds(60)) == "");
}

TEST_CASE("T100: a holder's node that crashes in the midst of an outage is followed, and its end moves nothing",
          "[system]") {
  World world;
  Prepare(world, 3, 6);
  const auto before = world.Holders();
  const auto allocations = world.Allocations();
  const std::string victim = world.HolderOf(world.AddressOf("svc1"));
  const auto asked_to_end = [&](absl::Time from) {
    for (const auto& [address, holder] : world.Holders()) {
      INFO(address.ToString());
      CHECK(world.client.Unanswered(address, from, world.Now() - absl::Milliseconds(50)) == 0);
    }
  };
  for (const auto& [address, holder] : before) world.client.AskEvery(address, absl::Milliseconds(50));
  const absl::Time from = world.Now();
  world.KillController("a");
  world.Run(absl::Minutes(5));
  asked_to_end(from);
  SwitchOff(world, victim);
  const auto followed = [&] {
    return std::all_of(before.begin(), before.end(),
                       [&](const auto& each) { return !HolderBeside(world, each.first, {victim}).empty(); });
  };
  REQUIRE(world.RunUntil(followed, absl::Milliseconds(1500)));
  const absl::Time taken = world.Now();
  world.Run(absl::Minutes(5));
  asked_to_end(taken);
  std::map<IpAddr, std::string> held;
  for (const auto& [address, holder] : before) {
    held[address] = HolderBeside(world, address, {victim});
    if (holder != victim) CHECK(held[address] == holder);
  }
  const absl::Time back = world.Now();
  world.StartController("a");
  world.Run(absl::Seconds(15));
  CHECK(world.Allocations() == allocations);
  for (const auto& [address, holder] : held) {
    INFO(address.ToString());
    CHECK(HolderBeside(world, address, {victim}) == holder);
    CHECK(world.Explain(address).holder == holder);
    CHECK(world.GratuitousSince(back, address) < 2);
  }
  asked_to_end(taken);
}

TEST_CASE("holder and first candidate die together: the second one follows within 1.5 s", "[system]") {
  World world;
  Prepare(world, 4, 4);
  const IpAddr vip = world.AddressOf("svc1");
  const auto candidates = CandidatesOf(world, vip);
  world.KillController("a");
  world.Run(absl::Seconds(3));
  const std::vector<std::string> dead = {candidates[0], candidates[1]};
  for (const std::string& node : dead) SwitchOff(world, node);
  REQUIRE(world.RunUntil([&] { return !HolderBeside(world, vip, dead).empty(); }, absl::Milliseconds(1500)));
  CHECK(HolderBeside(world, vip, dead) == candidates[2]);
  world.Run(absl::Seconds(3));
  CHECK(HolderBeside(world, vip, dead) == candidates[2]);
}

TEST_CASE("a killed agent's address is followed by ARP's silence, not by that of its probes alone", "[system]") {
  Leaderless world(3, 3);
  const IpAddr& vip = world.vip;
  const std::vector<std::string>& candidates = world.candidates;
  world.KillAgent(candidates[0]);
  REQUIRE(world.RunUntil([&] { return world.HolderOf(vip) == candidates[1]; }, absl::Milliseconds(1500)));
  // It starts again, from its disk, and finds the address taken.
  world.StartAgent(candidates[0]);
  world.Run(absl::Seconds(5));
  CHECK(world.HolderOf(vip) == candidates[1]);
  // Its successor dies, and it is asked again.
  world.KillAgent(candidates[1]);
  REQUIRE(world.RunUntil([&] { return world.HolderOf(vip) == candidates[0]; }, absl::Milliseconds(1500)));
}

TEST_CASE("a holder that freezes without a leader is followed, and on waking it stays silent", "[system]") {
  Leaderless world(3, 3);
  const IpAddr& vip = world.vip;
  const std::vector<std::string>& candidates = world.candidates;
  AgentProcess& holder = *world.NodeNamed(candidates[0]).agents.front();
  holder.Freeze();
  REQUIRE(world.RunUntil([&] { return world.HolderOf(vip) == candidates[1]; }, absl::Milliseconds(1500)));
  world.Run(absl::Seconds(30));
  holder.Thaw();
  world.Run(absl::Seconds(5));
  CHECK(world.HolderOf(vip) == candidates[1]);
}

TEST_CASE("a split LAN without a controller has a holder on each side, and one within 1 s of its healing", "[system]") {
  Leaderless world(4, 6);
  const IpAddr& vip = world.vip;
  const std::vector<std::string>& candidates = world.candidates;
  const auto split = [&](int group) {
    for (const std::string& node : {candidates[0], candidates[3]}) world.NodeNamed(node).port->group = group;
  };
  world.lan_is_broken = true;
  split(1);
  world.Run(absl::Seconds(3));
  CHECK(world.Announcers(vip).size() == 2);
  split(0);
  const auto healed = [&] {
    for (const auto& [address, holder] : world.Holders()) {
      if (holder.empty()) return false;
    }
    return true;
  };
  REQUIRE(world.RunUntil(healed, absl::Seconds(1)));
  world.lan_is_broken = false;
  world.Run(absl::Seconds(10));
  CHECK(healed());
  // The one that took over has the higher claim.
  CHECK(world.HolderOf(vip) == candidates[1]);
}

TEST_CASE("an agent that is cut off from all others and its gateway takes nothing over", "[system]") {
  Leaderless world(3, 3);
  const IpAddr& vip = world.vip;
  const std::vector<std::string>& candidates = world.candidates;
  world.NodeNamed(candidates[1]).port->group = 1;
  world.Run(absl::Seconds(30));
  CHECK(world.Announcers(vip) == std::vector<std::string>{candidates[0]});
  world.NodeNamed(candidates[1]).port->group = 0;
  world.Run(absl::Seconds(5));
  CHECK(world.HolderOf(vip) == candidates[0]);
}

TEST_CASE("an agent with a state of another boot leaves the address to others", "[system]") {
  Leaderless world(3, 3);
  const IpAddr& vip = world.vip;
  const std::vector<std::string>& candidates = world.candidates;
  Node& node = world.NodeNamed(candidates[0]);
  world.KillAgent(candidates[0]);
  ++node.boots;
  world.StartAgent(candidates[0]);
  REQUIRE(world.RunUntil([&] { return world.HolderOf(vip) == candidates[1]; }, absl::Milliseconds(1500)));
}

TEST_CASE("a released address is not announced by who stood by for it", "[system]") {
  World world;
  Prepare(world, 3, 3);
  const IpAddr vip = world.AddressOf("svc1");
  const auto candidates = CandidatesOf(world, vip);
  world.DeleteService("svc1");
  world.Run(absl::Seconds(3));
  world.KillController("a");
  world.Run(absl::Seconds(1));
  SwitchOff(world, candidates[0]);
  world.Run(absl::Seconds(5));
  CHECK(world.Announcers(vip).empty());
}

}  // namespace
}  // namespace berth::system
