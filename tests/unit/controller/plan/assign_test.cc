// SPDX-License-Identifier: Apache-2.0
// Which address a Service gets: the lowest free one, or the one it asks for.
#include "tests/unit/controller/plan/plan_fixture.h"

namespace berth::plan {
namespace {

World TenToTwelve() {
  World world;
  world.Pool(DefaultPool("e", "10.0.0.10-10.0.0.12"));
  return world;
}

// The Service is refused with this reason, and the message names all of `words`.
void CheckPending(const Decision& decision, const std::string& code, const std::vector<std::string>& words) {
  CHECK(decision.ownership == Ownership::kOurs);
  CHECK(decision.want.empty());
  CHECK_FALSE(decision.satisfied);
  CHECK(decision.reason.code == code);
  for (const std::string& word : words) CHECK_THAT(decision.reason.message, Catch::Contains(word));
}

TEST_CASE("T020 T021 lowest free address first, also after one came back", "[unit]") {
  World world = TenToTwelve();
  for (const char* name : {"a", "b", "c"}) CHECK(world.Put(MakeService(name)).satisfied);
  CHECK(world.Has("a") == "10.0.0.10");
  CHECK(world.Has("b") == "10.0.0.11");
  CHECK(world.Has("c") == "10.0.0.12");
  world.Delete("b");
  world.Put(MakeService("d"));
  CHECK(world.Has("d") == "10.0.0.11");
}

TEST_CASE("an allocation names its pool, protocol and interface, and the pools that were looked at", "[unit]") {
  World world = TenToTwelve();
  const Decision decision = world.Look(MakeService("a"));
  REQUIRE(decision.want.size() == 1);
  CHECK(decision.want[0] == model::Allocation{Ip("10.0.0.10"), "e", model::Protocol::kLayer2, "eth0"});
  CHECK(decision.candidate_pools == std::vector<std::string>{"e"});
  CHECK(decision.reason == Reason());
}

TEST_CASE("T003 B9 when the Eip is full the next one waits, and the reason names the Eip", "[unit]") {
  World world;
  world.Pool(DefaultPool("one", "172.22.0.9"));
  world.Put(MakeService("a"));
  CHECK(world.Has("a") == "172.22.0.9");
  CheckPending(world.Put(MakeService("b")), reason::kPoolExhausted,
               {"no suitable ip to allocate", "\"one\"", "172.22.0.9"});
}

TEST_CASE("a Service that waits is told which addresses of its Eip strangers have, the first five by name", "[unit]") {
  World world;
  world.Pool(DefaultPool("taken", "10.0.0.10-10.0.0.15"));
  world.ledger.MarkConflicted(Ip("10.0.0.9"), true);  // no concern of this Eip
  for (int i = 11; i < 15; ++i) world.ledger.MarkConflicted(Ip(absl::StrCat("10.0.0.", i)), true);
  world.Put(MakeService("a"));
  world.Put(MakeService("b"));
  CHECK(world.Has("b") == "10.0.0.15");
  CheckPending(world.Put(MakeService("c")), reason::kPoolExhausted,
               {"2 are in use, 4 are answered for by somebody else on the LAN: "
                "10.0.0.11, 10.0.0.12, 10.0.0.13, 10.0.0.14; widen"});
  world.Delete("a");
  world.Delete("b");
  for (int i : {10, 15}) world.ledger.MarkConflicted(Ip(absl::StrCat("10.0.0.", i)), true);
  world.Again("c");
  CHECK(world.Has("c").empty());
  CheckPending(world.Look(MakeService("c")), reason::kPoolExhausted,
               {"0 are in use, 6 are answered for by somebody else on the LAN: 10.0.0.10, ", "10.0.0.14 and more; widen"});
}

TEST_CASE("T035 a pending Service gets the address that came free", "[unit]") {
  World world;
  world.Pool(DefaultPool("one", "172.22.0.9"));
  world.Put(MakeService("a"));
  world.Put(MakeService("b"));
  world.Delete("a");
  world.Again("b");
  CHECK(world.Has("b") == "172.22.0.9");
}

TEST_CASE("blocked addresses are skipped", "[unit]") {
  World world = TenToTwelve();
  SECTION("excluded") { world.ledger.SetExcluded(*IpRangeSet::Parse("10.0.0.10")); }
  SECTION("conflicted") { world.ledger.MarkConflicted(Ip("10.0.0.10"), true); }
  SECTION("quarantined") { world.ledger.MarkQuarantined(Ip("10.0.0.10"), true); }
  SECTION("reserved") { world.ledger.MarkReserved(Ip("10.0.0.10"), true); }
  world.Put(MakeService("a"));
  CHECK(world.Has("a") == "10.0.0.11");
}

TEST_CASE("C8 C10 D3 the address asked for is given, by field or by annotation", "[unit]") {
  World world = TenToTwelve();
  model::Service service = MakeService("a");
  SECTION("field") { service.load_balancer_ip = "10.0.0.12"; }
  SECTION("annotation") { service.annotations[model::kAddressAnnotation] = " 10.0.0.12 "; }
  SECTION("both alike") {
    service.load_balancer_ip = "10.0.0.12";
    service.annotations[model::kAddressAnnotation] = "10.0.0.12";
  }
  CHECK(world.Put(service).satisfied);
  CHECK(world.Has("a") == "10.0.0.12");
}

TEST_CASE("C11 B5 field and annotation that differ are refused, naming both", "[unit]") {
  World world = TenToTwelve();
  model::Service service = AsksIp(MakeService("a"), "10.0.0.11");
  service.annotations[model::kAddressAnnotation] = "10.0.0.12";
  CheckPending(world.Put(service), reason::kInvalidRequest,
               {"spec.loadBalancerIP", "10.0.0.11", model::kAddressAnnotation, "10.0.0.12"});
}

TEST_CASE("T025 B7 an address in no Eip is refused", "[unit]") {
  World world = TenToTwelve();
  CheckPending(
      world.Put(AsksIp(MakeService("a"), "10.9.9.9")), reason::kAddressNotInPool,
      {"no available eip was found containing the ip:[10.9.9.9]", "no pool contains 10.9.9.9", "spec.loadBalancerIP"});
}

TEST_CASE("T026 an address that is none is refused with its text", "[unit]") {
  World world = TenToTwelve();
  CheckPending(world.Put(AsksIp(MakeService("a"), "not-an-ip")), reason::kInvalidRequest,
               {"invalid requested IP", "\"not-an-ip\"", "spec.loadBalancerIP"});
}

TEST_CASE("malformed wishes are refused, naming field and value", "[unit]") {
  World world = TenToTwelve();
  const auto [key, value, word] = GENERATE(table<std::string, std::string, std::string>({
      {model::kAddressAnnotation, "10.0.0.10,", "empty part"},
      {model::kAddressAnnotation, "10.0.0.10,10.0.0.11", "both IPv4"},
      {model::kAddressAnnotation, "10.0.0.10/24", "10.0.0.10/24"},
      {model::kPoolAnnotation, "e,,e", "empty part"},
      {model::kProtocolAnnotation, "ospf", "\"ospf\""},
  }));
  CAPTURE(key, value);
  model::Service service = MakeService("a");
  service.annotations[key] = value;
  CheckPending(world.Put(service), reason::kInvalidRequest, {key, word});
}

TEST_CASE("blank wishes are no wishes", "[unit]") {
  World world = TenToTwelve();
  model::Service service = AsksIp(AsksPool(MakeService("a"), "  "), " ");
  service.annotations[model::kAddressAnnotation] = "";
  service.annotations[model::kProtocolAnnotation] = "";
  world.Put(service);
  CHECK(world.Has("a") == "10.0.0.10");
}

TEST_CASE("T030 B6 an address that is not in the Eip named is refused", "[unit]") {
  World world;
  world.Pool(MakePool("e1", "10.1.0.0/24"));
  world.Pool(MakePool("e2", "10.2.0.0/24"));
  CheckPending(
      world.Put(AsksIp(AsksPool(MakeService("a"), "e1"), "10.2.0.5")), reason::kAddressNotInPool,
      {"the specified ip:10.2.0.5 is beyond the range of eip[e1:10.1.0.0/24]", "10.2.0.5, which is not in Eip \"e1\""});
}

TEST_CASE("a wanted address that must not be given out is refused with the reason why", "[unit]") {
  World world = TenToTwelve();
  const IpAddr a = Ip("10.0.0.11");
  std::string code;
  SECTION("excluded") {
    world.ledger.SetExcluded(*IpRangeSet::Parse("10.0.0.11"));
    code = reason::kAddressExcluded;
  }
  SECTION("conflicted") {
    world.ledger.MarkConflicted(a, true);
    code = reason::kAddressConflicted;
  }
  SECTION("quarantined") {
    world.ledger.MarkQuarantined(a, true);
    code = reason::kAddressQuarantined;
  }
  SECTION("reserved") {
    world.ledger.MarkReserved(a, true);
    code = reason::kProbing;
  }
  CheckPending(world.Put(AsksIp(MakeService("a"), "10.0.0.11")), code, {"spec.loadBalancerIP", "10.0.0.11"});
}

TEST_CASE("an address that avoid-buggy-ips leaves out is refused even when asked for", "[unit]") {
  World world;
  model::Pool pool = DefaultPool("e", "10.0.0.0/24");
  pool.avoid_buggy_ips = true;
  world.Pool(pool);
  CheckPending(world.Put(AsksIp(MakeService("a"), "10.0.0.255")), reason::kAddressExcluded,
               {model::kAvoidBuggyAnnotation, "\"e\""});
}

TEST_CASE("T037 a Service without ports or headless waits with that reason", "[unit]") {
  World world = TenToTwelve();
  model::Service service = MakeService("a");
  SECTION("no ports") { service.ports.clear(); }
  SECTION("headless") { service.headless = true; }
  CheckPending(world.Put(service), reason::kNoPorts, {"spec."});
}

TEST_CASE("a Service that asks for node-proxy mode waits with that reason", "[unit]") {
  World world = TenToTwelve();
  model::Service service = MakeService("a");
  service.annotations[model::kNodeProxyAnnotation] = GENERATE("deployment", "daemonset");
  CheckPending(world.Put(service), reason::kNodeProxy, {model::kNodeProxyAnnotation});
}

TEST_CASE("D9 a pool of 256 fills from .0 to .254 beside one fixed at .255, then no more", "[unit]") {
  World world;
  world.Pool(DefaultPool("e", "10.0.0.0/24"));
  world.Put(AsksIp(MakeService("fixed"), "10.0.0.255"));
  for (int i = 0; i < 255; ++i) {
    const std::string name = absl::StrCat("s", i);
    world.Put(MakeService(name));
    REQUIRE(world.Has(name) == absl::StrCat("10.0.0.", i));
  }
  CHECK(world.Put(MakeService("late")).reason.code == reason::kPoolExhausted);
  world.Again("s7");
  CHECK(world.Has("s7") == "10.0.0.7");
}

TEST_CASE("the decision is the same each time for the same input", "[unit]") {
  World world = TenToTwelve();
  world.Put(MakeService("a"));
  const Decision first = world.Look(MakeService("b"));
  const Decision second = world.Look(MakeService("b"));
  CHECK(first.want == second.want);
  CHECK(first.candidate_pools == second.candidate_pools);
}

}  // namespace
}  // namespace berth::plan
