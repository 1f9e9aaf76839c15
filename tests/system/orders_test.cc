// SPDX-License-Identifier: Apache-2.0
// What people order: drain, undrain, move, rebalance. Addresses move make before break, and orders outlive processes as
// far as they promise to.
#include <catch2/catch.hpp>

#include "absl/strings/match.h"
#include "tests/system/stories.h"

namespace berth::system {
namespace {

core::CoreRunner& LeaderOf(World& world) { return world.Leader().runner; }

std::size_t Held(const World& world, const std::string& node) {
  const auto holders = world.Holders();
  return static_cast<std::size_t>(
      std::count_if(holders.begin(), holders.end(), [&](const auto& h) { return h.second == node; }));
}

std::string MostLoaded(const World& world) {
  std::string most;
  for (const auto& [name, node] : world.nodes) {
    if (most.empty() || Held(world, name) > Held(world, most)) most = name;
  }
  return most;
}

// A question for each address each 10 ms, from now on.
absl::Time AskOn(World& world) {
  for (const auto& [address, holder] : world.Holders()) world.client.AskEvery(address, absl::Milliseconds(10));
  world.Run(absl::Milliseconds(100));
  return world.Now();
}

void CheckNobodyNoticed(World& world, absl::Time since) {
  for (const auto& [address, holder] : world.Holders()) {
    INFO(address.ToString());
    CHECK(holder != "");
    CHECK(world.client.Unanswered(address, since, world.Now() - absl::Milliseconds(5)) == 0);
    CHECK(world.client.neighbour(address) == world.NodeNamed(holder).mac);
  }
  CHECK(Text(world.client.double_answers()) == "");
}

bool IsDraining(World& world, const std::string& node) {
  return world.AgentState(node) == model::AgentState::kDraining;
}

TEST_CASE("T137 a drained node's addresses move without one question unanswered, and none comes until it is undrained",
          "[system]") {
  World world;
  Prepare(world, 3, 6);
  const std::string node = MostLoaded(world);
  const auto before = world.Holders();
  const absl::Time ordered = AskOn(world);
  const auto drained = LeaderOf(world).DrainNode(node);
  REQUIRE(drained.ok());
  CHECK(drained->agent.state == model::AgentState::kDraining);
  CHECK(drained->moving.size() == Held(world, node));
  CHECK(drained->staying.empty());
  REQUIRE(world.RunUntil([&] { return Held(world, node) == 0; }, absl::Seconds(1)));
  world.Run(absl::Seconds(5));
  CheckNobodyNoticed(world, ordered);
  for (const auto& [address, holder] : before) {
    if (holder != node) CHECK(world.HolderOf(address) == holder);
    // The former holder forwards for a while.
    if (holder == node) CHECK(world.NodeNamed(node).kernel.fake().IsLocal(address));
  }
  CHECK(IsDraining(world, node));
  CHECK(world.HasEvent("SetBalancer", "node drained"));

  for (int i = 7; i <= 12; ++i) world.AddService(absl::StrCat("svc", i));
  world.Run(absl::Seconds(3));
  CHECK(world.Holders().size() == 12);
  CHECK(Held(world, node) == 0);
  const std::string explained = Text(world.Explain(world.AddressOf("svc7")).refusals);
  CHECK_THAT(explained, Catch::Contains(absl::StrCat(node, ": the node is drained; berthctl undrain")));
  world.KillAgent(node);
  world.Run(absl::Seconds(1));
  world.StartAgent(node);
  world.Run(absl::Seconds(3));
  CHECK(IsDraining(world, node));
  CHECK(Held(world, node) == 0);

  const auto holders = world.Holders();
  const auto undrained = LeaderOf(world).UndrainNode(node);
  REQUIRE(undrained.ok());
  CHECK(undrained->state == model::AgentState::kReady);
  world.Run(absl::Seconds(40));
  CHECK(world.Holders() == holders);
  CHECK(world.WhatMoved(absl::Seconds(10)) == "");
}

TEST_CASE("an address that no other node can hold stays with the drained node, until another can", "[system]") {
  World world;
  Prepare(world, 2, 2);
  world.NodeNamed("node2").port->carrier = false;
  world.NodeNamed("node2").kernel.fake().SetCarrier(kEth0, false);
  world.Run(absl::Seconds(2));
  REQUIRE(Held(world, "node1") == 2);
  const absl::Time ordered = AskOn(world);
  const auto drained = LeaderOf(world).DrainNode("node1");
  REQUIRE(drained.ok());
  CHECK(drained->moving.empty());
  REQUIRE(drained->staying.size() == 2);
  CHECK_THAT(drained->staying[0].message, Catch::Contains("stays"));
  CHECK_THAT(Text(drained->staying[0].refusals), Catch::Contains("node2: interface eth0 is down or has no carrier"));
  world.Run(absl::Seconds(5));
  CheckNobodyNoticed(world, ordered);
  CHECK(Held(world, "node1") == 2);
  CHECK(world.HasEvent("SetBalancer", "stays with node1, which is drained"));

  // It keeps also what it had when its own agent ends and comes back.
  world.NodeNamed("node2").port->carrier = true;
  world.NodeNamed("node2").kernel.fake().SetCarrier(kEth0, true);
  REQUIRE(world.RunUntil([&] { return Held(world, "node2") == 2; }, absl::Seconds(1)));
  world.Run(absl::Seconds(2));
  CheckNobodyNoticed(world, ordered);
  for (const auto& [address, holder] : world.Holders()) CHECK(world.Explain(address).message == "");
}

TEST_CASE("a drain of the last node leaves its addresses, and new ones wait", "[system]") {
  World world;
  Prepare(world, 1, 1);
  const auto drained = LeaderOf(world).DrainNode("node1");
  REQUIRE(drained.ok());
  CHECK(drained->staying.size() == 1);
  world.AddService("svc2");
  world.Run(absl::Seconds(10));
  CHECK(world.HolderOf(world.AddressOf("svc1")) == "node1");
  REQUIRE(world.AddressOf("svc2") != IpAddr());
  CHECK(world.Announcers(world.AddressOf("svc2")).empty());
  REQUIRE(LeaderOf(world).UndrainNode("node1").ok());
  world.Run(absl::Seconds(2));
  CHECK(world.HolderOf(world.AddressOf("svc2")) == "node1");
  CHECK(world.Explain(world.AddressOf("svc1")).message == "");
}

TEST_CASE("a drain outlives the controller, whenever it is killed, and nobody notices", "[system]") {
  const int after = GENERATE(0, 1, 2, 3, 4, 6, 9, 500);
  CAPTURE(after);
  World world;
  Prepare(world, 3, 6);
  const std::string node = MostLoaded(world);
  const absl::Time ordered = AskOn(world);
  REQUIRE(LeaderOf(world).DrainNode(node).ok());
  world.Run(absl::Milliseconds(after));
  world.KillController("a");
  world.Run(absl::Seconds(1));
  world.StartController("a");
  world.Run(absl::Seconds(8));
  CHECK(IsDraining(world, node));
  CHECK(Held(world, node) == 0);
  CheckNobodyNoticed(world, ordered);
}

TEST_CASE("a new leader goes on with a drain, and forgets one that was taken back", "[system]") {
  World world;
  Prepare(world, 3, 6);
  world.StartController("b");
  world.Run(absl::Seconds(1));
  const std::string node = MostLoaded(world);
  const absl::Time ordered = AskOn(world);
  REQUIRE(LeaderOf(world).DrainNode(node).ok());
  world.Run(absl::Milliseconds(2));
  world.cluster.Grant(world.controllers.at("b")->source);
  world.Run(absl::Seconds(5));
  REQUIRE(world.cluster.leader()->name() == "b");
  CHECK(IsDraining(world, node));
  CHECK(Held(world, node) == 0);
  CheckNobodyNoticed(world, ordered);

  // The first one led when the node was drained. It leads again after another has undrained it.
  REQUIRE(LeaderOf(world).UndrainNode(node).ok());
  world.Run(absl::Milliseconds(10));
  world.cluster.Grant(world.controllers.at("a")->source);
  world.Run(absl::Seconds(5));
  REQUIRE(world.cluster.leader()->name() == "a");
  CHECK(world.AgentState(node) == model::AgentState::kReady);
}

TEST_CASE("a draining node may be killed or told to end in the middle", "[system]") {
  const bool told = GENERATE(true, false);
  World world;
  Prepare(world, 3, 6);
  const std::string node = MostLoaded(world);
  REQUIRE(LeaderOf(world).DrainNode(node).ok());
  world.Run(absl::Milliseconds(1));
  if (told) {
    world.AgentOf(node).runner.Terminate();
  } else {
    world.KillAgent(node);
  }
  world.Run(absl::Seconds(3));
  for (const auto& [address, holder] : world.Holders()) {
    CHECK(holder != "");
    CHECK(holder != node);
  }
  CHECK(Text(world.client.double_answers()) == "");
}

TEST_CASE("an order for what is not there, or to one who does not lead, is refused with the reason", "[system]") {
  World world;
  Prepare(world, 2, 1);
  world.StartController("b");
  world.Run(absl::Seconds(1));
  const IpAddr vip = world.AddressOf("svc1");
  const std::string holder = world.HolderOf(vip);
  const std::string other = holder == "node1" ? "node2" : "node1";
  const auto refused = [](const auto& result, absl::StatusCode code, const std::string& why) {
    CHECK(result.status().code() == code);
    CHECK_THAT(std::string(result.status().message()), Catch::Contains(why));
  };
  auto& leader = LeaderOf(world);
  const auto kNotFound = absl::StatusCode::kNotFound;
  const auto kNo = absl::StatusCode::kFailedPrecondition;
  refused(leader.DrainNode("node9"), kNotFound,
          "no agent of a node node9 has ever connected; there are those of node1");
  refused(leader.UndrainNode("node9"), kNotFound, "node9");
  refused(leader.MoveAddress(vip, "node9"), kNotFound, "node9");
  refused(leader.MoveAddress(Ip("192.168.50.119"), "node1"), kNotFound, "is not assigned");
  auto& standby = world.controllers.at("b")->runner;
  refused(standby.DrainNode("node1"), kNo, "this controller is a standby: a leads");
  refused(standby.UndrainNode("node1"), kNo, "a leads");
  refused(standby.MoveAddress(vip, "node1"), kNo, "a leads");
  refused(standby.Rebalance(true), kNo, "a leads");

  world.NodeNamed(other).kernel.fake().SetCarrier(kEth0, false);
  world.Run(absl::Milliseconds(100));
  refused(leader.MoveAddress(vip, other), kNo,
          absl::StrCat("cannot move to ", other, ": interface eth0 is down or has no carrier"));
  world.NodeNamed(other).kernel.fake().SetCarrier(kEth0, true);
  world.Run(absl::Milliseconds(100));
  REQUIRE(leader.DrainNode(other).ok());
  refused(leader.MoveAddress(vip, other), kNo, "the node is drained");
  REQUIRE(leader.UndrainNode(other).ok());
  model::Node cordoned{.name = other, .labels = {}, .explicit_object = true};
  cordoned.unschedulable = true;
  world.cluster.Put(cordoned);
  world.Run(absl::Milliseconds(100));
  refused(leader.MoveAddress(vip, other), kNo, "the node is cordoned or not Ready, and");
  world.KillAgent(other);
  world.Run(absl::Seconds(1));
  refused(leader.MoveAddress(vip, other), kNo, "its agent is not connected");
  CHECK(world.HolderOf(vip) == holder);
}

TEST_CASE("a moved address sticks to the node that it was moved to", "[system]") {
  World world;
  Prepare(world, 3, 3);
  const IpAddr vip = world.AddressOf("svc2");
  for (const std::string node : {"node1", "node2", "node3", "node1"}) {
    CAPTURE(node);
    const absl::Time ordered = AskOn(world);
    const auto before = world.Holders();
    const auto moved = LeaderOf(world).MoveAddress(vip, node);
    REQUIRE(moved.ok());
    REQUIRE(world.RunUntil([&] { return world.HolderOf(vip) == node; }, absl::Seconds(1)));
    // The nodes' objects change, an agent leaves and comes: it stays.
    world.cluster.Put(model::Node{.name = "node1", .labels = {{"a", node}}, .explicit_object = true});
    world.Run(absl::Seconds(3));
    for (const auto& [address, holder] : before) CHECK(world.HolderOf(address) == (address == vip ? node : holder));
    CheckNobodyNoticed(world, ordered);
  }
  const absl::Time at_rest = world.Now() + absl::Seconds(40);
  world.Run(absl::Seconds(40));
  world.KillController("a");
  world.StartController("a");
  world.Run(absl::Seconds(5));
  CHECK(world.HolderOf(vip) == "node1");
  CHECK(world.GratuitousSince(at_rest) == 0);
  world.KillAgent("node1");
  world.Run(absl::Seconds(2));
  CHECK(world.HolderOf(vip) != "");
}

TEST_CASE("a move whose node is lost on the way leaves the address where it is", "[system]") {
  World world;
  Prepare(world, 2, 1);
  const IpAddr vip = world.AddressOf("svc1");
  const std::string holder = world.HolderOf(vip);
  const std::string other = holder == "node1" ? "node2" : "node1";
  const absl::Time ordered = AskOn(world);
  world.wire.Cut(other, true);
  const auto taken = LeaderOf(world).MoveAddress(vip, other);
  REQUIRE(taken.ok());
  CHECK(taken->ordered == other);
  world.Run(absl::Seconds(3));
  CHECK(world.HolderOf(vip) == holder);
  // And the order is forgotten with it, and why.
  const model::AddressView view = world.Explain(vip);
  CHECK(view.ordered == "");
  REQUIRE(view.refusals.size() == 1);
  CHECK(absl::StartsWith(view.refusals.front(), other + ": "));
  world.wire.Cut(other, false);
  world.Run(absl::Seconds(5));
  CHECK(world.HolderOf(vip) == holder);
  CheckNobodyNoticed(world, ordered);
}

TEST_CASE("T141 a node that comes back gets addresses by a rebalance, few at a time, and nobody notices", "[system]") {
  World world;
  Prepare(world, 3, 12);
  world.KillAgent("node3");
  world.Run(absl::Seconds(12));
  world.StartAgent("node3");
  world.Run(absl::Seconds(15));
  REQUIRE(Held(world, "node3") == 0);
  const auto before = world.Holders();
  const auto planned = LeaderOf(world).Rebalance(true);
  REQUIRE(planned.ok());
  CHECK(world.WhatMoved(absl::Seconds(5)) == "");
  const absl::Time ordered = AskOn(world);
  const auto moves = LeaderOf(world).Rebalance(false);
  REQUIRE(moves.ok());
  CHECK(moves->size() == 4);
  REQUIRE(moves->size() == planned->size());
  std::map<IpAddr, std::string> wanted = before;
  for (const model::MoveView& m : *moves) {
    CHECK(before.at(m.address) == m.from);
    wanted[m.address] = m.to;
  }
  world.Run(absl::Milliseconds(90));
  CHECK(Held(world, "node3") == 1);
  world.Run(absl::Milliseconds(100));
  CHECK(Held(world, "node3") == 2);
  world.Run(absl::Seconds(3));
  CHECK(world.Holders() == wanted);
  for (const auto& [name, node] : world.nodes) CHECK(Held(world, name) == 4);
  CheckNobodyNoticed(world, ordered);
  CHECK(LeaderOf(world).Rebalance(true)->empty());
}

TEST_CASE("a rebalance leaves alone what has changed since it was planned, and ends with its leader", "[system]") {
  World world;
  Prepare(world, 2, 12);
  world.KillAgent("node2");
  world.Run(absl::Seconds(2));
  world.StartAgent("node2");
  world.Run(absl::Seconds(2));
  const auto moves = LeaderOf(world).Rebalance(false);
  REQUIRE(moves.ok());
  REQUIRE(moves->size() >= 4);
  world.Run(absl::Milliseconds(150));
  const std::size_t so_far = Held(world, "node2");
  REQUIRE(LeaderOf(world).DrainNode("node2").ok());
  world.Run(absl::Seconds(3));
  CHECK(so_far > 0);
  CHECK(Held(world, "node2") == 0);
  REQUIRE(LeaderOf(world).UndrainNode("node2").ok());
  world.Run(absl::Seconds(1));
  CHECK(Held(world, "node2") == 0);

  REQUIRE(LeaderOf(world).Rebalance(false).ok());
  world.Run(absl::Milliseconds(150));
  const auto holders = world.Holders();
  world.KillController("a");
  world.StartController("a");
  world.Run(absl::Seconds(10));
  CHECK(world.Holders() == holders);
}

TEST_CASE("a holder that fell silent while its successor was preparing speaks again when nothing comes of that",
          "[system]") {
  const bool undrained = GENERATE(false, true);  // else the successor is lost
  World world;
  Prepare(world, 3, 1);
  const IpAddr vip = world.Holders().begin()->first;
  const std::string holder = world.HolderOf(vip);
  std::vector<std::string> others;
  for (const auto& [name, node] : world.nodes) {
    if (name != holder) others.push_back(name);
  }
  for (const std::string& other : others) world.AgentOf(other).Freeze();  // whichever it is, it does not get ready
  REQUIRE(LeaderOf(world).DrainNode(holder).ok());
  world.Run(absl::Milliseconds(20));
  CHECK(world.HolderOf(vip) == holder);
  // A late frame of a candidate's says that it has the address.
  LanHost late(world.loop, world.lan, "late", world.NodeNamed(others[0]).mac, Ip("192.168.50.222"));
  late.Announce(vip);
  world.Run(absl::Milliseconds(2));
  if (undrained) REQUIRE(LeaderOf(world).UndrainNode(holder).ok());
  CHECK(world.RunUntil([&] { return world.HolderOf(vip) == holder; }, absl::Milliseconds(100)));
  for (const std::string& other : others) world.AgentOf(other).Thaw();
  world.Run(absl::Seconds(3));
  CHECK((world.HolderOf(vip) == holder) == undrained);
}

}  // namespace
}  // namespace berth::system
