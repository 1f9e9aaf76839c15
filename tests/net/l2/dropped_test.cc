// SPDX-License-Identifier: Apache-2.0
// What comes while nobody reads and fits the capture's buffer no more is lost, and counted. Needs root.
#include <condition_variable>
#include <mutex>
#include <thread>

#include "tests/net/l2/port_world.h"

namespace berth::agent {
namespace {

// A loop whose clock can be held: another thread that looks at it then stands still, as without a processor.
class HeldLoop final : public EventLoop {
 public:
  explicit HeldLoop(EventLoop& loop) : loop_(loop) {}

  void Hold() {
    const std::lock_guard<std::mutex> lock(mutex_);
    held_ = true;
  }
  bool AwaitStill() {
    std::unique_lock<std::mutex> lock(mutex_);
    return changed_.wait_for(lock, std::chrono::seconds(5), [&] { return still_; });
  }
  void Release() {
    {
      const std::lock_guard<std::mutex> lock(mutex_);
      held_ = still_ = false;
    }
    changed_.notify_all();
  }

  absl::Time Now() const override {
    if (std::this_thread::get_id() != owner_) {
      std::unique_lock<std::mutex> lock(mutex_);
      still_ = held_;
      if (held_) changed_.notify_all();
      changed_.wait(lock, [&] { return !held_; });
    }
    return loop_.Now();
  }
  absl::Time WallNow() const override { return loop_.WallNow(); }
  void Post(std::function<void()> task) override { loop_.Post(std::move(task)); }
  TimerId RunAt(absl::Time deadline, std::function<void()> task) override {
    return loop_.RunAt(deadline, std::move(task));
  }
  void Cancel(TimerId id) override { loop_.Cancel(id); }
  absl::Status WatchFd(int fd, std::uint32_t events, std::function<void(std::uint32_t)> on_events) override {
    return loop_.WatchFd(fd, events, std::move(on_events));
  }
  void UnwatchFd(int fd) override { loop_.UnwatchFd(fd); }

 private:
  EventLoop& loop_;
  const std::thread::id owner_ = std::this_thread::get_id();
  mutable std::mutex mutex_;
  mutable std::condition_variable changed_;
  mutable bool held_ = false, still_ = false;
};

TEST_CASE("frames that find the capture's buffer full are counted as dropped, each once, and those after are answered",
          "[net]") {
  HeldLoop* clock = nullptr;
  PortWorld w([&](EventLoop& loop) {
    auto held = std::make_unique<HeldLoop>(loop);
    clock = held.get();
    return held;
  });
  REQUIRE(w.Answers());
  CHECK(w.NearStats().dropped == 0);
  const std::uint64_t before = w.NearStats().arp.requests;
  constexpr std::uint64_t kFrames = 10'000;  // the buffer holds some 3,500
  clock->Hold();
  w.client_.Send(w.Request("10.0.0.10"));
  const bool still = clock->AwaitStill();
  bool sent = still;
  for (std::uint64_t i = 0; sent && i < kFrames; ++i) {
    // Else the kernel's own queue between the two ends is full, which nobody counts.
    if (i % 200 == 0) std::this_thread::sleep_for(std::chrono::milliseconds(1));
    sent = w.client_.Send(w.Request("10.0.0.10"));
  }
  clock->Release();  // whatever was found: the port's thread must be able to end
  REQUIRE(still);
  REQUIRE(sent);
  w.RunUntil([&] { return w.NearStats().arp.requests + w.NearStats().dropped >= before + 1 + kFrames; });
  const PortStats after = w.NearStats();
  CHECK(after.arp.requests + after.dropped == before + 1 + kFrames);
  CHECK(after.dropped > 0);
  CHECK(after.arp.requests > before + 1);
  CHECK(w.Answers());
}

}  // namespace
}  // namespace berth::agent
