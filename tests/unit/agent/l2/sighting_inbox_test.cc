// SPDX-License-Identifier: Apache-2.0
#include "agent/effect/l2/sighting_inbox.h"

#include <catch2/catch.hpp>
#include <cmath>
#include <utility>

#include "agent/effect/l2/port_counters.h"
#include "tests/fakes/manual_event_loop.h"

namespace berth::agent {
namespace {

class Ears : public FramePort::Observer {
 public:
  void OnSighting(const Sighting& sighting) override { heard.push_back(sighting); }
  void OnInterfaceError(int, const absl::Status& status) override { errors.push_back(status); }
  void OnInterfaceOpen(int ifindex) override { opened.push_back(ifindex); }
  std::vector<Sighting> heard;
  std::vector<absl::Status> errors;
  std::vector<int> opened;
};

Sighting Claim(std::uint32_t address, bool gratuitous = false) {
  return {.ifindex = 2, .address = IpAddr::V4(address), .mac = MacAddr(), .request = true, .gratuitous = gratuitous};
}

struct World {
  ManualEventLoop loop;
  Ears ears;
  std::shared_ptr<SightingInbox> inbox = std::make_shared<SightingInbox>(loop, ears);
};

TEST_CASE("the first sighting is posted at once, the next batch no sooner than the interval", "[unit]") {
  World w;
  CHECK(w.inbox->Flush(w.loop.Now()) == absl::InfiniteDuration());
  w.inbox->Add(Claim(1));
  CHECK(w.inbox->Flush(w.loop.Now()) == absl::InfiniteDuration());
  w.loop.RunUntilIdle();
  CHECK(w.ears.heard.size() == 1);

  w.inbox->Add(Claim(1));
  CHECK(w.inbox->Flush(w.loop.Now()) == SightingInbox::kMinInterval);
  w.loop.RunUntilIdle();
  CHECK(w.ears.heard.size() == 1);
  w.loop.Advance(SightingInbox::kMinInterval);
  CHECK(w.inbox->Flush(w.loop.Now()) == absl::InfiniteDuration());
  w.loop.RunUntilIdle();
  CHECK(w.ears.heard.size() == 2);
}

TEST_CASE("equal sightings are merged until delivered, and a gratuitous one wins", "[unit]") {
  World w;
  w.inbox->Add(Claim(1));
  w.inbox->Add(Claim(1, /*gratuitous=*/true));
  w.inbox->Add(Claim(1));
  w.inbox->Add(Claim(2));
  w.inbox->Flush(w.loop.Now());
  w.loop.RunUntilIdle();
  REQUIRE(w.ears.heard.size() == 2);
  CHECK(w.ears.heard[0].gratuitous);
}

TEST_CASE("a flood of different claims costs the loop one task and a bounded batch", "[unit]") {
  World w;
  for (std::uint32_t i = 0; i < 5 * SightingInbox::kMaxPending; ++i) {
    w.inbox->Add(Claim(i));
    w.inbox->Flush(w.loop.Now());
  }
  CHECK(w.loop.RunUntilIdle() == 1);
  CHECK(w.ears.heard.size() == SightingInbox::kMaxPending);
}

TEST_CASE("after Detach nobody is called, though a delivery was posted and the inbox is gone", "[unit]") {
  World w;
  w.inbox->Add(Claim(1));
  w.inbox->Flush(w.loop.Now());
  w.inbox->PostError(2, absl::NotFoundError("gone"));
  w.inbox->Detach();
  w.inbox.reset();
  CHECK(w.loop.RunUntilIdle() == 2);
  CHECK(w.ears.heard.empty());
  CHECK(w.ears.errors.empty());
}

TEST_CASE("the histogram of answer times is cumulative and ends with all of them", "[unit]") {
  PortCounters counters;
  PortCounters::Answers& answers = counters.ndp;
  answers.ObserveReply(absl::Microseconds(5));
  answers.ObserveReply(absl::Microseconds(5) + absl::Nanoseconds(1));
  answers.ObserveReply(absl::Seconds(3));
  answers.ObserveReply(absl::Seconds(-1));  // the clock was set back: counts as nothing
  const AnswerStats stats = counters.Read("eth0").ndp;
  CHECK(counters.Read("eth0").arp.reply_seconds.back().second == 0);
  REQUIRE(stats.reply_seconds.size() > 2);
  CHECK(stats.reply_seconds[0] == std::pair<double, std::uint64_t>(5e-6, 2));
  CHECK(stats.reply_seconds[1].second == 3);
  CHECK(stats.reply_seconds.back().second == 4);
  CHECK(std::isinf(stats.reply_seconds.back().first));
  CHECK(stats.reply_seconds_sum == Approx(3.00001));
}

}  // namespace
}  // namespace berth::agent
