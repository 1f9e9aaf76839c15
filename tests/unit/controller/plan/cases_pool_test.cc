// SPDX-License-Identifier: Apache-2.0
// Cases of Eips: edits that are refused, and Eips that leave out addresses ending in .0 or .255.
#include "controller/plan/validate.h"
#include "tests/unit/controller/plan/plan_fixture.h"

namespace berth::plan {
namespace {

model::Pool AvoidingBuggy(const std::string& address) {
  model::Pool pool = DefaultPool("ext", address);
  pool.avoid_buggy_ips = true;
  return pool;
}

TEST_CASE("T009 an Eip may not grow over another, nor away from what is in use, and may otherwise", "[unit]") {
  World world;
  world.Pool(MakePool("a", "10.1.0.0/24"));
  const model::Pool before = MakePool("b", "10.1.1.0/24");
  world.Pool(before);
  world.Put(AsksIp(MakeService("user"), "10.1.1.9"));
  const auto refusal = [&](const std::string& address) {
    const model::Pool after = MakePool("b", address);
    absl::Status status = ValidateAgainst(after, world.ledger.pools());
    if (status.ok()) status = ValidateUpdate(before, after, world.ledger);
    return std::string(status.message());
  };
  CHECK_THAT(refusal("10.1.0.0/16"), Catch::StartsWith("eip address overlap with a: "));
  CHECK_THAT(refusal("10.1.2.0/24"), Catch::StartsWith("the address field is not allowed to be modified: ") &&
                                         Catch::Contains("default/user (10.1.1.9)"));
  CHECK(refusal("10.1.1.0-10.1.3.255").empty());
  CHECK(refusal("10.1.1.8-10.1.1.10").empty());
}

TEST_CASE("T013 of 1.2.3.0/31 without buggy addresses one Service gets 1.2.3.1, and the other waits", "[unit]") {
  World world;
  world.Pool(AvoidingBuggy("1.2.3.0/31"));
  world.Put(MakeService("a"));
  const Decision second = world.Put(MakeService("b"));
  CHECK(world.Has("a") == "1.2.3.1");
  CHECK(second.want.empty());
  CHECK(second.reason.code == reason::kPoolExhausted);
  CHECK_THAT(second.reason.message, Catch::Contains("none of the 1 addresses of Eip \"ext\""));
  CHECK(world.ledger.Capacity("ext") == AddressCount(1));
}

TEST_CASE("T014 of a /24 without buggy addresses 254 are given, never .0 or .255", "[unit]") {
  World world;
  world.Pool(AvoidingBuggy("1.2.3.0/24"));
  for (int i = 1; i <= 254; ++i) {
    const std::string name = absl::StrCat("s", i);
    world.Put(MakeService(name));
    REQUIRE(world.Has(name) == absl::StrCat("1.2.3.", i));
  }
  CHECK(world.Put(MakeService("late")).reason.code == reason::kPoolExhausted);
  CHECK(world.ledger.Capacity("ext") == AddressCount(254));
}

}  // namespace
}  // namespace berth::plan
