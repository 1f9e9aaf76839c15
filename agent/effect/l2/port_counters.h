// SPDX-License-Identifier: Apache-2.0
// agent/effect/l2/port_counters.h -- what a PcapFramePort counts for one interface: written by its thread, read by any.
#ifndef BERTH_AGENT_EFFECT_L2_PORT_COUNTERS_H_
#define BERTH_AGENT_EFFECT_L2_PORT_COUNTERS_H_

#include <array>
#include <atomic>
#include <cstdint>
#include <string>

#include "absl/time/time.h"
#include "agent/effect/l2/frame_port.h"

namespace berth::agent {

class PortCounters {
 public:
  using Counter = std::atomic<std::uint64_t>;
  // Of one protocol.
  class Answers {
   public:
    Counter requests{0}, replies{0}, limited{0};
    // Adds one answer that left `took` after its request was captured.
    void ObserveReply(absl::Duration took);
    AnswerStats Read() const;

   private:
    // Upper bounds in microseconds: an answer takes 6 us when all is well, and past 200 ms none is given.
    static constexpr std::array<std::int64_t, 14> kBoundsMicros = {5,    10,   20,   50,    100,   200,    500,
                                                                   1000, 2000, 5000, 10000, 50000, 100000, 200000};
    std::array<Counter, kBoundsMicros.size() + 1> buckets_{};  // not cumulative; the last has no bound
    Counter sum_nanos_{0};
  };

  Answers arp, ndp;
  Counter gratuitous{0}, malformed{0}, stale{0}, dropped{0}, send_errors{0};
  PortStats Read(const std::string& interface) const;
};

}  // namespace berth::agent

#endif  // BERTH_AGENT_EFFECT_L2_PORT_COUNTERS_H_
