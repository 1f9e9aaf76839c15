// SPDX-License-Identifier: Apache-2.0
// Cases of giving and keeping in a running cluster: how soon, how many writes and Events, and who stays undisturbed.
#include <catch2/catch.hpp>
#include <set>

#include "tests/system/stories.h"

namespace berth::system {
namespace {

model::Service Stored(World& world, const std::string& name) { return *world.cluster.service({"default", name}); }

// One address, which `first` has, and `second` waits for.
void OneForTwo(World& world) {
  world.AddNodes(2);
  world.AddPool("single", "192.168.50.100");
  world.StartAll();
  world.AddService("first");
  world.Run(absl::Seconds(1));
  world.AddService("second");
  world.Run(absl::Seconds(3));
  REQUIRE(world.AddressOf("first") == Ip("192.168.50.100"));
  REQUIRE(world.AddressesOf("second").empty());
}

TEST_CASE("T022 fifty edits that ask for nothing else keep the address, without a write or a frame", "[system]") {
  World world;
  Prepare(world, 3, 1);
  const IpAddr vip = world.AddressOf("svc1");
  const absl::Time from = world.Now();
  const std::size_t writes = world.cluster.service_writes().size();
  model::Service service = World::MakeService("svc1");
  for (int i = 0; i < 50; ++i) {
    service.annotations["example.com/unrelated"] = std::to_string(i);
    service.ports[0].name = absl::StrCat("port-", i);
    world.AddService(service);
    world.Run(absl::Milliseconds(100));
  }
  CHECK(world.AddressesOf("svc1") == std::vector<IpAddr>{vip});
  CHECK(world.cluster.service_writes().size() == writes);
  CHECK(Text(EventsOf(world, "svc1", from)) == "");
  CHECK(world.GratuitousSince(from) == 0);
}

TEST_CASE("T023 a Service that asks for another address leaves the old one before the new one is announced",
          "[system]") {
  World world;
  Prepare(world, 3, 1);
  const IpAddr old = world.AddressOf("svc1");
  const IpAddr wish = Ip("192.168.50.110");
  model::Service next = World::MakeService("next");  // its port clashes, so it waits for just that address
  next.load_balancer_ip = old.ToString();
  world.AddService(next);
  world.Run(absl::Seconds(2));
  REQUIRE(world.ReasonOf("next") == "PortConflict");
  model::Service service = Stored(world, "svc1");
  service.load_balancer_ip = wish.ToString();
  world.AddService(service);
  REQUIRE(world.RunUntil([&] { return world.AddressOf("svc1") == wish; }, absl::Seconds(2)));
  CHECK(world.Announcers(old).empty());
  CHECK(world.RunUntil([&] { return world.AddressOf("next") == old; }, absl::Seconds(1)));
  CHECK(world.RunUntil([&] { return world.HolderOf(wish) != ""; }, absl::Seconds(1)));
  CHECK(world.AddressesOf("svc1") == std::vector<IpAddr>{wish});
}

TEST_CASE("T024 who asks for what another has keeps its own and is told once, and the other is not touched",
          "[system]") {
  World world;
  Prepare(world, 3, 2);
  const auto before = world.Allocations();
  const absl::Time from = world.Now();
  model::Service service = World::MakeService("svc1");
  service.load_balancer_ip = world.AddressOf("svc2").ToString();
  world.AddService(service);
  world.Run(absl::Seconds(5));
  CHECK(world.Allocations() == before);
  const auto events = EventsOf(world, "svc1", from);
  REQUIRE(events.size() == 1);
  CHECK_THAT(events[0], Catch::Contains("is kept") && Catch::Contains("in use by default/svc2"));
  CHECK(EventsOf(world, "svc2", from).empty());
  CHECK(world.GratuitousSince(from) == 0);
}

TEST_CASE("T026 a Service that asks for what is no address waits with one Event a minute at most", "[system]") {
  World world;
  Prepare(world, 2, 0);
  model::Service service = World::MakeService("web");
  service.load_balancer_ip = "not-an-ip";
  world.AddService(service);
  for (int i = 0; i < 12; ++i) {
    world.Run(absl::Seconds(5));
    service.annotations["example.com/unrelated"] = std::to_string(i);
    world.AddService(service);  // touched now and then
  }
  CHECK(world.AddressesOf("web").empty());
  CHECK(world.ReasonOf("web") == "InvalidRequest");
  const auto events = EventsOf(world, "web");
  REQUIRE(events.size() == 1);
  CHECK_THAT(events[0], Catch::Contains("invalid requested IP") && Catch::Contains("\"not-an-ip\""));
  CHECK(world.cluster.service_writes().empty());
}

TEST_CASE("T031 a Service that names an Eip which is not there yet has its address within 2 s of its coming",
          "[system]") {
  World world;
  Prepare(world, 2, 0);
  model::Service service = World::MakeService("web");
  service.annotations[model::kPoolAnnotation] = "nope";
  world.AddService(service);
  world.Run(absl::Seconds(5));
  CHECK(world.ReasonOf("web") == "PoolNotFound");
  CHECK_THAT(world.ExplainService("web").message, Catch::Contains("\"nope\""));
  world.AddPool("nope", "192.168.50.130");
  CHECK(world.RunUntil([&] { return world.AddressOf("web") == Ip("192.168.50.130"); }, absl::Seconds(2)));
}

TEST_CASE("T032 T035 an address that comes free goes to the Service that waits, within 1 s", "[system]") {
  World world;
  OneForTwo(world);
  SECTION("T032 its user is of type ClusterIP now") {
    model::Service service = Stored(world, "first");
    service.load_balancer = false;
    world.AddService(service);
  }
  SECTION("T035 its user is deleted") { world.DeleteService("first"); }
  REQUIRE(world.RunUntil([&] { return world.AddressOf("second") == Ip("192.168.50.100"); }, absl::Seconds(1)));
  CHECK(world.AddressesOf("first").empty());
  CHECK(world.RunUntil([&] { return world.HolderOf(Ip("192.168.50.100")) != ""; }, absl::Seconds(1)));
}

TEST_CASE("T033 a Service that is ours no more loses address and mark, and is left alone from then on", "[system]") {
  World world;
  Prepare(world, 3, 1);
  const IpAddr vip = world.AddressOf("svc1");
  model::Service service = World::MakeService("svc1");
  SECTION("its annotation is gone") { service.annotations.erase(model::kOptInAnnotation); }
  SECTION("all its annotations are") { service.annotations.clear(); }
  SECTION("its class is another's") { service.load_balancer_class = "other.io/x"; }
  world.AddService(service);
  REQUIRE(world.RunUntil([&] { return world.AddressesOf("svc1").empty(); }, absl::Seconds(1)));
  CHECK_FALSE(Stored(world, "svc1").marked);
  CHECK(world.Announcers(vip).empty());
  world.Run(absl::Seconds(2));
  const std::size_t writes = world.cluster.service_writes().size();
  const std::size_t events = EventsOf(world, "svc1").size();
  for (int i = 0; i < 60; ++i) {  // the other controller has its own ideas of the ingress
    world.cluster.Tamper({"default", "svc1"}, [&](model::Service& s) { s.foreign_ingress = i % 2 == 0; });
    world.Run(absl::Seconds(1));
  }
  CHECK(world.cluster.service_writes().size() == writes);
  CHECK(EventsOf(world, "svc1").size() == events);
}

TEST_CASE("T034 a Service of another class is never touched", "[system]") {
  World world;
  Prepare(world, 2, 1);
  model::Service service = World::MakeService("foreign");
  service.load_balancer_class = "other.io/x";
  world.AddService(service);
  const model::Service before = Stored(world, "foreign");
  CHECK(world.WhatMoved(absl::Seconds(30)) == "");
  CHECK(Stored(world, "foreign") == before);
  CHECK(EventsOf(world, "foreign").empty());
  CHECK(world.ExplainService("foreign").state == model::ServiceState::kIgnored);
}

TEST_CASE("T036 of ten that wait the three oldest get the three addresses that come free together", "[system]") {
  World world;
  world.AddNodes(2);
  world.AddPool("three", "192.168.50.100-192.168.50.102");
  world.StartAll();
  for (const char* name : {"x", "y", "z"}) world.AddService(name);
  world.Run(absl::Seconds(2));
  for (int i = 0; i < 10; ++i) {
    model::Service service = World::MakeService(absl::StrCat("waits", i));
    service.created = absl::FromUnixSeconds(1000 - i);  // the last by name is the oldest
    world.AddService(service);
  }
  world.Run(absl::Seconds(2));
  for (const char* name : {"x", "y", "z"}) world.DeleteService(name);
  world.Run(absl::Seconds(5));
  std::set<IpAddr> given;
  for (int i = 0; i < 10; ++i) {
    const std::string name = absl::StrCat("waits", i);
    CAPTURE(name);
    CHECK(world.AddressesOf(name).empty() == (i < 7));
    if (i < 7) CHECK(world.ReasonOf(name) == "PoolExhausted");
    for (const IpAddr& address : world.AddressesOf(name)) given.insert(address);
  }
  CHECK(given.size() == 3);
  CHECK(world.Unexplained().empty());
}

TEST_CASE("T038 a thousand Services that live for 50 ms or less leave nothing behind", "[system]") {
  World world;
  Prepare(world, 2, 0);
  for (int i = 0; i < 1000; ++i) {
    const std::string name = absl::StrCat("brief", i);
    world.AddService(name);
    world.Run(absl::Milliseconds(i % 51));
    world.DeleteService(name);
  }
  // Most were still being asked about on the LAN. Where there is no agent to ask, they get as far as an address.
  for (const auto& [name, node] : world.nodes) world.KillAgent(name);
  world.Run(absl::Seconds(5));
  for (int i = 0; i < 1000; ++i) {
    const std::string name = absl::StrCat("brief", i);
    world.AddService(name);
    world.Run(absl::Milliseconds(i % 51));
    world.DeleteService(name);
  }
  CHECK(world.HasEvent("ReleaseIP", "192.168.50.100"));
  for (const auto& [name, node] : world.nodes) world.StartAgent(name);
  world.Run(absl::Seconds(10));
  CHECK(world.cluster.services().empty());  // no finalizer holds one
  CHECK(world.Leader().runner.Services().empty());
  CHECK(world.Leader().runner.Addresses().empty());
  CHECK(world.Leader().runner.core().ledger().Used().empty());
  const auto status = world.cluster.pool_status("edge");
  REQUIRE(status);
  CHECK(status->used == AddressCount(0));
  world.AddService("next");
  world.Run(absl::Seconds(2));
  CHECK(world.AddressOf("next") == Ip("192.168.50.100"));
}

TEST_CASE("T041 a Service that prefers two families has the second when an Eip for it appears, and keeps the first",
          "[system]") {
  World world;
  Prepare(world, 3, 0);
  model::Service service = World::MakeService("dual");
  service.ip_families = {Family::kIpv4, Family::kIpv6};
  service.ip_family_policy = model::IpFamilyPolicy::kPreferDualStack;
  world.AddService(service);
  world.Run(absl::Seconds(12));
  const IpAddr v4 = world.AddressOf("dual");
  REQUIRE(world.AddressesOf("dual") == std::vector<IpAddr>{Ip("192.168.50.100")});
  const std::string holder = world.HolderOf(v4);
  const absl::Time from = world.Now();
  model::Pool six = world.cluster.pools().at("edge");
  six.name = "six";
  six.address_text = "fd00::100-fd00::10f";
  six.addresses = *IpRangeSet::Parse(six.address_text);
  six.family = Family::kIpv6;
  six.is_default = false;
  world.cluster.Put(six);
  REQUIRE(world.RunUntil([&] { return world.AddressesOf("dual").size() == 2; }, absl::Seconds(2)));
  CHECK(world.AddressesOf("dual") == std::vector<IpAddr>{v4, Ip("fd00::100")});
  world.Run(absl::Seconds(2));
  CHECK(world.HolderOf(v4) == holder);
  CHECK(world.GratuitousSince(from, v4) == 0);
}

TEST_CASE("C5 C7 an ingress that somebody emptied is written again with the same address, the LAN undisturbed",
          "[system]") {
  World world;
  Prepare(world, 3, 1);
  const IpAddr vip = world.AddressOf("svc1");
  const std::string holder = world.HolderOf(vip);
  model::Service service = World::MakeService("svc1");
  SECTION("C5 of a Service that names no Eip") {}
  SECTION("C7 of a Service that names its Eip") { service.annotations[model::kPoolAnnotation] = "edge"; }
  world.AddService(service);
  world.Run(absl::Seconds(1));
  const absl::Time from = world.Now();
  const std::size_t writes = world.cluster.service_writes().size();
  world.cluster.Tamper({"default", "svc1"}, [](model::Service& s) { s.allocations.clear(); });
  REQUIRE(world.AddressesOf("svc1").empty());
  world.Run(absl::Seconds(2));
  CHECK(world.AddressesOf("svc1") == std::vector<IpAddr>{vip});
  CHECK(world.cluster.service_writes().size() == writes + 1);
  CHECK(EventsOf(world, "svc1", from).size() == 1);
  CHECK(world.HolderOf(vip) == holder);
  CHECK(world.GratuitousSince(from) == 0);
}

}  // namespace
}  // namespace berth::system
