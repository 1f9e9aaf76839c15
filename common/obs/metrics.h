// SPDX-License-Identifier: Apache-2.0
// common/obs/metrics.h -- counters, gauges and histograms in the Prometheus text format.
//
//   Metrics metrics;                                                        // one per process, made in main or a test
//   CounterFamily replies = metrics.Counters("berth_agent_arp_replies_total", "ARP replies sent", {"interface"});
//   CounterHandle on_eth0 = replies.With({"eth0"});                          // keep it: With looks up, Inc does not
//   on_eth0.Inc();
//   metrics.AddCollector([&](MetricSink& out) { out.Gauge("berth_term", "Leadership term", {}, term); });
//
// Names: berth_ prefix, base units, _total on counters only. Labels are bounded (pool, node, reason; never an address
// or a Service). A malformed name or one name with two types is a bug: the process aborts, at start.
#ifndef BERTH_COMMON_OBS_METRICS_H_
#define BERTH_COMMON_OBS_METRICS_H_

#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/string_view.h"
#include "absl/time/time.h"

namespace prometheus {
class Counter;
class Gauge;
class Histogram;
template <typename T>
class Family;
}  // namespace prometheus

namespace berth {

using LabelNames = std::vector<std::string>;
using LabelValues = std::vector<std::string>;  // as many as names, in their order

// Handles: copyable pointers, valid while Metrics lives and their series is not removed. A default-made one counts
// nothing, so that code under test needs no Metrics. Any thread; a histogram locks itself for some ten instructions.
class CounterHandle {
 public:
  CounterHandle() = default;
  void Inc(double n = 1) const;  // n >= 0

 private:
  friend class CounterFamily;
  explicit CounterHandle(prometheus::Counter* c) : counter_(c) {}
  prometheus::Counter* counter_ = nullptr;
};

class GaugeHandle {
 public:
  GaugeHandle() = default;
  void Set(double value) const;
  void Add(double delta) const;

 private:
  friend class GaugeFamily;
  explicit GaugeHandle(prometheus::Gauge* g) : gauge_(g) {}
  prometheus::Gauge* gauge_ = nullptr;
};

class HistogramHandle {
 public:
  HistogramHandle() = default;
  void Observe(double seconds) const;
  void Observe(absl::Duration d) const { Observe(absl::ToDoubleSeconds(d)); }

 private:
  friend class HistogramFamily;
  explicit HistogramHandle(prometheus::Histogram* h) : histogram_(h) {}
  prometheus::Histogram* histogram_ = nullptr;
};

// Families: one metric name with its labels. Copyable; With and Remove from any thread (they lock). With makes the
// series at first use, at 0. After Remove no handle of that series may be used.
class CounterFamily {
 public:
  CounterFamily() = default;
  CounterHandle With(const LabelValues& values) const;
  void Remove(const LabelValues& values) const;

 private:
  friend class Metrics;
  prometheus::Family<prometheus::Counter>* family_ = nullptr;
  LabelNames names_;
};

class GaugeFamily {
 public:
  GaugeFamily() = default;
  GaugeHandle With(const LabelValues& values) const;
  void Remove(const LabelValues& values) const;

 private:
  friend class Metrics;
  prometheus::Family<prometheus::Gauge>* family_ = nullptr;
  LabelNames names_;
};

class HistogramFamily {
 public:
  HistogramFamily() = default;
  HistogramHandle With(const LabelValues& values) const;
  void Remove(const LabelValues& values) const;

 private:
  friend class Metrics;
  prometheus::Family<prometheus::Histogram>* family_ = nullptr;
  LabelNames names_;
  std::vector<double> buckets_;
};

// Where a collector puts values that exist already elsewhere; series not named in this scrape are gone from it.
class MetricSink {
 public:
  using Labels = std::vector<std::pair<std::string, std::string>>;
  virtual ~MetricSink() = default;
  virtual void Gauge(absl::string_view name, absl::string_view help, const Labels& labels, double value) = 0;
  virtual void Counter(absl::string_view name, absl::string_view help, const Labels& labels, double value) = 0;
  // One bucket: its upper edge in seconds, and the observations up to it.
  using Bucket = std::pair<double, std::uint64_t>;
  // `buckets` ascend by edge, counts are cumulative, the last edge is infinity.
  virtual void Histogram(absl::string_view name, absl::string_view help, const Labels& labels,
                         const std::vector<Bucket>& buckets, double sum) = 0;
};

// Upper edges in seconds from 10 us to 10 s, for latencies of frames; and from 1 ms to 60 s, for all else.
std::vector<double> FastBuckets();
std::vector<double> SlowBuckets();

class Metrics {
 public:
  // Holds berth_build_info and the process metrics (resident and virtual memory, CPU seconds, descriptors, start time).
  Metrics();
  ~Metrics();
  Metrics(const Metrics&) = delete;
  Metrics& operator=(const Metrics&) = delete;

  // The same name and labels again give the same family. Any thread.
  CounterFamily Counters(const std::string& name, const std::string& help, LabelNames labels);
  GaugeFamily Gauges(const std::string& name, const std::string& help, LabelNames labels);
  HistogramFamily Histograms(const std::string& name, const std::string& help, LabelNames labels,
                             std::vector<double> buckets);
  // The same without labels: the one series, made at once.
  CounterHandle Counter(const std::string& name, const std::string& help);
  GaugeHandle Gauge(const std::string& name, const std::string& help);
  HistogramHandle Histogram(const std::string& name, const std::string& help, std::vector<double> buckets);

  // `collect` runs at each Scrape, on the scraping thread, before the stored values are read (so it may set handles
  // too).
  void AddCollector(std::function<void(MetricSink&)> collect);
  // Text format 0.0.4, families by name, series by labels. Scrape and AddCollector: one thread (the loop's).
  std::string Scrape() const;

 private:
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

}  // namespace berth

#endif  // BERTH_COMMON_OBS_METRICS_H_
