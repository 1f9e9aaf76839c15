// SPDX-License-Identifier: Apache-2.0
#include "common/base/real_event_loop.h"

#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <catch2/catch.hpp>
#include <csignal>
#include <ctime>
#include <functional>
#include <memory>
#include <string>
#include <thread>
#include <vector>

namespace berth {
namespace {

// A pair of connected sockets.
struct Pair {
  Pair() { REQUIRE(::socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0, fds.data()) == 0); }
  ~Pair() {
    ::close(fds[0]);
    ::close(fds[1]);
  }
  Pair(const Pair&) = delete;
  Pair& operator=(const Pair&) = delete;
  void Write() const { REQUIRE(::write(fds[1], "x", 1) == 1); }
  void Read() const {
    char c;
    REQUIRE(::read(fds[0], &c, 1) == 1);
  }
  int fd() const { return fds[0]; }
  std::array<int, 2> fds{};
};

std::unique_ptr<RealEventLoop> MakeLoop() {
  auto loop = RealEventLoop::Create();
  REQUIRE(loop.ok());
  return *std::move(loop);
}

TEST_CASE("tasks posted by other threads run on the loop, each thread's in order", "[unit]") {
  constexpr int kThreads = 4;
  constexpr int kTasks = 500;
  const auto loop = MakeLoop();
  std::vector<std::vector<int>> seen(kThreads);
  int left = kThreads * kTasks;
  std::vector<std::thread> threads;
  for (std::size_t t = 0; t < kThreads; ++t) {
    threads.emplace_back([&, t] {
      for (int i = 0; i < kTasks; ++i) {
        loop->Post([&, t, i] {
          seen[t].push_back(i);
          if (--left == 0) loop->Stop();
        });
      }
    });
  }
  loop->Run();
  for (std::thread& thread : threads) thread.join();
  for (const std::vector<int>& order : seen) {
    CHECK(order.size() == kTasks);
    CHECK(std::is_sorted(order.begin(), order.end()));
  }
}

TEST_CASE("a task that posts itself again does not starve timers and descriptors", "[unit]") {
  const auto loop = MakeLoop();
  const Pair pair;
  pair.Write();
  int events = 0;
  REQUIRE(loop->WatchFd(pair.fd(), EPOLLIN,
                        [&](std::uint32_t) {
                          ++events;
                          loop->UnwatchFd(pair.fd());
                        })
              .ok());
  std::function<void()> again = [&] { loop->Post(again); };
  loop->Post(again);
  std::function<void()> rearm = [&] { loop->RunAt(loop->Now(), rearm); };
  loop->RunAt(loop->Now(), rearm);
  loop->RunAfter(absl::Milliseconds(2), [&] { loop->Stop(); });
  loop->Run();
  CHECK(events == 1);
}

TEST_CASE("timers run in the order of their deadlines and not before them", "[unit]") {
  const auto loop = MakeLoop();
  const absl::Time start = loop->Now();
  std::string order;
  loop->RunAt(start + absl::Milliseconds(4), [&] {
    order += "d";
    CHECK(loop->Now() >= start + absl::Milliseconds(4));
    loop->Stop();
  });
  loop->RunAt(start + absl::Milliseconds(2), [&] { order += "b"; });
  loop->RunAt(start + absl::Milliseconds(2), [&] { order += "c"; });
  const TimerId cancelled = loop->RunAt(start + absl::Milliseconds(1), [&] { order += "X"; });
  loop->RunAt(start - absl::Hours(1), [&] { order += "a"; });
  loop->RunAt(absl::InfiniteFuture(), [&] { order += "Y"; });
  loop->RunAt(absl::InfinitePast(), [&] { order += "0"; });
  loop->Cancel(cancelled);
  loop->Cancel(cancelled);
  loop->Run();
  CHECK(order == "0abcd");
}

TEST_CASE("a timer may cancel another one that is due in the same turn", "[unit]") {
  const auto loop = MakeLoop();
  bool ran = false;
  TimerId second = 0;
  const absl::Time now = loop->Now();
  loop->RunAt(now, [&] { loop->Cancel(second); });
  second = loop->RunAt(now, [&] { ran = true; });
  loop->RunAt(now, [&] { loop->Stop(); });
  loop->Run();
  CHECK_FALSE(ran);
}

TEST_CASE("a callback may unwatch a descriptor whose event is in the same turn", "[unit]") {
  const auto loop = MakeLoop();
  const Pair a;
  const Pair b;
  a.Write();
  b.Write();
  int calls = 0;
  const auto on_event = [&](int other) {
    return [&, other](std::uint32_t) {
      ++calls;
      loop->UnwatchFd(other);
      loop->Post([&] { loop->Stop(); });
    };
  };
  REQUIRE(loop->WatchFd(a.fd(), EPOLLIN, on_event(b.fd())).ok());
  REQUIRE(loop->WatchFd(b.fd(), EPOLLIN, on_event(a.fd())).ok());
  loop->Run();
  CHECK(calls == 1);
}

TEST_CASE("an event of a closed descriptor never reaches a new watch of the same number", "[unit]") {
  const auto loop = MakeLoop();
  auto old_pairs = std::make_unique<std::array<Pair, 2>>();
  Pair idle;
  int stale = 0;
  int number = -1;
  const auto replace = [&](std::size_t other) {
    return [&, other](std::uint32_t) {
      // Both are readable in this turn: put a silent socket in the place of the other one before its event is handled.
      if (number >= 0) return;
      number = (*old_pairs)[other].fd();
      for (std::size_t i : {0U, 1U}) loop->UnwatchFd((*old_pairs)[i].fd());
      REQUIRE(::dup2(idle.fd(), number) == number);
      REQUIRE(loop->WatchFd(number, EPOLLIN, [&](std::uint32_t) { ++stale; }).ok());
      loop->Post([&] { loop->Post([&] { loop->Stop(); }); });
    };
  };
  for (std::size_t i : {0U, 1U}) {
    (*old_pairs)[i].Write();
    REQUIRE(loop->WatchFd((*old_pairs)[i].fd(), EPOLLIN, replace(1 - i)).ok());
  }
  loop->Run();
  CHECK(number >= 0);
  CHECK(stale == 0);
}

TEST_CASE("a watch is level triggered, and a second one replaces mask and callback", "[unit]") {
  const auto loop = MakeLoop();
  const Pair pair;
  pair.Write();
  int first = 0;
  int second = 0;
  REQUIRE(loop->WatchFd(pair.fd(), EPOLLIN,
                        [&](std::uint32_t) {
                          if (++first < 2) return;  // unread, so it is told again
                          REQUIRE(loop->WatchFd(pair.fd(), EPOLLOUT,
                                                [&](std::uint32_t events) {
                                                  CHECK((events & EPOLLOUT) != 0);
                                                  ++second;
                                                  loop->Stop();
                                                })
                                      .ok());
                        })
              .ok());
  loop->Run();
  CHECK(first == 2);
  CHECK(second == 1);
}

TEST_CASE("a watch of no descriptor is an error that names it", "[unit]") {
  const auto loop = MakeLoop();
  const absl::Status status = loop->WatchFd(9999, EPOLLIN, [](std::uint32_t) {});
  CHECK(absl::IsInvalidArgument(status));
  CHECK_THAT(std::string(status.message()), Catch::Contains("9999"));
  loop->UnwatchFd(9999);
}

TEST_CASE("Stop from another thread ends Run, one given before makes it return at once", "[unit]") {
  const auto loop = MakeLoop();
  loop->Stop();
  loop->Run();
  std::thread stopper([&] { loop->Stop(); });
  loop->Run();
  stopper.join();
  bool ran = false;
  loop->Post([&] {
    ran = true;
    loop->Stop();
  });
  loop->Run();
  CHECK(ran);
}

TEST_CASE("signals come to the loop as calls", "[unit]") {
  REQUIRE(BlockSignals({SIGTERM, SIGUSR1}).ok());
  const auto loop = MakeLoop();
  std::vector<int> seen;
  REQUIRE(loop->WatchSignals({SIGTERM, SIGUSR1},
                             [&](int signal) {
                               seen.push_back(signal);
                               if (seen.size() == 2) loop->Stop();
                             })
              .ok());
  CHECK(absl::IsAlreadyExists(loop->WatchSignals({SIGINT}, [](int) {})));
  REQUIRE(::kill(::getpid(), SIGTERM) == 0);
  REQUIRE(::kill(::getpid(), SIGUSR1) == 0);
  loop->Run();
  std::sort(seen.begin(), seen.end());
  CHECK(seen == std::vector<int>{SIGUSR1, SIGTERM});
}

TEST_CASE("the loop's time goes forward and its wall time is near the machine's", "[unit]") {
  const auto loop = MakeLoop();
  const absl::Time before = loop->Now();
  CHECK(loop->Now() >= before);
  CHECK(absl::AbsDuration(loop->WallNow() - absl::FromTimeT(::time(nullptr))) < absl::Seconds(2));
}

}  // namespace
}  // namespace berth
