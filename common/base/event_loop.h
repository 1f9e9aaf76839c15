// SPDX-License-Identifier: Apache-2.0
// common/base/event_loop.h -- the core thread of a process: one loop owns all mutable state, other threads only post.
//
//   RealEventLoop loop;                       // epoll + timerfd + eventfd
//   loop.Post([&] { core.Handle(...); });     // from any thread
//   loop.Run();                               // until Stop()
//
// Times are monotonic: an absl::Time here is "since an arbitrary epoch", good for differences and deadlines only
// (CLOCK_MONOTONIC in the real loop, whatever the test says in the manual one). Wall time, for display and status
// timestamps, comes from WallNow(); nothing may be decided by it.
#ifndef BERTH_COMMON_BASE_EVENT_LOOP_H_
#define BERTH_COMMON_BASE_EVENT_LOOP_H_

#include <cstdint>
#include <functional>

#include "absl/status/status.h"
#include "absl/time/time.h"

namespace berth {

class Clock {
 public:
  virtual ~Clock() = default;
  virtual absl::Time Now() const = 0;      // monotonic
  virtual absl::Time WallNow() const = 0;  // wall clock, display only
};

using TimerId = std::uint64_t;  // 0 is never a timer

// Two implementations: RealEventLoop (common/base/real_event_loop.h), ManualEventLoop
// (tests/fakes/manual_event_loop.h).
class EventLoop : public Clock {
 public:
  // Any thread. Tasks run on the loop thread, in the order posted.
  virtual void Post(std::function<void()> task) = 0;
  // Loop thread only. A deadline in the past runs on the next turn. Timers of one deadline run in the order made.
  virtual TimerId RunAt(absl::Time deadline, std::function<void()> task) = 0;
  TimerId RunAfter(absl::Duration delay, std::function<void()> task) { return RunAt(Now() + delay, std::move(task)); }
  virtual void Cancel(TimerId id) = 0;  // loop thread only; unknown or fired ids are ignored
  // Loop thread only, level triggered: `on_events` gets EPOLLIN etc. Errors: Unimplemented in the manual loop.
  virtual absl::Status WatchFd(int fd, std::uint32_t epoll_events, std::function<void(std::uint32_t)> on_events) = 0;
  virtual void UnwatchFd(int fd) = 0;
};

}  // namespace berth

#endif  // BERTH_COMMON_BASE_EVENT_LOOP_H_
