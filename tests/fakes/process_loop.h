// SPDX-License-Identifier: Apache-2.0
// tests/fakes/process_loop.h -- the event loop of one process among several that share a ManualEventLoop.
//
//   ProcessLoop process(world_loop);
//   process.Freeze();   // SIGSTOP: tasks and timers wait
//   process.Thaw();     // they run, late
//   process.Kill();     // SIGKILL: they are dropped
#ifndef BERTH_TESTS_FAKES_PROCESS_LOOP_H_
#define BERTH_TESTS_FAKES_PROCESS_LOOP_H_

#include <deque>
#include <functional>
#include <map>
#include <memory>
#include <utility>

#include "common/base/event_loop.h"

namespace berth {

// One thread: that of the shared loop. A process that was killed may be used anew, as the next process of its place.
class ProcessLoop final : public EventLoop {
 public:
  explicit ProcessLoop(EventLoop& shared) : shared_(shared) {}
  ~ProcessLoop() override { Kill(); }
  ProcessLoop(const ProcessLoop&) = delete;
  ProcessLoop& operator=(const ProcessLoop&) = delete;

  void Freeze() {
    if (!std::exchange(frozen_, true)) ++freezes_;
  }
  void Thaw();
  void Kill();
  // As Kill, from within a task of this process: what the task still does has no effect any more, as when a process
  // dies between two of its instructions. Its objects may be destroyed once the task has returned.
  void Die();
  bool dead() const { return dead_; }
  bool frozen() const { return frozen_; }
  int freezes() const { return freezes_; }  // so far

  absl::Time Now() const override { return shared_.Now(); }
  absl::Time WallNow() const override { return shared_.WallNow(); }
  void Post(std::function<void()> task) override;
  TimerId RunAt(absl::Time deadline, std::function<void()> task) override;
  void Cancel(TimerId id) override;
  absl::Status WatchFd(int fd, std::uint32_t epoll_events, std::function<void(std::uint32_t)> on_events) override {
    return shared_.WatchFd(fd, epoll_events, std::move(on_events));
  }
  void UnwatchFd(int fd) override { shared_.UnwatchFd(fd); }

 private:
  struct Timer {
    TimerId shared = 0;
    std::function<void()> task;
  };
  void Fire(TimerId id);

  EventLoop& shared_;
  bool frozen_ = false, dead_ = false;
  int freezes_ = 0;
  TimerId last_ = 0;
  std::map<TimerId, Timer> timers_;
  std::deque<std::function<void()>> waiting_;              // posted while frozen
  std::deque<TimerId> due_;                                // came due while frozen
  std::shared_ptr<int> alive_ = std::make_shared<int>(0);  // what was posted before a Kill does nothing after it
};

}  // namespace berth

#endif  // BERTH_TESTS_FAKES_PROCESS_LOOP_H_
