// SPDX-License-Identifier: Apache-2.0
// PcapFramePort against the real kernel: a veth pair, a raw socket or the Linux stack on the far side. Needs root.
#include "agent/effect/l2/pcap_frame_port.h"

#include <catch2/catch.hpp>

#include "agent/effect/l2/announce_frames.h"
#include "tests/net/l2/port_world.h"

namespace berth::agent {
namespace {

TEST_CASE("T110: a broadcast request on the wire gets one unicast answer and no more", "[net]") {
  PortWorld w;
  REQUIRE(w.Answers());
  w.client_.Send(w.Request("10.0.0.10"));
  CHECK(w.client_.Receive(kSoon) == w.Reply("10.0.0.10"));
  CHECK_FALSE(w.client_.Receive(kQuiet).has_value());
}

TEST_CASE("T111: requests for other addresses and replies get no answer", "[net]") {
  PortWorld w;
  REQUIRE(w.Answers());
  CHECK(w.Silent(w.Request("10.0.0.11")));
  CHECK(w.Silent(ArpBytes(MacAddr::Broadcast(), w.far_mac_, 2, w.far_mac_, "10.0.0.1", MacAddr(), "10.0.0.10")));
}

TEST_CASE("T112: a request to a foreign MAC on a promiscuous interface gets no answer", "[net]") {
  PortWorld w;
  Lan::Shell("ip link set near promisc on");
  REQUIRE(w.Answers());
  CHECK(w.Silent(w.Request("10.0.0.10", *MacAddr::Parse("02:00:00:00:00:99"))));
}

TEST_CASE("T113: a request to our own MAC is answered", "[net]") {
  PortWorld w;
  REQUIRE(w.Answers());
  w.client_.Send(w.Request("10.0.0.10", Lan::NearMac()));
  CHECK(w.client_.Receive(kSoon) == w.Reply("10.0.0.10"));
}

TEST_CASE("a VLAN-tagged request is refused by the kernel filter, before the logic", "[net]") {
  PortWorld w;
  REQUIRE(w.Answers());
  const PortStats before = w.NearStats();
  // The receiving kernel moves the tag out of the frame before libpcap's filter sees it.
  const std::uint8_t vlan = GENERATE(std::uint8_t{0}, std::uint8_t{5});
  Frame tagged = w.Request("10.0.0.10");
  tagged.insert(tagged.begin() + 12, {0x81, 0x00, 0x00, vlan});
  CHECK(w.Silent(tagged));
  CHECK(w.NearStats().arp.requests == before.arp.requests);
  CHECK(w.NearStats().malformed == before.malformed);
  CHECK(w.Answers());
}

TEST_CASE("nothing is answered before AnswerUntil was called and after it has passed", "[net]") {
  PortWorld w;
  REQUIRE(w.Answers());
  w.port_.AnswerUntil(w.loop_->Now() - absl::Nanoseconds(1));
  CHECK(w.Silent(w.Request("10.0.0.10")));
  w.port_.AnswerUntil(w.loop_->Now() + kSoon);
  CHECK(w.Answers());
}

TEST_CASE("an address taken out of the table is not answered from the moment Publish returns", "[net]") {
  PortWorld w;
  REQUIRE(w.Answers());
  for (int i = 0; i < 100; ++i) {
    w.Answer({"10.0.0.10"});
    for (int k = 0; k < 20; ++k) w.client_.Send(w.Request("10.0.0.10"));
    w.Answer({});
    // Another asker, so that answers to the earlier requests which are still on their way are told apart.
    w.client_.Send(ArpBytes(MacAddr::Broadcast(), w.far_mac_, 1, w.far_mac_, "10.0.0.2", MacAddr(), "10.0.0.10"));
    while (const std::optional<Frame> got = w.client_.Receive(absl::Milliseconds(2))) {
      REQUIRE((*got)[41] == 1);  // the last byte of the asker's address
    }
  }
}

TEST_CASE("requests for addresses far from ours are not handed over by the kernel", "[net]") {
  PortWorld w;
  w.Answer({"10.0.0.10", "10.0.0.20"});
  REQUIRE(w.Answers());
  const std::uint64_t before = w.NearStats().arp.requests;
  for (const char* each : {"10.0.0.9", "10.0.0.11", "10.0.0.19", "10.0.0.21", "10.9.9.9"})
    w.client_.Send(w.Request(each));
  w.client_.Send(w.Request("10.0.0.20"));
  CHECK(w.client_.Receive(kSoon) == w.Reply("10.0.0.20"));
  w.RunUntil([&] { return w.NearStats().arp.requests > before; });
  CHECK(w.NearStats().arp.requests == before + 1);
}

TEST_CASE("an address put into the table is answered from the moment Publish returns", "[net]") {
  PortWorld w;
  REQUIRE(w.Answers());
  for (int i = 0; i < 200; ++i) {
    const std::string added = "10.0.1." + std::to_string(i + 1);
    w.Answer({"10.0.0.10", added});
    w.client_.Send(w.Request(added));
    REQUIRE(w.client_.Receive(kSoon) == w.Reply(added));
  }
}

TEST_CASE("a table that is published before its interface is open holds for it", "[net]") {
  PortWorld w;
  REQUIRE(w.Answers());
  w.port_.SetInterfaces({});
  w.Answer({"10.0.0.77"});
  w.Open();
  CHECK(w.Answers("10.0.0.77"));
  CHECK(w.Silent(w.Request("10.0.0.10")));
}

TEST_CASE("answers go on after the link was down and up, without opening anew", "[net]") {
  PortWorld w;
  REQUIRE(w.Answers());
  Lan::Shell("ip link set near down");
  Lan::Shell("ip link set near up");
  CHECK(w.Answers());
  CHECK(w.errors_.empty());
}

TEST_CASE("answers go on after the peer lost its carrier and got it back", "[net]") {
  PortWorld w;
  REQUIRE(w.Answers());
  w.lan_.FarShell("ip link set far down");
  w.lan_.FarShell("ip link set far up");
  CHECK(w.Answers());
}

TEST_CASE("answers go on after the interface was renamed and named anew, and it keeps its index", "[net]") {
  PortWorld w;
  REQUIRE(w.Answers());
  const int index = Lan::NearIndex();
  Lan::Shell("ip link set near down && ip link set near name near0 && ip link set near0 up");
  Lan::Shell("ip link property add dev near0 altname near");
  REQUIRE(Lan::NearIndex() == index);
  w.port_.SetInterfaces({{.index = index, .name = "near0", .mac = Lan::NearMac()}});
  CHECK(w.Answers());
}

TEST_CASE("an interface that is down is reported, and answers once it is up and named again", "[net]") {
  PortWorld w;
  REQUIRE(w.Answers());
  Lan::Shell("ip link set near down");
  w.port_.SetInterfaces({});
  w.Open();
  w.RunUntil([&] { return !w.errors_.empty(); });
  CHECK(w.errors_.back().first == Lan::NearIndex());
  CHECK(absl::IsUnavailable(w.errors_.back().second));
  CHECK(absl::IsUnavailable(w.port_.Send(Lan::NearIndex(), "x")));
  Lan::Shell("ip link set near up");
  w.Open();
  CHECK(w.Answers());
}

TEST_CASE("a deleted interface is reported, and its successor of the same name answers", "[net]") {
  PortWorld w;
  REQUIRE(w.Answers());
  const PortInterface old{.index = Lan::NearIndex(), .name = "near", .mac = Lan::NearMac()};
  Lan::Shell("ip link del near");
  w.port_.SetInterfaces({old});
  w.RunUntil([&] { return !w.errors_.empty(); });
  CHECK(w.errors_.back().first == old.index);
  CHECK(absl::IsNotFound(w.errors_.back().second));
  w.lan_.Connect();
  w.far_mac_ = w.lan_.FarMac();
  RawSocket client = w.lan_.Far();
  w.Open();
  w.Answer({"10.0.0.10"});
  bool answered = false;
  for (int i = 0; i < 100 && !answered; ++i) {
    client.Send(w.Request("10.0.0.10"));
    answered = client.Receive(absl::Milliseconds(50)) == w.Reply("10.0.0.10");
  }
  CHECK(answered);
}

TEST_CASE("requests that arrive at once are each answered once and in order, more than one turn takes", "[net]") {
  PortWorld w;
  REQUIRE(w.Answers());
  std::vector<std::string> addresses;
  for (int i = 10; i < 110; ++i) addresses.push_back("10.0.0." + std::to_string(i));
  w.Answer(addresses);
  for (const std::string& each : addresses) w.client_.Send(w.Request(each));
  for (const std::string& each : addresses) REQUIRE(w.client_.Receive(kSoon) == w.Reply(each));
  CHECK_FALSE(w.client_.Receive(kQuiet).has_value());
}

TEST_CASE("a rival's claim arrives as a sighting, and a flood of them a few at a time", "[net]") {
  PortWorld w;
  REQUIRE(w.Answers());
  const MacAddr rival = *MacAddr::Parse("02:00:00:00:00:66");
  w.client_.Send(ArpBytes(MacAddr::Broadcast(), rival, 1, rival, "10.0.0.10", MacAddr(), "10.0.0.10"));
  w.RunUntil([&] { return !w.sightings_.empty(); });
  CHECK(w.sightings_[0].ifindex == Lan::NearIndex());
  CHECK(w.sightings_[0].address == Ip("10.0.0.10"));
  CHECK(w.sightings_[0].mac == rival);
  CHECK(w.sightings_[0].request);
  CHECK(w.sightings_[0].gratuitous);

  w.sightings_.clear();
  const std::uint64_t requests = w.NearStats().arp.requests;
  for (int i = 0; i < 10'000; ++i) {
    w.client_.Send(ArpBytes(MacAddr::Broadcast(), rival, 1, rival, "10.0.0.10", MacAddr(), "10.0.0.10"));
  }
  w.RunUntil([&] { return w.NearStats().arp.requests + w.NearStats().dropped >= requests + 10'000; });
  w.RunUntil([&] { return !w.sightings_.empty(); });
  CHECK(w.sightings_.size() < 1'000);
}

TEST_CASE("what this machine sends itself is not captured", "[net]") {
  PortWorld w;
  REQUIRE(w.Answers());
  const std::uint64_t requests = w.NearStats().arp.requests;
  const MacAddr other = *MacAddr::Parse("02:00:00:00:00:66");
  RawSocket near("near", 0x0806);
  REQUIRE(near.Send(ArpBytes(MacAddr::Broadcast(), other, 1, other, "10.0.0.10", MacAddr(), "10.0.0.10")));
  REQUIRE(w.client_.Receive(kSoon).has_value());
  w.client_.Send(w.Request("10.0.0.10"));
  CHECK(w.client_.Receive(kSoon) == w.Reply("10.0.0.10"));
  w.RunUntil([&] { return w.NearStats().arp.requests > requests; });  // counted just after the answer left
  CHECK(w.NearStats().arp.requests == requests + 1);
}

TEST_CASE("T118: gratuitous frames reach the wire within 5 ms of Send, and turn a real neighbour entry", "[net]") {
  PortWorld w;
  w.lan_.FarShell("ip addr add 10.0.0.1/24 dev far");
  w.lan_.FarShell("ip neigh replace 10.0.0.10 lladdr 02:00:00:00:00:66 dev far nud stale");
  REQUIRE(w.Answers());
  const std::vector<std::string> frames = GratuitousFrames(Lan::NearMac(), Ip("10.0.0.10"));
  const absl::Time start = absl::Now();
  for (const std::string& frame : frames) REQUIRE(w.port_.Send(Lan::NearIndex(), frame).ok());
  const std::optional<Frame> first = w.client_.Receive(kSoon);
  const absl::Duration took = absl::Now() - start;
  CHECK(first == Frame(frames[0].begin(), frames[0].end()));
  CHECK(w.client_.Receive(kSoon) == Frame(frames[1].begin(), frames[1].end()));
  CHECK(took < absl::Milliseconds(5));
  const std::string entry = w.lan_.FarShell("ip neigh show 10.0.0.10 dev far");
  CHECK(entry.find(Lan::NearMac().ToString()) != std::string::npos);
  w.RunUntil([&] { return w.NearStats().gratuitous == 2; });
}

TEST_CASE("a Linux client without any entry learns our MAC by asking", "[net]") {
  PortWorld w;
  REQUIRE(w.Answers());
  w.lan_.FarShell("ip addr add 10.0.0.1/24 dev far");
  w.lan_.FarSendUdp("10.0.0.10");
  const absl::Time deadline = absl::Now() + kSoon;
  bool learnt = false;
  while (!learnt && absl::Now() < deadline) {
    learnt = w.lan_.FarShell("ip neigh show 10.0.0.10 dev far").find(Lan::NearMac().ToString()) != std::string::npos;
  }
  CHECK(learnt);
}

TEST_CASE("frames given to Send before the interface is open go out in order once it is", "[net]") {
  PortWorld w;
  w.port_.SetInterfaces({});
  CHECK(absl::IsNotFound(w.port_.Send(Lan::NearIndex(), "x")));
  w.Open();
  std::vector<Frame> sent;
  for (int i = 0; i < 500; ++i) {
    const IpAddr address = IpAddr::V4(0x0a000100U + static_cast<std::uint32_t>(i));
    const std::string frame = ProbeFrame(Lan::NearMac(), address);
    REQUIRE(w.port_.Send(Lan::NearIndex(), frame).ok());
    sent.emplace_back(frame.begin(), frame.end());
  }
  for (const Frame& each : sent) REQUIRE(w.client_.Receive(kSoon) == each);
  CHECK(w.NearStats().gratuitous == 0);
}

TEST_CASE("answer times are counted in a histogram whose last bucket is the number of answers", "[net]") {
  PortWorld w;
  REQUIRE(w.Answers());
  const PortStats stats = w.NearStats();
  REQUIRE_FALSE(stats.arp.reply_seconds.empty());
  CHECK(stats.arp.reply_seconds.back().second == stats.arp.replies);
  CHECK(stats.arp.reply_seconds_sum > 0);
  CHECK(stats.arp.reply_seconds_sum < 1);
}

}  // namespace
}  // namespace berth::agent
