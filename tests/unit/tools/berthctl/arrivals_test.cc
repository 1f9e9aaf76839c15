// SPDX-License-Identifier: Apache-2.0
#include "tools/berthctl/arrivals.h"

#include <catch2/catch.hpp>

#include "absl/strings/str_cat.h"

namespace berth::ctl {
namespace {

v1::Change At(const std::string& address, const std::string& holder,
              v1::Address::State state = v1::Address::ANNOUNCED) {
  v1::Change change;
  change.set_kind(v1::Change::CHANGED);
  change.mutable_address()->set_address(address);
  change.mutable_address()->set_holder(holder);
  change.mutable_address()->set_state(state);
  return change;
}

TEST_CASE("an address has arrived when its node answers for it, and only then", "[unit]") {
  Arrivals arrivals;
  CHECK(arrivals.done());
  arrivals.AwaitAt("node2", "192.0.2.1");
  CHECK_FALSE(arrivals.done());
  CHECK(arrivals.Take(At("192.0.2.1", "node1")).empty());
  CHECK(arrivals.Take(At("192.0.2.1", "node3")).empty());
  CHECK(arrivals.Take(At("192.0.2.1", "node2", v1::Address::UNHELD)).empty());
  CHECK(arrivals.Take(At("192.0.2.9", "node2")).empty());
  CHECK(arrivals.Take(v1::Change()).empty());
  CHECK(arrivals.Missing() == "192.0.2.1");
  CHECK(arrivals.Take(At("192.0.2.1", "node2")) == "192.0.2.1 moved to node2");
  CHECK(arrivals.done());
  CHECK(arrivals.Take(At("192.0.2.1", "node2")).empty());
}

TEST_CASE("an address has left when anybody else answers for it", "[unit]") {
  Arrivals arrivals;
  arrivals.AwaitAwayFrom("node1", "192.0.2.1");
  CHECK(arrivals.Take(At("192.0.2.1", "node1")).empty());
  CHECK(arrivals.Take(At("192.0.2.1", "", v1::Address::UNHELD)).empty());
  CHECK(arrivals.Take(At("192.0.2.1", "node3", v1::Address::CONFLICT)) == "192.0.2.1 moved to node3");
  CHECK(arrivals.done());
}

TEST_CASE("an address that is released meanwhile is awaited no more", "[unit]") {
  Arrivals arrivals;
  arrivals.AwaitAt("node2", "192.0.2.1");
  v1::Change gone = At("192.0.2.1", "");
  gone.set_kind(v1::Change::GONE);
  CHECK(arrivals.Take(gone) == "192.0.2.1 was released meanwhile");
  CHECK(arrivals.done());
}

TEST_CASE("an order that the controller had and has no more is forgotten, unless it was carried out", "[unit]") {
  const auto ordered = [](v1::Change change, const std::string& node) {
    change.mutable_address()->set_ordered(node);
    return change;
  };
  Arrivals arrivals;
  arrivals.AwaitAt("node2", "192.0.2.1");
  CHECK(arrivals.Take(At("192.0.2.1", "node1")).empty());  // from before the order
  CHECK_FALSE(arrivals.done());
  CHECK(arrivals.Take(ordered(At("192.0.2.1", "node1"), "node2")).empty());
  SECTION("it was") {
    CHECK(arrivals.Take(ordered(At("192.0.2.1", "node2", v1::Address::UNHELD), "node2")).empty());
    CHECK(arrivals.Take(At("192.0.2.1", "node2")) == "192.0.2.1 moved to node2");
    CHECK(arrivals.forgotten().empty());
  }
  SECTION("it was not, and nothing is said of why") {
    CHECK(arrivals.Take(At("192.0.2.1", "node1")).empty());
    CHECK(arrivals.forgotten() == std::vector<std::string>{"the order to move 192.0.2.1 to node2 is forgotten: the "
                                                           "controller has it no more"});
  }
  SECTION("its Service is gone meanwhile") {
    CHECK(arrivals.Take(ordered(At("192.0.2.1", "", v1::Address::UNHELD), "node2")).empty());
    v1::Change gone = At("192.0.2.1", "");
    gone.set_kind(v1::Change::GONE);
    CHECK(arrivals.Take(gone) == "192.0.2.1 was released meanwhile");
    CHECK(arrivals.forgotten().empty());
  }
  CHECK(arrivals.done());
}

TEST_CASE("of many that are missing the first are named", "[unit]") {
  Arrivals arrivals;
  for (int i = 10; i < 23; ++i) arrivals.AwaitAt("node2", absl::StrCat("192.0.2.", i));
  CHECK(arrivals.Missing() ==
        "192.0.2.10, 192.0.2.11, 192.0.2.12, 192.0.2.13, 192.0.2.14, 192.0.2.15, 192.0.2.16, 192.0.2.17, 192.0.2.18, "
        "192.0.2.19 and 3 others");
}

}  // namespace
}  // namespace berth::ctl
