// SPDX-License-Identifier: Apache-2.0
// tests/fakes/manual_event_loop.h -- the event loop of tests: time moves only when the test says so.
//
//   ManualEventLoop loop;
//   loop.RunAfter(absl::Seconds(3), [&] { fired = true; });
//   loop.Advance(absl::Seconds(3));                            // fired, at Now() == start + 3 s
//
// Same calls, same order: posted tasks first and in order, then due timers by (deadline, order made), with the tasks
// each one posts run right after it.
#ifndef BERTH_TESTS_FAKES_MANUAL_EVENT_LOOP_H_
#define BERTH_TESTS_FAKES_MANUAL_EVENT_LOOP_H_

#include <cstddef>
#include <deque>
#include <functional>
#include <map>
#include <mutex>
#include <optional>
#include <unordered_map>
#include <utility>

#include "absl/status/status.h"
#include "absl/time/time.h"
#include "common/base/event_loop.h"

namespace berth {

// All but Post belongs to the test's thread. None of the Run and Advance methods may be called from inside a task.
class ManualEventLoop final : public EventLoop {
 public:
  // Monotonic start; wall time is `wall_start` at that moment and moves with it.
  explicit ManualEventLoop(absl::Time start = absl::UnixEpoch() + absl::Hours(1),
                           absl::Time wall_start = absl::FromUnixSeconds(1767323045));  // 2026-01-02T03:04:05Z

  // Runs what is posted and due, and what that posts in turn, without moving time. Returns the number of tasks and
  // timers run. Aborts with a message after a million: something posts or re-arms itself for ever at one moment.
  std::size_t RunUntilIdle();
  // Moves time by `d` (not negative), stopping at each deadline on the way: a task sees Now() == its own deadline.
  std::size_t Advance(absl::Duration d) { return AdvanceTo(now_ + d); }
  std::size_t AdvanceTo(absl::Time t);
  // Runs what is posted and due, then moves to the next deadline and runs it. False (and time stands still) without
  // one.
  bool AdvanceToNextTimer();
  // The earliest deadline, past ones included; nullopt without timers.
  std::optional<absl::Time> NextDeadline() const;
  std::size_t pending_timers() const { return timers_.size(); }
  // The wall clock jumps, as an NTP step would make it; monotonic time does not.
  void StepWallClock(absl::Duration d) { wall_offset_ += d; }

  absl::Time Now() const override { return now_; }
  absl::Time WallNow() const override { return now_ + wall_offset_; }
  void Post(std::function<void()> task) override;
  TimerId RunAt(absl::Time deadline, std::function<void()> task) override;
  void Cancel(TimerId id) override;
  absl::Status WatchFd(int fd, std::uint32_t epoll_events, std::function<void(std::uint32_t)> on_events) override;
  void UnwatchFd(int fd) override;

  // Called when tasks go on posting tasks without time moving, which are then dropped; without it that ends the process.
  std::function<void()> on_runaway;

 private:
  std::size_t RunPosted();
  bool RunOneDueTimer();

  absl::Time now_;
  absl::Duration wall_offset_;
  std::mutex mutex_;  // guards posted_
  std::deque<std::function<void()>> posted_;
  std::map<std::pair<absl::Time, TimerId>, std::function<void()>> timers_;
  std::unordered_map<TimerId, absl::Time> deadlines_;
  TimerId next_timer_ = 1;
};

}  // namespace berth

#endif  // BERTH_TESTS_FAKES_MANUAL_EVENT_LOOP_H_
