// SPDX-License-Identifier: Apache-2.0
// controller/kube/write/write_window.h -- when a leader may write: while its Lease is its own for sure.
#ifndef BERTH_CONTROLLER_KUBE_WRITE_WRITE_WINDOW_H_
#define BERTH_CONTROLLER_KUBE_WRITE_WRITE_WINDOW_H_

#include "absl/time/time.h"
#include "controller/kube/client/api_client.h"

namespace berth::kube {

// How the Lease stands now: no patch begins later than `begin_by`, and each has ended by `end_by` (loop times).
struct WriteWindow {
  absl::Time begin_by, end_by;
  // Keeps a request within it.
  void Bound(ApiRequest& request) const {
    request.not_after = begin_by;
    request.end_by = end_by;
  }
};

}  // namespace berth::kube

#endif  // BERTH_CONTROLLER_KUBE_WRITE_WRITE_WINDOW_H_
