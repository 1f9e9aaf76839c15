// SPDX-License-Identifier: Apache-2.0
// Cases of Eips in a running cluster: their status, and what disabling one does.
#include <catch2/catch.hpp>

#include "tests/system/stories.h"

namespace berth::system {
namespace {

model::PoolStatus StatusOf(World& world, const std::string& pool) {
  const auto status = world.cluster.pool_status(pool);
  REQUIRE(status);
  return *status;
}

std::vector<std::string> EventsOfPool(const World& world, const std::string& pool) {
  std::vector<std::string> found;
  for (const FakeCluster::Event& e : world.cluster.events()) {
    if (e.record.object != model::ObjectId{"", pool}) continue;
    found.push_back(absl::StrCat(e.record.reason, ": ", e.record.message));
  }
  return found;
}

TEST_CASE("T001 T002 the status of a new Eip counts all its addresses, its ends too, and that it is served",
          "[system]") {
  const auto [range, first, last, size] = GENERATE(table<std::string, std::string, std::string, int>({
      {"192.168.50.50-192.168.50.60", "192.168.50.50", "192.168.50.60", 11},
      {"10.10.0.0/30", "10.10.0.0", "10.10.0.3", 4},
  }));
  World world;
  world.AddNodes(2);
  world.StartAll();
  world.AddPool("edge", range);
  world.Run(absl::Seconds(2));
  const model::PoolStatus status = StatusOf(world, "edge");
  CHECK(status.total == AddressCount(size));
  CHECK(status.first_ip == first);
  CHECK(status.last_ip == last);
  CHECK(Ip(status.first_ip).family() == Family::kIpv4);
  CHECK(status.used == AddressCount(0));
  CHECK(status.used_list.empty());
  CHECK(status.ready);
  CHECK(status.message.empty());
}

TEST_CASE("T003 an Eip of one address is full with one Service, and the next is told which Eip is", "[system]") {
  World world;
  world.AddNodes(2);
  world.AddPool("single", "192.168.50.100");
  world.StartAll();
  world.AddService("a");
  world.Run(absl::Seconds(1));
  world.AddService("b");
  world.Run(absl::Seconds(3));
  CHECK(world.AddressOf("a") == Ip("192.168.50.100"));
  CHECK(world.AddressesOf("b").empty());
  CHECK(world.ReasonOf("b") == "PoolExhausted");
  CHECK_THAT(world.ExplainService("b").message, Catch::Contains("Eip \"single\""));
  CHECK(world.Unexplained().empty());
  CHECK(StatusOf(world, "single").total == AddressCount(1));
  CHECK(StatusOf(world, "single").used == AddressCount(1));
}

TEST_CASE("T017 T050 two Services on one address are both listed, the address counts once, and one node announces it",
          "[system]") {
  World world;
  Prepare(world, 3, 0);
  const IpAddr vip = Ip("192.168.50.105");
  world.AddService(Sharing("a", vip, 80));
  world.Run(absl::Seconds(1));
  world.AddService(Sharing("b", vip, 443));
  world.Run(absl::Seconds(3));
  CHECK(world.AddressOf("a") == vip);
  CHECK(world.AddressOf("b") == vip);
  CHECK(world.Announcers(vip).size() == 1);
  const model::PoolStatus status = StatusOf(world, "edge");
  CHECK(status.used == AddressCount(1));
  REQUIRE(status.used_list.size() == 1);
  CHECK(status.used_list[0].address == vip);
  CHECK(status.used_list[0].services == std::vector<model::ObjectId>{{"default", "a"}, {"default", "b"}});
}

TEST_CASE("a Service that waits for an Eip which is refused is told why, and has its address once that is mended",
          "[system]") {
  World world;
  Prepare(world, 2, 0);
  const std::string unread = "pools.yaml:4: Eip \"new\": spec.address: \"x\" is not an IPv4 or IPv6 address";
  model::Service service = World::MakeService("web");
  service.annotations[model::kPoolAnnotation] = "new";
  world.AddService(service);
  world.Run(absl::Seconds(1));
  CHECK(world.ReasonOf("web") == "PoolNotFound");
  world.cluster.SetProblems({{unread}, {{"new", unread}}});
  world.Run(absl::Seconds(1));
  CHECK(world.ReasonOf("web") == "PoolRefused");
  CHECK_THAT(world.ExplainService("web").message, Catch::Contains(unread));
  CHECK(world.HasEvent("AssignIPFailed", unread));
  world.cluster.SetProblems({});
  world.AddPool("new", "192.168.50.105-192.168.50.130");  // it can be read, and overlaps
  world.Run(absl::Seconds(1));
  CHECK(world.ReasonOf("web") == "PoolRefused");
  CHECK_THAT(world.ExplainService("web").message, Catch::Contains("eip address overlap with edge"));
  world.AddPool("new", "192.168.50.130");
  CHECK(world.RunUntil([&] { return world.AddressOf("web") == Ip("192.168.50.130"); }, absl::Seconds(2)));
}

TEST_CASE("T078 a disabled Eip gives nothing new, and what it gave stays and stays announced", "[system]") {
  World world;
  Prepare(world, 3, 1);
  const IpAddr vip = world.AddressOf("svc1");
  const std::string holder = world.HolderOf(vip);
  const absl::Time from = world.Now();
  world.client.AskEvery(vip, absl::Milliseconds(10));
  model::Pool pool = world.cluster.pools().at("edge");
  pool.disable = true;
  world.cluster.Put(pool);
  world.Run(absl::Seconds(1));
  model::Service named = World::MakeService("named");
  named.annotations[model::kPoolAnnotation] = "edge";
  world.AddService(named);
  world.AddService("elsewhere");
  world.Run(absl::Seconds(2));
  for (const char* waiting : {"named", "elsewhere"}) {
    CHECK(world.AddressesOf(waiting).empty());
    CHECK(world.ReasonOf(waiting) == "PoolDisabled");
  }
  world.AddPool("other", "192.168.50.200-192.168.50.201");
  model::Pool other = world.cluster.pools().at("other");
  pool.is_default = false;
  other.is_default = true;
  world.cluster.Put(pool);
  world.cluster.Put(other);
  world.Run(absl::Seconds(2));
  CHECK(world.AddressesOf("named").empty());
  CHECK(world.AddressOf("elsewhere") == Ip("192.168.50.201"));  // .200 is the client's
  CHECK(world.AddressOf("svc1") == vip);
  CHECK(world.HolderOf(vip) == holder);
  CHECK(world.client.Unanswered(vip, from, world.Now() - absl::Milliseconds(5)) == 0);
}

TEST_CASE("T079 an Eip that is being deleted gives nothing new and says so, and goes when its last user has",
          "[system]") {
  World world;
  Prepare(world, 2, 1);
  const IpAddr vip = world.AddressOf("svc1");
  const std::string holder = world.HolderOf(vip);
  world.cluster.DeletePool("edge");
  model::Service service = World::MakeService("late");
  service.annotations[model::kPoolAnnotation] = "edge";
  world.AddService(service);
  world.Run(absl::Seconds(3));
  CHECK(world.AddressesOf("late").empty());
  CHECK(world.ReasonOf("late") == "PoolDeleting");
  CHECK_THAT(world.ExplainService("late").message, Catch::Contains("Eip \"edge\""));
  CHECK(world.AddressOf("svc1") == vip);
  CHECK(world.HolderOf(vip) == holder);
  REQUIRE(world.cluster.pools().contains("edge"));
  CHECK_THAT(StatusOf(world, "edge").message, Catch::Contains("deletion waits for its users: default/svc1"));
  CHECK(StatusOf(world, "edge").deletion == "deletion waits for its users: default/svc1");
  CHECK(EventsOfPool(world, "edge") ==
        std::vector<std::string>{"DeletionWaits: deletion waits for its users: default/svc1"});
  world.DeleteService("svc1");
  CHECK(world.RunUntil([&] { return !world.cluster.pools().contains("edge"); }, absl::Seconds(3)));
  world.Run(absl::Seconds(1));
  CHECK(world.AddressesOf("late").empty());
  CHECK(world.ReasonOf("late") == "PoolNotFound");
}

TEST_CASE("of two controllers the one that leads tells of a refused Eip, and one that leads anew tells of it again",
          "[system]") {
  World world;
  Prepare(world, 2, 1);
  world.StartController("c2");
  world.Run(absl::Seconds(1));
  world.AddPool("overlapping", "192.168.50.110-192.168.50.130");
  world.Run(absl::Seconds(2));
  REQUIRE(EventsOfPool(world, "overlapping").size() == 1);
  CHECK_THAT(EventsOfPool(world, "overlapping")[0], Catch::StartsWith("add/update eip: refused: eip address overlap"));
  world.cluster.Grant(world.controllers.at("c2")->source);
  REQUIRE(world.RunUntil([&] { return EventsOfPool(world, "overlapping").size() == 2; }, absl::Seconds(10)));
  world.Run(absl::Seconds(5));
  CHECK(EventsOfPool(world, "overlapping").size() == 2);
}

}  // namespace
}  // namespace berth::system
