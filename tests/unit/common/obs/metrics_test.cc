// SPDX-License-Identifier: Apache-2.0
#include "common/obs/metrics.h"

#include <algorithm>
#include <catch2/catch.hpp>
#include <functional>
#include <limits>
#include <string>
#include <thread>
#include <vector>

#include "common/obs/process_metrics.h"

namespace berth {
namespace {

using Catch::Contains;

TEST_CASE("counters, gauges and histograms appear in the scrape with their labels", "[unit]") {
  Metrics metrics;
  const CounterFamily replies = metrics.Counters("berth_replies_total", "Replies sent", {"interface"});
  replies.With({"eth0"}).Inc();
  replies.With({"eth0"}).Inc(2);
  replies.With({"eth\"1\n"}).Inc();
  metrics.Gauge("berth_term", "Term").Set(7);
  const HistogramHandle seconds = metrics.Histogram("berth_ack_seconds", "Acks", {0.5, 1});
  seconds.Observe(absl::Milliseconds(500));
  seconds.Observe(3);
  const std::string text = metrics.Scrape();
  CHECK_THAT(text, Contains("# HELP berth_replies_total Replies sent\n# TYPE berth_replies_total counter\n"
                            "berth_replies_total{interface=\"eth\\\"1\\n\"} 1\n"
                            "berth_replies_total{interface=\"eth0\"} 3\n"));
  CHECK_THAT(text, Contains("# TYPE berth_term gauge\nberth_term 7\n"));
  CHECK_THAT(text, Contains("berth_ack_seconds_count 2\nberth_ack_seconds_sum 3.5\n"
                            "berth_ack_seconds_bucket{le=\"0.5\"} 1\nberth_ack_seconds_bucket{le=\"1\"} 1\n"
                            "berth_ack_seconds_bucket{le=\"+Inf\"} 2\n"));
}

TEST_CASE("a removed series is gone and starts anew", "[unit]") {
  Metrics metrics;
  const GaugeFamily up = metrics.Gauges("berth_agent_up", "Up", {"node"});
  up.With({"a"}).Set(1);
  up.With({"b"}).Set(1);
  up.Remove({"a"});
  up.Remove({"never"});
  CHECK_THAT(metrics.Scrape(), !Contains("node=\"a\"") && !Contains("never") && Contains("node=\"b\""));
  up.With({"a"}).Add(2);
  CHECK_THAT(metrics.Scrape(), Contains("berth_agent_up{node=\"a\"} 2\n"));

  const HistogramFamily seconds = metrics.Histograms("berth_s", "S", {"x"}, SlowBuckets());
  seconds.With({"1"}).Observe(1);
  seconds.Remove({"1"});
  const CounterFamily counter = metrics.Counters("berth_c_total", "C", {"x"});
  counter.With({"2"}).Inc();
  counter.Remove({"2"});
  CHECK_THAT(metrics.Scrape(), !Contains("x=\""));
}

TEST_CASE("collectors speak at each scrape and may set handles", "[unit]") {
  Metrics metrics;
  const GaugeHandle handle = metrics.Gauge("berth_handle", "H");
  int scrapes = 0;
  metrics.AddCollector([&](MetricSink& out) {
    ++scrapes;
    handle.Set(scrapes);
    if (scrapes == 1) out.Gauge("berth_services", "Services", {{"state", "pending"}, {"a", "x"}}, 3);
    out.Counter("berth_seen_total", "Seen", {}, 10 * scrapes);
  });
  CHECK_THAT(metrics.Scrape(),
             Contains("berth_services{a=\"x\",state=\"pending\"} 3\n") && Contains("berth_handle 1\n"));
  CHECK_THAT(metrics.Scrape(), !Contains("berth_services") && Contains("berth_handle 2\n") &&
                                   Contains("# TYPE berth_seen_total counter\nberth_seen_total 20\n"));
}

TEST_CASE("a collector may give a whole histogram", "[unit]") {
  Metrics metrics;
  metrics.AddCollector([](MetricSink& out) {
    out.Histogram("berth_x_seconds", "X", {{"i", "eth0"}}, {{0.5, 1}, {std::numeric_limits<double>::infinity(), 4}}, 9);
  });
  CHECK_THAT(metrics.Scrape(), Contains("# TYPE berth_x_seconds histogram\n"
                                        "berth_x_seconds_count{i=\"eth0\"} 4\nberth_x_seconds_sum{i=\"eth0\"} 9\n"
                                        "berth_x_seconds_bucket{i=\"eth0\",le=\"0.5\"} 1\n"
                                        "berth_x_seconds_bucket{i=\"eth0\",le=\"+Inf\"} 4\n"));
}

TEST_CASE("families come in the order of their names, so two scrapes compare", "[unit]") {
  Metrics metrics;
  metrics.Counter("berth_zz_total", "Z");
  metrics.Gauge("berth_aa", "A");
  const GaugeFamily nodes = metrics.Gauges("berth_nodes", "N", {"node"});
  for (const char* node : {"c", "a", "d", "b"}) nodes.With({node});
  const std::string text = metrics.Scrape();
  std::vector<std::size_t> places;
  for (const char* part : {"berth_aa 0", "berth_build_info{", "node=\"a\"", "node=\"b\"", "node=\"c\"", "node=\"d\"",
                           "berth_zz_total 0", "process_"}) {
    CAPTURE(part);
    places.push_back(text.find(part));
    CHECK(places.back() != std::string::npos);
  }
  CHECK(std::is_sorted(places.begin(), places.end()));
}

TEST_CASE("every process tells its build and its use of the machine", "[unit]") {
  const std::string text = Metrics().Scrape();
  CHECK_THAT(text, Contains("berth_build_info{commit=\"") && Contains("version=\"") && Contains("\"} 1\n"));
  for (const char* name : {"process_resident_memory_bytes", "process_virtual_memory_bytes", "process_open_fds",
                           "process_max_fds", "process_start_time_seconds", "process_cpu_seconds_total"}) {
    CAPTURE(name);
    CHECK_THAT(text, Contains(std::string("\n") + name + " "));
    CHECK_THAT(text, !Contains(std::string("\n") + name + " 0\n") || Contains("process_cpu_seconds_total 0"));
  }
}

TEST_CASE("proc's stat line is read behind any command name", "[unit]") {
  const auto stat =
      ParseProcStat("42 (a) b ) c) S 1 42 42 0 -1 4194304 100 0 0 0 250 50 0 0 20 0 3 0 12345 8192000 300 184467 1 1");
  REQUIRE(stat);
  CHECK(stat->cpu_ticks == 300);
  CHECK(stat->start_ticks == 12345);
  CHECK(stat->virtual_bytes == 8192000);
  CHECK(stat->resident_pages == 300);
  CHECK_FALSE(ParseProcStat(""));
  CHECK_FALSE(ParseProcStat("42 (a) S 1 2 3"));
  CHECK_FALSE(ParseProcStat("42 (a) S 1 42 42 0 -1 4194304 100 0 0 0 x 50 0 0 20 0 3 0 12345 8192000 300"));
}

TEST_CASE("handles made by nobody count nothing", "[unit]") {
  CounterHandle().Inc();
  GaugeHandle().Set(1);
  HistogramHandle().Observe(1);
  CounterFamily().With({"a"}).Inc();
  GaugeFamily().Remove({"a"});
  HistogramFamily().With({"a"}).Observe(1);
  SUCCEED();
}

TEST_CASE("counts of many threads add up while others scrape", "[unit]") {
  Metrics metrics;
  const CounterFamily family = metrics.Counters("berth_n_total", "N", {"x"});
  std::vector<std::thread> threads;
  for (int t = 0; t < 3; ++t) {
    threads.emplace_back([&] {
      for (int i = 0; i < 1000; ++i) family.With({"1"}).Inc();
    });
  }
  for (int i = 0; i < 20; ++i) metrics.Scrape();
  for (std::thread& thread : threads) thread.join();
  CHECK_THAT(metrics.Scrape(), Contains("berth_n_total{x=\"1\"} 3000\n"));
}

TEST_CASE("latency buckets rise strictly", "[unit]") {
  for (const std::vector<double>& buckets : {FastBuckets(), SlowBuckets()}) {
    CHECK(std::adjacent_find(buckets.begin(), buckets.end(), std::greater_equal<>()) == buckets.end());
  }
}

}  // namespace
}  // namespace berth
