// SPDX-License-Identifier: Apache-2.0
// controller/kube/client/api_error.h -- an API server's answer that is no success, as the error api_client.h promises.
// Pure.
#ifndef BERTH_CONTROLLER_KUBE_CLIENT_API_ERROR_H_
#define BERTH_CONTROLLER_KUBE_CLIENT_API_ERROR_H_

#include <string>

#include "absl/status/status.h"
#include "absl/strings/string_view.h"
#include "controller/kube/client/api_client.h"

namespace berth::kube {

// "patch services: " and what comes after: every message of a client begins so.
std::string Attempt(const ApiRequest& request);

// The error for an answer with `code`, which is not 200 to 299. `body` is looked at for a Status object, whose message
// (cut at 1 KiB) and reason count; `retry_after` says whether the answer had such a header.
absl::Status ErrorOfResponse(const ApiRequest& request, int code, bool retry_after, absl::string_view body);

// The error that a watch's line {"type":"ERROR","object":{...}} tells, by the same rules; `object` is its Status in
// JSON.
absl::Status ErrorOfWatchLine(const ApiRequest& request, absl::string_view object);

}  // namespace berth::kube

#endif  // BERTH_CONTROLLER_KUBE_CLIENT_API_ERROR_H_
