// SPDX-License-Identifier: Apache-2.0
// What those who wait hear of an order, until it is carried out or forgotten.
#include <catch2/catch.hpp>
#include <functional>

#include "absl/strings/match.h"
#include "tests/system/stories.h"

namespace berth::system {
namespace {

// What those who watch hear of the order to move `vip`, each once: "HOLDER, ordered to NODE".
std::vector<std::string> OrderHeard(World& world, const IpAddr& vip, const std::function<void()>& act) {
  std::vector<std::string> heard;
  core::CoreRunner& leader = world.Leader().runner;
  const std::uint64_t id = leader.Subscribe([&](const std::vector<model::ChangeView>& changes) {
    for (const model::ChangeView& change : changes) {
      if (!change.address.has_value() || change.address->address != vip) continue;
      std::string line =
          change.gone ? "gone" : absl::StrCat(change.address->holder, ", ordered to ", change.address->ordered);
      if (heard.empty() || heard.back() != line) heard.push_back(std::move(line));
    }
  });
  act();
  leader.Unsubscribe(id);
  return heard;
}

TEST_CASE("an order is told until it is carried out, whatever becomes of the holder that it is taken from",
          "[system]") {
  World world;
  Prepare(world, 3, 1);
  const IpAddr vip = world.AddressOf("svc1");
  const std::string holder = world.HolderOf(vip);
  const std::string other = holder == "node1" ? "node2" : "node1";
  std::function<void()> fault = [] {};
  SECTION("nothing happens to it") {}
  SECTION("its interface fails") {
    fault = [&] { world.NodeNamed(holder).kernel.fake().SetCarrier(kEth0, false); };
  }
  SECTION("its agent dies") {
    fault = [&] { world.KillAgent(holder); };
  }
  const std::vector<std::string> heard = OrderHeard(world, vip, [&] {
    REQUIRE(world.Leader().runner.MoveAddress(vip, other).ok());
    fault();
    world.Run(absl::Seconds(5));
  });
  CAPTURE(heard);
  CHECK(world.HolderOf(vip) == other);
  REQUIRE(heard.size() >= 2);
  CHECK(heard.front() == absl::StrCat(holder, ", ordered to ", other));
  CHECK(heard.back() == absl::StrCat(other, ", ordered to "));
  for (const std::string& line : heard) {
    CHECK((absl::EndsWith(line, other) || line == heard.back()));
  }
}

TEST_CASE("an order for an address that is released meanwhile is not told to be forgotten", "[system]") {
  World world;
  Prepare(world, 2, 1);
  const IpAddr vip = world.AddressOf("svc1");
  const std::string holder = world.HolderOf(vip);
  const std::string other = holder == "node1" ? "node2" : "node1";
  const std::vector<std::string> heard = OrderHeard(world, vip, [&] {
    REQUIRE(world.Leader().runner.MoveAddress(vip, other).ok());
    world.DeleteService("svc1");
    world.Run(absl::Seconds(5));
  });
  CAPTURE(heard);
  REQUIRE(!heard.empty());
  CHECK(heard.back() == "gone");
  for (const std::string& line : heard) CHECK((line == "gone" || absl::EndsWith(line, ", ordered to " + other)));
}

}  // namespace
}  // namespace berth::system
