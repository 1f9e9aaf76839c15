// SPDX-License-Identifier: Apache-2.0
// The ledger against a model that keeps plain sets of addresses and looks at every one of them.
#include "controller/plan/ledger.h"

#include <set>

#include "tests/unit/controller/plan/plan_fixture.h"

// After catch.hpp, which it builds on.
#include <rapidcheck/catch.h>

namespace berth::plan {
namespace {

// A universe that straddles two /24 borders, so that .255 and .0 occur inside and at ends.
constexpr std::uint32_t kBase = (10U << 24) + 250;
constexpr int kSpan = 270;
IpAddr At(int i) { return IpAddr::V4(kBase + static_cast<std::uint32_t>(i)); }

struct Naive {
  std::map<std::string, model::Pool> pools;
  std::map<IpAddr, std::set<std::string>> owners;
  std::set<IpAddr> conflicted, quarantined, reserved, excluded;

  std::optional<IpAddr> LowestFree(const std::string& name) const {
    const model::Pool& pool = pools.at(name);
    for (int i = 0; i < kSpan; ++i) {
      const IpAddr a = At(i);
      const bool blocked = owners.count(a) || conflicted.count(a) || quarantined.count(a) || reserved.count(a) ||
                           excluded.count(a) || (pool.avoid_buggy_ips && IsBuggy(a));
      if (pool.addresses.Contains(a) && !blocked) return a;
    }
    return std::nullopt;
  }
  std::vector<IpAddr> UsedIn(const std::string& name) const {
    std::vector<IpAddr> out;
    for (const auto& [a, who] : owners) {
      if (pools.at(name).addresses.Contains(a)) out.push_back(a);
    }
    return out;
  }
  std::uint64_t Capacity(const std::string& name) const {
    std::uint64_t n = 0;
    for (int i = 0; i < kSpan; ++i) {
      n += pools.at(name).addresses.Contains(At(i)) && !(pools.at(name).avoid_buggy_ips && IsBuggy(At(i))) ? 1 : 0;
    }
    return n;
  }
};

void Check(const Ledger& ledger, const Naive& naive) {
  for (const auto& [name, pool] : naive.pools) {
    RC_ASSERT(ledger.LowestFree(name) == naive.LowestFree(name));
    RC_ASSERT(ledger.UsedIn(name) == naive.UsedIn(name));
    RC_ASSERT(ledger.UsedCount(name) == naive.UsedIn(name).size());
    RC_ASSERT(ledger.Capacity(name) == AddressCount(naive.Capacity(name)));
  }
}

void Toggle(std::set<IpAddr>& marks, const IpAddr& address, bool on) {
  if (on) {
    marks.insert(address);
  } else {
    marks.erase(address);
  }
}

// Pools that never overlap: "a" lies in the lower part of the universe, "b" in the upper.
model::Pool AnyPool(const std::string& name) {
  const int low = name == "a" ? 0 : kSpan / 2;
  const int first = *rc::gen::inRange(low, low + kSpan / 2);
  const int last = *rc::gen::inRange(first, low + kSpan / 2);
  model::Pool pool = MakePool(name, At(first).ToString() + "-" + At(last).ToString());
  if (*rc::gen::inRange(0, 3) == 0) pool.addresses.Remove(At((first + last) / 2));
  if (pool.addresses.empty()) pool.addresses.Add(At(first));
  pool.avoid_buggy_ips = *rc::gen::arbitrary<bool>();
  return pool;
}

// One random change to both. Most touch addresses near the borders, where the special cases are.
void Step(Ledger& ledger, Naive& naive) {
  const int near = *rc::gen::element(5, 6, 7, 261, 262, 263);
  IpAddr address = *rc::gen::inRange(0, 2) == 0 ? At(near) : At(*rc::gen::inRange(0, kSpan));
  // Half of the changes hit where they show: the address that would be given next, or the first that is blocked.
  const std::string shown = *rc::gen::element<std::string>("a", "b");
  if (*rc::gen::arbitrary<bool>() && naive.pools.count(shown) != 0) {
    const auto lowest = naive.LowestFree(shown);
    address = *rc::gen::arbitrary<bool>() && lowest ? *lowest : *naive.pools[shown].addresses.First();
  }
  const bool on = *rc::gen::arbitrary<bool>();
  const std::string who = *rc::gen::element<std::string>("x", "y");
  switch (*rc::gen::inRange(0, 9)) {
    case 0: {
      const std::string name = *rc::gen::element<std::string>("a", "b");
      naive.pools.erase(name);
      if (on) {
        naive.pools[name] = AnyPool(name);
        ledger.UpsertPool(naive.pools[name]);
      } else {
        ledger.RemovePool(name);
      }
      break;
    }
    case 1:
      return ledger.MarkConflicted(address, on), Toggle(naive.conflicted, address, on);
    case 2:
      return ledger.MarkQuarantined(address, on), Toggle(naive.quarantined, address, on);
    case 3:
      return ledger.MarkReserved(address, on), Toggle(naive.reserved, address, on);
    case 4: {
      IpRangeSet excluded;
      naive.excluded.clear();
      for (const int i : *rc::gen::container<std::vector<int>>(rc::gen::inRange(0, kSpan))) {
        excluded.Add(At(i));
        naive.excluded.insert(At(i));
      }
      ledger.SetExcluded(excluded);
      break;
    }
    case 5: {
      ledger.Release({"default", who}, address);
      const auto it = naive.owners.find(address);
      if (it != naive.owners.end() && it->second.erase(who) != 0 && it->second.empty()) naive.owners.erase(it);
      break;
    }
    default:
      ledger.Assign(MakeClaim(MakeService(who), {address, "a", model::Protocol::kLayer2, "eth0"}));
      naive.owners[address].insert(who);
  }
}

TEST_CASE("the ledger agrees with a naive model after any changes", "[unit]") {
  rc::prop("lowest free, used and capacity", [] {
    Ledger ledger;
    Naive naive;
    for (const std::string name : {"a", "b"}) {
      naive.pools[name] = AnyPool(name);
      ledger.UpsertPool(naive.pools[name]);
    }
    for (int i = 0; i < 60; ++i) {
      Step(ledger, naive);
      Check(ledger, naive);
    }
  });
}

TEST_CASE("filling a pool by its lowest free address gives each address once, in order", "[unit]") {
  rc::prop("whatever is blocked", [] {
    Ledger ledger;
    Naive naive;
    naive.pools["a"] = AnyPool("a");
    ledger.UpsertPool(naive.pools["a"]);
    for (const int i : *rc::gen::container<std::vector<int>>(rc::gen::inRange(0, kSpan))) {
      ledger.MarkReserved(At(i), true);
      naive.reserved.insert(At(i));
    }
    while (const auto lowest = naive.LowestFree("a")) {
      RC_ASSERT(ledger.LowestFree("a") == lowest);
      ledger.Assign(MakeClaim(MakeService(lowest->ToString()), {*lowest, "a", model::Protocol::kLayer2, "eth0"}));
      naive.owners[*lowest].insert("x");
    }
    RC_ASSERT(!ledger.LowestFree("a"));
  });
}

}  // namespace
}  // namespace berth::plan
