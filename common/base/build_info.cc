// SPDX-License-Identifier: Apache-2.0
#include "common/base/build_info.h"

#include "berth_build_values.h"

namespace berth {

absl::string_view BuildVersion() { return BERTH_BUILD_VERSION; }
absl::string_view BuildCommit() { return BERTH_BUILD_COMMIT; }

}  // namespace berth
