// SPDX-License-Identifier: Apache-2.0
// common/obs/standard_pages.h -- the three pages that both daemons serve.
#ifndef BERTH_COMMON_OBS_STANDARD_PAGES_H_
#define BERTH_COMMON_OBS_STANDARD_PAGES_H_

#include <functional>
#include <string>
#include <vector>

#include "common/obs/http_server.h"
#include "common/obs/metrics.h"

namespace berth {

// What keeps a daemon from being healthy or ready, one phrase each; none means it is. Called on the loop thread.
using Reasons = std::function<std::vector<std::string>()>;

// /metrics; /healthz and /readyz: 200 "ok", or 503 with one reason per line. `metrics` is borrowed.
HttpHandlers StandardPages(const Metrics& metrics, Reasons unhealthy, Reasons unready);

}  // namespace berth

#endif  // BERTH_COMMON_OBS_STANDARD_PAGES_H_
