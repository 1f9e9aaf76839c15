// SPDX-License-Identifier: Apache-2.0
#include "tests/fakes/process_loop.h"

#include <utility>

namespace berth {

void ProcessLoop::Thaw() {
  if (!std::exchange(frozen_, false)) return;
  for (auto& task : std::exchange(waiting_, {})) Post(std::move(task));
  for (const TimerId id : std::exchange(due_, {})) {
    Post([this, id] { Fire(id); });
  }
}

void ProcessLoop::Kill() {
  alive_ = std::make_shared<int>(0);
  for (const auto& [id, timer] : timers_) shared_.Cancel(timer.shared);
  timers_.clear();
  waiting_.clear();
  due_.clear();
  frozen_ = false;
}

void ProcessLoop::Die() {
  Kill();
  dead_ = true;
}

void ProcessLoop::Post(std::function<void()> task) {
  if (dead_) return;
  if (frozen_) {
    waiting_.push_back(std::move(task));
    return;
  }
  shared_.Post([this, alive = std::weak_ptr<int>(alive_), task = std::move(task)]() mutable {
    if (alive.expired()) return;
    if (frozen_) {
      waiting_.push_back(std::move(task));
    } else {
      task();
    }
  });
}

TimerId ProcessLoop::RunAt(absl::Time deadline, std::function<void()> task) {
  const TimerId id = ++last_;
  if (dead_) return id;
  timers_[id] = {shared_.RunAt(deadline, [this, id] { Fire(id); }), std::move(task)};
  return id;
}

void ProcessLoop::Fire(TimerId id) {
  const auto found = timers_.find(id);
  if (found == timers_.end()) return;
  if (frozen_) {
    due_.push_back(id);
    return;
  }
  const std::function<void()> task = std::move(found->second.task);
  timers_.erase(found);
  task();
}

void ProcessLoop::Cancel(TimerId id) {
  const auto found = timers_.find(id);
  if (found == timers_.end()) return;
  shared_.Cancel(found->second.shared);
  timers_.erase(found);
}

}  // namespace berth
