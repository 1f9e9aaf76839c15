// SPDX-License-Identifier: Apache-2.0
// common/base/build_info.h -- what this binary was built from; `--version`, Hello and berth_build_info show it.
#ifndef BERTH_COMMON_BASE_BUILD_INFO_H_
#define BERTH_COMMON_BASE_BUILD_INFO_H_

#include "absl/strings/string_view.h"

namespace berth {

absl::string_view BuildVersion();  // the project's version, e.g. "0.1.0"
absl::string_view BuildCommit();   // the commit's short id, "-dirty" added for changed files; "unknown" outside git

}  // namespace berth

#endif  // BERTH_COMMON_BASE_BUILD_INFO_H_
