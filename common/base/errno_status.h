// SPDX-License-Identifier: Apache-2.0
// common/base/errno_status.h -- an errno as a Status.
#ifndef BERTH_COMMON_BASE_ERRNO_STATUS_H_
#define BERTH_COMMON_BASE_ERRNO_STATUS_H_

#include "absl/status/status.h"
#include "absl/strings/string_view.h"

namespace berth {

// "`what`: No space left on device" with the code nearest to `error_number`; `what` names the attempt and its object.
absl::Status ErrnoStatus(int error_number, absl::string_view what);

}  // namespace berth

#endif  // BERTH_COMMON_BASE_ERRNO_STATUS_H_
