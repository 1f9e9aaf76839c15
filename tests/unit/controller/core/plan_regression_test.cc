// SPDX-License-Identifier: Apache-2.0
// Sequences that once broke a promise, as small as rapidcheck made them. What the numbers mean is in plan_ops.cc.
#include <catch2/catch.hpp>
#include <string>
#include <vector>

#include "tests/unit/controller/core/plan_ops.h"

namespace berth::core {
namespace {

using enum OpKind;

void Check(const std::vector<Op>& ops, Theme theme, bool lax_rules = false) {
  std::string broken;
  try {
    RunAll(ops, theme, lax_rules);
  } catch (const Broken& why) {
    broken = why.what();
  }
  CHECK(broken.empty());
  if (!broken.empty()) WARN(broken);
}

TEST_CASE("a Service of ours is not called ignored before the controller has begun", "[unit]") {
  Check({{kService, 0, 0, 0}}, Theme::kObjects);
}

TEST_CASE("a wish taken back at the moment the old address is free to go keeps it", "[unit]") {
  Check({{kService, 3, 0, 0}, {kPool, 0, 0, 0}, {kService, 3, 0, 2}, {kPool, 0, 0, 9}, {kService, 3, 0, 0}},
        Theme::kObjects);
}

TEST_CASE("of two Eips that overlap the one in use is in force after a restart, too", "[unit]") {
  Check({{kPool, 1, 0, 0}, {kService, 0, 0, 0}, {kPool, 0, 0, 8}}, Theme::kObjects);
}

TEST_CASE("an edit refused for an address in use comes into force once that is let go", "[unit]") {
  Check({{kPool, 0, 0, 0}, {kService, 1, 0, 0}, {kPool, 0, 0, 1}, {kVanishService, 1, 0, 0}}, Theme::kObjects);
  Check({{kPool, 2, 0, 0}, {kService, 3, 0, 0}, {kPool, 2, 0, 1}, {kPool, 1, 0, 8}, {kDeleteService, 3, 0, 0}},
        Theme::kObjects, true);
}

TEST_CASE("an Eip with a refused edit can be deleted by force", "[unit]") {
  Check({{kService, 1, 0, 0},
         {kPool, 0, 0, 3},
         {kPool, 0, 0, 4},
         {kRest, 0, 0, 0},
         {kService, 0, 0, 0},
         {kDeletePool, 0, 0, 3}},
        Theme::kObjects);
}

TEST_CASE("who waits to share an address gets it when its owner's ports make room", "[unit]") {
  Check({{kService, 1, 8, 0}, {kPool, 0, 0, 0}, {kService, 3, 0, 1}, {kRest, 0, 0, 0}, {kService, 1, 8, 1}},
        Theme::kObjects);
}

TEST_CASE("what is under way is decided anew when a Namespace, an owner or a node's network changes", "[unit]") {
  Check({{kLabel, 0, 0, 0},
         {kPool, 0, 0, 0},
         {kService, 0, 0, 0},
         {kService, 0, 0, 5},
         {kPool, 1, 6, 16},
         {kLabel, 0, 0, 1}},
        Theme::kObjects);
  Check({{kPool, 0, 3, 1}, {kService, 2, 0, 0}, {kService, 0, 0, 0}, {kService, 0, 0, 1}, {kService, 2, 8, 0}},
        Theme::kObjects, true);
  Check({{kPool, 0, 0, 0}, {kConnect, 4, 0, 0}, {kSlow, 1, 0, 1}, {kService, 0, 0, 0}, {kInterfaces, 4, 0, 1}},
        Theme::kAgents);
  Check({{kConnect, 1, 0, 0},
         {kService, 0, 0, 0},
         {kPool, 2, 0, 11},
         {kService, 2, 0, 0},
         {kCut, 1, 0, 0},
         {kService, 2, 0, 11},
         {kVanishService, 0, 0, 0}},
        Theme::kRestarts);
}

TEST_CASE("a Service that changed under a write has a reason until it has been read again", "[unit]") {
  Check({{kPool, 0, 0, 0},
         {kWriteFault, 0, 0, 3},
         {kService, 0, 0, 0},
         {kHoldWatch, 0, 0, 1},
         {kService, 0, 0, 0},
         {kAdvance, 0, 0, 3}},
        Theme::kFaults);
}

TEST_CASE("an address written a moment ago is not forgotten by stepping down and leading again", "[unit]") {
  Check({{kConnect, 0, 0, 0}, {kHoldWatch, 0, 0, 1}, {kService, 0, 0, 0}, {kPool, 0, 0, 3}, {kStepDown, 0, 0, 1}},
        Theme::kRestarts);
  Check(
      {{kPool, 3, 0, 0}, {kService, 0, 11, 3}, {kWriteFault, 0, 0, 0}, {kDeleteService, 0, 0, 0}, {kStepDown, 0, 0, 7}},
      Theme::kRestarts);
}

TEST_CASE("an ingress emptied by somebody else during a write is restored after it", "[unit]") {
  Check({{kService, 3, 0, 0}, {kPool, 0, 0, 0}, {kHoldWrites, 0, 0, 1}, {kTamper, 3, 0, 0}, {kService, 3, 0, 0}},
        Theme::kFaults);
}

TEST_CASE("a write that is repeated carries no decision about an older Service", "[unit]") {
  Check({{kPool, 2, 0, 0},
         {kService, 3, 8, 10},
         {kHoldWrites, 0, 0, 1},
         {kService, 1, 3, 9},
         {kWriteFault, 0, 0, 3},
         {kService, 1, 8, 0},
         {kService, 1, 0, 1}},
        Theme::kFaults);
  Check({{kPool, 0, 0, 1},
         {kWriteFault, 0, 0, 3},
         {kService, 1, 0, 0},
         {kConnect, 1, 0, 0},
         {kCut, 1, 0, 0},
         {kStepDown, 0, 0, 3},
         {kService, 1, 0, 1}},
        Theme::kRestarts);
}

TEST_CASE("an address whose write was done and not answered goes to nobody else, and one let go so wakes", "[unit]") {
  Check({{kService, 3, 0, 12},
         {kService, 0, 0, 12},
         {kWriteFault, 0, 0, 3},
         {kPool, 2, 0, 5},
         {kHoldWatch, 0, 0, 1},
         {kWriteFault, 0, 0, 0},
         {kAdvance, 0, 0, 5}},
        Theme::kFaults);
  Check({{kService, 0, 0, 0},
         {kPool, 1, 9, 0},
         {kService, 3, 0, 0},
         {kService, 0, 0, 8},
         {kRest, 0, 0, 0},
         {kWriteFault, 0, 0, 0},
         {kService, 3, 11, 2}},
        Theme::kRestarts);
}

TEST_CASE("an address that an agent let go of is not given out of an Eip that is about to change", "[unit]") {
  Check({{kService, 5, 0, 0},
         {kService, 4, 0, 0},
         {kService, 0, 0, 0},
         {kService, 2, 0, 0},
         {kPool, 0, 4, 0},
         {kConnect, 0, 0, 0},
         {kPool, 0, 8, 1},
         {kPool, 0, 0, 17},
         {kDeleteService, 4, 0, 0},
         {kService, 5, 11, 2},
         {kService, 3, 0, 4},
         {kVanishService, 2, 0, 0}},
        Theme::kAgents);
}

TEST_CASE("ports of a Service that went while nothing was decided take nothing from its sharer", "[unit]") {
  Check({{kPool, 0, 0, 3},
         {kService, 1, 0, 0},
         {kService, 3, 0, 0},
         {kConnect, 0, 0, 0},
         {kCut, 0, 0, 0},
         {kService, 1, 0, 2},
         {kAdvance, 0, 0, 8},
         {kConnect, 1, 0, 0},
         {kCut, 1, 0, 0},
         {kService, 3, 8, 15},
         {kVanishService, 3, 0, 0}},
        Theme::kAgents);
}

TEST_CASE("a sharer that leaves for a clash stays when the other lets go before it", "[unit]") {
  Check({{kPool, 2, 0, 3},
         {kConnect, 1, 0, 0},
         {kService, 0, 0, 0},
         {kService, 3, 0, 0},
         {kConnect, 0, 0, 0},
         {kService, 1, 0, 10},
         {kCut, 1, 0, 0},
         {kCut, 0, 0, 0},
         {kDeleteService, 3, 0, 0},
         {kService, 1, 8, 0}},
        Theme::kAgents);
}

TEST_CASE("an edit refused for an address that is let go between two terms comes into force", "[unit]") {
  Check({{kPool, 0, 4, 0},
         {kConnect, 0, 0, 0},
         {kService, 0, 0, 0},
         {kService, 4, 0, 0},
         {kWriteFault, 0, 0, 15},
         {kDeleteService, 4, 0, 0},
         {kWriteFault, 0, 0, 0},
         {kRestart, 0, 0, 1},
         {kPool, 0, 0, 0},
         {kStepDown, 0, 0, 1}},
        Theme::kRestarts);
}

TEST_CASE("an owner whose ports change while a sharer's write is on its way does not share for long", "[unit]") {
  Check({{kService, 4, 0, 0},
         {kPool, 1, 0, 11},
         {kHoldWrites, 0, 0, 1},
         {kService, 0, 0, 7},
         {kService, 4, 8, 0},
         {kPool, 0, 0, 0}},
        Theme::kFaults);
  Check({{kPool, 2, 0, 16},
         {kService, 4, 0, 0},
         {kHoldWrites, 0, 0, 1},
         {kService, 2, 0, 10},
         {kService, 4, 8, 2},
         {kService, 0, 0, 0}},
        Theme::kFaults);
  Check({{kPool, 0, 0, 0},
         {kService, 2, 7, 5},
         {kPool, 2, 0, 0},
         {kService, 3, 7, 11},
         {kHoldWrites, 0, 0, 1},
         {kService, 2, 0, 9},
         {kService, 3, 8, 14},
         {kService, 0, 0, 0}},
        Theme::kRestarts);
}

}  // namespace
}  // namespace berth::core
