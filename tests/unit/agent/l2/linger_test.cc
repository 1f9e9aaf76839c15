// SPDX-License-Identifier: Apache-2.0
#include "agent/effect/l2/linger.h"

#include <catch2/catch.hpp>

namespace berth::agent {
namespace {

constexpr absl::Duration kStep = absl::Microseconds(10);

// A thread that answers and looks, on a clock that is moved by hand.
class Thread {
 public:
  // Answers what comes `after` the last answer, which it finds looking or sleeps until.
  void Answer(absl::Duration after) {
    now_ += after;
    linger_.Answered(now_);
  }
  bool Looks(absl::Duration after = absl::ZeroDuration()) {
    now_ += after;
    return linger_.Looks(now_);
  }
  // A close answer, then a look until it is over; whether there was one.
  bool LooksInVain() {
    Answer(kStep);
    const bool looked = Looks();
    Looks(Linger::kLook);
    return looked;
  }

 private:
  Linger linger_;
  absl::Time now_ = absl::UnixEpoch();
};

TEST_CASE("a single answer, and answers far apart, are followed by sleep", "[unit]") {
  Thread t;
  CHECK_FALSE(t.Looks());
  for (int i = 0; i < 10; ++i) {
    t.Answer(Linger::kClose);
    CHECK_FALSE(t.Looks());
  }
}

TEST_CASE("an answer close upon another is followed by a look that ends", "[unit]") {
  Thread t;
  t.Answer(kStep);
  t.Answer(Linger::kClose - absl::Nanoseconds(1));
  CHECK(t.Looks());
  CHECK(t.Looks(Linger::kLook - absl::Nanoseconds(1)));
  CHECK_FALSE(t.Looks(absl::Nanoseconds(1)));
  CHECK_FALSE(t.Looks());
}

TEST_CASE("a burst is looked for to its end", "[unit]") {
  Thread t;
  t.Answer(kStep);
  for (int i = 0; i < 10'000; ++i) {
    t.Answer(kStep);
    REQUIRE(t.Looks());
  }
}

TEST_CASE("looks in vain are given up for a rest, then tried one at a time", "[unit]") {
  Thread t;
  t.Answer(kStep);
  for (int i = 0; i < Linger::kMisses; ++i) CHECK(t.LooksInVain());
  for (int round = 0; round < 3; ++round) {
    for (int i = 0; i < Linger::kRest; ++i) REQUIRE_FALSE(t.LooksInVain());
    CHECK(t.LooksInVain());
  }
}

TEST_CASE("a look that finds something makes up for those in vain", "[unit]") {
  Thread t;
  t.Answer(kStep);
  for (int i = 0; i < 10; ++i) {
    for (int miss = 0; miss < Linger::kMisses - 1; ++miss) REQUIRE(t.LooksInVain());
    t.Answer(kStep);
    REQUIRE(t.Looks());
    t.Answer(kStep);  // found
    REQUIRE(t.Looks());
  }
}

}  // namespace
}  // namespace berth::agent
