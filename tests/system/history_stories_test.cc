// SPDX-License-Identifier: Apache-2.0
// What random histories have found, told as stories.
#include <catch2/catch.hpp>

#include "tests/system/stories.h"

namespace berth::system {
namespace {

model::Service Wanting(const std::string& name, const std::string& address, std::uint16_t port) {
  model::Service service = World::MakeService(name);
  service.load_balancer_ip = address;
  service.ports.front().port = port;
  return service;
}

TEST_CASE("an address that all its sharers leave at once is withdrawn before it is released", "[system]") {
  World world;
  Prepare(world, 2, 1);
  world.AddService(Wanting("sharer", world.AddressOf("svc1").ToString(), 81));
  world.Run(absl::Seconds(2));
  REQUIRE(world.AddressOf("sharer") == world.AddressOf("svc1"));
  model::Pool pool = world.cluster.pools().at("edge");
  pool.force_delete = true;
  world.cluster.Put(pool);
  world.cluster.DeletePool("edge");
  world.Run(absl::Seconds(2));  // with every invariant checked at the moment of the writes
  CHECK(world.AddressesOf("svc1").empty());
  CHECK(world.AddressesOf("sharer").empty());
  CHECK(world.cluster.pools().empty());
}

TEST_CASE("a Service that waits for a port gets it when its owner takes another", "[system]") {
  World world;
  Prepare(world, 1, 1);
  const std::string address = world.AddressOf("svc1").ToString();
  world.AddService(Wanting("waiter", address, 80));
  world.Run(absl::Seconds(2));
  REQUIRE(world.AddressesOf("waiter").empty());
  model::Service owner = *world.cluster.service({"default", "svc1"});
  owner.ports.front().port = 8080;
  world.AddService(owner);
  world.Run(absl::Seconds(2));
  CHECK(world.AddressOf("waiter").ToString() == address);
}

TEST_CASE("a standby that comes to lead waits for the agents that the leader before it met", "[system]") {
  World world;
  world.AddNodes(2);
  world.AddPool("edge", "192.168.50.100-192.168.50.120");
  world.StartController("a");
  world.StartController("b");  // knows nobody yet
  world.Run(absl::Milliseconds(10));
  for (const auto& [name, node] : world.nodes) world.StartAgent(name);
  world.Run(absl::Seconds(6));
  world.AgentOf("node1").Freeze();
  world.cluster.Grant(world.controllers.at("b")->source);
  world.Run(absl::Seconds(4));
  world.cluster.Grant(world.controllers.at("b")->source);  // a new term: it listens first again
  world.Run(absl::Milliseconds(100));
  CHECK_FALSE(world.Leader().runner.Status().started);
  world.Run(absl::Seconds(4));
  CHECK(world.Leader().runner.Status().started);
}

TEST_CASE("what a predecessor wrote last is kept, although it lands when the next leads already", "[system]") {
  World world;
  Prepare(world, 2, 0);
  world.StartController("b");
  world.Run(absl::Seconds(1));
  world.cluster.DelayWrites(absl::Seconds(1));
  world.AddService("web");
  world.Run(absl::Milliseconds(400));  // probed, and its write is on the way
  world.cluster.Grant(world.controllers.at("b")->source);
  world.Run(absl::Milliseconds(900));
  const IpAddr given = world.AddressOf("web");
  REQUIRE(given != IpAddr());
  world.Run(absl::Seconds(10));
  CHECK(world.AddressOf("web") == given);
  CHECK(world.HolderOf(given) != "");
}

TEST_CASE("an address whose release is being written is not announced again by a new term", "[system]") {
  World world;
  Prepare(world, 2, 1);
  const IpAddr address = world.AddressOf("svc1");
  world.cluster.DelayWrites(absl::Seconds(1));
  world.DeleteService("svc1");
  world.Run(absl::Milliseconds(100));  // withdrawn, and the write is on its way
  REQUIRE(world.Announcers(address).empty());
  world.cluster.Grant(world.Leader().source);
  world.Run(absl::Milliseconds(500));
  CHECK(world.Announcers(address).empty());
  world.Run(absl::Seconds(2));
  CHECK_FALSE(world.cluster.service({"default", "svc1"}).has_value());
}

TEST_CASE("a release begun anew does not forget who has not let go", "[system]") {
  World world;
  Prepare(world, 1, 1);
  const IpAddr address = world.AddressOf("svc1");
  world.AddPool("spare", "192.168.50.130-192.168.50.131");
  world.wire.Cut("node1", true);
  world.Run(absl::Seconds(1));
  model::Service moving = *world.cluster.service({"default", "svc1"});
  moving.load_balancer_ip = "192.168.50.130";
  world.AddService(moving);
  world.Run(absl::Milliseconds(100));  // being withdrawn
  moving.load_balancer_ip = "192.168.50.131";
  world.AddService(moving);
  world.Run(absl::Seconds(3));
  CHECK(world.AddressOf("svc1") == Ip("192.168.50.131"));
  world.AddService(Wanting("heir", address.ToString(), 80));
  world.Run(absl::Seconds(2));
  CHECK(world.AddressesOf("heir").empty());  // node1 announces it still
}

TEST_CASE("an address in use is not asked about, though an earlier leader had put it in quarantine", "[system]") {
  World world;
  Prepare(world, 1, 1);
  world.StartController("b");
  const IpAddr address = world.AddressOf("svc1");
  world.AgentOf("node1").Freeze();
  world.DeleteService("svc1");
  world.Run(absl::Seconds(4));
  REQUIRE(world.AddressesOf("svc1").empty());
  world.AddService(Wanting("heir", address.ToString(), 80));
  world.Run(absl::Seconds(1));
  REQUIRE(world.AddressesOf("heir").empty());  // node1 has not let go of it
  world.cluster.Grant(world.controllers.at("b")->source);
  world.Run(absl::Seconds(5));
  REQUIRE(world.AddressOf("heir") == address);  // nobody is there to ask
  world.cluster.Grant(world.controllers.at("a")->source);
  world.Run(absl::Seconds(5));
  world.AgentOf("node1").Thaw();
  world.Run(absl::Seconds(20));
  CHECK(world.HolderOf(address) == "node1");
  CHECK(world.WhatMoved(absl::Seconds(30)) == "");
}

TEST_CASE("a stranger's answer does not hide the holder's", "[system]") {
  World world;
  LanHost stranger(world.loop, world.lan, "stranger", MacAddr({0x02, 0, 0, 0, 0, 0xee}), Ip("192.168.50.250"));
  Prepare(world, 3, 1);
  const IpAddr vip = world.AddressOf("svc1");
  const std::string holder = world.HolderOf(vip);
  stranger.Own(vip);  // it is heard first: its port is older
  const absl::Time cut = world.Now();
  world.wire.Cut(holder, true);
  world.Run(absl::Seconds(5));
  CHECK(world.HolderOf(vip) == holder);
  CHECK(world.AgentState(holder) == model::AgentState::kControlLost);
  CHECK(world.GratuitousSince(cut, vip) == 0);
}

TEST_CASE("whoever can hold an address again asks first, when its last holder never heard that it shall not",
          "[system]") {
  World world;
  Prepare(world, 2, 1);
  const IpAddr vip = world.AddressOf("svc1");
  const std::string holder = world.HolderOf(vip);
  const std::string other = holder == "node1" ? "node2" : "node1";
  const auto exclude = [&](const std::string& name, bool on) {
    model::Node node{.name = name, .labels = {}, .explicit_object = true};
    if (on) node.labels[model::kExcludeNodeLabel] = "";
    world.cluster.Put(node);
  };
  exclude(other, true);
  world.Run(absl::Seconds(1));
  world.wire.Cut(holder, true);
  exclude(holder, true);  // told to let go, by a stream that carries nothing any more
  world.Run(absl::Milliseconds(100));
  const absl::Time able = world.Now();
  exclude(other, false);
  world.Run(absl::Seconds(5));
  CHECK(world.HolderOf(vip) == holder);
  CHECK(world.GratuitousSince(able, vip) == 0);
}

TEST_CASE("an address is not given on while an agent that said nothing of it has it on its disk still", "[system]") {
  World world;
  Prepare(world, 2, 1);
  const IpAddr vip = world.AddressOf("svc1");
  const std::string holder = world.HolderOf(vip);
  world.KillAgent(holder == "node1" ? "node2" : "node1");
  world.Run(absl::Seconds(2));
  world.AgentOf(holder).Freeze();
  world.Run(absl::Seconds(5));
  world.cluster.Grant(world.Leader().source);  // a new term, which waits 3 s for the other agent
  world.Run(absl::Milliseconds(100));
  world.AgentOf(holder).Thaw();  // mute: it says that it announces nothing
  REQUIRE(world.RunUntil([&] { return world.AgentState(holder) == model::AgentState::kReady; }, absl::Seconds(1)));
  world.wire.Cut(holder, true);
  world.DeleteService("svc1");
  model::Service next = World::MakeService("svc2");
  next.load_balancer_ip = vip.ToString();
  world.AddService(next);
  // It is alone, finds nobody who answers, and announces; then the controller begins to decide.
  REQUIRE(world.RunUntil([&] { return world.HolderOf(vip) == holder; }, absl::Seconds(3)));
  world.Run(absl::Seconds(5));
  CHECK(world.HolderOf(vip) == holder);
  CHECK(world.AddressOf("svc2") != vip);
  world.wire.Cut(holder, false);
  world.Run(absl::Seconds(10));
  CHECK(world.AddressOf("svc2") == vip);
  CHECK(world.HolderOf(vip) == holder);
}

}  // namespace
}  // namespace berth::system
