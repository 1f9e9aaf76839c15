// SPDX-License-Identifier: Apache-2.0
// agent/effect/l2/serial_worker.h -- one thread that does slow things in the order given, so that others need not wait.
#ifndef BERTH_AGENT_EFFECT_L2_SERIAL_WORKER_H_
#define BERTH_AGENT_EFFECT_L2_SERIAL_WORKER_H_

#include <condition_variable>
#include <deque>
#include <functional>
#include <mutex>
#include <thread>

namespace berth::agent {

class SerialWorker {
 public:
  SerialWorker();
  ~SerialWorker();  // returns once all that was submitted is done
  SerialWorker(const SerialWorker&) = delete;
  SerialWorker& operator=(const SerialWorker&) = delete;

  void Submit(std::function<void()> task);  // any thread

 private:
  void Run();

  std::mutex mutex_;  // guards tasks_, stop_
  std::condition_variable changed_;
  std::deque<std::function<void()>> tasks_;
  bool stop_ = false;
  std::thread thread_;
};

}  // namespace berth::agent

#endif  // BERTH_AGENT_EFFECT_L2_SERIAL_WORKER_H_
