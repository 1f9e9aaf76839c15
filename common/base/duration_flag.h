// SPDX-License-Identifier: Apache-2.0
// common/base/duration_flag.h -- durations as people write them in flags: "200ms", "1m30s", "0".
#ifndef BERTH_COMMON_BASE_DURATION_FLAG_H_
#define BERTH_COMMON_BASE_DURATION_FLAG_H_

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/string_view.h"
#include "absl/time/time.h"

namespace berth {

// `text` in the form of absl::ParseDuration (number and unit ns, us, ms, s, m or h, repeated).
// Errors: InvalidArgument, quoting `text`, for a missing unit, a negative or an endless duration.
inline absl::StatusOr<absl::Duration> ParseDuration(absl::string_view text) {
  absl::Duration parsed;
  if (!absl::ParseDuration(text, &parsed)) {
    return absl::InvalidArgumentError(
        absl::StrCat("\"", text, "\" is not a duration, write a number with a unit such as 200ms, 3s or 1m30s"));
  }
  if (parsed < absl::ZeroDuration() || parsed == absl::InfiniteDuration()) {
    return absl::InvalidArgumentError(absl::StrCat("duration \"", text, "\" must be finite and not negative"));
  }
  return parsed;
}

}  // namespace berth

#endif  // BERTH_COMMON_BASE_DURATION_FLAG_H_
