// SPDX-License-Identifier: Apache-2.0
// Controllers and agents die and return, in any order: no allocation changes and no frame more than needed is sent.
#include <catch2/catch.hpp>

#include "tests/system/stories.h"

namespace berth::system {
namespace {

bool Probed(const World& world, absl::Time from, const std::string& node, const IpAddr& address) {
  const auto& all = world.lan.captured();
  return std::any_of(all.begin(), all.end(), [&](const VirtualLan::Captured& c) {
    return c.at >= from && c.from == node && c.arp.op == agent::ArpOp::kRequest && !c.arp.gratuitous() &&
           c.arp.target_ip == address;
  });
}

TEST_CASE("a controller killed and restarted changes no allocation, sends no frame and takes no address away",
          "[system]") {
  World world;
  Prepare(world, 3, 6);
  const auto allocations = world.Allocations();
  const auto holders = world.Holders();
  const auto writes = world.cluster.service_writes().size();
  for (const auto& [address, holder] : holders) world.client.AskEvery(address, absl::Milliseconds(50));
  const absl::Time killed = world.Now();
  world.KillController("a");
  world.Run(absl::Seconds(5));
  CHECK(world.Holders() == holders);
  world.StartController("a");
  world.Run(absl::Seconds(15));
  CHECK(world.Allocations() == allocations);
  CHECK(world.Holders() == holders);
  CHECK(world.GratuitousSince(killed) == 0);
  CHECK(world.cluster.service_writes().size() == writes);
  for (const auto& [address, holder] : holders) {
    CHECK(world.client.Unanswered(address, killed, world.Now() - absl::Milliseconds(5)) == 0);
    CHECK(world.NodeNamed(holder).kernel.fake().IsLocal(address));
  }
}

TEST_CASE("T093: twenty restarts of the controller leave the address with its Service and the other waiting",
          "[system]") {
  World world;
  world.AddNodes(2);
  world.AddPool("single", "192.168.50.100");
  world.StartAll();
  world.AddService("first");
  world.Run(absl::Seconds(1));
  world.AddService("second");
  world.Run(absl::Seconds(1));
  for (int i = 0; i < 20; ++i) {
    world.KillController("a");
    world.Run(absl::Milliseconds(137 * (i % 5)));
    world.StartController("a");
    world.Run(absl::Milliseconds(400 * (i % 7)));
    REQUIRE(world.AddressOf("first") == Ip("192.168.50.100"));
    REQUIRE(world.AddressesOf("second").empty());
  }
  world.Run(absl::Seconds(5));
  CHECK(world.HolderOf(Ip("192.168.50.100")) != "");
  CHECK(world.ReasonOf("second") == "PoolExhausted");
}

TEST_CASE("a second controller adopts who holds what, and moves nothing", "[system]") {
  World world;
  Prepare(world, 3, 6);
  world.StartController("b");
  world.Run(absl::Seconds(2));
  const auto allocations = world.Allocations();
  const auto holders = world.Holders();
  const absl::Time killed = world.Now();
  world.KillController("a");
  world.Run(absl::Seconds(3));
  world.cluster.Grant(world.controllers.at("b")->source);
  world.Run(absl::Seconds(15));
  CHECK(world.Allocations() == allocations);
  CHECK(world.Holders() == holders);
  CHECK(world.GratuitousSince(killed) == 0);
  for (const auto& [name, node] : world.nodes) CHECK(world.AgentState(name) == model::AgentState::kReady);

  // And it leads: what is new gets an address, and who dies is succeeded.
  world.AddService("new");
  REQUIRE(world.RunUntil([&] { return world.HolderOf(world.AddressOf("new")) != ""; }, absl::Seconds(2)));
  const IpAddr vip = holders.begin()->first;
  world.KillAgent(holders.begin()->second);
  CHECK(world.RunUntil([&] { return world.HolderOf(vip) != ""; }, absl::Milliseconds(300)));
}

TEST_CASE("a controller whose turn comes goes by what its predecessor left, not by what it once saw", "[system]") {
  World world;
  Prepare(world, 3, 3);
  world.StartController("b");
  world.Run(absl::Seconds(2));  // it has seen svc1 .. svc3
  model::Service moved = *world.cluster.service({"default", "svc1"});
  moved.load_balancer_ip = "192.168.50.110";
  world.AddService(moved);
  world.DeleteService("svc2");
  world.Run(absl::Seconds(2));
  world.AddService("heir1");
  world.AddService("heir2");
  world.Run(absl::Seconds(12));
  const auto allocations = world.Allocations();
  const auto holders = world.Holders();
  REQUIRE(allocations.size() == 4);
  const auto writes = world.cluster.service_writes().size();
  const absl::Time granted = world.Now();
  world.cluster.Grant(world.controllers.at("b")->source);
  world.Run(absl::Seconds(15));
  CHECK(world.Allocations() == allocations);
  CHECK(world.Holders() == holders);
  CHECK(world.cluster.service_writes().size() == writes);
  CHECK(world.GratuitousSince(granted) == 0);
}

TEST_CASE("an agent that reaches a standby first finds the leader within 2 s", "[system]") {
  World world;
  world.AddNodes(6);
  world.AddPool("edge", "192.168.50.100-192.168.50.120");
  world.StartController("a");
  world.StartController("b");
  world.Run(absl::Milliseconds(10));
  for (const auto& [name, node] : world.nodes) world.StartAgent(name);
  world.Run(absl::Seconds(2));
  for (const auto& [name, node] : world.nodes) {
    INFO(name);
    CHECK(world.wire.Connected(world.AgentOf(name).link, "a"));
  }
}

TEST_CASE("leadership handed over while both live moves nothing", "[system]") {
  World world;
  Prepare(world, 3, 6);
  world.StartController("b");
  world.Run(absl::Seconds(2));
  const auto holders = world.Holders();
  const absl::Time from = world.Now();
  world.cluster.Grant(world.controllers.at("b")->source);
  world.Run(absl::Seconds(20));
  CHECK(world.Holders() == holders);
  CHECK(world.GratuitousSince(from) == 0);
  for (const auto& [name, node] : world.nodes) CHECK(world.AgentState(name) == model::AgentState::kReady);
}

TEST_CASE("an agent restarted while no controller lives announces again from its disk, once the LAN has been asked",
          "[system]") {
  World world;
  Prepare(world, 1, 1);  // others would take over
  const IpAddr vip = world.AddressOf("svc1");
  const std::string holder = world.HolderOf(vip);
  world.KillController("a");
  world.Run(absl::Seconds(1));
  world.KillAgent(holder);
  world.Run(absl::Seconds(1));
  CHECK(world.Announcers(vip).empty());
  const absl::Time back = world.Now();
  world.StartAgent(holder);
  REQUIRE(world.RunUntil([&] { return world.HolderOf(vip) == holder; }, absl::Seconds(3)));
  CHECK(Probed(world, back, holder, vip));
}

TEST_CASE("from its disk an agent announces nothing that somebody answers for", "[system]") {
  World world;
  Prepare(world, 3, 1);
  const IpAddr vip = world.AddressOf("svc1");
  const std::string holder = world.HolderOf(vip);
  world.KillAgent(holder);
  world.Run(absl::Seconds(2));  // it has moved
  const std::string heir = world.HolderOf(vip);
  REQUIRE(heir != "");
  world.KillController("a");
  world.client.AskEvery(vip, absl::Milliseconds(10));
  world.StartAgent(holder);
  world.Run(absl::Seconds(20));
  CHECK(world.HolderOf(vip) == heir);
  CHECK(Text(world.client.double_answers()) == "");
}

TEST_CASE("what an agent knows from before its node restarted waits for a leader's word", "[system]") {
  World world;
  Prepare(world, 1, 1);  // others would take over
  const IpAddr vip = world.AddressOf("svc1");
  const std::string holder = world.HolderOf(vip);
  world.KillController("a");
  world.KillAgent(holder);
  Node& node = world.NodeNamed(holder);
  node.kernel.Reboot();
  ++node.boots;
  world.StartAgent(holder);
  world.Run(absl::Seconds(20));
  CHECK(world.Announcers(vip).empty());
  world.StartController("a");
  CHECK(world.RunUntil([&] { return world.HolderOf(vip) != ""; }, absl::Seconds(6)));
}

TEST_CASE("a leader that hears of a higher term raises its own above it before it says anything", "[system]") {
  World world;
  Prepare(world, 3, 3);
  const auto holders = world.Holders();
  const absl::Time from = world.Now();
  world.KillAgent("node2");
  world.NodeNamed("node2").disk.state->highest_term = 50;
  world.StartAgent("node2");
  world.Run(absl::Seconds(15));
  CHECK(world.cluster.term() > 50);
  for (const auto& [name, node] : world.nodes) {
    CHECK(world.AgentState(name) == model::AgentState::kReady);
    CHECK(world.AgentOf(name).runner.core().status().highest_term == world.cluster.term());
  }
  for (const auto& [address, holder] : holders) {
    INFO(address.ToString());
    CHECK(world.HolderOf(address) != "");
    if (holder != "node2") {
      CHECK(world.HolderOf(address) == holder);
      CHECK(world.GratuitousSince(from, address) == 0);
    }
  }
}

TEST_CASE("a write whose outcome is unknown keeps its address from everybody else", "[system]") {
  World world;
  Prepare(world, 2, 0);
  SECTION("and it was done") { world.cluster.LoseAnswers(1); }
  SECTION("and it was not done") { world.cluster.FailWrites(1, absl::UnavailableError("no answer")); }
  world.AddService("a");
  world.AddService("b");
  world.Run(absl::Seconds(5));
  REQUIRE(world.AddressesOf("a").size() == 1);
  REQUIRE(world.AddressesOf("b").size() == 1);
  CHECK(world.AddressOf("a") != world.AddressOf("b"));
  CHECK(world.HolderOf(world.AddressOf("a")) != "");
  CHECK(world.HolderOf(world.AddressOf("b")) != "");
}

}  // namespace
}  // namespace berth::system
