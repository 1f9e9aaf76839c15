// SPDX-License-Identifier: Apache-2.0
// agent/effect/l2/sighting_inbox.h -- carries sightings and errors from the port's thread to the loop, at a bounded
// rate.
//
// Whoever is on the LAN can send rival claims as fast as the wire takes them. So equal ones are merged until they are
// delivered, at most kMaxPending wait (more are dropped), at most one delivery is under way, and two deliveries are
// kMinInterval apart: the loop spends a bounded share of its time on them, and the first one of a series is never
// delayed.
#ifndef BERTH_AGENT_EFFECT_L2_SIGHTING_INBOX_H_
#define BERTH_AGENT_EFFECT_L2_SIGHTING_INBOX_H_

#include <cstddef>
#include <memory>
#include <mutex>
#include <tuple>
#include <vector>

#include "absl/container/flat_hash_map.h"
#include "absl/status/status.h"
#include "absl/time/time.h"
#include "agent/effect/l2/frame_port.h"
#include "common/base/event_loop.h"

namespace berth::agent {

// Held by shared_ptr: a delivery that was posted keeps it alive, and finds nobody to call after Detach.
class SightingInbox : public std::enable_shared_from_this<SightingInbox> {
 public:
  static constexpr std::size_t kMaxPending = 1024;
  static constexpr absl::Duration kMinInterval = absl::Milliseconds(2);

  SightingInbox(EventLoop& loop, FramePort::Observer& observer) : loop_(loop), observer_(&observer) {}

  // Port thread. Merges with a waiting sighting of the same interface, address and MAC; a gratuitous one wins.
  void Add(const Sighting& sighting);
  // Port thread, after each batch. Returns how long until it must be called again, infinite when nothing waits.
  absl::Duration Flush(absl::Time now);
  // Any thread.
  void PostError(int ifindex, const absl::Status& status);
  void PostOpen(int ifindex);
  // Loop thread: the observer hears nothing any more.
  void Detach() { observer_ = nullptr; }

 private:
  using Key = std::tuple<int, IpAddr, MacAddr>;
  void Deliver();

  EventLoop& loop_;
  FramePort::Observer* observer_;                    // loop thread
  absl::Time next_delivery_ = absl::InfinitePast();  // port thread

  std::mutex mutex_;  // guards what follows
  std::vector<Sighting> pending_;
  absl::flat_hash_map<Key, std::size_t> positions_;  // in pending_
  bool posted_ = false;
};

}  // namespace berth::agent

#endif  // BERTH_AGENT_EFFECT_L2_SIGHTING_INBOX_H_
