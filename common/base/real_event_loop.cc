// SPDX-License-Identifier: Apache-2.0
#include "common/base/real_event_loop.h"

#include <pthread.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/signalfd.h>
#include <sys/timerfd.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <csignal>
#include <ctime>

#include "absl/strings/str_cat.h"
#include "absl/time/clock.h"
#include "common/base/errno_status.h"

namespace berth {
namespace {

constexpr int kEventsPerTurn = 64;

// What epoll carries besides the events: generation in the upper half, fd in the lower. The loop's own descriptors have
// generation 0, watches start at 1.
std::uint64_t Tag(std::uint32_t generation, int fd) {
  return (static_cast<std::uint64_t>(generation) << 32) | static_cast<std::uint32_t>(fd);
}
int FdOf(std::uint64_t tag) { return static_cast<int>(tag & 0xffffffffU); }
std::uint32_t GenerationOf(std::uint64_t tag) { return static_cast<std::uint32_t>(tag >> 32); }

absl::Status AddToEpoll(int epoll_fd, int operation, int fd, std::uint32_t events, std::uint64_t tag) {
  epoll_event event{};
  event.events = events;
  event.data.u64 = tag;
  if (::epoll_ctl(epoll_fd, operation, fd, &event) != 0) return ErrnoStatus(errno, absl::StrCat("watch fd ", fd));
  return absl::OkStatus();
}

// Takes the count off an eventfd or timerfd; there being none is fine.
void Drain(int fd) {
  std::uint64_t count;
  while (::read(fd, &count, sizeof count) < 0 && errno == EINTR) {
  }
}

sigset_t SetOf(const std::vector<int>& signals) {
  sigset_t set;
  sigemptyset(&set);
  for (int s : signals) sigaddset(&set, s);
  return set;
}

}  // namespace

absl::Status BlockSignals(const std::vector<int>& signals) {
  const sigset_t set = SetOf(signals);
  if (int error = ::pthread_sigmask(SIG_BLOCK, &set, nullptr); error != 0) return ErrnoStatus(error, "block signals");
  return absl::OkStatus();
}

absl::StatusOr<std::unique_ptr<RealEventLoop>> RealEventLoop::Create() {
  const int epoll_fd = ::epoll_create1(EPOLL_CLOEXEC);
  if (epoll_fd < 0) return ErrnoStatus(errno, "event loop: epoll_create1");
  const int wake_fd = ::eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
  if (wake_fd < 0) {
    absl::Status status = ErrnoStatus(errno, "event loop: eventfd");
    ::close(epoll_fd);
    return status;
  }
  const int timer_fd = ::timerfd_create(CLOCK_MONOTONIC, TFD_CLOEXEC | TFD_NONBLOCK);
  if (timer_fd < 0) {
    absl::Status status = ErrnoStatus(errno, "event loop: timerfd_create");
    ::close(epoll_fd);
    ::close(wake_fd);
    return status;
  }
  std::unique_ptr<RealEventLoop> loop(new RealEventLoop(epoll_fd, wake_fd, timer_fd));
  for (int fd : {wake_fd, timer_fd}) {
    absl::Status status = AddToEpoll(epoll_fd, EPOLL_CTL_ADD, fd, EPOLLIN, Tag(0, fd));
    if (!status.ok()) return status;
  }
  return loop;
}

RealEventLoop::RealEventLoop(int epoll_fd, int wake_fd, int timer_fd)
    : epoll_fd_(epoll_fd), wake_fd_(wake_fd), timer_fd_(timer_fd) {}

RealEventLoop::~RealEventLoop() {
  if (signal_fd_ >= 0) ::close(signal_fd_);
  ::close(timer_fd_);
  ::close(wake_fd_);
  ::close(epoll_fd_);
}

absl::Time RealEventLoop::Now() const {
  timespec now{};
  ::clock_gettime(CLOCK_MONOTONIC, &now);
  return absl::UnixEpoch() + absl::DurationFromTimespec(now);
}

absl::Time RealEventLoop::WallNow() const { return absl::Now(); }

void RealEventLoop::Wake() {
  const std::uint64_t one = 1;
  // EAGAIN means that the counter is full, and so that the loop is awake already.
  while (::write(wake_fd_, &one, sizeof one) < 0 && errno == EINTR) {
  }
}

void RealEventLoop::Post(std::function<void()> task) {
  bool was_empty;
  {
    std::lock_guard lock(mutex_);
    was_empty = posted_.empty();
    posted_.push_back(std::move(task));
  }
  if (was_empty) Wake();
}

void RealEventLoop::Stop() {
  stop_.store(true);
  Wake();
}

void RealEventLoop::Run() {
  std::array<epoll_event, kEventsPerTurn> events{};
  while (!stop_.load()) {
    ArmTimer();
    const int count = ::epoll_wait(epoll_fd_, events.data(), kEventsPerTurn, -1);
    for (int i = 0; i < count; ++i) {
      const epoll_event& event = events[static_cast<std::size_t>(i)];
      Dispatch(event.data.u64, event.events);
    }
    RunDueTimers();
    RunPosted();
  }
  stop_.store(false);
}

void RealEventLoop::Dispatch(std::uint64_t tag, std::uint32_t events) {
  const int fd = FdOf(tag);
  if (GenerationOf(tag) == 0) {
    if (fd == signal_fd_) {
      ReadSignals();
    } else {
      Drain(fd);
      if (fd == timer_fd_) armed_ = absl::InfiniteFuture();
    }
    return;
  }
  const auto found = watches_.find(fd);
  if (found == watches_.end() || found->second->generation != GenerationOf(tag)) return;
  const std::shared_ptr<Watch> watch = found->second;  // the callback may unwatch its own fd
  watch->on_events(events);
}

// Only what was posted before this turn: a task that posts itself again must not starve descriptors and timers.
void RealEventLoop::RunPosted() {
  std::vector<std::function<void()>> tasks;
  {
    std::lock_guard lock(mutex_);
    tasks.swap(posted_);
  }
  for (const std::function<void()>& task : tasks) task();
}

// Only what is due now, and no timer made during this call, for the same reason.
void RealEventLoop::RunDueTimers() {
  const absl::Time now = Now();
  const TimerId made_before = next_timer_;
  auto next = timers_.begin();
  while (next != timers_.end() && next->first.first <= now) {
    const TimerKey key = next->first;
    if (key.second < made_before) {
      const std::function<void()> task = std::move(next->second);
      timers_.erase(next);
      deadlines_.erase(key.second);
      task();
    }
    next = timers_.upper_bound(key);  // the task may have changed the map
  }
}

void RealEventLoop::ArmTimer() {
  const absl::Time wanted = timers_.empty() ? absl::InfiniteFuture() : timers_.begin()->first.first;
  if (wanted == armed_) return;
  itimerspec spec{};  // zero disarms
  if (wanted != absl::InfiniteFuture()) {
    spec.it_value = absl::ToTimespec(wanted - absl::UnixEpoch());
    const bool in_past = spec.it_value.tv_sec < 0 || (spec.it_value.tv_sec == 0 && spec.it_value.tv_nsec == 0);
    if (in_past) spec.it_value = {.tv_sec = 0, .tv_nsec = 1};
  }
  ::timerfd_settime(timer_fd_, TFD_TIMER_ABSTIME, &spec, nullptr);
  armed_ = wanted;
}

TimerId RealEventLoop::RunAt(absl::Time deadline, std::function<void()> task) {
  const TimerId id = next_timer_++;
  timers_.emplace(TimerKey(deadline, id), std::move(task));
  deadlines_.emplace(id, deadline);
  return id;
}

void RealEventLoop::Cancel(TimerId id) {
  const auto found = deadlines_.find(id);
  if (found == deadlines_.end()) return;
  timers_.erase(TimerKey(found->second, id));
  deadlines_.erase(found);
}

absl::Status RealEventLoop::WatchFd(int fd, std::uint32_t epoll_events, std::function<void(std::uint32_t)> on_events) {
  const std::uint32_t generation = next_generation_++;
  if (next_generation_ == 0) next_generation_ = 1;
  const int operation = watches_.contains(fd) ? EPOLL_CTL_MOD : EPOLL_CTL_ADD;
  absl::Status status = AddToEpoll(epoll_fd_, operation, fd, epoll_events, Tag(generation, fd));
  if (!status.ok()) return status;
  watches_[fd] = std::make_shared<Watch>(Watch{generation, std::move(on_events)});
  return absl::OkStatus();
}

void RealEventLoop::UnwatchFd(int fd) {
  if (watches_.erase(fd) > 0) ::epoll_ctl(epoll_fd_, EPOLL_CTL_DEL, fd, nullptr);
}

absl::Status RealEventLoop::WatchSignals(const std::vector<int>& signals, std::function<void(int)> on_signal) {
  if (signal_fd_ >= 0) return absl::AlreadyExistsError("event loop: signals are watched already");
  if (absl::Status status = BlockSignals(signals); !status.ok()) return status;
  const sigset_t set = SetOf(signals);
  const int fd = ::signalfd(-1, &set, SFD_CLOEXEC | SFD_NONBLOCK);
  if (fd < 0) return ErrnoStatus(errno, "event loop: signalfd");
  if (absl::Status status = AddToEpoll(epoll_fd_, EPOLL_CTL_ADD, fd, EPOLLIN, Tag(0, fd)); !status.ok()) {
    ::close(fd);
    return status;
  }
  signal_fd_ = fd;
  on_signal_ = std::move(on_signal);
  return absl::OkStatus();
}

void RealEventLoop::ReadSignals() {
  signalfd_siginfo info{};
  while (::read(signal_fd_, &info, sizeof info) == static_cast<ssize_t>(sizeof info)) {
    on_signal_(static_cast<int>(info.ssi_signo));
  }
}

}  // namespace berth
