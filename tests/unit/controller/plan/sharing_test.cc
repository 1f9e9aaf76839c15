// SPDX-License-Identifier: Apache-2.0
// Several Services on one address.
#include "controller/plan/sharing.h"

#include "tests/unit/controller/plan/plan_fixture.h"

namespace berth::plan {
namespace {

constexpr char kTen[] = "10.0.0.10";

World OwnedBy(const model::Service& owner) {
  World world;
  world.Pool(DefaultPool("e", "10.0.0.10-10.0.0.20"));
  world.Put(owner);
  return world;
}

void CheckRefused(World& world, const model::Service& service, const std::string& code, const std::string& words) {
  const Decision decision = world.Put(service);
  CHECK(decision.want.empty());
  CHECK_FALSE(decision.satisfied);
  CHECK(decision.reason.code == code);
  CHECK_THAT(decision.reason.message, Catch::Contains(words));
}

TEST_CASE("T050 T017 D6 a second Service that asks for the address shares it", "[unit]") {
  World world = OwnedBy(WithKey(MakeService("a", 80), "k"));
  CHECK(world.Put(AsksIp(WithKey(MakeService("b", 443), "k"), kTen)).satisfied);
  CHECK(world.Has("a") == kTen);
  CHECK(world.Has("b") == kTen);
  CHECK(world.ledger.UsedCount("e") == 1);
  CHECK(world.ledger.OwnersOf(Ip(kTen)).size() == 2);
}

TEST_CASE("Services of one namespace need no key", "[unit]") {
  World world = OwnedBy(MakeService("a", 80));
  CHECK(world.Put(AsksIp(MakeService("b", 443), kTen)).satisfied);
}

TEST_CASE("nobody shares without asking for the address", "[unit]") {
  World world = OwnedBy(WithKey(MakeService("a", 80), "k"));
  world.Put(WithKey(MakeService("b", 443), "k"));
  CHECK(world.Has("b") == "10.0.0.11");
}

TEST_CASE("T051 the same port of the same protocol is refused, naming its owner", "[unit]") {
  World world = OwnedBy(WithKey(MakeService("a", 80), "k"));
  world.Put(AsksIp(WithKey(MakeService("b", 443), "k"), kTen));
  CheckRefused(world, AsksIp(WithKey(MakeService("c", 80), "k"), kTen), reason::kPortConflict,
               "tcp/80 on 10.0.0.10 is in use by default/a");
  CheckRefused(world, AsksIp(WithKey(MakeService("d", 443), "k"), kTen), reason::kPortConflict,
               "tcp/443 on 10.0.0.10 is in use by default/b");
}

TEST_CASE("T052 the same port of another protocol is allowed", "[unit]") {
  World world = OwnedBy(MakeService("a", 53));
  model::Service udp = AsksIp(MakeService("b", 53), kTen);
  udp.ports[0].protocol = "UDP";
  CHECK(world.Put(udp).satisfied);
  CHECK(world.Has("b") == kTen);
}

TEST_CASE("T053 another namespace with another key is refused, and no key is told", "[unit]") {
  World world = OwnedBy(WithKey(MakeService("team-a/a", 80), "secret-of-a"));
  const model::Service other = AsksIp(WithKey(MakeService("team-b/b", 443), "secret-of-b"), kTen);
  CheckRefused(world, other, reason::kSharingKeyMismatch, "team-a/a");
  CHECK_THAT(world.Look(other).reason.message, !Catch::Contains("secret"));
}

TEST_CASE("T054 another namespace is refused when owner or newcomer has no key", "[unit]") {
  World world = OwnedBy(MakeService("team-a/a", 80));
  CheckRefused(world, AsksIp(WithKey(MakeService("team-b/b", 443), "k"), kTen), reason::kAddressInUse,
               "in use by team-a/a, which shares it with no other namespace");
  CheckRefused(world, AsksIp(MakeService("team-b/c", 443), kTen), reason::kAddressInUse, "team-a/a");
  World keyed = OwnedBy(WithKey(MakeService("team-a/a", 80), "k"));
  CheckRefused(keyed, AsksIp(MakeService("team-b/c", 443), kTen), reason::kAddressInUse, "team-a/a");
}

TEST_CASE("another namespace with the same key shares", "[unit]") {
  World world = OwnedBy(WithKey(MakeService("team-a/a", 80), "k"));
  CHECK(world.Put(AsksIp(WithKey(MakeService("team-b/b", 443), "k"), kTen)).satisfied);
}

TEST_CASE("what ports another tenant uses is not told to those who may not share with it", "[unit]") {
  World world = OwnedBy(WithKey(MakeService("team-a/a", 80), "k"));
  CheckRefused(world, AsksIp(WithKey(MakeService("team-b/b", 80), "x"), kTen), reason::kSharingKeyMismatch, "team-a/a");
}

TEST_CASE("traffic policies must agree at the time of joining", "[unit]") {
  World world = OwnedBy(Local(MakeService("a", 80), "x"));
  CheckRefused(world, AsksIp(MakeService("b", 81), kTen), reason::kPolicyMismatch, "spec.externalTrafficPolicy");
  CheckRefused(world, AsksIp(Local(MakeService("c", 82), "y"), kTen), reason::kPolicyMismatch, "spec.selector");
  CHECK(world.Put(AsksIp(Local(MakeService("d", 83), "x"), kTen)).satisfied);
  World cluster = OwnedBy(MakeService("a", 80));
  model::Service other_selector = AsksIp(MakeService("b", 81), kTen);
  other_selector.selector = {{"app", "other"}};
  CHECK(cluster.Put(other_selector).satisfied);
}

TEST_CASE("B3 open sharing asks for nothing but free ports", "[unit]") {
  World world = OwnedBy(MakeService("team-a/a", 81));
  world.rules.open_sharing = true;
  CHECK(world.Put(AsksIp(Local(MakeService("team-b/b", 82), "y"), kTen)).satisfied);
  CHECK(world.Again("team-b/b").reason.code.empty());
  CheckRefused(world, AsksIp(MakeService("team-b/c", 81), kTen), reason::kPortConflict, "tcp/81");
}

TEST_CASE("a wanted address may be shared in a full Eip", "[unit]") {
  World world;
  world.Pool(DefaultPool("e", kTen));
  world.Put(MakeService("a", 80));
  CHECK(world.Put(AsksIp(AsksPool(MakeService("b", 81), "e"), kTen)).satisfied);
}

TEST_CASE("T056 a policy changed later keeps both, and says so", "[unit]") {
  World world = OwnedBy(MakeService("a", 80));
  world.Put(AsksIp(MakeService("b", 81), kTen));
  const Decision decision = world.Put(Local(MakeService("a", 80), "x"));
  CHECK(decision.satisfied);
  CHECK(decision.reason.code == reason::kPolicyMismatch);
  CHECK_THAT(decision.reason.message, Catch::Contains("default/b"));
  const Decision other = world.Again("b");
  CHECK(other.satisfied);
  CHECK(other.reason.code == reason::kPolicyMismatch);
  CHECK(world.Has("a") == kTen);
  CHECK(world.Has("b") == kTen);
}

TEST_CASE("a sharing key changed later keeps both, and says so", "[unit]") {
  World world = OwnedBy(WithKey(MakeService("team-a/a", 80), "k"));
  world.Put(AsksIp(WithKey(MakeService("team-b/b", 81), "k"), kTen));
  const Decision decision = world.Put(WithKey(MakeService("team-a/a", 80), "new"));
  CHECK(decision.satisfied);
  CHECK(decision.reason.code == reason::kSharingKeyMismatch);
  CHECK(world.Again("team-b/b").satisfied);
  CHECK(world.Has("team-b/b") == kTen);
}

TEST_CASE("T057 a later sharer whose new port clashes loses the address, the first owner never", "[unit]") {
  World world = OwnedBy(MakeService("a", 80));
  model::Service b = AsksIp(MakeService("b", 443), kTen);
  world.Put(b);
  b.ports.push_back({.name = "http", .protocol = "TCP", .port = 80});
  const Decision decision = world.Put(b);
  CHECK(decision.want.empty());
  CHECK(decision.reason.code == reason::kPortConflict);
  CHECK(world.Again("a").satisfied);
  CHECK(world.Has("a") == kTen);
  b.ports.pop_back();
  world.Put(b);
  CHECK(world.Has("b") == kTen);
}

TEST_CASE("a sharer that clashes and asks for no address any more moves to a free one", "[unit]") {
  World world = OwnedBy(MakeService("a", 80));
  world.Put(AsksIp(MakeService("b", 443), kTen));
  const Decision decision = world.Put(MakeService("b", 80));
  CHECK(world.Has("b") == "10.0.0.11");
  CHECK(decision.satisfied);
  CHECK(decision.reason.code == reason::kPortConflict);
}

TEST_CASE("when the first owner brings about the clash it is still the later one that goes", "[unit]") {
  World world = OwnedBy(MakeService("a", 80));
  world.Put(AsksIp(MakeService("b", 443), kTen));
  CHECK(world.Put(MakeService("a", 443)).satisfied);
  CHECK(world.Has("a") == kTen);
  CHECK(world.Again("b").reason.code == reason::kPortConflict);
  CHECK(world.Has("b").empty());
}

TEST_CASE("between later sharers the one that changed goes, not the last", "[unit]") {
  World world = OwnedBy(MakeService("a", 80));
  world.Put(AsksIp(MakeService("b", 81), kTen));
  world.Put(AsksIp(MakeService("c", 82), kTen));
  CHECK(world.Put(AsksIp(MakeService("b", 82), kTen)).want.empty());
  CHECK(world.Again("c").satisfied);
  CHECK(world.Has("c") == kTen);
}

TEST_CASE("T058 when the first owner leaves the next one is first", "[unit]") {
  World world = OwnedBy(MakeService("a", 80));
  world.Put(AsksIp(MakeService("b", 81), kTen));
  world.Delete("a");
  CHECK(world.Again("b").satisfied);
  CHECK(world.Has("b") == kTen);
  CHECK(world.ledger.OwnersOf(Ip(kTen)).front().service.name == "b");
}

}  // namespace
}  // namespace berth::plan
