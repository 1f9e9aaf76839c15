// SPDX-License-Identifier: Apache-2.0
#include "controller/plan/ledger.h"

#include "tests/unit/controller/plan/plan_fixture.h"

namespace berth::plan {
namespace {

Claim ClaimOf(const std::string& service, const std::string& address) {
  return MakeClaim(MakeService(service), {Ip(address), "e", model::Protocol::kLayer2, "eth0"});
}

TEST_CASE("T001 T002 T003 capacity counts every address of an Eip, its ends included", "[unit]") {
  const auto [address, count] = GENERATE(table<std::string, std::string>({
      {"192.168.50.50-192.168.50.60", "11"},
      {"10.10.0.0/30", "4"},
      {"172.22.0.9", "1"},
      {"10.3.0.5 - 10.3.0.9", "5"},
      {"10.0.0.0/8", "16777216"},
      {"2001:db8::/64", "18446744073709551616"},
      {"::/0", "340282366920938463463374607431768211456"},
  }));
  CAPTURE(address);
  Ledger ledger;
  ledger.UpsertPool(MakePool("e", address));
  CHECK(ledger.Capacity("e").ToString() == count);
}

TEST_CASE("T013 T014 avoid-buggy-ips leaves .0 and .255 out of the count and of what is given", "[unit]") {
  const auto [address, count] = GENERATE(table<std::string, std::size_t>({
      {"1.2.3.0/31", 1},
      {"1.2.3.0/24", 254},
      {"1.2.3.254-1.2.4.1", 2},
      {"1.2.3.255-1.2.4.0", 0},
      {"1.2.3.0,1.2.3.255,1.2.4.7", 1},
      {"1.2.3.255-1.2.5.0", 254},
      {"1.2.0.0/22", 1016},
      {"0.0.0.0-0.0.0.3", 3},
      {"255.255.255.253-255.255.255.255", 2},
  }));
  CAPTURE(address);
  Ledger ledger;
  model::Pool pool = MakePool("e", address);
  pool.avoid_buggy_ips = true;
  ledger.UpsertPool(pool);
  CHECK(ledger.Capacity("e") == AddressCount(count));
  std::size_t given = 0;
  while (const auto lowest = ledger.LowestFree("e")) {
    REQUIRE_FALSE(IsBuggy(*lowest));
    REQUIRE(given < count);
    ledger.Assign(ClaimOf(absl::StrCat("s", given++), lowest->ToString()));
  }
  CHECK(given == count);
}

TEST_CASE("avoid-buggy-ips means nothing to IPv6", "[unit]") {
  Ledger ledger;
  model::Pool pool = MakePool("e", "fd00::/120");
  pool.avoid_buggy_ips = true;
  ledger.UpsertPool(pool);
  CHECK(ledger.Capacity("e") == AddressCount(256));
  CHECK(ledger.LowestFree("e") == Ip("fd00::"));
}

TEST_CASE("an address comes back only when nothing blocks it any more", "[unit]") {
  Ledger ledger;
  ledger.UpsertPool(MakePool("e", "10.0.0.1"));
  const IpAddr a = Ip("10.0.0.1");
  IpRangeSet excluded;
  excluded.Add(a);
  ledger.Assign(ClaimOf("web", "10.0.0.1"));
  ledger.SetExcluded(excluded);
  ledger.MarkConflicted(a, true);
  ledger.MarkQuarantined(a, true);
  ledger.MarkReserved(a, true);
  CHECK_FALSE(ledger.LowestFree("e"));
  ledger.Release({"default", "web"}, a);
  CHECK_FALSE(ledger.LowestFree("e"));
  ledger.SetExcluded({});
  CHECK_FALSE(ledger.LowestFree("e"));
  ledger.MarkConflicted(a, false);
  CHECK_FALSE(ledger.LowestFree("e"));
  ledger.MarkQuarantined(a, false);
  CHECK_FALSE(ledger.LowestFree("e"));
  CHECK(ledger.IsBlocked(a));
  ledger.MarkReserved(a, false);
  CHECK(ledger.LowestFree("e") == a);
  CHECK_FALSE(ledger.IsBlocked(a));
}

TEST_CASE("T059 a shared address is free only after its last owner has left", "[unit]") {
  Ledger ledger;
  ledger.UpsertPool(MakePool("e", "10.0.0.1"));
  ledger.Assign(ClaimOf("a", "10.0.0.1"));
  ledger.Assign(ClaimOf("b", "10.0.0.1"));
  CHECK(ledger.UsedCount("e") == 1);
  ledger.Release({"default", "b"}, Ip("10.0.0.1"));
  CHECK_FALSE(ledger.LowestFree("e"));
  ledger.Release({"default", "a"}, Ip("10.0.0.1"));
  CHECK(ledger.LowestFree("e") == Ip("10.0.0.1"));
  CHECK(ledger.UsedCount("e") == 0);
}

TEST_CASE("the first claimant stays the first owner, also when its claim is renewed", "[unit]") {
  Ledger ledger;
  ledger.Assign(ClaimOf("b", "10.0.0.1"));
  ledger.Assign(ClaimOf("a", "10.0.0.1"));
  ledger.Assign(ClaimOf("b", "10.0.0.1"));
  const std::vector<Claim>& owners = ledger.OwnersOf(Ip("10.0.0.1"));
  REQUIRE(owners.size() == 2);
  CHECK(owners[0].service.name == "b");
  CHECK(owners[1].service.name == "a");
  CHECK(ledger.AddressesOf({"default", "a"}) == std::vector<IpAddr>{Ip("10.0.0.1")});
}

TEST_CASE("an orphan stays in use, and a pool that contains it later counts it and never gives it", "[unit]") {
  Ledger ledger;
  ledger.UpsertPool(MakePool("e", "10.0.0.0/30"));
  ledger.Assign(ClaimOf("web", "10.0.0.0"));
  ledger.RemovePool("e");
  CHECK(ledger.Used() == std::vector<IpAddr>{Ip("10.0.0.0")});
  CHECK(ledger.PoolOf(Ip("10.0.0.0")) == nullptr);
  CHECK(ledger.UsedCount("e") == 0);
  ledger.UpsertPool(MakePool("f", "10.0.0.0/31"));
  CHECK(ledger.UsedIn("f") == std::vector<IpAddr>{Ip("10.0.0.0")});
  CHECK(ledger.UsedCount("f") == 1);
  CHECK(ledger.LowestFree("f") == Ip("10.0.0.1"));
}

TEST_CASE("T092 a pool that grows, shrinks or is split keeps what is used and gives what is new", "[unit]") {
  Ledger ledger;
  ledger.UpsertPool(MakePool("e", "10.0.0.10-10.0.0.11"));
  ledger.Assign(ClaimOf("a", "10.0.0.10"));
  ledger.Assign(ClaimOf("b", "10.0.0.11"));
  CHECK_FALSE(ledger.LowestFree("e"));
  ledger.UpsertPool(MakePool("e", "10.0.0.9-10.0.0.11"));
  CHECK(ledger.LowestFree("e") == Ip("10.0.0.9"));
  ledger.UpsertPool(MakePool("e", "10.0.0.11"));
  CHECK(ledger.UsedIn("e") == std::vector<IpAddr>{Ip("10.0.0.11")});
  ledger.UpsertPool(MakePool("e", "10.0.0.10,10.0.0.12"));
  CHECK(ledger.UsedCount("e") == 1);
  CHECK(ledger.LowestFree("e") == Ip("10.0.0.12"));
  CHECK(ledger.UsedWithin(*IpRange::Parse("10.0.0.0/24")).size() == 2);
}

TEST_CASE("excluded addresses change without disturbing other reasons, across pools", "[unit]") {
  Ledger ledger;
  ledger.UpsertPool(MakePool("e", "10.0.0.0-10.0.0.3"));
  ledger.UpsertPool(MakePool("f", "10.0.0.4-10.0.0.7"));
  ledger.SetExcluded(*IpRangeSet::Parse("10.0.0.0-10.0.0.5"));
  CHECK_FALSE(ledger.LowestFree("e"));
  CHECK(ledger.LowestFree("f") == Ip("10.0.0.6"));
  ledger.Assign(ClaimOf("a", "10.0.0.2"));
  ledger.MarkConflicted(Ip("10.0.0.1"), true);
  ledger.SetExcluded(*IpRangeSet::Parse("10.0.0.0"));
  CHECK(ledger.LowestFree("e") == Ip("10.0.0.3"));
  CHECK(ledger.LowestFree("f") == Ip("10.0.0.4"));
}

TEST_CASE("D10 D11 releasing what nobody has changes nothing", "[unit]") {
  Ledger ledger;
  ledger.UpsertPool(MakePool("e", "10.0.0.1"));
  ledger.Release({"default", "web"}, Ip("10.0.0.1"));
  ledger.Release({"default", "web"}, Ip("10.9.9.9"));
  ledger.RemovePool("nope");
  CHECK(ledger.LowestFree("e") == Ip("10.0.0.1"));
  ledger.Assign(ClaimOf("web", "10.0.0.1"));
  ledger.Release({"default", "other"}, Ip("10.0.0.1"));
  CHECK(ledger.UsedCount("e") == 1);
  ledger.Release({"default", "web"}, Ip("10.0.0.1"));
  CHECK(ledger.Used().empty());
  CHECK(ledger.AddressesOf({"default", "web"}).empty());
}

TEST_CASE("the ends of the address space are ordinary addresses", "[unit]") {
  Ledger ledger;
  ledger.UpsertPool(MakePool("low", "0.0.0.0"));
  ledger.UpsertPool(MakePool("high", "255.255.255.255"));
  ledger.UpsertPool(MakePool("low6", "::"));
  CHECK(ledger.PoolOf(Ip("255.255.255.255"))->name == "high");
  CHECK(ledger.PoolOf(Ip("::"))->name == "low6");
  for (const std::string name : {"low", "high", "low6"}) {
    const auto lowest = ledger.LowestFree(name);
    REQUIRE(lowest);
    ledger.MarkReserved(*lowest, true);
    CHECK_FALSE(ledger.LowestFree(name));
    ledger.MarkReserved(*lowest, false);
    CHECK(ledger.LowestFree(name) == lowest);
  }
}

TEST_CASE("100,000 allocations out of a /8 complete, in order and distinct", "[unit]") {
  const bool avoid = GENERATE(false, true);
  World world;
  model::Pool pool = DefaultPool("big", "10.0.0.0/8");
  pool.avoid_buggy_ips = avoid;
  world.Pool(pool);
  model::Service service = MakeService("s");
  std::optional<IpAddr> last;
  for (int i = 0; i < 100'000; ++i) {
    service.id.name = std::to_string(i);
    const Decision decision = world.Look(service);
    REQUIRE(decision.want.size() == 1);
    const IpAddr address = decision.want[0].address;
    if (last && !(*last < address)) FAIL("not ascending at " << address);
    last = address;
    world.ledger.Assign(MakeClaim(service, decision.want[0]));
  }
  CHECK(world.ledger.UsedCount("big") == 100'000);
  CHECK(last == IpAddr::V4((10U << 24) + (avoid ? 393 * 256 + 100'000 - 393 * 254 : 99'999)));
}

}  // namespace
}  // namespace berth::plan
