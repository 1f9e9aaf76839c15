// SPDX-License-Identifier: Apache-2.0
// IPv6 in a running cluster: what is promised of IPv4 addresses holds, and a Service of both families has both.
#include <catch2/catch.hpp>

#include "tests/system/stories.h"

namespace berth::system {
namespace {

const IpAddr kVip = Ip("fd00:50::100");

// `count` agents, a pool of each family, and the Service "svc" of these families.
void PrepareBoth(World& world, int count, std::vector<Family> families,
                 model::IpFamilyPolicy policy = model::IpFamilyPolicy::kSingleStack) {
  world.AddNodes(count);
  world.AddPool("four", "192.168.50.100-192.168.50.110");
  world.AddPool("six", "fd00:50::100-fd00:50::10f");
  world.StartAll();
  model::Service service = World::MakeService("svc");
  service.ip_families = std::move(families);
  service.ip_family_policy = policy;
  if (policy == model::IpFamilyPolicy::kSingleStack) service.annotations[model::kPoolAnnotation] = "six";
  world.AddService(service);
  world.Run(absl::Seconds(12));
}

TEST_CASE("an IPv6 address is probed, held by one node, and answered for by that one alone", "[system]") {
  World world;
  PrepareBoth(world, 3, {Family::kIpv6});
  REQUIRE(world.AddressesOf("svc") == std::vector<IpAddr>{kVip});
  const std::string holder = world.HolderOf(kVip);
  REQUIRE(holder != "");
  CHECK(world.Announcers(kVip) == std::vector<std::string>{holder});
  const auto& all = world.lan.captured();
  CHECK(std::any_of(all.begin(), all.end(), [](const VirtualLan::Captured& c) {
    return c.arp.target_ip == kVip && c.arp.sender_ip.is_unspecified();
  }));
  world.client.Ask(kVip);
  world.Run(absl::Milliseconds(10));
  REQUIRE(world.client.queries(kVip).size() == 1);
  CHECK(world.client.queries(kVip)[0].answers.size() == 1);
  CHECK(world.client.neighbour(kVip) == world.NodeNamed(holder).mac);
  CHECK(world.client.double_answers().empty());
}

TEST_CASE("T122 an IPv6 take-over is announced to all nodes at once, and the client follows", "[system]") {
  World world;
  PrepareBoth(world, 3, {Family::kIpv6});
  world.client.Ask(kVip);
  world.Run(absl::Milliseconds(10));
  const std::string old = world.HolderOf(kVip);
  REQUIRE(world.client.neighbour(kVip) == world.NodeNamed(old).mac);
  const absl::Time killed = world.Now();
  world.KillAgent(old);
  REQUIRE(world.RunUntil([&] { return world.HolderOf(kVip) != old && world.HolderOf(kVip) != ""; }, absl::Seconds(2)));
  world.Run(absl::Seconds(15));
  const std::string next = world.HolderOf(kVip);
  CHECK(world.client.neighbour(kVip) == world.NodeNamed(next).mac);
  std::vector<VirtualLan::Captured> frames;
  for (const VirtualLan::Captured& c : world.lan.captured()) {
    if (c.at >= killed && c.arp.gratuitous() && c.arp.sender_ip == kVip) frames.push_back(c);
  }
  REQUIRE(frames.size() == 5);
  for (const VirtualLan::Captured& c : frames) {
    CHECK(c.from == next);
    CHECK(c.arp.ether_dst == *MacAddr::Parse("33:33:00:00:00:01"));
    CHECK(c.arp.sender_mac == world.NodeNamed(next).mac);
  }
  CHECK(frames.back().at - frames.front().at < absl::Seconds(10));
}

TEST_CASE("an IPv6 address moves only once the kernel of its next node takes in what comes for it", "[system]") {
  World world;
  PrepareBoth(world, 2, {Family::kIpv6});
  const std::string old = world.HolderOf(kVip);
  const std::string next = old == "node1" ? "node2" : "node1";
  agent::FakeKernel& kernel = world.NodeNamed(next).kernel.fake();
  kernel.HoldDelivery();
  const absl::Time begin = world.Now();
  REQUIRE(world.Leader().runner.DrainNode(old).ok());
  world.Run(absl::Seconds(2));
  CHECK(world.Announcers(kVip) == std::vector<std::string>{old});
  CHECK(world.GratuitousSince(begin, kVip) == 0);

  SECTION("it begins to: the address moves") {
    kernel.Deliver();
    REQUIRE(world.RunUntil([&] { return world.HolderOf(kVip) == next; }, absl::Seconds(1)));
    CHECK(world.Explain(kVip).state == model::AddressState::kAnnounced);
  }
  SECTION("it never does: the address stays, and it is said why it does not move") {
    kernel.FailDelivery(absl::DeadlineExceededError("no local route"));
    world.Run(absl::Seconds(1));
    CHECK(world.Announcers(kVip) == std::vector<std::string>{old});
    CHECK(world.AgentState(next) == model::AgentState::kReady);
    CHECK(world.Explain(kVip).message.find("no other node can hold it") != std::string::npos);
  }
}

TEST_CASE("T131 each address of a Local Service of both families is where an endpoint of its own family is",
          "[system]") {
  World world;
  world.AddNodes(3);
  world.AddPool("four", "192.168.50.100-192.168.50.110");
  world.AddPool("six", "fd00:50::100-fd00:50::10f");
  world.StartAll();
  const auto endpoints = [&](Family family, std::vector<model::Endpoint> of) {
    model::EndpointSlice slice;
    slice.id = {"default", family == Family::kIpv4 ? "svc-4" : "svc-6"};
    slice.service = {"default", "svc"};
    slice.family = family;
    slice.endpoints = std::move(of);
    world.cluster.Put(slice);
  };
  endpoints(Family::kIpv4, {{.node = "node1"}});
  endpoints(Family::kIpv6, {{.node = "node2"}});
  model::Service service = World::MakeService("svc");
  service.ip_families = {Family::kIpv4, Family::kIpv6};
  service.ip_family_policy = model::IpFamilyPolicy::kRequireDualStack;
  service.traffic_policy = model::TrafficPolicy::kLocal;
  world.AddService(service);
  world.Run(absl::Seconds(5));
  const IpAddr vip4 = Ip("192.168.50.100");
  CHECK(world.HolderOf(vip4) == "node1");
  CHECK(world.HolderOf(kVip) == "node2");
  endpoints(Family::kIpv6, {});
  world.Run(absl::Seconds(2));
  CHECK(world.HolderOf(vip4) == "node1");
  CHECK(world.Announcers(kVip).empty());
  endpoints(Family::kIpv6, {{.node = "node1"}});
  world.Run(absl::Seconds(2));
  CHECK(world.HolderOf(kVip) == "node1");
}

TEST_CASE("an IPv6 address that somebody has already is not given out", "[system]") {
  World world;
  LanHost printer(world.loop, world.lan, "printer", MacAddr({0x02, 0, 0, 0, 0, 0xee}), Ip("192.168.50.222"));
  printer.Own(kVip);
  PrepareBoth(world, 3, {Family::kIpv6});
  CHECK(world.AddressesOf("svc") == std::vector<IpAddr>{Ip("fd00:50::101")});
  const auto status = world.cluster.pool_status("six");
  REQUIRE(status->conflicted.size() == 1);
  CHECK(status->conflicted[0].address == kVip.ToString());
  CHECK(status->conflicted[0].mac == printer.mac().ToString());
}

TEST_CASE("a Service of both families has one holder for each address, and each address one answer", "[system]") {
  const auto policy = GENERATE(model::IpFamilyPolicy::kRequireDualStack, model::IpFamilyPolicy::kPreferDualStack);
  World world;
  PrepareBoth(world, 3, {Family::kIpv4, Family::kIpv6}, policy);
  const IpAddr v4 = Ip("192.168.50.100");
  REQUIRE(world.AddressesOf("svc") == std::vector<IpAddr>{v4, kVip});
  for (const IpAddr& address : {v4, kVip}) {
    CHECK(world.Announcers(address).size() == 1);
    CHECK(world.Announcers(address) == std::vector<std::string>{world.HolderOf(address)});
    world.client.Ask(address);
  }
  world.Run(absl::Milliseconds(10));
  for (const IpAddr& address : {v4, kVip}) CHECK(world.client.queries(address).back().answers.size() == 1);
  // Each moves alone when its node dies.
  const std::string lost = world.HolderOf(kVip);
  world.KillAgent(lost);
  CHECK(world.RunUntil([&] { return world.HolderOf(kVip) != lost && world.HolderOf(v4) != lost; }, absl::Seconds(2)));
  world.Run(absl::Seconds(2));
  for (const IpAddr& address : {v4, kVip}) CHECK(world.Announcers(address).size() == 1);
}

TEST_CASE("a stranger who claims an IPv6 address is told, and the address defended", "[system]") {
  World world;
  PrepareBoth(world, 3, {Family::kIpv6});
  LanHost stranger(world.loop, world.lan, "stranger", MacAddr({0x02, 0, 0, 0, 0, 0xef}), Ip("192.168.50.223"));
  world.client.Ask(kVip);
  world.Run(absl::Seconds(20));
  const absl::Time from = world.Now();
  stranger.Announce(kVip);
  world.Run(absl::Seconds(1));
  CHECK(world.GratuitousSince(from, kVip) == 2);  // the claim, and the defence
  CHECK(world.client.neighbour(kVip) == world.NodeNamed(world.HolderOf(kVip)).mac);
  CHECK_THAT(world.Explain(kVip).message, Catch::Contains("02:00:00:00:00:ef"));
}

}  // namespace
}  // namespace berth::system
