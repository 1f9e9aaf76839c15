// SPDX-License-Identifier: Apache-2.0
#include "controller/plan/ownership.h"

#include "tests/unit/controller/plan/plan_fixture.h"

namespace berth::plan {
namespace {

model::Service Plain() {
  model::Service service = MakeService("web");
  service.annotations.clear();
  return service;
}
model::Service Holding(model::Service service, const std::string& managed_by) {
  service.allocations = {{Ip("10.0.0.10"), "e", model::Protocol::kLayer2, "eth0"}};
  service.marked = true;
  service.managed_by = managed_by;
  return service;
}

TEST_CASE("a Service is ours by annotation, by our class, or unclassed where the flag says so", "[unit]") {
  Rules rules;
  model::Service service = Plain();
  CHECK(Classify(service, rules) == Ownership::kForeign);
  service.annotations[model::kOptInAnnotation] = GENERATE("openelb", "porter");
  CHECK(Classify(service, rules) == Ownership::kOurs);
  service.annotations[model::kOptInAnnotation] = "something";
  CHECK(Classify(service, rules) == Ownership::kForeign);
  service.annotations.clear();
  service.load_balancer_class = "berth.io/lb";
  CHECK(Classify(service, rules) == Ownership::kOurs);
  rules.load_balancer_class = "mine";
  CHECK(Classify(service, rules) == Ownership::kForeign);
  service.load_balancer_class.reset();
  rules.manage_unclassed = true;
  CHECK(Classify(service, rules) == Ownership::kOurs);
}

TEST_CASE("T034 a foreign class is never ours, whatever the annotations and flags", "[unit]") {
  World world;
  world.Pool(DefaultPool("e", "10.0.0.10"));
  world.rules.manage_unclassed = true;
  model::Service service = MakeService("web");
  service.load_balancer_class = "other.io/x";
  const Decision decision = world.Look(service);
  CHECK(decision.ownership == Ownership::kForeign);
  CHECK(decision.want.empty());
  CHECK(decision.managed_by.empty());
  CHECK(decision.reason.code == reason::kNotOurs);
  CHECK_THAT(decision.reason.message, Catch::Contains("other.io/x"));
}

TEST_CASE("C2 C3 T032 a Service that is no LoadBalancer has nothing, and lets go of what it had", "[unit]") {
  model::Service service = MakeService("web");
  service.load_balancer = false;
  CHECK(Classify(service, Rules()) == Ownership::kForeign);
  CHECK(Classify(Holding(service, "annotation"), Rules()) == Ownership::kRelease);
}

TEST_CASE("C13 C14 a Service that is being deleted lets go, marked or recorded", "[unit]") {
  model::Service service = MakeService("web");
  service.deleting = true;
  CHECK(Classify(service, Rules()) == Ownership::kForeign);
  service.marked = true;
  CHECK(Classify(service, Rules()) == Ownership::kRelease);
  CHECK(Classify(Holding(service, "annotation"), Rules()) == Ownership::kRelease);
}

TEST_CASE("B14 B15 C15 T033 removing the opt-in annotation releases", "[unit]") {
  World world;
  world.Pool(DefaultPool("e", "10.0.0.10-10.0.0.12"));
  world.Put(MakeService("web"));
  REQUIRE(world.Has("web") == "10.0.0.10");
  model::Service changed = MakeService("web");
  SECTION("it alone") { changed.annotations = {{model::kPoolAnnotation, "e"}}; }
  SECTION("all at once") { changed.annotations.clear(); }
  SECTION("to another value") { changed.annotations[model::kOptInAnnotation] = "metallb"; }
  SECTION("or a foreign class is set") { changed.load_balancer_class = "other.io/x"; }
  const Decision decision = world.Put(changed);
  CHECK(decision.ownership == Ownership::kRelease);
  CHECK(decision.want.empty());
  CHECK(world.Has("web").empty());
  CHECK(world.ledger.LowestFree("e") == Ip("10.0.0.10"));
}

TEST_CASE("a changed flag releases nothing that is held", "[unit]") {
  World world;
  world.Pool(DefaultPool("e", "10.0.0.10-10.0.0.12"));
  model::Service service = Plain();
  SECTION("manage-unclassed is turned off") { world.rules.manage_unclassed = true; }
  SECTION("the class is renamed") { service.load_balancer_class = "berth.io/lb"; }
  REQUIRE(world.Put(service).ownership == Ownership::kOurs);
  world.rules.manage_unclassed = false;
  world.rules.load_balancer_class = "renamed";
  const Decision decision = world.Again("web");
  CHECK(decision.ownership == Ownership::kOurs);
  CHECK(world.Has("web") == "10.0.0.10");
  CHECK(decision.managed_by == (service.load_balancer_class ? "class:berth.io/lb" : "unclassed"));
  // The same Service without an address is judged by today's flags.
  CHECK(Classify(service, world.rules) == Ownership::kForeign);
  service.managed_by = decision.managed_by;
  CHECK(Classify(service, world.rules) == Ownership::kForeign);
}

TEST_CASE("a Service held by a former right goes when its own class changes", "[unit]") {
  model::Service service = Plain();
  service.load_balancer_class = "other.io/x";
  CHECK(Classify(Holding(service, "class:berth.io/lb"), Rules()) == Ownership::kRelease);
  CHECK(Classify(Holding(service, "unclassed"), Rules()) == Ownership::kRelease);
  CHECK(Classify(Holding(Plain(), "class:berth.io/lb"), Rules()) == Ownership::kRelease);
}

TEST_CASE("a record that does not tell its right is judged by the flags of today", "[unit]") {
  CHECK(Classify(Holding(Plain(), ""), Rules()) == Ownership::kRelease);
  CHECK(Classify(Holding(Plain(), ""), Rules{.manage_unclassed = true}) == Ownership::kOurs);
  CHECK(Classify(Holding(MakeService("web"), ""), Rules()) == Ownership::kOurs);
}

TEST_CASE("how a Service is ours is decided along with its address", "[unit]") {
  World world;
  world.Pool(DefaultPool("e", "10.0.0.10-10.0.0.12"));
  CHECK(world.Look(MakeService("web")).managed_by == "annotation");
  model::Service service = MakeService("web");
  service.load_balancer_class = "berth.io/lb";
  CHECK(world.Look(service).managed_by == "class:berth.io/lb");
  world.rules.manage_unclassed = true;
  CHECK(world.Look(Plain()).managed_by == "unclassed");
}

}  // namespace
}  // namespace berth::plan
