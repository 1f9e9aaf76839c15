// SPDX-License-Identifier: Apache-2.0
// Kept is kept: what may move a Service that has an address, and what may not.
#include "tests/unit/controller/plan/plan_fixture.h"

namespace berth::plan {
namespace {

World TwoPools() {
  World world;
  world.Pool(DefaultPool("e1", "10.1.0.0/24"));
  world.Pool(MakePool("e2", "10.2.0.0/24"));
  return world;
}

TEST_CASE("T022 C9 C16 D7 without a change of wish the decision is what is held already", "[unit]") {
  World world = TwoPools();
  world.Put(MakeService("a"));
  model::Service service = MakeService("a");
  for (int i = 0; i < 50; ++i) {
    service.annotations["unrelated"] = std::to_string(i);
    service.ports[0].name = absl::StrCat("p", i);
    const Decision decision = world.Put(service);
    REQUIRE(decision.satisfied);
    REQUIRE(decision.want == world.services.at(service.id).allocations);
    REQUIRE(decision.reason.code.empty());
  }
  CHECK(world.Has("a") == "10.1.0.0");
}

TEST_CASE("T023 B12 B13 D8 asking for another address moves, clearing the wish keeps", "[unit]") {
  World world = TwoPools();
  world.Put(MakeService("a"));
  world.Put(AsksIp(MakeService("a"), "10.1.0.12"));
  CHECK(world.Has("a") == "10.1.0.12");
  CHECK(world.ledger.LowestFree("e1") == Ip("10.1.0.0"));
  world.Put(MakeService("a"));
  CHECK(world.Has("a") == "10.1.0.12");
}

TEST_CASE("T029 C17 asking for another Eip moves, clearing the wish keeps", "[unit]") {
  World world = TwoPools();
  world.Put(AsksPool(MakeService("a"), "e1"));
  CHECK(world.Has("a") == "10.1.0.0");
  world.Put(AsksPool(MakeService("a"), "e2"));
  CHECK(world.Has("a") == "10.2.0.0");
  CHECK(world.ledger.UsedCount("e1") == 0);
  world.Put(MakeService("a"));
  CHECK(world.Has("a") == "10.2.0.0");
}

TEST_CASE("asking for another protocol moves, clearing the wish keeps", "[unit]") {
  World world = TwoPools();
  model::Pool bgp = MakePool("e3", "10.3.0.0/24");
  bgp.protocol = model::Protocol::kBgp;
  world.Pool(bgp);
  world.Put(MakeService("a"));
  world.Put(WithProtocol(MakeService("a"), "bgp"));
  CHECK(world.Has("a") == "10.3.0.0");
  world.Put(MakeService("a"));
  CHECK(world.Has("a") == "10.3.0.0");
}

TEST_CASE("T024 asking for what somebody else has keeps the old address and says why", "[unit]") {
  World world = TwoPools();
  world.Put(MakeService("a"));
  world.Put(MakeService("b"));
  const Decision decision = world.Put(AsksIp(MakeService("a"), "10.1.0.1"));
  CHECK(world.Has("a") == "10.1.0.0");
  CHECK(world.Has("b") == "10.1.0.1");
  CHECK(decision.satisfied);
  CHECK(decision.reason.code == reason::kPortConflict);
  CHECK_THAT(decision.reason.message, Catch::Contains("10.1.0.0 is kept") && Catch::Contains("in use by default/b"));
  world.Delete("b");
  world.Again("a");
  CHECK(world.Has("a") == "10.1.0.1");
}

TEST_CASE("any new wish that cannot be had keeps the old address and says why", "[unit]") {
  World world = TwoPools();
  world.Put(MakeService("a"));
  model::Service service = MakeService("a");
  std::string code;
  SECTION("no such Eip") {
    service = AsksPool(service, "nope");
    code = reason::kPoolNotFound;
  }
  SECTION("no such address") {
    service = AsksIp(service, "10.9.9.9");
    code = reason::kAddressNotInPool;
  }
  SECTION("no address at all") {
    service = AsksIp(service, "x");
    code = reason::kInvalidRequest;
  }
  SECTION("no such protocol") {
    service = WithProtocol(service, "vip");
    code = reason::kProtocolMismatch;
  }
  SECTION("an address that a stranger answers for") {
    world.ledger.MarkConflicted(Ip("10.1.0.9"), true);
    service = AsksIp(service, "10.1.0.9");
    code = reason::kAddressConflicted;
  }
  SECTION("node-proxy mode") {
    service.annotations[model::kNodeProxyAnnotation] = "daemonset";
    code = reason::kNodeProxy;
  }
  const Decision decision = world.Put(service);
  CHECK(world.Has("a") == "10.1.0.0");
  CHECK(decision.satisfied);
  CHECK(decision.reason.code == code);
}

TEST_CASE("T099 B17 edits to pools move nobody", "[unit]") {
  World world = TwoPools();
  world.Put(MakeService("a"));
  model::Pool pool = MakePool("e1", "10.1.0.0/24");
  SECTION("the default mark goes to another") { world.Pool(DefaultPool("e2", "10.2.0.0/24")); }
  SECTION("it is disabled") { pool.disable = true; }
  SECTION("it is bound to another namespace") { pool.namespaces = {"other"}; }
  SECTION("its priority changes") { pool.priority = 100; }
  SECTION("its protocol changes") { pool.protocol = model::Protocol::kBgp; }
  SECTION("it is being deleted") { pool.deleting = true; }
  world.Pool(pool);
  world.Pool(BoundPool("e0", "10.0.0.0/24", "default", -5));
  const Decision decision = world.Again("a");
  CHECK(world.Has("a") == "10.1.0.0");
  CHECK(decision.satisfied);
  CHECK(decision.reason.code.empty());
}

TEST_CASE("the address held stays when it is blocked for others", "[unit]") {
  World world = TwoPools();
  world.Put(MakeService("a"));
  world.ledger.SetExcluded(*IpRangeSet::Parse("10.1.0.0"));
  world.ledger.MarkConflicted(Ip("10.1.0.0"), true);
  world.ledger.MarkReserved(Ip("10.1.0.0"), true);
  CHECK(world.Again("a").satisfied);
  CHECK(world.Has("a") == "10.1.0.0");
}

TEST_CASE("an Eip edited to the protocol the Service asks for is no reason to move", "[unit]") {
  World world = TwoPools();
  world.Put(AsksPool(WithProtocol(MakeService("a"), "layer2"), "e1"));
  model::Pool pool = DefaultPool("e1", "10.1.0.0/24");
  pool.protocol = model::Protocol::kBgp;
  world.Pool(pool);
  CHECK(world.Again("a").reason.code.empty());
  CHECK(world.Put(AsksPool(WithProtocol(MakeService("a"), "bgp"), "e1")).reason.code.empty());
  CHECK(world.Has("a") == "10.1.0.0");
}

TEST_CASE("T091 an allocation whose pool shrank or vanished is kept as it was recorded", "[unit]") {
  World world;
  world.Pool(DefaultPool("e", "10.0.0.10-10.0.0.20"));
  const model::Service service = AsksPool(AsksIp(MakeService("a"), "10.0.0.18"), "e");
  world.Put(service);
  const auto recorded = world.services.at(service.id).allocations;
  SECTION("shrank") { world.Pool(DefaultPool("e", "10.0.0.10-10.0.0.15")); }
  SECTION("vanished") { world.ledger.RemovePool("e"); }
  const Decision decision = world.Again("a");
  CHECK(decision.satisfied);
  CHECK(decision.want == recorded);
  CHECK(decision.reason.code.empty());
}

TEST_CASE("T092 a pool that contains an orphan adopts it, unless the Service asks for another", "[unit]") {
  World world;
  world.Pool(DefaultPool("old", "10.0.0.0/24"));
  world.Put(MakeService("a"));
  world.Put(AsksPool(MakeService("b"), "old"));
  world.ledger.RemovePool("old");
  model::Pool renamed = DefaultPool("new", "10.0.0.0/24");
  renamed.interface = "eth1";
  world.Pool(renamed);
  CHECK(world.Again("a").want ==
        std::vector<model::Allocation>{{Ip("10.0.0.0"), "new", model::Protocol::kLayer2, "eth1"}});
  CHECK(world.Again("b").want ==
        std::vector<model::Allocation>{{Ip("10.0.0.1"), "old", model::Protocol::kLayer2, "eth0"}});
  CHECK(world.Put(AsksPool(MakeService("b"), "new")).want[0].pool == "new");
  CHECK(world.Has("b") == "10.0.0.1");
}

TEST_CASE("T090 an Eip deleted with force lets its users go elsewhere, and without force keeps them", "[unit]") {
  World world = TwoPools();
  world.Put(MakeService("auto"));
  world.Put(AsksPool(MakeService("named"), "e1"));
  model::Pool pool = DefaultPool("e1", "10.1.0.0/24");
  pool.deleting = true;
  world.Pool(pool);
  world.Again("auto");
  CHECK(world.Has("auto") == "10.1.0.0");
  pool.force_delete = true;
  world.Pool(pool);
  const Decision moved = world.Again("auto");
  CHECK(world.Has("auto") == "10.2.0.0");
  CHECK(moved.reason.code == reason::kPoolDeleting);
  const Decision left = world.Again("named");
  CHECK(world.Has("named").empty());
  CHECK(left.reason.code == reason::kPoolDeleting);
  CHECK(world.ledger.UsedCount("e1") == 0);
  CHECK(world.Again("auto").reason.code.empty());
}

TEST_CASE("an Eip deleted with force releases also what it no longer contains", "[unit]") {
  World world;
  world.Pool(DefaultPool("e", "10.0.0.10-10.0.0.20"));
  world.Put(AsksIp(MakeService("a"), "10.0.0.18"));
  model::Pool pool = DefaultPool("e", "10.0.0.10-10.0.0.15");
  pool.deleting = pool.force_delete = true;
  world.Pool(pool);
  world.Again("a");
  CHECK(world.Has("a").empty());
}

TEST_CASE("of two recorded addresses of one family the one that is wished for stays, else the first", "[unit]") {
  World world = TwoPools();
  model::Service service = MakeService("a");
  for (const char* address : {"10.1.0.5", "10.1.0.6"}) {
    service.allocations.push_back({Ip(address), "e1", model::Protocol::kLayer2, "eth0"});
    world.ledger.Assign(MakeClaim(service, service.allocations.back()));
  }
  CHECK(Texts(world.Look(service).want) == std::vector<std::string>{"10.1.0.5"});
  CHECK(Texts(world.Look(AsksIp(service, "10.1.0.6")).want) == std::vector<std::string>{"10.1.0.6"});
  CHECK(Texts(world.Look(AsksIp(service, "10.9.9.9")).want) == std::vector<std::string>{"10.1.0.5"});
}

TEST_CASE("an address that is being probed for a Service may still be decided for it", "[unit]") {
  World world = TwoPools();
  const model::Service service = AsksIp(MakeService("a"), "10.1.0.9");
  world.ledger.Assign(MakeClaim(service, {Ip("10.1.0.9"), "e1", model::Protocol::kLayer2, "eth0"}));
  world.ledger.MarkReserved(Ip("10.1.0.9"), true);
  CHECK(Texts(world.Look(service).want) == std::vector<std::string>{"10.1.0.9"});
  CHECK(world.Look(AsksIp(MakeService("b", 81), "10.1.0.9")).reason.code == reason::kProbing);
}

TEST_CASE("the annotation for a forced deletion does nothing before the deletion", "[unit]") {
  World world = TwoPools();
  world.Put(MakeService("a"));
  model::Pool pool = DefaultPool("e1", "10.1.0.0/24");
  pool.force_delete = true;
  world.Pool(pool);
  world.Again("a");
  CHECK(world.Has("a") == "10.1.0.0");
}

}  // namespace
}  // namespace berth::plan
