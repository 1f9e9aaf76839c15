// SPDX-License-Identifier: Apache-2.0
// common/base/listen_error.h -- why a library could not listen, when all it says is that it could not.
#ifndef BERTH_COMMON_BASE_LISTEN_ERROR_H_
#define BERTH_COMMON_BASE_LISTEN_ERROR_H_

#include "absl/status/status.h"
#include "absl/strings/string_view.h"
#include "common/base/host_port.h"

namespace berth {

// Binds to `listen` once more to learn the kernel's reason: "cannot listen for WHOM on 127.0.0.1:7444: Address already
// in use". Never OK. Errors: InvalidArgument when the host is no address of any kind, else Unavailable.
absl::Status ListenError(const HostPort& listen, absl::string_view whom);

}  // namespace berth

#endif  // BERTH_COMMON_BASE_LISTEN_ERROR_H_
