// SPDX-License-Identifier: Apache-2.0
// controller/metrics.h -- the controller's metrics, named in docs/metrics.md. Loop thread only.
#ifndef BERTH_CONTROLLER_METRICS_H_
#define BERTH_CONTROLLER_METRICS_H_

#include "common/obs/metrics.h"
#include "controller/core/events.h"
#include "controller/model/views.h"

namespace berth {

class ControllerMetrics {
 public:
  explicit ControllerMetrics(Metrics& metrics);  // borrowed
  void Count(const core::Observe& observation);
  // Gauges are read from `backend` at each scrape; it must outlive `metrics`' scrapes.
  void Collect(const model::AdminBackend& backend);

 private:
  Metrics& metrics_;
  HistogramHandle allocation_, push_ack_, failover_;
  CounterFamily failovers_;
};

}  // namespace berth

#endif  // BERTH_CONTROLLER_METRICS_H_
