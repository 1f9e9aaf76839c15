// SPDX-License-Identifier: Apache-2.0
#include "agent/effect/l2/port_counters.h"

#include <algorithm>
#include <limits>

namespace berth::agent {

void PortCounters::ObserveReply(absl::Duration took) {
  const std::int64_t nanos = std::max<std::int64_t>(0, absl::ToInt64Nanoseconds(took));
  std::size_t bucket = 0;
  while (bucket < kBoundsMicros.size() && nanos > kBoundsMicros[bucket] * 1000) ++bucket;
  buckets_[bucket].fetch_add(1, std::memory_order_relaxed);
  sum_nanos_.fetch_add(static_cast<std::uint64_t>(nanos), std::memory_order_relaxed);
}

PortStats PortCounters::Read(const std::string& interface) const {
  const auto get = [](const Counter& c) { return c.load(std::memory_order_relaxed); };
  PortStats stats;
  stats.interface = interface;
  stats.requests = get(requests);
  stats.replies = get(replies);
  stats.gratuitous = get(gratuitous);
  stats.malformed = get(malformed);
  stats.stale = get(stale);
  stats.dropped = get(dropped);
  stats.send_errors = get(send_errors);
  std::uint64_t total = 0;
  for (std::size_t i = 0; i < buckets_.size(); ++i) {
    total += get(buckets_[i]);
    const double bound = i < kBoundsMicros.size() ? static_cast<double>(kBoundsMicros[i]) / 1e6
                                                  : std::numeric_limits<double>::infinity();
    stats.reply_seconds.emplace_back(bound, total);
  }
  stats.reply_seconds_sum = static_cast<double>(get(sum_nanos_)) / 1e9;
  return stats;
}

}  // namespace berth::agent
