// SPDX-License-Identifier: Apache-2.0
// spec.interface of an Eip: what its rule means on nodes that differ, and as interfaces come, go and are renamed.
#include <catch2/catch.hpp>

#include "tests/system/stories.h"

namespace berth::system {
namespace {

// The node's interface to the LAN by another name; the same index, MAC and cable.
void Rename(World& world, const std::string& node, const std::string& name) {
  Node& n = world.NodeNamed(node);
  agent::Link link = n.kernel.fake().links().at(kEth0);
  link.name = name;
  n.kernel.fake().SetLink(link);
}

void SetRule(World& world, const std::string& rule) {
  model::Pool pool = world.cluster.pools().at("edge");
  pool.interface = rule;
  world.cluster.Put(pool);
}

std::vector<std::string> Sorted(std::vector<std::string> names) {
  std::sort(names.begin(), names.end());
  return names;
}

void Start(World& world, const std::string& range = "192.168.50.100-192.168.50.110") {
  world.AddNodes(3);
  world.AddPool("edge", range);
  Rename(world, "node2", "lan0");
  Rename(world, "node3", "enp5s0");
  world.StartAll();
  world.AddService("web");
  world.Run(absl::Seconds(2));
}

TEST_CASE("F15 a rule means on each node what that node has of it", "[system]") {
  const auto [rule, able] = GENERATE(table<std::string, std::vector<std::string>>({
      {"eth0", {"node1"}},
      {"eth0,lan0", {"node1", "node2"}},
      {"eth7, enp5s0", {"node3"}},
      {"regex:(lan|enp).*", {"node2", "node3"}},
      {"regex:[a-z]+[0-9]", {"node1", "node2"}},
      {"can_reach:192.168.50.1", {"node1", "node2", "node3"}},
      {"auto", {"node1", "node2", "node3"}},
  }));
  CAPTURE(rule);
  World world;
  Start(world);
  SetRule(world, rule);
  world.Run(absl::Seconds(3));
  const IpAddr vip = world.AddressOf("web");
  CHECK(Sorted(world.Explain(vip).candidates) == able);
  const std::string holder = world.HolderOf(vip);
  CHECK(std::count(able.begin(), able.end(), holder) == 1);
  world.client.Ask(vip);
  world.Run(absl::Milliseconds(5));
  CHECK(world.client.neighbour(vip) == world.NodeNamed(holder).mac);
  CHECK(world.cluster.pool_status("edge")->ready);
}

TEST_CASE("F14 a rule that no node can follow is told by all of them", "[system]") {
  const auto [rule, why] = GENERATE(table<std::string, std::string>({
      {"eth7", "node node1 has no interface eth7 (it has eth0)"},
      {"eth7,eth8", "node node3 has none of the interfaces eth7, eth8 (it has enp5s0)"},
      {"regex:wlan.*", "node node2 has no interface that matches regex:wlan.* (it has lan0)"},
      {"can_reach:8.8.8.8", "node node1 has no route to 8.8.8.8 (it has eth0)"},
  }));
  CAPTURE(rule);
  World world;
  Start(world);
  SetRule(world, rule);
  world.Run(absl::Seconds(3));
  const model::AddressView view = world.Explain(world.AddressOf("web"));
  CHECK(view.state == model::AddressState::kUnheld);
  CHECK_THAT(Text(view.refusals), Catch::Contains(why));
}

TEST_CASE("an interface that is renamed takes its addresses along where the rule still means it", "[system]") {
  World world;
  Start(world);
  SetRule(world, "auto");
  world.Run(absl::Seconds(15));
  const IpAddr vip = world.AddressOf("web");
  const std::string holder = world.HolderOf(vip);
  REQUIRE(holder != "");
  world.client.AskEvery(vip, absl::Milliseconds(10));
  const absl::Time renamed = world.Now();
  Rename(world, holder, "uplink");
  world.Run(absl::Seconds(3));
  CHECK(world.HolderOf(vip) == holder);
  CHECK(world.client.Unanswered(vip, renamed, world.Now() - absl::Milliseconds(5)) <= 1);
  CHECK(Text(world.client.double_answers()) == "");
}

TEST_CASE("an interface that is renamed away, or vanishes, gives its addresses to the next node", "[system]") {
  const bool vanishes = GENERATE(true, false);
  World world;
  Start(world);
  SetRule(world, "eth0,lan0");
  world.Run(absl::Seconds(3));
  const IpAddr vip = world.AddressOf("web");
  const std::string holder = world.HolderOf(vip);
  const std::string other = holder == "node1" ? "node2" : "node1";
  if (vanishes) {
    world.NodeNamed(holder).port->carrier = false;
    world.NodeNamed(holder).kernel.fake().RemoveLink(kEth0);
  } else {
    Rename(world, holder, "spare0");
  }
  REQUIRE(world.RunUntil([&] { return world.HolderOf(vip) == other; }, absl::Milliseconds(200)));
  world.Run(absl::Seconds(2));
  CHECK(Text(world.client.double_answers()) == "");
}

TEST_CASE("T124 an interface that appears and matches is used at once", "[system]") {
  World world;
  Start(world);
  SetRule(world, "regex:eth9");
  world.Run(absl::Seconds(3));
  const IpAddr vip = world.AddressOf("web");
  REQUIRE(world.Announcers(vip).empty());
  Rename(world, "node2", "eth9");
  REQUIRE(world.RunUntil([&] { return world.HolderOf(vip) == "node2"; }, absl::Milliseconds(300)));
  world.client.Ask(vip);
  world.Run(absl::Milliseconds(5));
  CHECK(world.client.neighbour(vip) == world.NodeNamed("node2").mac);
}

std::vector<std::string> Warnings(const World& world) {
  std::vector<std::string> found;
  for (const FakeCluster::Event& e : world.cluster.events()) {
    if (e.record.kind == model::EventRecord::Kind::kPool && e.record.reason == "OutsideSubnet") {
      found.push_back(e.record.message);
    }
  }
  return found;
}

TEST_CASE("F16 a range outside the interface's subnets is announced, with one warning for the Eip as it is",
          "[system]") {
  World world;
  Start(world, "10.9.0.1-10.9.0.9");
  SetRule(world, "eth0,lan0,enp5s0");
  world.AddService("web2");
  world.Run(absl::Seconds(3));
  for (const auto& [address, holder] : world.Holders()) CHECK(holder != "");
  REQUIRE(Warnings(world).size() >= 1);
  CHECK_THAT(Warnings(world)[0],
             Catch::StartsWith("address 10.9.0.1 is in no subnet of interface ") && Catch::Contains("(192.168.50.1"));
  const std::size_t told = Warnings(world).size();
  // Neither for another Service, nor when addresses move, nor after a restart.
  world.AddService("web3");
  world.Run(absl::Seconds(3));
  world.KillAgent(world.HolderOf(world.AddressOf("web")));
  world.Run(absl::Seconds(3));
  world.KillController("a");
  world.StartController("a");
  world.Run(absl::Seconds(5));
  CHECK(Warnings(world).size() == told);
}

TEST_CASE("a range inside the interface's subnet is no matter of warnings", "[system]") {
  World world;
  Start(world);
  SetRule(world, "auto");
  world.Run(absl::Seconds(3));
  REQUIRE(world.HolderOf(world.AddressOf("web")) != "");
  CHECK(Text(Warnings(world)) == "");
}

}  // namespace
}  // namespace berth::system
