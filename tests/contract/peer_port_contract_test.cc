// SPDX-License-Identifier: Apache-2.0
// What a PeerPort promises, of the real one on the loopback interface and of the one on the virtual LAN.
#include <net/if.h>

#include <catch2/catch.hpp>
#include <functional>
#include <memory>
#include <optional>
#include <vector>

#include "agent/peer/packet.h"
#include "agent/peer/udp_peer_port.h"
#include "common/base/real_event_loop.h"
#include "tests/fakes/lan_peer_port.h"
#include "tests/fakes/manual_event_loop.h"
#include "tests/fakes/process_loop.h"
#include "tests/fakes/virtual_lan.h"

namespace berth::agent {
namespace {

struct Inbox final : PeerPort::Observer {
  void OnPeerPacket(PeerPacket packet) override {
    packets.push_back(std::move(packet));
    if (on_packet) on_packet();
  }
  std::vector<PeerPacket> packets;
  std::function<void()> on_packet;
};

// Two ports that reach each other.
struct Place {
  virtual ~Place() = default;
  virtual PeerPort& port(int which) = 0;
  virtual IpAddr address(int which) const = 0;
  virtual std::uint16_t known_port(int which) const = 0;
  virtual int ifindex() const = 0;
  virtual std::string interface() const = 0;
  // Runs until a packet came to either inbox, or what was sent is gone.
  virtual void Run() = 0;
  Inbox inbox[2];
  void Begin() {
    for (int i : {0, 1}) {
      port(i).Start(inbox[i]);
      port(i).SetInterfaces({{ifindex(), interface()}});
    }
  }
};

class RealPlace final : public Place {
 public:
  RealPlace() : loop_(*RealEventLoop::Create()) {
    for (int i : {0, 1}) {
      inbox[i].on_packet = [this] { loop_->Stop(); };
      ports_[i] = std::make_unique<UdpPeerPort>(*loop_, HostPort{"", known_port(i)});
    }
    Begin();
  }
  PeerPort& port(int which) override { return *ports_[which]; }
  IpAddr address(int) const override { return *IpAddr::Parse("127.0.0.1"); }
  std::uint16_t known_port(int which) const override { return static_cast<std::uint16_t>(47445 + which); }
  int ifindex() const override { return static_cast<int>(::if_nametoindex("lo")); }
  std::string interface() const override { return "lo"; }
  void Run() override {
    // What is not to come would have come by then: the loopback interface delivers before sendto returns.
    const TimerId limit = loop_->RunAfter(absl::Milliseconds(20), [this] { loop_->Stop(); });
    loop_->Run();
    loop_->Cancel(limit);
  }

 private:
  std::unique_ptr<RealEventLoop> loop_;
  std::unique_ptr<UdpPeerPort> ports_[2];
};

class FakePlace final : public Place {
 public:
  FakePlace() {
    for (int i : {0, 1}) {
      macs_[i] = MacAddr({2, 0, 0, 0, 0, static_cast<std::uint8_t>(i)});
      lan_ports_[i] = &lan_.AddPort("host", macs_[i], [this, i](const std::string& frame) {
        CHECK(LanPeerPort::IsPeerFrame(frame));
        (void)ports_[i]->Receive(frame);  // false where it is not open
      });
      ports_[i] = std::make_unique<LanPeerPort>(
          process_,
          LanPeerEnd{.ifindex = ifindex(),
                     .mac = macs_[i],
                     .ip = address(i),
                     .resolve = [this](const IpAddr& ip) -> std::optional<MacAddr> {
                       return ip == address(0) ? macs_[0] : macs_[1];
                     },
                     .send = [this, i](const std::string& frame) { lan_.Send(*lan_ports_[i], frame); }},
          static_cast<std::uint16_t>(40000 + i));
    }
    Begin();
  }
  PeerPort& port(int which) override { return *ports_[which]; }
  IpAddr address(int which) const override { return IpAddr::V4(0xc0000201 + static_cast<std::uint32_t>(which)); }
  std::uint16_t known_port(int) const override { return LanPeerPort::kKnownPort; }
  int ifindex() const override { return 2; }
  std::string interface() const override { return "eth0"; }
  void Run() override {
    loop_.AdvanceTo(loop_.Now() + absl::Milliseconds(20));
    loop_.RunUntilIdle();
  }

 private:
  ManualEventLoop loop_;
  ProcessLoop process_{loop_};
  VirtualLan lan_{loop_, 1};
  MacAddr macs_[2];
  VirtualLan::Port* lan_ports_[2] = {};
  std::unique_ptr<LanPeerPort> ports_[2];
};

std::unique_ptr<Place> AnyPlace() {
  if (GENERATE(false, true)) return std::make_unique<RealPlace>();
  return std::make_unique<FakePlace>();
}

TEST_CASE("a question arrives as one, and its answer at who asked", "[contract]") {
  const std::unique_ptr<Place> place = AnyPlace();
  const std::string bytes(peer::kClaimsSize, 'q');
  place->port(0).Send({place->ifindex(), place->address(1), place->known_port(1), true, bytes});
  place->Run();
  REQUIRE(place->inbox[1].packets.size() == 1);
  PeerPacket question = place->inbox[1].packets.front();
  CHECK_FALSE(question.question);
  CHECK(question.bytes == bytes);
  CHECK(question.ifindex == place->ifindex());
  CHECK(question.address == place->address(0));
  CHECK(question.port != place->known_port(0));
  question.bytes = "answer";
  place->port(1).Send(question);
  place->Run();
  REQUIRE(place->inbox[0].packets.size() == 1);
  const PeerPacket& answer = place->inbox[0].packets.front();
  CHECK(answer.question);
  CHECK(answer.bytes == "answer");
  CHECK(answer.address == place->address(1));
  CHECK(answer.port == place->known_port(1));
}

TEST_CASE("nothing passes on an interface that is not named", "[contract]") {
  const std::unique_ptr<Place> place = AnyPlace();
  place->port(1).SetInterfaces({});
  place->port(0).Send({place->ifindex(), place->address(1), place->known_port(1), true, "into the void"});
  place->port(1).Send({place->ifindex(), place->address(0), place->known_port(0), true, "out of it"});
  place->port(0).Send({place->ifindex() + 1000, place->address(1), place->known_port(1), true, "elsewhere"});
  place->Run();
  CHECK(place->inbox[0].packets.empty());
  CHECK(place->inbox[1].packets.empty());
  // And again once it is.
  place->port(1).SetInterfaces({{place->ifindex(), place->interface()}});
  place->port(0).Send({place->ifindex(), place->address(1), place->known_port(1), true, "now"});
  for (int i = 0; i < 3 && place->inbox[1].packets.empty(); ++i) place->Run();
  REQUIRE(place->inbox[1].packets.size() == 1);
  CHECK(place->inbox[1].packets.front().bytes == "now");
}

TEST_CASE("two agents of one node share the port that all know", "[contract]") {
  const auto loop = *RealEventLoop::Create();
  UdpPeerPort older(*loop, {"", 47447}), younger(*loop, {"", 47447});
  Inbox inbox;
  for (UdpPeerPort* port : {&older, &younger}) {
    port->Start(inbox);
    port->SetInterfaces({{static_cast<int>(::if_nametoindex("lo")), "lo"}});
    CHECK(port->IsOpen(static_cast<int>(::if_nametoindex("lo"))));
  }
}

}  // namespace
}  // namespace berth::agent
