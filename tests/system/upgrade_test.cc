// SPDX-License-Identifier: Apache-2.0
// Rolling upgrades: the new agent of a node starts beside the old one and takes over from it, on the same node.
#include <catch2/catch.hpp>

#include "tests/system/stories.h"

namespace berth::system {
namespace {

// Two nodes, four addresses, a client that asks for each every 5 ms; one node is upgraded.
struct Upgrade {
  Upgrade() {
    Prepare(world, 2, 4);
    holders = world.Holders();
    node = holders.begin()->second;
    for (const auto& [address, holder] : holders) world.client.AskEvery(address, absl::Milliseconds(5));
    world.Run(absl::Milliseconds(100));
    begun = world.Now();
  }
  AgentProcess& Younger() { return *world.NodeNamed(node).agents.front(); }
  AgentProcess& Elder() { return *world.NodeNamed(node).agents.back(); }
  bool ElderTold() { return Elder().exit_code == agent::kExitSuperseded; }
  void CheckNobodyNoticed() {
    CHECK(world.Holders() == holders);
    CHECK(world.GratuitousSince(begun) == 0);
    CHECK(Text(world.client.double_answers()) == "");
    for (const auto& [address, holder] : holders) {
      INFO(address.ToString());
      CHECK(world.client.Unanswered(address, begun, world.Now() - absl::Milliseconds(5)) == 0);
    }
  }

  World world;
  std::map<IpAddr, std::string> holders;
  std::string node;
  absl::Time begun;
};

TEST_CASE("of two agents of one node the younger takes over: nothing moves, no frame is sent, no question is lost",
          "[system]") {
  Upgrade up;
  up.world.StartAgent(up.node);  // the one that runs is not stopped
  up.world.Run(absl::Seconds(15));
  REQUIRE(up.world.NodeNamed(up.node).agents.size() == 2);
  CHECK(up.ElderTold());
  CHECK_FALSE(up.Younger().exit_code.has_value());
  up.CheckNobodyNoticed();
}

TEST_CASE("an older agent that is told to end while its successor takes over hands nothing to other nodes",
          "[system]") {
  Upgrade up;
  up.world.StartAgent(up.node);
  REQUIRE(up.world.RunUntil([&] { return up.Younger().runner.core().status().link_up; }, absl::Seconds(1)));
  REQUIRE_FALSE(up.ElderTold());
  up.Elder().runner.Terminate();
  up.world.Run(absl::Seconds(15));
  CHECK(up.ElderTold());
  up.CheckNobodyNoticed();
}

TEST_CASE("an upgrade just after an address was gained sends the first frames once more, since some may be lost",
          "[system]") {
  Upgrade up;
  up.world.AddService("late");
  const IpAddr old = up.world.AddressOf("svc1");
  REQUIRE(up.world.RunUntil([&] { return !up.world.AddressesOf("late").empty(); }, absl::Seconds(2)));
  const IpAddr vip = up.world.AddressOf("late");
  REQUIRE(up.world.RunUntil([&] { return up.world.HolderOf(vip) != ""; }, absl::Seconds(2)));
  const absl::Time gained = up.world.Now();
  const std::string holder = up.world.HolderOf(vip);
  up.world.StartAgent(holder);
  up.world.Run(absl::Milliseconds(500));
  CHECK(up.world.HolderOf(vip) == holder);
  CHECK(up.world.GratuitousSince(gained, vip) > 0);
  CHECK(up.world.GratuitousSince(up.begun, old) == 0);
}

TEST_CASE("a new agent that dies before it has taken over leaves the node to the older one", "[system]") {
  Upgrade up;
  up.world.StartAgent(up.node);
  REQUIRE(up.world.RunUntil([&] { return up.Younger().runner.core().status().link_up; }, absl::Seconds(1)));
  REQUIRE_FALSE(up.ElderTold());
  up.world.DieAgent(up.Younger());
  up.world.Run(absl::Seconds(15));
  CHECK_FALSE(up.Elder().exit_code.has_value());
  CHECK(up.Elder().runner.core().status().leader_heard);
  up.CheckNobodyNoticed();
}

TEST_CASE("a leader that dies while an agent is upgraded leaves it to the next one to end the older agent",
          "[system]") {
  Upgrade up;
  up.world.StartController("b");
  up.world.Run(absl::Seconds(1));
  up.world.StartAgent(up.node);
  REQUIRE(up.world.RunUntil([&] { return up.Younger().runner.core().status().link_up; }, absl::Seconds(1)));
  REQUIRE_FALSE(up.ElderTold());
  up.world.KillController("a");
  up.world.Run(absl::Seconds(3));  // both have found the other controller, which does not lead yet
  CHECK_FALSE(up.ElderTold());
  up.world.cluster.Grant(up.world.controllers.at("b")->source);
  up.world.Run(absl::Seconds(15));
  CHECK(up.ElderTold());
  CHECK(up.world.Holders() == up.holders);
  CHECK(Text(up.world.client.double_answers()) == "");
  for (const auto& [address, holder] : up.holders) {
    CHECK(up.world.client.Unanswered(address, up.begun, up.world.Now() - absl::Milliseconds(5)) == 0);
  }
}

TEST_CASE("an older agent that comes to a standby looks for the leader, who ends it", "[system]") {
  Upgrade up;
  up.world.StartController("b");
  up.world.Run(absl::Seconds(1));
  up.world.StartAgent(up.node);
  REQUIRE(up.world.RunUntil([&] { return up.Younger().runner.core().status().link_up; }, absl::Seconds(1)));
  up.world.KillController("a");  // both go to the other one
  up.world.Run(absl::Seconds(3));
  REQUIRE_FALSE(up.ElderTold());
  CHECK_FALSE(up.Elder().runner.core().status().leader_heard);
  up.world.StartController("a");
  up.world.cluster.Grant(up.world.controllers.at("a")->source);
  up.world.Run(absl::Seconds(10));
  CHECK(up.ElderTold());
  CHECK(up.world.Holders() == up.holders);
}

TEST_CASE("an upgrade while no controller lives loses no question either", "[system]") {
  Upgrade up;
  up.world.KillController("a");
  up.world.Run(absl::Seconds(1));
  up.world.StartAgent(up.node);
  up.world.Run(absl::Seconds(5));  // longer than kubelet waits for a new agent to be ready, with minReadySeconds
  up.Elder().runner.Terminate();
  up.world.Run(absl::Seconds(5));
  CHECK(up.world.Holders() == up.holders);
  CHECK(Text(up.world.client.double_answers()) == "");
  for (const auto& [address, holder] : up.holders) {
    CHECK(up.world.client.Unanswered(address, up.begun, up.world.Now() - absl::Milliseconds(5)) == 0);
  }
}

TEST_CASE("T144 the agents of twenty nodes are upgraded one after another: no question is lost, no address moves",
          "[system]") {
  World world;
  world.AddNodes(20);
  world.AddPool("edge", "192.168.50.100-192.168.50.199");
  world.StartAll();
  for (int i = 1; i <= 100; ++i) world.AddService(absl::StrCat("svc", i));
  world.Run(absl::Seconds(14));
  const auto holders = world.Holders();
  REQUIRE(holders.size() == 100);
  for (const auto& [address, holder] : holders) world.client.AskEvery(address, absl::Milliseconds(20));
  const absl::Time begun = world.Now();
  for (const auto& [name, node] : world.nodes) {
    world.StartAgent(name);
    REQUIRE(world.RunUntil([&, &n = *node] { return n.agents.back()->exit_code.has_value(); }, absl::Seconds(2)));
  }
  world.Run(absl::Seconds(1));
  CHECK(world.Holders() == holders);
  CHECK(world.GratuitousSince(begun) == 0);
  CHECK(Text(world.client.double_answers()) == "");
  for (const auto& [address, holder] : holders) {
    CHECK(world.client.Unanswered(address, begun, world.Now() - absl::Milliseconds(5)) == 0);
  }
}

}  // namespace
}  // namespace berth::system
