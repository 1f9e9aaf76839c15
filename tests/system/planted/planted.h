// SPDX-License-Identifier: Apache-2.0
// tests/system/planted/planted.h -- the bug that is in force in a planted copy of the sources; see plant.py.
#ifndef BERTH_TESTS_SYSTEM_PLANTED_PLANTED_H_
#define BERTH_TESTS_SYSTEM_PLANTED_PLANTED_H_

#include <cstdint>

namespace berth::planted {

enum class Bug : std::uint8_t {
  kNone,
  // ---- controller
  kFreeBeforeWithdraw,
  kForgetUnknownWrite,
  kForgetWaiters,
  kNoStartGate,
  kDeposedGoesOn,
  kNoQuarantine,
  kAdoptNothing,
  kTakeOverUnasked,
  kShareAnyPort,
  kNoRoomMade,
  // ---- agent
  kNoTermCheck,
  kIgnoreSuperseded,
  kNoMuteAfterFreeze,
  kNoMuteOnYield,
  kNoMuteForRival,
  kDiskUnasked,
  kIgnoreDrift,
  kIgnoreFlush,
};

inline Bug bug = Bug::kNone;  // one thread: a test's
inline bool Is(Bug b) { return bug == b; }

}  // namespace berth::planted

#endif  // BERTH_TESTS_SYSTEM_PLANTED_PLANTED_H_
