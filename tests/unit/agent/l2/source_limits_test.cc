// SPDX-License-Identifier: Apache-2.0
#include "agent/effect/l2/source_limits.h"

#include <catch2/catch.hpp>
#include <memory>
#include <random>

namespace berth::agent {
namespace {

constexpr std::int64_t kMicro = 1'000;
constexpr std::int64_t kSecond = 1'000'000'000;
constexpr std::int64_t kStart = 1'700'000'000 * kSecond;  // a wall clock's
constexpr std::int64_t kBurst = SourceLimits::kBurst;
constexpr std::int64_t kPerSecond = SourceLimits::kPerSecond;

MacAddr Mac(std::uint64_t number) {
  std::array<std::uint8_t, 6> bytes{};
  for (std::size_t i = 0; i < bytes.size(); ++i) bytes[i] = static_cast<std::uint8_t>(number >> (40 - 8 * i));
  return MacAddr(bytes);
}

struct Limited {
  std::unique_ptr<SourceLimits> limits = std::make_unique<SourceLimits>();
  std::int64_t now = kStart;

  bool Ask(std::uint64_t source) { return limits->Admit(Mac(source), now); }
  // Asks `count` times at once; how many are answered.
  std::int64_t AskMany(std::uint64_t source, std::int64_t count) {
    std::int64_t answered = 0;
    for (std::int64_t i = 0; i < count; ++i) answered += Ask(source) ? 1 : 0;
    return answered;
  }
};

constexpr std::uint64_t kFlooder = 0x02005e100066, kHonest = 0x02005e100099;

TEST_CASE("a burst is answered whole, what goes beyond it is not", "[unit]") {
  Limited l;
  CHECK(l.AskMany(kFlooder, kBurst) == kBurst);
  CHECK(l.AskMany(kFlooder, 1000) == 0);
  CHECK(l.Ask(kHonest));  // nobody else pays for it
}

TEST_CASE("the account is paid off at its rate, up to a whole burst and no further", "[unit]") {
  Limited l;
  l.AskMany(kFlooder, kBurst);
  l.now += kSecond / kPerSecond - 1;
  CHECK_FALSE(l.Ask(kFlooder));
  l.now += 1;
  CHECK(l.AskMany(kFlooder, 10) == 1);
  l.now += kSecond / 10;
  CHECK(l.AskMany(kFlooder, kBurst) == kPerSecond / 10);
  l.now += 3600 * kSecond;
  CHECK(l.AskMany(kFlooder, 2 * kBurst) == kBurst);
}

TEST_CASE("one that asks a million times a second has its rate, however long it goes on", "[unit]") {
  Limited l;
  std::int64_t answered = 0;
  for (std::int64_t i = 0; i < 10 * 1'000'000; ++i, l.now += kMicro) answered += l.Ask(kFlooder) ? 1 : 0;
  CHECK(answered >= kBurst + 10 * kPerSecond - 1);
  CHECK(answered <= kBurst + 10 * kPerSecond + 1);
}

TEST_CASE("who keeps to the rate never notices, be it for ever", "[unit]") {
  Limited l;
  for (std::int64_t i = 0; i < 1'000'000; ++i, l.now += kSecond / kPerSecond) REQUIRE(l.Ask(kHonest));
  // A router that boots.
  l.now += kSecond;
  CHECK(l.AskMany(kHonest, 10'000) == 10'000);
  l.now += kSecond;
  CHECK(l.AskMany(kHonest, 10'000) == 10'000);
}

TEST_CASE("beside a flooder everybody is answered, whichever set its MAC falls into", "[unit]") {
  Limited l;
  l.AskMany(kFlooder, 2 * kBurst);
  for (std::uint64_t other = 1; other <= 100'000; ++other) {
    REQUIRE(l.Ask(other));
    if (other % 16 != 0) continue;
    l.now += kMicro;
    l.AskMany(kFlooder, 20);  // so that it goes on owing most
  }
  CHECK(l.AskMany(kFlooder, 1000) == 0);
}

TEST_CASE("a million forged MACs cost an honest host nothing, and a flooder with one MAC gains nothing by them",
          "[unit]") {
  Limited l;
  std::mt19937_64 random(1);
  l.AskMany(kFlooder, kBurst);
  std::int64_t answered = 0;
  for (int i = 0; i < 1'000'000; ++i, l.now += kMicro) {
    l.Ask(random() & 0xfeffffffffff);
    answered += l.Ask(kFlooder) ? 1 : 0;
    if (i % 10'000 == 0) REQUIRE(l.Ask(kHonest));
  }
  CHECK(answered <= kPerSecond + 1);
}

TEST_CASE("more flooders than places: each new one is let in, nobody is locked out", "[unit]") {
  Limited l;
  for (std::uint64_t source = 1; source <= 8 * SourceLimits::kSets * SourceLimits::kWays; ++source) {
    REQUIRE(l.AskMany(source, 100) == 100);
  }
  for (std::uint64_t source = 1; source <= 10'000; ++source) REQUIRE(l.Ask((1ULL << 40) + source));
}

TEST_CASE("a clock that is set back or on locks nobody out", "[unit]") {
  for (const std::int64_t by : {-3600 * kSecond, -5 * kSecond, 5 * kSecond, 3600 * kSecond}) {
    Limited l;
    l.AskMany(kFlooder, kBurst);
    l.now += by;
    CHECK(l.AskMany(kFlooder, 2 * kBurst) == kBurst);
  }
  // By a little: one that owed nothing, or little, is answered as before.
  Limited l;
  CHECK(l.AskMany(kHonest, 100) == 100);
  l.now -= kSecond / 2;
  CHECK(l.AskMany(kHonest, 100) == 100);
}

TEST_CASE("the clock's beginning is a time like any other", "[unit]") {
  Limited l;
  l.now = 0;
  CHECK(l.AskMany(kFlooder, 2 * kBurst) == kBurst);
  l.now = kSecond / 2;
  CHECK(l.AskMany(kFlooder, 2 * kBurst) == kPerSecond / 2);
}

}  // namespace
}  // namespace berth::agent
