// SPDX-License-Identifier: Apache-2.0
// common/base/real_event_loop.h -- the event loop of a running process: epoll, an eventfd for Post, a timerfd, a
// signalfd.
//
//   BlockSignals({SIGTERM, SIGINT});                        // first line of main, before any thread exists
//   ASSIGN_OR_RETURN(auto loop, RealEventLoop::Create());
//   RETURN_IF_ERROR(loop->WatchSignals({SIGTERM, SIGINT}, [&](int) { loop->Stop(); }));
//   loop->Run();
//
// Timers are exact to the kernel's hrtimer; Now() is CLOCK_MONOTONIC (stands still while the machine is suspended).
#ifndef BERTH_COMMON_BASE_REAL_EVENT_LOOP_H_
#define BERTH_COMMON_BASE_REAL_EVENT_LOOP_H_

#include <atomic>
#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <unordered_map>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "common/base/event_loop.h"

namespace berth {

// Blocks `signals` in the calling thread and in all threads it starts later, so that only WatchSignals gets them.
absl::Status BlockSignals(const std::vector<int>& signals);

// Owned by main. Create, Run and all but Post, Stop, Now and WallNow belong to one thread, the loop thread; before Run
// the constructing thread counts as that. Tasks and callbacks must not throw and must not call Run.
class RealEventLoop final : public EventLoop {
 public:
  // Errors: Internal or ResourceExhausted when the kernel grants no descriptor (the message has errno's text).
  static absl::StatusOr<std::unique_ptr<RealEventLoop>> Create();
  ~RealEventLoop() override;  // tasks and timers that have not run are dropped
  RealEventLoop(const RealEventLoop&) = delete;
  RealEventLoop& operator=(const RealEventLoop&) = delete;

  // Runs tasks, timers and callbacks until Stop. May be called again after it returned.
  void Run();
  // Any thread, also from a callback: Run returns once the current turn is done; a Stop before Run makes it return at
  // once.
  void Stop();

  // Blocks `signals` in this thread and hands each one that arrives to `on_signal`, on the loop thread. Call once.
  // Threads that exist already must have them blocked too: see BlockSignals. Errors: AlreadyExists on a second call.
  absl::Status WatchSignals(const std::vector<int>& signals, std::function<void(int)> on_signal);

  absl::Time Now() const override;
  absl::Time WallNow() const override;
  void Post(std::function<void()> task) override;
  TimerId RunAt(absl::Time deadline, std::function<void()> task) override;
  void Cancel(TimerId id) override;
  // A watch of an fd that is watched already replaces mask and callback. An fd must be unwatched before it is closed.
  // A callback may unwatch or watch any fd, its own too: events of the same turn for an fd unwatched meanwhile are
  // dropped. Errors: InvalidArgument for a bad fd, Internal else.
  absl::Status WatchFd(int fd, std::uint32_t epoll_events, std::function<void(std::uint32_t)> on_events) override;
  void UnwatchFd(int fd) override;

 private:
  struct Watch {
    std::uint32_t generation;  // travels through epoll, so that a stale event never reaches a new watch of the same fd
    std::function<void(std::uint32_t)> on_events;
  };
  using TimerKey = std::pair<absl::Time, TimerId>;

  RealEventLoop(int epoll_fd, int wake_fd, int timer_fd);
  void RunPosted();
  void RunDueTimers();
  void ArmTimer();
  void Dispatch(std::uint64_t tag, std::uint32_t events);
  void ReadSignals();
  void Wake();

  const int epoll_fd_;
  const int wake_fd_;
  const int timer_fd_;
  int signal_fd_ = -1;
  std::function<void(int)> on_signal_;
  std::atomic<bool> stop_{false};

  std::mutex mutex_;  // guards posted_
  std::vector<std::function<void()>> posted_;

  // Loop thread only.
  std::unordered_map<int, std::shared_ptr<Watch>> watches_;
  std::uint32_t next_generation_ = 1;
  std::map<TimerKey, std::function<void()>> timers_;
  std::unordered_map<TimerId, absl::Time> deadlines_;
  TimerId next_timer_ = 1;
  absl::Time armed_ = absl::InfiniteFuture();
};

}  // namespace berth

#endif  // BERTH_COMMON_BASE_REAL_EVENT_LOOP_H_
