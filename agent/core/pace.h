// SPDX-License-Identifier: Apache-2.0
// agent/core/pace.h -- so much in each slice of time, and no more. Pure.
#ifndef BERTH_AGENT_CORE_PACE_H_
#define BERTH_AGENT_CORE_PACE_H_

#include <cstddef>

#include "absl/time/time.h"

namespace berth::agent {

class Pace {
 public:
  static constexpr absl::Duration kSlice = absl::Milliseconds(10);
  explicit Pace(std::size_t per_slice) : per_slice_(per_slice) {}

  // Takes one from what is left in the slice that `now` lies in; false when nothing is.
  bool Take(absl::Time now) {
    if (now >= slice_end_) {
      slice_end_ = now + kSlice;
      used_ = 0;
    }
    if (used_ >= per_slice_) return false;
    ++used_;
    return true;
  }
  // When Take will say yes again, at the earliest.
  absl::Time Next(absl::Time now) const { return now >= slice_end_ || used_ < per_slice_ ? now : slice_end_; }

 private:
  std::size_t per_slice_;
  std::size_t used_ = 0;
  absl::Time slice_end_ = absl::InfinitePast();
};

}  // namespace berth::agent

#endif  // BERTH_AGENT_CORE_PACE_H_
