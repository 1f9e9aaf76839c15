// SPDX-License-Identifier: Apache-2.0
#include "controller/kube/client/rate_limit.h"

#include <algorithm>

namespace berth::kube {

void RateLimit::Push(RequestId id, Urgency urgency, absl::Time not_after) {
  waiting_.emplace(id, Waiting{urgency, not_after});
  queues_[static_cast<std::size_t>(urgency)].push_back(id);
  if (not_after != absl::InfiniteFuture()) deadlines_.emplace(not_after, id);
}

bool RateLimit::Remove(RequestId id) {
  const auto found = waiting_.find(id);
  if (found == waiting_.end()) return false;
  deadlines_.erase({found->second.not_after, id});
  waiting_.erase(found);
  return true;
}

void RateLimit::PauseUntil(absl::Time until, Urgency told) {
  paused_until_ = std::max(paused_until_, until);
  if (told == Urgency::kLease) lease_paused_until_ = std::max(lease_paused_until_, until);
}

void RateLimit::Fill(absl::Time now) {
  tokens_ = std::min(options_.burst, tokens_ + absl::ToDoubleSeconds(now - filled_) * options_.qps);
  filled_ = now;
}

RateLimit::Turn RateLimit::Take(absl::Time now, Room room) {
  Turn turn;
  Fill(now);
  while (!deadlines_.empty() && deadlines_.begin()->first < now) {
    turn.late.push_back(deadlines_.begin()->second);
    Remove(turn.late.back());
  }
  bool short_of_tokens = false;
  for (std::size_t urgency = 0; urgency < queues_.size() && !short_of_tokens; ++urgency) {
    std::deque<RequestId>& queue = queues_[urgency];
    const bool lease = urgency == static_cast<std::size_t>(Urgency::kLease);
    std::size_t unbounded = SIZE_MAX;
    const bool write = urgency == static_cast<std::size_t>(Urgency::kWrite);
    const bool change = write || urgency == static_cast<std::size_t>(Urgency::kAssign);
    std::size_t& of_kind = write ? room.writes : change ? room.assigns : unbounded;
    std::size_t& of_changes = change ? room.changes : unbounded;
    if (now < (lease ? lease_paused_until_ : paused_until_)) continue;
    while (!queue.empty()) {
      if (!waiting_.contains(queue.front())) {
        queue.pop_front();
        continue;
      }
      if (!lease && std::min({room.all, of_changes, of_kind}) == 0) break;
      short_of_tokens = tokens_ < 1;
      if (short_of_tokens) break;
      tokens_ -= 1;
      for (std::size_t* left : {&room.all, &of_changes, &of_kind}) *left -= std::min<std::size_t>(*left, 1);
      turn.leave.push_back(queue.front());
      Remove(queue.front());
      queue.pop_front();
    }
  }
  if (waiting_.empty()) return turn;
  // One nanosecond after a deadline it has passed.
  if (!deadlines_.empty()) turn.next = deadlines_.begin()->first + absl::Nanoseconds(1);
  for (const absl::Time pause : {lease_paused_until_, paused_until_}) {
    if (now < pause) turn.next = std::min(turn.next, pause);
  }
  // Rounded up, lest the bucket be a hair short of a token then.
  if (short_of_tokens) {
    turn.next = std::min(turn.next, now + absl::Seconds((1 - tokens_) / options_.qps) + absl::Microseconds(1));
  }
  return turn;
}

}  // namespace berth::kube
