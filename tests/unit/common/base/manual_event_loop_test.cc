// SPDX-License-Identifier: Apache-2.0
#include "tests/fakes/manual_event_loop.h"

#include <catch2/catch.hpp>
#include <string>
#include <vector>

namespace berth {
namespace {

TEST_CASE("virtual time moves only by Advance, and each timer sees its own deadline", "[unit]") {
  ManualEventLoop loop;
  const absl::Time start = loop.Now();
  std::vector<absl::Duration> seen;
  loop.RunAfter(absl::Seconds(2), [&] { seen.push_back(loop.Now() - start); });
  loop.RunAfter(absl::Seconds(1), [&] {
    seen.push_back(loop.Now() - start);
    loop.RunAfter(absl::Milliseconds(500), [&] { seen.push_back(loop.Now() - start); });
  });
  CHECK(loop.RunUntilIdle() == 0);
  CHECK(loop.Now() == start);
  CHECK(loop.Advance(absl::Seconds(3)) == 3);
  CHECK(seen == std::vector<absl::Duration>{absl::Seconds(1), absl::Milliseconds(1500), absl::Seconds(2)});
  CHECK(loop.Now() == start + absl::Seconds(3));
}

TEST_CASE("tasks run in the order posted, timers of one moment in the order made", "[unit]") {
  ManualEventLoop loop;
  std::string order;
  loop.RunAt(loop.Now(), [&] {
    order += "1";
    loop.Post([&] { order += "p"; });
  });
  loop.RunAt(loop.Now(), [&] { order += "2"; });
  loop.RunAt(loop.Now() - absl::Seconds(1), [&] { order += "0"; });
  loop.Post([&] {
    order += "a";
    loop.Post([&] { order += "c"; });
  });
  loop.Post([&] { order += "b"; });
  loop.RunUntilIdle();
  CHECK(order == "abc01p2");
}

TEST_CASE("a cancelled timer never runs, not even one of the same moment", "[unit]") {
  ManualEventLoop loop;
  int ran = 0;
  TimerId second = 0;
  loop.RunAfter(absl::Seconds(1), [&] { loop.Cancel(second); });
  second = loop.RunAfter(absl::Seconds(1), [&] { ++ran; });
  loop.Advance(absl::Seconds(1));
  loop.Cancel(second);
  loop.Cancel(12345);
  CHECK(ran == 0);
  CHECK(loop.pending_timers() == 0);
}

TEST_CASE("AdvanceToNextTimer goes from deadline to deadline and stops at the last", "[unit]") {
  ManualEventLoop loop;
  const absl::Time start = loop.Now();
  int ran = 0;
  loop.RunAfter(absl::Seconds(5), [&] { ++ran; });
  loop.RunAfter(absl::Hours(5), [&] { ++ran; });
  CHECK(loop.NextDeadline() == start + absl::Seconds(5));
  CHECK(loop.AdvanceToNextTimer());
  CHECK(ran == 1);
  CHECK(loop.AdvanceToNextTimer());
  CHECK(loop.Now() == start + absl::Hours(5));
  CHECK_FALSE(loop.AdvanceToNextTimer());
  CHECK(loop.NextDeadline() == std::nullopt);
}

TEST_CASE("wall time goes with the virtual one and can be stepped alone", "[unit]") {
  ManualEventLoop loop(absl::UnixEpoch(), absl::FromUnixSeconds(1000));
  loop.Advance(absl::Seconds(5));
  CHECK(loop.WallNow() == absl::FromUnixSeconds(1005));
  loop.StepWallClock(absl::Hours(-1));
  CHECK(loop.WallNow() == absl::FromUnixSeconds(1005 - 3600));
  CHECK(loop.Now() == absl::UnixEpoch() + absl::Seconds(5));
}

TEST_CASE("the manual loop says that it watches no descriptors", "[unit]") {
  ManualEventLoop loop;
  CHECK(absl::IsUnimplemented(loop.WatchFd(0, 1, [](std::uint32_t) {})));
  loop.UnwatchFd(0);
}

}  // namespace
}  // namespace berth
