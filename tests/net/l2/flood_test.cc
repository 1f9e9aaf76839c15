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

using testing::Bytes;

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

TEST_CASE("a flood of 50,000 requests is answered, while the loop turns and publishes", "[net]") {
  PortWorld w;
  REQUIRE(w.Answers());
  constexpr int kRequests = 50'000;
  constexpr int kWindow = 512;
  const PortStats before = w.NearStats();
  // Ten hosts ask in turn: each less than one host may.
  std::vector<Frame> requests, replies;
  for (std::uint8_t host = 101; host <= 110; ++host) {
    requests.push_back(AskAs(host));
    replies.push_back(AnswerTo(host));
  }
  int answered = 0;
  std::thread flood([&] {
    int sent = 0;
    while (answered < kRequests) {
      for (; sent < kRequests && sent - answered < kWindow; ++sent)
        w.client_.Send(requests[static_cast<std::size_t>(sent) % requests.size()]);
      const std::optional<Frame> got = w.client_.Receive(absl::Seconds(2));
      if (!got.has_value()) return;
      if (std::find(replies.begin(), replies.end(), *got) != replies.end()) ++answered;
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
    w.Answer({"10.0.0.10"});  // rebuilds the table and publishes it in the midst of the flood
    slowest = std::max(slowest, w.loop_->Now() - start);
    return over.load();
  });
  watcher.join();
  CHECK(answered == kRequests);
  w.RunUntil([&] { return w.NearStats().arp.replies - before.arp.replies >= kRequests; });  // counted after they left
  CHECK(w.NearStats().arp.replies - before.arp.replies == kRequests);
  CHECK(w.NearStats().arp.limited == before.arp.limited);
  CHECK(w.NearStats().dropped == 0);
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
  const std::string flooder = "020000000166", other = "020000000199";
  const auto solicitation = [](const std::string& mac) {
    return testing::Ndp(testing::kVipGroupMac, mac, testing::kAsker, testing::kVipGroup, "87", "00", testing::kVip,
                        "0101" + mac);
  };
  std::string near = Lan::NearMac().ToString();
  std::erase(near, ':');
  const Bytes answer =
      testing::Ndp(other, near, testing::kVip, testing::kAsker, "88", "40", testing::kVip, "0201" + near);
  RawSocket client = w.lan_.Far(0x86dd);
  Flood flood(w.lan_.Far(0x86dd), solicitation(flooder));
  w.RunUntil([&] {
    CHECK(Hears(client, solicitation(other), answer));
    return w.NearStats().ndp.limited > 0;
  });
  flood.End();
  w.RunUntil([&] { return w.NearStats().ndp.replies >= SourceLimits::kBurst; });  // counted after they left
  CHECK(w.NearStats().arp.limited == 0);
}

}  // namespace
}  // namespace berth::agent
