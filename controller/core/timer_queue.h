// SPDX-License-Identifier: Apache-2.0
// controller/core/timer_queue.h -- the core's own deadlines, so that it needs no clock: the caller brings the time.
#ifndef BERTH_CONTROLLER_CORE_TIMER_QUEUE_H_
#define BERTH_CONTROLLER_CORE_TIMER_QUEUE_H_

#include <cstdint>
#include <functional>
#include <map>
#include <utility>

#include "absl/time/time.h"

namespace berth::core {

// Deadlines run in order of time, then of making. Not thread-safe. A task may add and cancel.
class TimerQueue {
 public:
  using Id = std::uint64_t;  // 0 is never a timer

  Id At(absl::Time deadline, std::function<void()> task) {
    const Id id = ++last_;
    deadlines_.emplace(id, deadline);
    queue_.emplace(std::make_pair(deadline, id), std::move(task));
    return id;
  }
  void Cancel(Id id) {
    auto it = deadlines_.find(id);
    if (it == deadlines_.end()) return;
    queue_.erase({it->second, id});
    deadlines_.erase(it);
  }
  // Runs everything due at `now`, but nothing that is added meanwhile for a later time.
  void RunDue(absl::Time now) {
    while (!queue_.empty() && queue_.begin()->first.first <= now) {
      auto node = queue_.extract(queue_.begin());
      deadlines_.erase(node.key().second);
      node.mapped()();
    }
  }
  absl::Time Next() const { return queue_.empty() ? absl::InfiniteFuture() : queue_.begin()->first.first; }

 private:
  Id last_ = 0;
  std::map<std::pair<absl::Time, Id>, std::function<void()>> queue_;
  std::map<Id, absl::Time> deadlines_;
};

}  // namespace berth::core

#endif  // BERTH_CONTROLLER_CORE_TIMER_QUEUE_H_
