// SPDX-License-Identifier: Apache-2.0
#include "common/obs/metrics.h"

#include <prometheus/counter.h>
#include <prometheus/gauge.h>
#include <prometheus/histogram.h>
#include <prometheus/registry.h>
#include <prometheus/text_serializer.h>

#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <map>

#include "absl/strings/str_cat.h"
#include "common/base/build_info.h"
#include "common/obs/process_metrics.h"

namespace berth {
namespace {

[[noreturn]] void Bug(const std::string& what) {
  std::fputs(absl::StrCat("metrics: ", what, "\n").c_str(), stderr);
  std::abort();
}

prometheus::Labels ToLabels(const LabelNames& names, const LabelValues& values) {
  if (names.size() != values.size()) {
    Bug(absl::StrCat(values.size(), " label values given for ", names.size(), " names"));
  }
  prometheus::Labels labels;
  for (std::size_t i = 0; i < names.size(); ++i) labels.emplace(names[i], values[i]);
  return labels;
}

// The library throws for malformed names only, and those are written in the source.
template <typename Make>
auto& OrBug(const std::string& name, Make make) {
  try {
    return make();
  } catch (const std::exception& e) {
    Bug(absl::StrCat(name, ": ", e.what()));
  }
}

// Gathers what collectors say into families.
class FamilySink final : public MetricSink {
 public:
  void Gauge(absl::string_view name, absl::string_view help, const Labels& labels, double value) override {
    Series(name, help, labels, prometheus::MetricType::Gauge).gauge.value = value;
  }
  void Counter(absl::string_view name, absl::string_view help, const Labels& labels, double value) override {
    Series(name, help, labels, prometheus::MetricType::Counter).counter.value = value;
  }
  void Histogram(absl::string_view name, absl::string_view help, const Labels& labels,
                 const std::vector<Bucket>& buckets, double sum) override {
    auto& histogram = Series(name, help, labels, prometheus::MetricType::Histogram).histogram;
    for (const auto& [edge, count] : buckets) histogram.bucket.push_back({count, edge});
    histogram.sample_count = buckets.empty() ? 0 : buckets.back().second;
    histogram.sample_sum = sum;
  }
  std::vector<prometheus::MetricFamily> Take() {
    std::vector<prometheus::MetricFamily> families;
    families.reserve(families_.size());
    for (auto& [name, family] : families_) families.push_back(std::move(family));
    return families;
  }

 private:
  prometheus::ClientMetric& Series(absl::string_view name, absl::string_view help, const Labels& labels,
                                   prometheus::MetricType type) {
    prometheus::MetricFamily& family = families_[std::string(name)];
    if (family.name.empty()) {
      family.name = std::string(name);
      family.help = std::string(help);
      family.type = type;
    } else if (family.type != type) {
      Bug(absl::StrCat(name, " is collected with two types"));
    }
    prometheus::ClientMetric& series = family.metric.emplace_back();
    for (const auto& [key, text] : labels) series.label.push_back({key, text});
    std::sort(series.label.begin(), series.label.end());
    return series;
  }

  std::map<std::string, prometheus::MetricFamily> families_;
};

}  // namespace

void CounterHandle::Inc(double n) const {
  if (counter_ != nullptr) counter_->Increment(n);
}
void GaugeHandle::Set(double value) const {
  if (gauge_ != nullptr) gauge_->Set(value);
}
void GaugeHandle::Add(double delta) const {
  if (gauge_ != nullptr) gauge_->Increment(delta);
}
void HistogramHandle::Observe(double seconds) const {
  if (histogram_ != nullptr) histogram_->Observe(seconds);
}

CounterHandle CounterFamily::With(const LabelValues& values) const {
  return family_ == nullptr ? CounterHandle() : CounterHandle(&family_->Add(ToLabels(names_, values)));
}
GaugeHandle GaugeFamily::With(const LabelValues& values) const {
  return family_ == nullptr ? GaugeHandle() : GaugeHandle(&family_->Add(ToLabels(names_, values)));
}
HistogramHandle HistogramFamily::With(const LabelValues& values) const {
  if (family_ == nullptr) return HistogramHandle();
  return HistogramHandle(&family_->Add(ToLabels(names_, values), buckets_));
}

// Add of labels that exist returns the series there is.
void CounterFamily::Remove(const LabelValues& values) const {
  if (family_ == nullptr) return;
  const prometheus::Labels labels = ToLabels(names_, values);
  if (family_->Has(labels)) family_->Remove(&family_->Add(labels));
}
void GaugeFamily::Remove(const LabelValues& values) const {
  if (family_ == nullptr) return;
  const prometheus::Labels labels = ToLabels(names_, values);
  if (family_->Has(labels)) family_->Remove(&family_->Add(labels));
}
void HistogramFamily::Remove(const LabelValues& values) const {
  if (family_ == nullptr) return;
  const prometheus::Labels labels = ToLabels(names_, values);
  if (family_->Has(labels)) family_->Remove(&family_->Add(labels, buckets_));
}

std::vector<double> FastBuckets() {
  return {1e-5, 2.5e-5, 5e-5, 1e-4, 2.5e-4, 5e-4, 1e-3, 2.5e-3, 5e-3, 1e-2, 2.5e-2, 5e-2, 0.1, 0.25, 1, 10};
}
std::vector<double> SlowBuckets() {
  return {1e-3, 2.5e-3, 5e-3, 1e-2, 2.5e-2, 5e-2, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60};
}

struct Metrics::Impl {
  prometheus::Registry registry;
  std::vector<std::function<void(MetricSink&)>> collectors;
};

Metrics::Metrics() : impl_(std::make_unique<Impl>()) {
  AddCollector([](MetricSink& out) {
    out.Gauge("berth_build_info", "What this binary was built from; always 1",
              {{"version", std::string(BuildVersion())}, {"commit", std::string(BuildCommit())}}, 1);
  });
  AddCollector(CollectProcessMetrics);
}
Metrics::~Metrics() = default;

CounterFamily Metrics::Counters(const std::string& name, const std::string& help, LabelNames labels) {
  CounterFamily family;
  family.family_ = &OrBug(
      name, [&]() -> auto& { return prometheus::BuildCounter().Name(name).Help(help).Register(impl_->registry); });
  family.names_ = std::move(labels);
  return family;
}

GaugeFamily Metrics::Gauges(const std::string& name, const std::string& help, LabelNames labels) {
  GaugeFamily family;
  family.family_ =
      &OrBug(name, [&]() -> auto& { return prometheus::BuildGauge().Name(name).Help(help).Register(impl_->registry); });
  family.names_ = std::move(labels);
  return family;
}

HistogramFamily Metrics::Histograms(const std::string& name, const std::string& help, LabelNames labels,
                                    std::vector<double> buckets) {
  HistogramFamily family;
  family.family_ = &OrBug(
      name, [&]() -> auto& { return prometheus::BuildHistogram().Name(name).Help(help).Register(impl_->registry); });
  family.names_ = std::move(labels);
  family.buckets_ = std::move(buckets);
  return family;
}

CounterHandle Metrics::Counter(const std::string& name, const std::string& help) {
  return Counters(name, help, {}).With({});
}
GaugeHandle Metrics::Gauge(const std::string& name, const std::string& help) { return Gauges(name, help, {}).With({}); }
HistogramHandle Metrics::Histogram(const std::string& name, const std::string& help, std::vector<double> buckets) {
  return Histograms(name, help, {}, std::move(buckets)).With({});
}

void Metrics::AddCollector(std::function<void(MetricSink&)> collect) {
  impl_->collectors.push_back(std::move(collect));
}

std::string Metrics::Scrape() const {
  FamilySink sink;
  for (const auto& collect : impl_->collectors) collect(sink);
  std::vector<prometheus::MetricFamily> families = sink.Take();
  for (prometheus::MetricFamily& family : impl_->registry.Collect()) families.push_back(std::move(family));
  std::sort(families.begin(), families.end(), [](const auto& a, const auto& b) { return a.name < b.name; });
  for (prometheus::MetricFamily& family : families) {
    std::sort(family.metric.begin(), family.metric.end(),
              [](const auto& a, const auto& b) { return a.label < b.label; });
  }
  return prometheus::TextSerializer().Serialize(families);
}

}  // namespace berth
