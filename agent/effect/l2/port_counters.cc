// SPDX-License-Identifier: Apache-2.0
#include "agent/effect/l2/port_counters.h"

#include <algorithm>
#include <limits>

namespace berth::agent {
namespace {

std::uint64_t Get(const PortCounters::Counter& counter) { return counter.load(std::memory_order_relaxed); }

}  // namespace

void PortCounters::Answers::ObserveReply(absl::Duration took) {
  const std::int64_t nanos = std::max<std::int64_t>(0, absl::ToInt64Nanoseconds(took));
  std::size_t bucket = 0;
  while (bucket < kBoundsMicros.size() && nanos > kBoundsMicros[bucket] * 1000) ++bucket;
  buckets_[bucket].fetch_add(1, std::memory_order_relaxed);
  sum_nanos_.fetch_add(static_cast<std::uint64_t>(nanos), std::memory_order_relaxed);
}

AnswerStats PortCounters::Answers::Read() const {
  AnswerStats stats;
  stats.requests = Get(requests);
  stats.replies = Get(replies);
  stats.limited = Get(limited);
  std::uint64_t total = 0;
  for (std::size_t i = 0; i < buckets_.size(); ++i) {
    total += Get(buckets_[i]);
    const double bound = i < kBoundsMicros.size() ? static_cast<double>(kBoundsMicros[i]) / 1e6
                                                  : std::numeric_limits<double>::infinity();
    stats.reply_seconds.emplace_back(bound, total);
  }
  stats.reply_seconds_sum = static_cast<double>(Get(sum_nanos_)) / 1e9;
  return stats;
}

PortStats PortCounters::Read(const std::string& interface) const {
  PortStats stats;
  stats.interface = interface;
  stats.arp = arp.Read();
  stats.ndp = ndp.Read();
  stats.gratuitous = Get(gratuitous);
  stats.malformed = Get(malformed);
  stats.stale = Get(stale);
  stats.dropped = Get(dropped);
  stats.send_errors = Get(send_errors);
  return stats;
}

}  // namespace berth::agent
