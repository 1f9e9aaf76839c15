// SPDX-License-Identifier: Apache-2.0
// agent/core/announcer.h -- when the gratuitous frames of each address are due. Pure; knows no frame.
//
// Many addresses gained at once are paced, so that neither the loop nor the LAN is held up; the first frames of all
// come before the repeats of any, since they are what moves the traffic.
#ifndef BERTH_AGENT_CORE_ANNOUNCER_H_
#define BERTH_AGENT_CORE_ANNOUNCER_H_

#include <cstddef>
#include <deque>
#include <set>
#include <utility>
#include <vector>

#include "absl/container/flat_hash_map.h"
#include "absl/time/time.h"
#include "agent/core/pace.h"
#include "common/net/ip_addr.h"

namespace berth::agent {

class Announcer {
 public:
  static constexpr std::size_t kAddressesPerSlice = 200;  // 400 frames in 10 ms; each costs some 2 us to send

  struct Due {
    IpAddr address;
    bool first = false;  // of this Gain
  };

  // Begins (or begins anew) with `address`: kGratuitousOffsets counted from its first frame, or kRenewedOffsets.
  void Gain(const IpAddr& address);
  // One more, at once and out of turn; the address keeps its schedule (RFC 5227's defence).
  void Again(const IpAddr& address);
  // Nothing more for `address`. That it was gained lately is remembered.
  void Cancel(const IpAddr& address);
  void Clear();

  // What is to be sent now, in order; call again at Next().
  std::vector<Due> Take(absl::Time now);
  absl::Time Next(absl::Time now) const;  // InfiniteFuture when nothing is due ever
  bool Pending(const IpAddr& address) const { return schedules_.contains(address); }
  bool firsts_pending() const { return pending_firsts_ > 0; }

 private:
  struct Schedule {
    absl::Time gained;     // when the first was taken
    bool renewed = false;  // which offsets count
    std::size_t next = 0;  // index into them; 0 while it waits in firsts_
    absl::Time at;         // its place in repeats_, when next > 0
  };
  bool Renewed(const IpAddr& address, absl::Time now);
  void Forget(absl::Time now);
  void Unschedule(const IpAddr& address);

  absl::flat_hash_map<IpAddr, Schedule> schedules_;
  std::deque<IpAddr> firsts_;  // may hold addresses cancelled meanwhile, whose schedule is gone or past its first
  std::size_t pending_firsts_ = 0;
  std::deque<IpAddr> again_;
  std::set<std::pair<absl::Time, IpAddr>> repeats_;
  absl::flat_hash_map<IpAddr, absl::Time> lately_;           // when its last series began, cancelled or not
  std::deque<std::pair<absl::Time, IpAddr>> lately_by_age_;  // may hold times that are not the last
  Pace pace_{kAddressesPerSlice};
};

}  // namespace berth::agent

#endif  // BERTH_AGENT_CORE_ANNOUNCER_H_
