// SPDX-License-Identifier: Apache-2.0
// What the FramePort seam promises, for both families, asked of the port of the virtual LAN and of libpcap on a real
// interface (in a network namespace of its own; left out without root).
#include <unistd.h>

#include <algorithm>
#include <catch2/catch.hpp>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "agent/effect/l2/announce_frames.h"
#include "agent/effect/l2/pcap_frame_port.h"
#include "common/base/real_event_loop.h"
#include "tests/await.h"
#include "tests/fakes/lan_port.h"
#include "tests/fakes/neighbour_frame.h"
#include "tests/fakes/virtual_lan.h"
#include "tests/net/l2/lan.h"

namespace berth::agent {
namespace {

IpAddr Ip(const std::string& text) { return *IpAddr::Parse(text); }

// A host behind one interface of the port.
class World : public FramePort::Observer {
 public:
  virtual FramePort& port() = 0;
  virtual PortInterface interface() = 0;
  virtual MacAddr peer() = 0;
  virtual void Say(const std::string& frame) = 0;  // the host does
  virtual void Listen() {}                         // what it heard by now is in `heard`

  // Runs the loop until `done`, at most 20 s.
  bool Await(const std::function<bool()>& done) {
    return AwaitOn(*loop_, [&] {
      Listen();
      return done();
    });
  }

  void OnSighting(const Sighting& sighting) override { sightings.push_back(sighting); }
  void OnInterfaceError(int, const absl::Status& status) override { errors.push_back(status); }
  void OnInterfaceOpen(int ifindex) override { opened.push_back(ifindex); }

  std::vector<ArpPacket> heard;  // by the host, of ARP and neighbour discovery alike
  std::vector<Sighting> sightings;
  std::vector<absl::Status> errors;
  std::vector<int> opened;

 protected:
  void Hear(const std::string& frame) {
    if (const auto told = ReadNeighbourFrame(frame)) heard.push_back(*told);
  }
  std::unique_ptr<RealEventLoop> loop_ = *RealEventLoop::Create();
};

class VirtualWorld : public World {
 public:
  VirtualWorld() {
    near_ = &lan_.AddPort("near", interface().mac, [this](const std::string& frame) { port_.Receive(7, frame); });
    far_ = &lan_.AddPort("far", peer(), [this](const std::string& frame) { Hear(frame); });
  }
  FramePort& port() override { return port_; }
  PortInterface interface() override { return {.index = 7, .name = "near", .mac = MacAddr({2, 0, 0, 0, 0, 7})}; }
  MacAddr peer() override { return MacAddr({2, 0, 0, 0, 0, 8}); }
  void Say(const std::string& frame) override { lan_.Send(*far_, frame); }

 private:
  VirtualLan lan_{*loop_, 1};
  ProcessLoop process_{*loop_};
  VirtualLan::Port *near_ = nullptr, *far_ = nullptr;
  LanPort port_{process_, [this](int, const std::string& frame) {
                  lan_.Send(*near_, frame);
                  return true;
                }};
};

class PcapWorld : public World {
 public:
  FramePort& port() override { return port_; }
  PortInterface interface() override {
    return {.index = testing::Lan::NearIndex(), .name = "near", .mac = testing::Lan::NearMac()};
  }
  MacAddr peer() override { return peer_; }
  void Say(const std::string& frame) override { REQUIRE(host_.Send({frame.begin(), frame.end()})); }
  void Listen() override {
    while (const auto frame = host_.Receive(absl::ZeroDuration())) Hear(std::string(frame->begin(), frame->end()));
  }

 private:
  testing::Lan lan_;
  MacAddr peer_ = lan_.FarMac();
  testing::RawSocket host_ = lan_.Far(0x0003);  // everything
  PcapFramePort port_{*loop_};
};

std::unique_ptr<World> NewWorld(const std::string& which) {
  if (which == "virtual") return std::make_unique<VirtualWorld>();
  if (geteuid() != 0) return nullptr;
  return std::make_unique<PcapWorld>();
}

// One port that answers for .10 and .20 of a network and watches .11 besides, and the host with .1 that asks it.
class Talk {
 public:
  Talk(World& world, Family family) : world_(world), four_(family == Family::kIpv4) {
    REQUIRE(world.port().Start(world).ok());
    world.port().SetInterfaces({world.interface()});
    world.port().AnswerUntil(absl::InfiniteFuture());
    Publish({At(10), At(20)});
    REQUIRE(world.Await([&] { return !world_.opened.empty(); }));
    CHECK(world.opened == std::vector<int>{world.interface().index});
    Ask(At(20));  // whoever is told that it is open is answered
    REQUIRE(world.Await([&] { return !world_.heard.empty(); }));
    AnsweredUntil(At(10));  // and so every question before
    world.heard.clear();
  }

  IpAddr At(int number) const { return Ip(absl::StrCat(four_ ? "10.9.0." : "fd00::", number)); }
  void Publish(const std::vector<IpAddr>& answer) {
    auto table = std::make_shared<AnswerTable>();
    InterfaceTable& mine = table->interfaces[world_.interface().index];
    mine.mac = world_.interface().mac;
    mine.answer.insert(answer.begin(), answer.end());
    mine.watch = mine.answer;
    mine.watch.insert(At(11));
    world_.port().Publish(table);
  }
  ArpPacket Request(const IpAddr& target, const IpAddr& sender) const {
    return {.ether_dst = MacAddr::Broadcast(),
            .ether_src = world_.peer(),
            .op = ArpOp::kRequest,
            .sender_mac = world_.peer(),
            .sender_ip = sender,
            .target_mac = {},
            .target_ip = target};
  }
  void Ask(const IpAddr& target) { Say(Request(target, At(1))); }
  void Say(const ArpPacket& packet) { world_.Say(WriteNeighbourFrame(packet)); }
  // The addresses answered for until that of `control`, which must be, all in the order of the questions.
  std::vector<IpAddr> AnsweredUntil(const IpAddr& control) {
    Ask(control);
    std::vector<IpAddr> answered;
    CHECK(world_.Await([&] {
      answered.clear();
      for (const ArpPacket& packet : world_.heard) answered.push_back(packet.sender_ip);
      return !answered.empty() && answered.back() == control;
    }));
    return answered;
  }
  PortStats Stats() const { return world_.port().Stats().at(0); }
  AnswerStats Counted() const { return four_ ? Stats().arp : Stats().ndp; }
  AnswerStats OfTheOther() const { return four_ ? Stats().ndp : Stats().arp; }

 private:
  World& world_;
  const bool four_;
};

// Runs the rest of a test case in each world, for each family.
#define IN_EACH_WORLD(world, talk)                                          \
  const std::string which = GENERATE(as<std::string>{}, "virtual", "pcap"); \
  const Family family = GENERATE(Family::kIpv4, Family::kIpv6);             \
  CAPTURE(which, FamilyName(family));                                       \
  const std::unique_ptr<World> world = NewWorld(which);                     \
  if (world == nullptr) return;                                             \
  Talk talk(*world, family)

}  // namespace

TEST_CASE("a port opens what was named before it started", "[contract]") {
  const std::string which = GENERATE(as<std::string>{}, "virtual", "pcap");
  CAPTURE(which);
  const std::unique_ptr<World> world = NewWorld(which);
  if (world == nullptr) return;
  world->port().SetInterfaces({world->interface()});
  REQUIRE(world->port().Start(*world).ok());
  CHECK(world->Await([&] { return !world->opened.empty(); }));
  CHECK(world->errors.empty());
}

TEST_CASE("a port answers for what is in the table, once, to who asks, and for nothing else", "[contract]") {
  IN_EACH_WORLD(world, talk);
  talk.Ask(talk.At(10));
  talk.Ask(talk.At(11));  // watched only
  talk.Ask(talk.At(15));
  CHECK(talk.AnsweredUntil(talk.At(20)) == std::vector<IpAddr>{talk.At(10), talk.At(20)});
  for (const ArpPacket& answer : world->heard) {
    CHECK(answer.op == ArpOp::kReply);
    CHECK(answer.ether_dst == world->peer());
    CHECK(answer.ether_src == world->interface().mac);
    CHECK(answer.sender_mac == world->interface().mac);
    CHECK(answer.target_ip == talk.At(1));
  }
  CHECK(talk.OfTheOther().requests == 0);
  CHECK(talk.OfTheOther().replies == 0);
}

TEST_CASE("a port answers a question that came to its own MAC, and one that names no sender", "[contract]") {
  IN_EACH_WORLD(world, talk);
  ArpPacket unicast = talk.Request(talk.At(10), talk.At(1));
  unicast.ether_dst = world->interface().mac;
  talk.Say(unicast);
  talk.Say(talk.Request(talk.At(10), family == Family::kIpv4 ? IpAddr() : IpAddr::V6(0)));
  CHECK(talk.AnsweredUntil(talk.At(20)) == std::vector<IpAddr>{talk.At(10), talk.At(10), talk.At(20)});
  CHECK(world->heard[1].target_ip.is_unspecified());
  CHECK_FALSE(world->heard[1].gratuitous());
}

TEST_CASE("a port goes by the newest table", "[contract]") {
  IN_EACH_WORLD(world, talk);
  talk.Publish({talk.At(20)});
  talk.Ask(talk.At(10));
  CHECK(talk.AnsweredUntil(talk.At(20)) == std::vector<IpAddr>{talk.At(20)});
  world->heard.clear();
  talk.Publish({talk.At(10), talk.At(12)});
  talk.Ask(talk.At(20));
  CHECK(talk.AnsweredUntil(talk.At(12)) == std::vector<IpAddr>{talk.At(12)});
}

TEST_CASE("a port is mute once its time is up, and speaks when it is given more", "[contract]") {
  IN_EACH_WORLD(world, talk);
  world->port().AnswerUntil(absl::InfinitePast());
  const std::uint64_t before = talk.Counted().requests;
  talk.Ask(talk.At(10));
  REQUIRE(world->Await([&] { return talk.Counted().requests == before + 1; }));
  world->port().AnswerUntil(absl::InfiniteFuture());
  CHECK(talk.AnsweredUntil(talk.At(20)) == std::vector<IpAddr>{talk.At(20)});
}

TEST_CASE("a port tells who claims what is watched, in whatever way", "[contract]") {
  IN_EACH_WORLD(world, talk);
  for (const std::string& frame : GratuitousFrames(world->peer(), talk.At(11))) world->Say(frame);
  REQUIRE(world->Await([&] { return !world->sightings.empty(); }));
  CHECK(world->sightings[0].ifindex == world->interface().index);
  CHECK(world->sightings[0].address == talk.At(11));
  CHECK(world->sightings[0].mac == world->peer());
  CHECK(world->sightings[0].gratuitous);
  // The other forms of that may be told of in between.
  const auto is_claim_of = [](const IpAddr& address) {
    return [address](const Sighting& s) { return s.address == address && !s.gratuitous; };
  };
  const auto claim = [&](const IpAddr& address) {
    return std::find_if(world->sightings.begin(), world->sightings.end(), is_claim_of(address));
  };
  talk.Say(talk.Request(talk.At(15), talk.At(10)));  // a question in its name
  REQUIRE(world->Await([&] { return claim(talk.At(10)) != world->sightings.end(); }));
  CHECK(claim(talk.At(10))->request);
  // An answer to somebody else's question.
  talk.Say(ArpReplyTo(talk.Request(talk.At(11), talk.At(2)), world->peer()));
  ArpPacket answer = ArpReplyTo(talk.Request(talk.At(11), talk.At(2)), world->peer());
  answer.ether_dst = world->interface().mac;
  talk.Say(answer);
  REQUIRE(world->Await([&] { return claim(talk.At(11)) != world->sightings.end(); }));
  CHECK_FALSE(claim(talk.At(11))->request);
}

TEST_CASE("a port sends what it is given, and counts what announces", "[contract]") {
  IN_EACH_WORLD(world, talk);
  const int index = world->interface().index;
  const std::vector<std::string> announcement = GratuitousFrames(world->interface().mac, talk.At(10));
  for (const std::string& frame : announcement) CHECK(world->port().Send(index, frame).ok());
  CHECK(world->port().Send(index, ProbeFrame(world->interface().mac, talk.At(15))).ok());
  CHECK(world->Await([&] { return world->heard.size() == announcement.size() + 1; }));
  CHECK(world->heard.front().gratuitous());
  CHECK(world->heard.back().sender_ip.is_unspecified());
  CHECK(world->heard.back().target_ip == talk.At(15));
  CHECK(world->Await([&] { return talk.Stats().gratuitous == announcement.size(); }));
  CHECK(world->port().Send(4711, announcement[0]).code() == absl::StatusCode::kNotFound);
}

TEST_CASE("a port announces nothing that its table does not answer for when its turn comes", "[contract]") {
  IN_EACH_WORLD(world, talk);
  const int index = world->interface().index;
  const auto announce = [&](int host) {
    const std::vector<std::string> frames = GratuitousFrames(world->interface().mac, talk.At(host));
    for (const std::string& frame : frames) CHECK(world->port().Send(index, frame).ok());
    return frames.size();
  };
  announce(12);  // given up meanwhile
  const std::size_t frames = announce(10);
  CHECK(world->Await([&] { return world->heard.size() == frames; }));
  for (const ArpPacket& heard : world->heard) CHECK(heard.sender_ip == talk.At(10));
  world->port().Publish(std::make_shared<AnswerTable>());
  world->heard.clear();
  announce(10);
  CHECK(world->port().Send(index, ProbeFrame(world->interface().mac, talk.At(15))).ok());
  CHECK(world->Await([&] { return !world->heard.empty(); }));
  CHECK(world->heard.front().target_ip == talk.At(15));
}

TEST_CASE("a port counts what is malformed and does nothing about it", "[contract]") {
  IN_EACH_WORLD(world, talk);
  std::string frame = WriteNeighbourFrame(talk.Request(talk.At(10), talk.At(1)));
  frame[family == Family::kIpv4 ? 18 : 21] = 64;  // the length of addresses, the hop limit
  world->Say(frame);
  CHECK(talk.AnsweredUntil(talk.At(20)) == std::vector<IpAddr>{talk.At(20)});
  CHECK(talk.Stats().malformed == 1);
  CHECK(world->errors.empty());
}

}  // namespace berth::agent
