// SPDX-License-Identifier: Apache-2.0
// Faults in random order from a seed, the invariants checked after every step, and peace in the end.
#include <catch2/catch.hpp>
#include <cstdlib>
#include <random>

#include "tests/sanitized.h"
#include "tests/system/stories.h"

namespace berth::system {
namespace {

// BERTH_SOAK_SEEDS=1000 runs that many.
int Seeds() {
  const char* wanted = std::getenv("BERTH_SOAK_SEEDS");
  return wanted == nullptr ? (kSanitized ? 4 : 20) : std::max(1, std::atoi(wanted));
}

class Chaos {
 public:
  Chaos(World& world, std::uint64_t seed) : world_(world), random_(seed) {}

  void Step() {
    const std::string node = absl::StrCat("node", 1 + Below(4));
    Node& n = world_.NodeNamed(node);
    switch (Below(12)) {
      case 0:
        world_.KillAgent(node);
        break;
      case 1:
      case 2:
        if (n.agents.empty()) world_.StartAgent(node);
        break;
      case 3:
        world_.wire.Cut(node, !world_.wire.IsCut(node));
        break;
      case 4:
        if (n.agents.empty()) break;
        if (n.agents.front()->process.frozen()) {
          n.agents.front()->Thaw();
        } else {
          n.agents.front()->Freeze();
        }
        break;
      case 5:
        Toggle("a");
        break;
      case 10:
        Toggle("b");
        break;
      case 11:
        world_.lan.SetLoss(Below(2) * 0.02);
        break;
      case 6: {
        const bool carrier = !n.port->carrier;
        n.port->carrier = carrier;
        n.kernel.fake().SetCarrier(kEth0, carrier);
        break;
      }
      case 7:
        world_.AddService(absl::StrCat("extra", Below(3)));
        break;
      case 8:
        world_.DeleteService(absl::StrCat("extra", Below(3)));
        break;
      default:
        world_.cluster.LoseAnswers(1);
        break;
    }
    if (Below(4) == 0) Elect();
    world_.Run(absl::Milliseconds(1 + Below(1500)));
  }

  void Heal() {
    world_.cluster.LoseAnswers(0);
    world_.lan.SetLoss(0);
    if (!world_.controllers.contains("a")) world_.StartController("a");
    world_.Run(absl::Milliseconds(1));
    if (world_.cluster.leader() == nullptr) Elect();
    for (const auto& [name, node] : world_.nodes) {
      world_.wire.Cut(name, false);
      node->port->carrier = true;
      node->kernel.fake().SetCarrier(kEth0, true);
      if (node->agents.empty()) world_.StartAgent(name);
      if (node->agents.front()->process.frozen()) node->agents.front()->Thaw();
    }
  }

 private:
  void Toggle(const std::string& controller) {
    if (world_.controllers.contains(controller)) {
      world_.KillController(controller);
    } else {
      world_.StartController(controller);
    }
  }
  // Any controller that lives, the present leader or another.
  void Elect() {
    if (world_.controllers.empty()) return;
    auto it = world_.controllers.begin();
    std::advance(it, Below(static_cast<int>(world_.controllers.size())));
    world_.cluster.Grant(it->second->source);
  }
  int Below(int n) { return static_cast<int>(random_() % static_cast<std::uint64_t>(n)); }
  World& world_;
  std::mt19937_64 random_;
};

TEST_CASE("after any faults in any order every address is where it was given, and one node answers for it",
          "[system]") {
  const auto seed = static_cast<std::uint64_t>(GENERATE(range(1, Seeds() + 1)));
  INFO("seed " << seed);
  World world(seed);
  Prepare(world, 4, 8);
  std::map<std::string, IpAddr> given;
  for (int i = 1; i <= 8; ++i) given[absl::StrCat("svc", i)] = world.AddressOf(absl::StrCat("svc", i));
  Chaos chaos(world, seed);
  for (int i = 0; i < 40; ++i) chaos.Step();
  chaos.Heal();
  world.Run(absl::Seconds(45));  // former holders forward for 30 s, then let go
  for (const auto& [service, address] : given) {
    INFO(service);
    CHECK(world.AddressOf(service) == address);
  }
  for (const auto& [address, holder] : world.Holders()) {
    INFO(address.ToString() << " is announced by " << absl::StrJoin(world.Announcers(address), " and "));
    CHECK(holder != "");
  }
  CHECK(world.Unexplained().empty());
  CHECK(world.WhatMoved(absl::Seconds(30)) == "");
}

}  // namespace
}  // namespace berth::system
