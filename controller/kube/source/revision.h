// SPDX-License-Identifier: Apache-2.0
// controller/kube/source/revision.h -- which of two resource versions of one resource is newer. The API server counts
// them up (documented since Kubernetes 1.35, true before); one that is no number counts as newer than any.
#ifndef BERTH_CONTROLLER_KUBE_SOURCE_REVISION_H_
#define BERTH_CONTROLLER_KUBE_SOURCE_REVISION_H_

#include <cstdint>

#include "absl/strings/numbers.h"
#include "absl/strings/string_view.h"

namespace berth::kube {

inline bool IsOlder(absl::string_view a, absl::string_view b) {
  std::uint64_t first = 0, second = 0;
  return absl::SimpleAtoi(a, &first) && absl::SimpleAtoi(b, &second) && first < second;
}

}  // namespace berth::kube

#endif  // BERTH_CONTROLLER_KUBE_SOURCE_REVISION_H_
