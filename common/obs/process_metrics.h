// SPDX-License-Identifier: Apache-2.0
// common/obs/process_metrics.h -- what Linux knows about this process, under the names all Prometheus clients use.
#ifndef BERTH_COMMON_OBS_PROCESS_METRICS_H_
#define BERTH_COMMON_OBS_PROCESS_METRICS_H_

#include <optional>

#include "absl/strings/string_view.h"
#include "common/obs/metrics.h"

namespace berth {

// The fields of /proc/PID/stat that are used here (proc(5)); times in clock ticks, sizes in bytes and pages.
struct ProcStat {
  double cpu_ticks = 0;    // user and system
  double start_ticks = 0;  // since boot
  double virtual_bytes = 0;
  double resident_pages = 0;
};

// Pure. nullopt when `text` is not of that form. The command name may hold blanks and parentheses.
std::optional<ProcStat> ParseProcStat(absl::string_view text);

// A collector for Metrics; what cannot be read is left out.
void CollectProcessMetrics(MetricSink& out);

}  // namespace berth

#endif  // BERTH_COMMON_OBS_PROCESS_METRICS_H_
