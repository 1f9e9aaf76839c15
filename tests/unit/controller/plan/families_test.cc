// SPDX-License-Identifier: Apache-2.0
// One address for each family, in the order of spec.ipFamilies.
#include "tests/unit/controller/plan/plan_fixture.h"

namespace berth::plan {
namespace {

using model::IpFamilyPolicy;

model::Service Dual(const std::string& name, IpFamilyPolicy policy,
                    std::vector<Family> families = {Family::kIpv4, Family::kIpv6}) {
  model::Service service = MakeService(name);
  service.ip_families = std::move(families);
  service.ip_family_policy = policy;
  return service;
}

model::Service SingleV6(const std::string& name) { return Dual(name, IpFamilyPolicy::kSingleStack, {Family::kIpv6}); }

TEST_CASE("a Service that says nothing of families is IPv4", "[unit]") {
  World world;
  world.Pool(MakePool("v6", "fd00::/64"));
  world.Pool(MakePool("v4", "10.0.0.0/24"));
  world.Put(MakeService("web"));
  CHECK(world.Has("web") == "10.0.0.0");
}

TEST_CASE("B11 a single-stack IPv6 Service gets an IPv6 address", "[unit]") {
  World world;
  world.Pool(DefaultPool("v4", "10.0.0.0/24"));
  world.Pool(MakePool("v6", "fd50::100-fd50::10f"));
  world.Put(SingleV6("web"));
  CHECK(world.Has("web") == "fd50::100");
}

TEST_CASE("T042 B10 an Eip of the other family is of no use", "[unit]") {
  World world;
  world.Pool(DefaultPool("v4", "10.0.0.0/24"));
  model::Service service = SingleV6("web");
  SECTION("found by itself") {}
  SECTION("named") { service = AsksPool(service, "v4"); }
  SECTION("by an address in it") { service = AsksIp(service, "10.0.0.7"); }
  const Decision decision = world.Put(service);
  CHECK(decision.want.empty());
  CHECK(decision.reason.code == reason::kFamilyMismatch);
  CHECK_THAT(decision.reason.message, Catch::Contains("service can't use different family eip"));
}

TEST_CASE("T039 RequireDualStack gives one address of each family in the order of ipFamilies", "[unit]") {
  World world;
  world.Pool(BoundPool("v4", "10.0.0.0/24", "default"));
  world.Pool(BoundPool("v6", "fd00::/64", "default"));
  world.Put(Dual("a", IpFamilyPolicy::kRequireDualStack));
  world.Put(Dual("b", IpFamilyPolicy::kRequireDualStack, {Family::kIpv6, Family::kIpv4}));
  CHECK(world.Has("a") == "10.0.0.0,fd00::");
  CHECK(world.Has("b") == "fd00::1,10.0.0.1");
}

TEST_CASE("RequireDualStack holds both or nothing", "[unit]") {
  World world;
  world.Pool(DefaultPool("v4", "10.0.0.0/24"));
  const Decision decision = world.Put(Dual("a", IpFamilyPolicy::kRequireDualStack));
  CHECK(decision.want.empty());
  CHECK_FALSE(decision.satisfied);
  CHECK(decision.reason.code == reason::kFamilyMismatch);
  CHECK(world.ledger.LowestFree("v4") == Ip("10.0.0.0"));
  world.Pool(MakePool("v6", "fd00::/64"));
  CHECK(world.Again("a").satisfied);
  CHECK(world.Has("a") == "10.0.0.0,fd00::");
}

TEST_CASE("T041 PreferDualStack takes what there is and the second later, without touching the first", "[unit]") {
  World world;
  world.Pool(DefaultPool("v4", "10.0.0.0/24"));
  const Decision first = world.Put(Dual("a", IpFamilyPolicy::kPreferDualStack));
  CHECK(first.satisfied);
  CHECK(first.reason.code.empty());
  CHECK(world.Has("a") == "10.0.0.0");
  world.Put(MakeService("b"));
  world.Pool(MakePool("v6", "fd00::/64"));
  CHECK(world.Again("a").satisfied);
  CHECK(world.Has("a") == "10.0.0.0,fd00::");
}

TEST_CASE("PreferDualStack with a full second Eip is satisfied but says so", "[unit]") {
  World world;
  world.Pool(DefaultPool("v4", "10.0.0.0/24"));
  world.Pool(MakePool("v6", "fd00::1"));
  world.Put(SingleV6("six"));
  const Decision decision = world.Put(Dual("a", IpFamilyPolicy::kPreferDualStack));
  CHECK(decision.satisfied);
  CHECK(world.Has("a") == "10.0.0.0");
  CHECK(decision.reason.code == reason::kPoolExhausted);
}

TEST_CASE("PreferDualStack with nothing at all waits", "[unit]") {
  World world;
  const Decision decision = world.Put(Dual("a", IpFamilyPolicy::kPreferDualStack));
  CHECK_FALSE(decision.satisfied);
  CHECK(decision.reason.code == reason::kNoPool);
}

TEST_CASE("comma lists name an Eip and an address for each family, in any order", "[unit]") {
  World world;
  world.Pool(DefaultPool("d4", "10.9.0.0/24"));
  world.Pool(MakePool("v4", "10.0.0.0/24"));
  world.Pool(MakePool("v6", "fd00::/64"));
  model::Service service = AsksPool(Dual("a", IpFamilyPolicy::kRequireDualStack), "v6, v4");
  world.Put(service);
  CHECK(world.Has("a") == "10.0.0.0,fd00::");
  service.annotations[model::kAddressAnnotation] = "fd00::7,10.0.0.9";
  world.Put(service);
  CHECK(world.Has("a") == "10.0.0.9,fd00::7");
}

TEST_CASE("an Eip named for one family leaves the other to the usual rules", "[unit]") {
  World world;
  world.Pool(MakePool("named", "10.0.0.0/24"));
  world.Pool(MakePool("v4", "10.1.0.0/24"));
  world.Pool(MakePool("v6", "fd00::/64"));
  world.Put(AsksPool(Dual("a", IpFamilyPolicy::kRequireDualStack), "named"));
  CHECK(world.Has("a") == "10.0.0.0,fd00::");
}

TEST_CASE("two Eips named for one family are refused", "[unit]") {
  World world;
  world.Pool(MakePool("a", "10.0.0.0/24"));
  world.Pool(MakePool("b", "10.1.0.0/24"));
  const Decision decision = world.Put(AsksPool(MakeService("web"), "a,b"));
  CHECK(decision.reason.code == reason::kInvalidRequest);
  CHECK_THAT(decision.reason.message, Catch::Contains("\"a\"") && Catch::Contains("\"b\""));
}

TEST_CASE("a family no longer asked for is released, the other stays", "[unit]") {
  World world;
  world.Pool(DefaultPool("v4", "10.0.0.0/24"));
  world.Pool(MakePool("v6", "fd00::/64"));
  world.Put(Dual("a", IpFamilyPolicy::kRequireDualStack));
  world.Put(Dual("a", IpFamilyPolicy::kSingleStack, {Family::kIpv4}));
  CHECK(world.Has("a") == "10.0.0.0");
  CHECK(world.ledger.LowestFree("v6") == Ip("fd00::"));
}

TEST_CASE("SingleStack takes the first family listed", "[unit]") {
  World world;
  world.Pool(DefaultPool("v4", "10.0.0.0/24"));
  world.Pool(MakePool("v6", "fd00::/64"));
  world.Put(Dual("a", IpFamilyPolicy::kSingleStack, {Family::kIpv6, Family::kIpv4}));
  CHECK(world.Has("a") == "fd00::");
}

TEST_CASE("unwritten families of a dual-stack Service are both", "[unit]") {
  World world;
  world.Pool(DefaultPool("v4", "10.0.0.0/24"));
  world.Pool(MakePool("v6", "fd00::/64"));
  world.Put(Dual("a", GENERATE(IpFamilyPolicy::kPreferDualStack, IpFamilyPolicy::kRequireDualStack), {}));
  CHECK(world.Has("a") == "10.0.0.0,fd00::");
}

}  // namespace
}  // namespace berth::plan
