// SPDX-License-Identifier: Apache-2.0
// agent/effect/l2/gratuitous_schedule.h -- when to repeat the gratuitous frames of an address just gained.
//
//   for (absl::Duration offset : kGratuitousOffsets) loop.RunAt(gained_at + offset, announce);
//
// The first goes out at once: most clients turn to us on hearing it. The second is for Linux clients whose neighbour
// entry changed less than a second before (they lock it for 1 s and ignore reply forms meanwhile), hence a little over
// 1 s. The rest is for what loses frames: a switch port that has just come up and is not forwarding yet, a busy link.
// All is over within 10 s: a steady cluster sends none.
#ifndef BERTH_AGENT_EFFECT_L2_GRATUITOUS_SCHEDULE_H_
#define BERTH_AGENT_EFFECT_L2_GRATUITOUS_SCHEDULE_H_

#include <array>

#include "absl/time/time.h"

namespace berth::agent {

// Since the address was gained; ascending.
inline constexpr std::array<absl::Duration, 5> kGratuitousOffsets = {
    absl::ZeroDuration(), absl::Milliseconds(1100), absl::Milliseconds(2500), absl::Seconds(5), absl::Seconds(9)};

// Of an address that is gained anew before those are over, whatever happened meanwhile: nodes that change their minds
// are not to flood the LAN.
inline constexpr std::array<absl::Duration, 3> kRenewedOffsets = {absl::ZeroDuration(), absl::Milliseconds(1100),
                                                                  absl::Seconds(5)};
inline constexpr absl::Duration kRenewedWithin = absl::Seconds(10);

}  // namespace berth::agent

#endif  // BERTH_AGENT_EFFECT_L2_GRATUITOUS_SCHEDULE_H_
