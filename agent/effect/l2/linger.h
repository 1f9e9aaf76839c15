// SPDX-License-Identifier: Apache-2.0
// agent/effect/l2/linger.h -- whether to look for the next request for a moment, instead of going to sleep. Pure.
//
//   Linger linger;
//   linger.Answered(now);                      // after each answer
//   wait = linger.Looks(now) ? 0 : for_ever;   // before each wait
//
// Requests rarely come alone: a host that lost its cache asks for all it needs. Waking up costs more than answering, so
// after two answers in close succession it pays to look for the next one for kLook before sleeping. It does not pay
// when the next one comes later, nor when whoever asks could only do so on the processor that is kept busy by looking:
// after kMisses looks in vain in a row it sleeps at once for the next kRest close answers, then tries again. Only
// answers count, so requests for other hosts keep nobody awake.
#ifndef BERTH_AGENT_EFFECT_L2_LINGER_H_
#define BERTH_AGENT_EFFECT_L2_LINGER_H_

#include "absl/time/time.h"

namespace berth::agent {

class Linger {
 public:
  static constexpr absl::Duration kClose = absl::Microseconds(40);
  static constexpr absl::Duration kLook = absl::Microseconds(20);
  static constexpr int kMisses = 3;
  static constexpr int kRest = 200;

  // Answers left at `now`, monotonic and not before an earlier call's.
  void Answered(absl::Time now) {
    if (looking_) misses_ = 0;  // found while looking
    looking_ = false;
    const bool close = now - last_ < kClose;
    last_ = now;
    if (!close) return;
    if (rest_ > 0) {
      --rest_;
      return;
    }
    looking_ = true;
  }

  // Whether to look once more before sleeping.
  bool Looks(absl::Time now) {
    if (!looking_) return false;
    if (now < last_ + kLook) return true;
    looking_ = false;
    if (++misses_ >= kMisses) {
      rest_ = kRest;
      misses_ = kMisses - 1;  // the next try is a single one
    }
    return false;
  }

 private:
  absl::Time last_ = absl::InfinitePast();
  bool looking_ = false;
  int misses_ = 0;  // looks in vain in a row
  int rest_ = 0;    // close answers left to sleep after
};

}  // namespace berth::agent

#endif  // BERTH_AGENT_EFFECT_L2_LINGER_H_
