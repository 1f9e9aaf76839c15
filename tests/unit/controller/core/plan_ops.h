// SPDX-License-Identifier: Apache-2.0
// tests/unit/controller/core/plan_ops.h -- what may happen to a PlanWorld, as values that rapidcheck makes and makes
// smaller.
//
// An operation is a few small numbers, and any numbers mean something in any world: so a sequence that fails stays a
// sequence when parts of it are left out, and the smallest one that fails is found.
#ifndef BERTH_TESTS_UNIT_CONTROLLER_CORE_PLAN_OPS_H_
#define BERTH_TESTS_UNIT_CONTROLLER_CORE_PLAN_OPS_H_

#include <cstdint>
#include <ostream>
#include <string>
#include <vector>

#include "tests/unit/controller/core/plan_world.h"

namespace berth::core {

enum class OpKind : std::uint8_t {
  kPool,
  kService,
  kDeletePool,
  kVanishPool,
  kDeleteService,
  kVanishService,
  kTamper,
  kLabel,
  kWriteFault,
  kHoldWrites,
  kHoldWatch,
  kAdvance,
  kRest,
  kConnect,
  kCut,
  kLeave,
  kInterfaces,
  kSlow,
  kStranger,
  kRestart,
  kStepDown,
};

struct Op {
  OpKind kind = OpKind::kPool;
  int who = 0;    // 0..5: which Eip, Service or node
  int what = 0;   // 0..15: which part of it
  int value = 0;  // 0..23
};
std::ostream& operator<<(std::ostream& out, const Op& op);

void Do(PlanWorld& world, const Op& op);

// What the runs of one test are about.
enum class Theme { kObjects, kFaults, kAgents, kRestarts };
// Does them all, comes to rest, and lets another process begin with what is recorded. Throws Broken.
void RunAll(const std::vector<Op>& ops, Theme theme, bool lax_rules);

}  // namespace berth::core

#endif  // BERTH_TESTS_UNIT_CONTROLLER_CORE_PLAN_OPS_H_
