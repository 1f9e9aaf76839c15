// SPDX-License-Identifier: Apache-2.0
// controller/kube/client/rate_limit.h -- which requests may leave, and when: a token bucket before a queue for
// each urgency. Pure.
//
//   RateLimit limit({.qps = 200, .burst = 400}, now);
//   limit.Push(id, Urgency::kWrite, not_after);
//   RateLimit::Turn turn = limit.Take(now, {.all = 16});
//   for (RequestId id : turn.leave) Send(id);      // and look again at turn.next, or when there is something new
#ifndef BERTH_CONTROLLER_KUBE_CLIENT_RATE_LIMIT_H_
#define BERTH_CONTROLLER_KUBE_CLIENT_RATE_LIMIT_H_

#include <array>
#include <cstddef>
#include <cstdint>
#include <deque>
#include <set>
#include <unordered_map>
#include <utility>
#include <vector>

#include "absl/time/time.h"
#include "controller/kube/client/api_client.h"

namespace berth::kube {

class RateLimit {
 public:
  struct Options {
    double qps = 1000;    // requests a second, in the long run; > 0
    double burst = 2000;  // as many at once after a quiet time; >= 1
  };
  RateLimit(Options options, absl::Time now) : options_(options), tokens_(options.burst), filled_(now) {}

  // `id` is new. `not_after`: it must not leave any later.
  void Push(RequestId id, Urgency urgency, absl::Time not_after);
  // False when it does not wait here (any more).
  bool Remove(RequestId id);
  // Nothing leaves before `until`, the latest of several, but the lease's requests: who leads must not depend on how
  // busy the server is with all the rest. They wait when `told`, the urgency of the request that was told to wait, is
  // theirs.
  void PauseUntil(absl::Time until, Urgency told);

  struct Turn {
    std::vector<RequestId> leave;              // by urgency, then in the order pushed
    std::vector<RequestId> late;               // their time is over; they have left the queue, and must not be sent
    absl::Time next = absl::InfiniteFuture();  // when Take may have more to say, with the same room
  };
  // How many may leave at a time. Writes may hang, each for seconds (an admission webhook that does not answer):
  // whatever they leave of `all` goes to what comes after them. Want of room holds up nobody behind; the lease's always
  // find some.
  struct Room {
    std::size_t all = SIZE_MAX;
    std::size_t changes = SIZE_MAX;  // kAssign and kWrite together
    std::size_t assigns = SIZE_MAX, writes = SIZE_MAX;
  };
  // `now` never goes back.
  Turn Take(absl::Time now, Room room);

  std::size_t waiting() const { return waiting_.size(); }

 private:
  struct Waiting {
    Urgency urgency;
    absl::Time not_after;
  };
  void Fill(absl::Time now);

  const Options options_;
  double tokens_;
  absl::Time filled_;
  absl::Time paused_until_ = absl::InfinitePast(), lease_paused_until_ = absl::InfinitePast();
  std::unordered_map<RequestId, Waiting> waiting_;
  std::array<std::deque<RequestId>, kUrgencies> queues_;  // those removed are skipped as their turn comes
  std::set<std::pair<absl::Time, RequestId>> deadlines_;
};

}  // namespace berth::kube

#endif  // BERTH_CONTROLLER_KUBE_CLIENT_RATE_LIMIT_H_
