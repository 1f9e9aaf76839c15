// SPDX-License-Identifier: Apache-2.0
#include "agent/peer/seat.h"

#include <catch2/catch.hpp>

namespace berth::agent::peer {
namespace {

using Act = Seat::Act;
using State = Seat::State;

const absl::Time kStart = absl::UnixEpoch();
const Timing kTiming;

Scene Hearing(std::uint32_t rank, std::uint32_t heard) { return {.rank = rank, .heard = heard}; }
const Seat::Finding kSilence{.asked = true, .silent = true, .answered_by = -1};

TEST_CASE("a standby leaves the holder alone while it is heard", "[unit]") {
  Seat seat = Seat::Watching(0);
  CHECK_FALSE(seat.Step(Hearing(1, 0b101), kTiming, kStart));
  CHECK_FALSE(seat.Step(Hearing(1, 0b101), kTiming, kStart + absl::Hours(1)));
  CHECK(seat.state() == State::kWatching);
  CHECK(seat.Next() == absl::InfiniteFuture());
}

TEST_CASE("the first candidate asks at once, the next one after its patience", "[unit]") {
  Seat first = Seat::Watching(0);
  CHECK(first.Step(Hearing(1, 0b100), kTiming, kStart));
  Seat second = Seat::Watching(0);
  CHECK_FALSE(second.Step(Hearing(2, 0b010), kTiming, kStart));
  CHECK(second.Next() == kStart + kTiming.patience);
  SECTION("in vain") { CHECK(second.Step(Hearing(2, 0b010), kTiming, kStart + kTiming.patience)); }
  SECTION("unless that one falls silent too") { CHECK(second.Step(Hearing(2, 0), kTiming, kStart)); }
  SECTION("and not when the holder comes back") {
    CHECK_FALSE(second.Step(Hearing(2, 0b011), kTiming, kStart + kTiming.patience));
    CHECK(second.state() == State::kWatching);
  }
}

TEST_CASE("whoever answers the LAN is the holder", "[unit]") {
  Seat seat = Seat::Watching(0);
  REQUIRE(seat.Step(Hearing(1, 0b100), kTiming, kStart));
  SECTION("a candidate that is heard is watched") {
    CHECK(seat.Answered({.asked = true, .silent = false, .answered_by = 2}, Hearing(1, 0b100), kTiming, kStart) ==
          Act::kNone);
    CHECK(seat.state() == State::kWatching);
    CHECK(seat.holder() == 2);
    CHECK(seat.Step(Hearing(1, 0), kTiming, kStart));
  }
  SECTION("somebody who is not heard is asked about again, later") {
    CHECK(seat.Answered({.asked = true, .silent = false, .answered_by = -1}, Hearing(1, 0b100), kTiming, kStart) ==
          Act::kNone);
    CHECK(seat.Next() == kStart + kTiming.ask_again);
  }
  SECTION("nobody: the address is ours, and all others are asked for their claims") {
    CHECK(seat.Answered(kSilence, Hearing(1, 0b100), kTiming, kStart) == Act::kSpeak);
    CHECK(seat.state() == State::kSpeaking);
    CHECK(seat.doubts() == 0b100);
  }
  SECTION("a LAN that could not be asked says nothing") {
    CHECK(seat.Answered({.asked = false, .silent = true, .answered_by = -1}, Hearing(1, 0b100), kTiming, kStart) ==
          Act::kNone);
    CHECK(seat.Next() == kStart + kTiming.ask_soon);
  }
}

TEST_CASE("a holder that comes back while the LAN is asked is asked once more", "[unit]") {
  Seat seat = Seat::Watching(0);
  REQUIRE(seat.Step(Hearing(1, 0), kTiming, kStart));
  CHECK(seat.Answered(kSilence, Hearing(1, 0b001), kTiming, kStart) == Act::kAsk);
  CHECK(seat.Answered(kSilence, Hearing(1, 0b001), kTiming, kStart) == Act::kSpeak);
}

TEST_CASE("of two rivals the higher claim speaks", "[unit]") {
  const Claim higher{.held = true, .led = false, .stamp = {7, 30}, .rank = 1};
  const Claim lower{.held = true, .led = false, .stamp = {7, 12}, .rank = 0};
  Seat seat = Seat::Speaking();
  seat.RivalSpoke(0, Hearing(1, 0b001), kTiming, kStart);
  CHECK(seat.state() == State::kContesting);
  CHECK(seat.doubts() == 0b001);
  SECTION("ours") {
    CHECK(seat.Told(0, lower, Beats(lower, higher, true)) == Act::kSpeak);
    CHECK(seat.state() == State::kSpeaking);
    CHECK(seat.doubts() == 0);
  }
  SECTION("the other's") {
    CHECK(seat.Told(0, higher, Beats(higher, lower, true)) == Act::kHush);
    CHECK(seat.state() == State::kWatching);
    CHECK(seat.holder() == 0);
  }
  SECTION("none after all") { CHECK(seat.Told(0, Claim{}, false) == Act::kSpeak); }
  SECTION("no answer: the LAN is asked, and its silence believed") {
    const absl::Time late = seat.Next();
    CHECK(late == kStart + kTiming.contest + kTiming.patience);
    CHECK(seat.Step(Hearing(1, 0b001), kTiming, late));
    CHECK(seat.Answered(kSilence, Hearing(1, 0b001), kTiming, late) == Act::kSpeak);
  }
}

TEST_CASE("claims are ordered by term, a leader's word, version, rank", "[unit]") {
  const Claim base{.held = true, .led = false, .stamp = {7, 10}, .rank = 1};
  const auto other = [&](auto change) {
    Claim c = base;
    change(c);
    return c;
  };
  const Claim led = other([](Claim& c) { c.led = true; });
  const Claim newer = other([](Claim& c) { c.stamp.version = 99; });
  const Claim term = other([](Claim& c) { c.stamp.term = 8; });
  const Claim better = other([](Claim& c) { c.rank = 0; });
  const Claim none = other([](Claim& c) { c.held = false; });
  const std::vector<Claim> ascending = {none, base, better, newer, led, term};
  for (std::size_t i = 0; i < ascending.size(); ++i) {
    for (std::size_t j = 0; j < ascending.size(); ++j) {
      CAPTURE(i, j);
      if (i != j) CHECK(Beats(ascending[i], ascending[j], false) == (i > j));
    }
  }
  CHECK(Beats(base, base, true));
  CHECK_FALSE(Beats(base, base, false));
}

}  // namespace
}  // namespace berth::agent::peer
