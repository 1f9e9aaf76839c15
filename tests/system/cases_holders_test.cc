// SPDX-License-Identifier: Apache-2.0
// Cases of who holds an address, and of how it changes hands when nodes die, stand still or come back.
#include <catch2/catch.hpp>

#include "tests/system/stories.h"

namespace berth::system {
namespace {

model::Service Local(const std::string& name) {
  model::Service service = World::MakeService(name);
  service.traffic_policy = model::TrafficPolicy::kLocal;
  return service;
}

std::vector<VirtualLan::Captured> GratuitousFrames(const World& world, const IpAddr& vip, absl::Time from) {
  std::vector<VirtualLan::Captured> frames;
  for (const VirtualLan::Captured& c : world.lan.captured()) {
    if (c.at >= from && c.arp.gratuitous() && c.arp.sender_ip == vip) frames.push_back(c);
  }
  return frames;
}

// Who answers one question asked now.
std::vector<MacAddr> Answers(World& world, const IpAddr& vip) {
  world.client.Ask(vip);
  world.Run(absl::Milliseconds(50));
  std::vector<MacAddr> macs;
  for (const auto& [at, mac] : world.client.queries(vip).back().answers) macs.push_back(mac);
  return macs;
}

TEST_CASE("T130 with externalTrafficPolicy Cluster an address has exactly one holder, whatever endpoints there are",
          "[system]") {
  World world;
  Prepare(world, 3, 3);
  const auto holders = world.Holders();
  world.cluster.Put(World::MakeSlice("svc1", {{.node = "node1"}}));
  world.cluster.Put(World::MakeSlice("svc2", {}));
  CHECK(world.WhatMoved(absl::Seconds(10)) == "");
  CHECK(world.Holders() == holders);
  for (const auto& [address, holder] : holders) {
    CHECK(Answers(world, address) == std::vector<MacAddr>{world.NodeNamed(holder).mac});
  }
}

TEST_CASE("T131 T132 with policy Local a node with a ready endpoint holds the address, or one that still serves",
          "[system]") {
  World world;
  Prepare(world, 3, 0);
  world.AddService(Local("local"));
  world.cluster.Put(
      World::MakeSlice("local", {{.node = "node2"}, {.node = "node3", .ready = false, .serving = false}}));
  world.Run(absl::Seconds(12));  // the gratuitous frames are over
  const IpAddr vip = world.AddressOf("local");
  CHECK(world.HolderOf(vip) == "node2");
  // On its way out it serves still, so nothing moves: T132.
  world.cluster.Put(World::MakeSlice("local", {{.node = "node2", .ready = false, .serving = true, .terminating = true},
                                               {.node = "node3", .ready = false, .serving = false}}));
  CHECK(world.WhatMoved(absl::Seconds(5)) == "");
  CHECK(world.HolderOf(vip) == "node2");
  // No more: nobody holds it, though there is an endpoint.
  world.cluster.Put(World::MakeSlice("local", {{.node = "node2", .ready = false, .serving = false, .terminating = true},
                                               {.node = "node3", .ready = false, .serving = false}}));
  world.Run(absl::Seconds(1));
  CHECK(world.Announcers(vip).empty());
}

TEST_CASE("F7 F8 the address of a Local Service is where its endpoint is, and follows it", "[system]") {
  World world;
  Prepare(world, 3, 0);
  world.cluster.Put(World::MakeSlice("local", {{.node = "node3"}}));
  world.AddService(Local("local"));
  world.Run(absl::Seconds(5));
  const IpAddr vip = world.AddressOf("local");
  CHECK(Answers(world, vip) == std::vector<MacAddr>{world.NodeNamed("node3").mac});
  CHECK(world.HasEvent("SetBalancer", absl::StrCat("success to add nexthops [node3] for ", vip.ToString())));
  world.cluster.Put(World::MakeSlice("local", {{.node = "node1"}}));
  world.Run(absl::Seconds(1));
  CHECK(Answers(world, vip) == std::vector<MacAddr>{world.NodeNamed("node1").mac});
}

TEST_CASE("F1 F2 F3 a new address is announced by its holder alone, in both forms, and answered for by it alone",
          "[system]") {
  World world;
  Prepare(world, 3, 0);
  const absl::Time from = world.Now();
  world.AddService("web");
  world.Run(absl::Seconds(12));
  const IpAddr vip = world.AddressOf("web");
  const std::string holder = world.HolderOf(vip);
  REQUIRE(holder != "");
  const MacAddr mac = world.NodeNamed(holder).mac;
  const auto frames = GratuitousFrames(world, vip, from);
  REQUIRE(frames.size() >= 2);
  CHECK(frames[0].arp.op == agent::ArpOp::kRequest);
  CHECK(frames[1].arp.op == agent::ArpOp::kReply);
  CHECK(frames[1].at - frames[0].at < absl::Milliseconds(1));
  for (const VirtualLan::Captured& c : frames) {
    CHECK(c.from == holder);
    CHECK(c.arp.ether_dst.is_broadcast());
  }
  const absl::Time asked = world.Now();
  CHECK(Answers(world, vip) == std::vector<MacAddr>{mac});
  for (const VirtualLan::Captured& c : world.lan.captured()) {
    if (c.at >= asked && c.arp.op == agent::ArpOp::kReply) CHECK(c.arp.ether_dst == world.client.mac());
  }
  CHECK(Answers(world, *vip.Next()).empty());  // of the same Eip, and nobody's
}

TEST_CASE("F4 F5 F6 a holder dies, comes back, and its successor dies: each time one other announces and answers",
          "[system]") {
  World world;
  Prepare(world, 2, 1);
  const IpAddr vip = world.AddressOf("svc1");
  const std::string first = world.HolderOf(vip);
  const std::string second = first == "node1" ? "node2" : "node1";
  absl::Time from = world.Now();
  world.KillAgent(first);
  world.Run(absl::Seconds(1));
  CHECK(GratuitousFrames(world, vip, from).size() >= 2);
  CHECK(Answers(world, vip) == std::vector<MacAddr>{world.NodeNamed(second).mac});
  from = world.Now() + absl::Seconds(12);
  world.StartAgent(first);
  world.Run(absl::Seconds(15));
  CHECK(Answers(world, vip) == std::vector<MacAddr>{world.NodeNamed(second).mac});
  CHECK(GratuitousFrames(world, vip, from).empty());
  from = world.Now();
  world.KillAgent(second);
  world.Run(absl::Seconds(1));
  const auto frames = GratuitousFrames(world, vip, from);
  REQUIRE(frames.size() >= 2);
  for (const VirtualLan::Captured& c : frames) CHECK(c.from == first);
  CHECK(Answers(world, vip) == std::vector<MacAddr>{world.NodeNamed(first).mac});
}

TEST_CASE("T138 a holder whose power is cut is succeeded within a second, as a client that asks each 10 ms sees it",
          "[system]") {
  World world;
  Prepare(world, 3, 3);
  const IpAddr vip = world.AddressOf("svc1");
  const std::string victim = world.HolderOf(vip);
  world.client.AskEvery(vip, absl::Milliseconds(10));
  world.Run(absl::Milliseconds(100));
  world.NodeNamed(victim).port->drop_all = true;
  world.wire.Cut(victim, true);
  const absl::Time cut = world.Now();
  world.Run(absl::Seconds(5));
  absl::Time answered = absl::InfiniteFuture();
  for (const LanHost::Query& q : world.client.queries(vip)) {
    if (q.at >= cut && !q.answers.empty()) answered = std::min(answered, q.answers.front().first);
  }
  CHECK(answered - cut < absl::Seconds(1));
  CHECK(world.client.Unanswered(vip, answered, world.Now() - absl::Milliseconds(5)) == 0);
}

TEST_CASE("T142 clocks that are set back or on by five minutes move nothing", "[system]") {
  const absl::Duration by = GENERATE(absl::Minutes(-5), absl::Minutes(5));
  World world;
  Prepare(world, 3, 6);
  const auto holders = world.Holders();
  world.loop.StepWallClock(by);
  CHECK(world.WhatMoved(absl::Seconds(30)) == "");
  CHECK(world.Holders() == holders);
}

TEST_CASE("T143 a holder that gets a twentieth of a processor keeps its addresses or loses them once", "[system]") {
  const absl::Duration still = absl::Milliseconds(GENERATE(19, 95, 950));
  World world;
  Prepare(world, 3, 1);
  const IpAddr vip = world.AddressOf("svc1");
  std::string holder = world.HolderOf(vip);
  AgentProcess& starved = world.AgentOf(holder);
  int moves = 0;
  for (const absl::Time end = world.Now() + absl::Seconds(30); world.Now() < end;) {
    starved.Freeze();
    world.Run(still);
    starved.Thaw();
    world.Run(still / 19);
    const std::string now = world.Explain(vip).holder;
    if (now != holder) ++moves;
    holder = now;
  }
  CHECK(moves <= 1);
  CHECK(world.HolderOf(vip) == holder);
}

TEST_CASE(
    "T145 of 2,000 addresses of a node that dies the last is answered for less than 2 s after the first, and they "
    "spread evenly",
    "[system]") {
  World world;
  world.AddNodes(5);
  world.AddPool("edge", "10.7.0.1-10.7.7.208");
  for (const char* node : {"node2", "node3", "node4", "node5"}) {
    world.NodeNamed(node).kernel.fake().SetCarrier(kEth0, false);
    world.NodeNamed(node).port->carrier = false;
  }
  world.StartAll();
  for (int i = 0; i < 2000; ++i) world.AddService(absl::StrCat("svc", i));
  REQUIRE(world.RunUntil([&] { return world.AgentOf("node1").notes.since.size() == 2000; }, absl::Seconds(20)));
  for (const char* node : {"node2", "node3", "node4", "node5"}) {
    world.NodeNamed(node).kernel.fake().SetCarrier(kEth0, true);
    world.NodeNamed(node).port->carrier = true;
  }
  world.Run(absl::Seconds(15));
  REQUIRE(world.AgentOf("node1").notes.since.size() == 2000);
  world.KillAgent("node1");
  world.Run(absl::Seconds(3));
  absl::Time first = absl::InfiniteFuture(), last = absl::InfinitePast();
  std::size_t total = 0;
  for (const char* node : {"node2", "node3", "node4", "node5"}) {
    const auto& since = world.AgentOf(node).notes.since;
    INFO(node << " has " << since.size());
    CHECK(since.size() >= 400);
    CHECK(since.size() <= 600);
    total += since.size();
    for (const auto& [address, at] : since) {
      first = std::min(first, at);
      last = std::max(last, at);
    }
  }
  CHECK(total == 2000);
  CHECK(last - first < absl::Seconds(2));
}

}  // namespace
}  // namespace berth::system
