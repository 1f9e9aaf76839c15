// SPDX-License-Identifier: Apache-2.0
#include "controller/kube/client/rate_limit.h"

#include <catch2/catch.hpp>
#include <numeric>

#include "tests/property.h"

namespace berth::kube {
namespace {

using Ids = std::vector<RequestId>;
constexpr RateLimit::Room kRoom{.all = 1000};
const absl::Time kStart = absl::UnixEpoch() + absl::Hours(1);

TEST_CASE("a burst leaves at once, the rest at the rate", "[unit]") {
  RateLimit limit({.qps = 10, .burst = 3}, kStart);
  for (RequestId id = 1; id <= 6; ++id) limit.Push(id, Urgency::kWrite, absl::InfiniteFuture());
  RateLimit::Turn turn = limit.Take(kStart, kRoom);
  CHECK(turn.leave == Ids{1, 2, 3});
  CHECK(turn.next > kStart + absl::Milliseconds(99));
  CHECK(turn.next < kStart + absl::Milliseconds(101));
  turn = limit.Take(turn.next, kRoom);
  CHECK(turn.leave == Ids{4});
  CHECK(limit.Take(kStart + absl::Seconds(10), kRoom).leave == Ids{5, 6});
  CHECK(limit.Take(kStart + absl::Seconds(11), kRoom).next == absl::InfiniteFuture());
}

TEST_CASE("the more urgent leaves first, whenever it came", "[unit]") {
  RateLimit limit({.qps = 10, .burst = 2}, kStart);
  limit.Push(1, Urgency::kEvent, absl::InfiniteFuture());
  limit.Push(2, Urgency::kRead, absl::InfiniteFuture());
  limit.Push(3, Urgency::kWrite, absl::InfiniteFuture());
  limit.Push(4, Urgency::kAssign, absl::InfiniteFuture());
  limit.Push(5, Urgency::kLease, absl::InfiniteFuture());
  CHECK(limit.Take(kStart, kRoom).leave == Ids{5, 4});
  CHECK(limit.Take(kStart + absl::Seconds(1), kRoom).leave == Ids{3, 2});
  CHECK(limit.Take(kStart + absl::Seconds(2), kRoom).leave == Ids{1});
}

TEST_CASE("a request whose time is over does not leave; its deadline is told beforehand", "[unit]") {
  RateLimit limit({.qps = 1, .burst = 1}, kStart);
  limit.Push(1, Urgency::kWrite, absl::InfiniteFuture());
  limit.Push(2, Urgency::kWrite, kStart + absl::Milliseconds(300));
  limit.Push(3, Urgency::kWrite, absl::InfiniteFuture());
  RateLimit::Turn turn = limit.Take(kStart, kRoom);
  CHECK(turn.leave == Ids{1});
  CHECK(turn.next == kStart + absl::Milliseconds(300) + absl::Nanoseconds(1));
  turn = limit.Take(turn.next, kRoom);
  CHECK(turn.late == Ids{2});
  CHECK(turn.leave.empty());
  CHECK(limit.Take(kStart + absl::Seconds(1), kRoom).leave == Ids{3});
}

TEST_CASE("at its last moment a request still leaves", "[unit]") {
  RateLimit limit({.qps = 1, .burst = 1}, kStart);
  limit.Push(1, Urgency::kWrite, kStart);
  CHECK(limit.Take(kStart, kRoom).leave == Ids{1});
}

TEST_CASE("without room only the lease leaves", "[unit]") {
  RateLimit limit({}, kStart);
  limit.Push(1, Urgency::kWrite, absl::InfiniteFuture());
  limit.Push(2, Urgency::kWrite, absl::InfiniteFuture());
  limit.Push(3, Urgency::kLease, absl::InfiniteFuture());
  RateLimit::Turn turn = limit.Take(kStart, {.all = 0});
  CHECK(turn.leave == Ids{3});
  CHECK(turn.next == absl::InfiniteFuture());  // room is what is missing
  CHECK(limit.Take(kStart, {.all = 1}).leave == Ids{1});
}

TEST_CASE("writes for which there is no room hold up nobody behind them", "[unit]") {
  RateLimit limit({}, kStart);
  for (const RequestId id : {1, 2, 3}) limit.Push(id, Urgency::kWrite, absl::InfiniteFuture());
  limit.Push(4, Urgency::kAssign, absl::InfiniteFuture());
  limit.Push(5, Urgency::kEvent, absl::InfiniteFuture());
  RateLimit::Turn turn = limit.Take(kStart, {.writes = 2});
  CHECK(turn.leave == Ids{4, 1, 2, 5});
  CHECK(turn.next == absl::InfiniteFuture());  // room is what is missing
  CHECK(limit.Take(kStart, {.writes = 0}).leave.empty());
  CHECK(limit.Take(kStart, {.writes = 1}).leave == Ids{3});
}

TEST_CASE("changes that hang leave room for each other and for what comes after them", "[unit]") {
  RateLimit limit({}, kStart);
  for (const RequestId id : {1, 2, 3, 4}) limit.Push(id, Urgency::kAssign, absl::InfiniteFuture());
  for (const RequestId id : {5, 6, 7, 8}) limit.Push(id, Urgency::kWrite, absl::InfiniteFuture());
  for (const RequestId id : {9, 10, 11, 12}) limit.Push(id, Urgency::kRead, absl::InfiniteFuture());
  RateLimit::Turn turn = limit.Take(kStart, {.all = 6, .changes = 4, .assigns = 3, .writes = 3});
  CHECK(turn.leave == Ids{1, 2, 3, 5, 9, 10});
  CHECK(turn.next == absl::InfiniteFuture());
  CHECK(limit.Take(kStart, {.all = 2, .changes = 0, .assigns = 0, .writes = 2}).leave == Ids{11, 12});
  CHECK(limit.Take(kStart, kRoom).leave == Ids{4, 6, 7, 8});
}

TEST_CASE("a pause holds everything back but the lease, then the burst goes on", "[unit]") {
  RateLimit limit({}, kStart);
  limit.PauseUntil(kStart + absl::Seconds(2), Urgency::kWrite);
  limit.PauseUntil(kStart + absl::Seconds(1), Urgency::kRead);
  limit.Push(1, Urgency::kEvent, absl::InfiniteFuture());
  limit.Push(2, Urgency::kWrite, absl::InfiniteFuture());
  limit.Push(3, Urgency::kLease, absl::InfiniteFuture());
  RateLimit::Turn turn = limit.Take(kStart, kRoom);
  CHECK(turn.leave == Ids{3});
  CHECK(turn.next == kStart + absl::Seconds(2));
  limit.Push(4, Urgency::kLease, absl::InfiniteFuture());
  CHECK(limit.Take(kStart + absl::Seconds(1), kRoom).leave == Ids{4});
  CHECK(limit.Take(turn.next, kRoom).leave == Ids{2, 1});
}

TEST_CASE("the lease waits for as long as it was told itself, and no longer", "[unit]") {
  RateLimit limit({}, kStart);
  limit.PauseUntil(kStart + absl::Seconds(1), Urgency::kLease);
  limit.PauseUntil(kStart + absl::Seconds(5), Urgency::kRead);
  limit.Push(1, Urgency::kLease, absl::InfiniteFuture());
  limit.Push(2, Urgency::kWrite, absl::InfiniteFuture());
  RateLimit::Turn turn = limit.Take(kStart, kRoom);
  CHECK(turn.leave.empty());
  CHECK(turn.next == kStart + absl::Seconds(1));
  turn = limit.Take(turn.next, kRoom);
  CHECK(turn.leave == Ids{1});
  CHECK(turn.next == kStart + absl::Seconds(5));
  CHECK(limit.Take(turn.next, kRoom).leave == Ids{2});
}

TEST_CASE("what was removed costs no token", "[unit]") {
  RateLimit limit({.qps = 1, .burst = 1}, kStart);
  limit.Push(1, Urgency::kWrite, kStart + absl::Seconds(1));
  limit.Push(2, Urgency::kWrite, absl::InfiniteFuture());
  CHECK(limit.Remove(1));
  CHECK_FALSE(limit.Remove(1));
  CHECK(limit.Take(kStart, kRoom).leave == Ids{2});
  CHECK(limit.waiting() == 0);
}

TEST_CASE("law: following `next` sends everything, no more than burst and rate allow", "[unit]") {
  Property("each leaves once, at most burst + qps * time", 2000, [] {
    const auto urgencies = *rc::gen::container<std::vector<int>>(rc::gen::inRange(0, static_cast<int>(kUrgencies)));
    const int burst = *rc::gen::inRange(1, 20), qps = *rc::gen::inRange(1, 500);
    RateLimit limit({.qps = static_cast<double>(qps), .burst = static_cast<double>(burst)}, kStart);
    RequestId last = 0;
    for (const int urgency : urgencies) limit.Push(++last, static_cast<Urgency>(urgency), absl::InfiniteFuture());
    std::set<RequestId> left;
    absl::Time now = kStart;
    for (std::size_t turns = 0; now != absl::InfiniteFuture(); ++turns) {
      RC_ASSERT(turns <= urgencies.size() + 1);
      const RateLimit::Turn turn = limit.Take(now, kRoom);
      for (const RequestId id : turn.leave) RC_ASSERT(left.insert(id).second);
      RC_ASSERT(static_cast<double>(left.size()) <= burst + absl::ToDoubleSeconds(now - kStart) * qps + 1e-6);
      now = turn.next;
    }
    RC_ASSERT(left.size() == urgencies.size());
  });
}

}  // namespace
}  // namespace berth::kube
