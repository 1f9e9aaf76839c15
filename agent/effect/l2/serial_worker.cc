// SPDX-License-Identifier: Apache-2.0
#include "agent/effect/l2/serial_worker.h"

#include <utility>

#include "common/base/quiet_thread.h"

namespace berth::agent {

SerialWorker::SerialWorker() : thread_(StartQuietThread("berth-l2-open", [this] { Run(); })) {}

SerialWorker::~SerialWorker() {
  {
    const std::lock_guard<std::mutex> lock(mutex_);
    stop_ = true;
  }
  changed_.notify_one();
  thread_.join();
}

void SerialWorker::Submit(std::function<void()> task) {
  {
    const std::lock_guard<std::mutex> lock(mutex_);
    tasks_.push_back(std::move(task));
  }
  changed_.notify_one();
}

void SerialWorker::Run() {
  std::unique_lock<std::mutex> lock(mutex_);
  while (true) {
    changed_.wait(lock, [this] { return stop_ || !tasks_.empty(); });
    if (tasks_.empty()) return;
    std::function<void()> task = std::move(tasks_.front());
    tasks_.pop_front();
    lock.unlock();
    task();
    task = nullptr;  // what it owned is released without the lock
    lock.lock();
  }
}

}  // namespace berth::agent
