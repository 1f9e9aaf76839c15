// SPDX-License-Identifier: Apache-2.0
#include "tests/fakes/manual_event_loop.h"

#include <cstdio>
#include <cstdlib>

namespace berth {
namespace {

constexpr std::size_t kMaxTasksAtOneMoment = 1'000'000;

[[noreturn]] void AbortRunaway() {
  std::fputs("ManualEventLoop: a million tasks ran without time moving: something posts or re-arms itself for ever\n",
             stderr);
  std::abort();
}

}  // namespace

ManualEventLoop::ManualEventLoop(absl::Time start, absl::Time wall_start)
    : now_(start), wall_offset_(wall_start - start) {}

void ManualEventLoop::Post(std::function<void()> task) {
  std::lock_guard lock(mutex_);
  posted_.push_back(std::move(task));
}

TimerId ManualEventLoop::RunAt(absl::Time deadline, std::function<void()> task) {
  const TimerId id = next_timer_++;
  timers_.emplace(std::pair(deadline, id), std::move(task));
  deadlines_.emplace(id, deadline);
  return id;
}

void ManualEventLoop::Cancel(TimerId id) {
  const auto found = deadlines_.find(id);
  if (found == deadlines_.end()) return;
  timers_.erase(std::pair(found->second, id));
  deadlines_.erase(found);
}

absl::Status ManualEventLoop::WatchFd(int, std::uint32_t, std::function<void(std::uint32_t)>) {
  return absl::UnimplementedError("the manual event loop watches no descriptors");
}

void ManualEventLoop::UnwatchFd(int) {}

std::optional<absl::Time> ManualEventLoop::NextDeadline() const {
  if (timers_.empty()) return std::nullopt;
  return timers_.begin()->first.first;
}

std::size_t ManualEventLoop::RunPosted() {
  for (std::size_t ran = 0;; ++ran) {
    if (ran > kMaxTasksAtOneMoment) {
      if (!on_runaway) AbortRunaway();
      on_runaway();
      std::lock_guard lock(mutex_);
      posted_.clear();
      return ran;
    }
    std::function<void()> task;
    {
      std::lock_guard lock(mutex_);
      if (posted_.empty()) return ran;
      task = std::move(posted_.front());
      posted_.pop_front();
    }
    task();
  }
}

bool ManualEventLoop::RunOneDueTimer() {
  const auto first = timers_.begin();
  if (first == timers_.end() || first->first.first > now_) return false;
  const std::function<void()> task = std::move(first->second);
  deadlines_.erase(first->first.second);
  timers_.erase(first);
  task();
  return true;
}

std::size_t ManualEventLoop::RunUntilIdle() {
  std::size_t ran = RunPosted();
  while (RunOneDueTimer()) {
    ran += 1 + RunPosted();
    if (ran > kMaxTasksAtOneMoment) AbortRunaway();
  }
  return ran;
}

std::size_t ManualEventLoop::AdvanceTo(absl::Time t) {
  std::size_t ran = RunUntilIdle();
  while (!timers_.empty() && timers_.begin()->first.first <= t) {
    now_ = timers_.begin()->first.first;
    ran += RunUntilIdle();
  }
  if (t > now_) now_ = t;
  return ran;
}

bool ManualEventLoop::AdvanceToNextTimer() {
  RunUntilIdle();
  const std::optional<absl::Time> next = NextDeadline();
  if (!next) return false;
  AdvanceTo(*next);
  return true;
}

}  // namespace berth
