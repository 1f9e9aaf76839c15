// SPDX-License-Identifier: Apache-2.0
// controller/files/worker.h -- one thread for jobs that block on the disk, so that the loop thread never does.
#ifndef BERTH_CONTROLLER_FILES_WORKER_H_
#define BERTH_CONTROLLER_FILES_WORKER_H_

#include <condition_variable>
#include <deque>
#include <functional>
#include <mutex>
#include <thread>

namespace berth::files {

// Runs jobs one after the other, in the order given. All methods are for the thread that made it.
class Worker {
 public:
  Worker() : thread_([this] { Work(); }) {}
  ~Worker() { Finish(); }  // the jobs still queued are run first
  Worker(const Worker&) = delete;
  Worker& operator=(const Worker&) = delete;

  void Run(std::function<void()> job);
  // Drops the jobs that have not begun.
  void DropQueued();
  // Waits for all jobs and ends the thread; nothing runs after it. May be called again.
  void Finish();

 private:
  void Work();

  std::mutex mutex_;  // guards jobs_ and finish_
  std::condition_variable changed_;
  std::deque<std::function<void()>> jobs_;
  bool finish_ = false;
  std::thread thread_;  // last: it uses the others from its first moment
};

}  // namespace berth::files

#endif  // BERTH_CONTROLLER_FILES_WORKER_H_
