// SPDX-License-Identifier: Apache-2.0
#include "tests/system/history.h"

#include <array>
#include <random>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"

namespace berth::system {
namespace {

constexpr std::array<const char*, kOps> kNames = {"Service",
                                                  "delete Service",
                                                  "ports",
                                                  "Eip",
                                                  "disable Eip",
                                                  "delete Eip",
                                                  "vanish Eip",
                                                  "endpoints",
                                                  "label node",
                                                  "node ready",
                                                  "node network",
                                                  "cordon node",
                                                  "remove node",
                                                  "kill agent",
                                                  "start agent",
                                                  "second agent",
                                                  "end agent",
                                                  "freeze agent",
                                                  "reboot node",
                                                  "kill controller",
                                                  "start controller",
                                                  "elect",
                                                  "freeze controller",
                                                  "isolate controller",
                                                  "drain node",
                                                  "move address",
                                                  "rebalance",
                                                  "cut",
                                                  "reset",
                                                  "fault",
                                                  "loss",
                                                  "carrier",
                                                  "drop all",
                                                  "partition",
                                                  "stranger",
                                                  "flush rules",
                                                  "unlocal",
                                                  "fail writes",
                                                  "lose answers",
                                                  "delay writes",
                                                  "rest"};

// What makes most of itself when little else happens.
const std::vector<std::vector<Op>> kThemes = {
    {Op::kCut, Op::kDeleteService, Op::kService},
    {Op::kIsolateController, Op::kElect, Op::kReset, Op::kKillAgent},
    {Op::kFreezeAgent, Op::kCut, Op::kElect},
    {Op::kFailWrites, Op::kLoseAnswers, Op::kDelayWrites, Op::kDeleteService, Op::kService},
    {Op::kEndAgent, Op::kFault, Op::kCordon},
    {Op::kKillController, Op::kKillAgent, Op::kStartAgent},
    {Op::kPartition, Op::kCut, Op::kCarrier},
    {Op::kFault},
    {Op::kDrain, Op::kMove, Op::kRebalance, Op::kEndAgent, Op::kElect},
    {Op::kDrain, Op::kMove, Op::kFault},
};

class Maker {
 public:
  explicit Maker(std::uint64_t seed) : random_(seed * 0x9e3779b97f4a7c15ULL + 1) { history_.seed = seed; }

  History Make() {
    history_.nodes = 1 + Below(5);
    history_.controllers = 1 + Below(2);
    for (int i = 0; i < kPools; ++i) history_.pool_sizes.push_back(2 + Below(5));
    history_.ipv6 = history_.seed / 8 % 2 == 1;  // half of each share of eight
    // The default for one history in three; the others beat more slowly, which costs less and tests the same rules.
    constexpr std::array<int, 3> kHeartbeats = {200, 500, 1000};
    history_.heartbeat = absl::Milliseconds(kHeartbeats[static_cast<std::size_t>(Below(3))]);
    history_.absent_endpoints_are_ready = Below(2) == 0;
    const int rounds = 2 + Below(3);
    for (int i = 0; i < rounds; ++i) Round();
    return std::move(history_);
  }

 private:
  int Below(int n) { return static_cast<int>(random_() % static_cast<std::uint64_t>(n)); }

  // Each round knows only some kinds of trouble, so that they meet each other in ever new company.
  void Round() {
    std::vector<int> bag;
    if (Below(3) == 0) {
      for (const Op op : kThemes[static_cast<std::size_t>(Below(static_cast<int>(kThemes.size())))]) {
        bag.insert(bag.end(), 3, static_cast<int>(op));
      }
    } else {
      for (int op = 0; op < static_cast<int>(Op::kRest); ++op) {
        const int weight = Below(3) == 0 ? 1 + Below(4) : 0;
        bag.insert(bag.end(), static_cast<std::size_t>(weight), op);
      }
    }
    for (const Op always : {Op::kService, Op::kStartAgent, Op::kStartController}) {
      bag.push_back(static_cast<int>(always));
    }
    const int pace = Below(3);
    const int steps = 5 + Below(30);
    for (int i = 0; i < 3; ++i) Add(Op::kService, pace);
    for (int i = 0; i < steps; ++i) {
      Add(static_cast<Op>(bag[static_cast<std::size_t>(Below(static_cast<int>(bag.size())))]), pace);
    }
    history_.steps.push_back(
        {.op = Op::kRest, .a = Below(3), .b = 0, .c = 0, .then = absl::Seconds(Below(4) == 0 ? 300 : 10)});
  }

  void Add(Op op, int pace) {
    Step step{.op = op, .a = 0, .b = 0, .c = 0, .then = Delay(pace)};
    switch (op) {
      case Op::kService:
        step.a = Below(kMostServices);
        step.b = Below(2) == 0 ? 0 : Below(kServiceKinds);
        step.c = Below(12);
        break;
      case Op::kDeleteService:
        step.a = Below(kMostServices);
        break;
      case Op::kPorts:
      case Op::kEndpoints:
        step.a = Below(kMostServices);
        step.b = Below(op == Op::kPorts ? 3 : 32);
        break;
      case Op::kPool:
      case Op::kDisablePool:
      case Op::kDeletePool:
      case Op::kVanishPool:
        step.a = Below(kPools);
        step.b = Below(3) == 0 ? 1 : 0;
        break;
      case Op::kKillController:
      case Op::kStartController:
      case Op::kElect:
      case Op::kFreezeController:
      case Op::kIsolateController:
        step.a = Below(history_.controllers);
        break;
      case Op::kDrain:
      case Op::kMove:
      case Op::kRebalance:
        step.a = op == Op::kMove ? Below(12) : 1 + Below(history_.nodes);
        step.b = 1 + Below(history_.nodes);
        step.c = Below(history_.controllers);
        break;
      case Op::kFault:
        step.a = Below(2) == 0 ? 0 : 1 + Below(history_.nodes);
        step.b = 1 + Below(12);
        step.c = Below(2 * kFaults);
        break;
      case Op::kLoss:
        step.a = Below(3) == 0 ? 0 : 1 + Below(30);
        break;
      case Op::kPartition:
        step.a = Below(2) == 0 ? 0 : Below(32);
        break;
      case Op::kStranger:
        step.a = Below(12);
        break;
      case Op::kFailWrites:
      case Op::kLoseAnswers:
        step.a = Below(4);
        break;
      case Op::kDelayWrites:
        step.a = Below(2) == 0 ? 0 : Below(600);
        break;
      default:
        step.a = 1 + Below(history_.nodes);
    }
    history_.steps.push_back(step);
  }

  // From steps that fall together to some that find the cluster at rest.
  absl::Duration Delay(int pace) {
    switch (Below(4 + pace)) {
      case 0:
        return absl::Milliseconds(Below(4));
      case 1:
        return absl::Milliseconds(Below(100));
      case 2:
        return absl::Milliseconds(Below(1000));
      case 3:
        return absl::Milliseconds(Below(4000));
      default:
        return absl::Milliseconds(Below(20000));
    }
  }

  History history_;
  std::mt19937_64 random_;
};

}  // namespace

History MakeHistory(std::uint64_t seed) { return Maker(seed).Make(); }

std::string Text(const Step& step) {
  return absl::StrCat(kNames[static_cast<std::size_t>(step.op)], " ", step.a, " ", step.b, " ", step.c, ", then ",
                      absl::FormatDuration(step.then));
}

std::string Text(const History& history) {
  return absl::StrCat("seed ", history.seed, ": ", history.nodes, " nodes, ", history.controllers,
                      " controllers, Eips of ", absl::StrJoin(history.pool_sizes, " and "), " addresses, ",
                      history.ipv6 ? "the latter IPv6, " : "", "heartbeat ", absl::FormatDuration(history.heartbeat),
                      ", absent endpoints ", history.absent_endpoints_are_ready ? "are ready" : "are none");
}

}  // namespace berth::system
