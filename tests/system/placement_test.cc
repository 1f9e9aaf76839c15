// SPDX-License-Identifier: Apache-2.0
// Which node holds an address: who can, who should, and how evenly.
#include <algorithm>
#include <catch2/catch.hpp>
#include <map>

#include "tests/system/stories.h"

namespace berth::system {
namespace {

model::Node NodeObject(const std::string& name) { return {.name = name, .labels = {}, .explicit_object = true}; }

TEST_CASE("T133: with externalTrafficPolicy Local the address follows the endpoints, without a gap", "[system]") {
  World world;
  Prepare(world, 3, 0);
  model::Service service = World::MakeService("local");
  service.traffic_policy = model::TrafficPolicy::kLocal;
  world.cluster.Put(World::MakeSlice("local", {{.node = "node2"}}));
  world.AddService(service);
  world.Run(absl::Seconds(12));
  const IpAddr vip = world.AddressOf("local");
  CHECK(world.HolderOf(vip) == "node2");
  world.client.AskEvery(vip, absl::Milliseconds(10));
  const absl::Time moved = world.Now();
  world.cluster.Put(World::MakeSlice("local", {{.node = "node3"}}));
  REQUIRE(world.RunUntil([&] { return world.HolderOf(vip) == "node3"; }, absl::Seconds(1)));
  world.Run(absl::Seconds(1));
  CHECK(world.client.Unanswered(vip, moved, world.Now() - absl::Milliseconds(5)) == 0);
  CHECK(Text(world.client.double_answers()) == "");

  world.cluster.Put(World::MakeSlice("local", {}));
  world.Run(absl::Seconds(1));
  CHECK(world.Announcers(vip).empty());
  CHECK(world.AddressOf("local") == vip);
  CHECK(world.Explain(vip).state == model::AddressState::kUnheld);
  CHECK_FALSE(world.Explain(vip).refusals.empty());
  world.cluster.Put(World::MakeSlice("local", {{.node = "node1"}}));
  CHECK(world.RunUntil([&] { return world.HolderOf(vip) == "node1"; }, absl::Seconds(1)));
}

TEST_CASE("T135: the label that excludes a node moves its addresses, and its removal moves nothing back", "[system]") {
  World world;
  Prepare(world, 3, 3);
  const IpAddr vip = world.AddressOf("svc1");
  const std::string holder = world.HolderOf(vip);
  world.client.AskEvery(vip, absl::Milliseconds(10));
  const absl::Time from = world.Now();
  model::Node labelled = NodeObject(holder);
  labelled.labels[model::kExcludeNodeLabel] = "";
  world.cluster.Put(labelled);
  REQUIRE(world.RunUntil([&] { return world.HolderOf(vip) != "" && world.HolderOf(vip) != holder; }, absl::Seconds(2)));
  world.Run(absl::Seconds(1));
  const auto holders = world.Holders();
  world.cluster.Put(NodeObject(holder));
  world.Run(absl::Seconds(15));
  CHECK(world.Holders() == holders);
  CHECK(world.client.Unanswered(vip, from, world.Now() - absl::Milliseconds(5)) == 0);
  CHECK(Text(world.client.double_answers()) == "");
}

TEST_CASE("T136: a node without network holds nothing", "[system]") {
  World world;
  Prepare(world, 2, 1);
  const IpAddr vip = world.AddressOf("svc1");
  const std::string holder = world.HolderOf(vip);
  model::Node node = NodeObject(holder);
  node.network_unavailable = true;
  world.cluster.Put(node);
  CHECK(world.RunUntil([&] { return world.HolderOf(vip) != "" && world.HolderOf(vip) != holder; }, absl::Seconds(2)));
}

TEST_CASE("one node that is not ready loses its addresses, but when most are not ready nothing moves", "[system]") {
  World world;
  Prepare(world, 3, 6);
  const auto before = world.Holders();
  const std::string victim = before.begin()->second;
  SECTION("one") {
    model::Node node = NodeObject(victim);
    node.ready = false;
    world.cluster.Put(node);
    world.Run(absl::Seconds(3));
    for (const auto& [address, holder] : world.Holders()) {
      CHECK(holder != "");
      CHECK(holder != victim);
      if (before.at(address) != victim) CHECK(before.at(address) == holder);
    }
  }
  SECTION("all") {
    for (const auto& [name, unused] : world.nodes) {
      model::Node node = NodeObject(name);
      node.ready = false;
      world.cluster.Put(node);
    }
    CHECK(world.WhatMoved(absl::Seconds(10)) == "");
    CHECK(world.Holders() == before);
  }
}

TEST_CASE("after nodes came and went and addresses were let go, new ones fill the nodes that have least", "[system]") {
  World world;
  world.AddNodes(4);
  world.AddPool("edge", "192.168.50.30-192.168.50.199");
  world.StartAll();
  for (int i = 0; i < 80; ++i) world.AddService(absl::StrCat("svc", i));
  world.Run(absl::Seconds(3));
  for (const char* node : {"node1", "node2"}) {  // each leaves and comes back with nothing
    world.KillAgent(node);
    world.Run(absl::Seconds(2));
    world.StartAgent(node);
    world.Run(absl::Seconds(2));
  }
  for (int i = 0; i < 40; ++i) world.DeleteService(absl::StrCat("svc", i));
  world.Run(absl::Seconds(3));
  std::map<std::string, int> before, after;
  for (const auto& [address, holder] : world.Holders()) ++before[holder];
  for (int i = 0; i < 40; ++i) world.AddService(absl::StrCat("new", i));
  world.Run(absl::Seconds(3));
  for (const auto& [address, holder] : world.Holders()) ++after[holder];
  for (const auto& [node, n] : after) {
    INFO(node << " had " << before[node]);
    CHECK(n <= std::max(25, before[node]));  // 1.25 times the mean of 80 over 4, or what it kept
  }
  CHECK(after.size() == 4);
}

TEST_CASE("two hundred addresses spread over four nodes, none with more than 1.25 times the mean", "[system]") {
  World world;
  world.AddNodes(4);
  world.AddPool("edge", "192.168.50.30-192.168.50.199,10.7.0.1-10.7.0.30");
  world.StartAll();
  for (int i = 0; i < 200; ++i) world.AddService(absl::StrCat("svc", i));
  world.Run(absl::Seconds(5));
  std::map<std::string, int> load;
  for (const auto& [address, holder] : world.Holders()) ++load[holder];
  CHECK(world.Holders().size() == 200);
  CHECK(load.size() == 4);
  for (const auto& [node, n] : load) {
    INFO(node);
    CHECK(n <= 63);
  }
  // One dies: the others take its share, and nothing else moves.
  const auto before = world.Holders();
  world.KillAgent("node1");
  world.Run(absl::Seconds(2));
  for (const auto& [address, holder] : world.Holders()) {
    if (before.at(address) == "node1") {
      CHECK((holder != "" && holder != "node1"));
    } else {
      CHECK(holder == before.at(address));
    }
  }
}

}  // namespace
}  // namespace berth::system
