// SPDX-License-Identifier: Apache-2.0
// Cases of layer 2 in a running cluster: who may hold an address, and the frames of a take-over.
#include <catch2/catch.hpp>

#include "tests/system/stories.h"

namespace berth::system {
namespace {

model::Pool OnInterface(World& world, const std::string& interface) {
  model::Pool pool = world.cluster.pools().at("edge");
  pool.interface = interface;
  return pool;
}

TEST_CASE("T117 an Eip's interface decides which nodes hold its addresses, and a lack of it is told", "[system]") {
  World world;
  world.AddNodes(3);
  world.AddPool("edge", "192.168.50.100-192.168.50.110");
  world.cluster.Put(OnInterface(world, "eth1"));
  const IpAddr vip = Ip("192.168.50.100");
  SECTION("nobody has it: the Service's Event, its address and the Eip's status name it") {
    world.StartAll();
    world.AddService("web");
    world.Run(absl::Seconds(3));
    CHECK(world.AddressOf("web") == vip);
    CHECK(world.Announcers(vip).empty());
    const auto events = EventsOf(world, "web");
    REQUIRE(events.size() == 2);
    CHECK(events[0] == "AssignIP: success to assign ip: 192.168.50.100");
    CHECK_THAT(events[1], Catch::StartsWith("SetBalancer: no available nodes for service ip 192.168.50.100") &&
                              Catch::Contains("node3: node node3 has no interface eth1 (it has eth0)"));
    CHECK(world.Explain(vip).state == model::AddressState::kUnheld);
    CHECK(world.Explain(vip).refusals.size() == 3);
    const auto status = world.cluster.pool_status("edge");
    REQUIRE(status);
    CHECK_FALSE(status->ready);
    CHECK_THAT(status->message, Catch::Contains("no connected agent has interface eth1"));
    world.cluster.Put(OnInterface(world, "eth0"));  // the cure
    CHECK(world.RunUntil([&] { return world.HolderOf(vip) != ""; }, absl::Seconds(2)));
    world.Run(absl::Seconds(2));
    CHECK(world.cluster.pool_status("edge")->ready);
  }
  SECTION("one node has it: that one holds all of them, and the others are refused with the reason") {
    for (const auto& [name, node] : world.nodes) {
      if (name != "node2") continue;
      node->kernel.fake().SetLink({.index = kEth0,
                                   .name = "eth1",
                                   .mac = node->mac,
                                   .up = true,
                                   .carrier = true,
                                   .addresses = {{*Cidr::Make(node->ip, 24)}}});
    }
    world.StartAll();
    for (const char* name : {"a", "b", "c", "d"}) world.AddService(name);
    world.Run(absl::Seconds(3));
    CHECK(world.Holders().size() == 4);
    for (const auto& [address, holder] : world.Holders()) CHECK(holder == "node2");
    CHECK_THAT(Text(world.Explain(vip).refusals),
               Catch::Contains("node1: ") && Catch::Contains("node3: ") && Catch::Contains("no interface eth1"));
    CHECK(world.cluster.pool_status("edge")->ready);
  }
}

TEST_CASE("an Eip whose interface has carrier on no node is told of, until one has", "[system]") {
  const bool six = GENERATE(false, true);
  World world;
  world.AddNodes(3);
  world.AddPool("edge", six ? "fd00:50::100-fd00:50::10f" : "192.168.50.100-192.168.50.110");
  const auto carrier = [&](const std::string& name, bool on) {
    Node& node = world.NodeNamed(name);
    node.port->carrier = on;
    node.kernel.fake().SetCarrier(kEth0, on);
  };
  world.StartAll();
  model::Service service = World::MakeService("web");
  service.ip_families = {six ? Family::kIpv6 : Family::kIpv4};
  world.AddService(service);
  world.Run(absl::Seconds(3));
  const IpAddr vip = world.AddressOf("web");
  REQUIRE(world.HolderOf(vip) != "");
  for (const char* name : {"node1", "node2"}) carrier(name, false);
  world.Run(absl::Seconds(3));
  CHECK(world.HolderOf(vip) == "node3");  // one is enough
  CHECK(world.cluster.pool_status("edge")->ready);
  const absl::Time from = world.Now();
  carrier("node3", false);
  world.Run(absl::Seconds(8));
  CHECK(world.Announcers(vip).empty());
  const auto status = world.cluster.pool_status("edge");
  REQUIRE(status);
  CHECK_FALSE(status->ready);
  CHECK_THAT(status->message, Catch::Contains("no connected agent has interface eth0 up"));
  CHECK(world.Explain(vip).state == model::AddressState::kUnheld);
  CHECK_THAT(Text(world.Explain(vip).refusals), Catch::Contains("node1: ") && Catch::Contains("has no carrier"));
  CHECK_THAT(Text(EventsOf(world, "web", from)), Catch::Contains("has no carrier"));
  CHECK(world.AddressOf("web") == vip);

  carrier("node2", true);
  REQUIRE(world.RunUntil([&] { return world.HolderOf(vip) == "node2"; }, absl::Seconds(3)));
  world.Run(absl::Seconds(2));
  CHECK(world.cluster.pool_status("edge")->ready);
}

TEST_CASE("T118 a take-over is announced within 5 ms of its decision, again 1.1 s later, and no more after 10 s",
          "[system]") {
  World world;
  Prepare(world, 3, 1);
  const IpAddr vip = world.AddressOf("svc1");
  const std::string old = world.HolderOf(vip);
  world.KillAgent(old);
  const absl::Time killed = world.Now();
  REQUIRE(world.RunUntil([&] { return world.Explain(vip).holder != old; }, absl::Seconds(2)));
  const absl::Time decided = world.Now() - absl::Milliseconds(1);  // seen one step later at most
  const std::string next = world.Explain(vip).holder;
  REQUIRE(next != "");
  world.Run(absl::Seconds(60));
  std::vector<VirtualLan::Captured> frames;
  for (const VirtualLan::Captured& c : world.lan.captured()) {
    if (c.at >= killed && c.arp.gratuitous() && c.arp.sender_ip == vip) frames.push_back(c);
  }
  REQUIRE(frames.size() >= 4);
  const MacAddr mac = world.NodeNamed(next).mac;
  for (const VirtualLan::Captured& c : frames) {
    CHECK(c.from == next);
    CHECK(c.arp.ether_dst == MacAddr::Broadcast());
    CHECK(c.arp.ether_src == mac);
    CHECK(c.arp.sender_mac == mac);
    CHECK((c.arp.op == agent::ArpOp::kRequest || c.arp.target_mac == mac));
  }
  const absl::Time first = frames.front().at;
  CHECK(first >= decided);
  CHECK(first - decided < absl::Milliseconds(5));
  CHECK(std::any_of(frames.begin(), frames.end(), [&](const VirtualLan::Captured& c) {
    return c.at - first >= absl::Milliseconds(1100) && c.at - first < absl::Milliseconds(1150);
  }));
  CHECK(frames.back().at - first < absl::Seconds(10));
}

}  // namespace
}  // namespace berth::system
