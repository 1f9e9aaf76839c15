// SPDX-License-Identifier: Apache-2.0
// PcapFramePort and IPv6 against the real kernel: what is answered on the wire, and which groups the card takes in.
#include <catch2/catch.hpp>

#include "agent/effect/l2/announce_frames.h"
#include "agent/effect/l2/pcap_frame_port.h"
#include "common/base/real_event_loop.h"
#include "tests/net/l2/lan.h"
#include "tests/unit/agent/l2/ndp_bytes.h"

namespace berth::agent {
namespace {

using testing::Frame;
using testing::Lan;
using testing::RawSocket;

constexpr absl::Duration kSoon = absl::Seconds(5);
constexpr absl::Duration kQuiet = absl::Milliseconds(150);
constexpr std::uint16_t kIpv6 = 0x86dd;

std::string Hex(const MacAddr& mac) {
  std::string text = mac.ToString();
  std::erase(text, ':');
  return text;
}

// A card of its own, as to multicast: the kernel gives it the groups it has joined, and no others.
void AddCard(const std::string& name) {
  Lan::Shell("ip link add link near name " + name + " type macvlan mode bridge && sysctl -qw net.ipv6.conf." + name +
             ".disable_ipv6=1 && ip link set " + name + " up");
}

// The port on `name` in the near namespace, which has this MAC; it answers for fd00::10 and watches fd00::11 besides.
class World : public FramePort::Observer {
 public:
  explicit World(const std::string& name = "near") : name_(name) {
    if (name_ != "near") AddCard(name_);
    index_ = Lan::NearIndex(name_);
    mac_ = Lan::NearMac(name_);
    REQUIRE(port_.Start(*this).ok());
    Name(name_);
    port_.AnswerUntil(absl::InfiniteFuture());
    Publish({"fd00::10"}, {"fd00::10", "fd00::11"});
  }

  void Name(const std::string& name) { port_.SetInterfaces({{.index = index_, .name = name, .mac = mac_}}); }

  void Publish(const std::vector<std::string>& answer, const std::vector<std::string>& watch) {
    auto table = std::make_shared<AnswerTable>();
    InterfaceTable& near = table->interfaces[index_];
    near.mac = mac_;
    for (const std::string& each : answer) near.answer.insert(*IpAddr::Parse(each));
    for (const std::string& each : watch) near.watch.insert(*IpAddr::Parse(each));
    port_.Publish(table);
  }

  Frame Solicitation(const std::string& to, const std::string& destination) {
    const std::string us = Hex(lan_.FarMac());
    return testing::Ndp(to, us, testing::kAsker, destination, "87", "00", testing::kVip, "0101" + us);
  }
  Frame Asked() { return Solicitation(testing::kVipGroupMac, testing::kVipGroup); }
  Frame Answer() {
    return testing::Ndp(Hex(lan_.FarMac()), Hex(mac_), testing::kVip, testing::kAsker, "88", "40", testing::kVip,
                        "0201" + Hex(mac_));
  }
  // Asks until answered: the capture may still be opening.
  bool Answers() {
    const absl::Time deadline = absl::Now() + kSoon;
    while (absl::Now() < deadline) {
      client_.Send(Asked());
      if (client_.Receive(absl::Milliseconds(50)) == Answer()) {
        while (client_.Receive(absl::Milliseconds(20)).has_value()) {
        }
        return true;
      }
    }
    return false;
  }
  void RunUntil(const std::function<bool()>& done) {
    const absl::Time deadline = loop_->Now() + kSoon;
    while (!done() && loop_->Now() < deadline) {
      loop_->RunAfter(absl::Milliseconds(1), [this] { loop_->Stop(); });
      loop_->Run();
    }
    REQUIRE(done());
  }
  PortStats Stats() const {
    for (const PortStats& each : port_.Stats()) {
      if (each.interface == name_) return each;
    }
    return {};
  }
  std::string Groups() const { return Lan::Shell("ip maddr show dev " + name_); }
  bool Joined(const std::string& group) const { return Groups().find(group) != std::string::npos; }

  void OnSighting(const Sighting& sighting) override { sightings_.push_back(sighting); }
  void OnInterfaceError(int, const absl::Status& status) override { errors_.push_back(status); }
  void OnInterfaceOpen(int) override { ++opened_; }

  Lan lan_;
  const std::string name_;
  int index_ = 0;
  MacAddr mac_;
  RawSocket client_ = lan_.Far(kIpv6);
  std::unique_ptr<RealEventLoop> loop_ = *RealEventLoop::Create();
  std::vector<Sighting> sightings_;
  std::vector<absl::Status> errors_;
  int opened_ = 0;
  PcapFramePort port_{*loop_};
};

TEST_CASE("T120: a solicitation on the wire gets one unicast answer and no more", "[net]") {
  World w;
  REQUIRE(w.Answers());
  w.client_.Send(w.Asked());
  CHECK(w.client_.Receive(kSoon) == w.Answer());
  CHECK_FALSE(w.client_.Receive(kQuiet).has_value());
  // Unicast, too, as of a client that checks its neighbour.
  w.client_.Send(w.Solicitation(Hex(w.mac_), testing::kVip));
  CHECK(w.client_.Receive(kSoon) == w.Answer());
  CHECK(w.Stats().arp.requests == 0);
  w.RunUntil([&] {  // they are counted after they left
    const AnswerStats ndp = w.Stats().ndp;
    return ndp.replies >= 3 && ndp.reply_seconds.back().second == ndp.replies;
  });
}

TEST_CASE("what is wrong, tagged, or for others is not answered", "[net]") {
  World w;
  REQUIRE(w.Answers());
  const PortStats before = w.Stats();
  Frame damaged = w.Asked();
  damaged.back() ^= 1;
  w.client_.Send(damaged);
  Frame tagged = w.Asked();
  tagged.insert(tagged.begin() + 12, {0x81, 0x00, 0x00, 0x05});
  w.client_.Send(tagged);
  w.client_.Send(w.Solicitation("02005e100066", testing::kVip));
  Frame whole = w.Asked();
  whole[19] = 32 + 80;  // ten more options, behind what is captured
  whole.resize(54 + 32 + 80);
  for (std::size_t at = 86; at < whole.size(); at += 8) {
    whole[at] = 14;
    whole[at + 1] = 1;
  }
  w.client_.Send(testing::Summed(whole));
  CHECK_FALSE(w.client_.Receive(kQuiet).has_value());
  w.RunUntil([&] { return w.Stats().malformed == before.malformed + 2; });
  CHECK(w.Answers());
}

TEST_CASE("the groups of what is answered or watched are joined, and left with it", "[net]") {
  World w("card");
  w.RunUntil([&] { return w.Joined("33:33:ff:00:00:10"); });
  CHECK(w.Joined("33:33:ff:00:00:11"));
  CHECK(w.Joined("33:33:00:00:00:01"));
  w.Publish({}, {"fd00::11", "fd00::20:11", "fd00::12"});
  CHECK_FALSE(w.Joined("33:33:ff:00:00:10"));
  CHECK(w.Joined("33:33:ff:00:00:11"));
  CHECK(w.Joined("33:33:ff:20:00:11"));
  CHECK(w.Joined("33:33:ff:00:00:12"));
  w.Publish({"10.0.0.1"}, {"10.0.0.1"});
  CHECK(!w.Joined("33:33:ff"));
  w.Publish({"fd00::10"}, {});
  CHECK(w.Joined("33:33:ff:00:00:10"));
  w.port_.SetInterfaces({});
  w.RunUntil([&] { return !w.Joined("33:33:ff"); });
  CHECK(w.errors_.empty());
}

TEST_CASE("switches are told of the groups, where the interface speaks IPv6, thousands of them too", "[net]") {
  World w;
  Lan::Shell("sysctl -qw net.ipv6.conf.near.disable_ipv6=0");
  std::vector<std::string> many;
  for (int i = 0; i < 2000; ++i) many.push_back("fd00::1:" + std::to_string(i));
  w.Publish(many, {});
  w.RunUntil([&] { return w.Joined("33:33:ff:01:19:99"); });
  w.Publish(many, {});
  const auto reported = [&] {
    return Lan::Shell("grep -c 'near  *ff0200000000000000000001ff01' /proc/net/igmp6 || true");
  };
  w.RunUntil([&] { return reported() == "2000\n"; });
  w.Publish({"fd00::10"}, {});
  w.RunUntil([&] { return reported() == "0\n"; });
  CHECK(w.Joined("inet6 ff02::1:ff00:10"));
  CHECK(w.errors_.empty());
}

TEST_CASE("a solicitation to a group reaches a card that filters groups", "[net]") {
  World w("card");
  CHECK(w.Answers());
}

TEST_CASE("a card that filters takes the groups in still after it was down and up", "[net]") {
  World w("card");
  REQUIRE(w.Answers());
  Lan::Shell("ip link set card down");
  Lan::Shell("ip link set card up");
  CHECK(w.Answers());
  CHECK(w.errors_.empty());
}

TEST_CASE("a card that filters takes the groups in still after the carrier was lost and came back", "[net]") {
  World w("card");
  REQUIRE(w.Answers());
  w.lan_.FarShell("ip link set far down");
  const auto carrier = [] { return Lan::Shell("ip link show dev card").find("NO-CARRIER") == std::string::npos; };
  w.RunUntil([&] { return !carrier(); });
  w.lan_.FarShell("ip link set far up");
  CHECK(w.Answers());
  CHECK(carrier());
  CHECK(w.errors_.empty());
}

TEST_CASE("a card that filters takes the groups in still after it was renamed and named anew", "[net]") {
  World w("card");
  REQUIRE(w.Answers());
  Lan::Shell("ip link set card down && ip link set card name card0 && ip link set card0 up");
  REQUIRE(Lan::NearIndex("card0") == w.index_);
  w.Name("card0");
  w.RunUntil([&] { return w.opened_ == 2; });  // until then the first capture answers
  CHECK(w.Answers());
}

TEST_CASE("a card that filters is named while it is down: it takes the groups in once it is up and named again",
          "[net]") {
  World w("card");
  REQUIRE(w.Answers());
  Lan::Shell("ip link set card down");
  w.port_.SetInterfaces({});
  w.Name("card");
  w.RunUntil([&] { return !w.errors_.empty(); });
  CHECK(absl::IsUnavailable(w.errors_.back()));
  Lan::Shell("ip link set card up");
  w.Name("card");
  CHECK(w.Answers());
}

TEST_CASE("the successor of a deleted card that filters takes the groups in", "[net]") {
  World w("card");
  REQUIRE(w.Answers());
  Lan::Shell("ip link del card");
  w.Name("card");
  w.RunUntil([&] { return !w.errors_.empty(); });
  CHECK(absl::IsNotFound(w.errors_.back()));
  w.errors_.clear();
  AddCard("card");
  w.index_ = Lan::NearIndex("card");
  w.mac_ = Lan::NearMac("card");
  w.Name("card");
  w.Publish({"fd00::10"}, {"fd00::10"});
  CHECK(w.Answers());
  CHECK(w.errors_.empty());
}

TEST_CASE("claims of IPv6 addresses are sighted: announcements, answers, and questions from them", "[net]") {
  World w;
  REQUIRE(w.Answers());
  for (const std::string& frame : GratuitousFrames(w.lan_.FarMac(), *IpAddr::Parse("fd00::11"))) {
    w.client_.Send(Frame(frame.begin(), frame.end()));
  }
  w.RunUntil([&] { return !w.sightings_.empty(); });
  CHECK(w.sightings_[0].ifindex == w.index_);
  CHECK(w.sightings_[0].address == *IpAddr::Parse("fd00::11"));
  CHECK(w.sightings_[0].mac == w.lan_.FarMac());
  CHECK(w.sightings_[0].gratuitous);
}

TEST_CASE("T122: an announcement leaves as it is and counts as gratuitous, a probe does not", "[net]") {
  World w;
  REQUIRE(w.Answers());
  const IpAddr vip = *IpAddr::Parse("fd00::10");
  const std::string announcement = GratuitousFrames(w.mac_, vip).at(0), probe = ProbeFrame(w.mac_, vip);
  for (const std::string& frame : {announcement, probe}) {
    REQUIRE(w.port_.Send(w.index_, frame).ok());
    CHECK(w.client_.Receive(kSoon) == Frame(frame.begin(), frame.end()));
  }
  w.RunUntil([&] { return w.Stats().gratuitous == 1; });
}

}  // namespace
}  // namespace berth::agent
