// SPDX-License-Identifier: Apache-2.0
// The histories are worth what they find: bugs planted in copies of Berth's sources (plant.py), each of which they
// must.
#include <algorithm>
#include <catch2/catch.hpp>

#include "tests/system/planted/planted.h"
#include "tests/system/play.h"

namespace berth::system {
namespace {

using planted::Bug;

constexpr std::uint64_t kMostSeeds = 10000;

bool Any(const History&) { return true; }

// Leaders do not hear that others lead, and agents dial anew again and again: two lead agents in turn.
bool LeadersOverlap(const History& history) {
  const auto count = [&](Op op) {
    return std::count_if(history.steps.begin(), history.steps.end(), [&](const Step& step) { return step.op == op; });
  };
  return history.controllers > 1 && count(Op::kIsolateController) > 1 && count(Op::kElect) > 3 && count(Op::kReset) > 3;
}

// Plays histories, of those in which it can show, until one violates something.
void Finds(Bug bug, bool (*can_show)(const History&) = Any) {
  planted::bug = bug;
  absl::Duration simulated;
  for (std::uint64_t seed = 1; seed <= kMostSeeds; ++seed) {
    const History history = MakeHistory(seed);
    if (!can_show(history)) continue;
    const Outcome outcome = Play(history);
    simulated += outcome.simulated;
    if (outcome.violations.empty()) continue;
    planted::bug = Bug::kNone;
    WARN("found by seed " << seed << " after " << absl::FormatDuration(absl::Trunc(simulated, absl::Seconds(1))) << ": "
                          << outcome.violations.front());
    // It was the bug.
    CHECK(Play(history).violations.empty());
    return;
  }
  planted::bug = Bug::kNone;
  FAIL("no history of " << kMostSeeds << " has found it");
}

TEST_CASE("histories find an address freed before it was withdrawn", "[system]") { Finds(Bug::kFreeBeforeWithdraw); }
TEST_CASE("histories find a reservation forgotten with an unanswered write", "[system]") {
  Finds(Bug::kForgetUnknownWrite);
}
TEST_CASE("histories find Services that wait for ever", "[system]") { Finds(Bug::kForgetWaiters); }
TEST_CASE("histories find a leader that does not wait for its agents", "[system]") { Finds(Bug::kNoStartGate); }
TEST_CASE("histories find a deposed leader that goes on", "[system]") { Finds(Bug::kDeposedGoesOn); }
TEST_CASE("histories find an address given out while an agent may still answer", "[system]") {
  Finds(Bug::kNoQuarantine);
}
TEST_CASE("histories find a leader that does not adopt what agents hold", "[system]") { Finds(Bug::kAdoptNothing); }
TEST_CASE("histories find a take-over that did not ask the LAN", "[system]") { Finds(Bug::kTakeOverUnasked); }
TEST_CASE("histories find sharers with one port", "[system]") { Finds(Bug::kShareAnyPort); }
TEST_CASE("histories find a newer agent of a node that does not wait for the older one", "[system]") {
  Finds(Bug::kNoRoomMade);
}
TEST_CASE("histories find an agent that obeys a leader of a lower term", "[system]") {
  Finds(Bug::kNoTermCheck, LeadersOverlap);
}
TEST_CASE("histories find a superseded agent that stays", "[system]") { Finds(Bug::kIgnoreSuperseded); }
TEST_CASE("histories find an agent that speaks on after it stood still", "[system]") { Finds(Bug::kNoMuteAfterFreeze); }
TEST_CASE("histories find a holder that does not yield", "[system]") { Finds(Bug::kNoMuteOnYield); }
TEST_CASE("histories find an agent that does not mind another candidate", "[system]") { Finds(Bug::kNoMuteForRival); }
TEST_CASE("histories find an agent that goes by its disk without asking the LAN", "[system]") {
  Finds(Bug::kDiskUnasked);
}
TEST_CASE("histories find an address that stays off its node", "[system]") { Finds(Bug::kIgnoreDrift); }
TEST_CASE("histories find a kernel that is not silenced again", "[system]") { Finds(Bug::kIgnoreFlush); }

}  // namespace
}  // namespace berth::system
