// SPDX-License-Identifier: Apache-2.0
// The small parts of the core by themselves: Announcer, Prober, Conflicts.
#include <algorithm>
#include <catch2/catch.hpp>
#include <vector>

#include "agent/core/announcer.h"
#include "agent/core/conflicts.h"
#include "agent/core/prober.h"

namespace berth::agent {
namespace {

const absl::Time kStart = absl::UnixEpoch() + absl::Hours(1);
IpAddr At(std::uint32_t n) { return IpAddr::V4(0x0a000000 + n); }
MacAddr MacOf(std::uint8_t n) { return MacAddr({2, 0, 0, 0, 0, n}); }

TEST_CASE("first announcements of all come before repeats of any", "[unit]") {
  Announcer announcer;
  for (std::uint32_t i = 0; i < 150; ++i) announcer.Gain(At(i));
  CHECK(announcer.Take(kStart).size() == 150);
  const absl::Time later = kStart + absl::Milliseconds(1100);  // the repeats are due
  for (std::uint32_t i = 1000; i < 1300; ++i) announcer.Gain(At(i));
  for (const auto& due : announcer.Take(later)) CHECK(due.first);
  CHECK(announcer.Next(later) == later + Pace::kSlice);
  std::size_t firsts = 0, repeats = 0;
  for (const auto& due : announcer.Take(later + Pace::kSlice)) ++(due.first ? firsts : repeats);
  CHECK(firsts == 100);
  CHECK(repeats == 100);
}

TEST_CASE("a cancelled address is not announced again, one regained begins anew", "[unit]") {
  Announcer announcer;
  announcer.Gain(At(1));
  announcer.Cancel(At(1));
  CHECK(announcer.Take(kStart).empty());
  CHECK(announcer.Next(kStart) == absl::InfiniteFuture());
  announcer.Gain(At(1));
  CHECK(announcer.Take(kStart).size() == 1);
  announcer.Cancel(At(1));
  announcer.Gain(At(1));
  CHECK(announcer.Take(kStart + absl::Seconds(1)).size() == 1);
  CHECK(announcer.Take(kStart + absl::Milliseconds(2000)).empty());
  CHECK(announcer.Take(kStart + absl::Milliseconds(2100)).size() == 1);
}

// All that is sent until that time of one address, which is gained anew at each of `gains`.
std::vector<absl::Duration> SentUntil(Announcer& announcer, absl::Duration end, std::vector<absl::Duration> gains) {
  std::vector<absl::Duration> sent;
  for (absl::Duration at; at <= end; at += absl::Milliseconds(100)) {
    if (std::find(gains.begin(), gains.end(), at) != gains.end()) announcer.Gain(At(1));
    for (const auto& due : announcer.Take(kStart + at)) {
      CHECK(due.address == At(1));
      sent.push_back(at);
    }
  }
  return sent;
}

TEST_CASE("an address gained anew within seconds is repeated less, lest minds that change flood a LAN", "[unit]") {
  const auto ms = [](int n) { return absl::Milliseconds(n); };
  Announcer announcer;
  CHECK(SentUntil(announcer, absl::Seconds(20), {ms(0), ms(2400), ms(5400)}) ==
        std::vector{ms(0), ms(1100), ms(2400), ms(3500), ms(5400), ms(6500), ms(10400)});
  Announcer other;  // one that has said all is as one never gained
  CHECK(SentUntil(other, absl::Seconds(40), {ms(0), ms(10000), ms(30000)}).size() == 15);
}

TEST_CASE("that an address was gained lately outlives its end", "[unit]") {
  Announcer announcer;
  announcer.Gain(At(1));
  CHECK(announcer.Take(kStart).size() == 1);
  announcer.Cancel(At(1));
  CHECK(SentUntil(announcer, absl::Seconds(12), {absl::Seconds(1)}) ==
        std::vector{absl::Seconds(1), absl::Milliseconds(2100), absl::Seconds(6)});
}

TEST_CASE("repeats missed in a pause are not made up for in a burst", "[unit]") {
  Announcer announcer;
  announcer.Gain(At(1));
  CHECK(announcer.Take(kStart).size() == 1);
  CHECK(announcer.Take(kStart + absl::Minutes(1)).size() == 1);
}

TEST_CASE("one round of probes is under way under one number", "[unit]") {
  Prober prober;
  CHECK(prober.Start({1, 1}, sync::ProbeKind::kTakeOver, absl::Milliseconds(30), {{At(1), 2}}, {}));
  CHECK_FALSE(prober.Start({1, 1}, sync::ProbeKind::kTakeOver, absl::Milliseconds(30), {{At(1), 2}}, {}));
}

TEST_CASE("an answer counts on the interface asked only, and once for each MAC", "[unit]") {
  Prober prober;
  prober.Start({1, 1}, sync::ProbeKind::kNewAddress, absl::Milliseconds(30), {{At(1), 2}}, {});
  CHECK(prober.Take(kStart).size() == 1);
  prober.Heard(3, At(1), MacOf(1));
  prober.Heard(2, At(1), MacOf(2));
  prober.Heard(2, At(1), MacOf(2));
  prober.Heard(2, At(1), MacOf(3));
  const auto finished = prober.Finished(kStart + absl::Milliseconds(30));
  REQUIRE(finished.size() == 1);
  CHECK(finished[0].answers.at(0).macs == std::vector<MacAddr>{MacOf(2), MacOf(3)});
  CHECK(prober.Finished(kStart + absl::Hours(1)).empty());
  CHECK(prober.watched().empty());
}

TEST_CASE("a census asks three times, and goes on listening after an answer", "[unit]") {
  Prober prober;
  prober.Start({1, 1}, sync::ProbeKind::kCensus, absl::Milliseconds(300), {{At(1), 2}}, {});
  CHECK(prober.InCensus(2, At(1)));
  CHECK_FALSE(prober.InCensus(3, At(1)));
  CHECK(prober.Take(kStart).size() == 1);
  prober.Heard(2, At(1), MacOf(1));
  CHECK(prober.Finished(kStart + absl::Milliseconds(299)).empty());
  CHECK(prober.Take(kStart + absl::Milliseconds(100)).size() == 1);
  CHECK(prober.Take(kStart + absl::Milliseconds(200)).size() == 1);
  prober.Heard(2, At(1), MacOf(2));
  const auto finished = prober.Finished(kStart + absl::Milliseconds(300));
  REQUIRE(finished.size() == 1);
  CHECK(finished[0].answers.at(0).macs == std::vector<MacAddr>{MacOf(1), MacOf(2)});
  CHECK_FALSE(prober.InCensus(2, At(1)));
  prober.Start({1, 2}, sync::ProbeKind::kTakeOver, absl::Milliseconds(300), {{At(1), 2}}, {});
  CHECK_FALSE(prober.InCensus(2, At(1)));
}
TEST_CASE("an address asked late in a large round has its full time", "[unit]") {
  Prober prober;
  std::vector<Prober::Target> many;
  for (std::uint32_t i = 0; i < 600; ++i) many.push_back({At(i), 2});
  prober.Start({1, 1}, sync::ProbeKind::kTakeOver, absl::Milliseconds(30), many, {});
  CHECK(prober.Take(kStart).size() == 500);
  CHECK(prober.Take(kStart + absl::Milliseconds(10)).size() == 100);
  CHECK(prober.Finished(kStart + absl::Milliseconds(39)).empty());
  CHECK(prober.Finished(kStart + absl::Milliseconds(40)).size() == 1);
}

TEST_CASE("rounds of a leader that is gone are forgotten, our own go on", "[unit]") {
  Prober prober;
  prober.Start({1, 1}, sync::ProbeKind::kTakeOver, absl::Milliseconds(30), {{At(1), 2}}, {});
  prober.Start({0, 1}, sync::ProbeKind::kTakeOver, absl::Milliseconds(30), {{At(1), 2}}, {});
  prober.CancelForLeader();
  CHECK(prober.Take(kStart).size() == 1);
  const auto finished = prober.Finished(kStart + absl::Milliseconds(30));
  REQUIRE(finished.size() == 1);
  CHECK(finished[0].id.term == 0);
}

TEST_CASE("a conflict lasts 30 seconds from the last claim", "[unit]") {
  Conflicts conflicts;
  CHECK(conflicts.Seen(At(1), "eth0", MacOf(1), kStart).fresh);
  CHECK_FALSE(conflicts.Seen(At(1), "eth0", MacOf(1), kStart + absl::Seconds(5)).fresh);
  CHECK_FALSE(conflicts.Expire(kStart + absl::Seconds(34)));
  CHECK(conflicts.list().size() == 1);
  CHECK(conflicts.Expire(kStart + absl::Seconds(35)));
  CHECK(conflicts.list().empty());
  CHECK(conflicts.Next() == absl::InfiniteFuture());
}

}  // namespace
}  // namespace berth::agent
