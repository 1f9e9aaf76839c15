// SPDX-License-Identifier: Apache-2.0
// Anything may happen to Eips, Services and agents, in any order, and the controller's promises hold after each step:
//
//   1  no address has two owners, unless all of them asked to share it and their ports do not clash
//   2  an address in a Service's record lay in an Eip that allowed it when it was given, and stays until the Service
//   lets
//      go of it; nobody waits for an address that he could have
//   6  every Service that is ours is assigned or has a reason
//   7  a restart changes no allocation, and who begins anew comes to the same decisions
//
// The judge (plan_oracle.h) is written from docs/allocation.md and knows nothing of the code. 10,000 sequences in all.
#include <string>
#include <vector>

#include "tests/property.h"
#include "tests/unit/controller/core/plan_ops.h"

namespace berth::core {
namespace {

using Weights = std::initializer_list<std::pair<std::size_t, OpKind>>;

rc::Gen<Op> AnyOp(const std::vector<OpKind>& kinds) {
  return rc::gen::map(rc::gen::tuple(rc::gen::elementOf(kinds), rc::gen::inRange(0, 6), rc::gen::inRange(0, 16),
                                     rc::gen::inRange(0, 24)),
                      [](const std::tuple<OpKind, int, int, int>& t) {
                        return Op{std::get<0>(t), std::get<1>(t), std::get<2>(t), std::get<3>(t)};
                      });
}

// Each kind as often as its weight. The first ones are what a failure is made smaller towards.
std::vector<OpKind> Kinds(Weights weights) {
  std::vector<OpKind> kinds;
  for (const auto& [weight, kind] : weights) kinds.insert(kinds.end(), weight, kind);
  return kinds;
}

void Sequences(const std::string& name, int tries, Theme theme, bool lax_rules, Weights more) {
  std::vector<OpKind> kinds = Kinds({{12, OpKind::kPool},
                                     {24, OpKind::kService},
                                     {2, OpKind::kDeletePool},
                                     {1, OpKind::kVanishPool},
                                     {3, OpKind::kDeleteService},
                                     {1, OpKind::kVanishService},
                                     {2, OpKind::kLabel},
                                     {2, OpKind::kRest}});
  const std::vector<OpKind> others = Kinds(more);
  kinds.insert(kinds.end(), others.begin(), others.end());
  Property(name, tries, [&] {
    const auto ops = *rc::gen::container<std::vector<Op>>(AnyOp(kinds));
    try {
      RunAll(ops, theme, lax_rules);
    } catch (const Broken& broken) {
      RC_FAIL(std::string(broken.what()));
    }
  });
}

TEST_CASE("allocation keeps its promises whatever becomes of Eips, Services and Namespaces", "[unit]") {
  Sequences("objects", 3000, Theme::kObjects, false, {});
}

TEST_CASE("allocation keeps its promises under the flags that bring back OpenELB's laxness", "[unit]") {
  Sequences("lax rules", 1000, Theme::kObjects, true, {});
}

TEST_CASE("allocation keeps its promises while writes fail, answers are lost and news is late", "[unit]") {
  Sequences("faults", 2000, Theme::kFaults, false,
            {{4, OpKind::kWriteFault},
             {4, OpKind::kHoldWrites},
             {4, OpKind::kHoldWatch},
             {2, OpKind::kTamper},
             {3, OpKind::kAdvance}});
}

TEST_CASE("allocation keeps its promises while agents come and go and strangers use addresses", "[unit]") {
  Sequences("agents", 2000, Theme::kAgents, false,
            {{8, OpKind::kConnect},
             {3, OpKind::kCut},
             {2, OpKind::kLeave},
             {4, OpKind::kInterfaces},
             {2, OpKind::kSlow},
             {2, OpKind::kStranger},
             {4, OpKind::kAdvance}});
}

TEST_CASE("no restart changes an allocation, and a process that begins anew decides alike", "[unit]") {
  Sequences("restarts", 2000, Theme::kRestarts, false,
            {{6, OpKind::kConnect},
             {2, OpKind::kCut},
             {2, OpKind::kInterfaces},
             {2, OpKind::kWriteFault},
             {2, OpKind::kHoldWrites},
             {2, OpKind::kHoldWatch},
             {3, OpKind::kAdvance},
             {5, OpKind::kRestart},
             {3, OpKind::kStepDown}});
}

}  // namespace
}  // namespace berth::core
