// SPDX-License-Identifier: Apache-2.0
// Cases of several Services on one address in a running cluster: who keeps it, and that nobody notices.
#include <catch2/catch.hpp>

#include "tests/system/stories.h"

namespace berth::system {
namespace {

IpAddr Vip() { return Ip("192.168.50.105"); }

// Services a (tcp/80) and b (tcp/443) on Vip(), a first, at rest.
void Share(World& world) {
  Prepare(world, 3, 0);
  world.AddService(Sharing("a", Vip(), 80));
  world.Run(absl::Seconds(1));
  world.AddService(Sharing("b", Vip(), 443));
  world.Run(absl::Seconds(12));
  REQUIRE(world.AddressOf("a") == Vip());
  REQUIRE(world.AddressOf("b") == Vip());
  REQUIRE(world.HolderOf(Vip()) != "");
}

std::size_t Unanswered(World& world, absl::Time from) {
  return world.client.Unanswered(Vip(), from, world.Now() - absl::Milliseconds(5));
}

TEST_CASE("T056 a sharer whose traffic policy changes keeps the address, as the other does, and both are told",
          "[system]") {
  World world;
  Share(world);
  const absl::Time from = world.Now();
  const auto endpoint_on = [&](const std::string& node) { world.cluster.Put(World::MakeSlice("a", {{.node = node}})); };
  endpoint_on(world.HolderOf(Vip()));
  model::Service a = Sharing("a", Vip(), 80);
  a.traffic_policy = model::TrafficPolicy::kLocal;
  world.AddService(a);
  world.Run(absl::Seconds(3));
  for (const char* name : {"a", "b"}) {
    CHECK(world.AddressOf(name) == Vip());
    const auto events = EventsOf(world, name, from);
    REQUIRE(events.size() == 1);
    CHECK_THAT(events[0], Catch::Contains("both keep it for now") && Catch::Contains("externalTrafficPolicy"));
    CHECK(world.ReasonOf(name) == "TrafficPolicyMismatch");
  }
  // It is held only where every sharer allows it.
  const char* const other = world.HolderOf(Vip()) == "node1" ? "node2" : "node1";
  endpoint_on(other);
  CHECK(world.RunUntil([&] { return world.HolderOf(Vip()) == other; }, absl::Seconds(2)));
}

TEST_CASE("T057 a sharer that adds a port of the first owner loses the address, and the first owner nothing",
          "[system]") {
  World world;
  Share(world);
  const std::string holder = world.HolderOf(Vip());
  const absl::Time from = world.Now();
  world.client.AskEvery(Vip(), absl::Milliseconds(10));
  model::Service b = Sharing("b", Vip(), 443);
  b.ports.push_back({.name = "http", .protocol = "TCP", .port = 80});
  world.AddService(b);
  world.Run(absl::Seconds(5));
  CHECK(world.AddressesOf("b").empty());
  CHECK(world.ReasonOf("b") == "PortConflict");
  CHECK(world.HasEvent("AssignIPFailed", "tcp/80 on 192.168.50.105 is in use by default/a"));
  CHECK(world.HasEvent("ReleaseIP", "192.168.50.105"));
  CHECK(world.AddressOf("a") == Vip());
  CHECK(Text(EventsOf(world, "a", from)) == "");
  CHECK(world.HolderOf(Vip()) == holder);
  CHECK(Unanswered(world, from) == 0);
}

TEST_CASE("T058 T059 when the first of two sharers goes, no question stays unanswered, and the last frees the address",
          "[system]") {
  World world;
  Share(world);
  const std::string holder = world.HolderOf(Vip());
  const absl::Time from = world.Now();
  world.client.AskEvery(Vip(), absl::Milliseconds(10));
  bool a_first = true;
  SECTION("T058 the first owner goes first") {}
  SECTION("T059 the second goes first") { a_first = false; }
  const char* const first = a_first ? "a" : "b";
  const char* const second = a_first ? "b" : "a";
  world.DeleteService(first);
  world.Run(absl::Seconds(11));
  CHECK_FALSE(world.cluster.service({"default", first}));
  CHECK(world.AddressOf(second) == Vip());
  CHECK(world.HolderOf(Vip()) == holder);
  CHECK(world.GratuitousSince(from) == 0);
  CHECK(world.client.queries(Vip()).size() >= 1000);
  CHECK(Unanswered(world, from) == 0);
  model::Service next = Sharing("next", Vip(), a_first ? 443 : 80);  // clashes with whoever is left
  world.AddService(next);
  world.Run(absl::Seconds(3));
  CHECK(world.ReasonOf("next") == "PortConflict");
  world.DeleteService(second);
  CHECK(world.RunUntil([&] { return world.AddressOf("next") == Vip(); }, absl::Seconds(2)));
}

TEST_CASE("T060 sharers have one holder between them, whatever becomes of the nodes", "[system]") {
  World world;
  Share(world);
  const auto both_on_one = [&] {
    const model::AddressView view = world.Explain(Vip());
    return view.services.size() == 2 && view.state == model::AddressState::kAnnounced &&
           world.Announcers(Vip()) == std::vector<std::string>{view.holder};
  };
  CHECK(both_on_one());
  for (int i = 0; i < 4; ++i) {
    const std::string victim = world.HolderOf(Vip());
    REQUIRE(victim != "");
    CAPTURE(i, victim);
    world.KillAgent(victim);
    REQUIRE(world.RunUntil(
        [&] {
          REQUIRE(world.Announcers(Vip()).size() <= 1);
          return both_on_one();
        },
        absl::Seconds(2)));
    CHECK(world.HolderOf(Vip()) != victim);
    world.StartAgent(victim);
    world.Run(absl::Seconds(3));
    CHECK(both_on_one());
  }
}

}  // namespace
}  // namespace berth::system
