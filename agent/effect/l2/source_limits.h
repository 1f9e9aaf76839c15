// SPDX-License-Identifier: Apache-2.0
// agent/effect/l2/source_limits.h -- how many answers each host on a LAN may have. Pure.
//
//   if (!limits.Admit(ReadMac(frame.data() + 6), now_ns)) return;  // the host asks too often: no answer
//
// An answer costs ten times what it costs to look at a request and leave it. So one host that asks as fast as its wire
// carries, by mistake or by intent, shall have no more of them than any host has use for, and the others theirs.
//
// A host is its MAC. MACs can be forged, so memory is fixed, and what is kept cannot be turned against others: hosts
// never share an account. Each has its place in a set of four by its MAC; where a fifth comes, the account that owes
// least is forgotten, which favours its owner. Only hosts that ask thousands of times a second owe anything for long.
// Whoever asks in the name of ever new MACs is not limited by this, only by what the one thread can answer.
#ifndef BERTH_AGENT_EFFECT_L2_SOURCE_LIMITS_H_
#define BERTH_AGENT_EFFECT_L2_SOURCE_LIMITS_H_

#include <array>
#include <cstddef>
#include <cstdint>

#include "common/net/mac_addr.h"

namespace berth::agent {

// 16 KiB; no allocation, a constant number of steps. One thread at a time.
class SourceLimits {
 public:
  // A router that boots may ask for each of 10,000 next hops at once, twice, and then for each of them every other
  // second. A host asks for each of its peers once a second at most (RFC 1122 section 2.3.2.1, RFC 4861 section 10).
  static constexpr std::int64_t kPerSecond = 5'000;  // answers
  static constexpr std::int64_t kBurst = 20'000;     // after a pause of kBurst / kPerSecond seconds
  static constexpr std::size_t kSets = 256, kWays = 4;

  // Whether `source` may have one more answer; counts it if so. `now_ns`: nanoseconds of any clock, the same one at
  // each call. If that is set back, hosts are taken for new ones.
  bool Admit(const MacAddr& source, std::int64_t now_ns);

 private:
  struct Account {
    std::uint64_t source = 0;     // the MAC as a number; 0: none
    std::int64_t paid_up_ns = 0;  // when it will owe nothing, if it asks no more
  };
  struct alignas(64) Set {  // a cache line
    std::array<Account, kWays> accounts;
  };
  Account& AccountOf(std::uint64_t source);

  std::array<Set, kSets> sets_{};
};

}  // namespace berth::agent

#endif  // BERTH_AGENT_EFFECT_L2_SOURCE_LIMITS_H_
