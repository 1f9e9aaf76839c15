// SPDX-License-Identifier: Apache-2.0
#include "controller/files/worker.h"

#include <utility>

namespace berth::files {

void Worker::Run(std::function<void()> job) {
  {
    std::lock_guard<std::mutex> lock(mutex_);
    if (finish_) return;
    jobs_.push_back(std::move(job));
  }
  changed_.notify_one();
}

void Worker::DropQueued() {
  std::deque<std::function<void()>> dropped;  // destroyed outside of the lock
  std::lock_guard<std::mutex> lock(mutex_);
  dropped.swap(jobs_);
}

void Worker::Finish() {
  {
    std::lock_guard<std::mutex> lock(mutex_);
    finish_ = true;
  }
  changed_.notify_one();
  if (thread_.joinable()) thread_.join();
}

void Worker::Work() {
  for (;;) {
    std::function<void()> job;
    {
      std::unique_lock<std::mutex> lock(mutex_);
      changed_.wait(lock, [this] { return finish_ || !jobs_.empty(); });
      if (jobs_.empty()) return;
      job = std::move(jobs_.front());
      jobs_.pop_front();
    }
    job();
  }
}

}  // namespace berth::files
