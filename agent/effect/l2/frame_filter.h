// SPDX-License-Identifier: Apache-2.0
// agent/effect/l2/frame_filter.h -- which frames the kernel need not hand over, as a program for its packet filter.
// Pure.
//
//   FrameFilter filter = FilterFor(table.interfaces[index]);
//   if (filter != in_force) handle.Attach(CompileFilter(filter));
//
// A LAN's requests reach every host on it, and few are for us: dropping the rest in the kernel wakes nobody and leaves
// the capture's buffer to what matters. A filter may let through too much, the responder judges everything, but never
// too little. It holds ranges, since a program is at most 4,096 instructions and thousands of addresses may be
// announced: exact as long as they lie in at most kMaxRanges runs, else the smallest gaps between runs are let through
// too. Of an IPv6 address it looks at the last 32 bits only: a pool's addresses share the others, and hardly anybody
// else's are alike.
#ifndef BERTH_AGENT_EFFECT_L2_FRAME_FILTER_H_
#define BERTH_AGENT_EFFECT_L2_FRAME_FILTER_H_

#include <linux/filter.h>

#include <cstddef>
#include <cstdint>
#include <vector>

#include "absl/container/flat_hash_set.h"
#include "agent/effect/l2/frame_port.h"
#include "common/net/ip_addr.h"

namespace berth::agent {

// Addresses of one family whose last 32 bits, in host order, are `first` to `last`, both included.
struct AddressSpan {
  std::uint32_t first = 0, last = 0;
  friend bool operator==(const AddressSpan&, const AddressSpan&) = default;
};

// Untagged ARP frames that ask for (target) an address of `targets`, or that come from (sender) one of `senders`;
// neighbour solicitations that do so by the other two, and advertisements whose target is in `senders6`. All of them
// ascend, are disjoint and hold at most kMaxRanges spans. Default: lets nothing through.
struct FrameFilter {
  static constexpr std::size_t kMaxRanges = 60;  // conditional jumps reach 255 instructions, see CompileFilter

  std::vector<AddressSpan> targets{}, senders{};    // IPv4
  std::vector<AddressSpan> targets6{}, senders6{};  // IPv6
  friend bool operator==(const FrameFilter&, const FrameFilter&) = default;
};

// The smallest cover of the addresses of `family` in `addresses` by at most `max_spans` (1 or more) spans.
std::vector<AddressSpan> CoverOf(Family family, const absl::flat_hash_set<IpAddr>& addresses, std::size_t max_spans);

// Lets through all that Respond answers or reports by this table.
FrameFilter FilterFor(const InterfaceTable& table);
// Lets all ARP and neighbour discovery through.
FrameFilter WidestFilter();

// A program for SO_ATTACH_FILTER on a packet socket that sees Ethernet headers. It takes a number of steps that grows
// with the logarithm of the spans.
std::vector<sock_filter> CompileFilter(const FrameFilter& filter);

}  // namespace berth::agent

#endif  // BERTH_AGENT_EFFECT_L2_FRAME_FILTER_H_
