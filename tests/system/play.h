// SPDX-License-Identifier: Apache-2.0
// tests/system/play.h -- plays a history on a World, every invariant checked on the way and everything at each rest.
//
//   const Outcome outcome = Play(MakeHistory(17));
//   if (!outcome.violations.empty()) std::puts(Report(Shrink(MakeHistory(17), 200)).c_str());
#ifndef BERTH_TESTS_SYSTEM_PLAY_H_
#define BERTH_TESTS_SYSTEM_PLAY_H_

#include <cstdint>
#include <string>
#include <vector>

#include "absl/time/time.h"
#include "tests/system/history.h"

namespace berth::system {

struct Outcome {
  std::vector<std::string> violations;
  std::vector<std::string> told;  // the steps until then, with their virtual times
  absl::Duration simulated;
  std::uint64_t digest = 0;  // of everything that was written, sent and pushed: equal for equal histories
};

// Plays the history, and a last rest behind it, until something is violated.
Outcome Play(const History& history);

// The history with as many steps left out as may be so that something is violated still, found by at most `plays`
// plays. `history` itself must violate something.
History Shrink(History history, int plays);

// What a person needs: the seed, how to replay it, the steps and what they violate.
std::string Report(const History& history);

}  // namespace berth::system

#endif  // BERTH_TESTS_SYSTEM_PLAY_H_
