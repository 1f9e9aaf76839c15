// SPDX-License-Identifier: Apache-2.0
// PcapFramePort while somebody asks as fast as the wire carries: many hosts are all answered; one alone has what one
// host may have, and the others are answered beside it. Needs root.
#include <algorithm>
#include <atomic>
#include <thread>

#include "agent/effect/l2/source_limits.h"
#include "tests/net/l2/port_world.h"
#include "tests/unit/agent/l2/ndp_bytes.h"

namespace berth::agent {
namespace {

// Another host on the far side, 10.0.0.HOST.
MacAddr MacOf(std::uint8_t host) { return MacAddr({0x02, 0x00, 0x00, 0x00, 0x01, host}); }
Frame AskAs(std::uint8_t host) {
  return ArpBytes(MacAddr::Broadcast(), MacOf(host), 1, MacOf(host), "10.0.0." + std::to_string(host), MacAddr(),
                  "10.0.0.10");
}
Frame AnswerTo(std::uint8_t host) {
  Frame frame = ArpBytes(MacOf(host), Lan::NearMac(), 2, Lan::NearMac(), "10.0.0.10", MacOf(host),
                         "10.0.0." + std::to_string(host));
  frame.resize(60);
  return frame;
}

// And in IPv6, of the MAC that ends in these two hex digits.
Frame SolicitAs(const std::string& digits) {
  const std::string mac = "0200000001" + digits;
  return testing::Ndp(testing::kVipGroupMac, mac, testing::kAsker, testing::kVipGroup, "87", "00", testing::kVip,
                      "0101" + mac);
}
Frame AdvertTo(const std::string& digits) {
  std::string near = Lan::NearMac().ToString();
  std::erase(near, ':');
  return testing::Ndp("0200000001" + digits, near, testing::kVip, testing::kAsker, "88", "40", testing::kVip,
                      "0201" + near);
}

constexpr std::uint16_t kIpv6 = 0x86dd;
constexpr int kRequests = 50'000;

// Sends one frame as fast as it can, from its making until its end.
class Flood {
 public:
  Flood(RawSocket socket, Frame frame) : socket_(std::move(socket)), frame_(std::move(frame)) {
    thread_ = std::thread([this] {
      while (!ended_) socket_.Send(frame_);
    });
  }
  ~Flood() { End(); }
  void End() {
    ended_ = true;
    if (thread_.joinable()) thread_.join();
  }

 private:
  RawSocket socket_;
  const Frame frame_;
  std::atomic<bool> ended_{false};
  std::thread thread_;
};

// Asks again and again, as hosts do, until it hears `answer`.
bool Hears(RawSocket& client, const Frame& request, const Frame& answer) {
  const absl::Time deadline = absl::Now() + kSoon;
  for (absl::Time asked = absl::InfinitePast(); absl::Now() < deadline;) {
    if (absl::Now() - asked > absl::Milliseconds(100)) {
      client.Send(request);
      asked = absl::Now();
    }
    if (client.Receive(absl::Milliseconds(20)) == answer) return true;
  }
  return false;
}

// Ten hosts send their `requests` in turn, each less than one host may, until 50,000 have one of `answers`. Meanwhile
// `publish` is called again and again; returns the longest that took.
absl::Duration Crowd(PortWorld& w, RawSocket& client, const std::vector<Frame>& requests,
                     const std::vector<Frame>& answers, const std::function<void()>& publish) {
  constexpr int kWindow = 512;
  int answered = 0;
  std::thread flood([&] {
    int sent = 0;
    while (answered < kRequests) {
      for (; sent < kRequests && sent - answered < kWindow; ++sent)
        client.Send(requests[static_cast<std::size_t>(sent) % requests.size()]);
      const std::optional<Frame> got = client.Receive(absl::Seconds(2));
      if (!got.has_value()) return;
      if (std::find(answers.begin(), answers.end(), *got) != answers.end()) ++answered;
    }
  });
  absl::Duration slowest;
  std::atomic<bool> over{false};
  std::thread watcher([&] {
    flood.join();
    over = true;
  });
  w.RunUntil([&] {
    const absl::Time start = w.loop_->Now();
    publish();
    slowest = std::max(slowest, w.loop_->Now() - start);
    return over.load();
  });
  watcher.join();
  CHECK(answered == kRequests);
  return slowest;
}

void CheckAllAnswered(PortWorld& w, AnswerStats PortStats::* family, const PortStats& before) {
  const auto answered = [&] { return (w.NearStats().*family).replies - (before.*family).replies; };
  w.RunUntil([&] { return answered() >= kRequests; });  // counted after they left
  CHECK(answered() == kRequests);
  CHECK((w.NearStats().*family).limited == (before.*family).limited);
  CHECK(w.NearStats().dropped == 0);
}

TEST_CASE("a flood of 50,000 requests is answered, while the loop turns and publishes", "[net]") {
  PortWorld w;
  REQUIRE(w.Answers());
  const PortStats before = w.NearStats();
  std::vector<Frame> requests, replies;
  for (std::uint8_t host = 101; host <= 110; ++host) {
    requests.push_back(AskAs(host));
    replies.push_back(AnswerTo(host));
  }
  // Rebuilds the table and publishes it in the midst of the flood.
  const absl::Duration slowest = Crowd(w, w.client_, requests, replies, [&] { w.Answer({"10.0.0.10"}); });
  CheckAllAnswered(w, &PortStats::arp, before);
  INFO("slowest turn with Publish: " << slowest);
  CHECK(slowest < absl::Milliseconds(250));
}

TEST_CASE("a flood of 50,000 solicitations is answered, while the loop turns and publishes", "[net]") {
  PortWorld w;
  w.Answer({"10.0.0.10", "fd00::10"});
  REQUIRE(w.Answers());
  const PortStats before = w.NearStats();
  std::vector<Frame> requests, answers;
  for (const char* digits : {"a1", "a2", "a3", "a4", "a5", "a6", "a7", "a8", "a9", "aa"}) {
    requests.push_back(SolicitAs(digits));
    answers.push_back(AdvertTo(digits));
  }
  RawSocket client = w.lan_.Far(kIpv6);
  const absl::Duration slowest = Crowd(w, client, requests, answers, [&] { w.Answer({"10.0.0.10", "fd00::10"}); });
  CheckAllAnswered(w, &PortStats::ndp, before);
  INFO("slowest turn with Publish: " << slowest);
  CHECK(slowest < absl::Milliseconds(250));
}

TEST_CASE("a host that floods has what one host may have, and others are answered beside it", "[net]") {
  PortWorld w;
  REQUIRE(w.Answers());
  const PortStats before = w.NearStats();
  const absl::Time began = absl::Now();
  Flood flood(w.lan_.Far(), AskAs(66));
  std::uint64_t asked = 0;
  w.RunUntil([&] {
    CHECK(Hears(w.client_, AskAs(99), AnswerTo(99)));
    ++asked;
    return w.NearStats().arp.limited >= before.arp.limited + 20'000;
  });
  flood.End();
  CHECK(Hears(w.client_, AskAs(66), AnswerTo(66)));  // the flood is over
  const double seconds = absl::ToDoubleSeconds(absl::Now() - began);
  const PortStats after = w.NearStats();
  const auto most = static_cast<std::uint64_t>(SourceLimits::kBurst + 1 + seconds * SourceLimits::kPerSecond);
  // The other host may have asked once more for each answer that was late.
  CHECK(after.arp.replies - before.arp.replies <= most + asked + static_cast<std::uint64_t>(seconds * 10) + 1);
  CHECK(after.arp.replies - before.arp.replies >= SourceLimits::kBurst);
  CHECK(after.arp.requests - before.arp.requests >=
        after.arp.replies - before.arp.replies + after.arp.limited - before.arp.limited);
}

TEST_CASE("a flood of solicitations is limited alike, and counted for itself", "[net]") {
  PortWorld w;
  w.Answer({"10.0.0.10", "fd00::10"});
  REQUIRE(w.Answers());
  RawSocket client = w.lan_.Far(kIpv6);
  Flood flood(w.lan_.Far(kIpv6), SolicitAs("66"));
  w.RunUntil([&] {
    CHECK(Hears(client, SolicitAs("99"), AdvertTo("99")));
    return w.NearStats().ndp.limited > 0;
  });
  flood.End();
  w.RunUntil([&] { return w.NearStats().ndp.replies >= SourceLimits::kBurst; });  // counted after they left
  CHECK(w.NearStats().arp.limited == 0);
}

}  // namespace
}  // namespace berth::agent
