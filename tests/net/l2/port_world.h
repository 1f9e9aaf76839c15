// SPDX-License-Identifier: Apache-2.0
// tests/net/l2/port_world.h -- a PcapFramePort on the near end of a LAN, which answers for 10.0.0.10, and a client on
// the far end.
//
//   PortWorld w;
//   REQUIRE(w.Answers());  // the capture is open
//   w.client_.Send(w.Request("10.0.0.10"));
#ifndef BERTH_TESTS_NET_L2_PORT_WORLD_H_
#define BERTH_TESTS_NET_L2_PORT_WORLD_H_

#include <catch2/catch.hpp>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "agent/effect/l2/pcap_frame_port.h"
#include "common/base/real_event_loop.h"
#include "tests/net/l2/lan.h"

namespace berth::agent {

using testing::ArpBytes;
using testing::Frame;
using testing::Lan;
using testing::RawSocket;

inline constexpr absl::Duration kSoon = absl::Seconds(5);          // for what must come
inline constexpr absl::Duration kQuiet = absl::Milliseconds(150);  // for what must not

inline IpAddr Ip(const std::string& text) { return *IpAddr::Parse(text); }

// The port on "near", its loop driven by this thread.
class PortWorld : public FramePort::Observer {
 public:
  // `loop`: what the port is told is its loop; without one, the real one.
  explicit PortWorld(const std::function<std::unique_ptr<EventLoop>(EventLoop&)>& loop = nullptr)
      : told_(loop ? loop(*loop_) : nullptr) {
    REQUIRE(port_.Start(*this).ok());
    Open();
    Answer({"10.0.0.10"});
    port_.AnswerUntil(absl::InfiniteFuture());
  }

  void Open() { port_.SetInterfaces({{.index = Lan::NearIndex(), .name = "near", .mac = Lan::NearMac()}}); }

  void Answer(const std::vector<std::string>& addresses) {
    auto table = std::make_shared<AnswerTable>();
    InterfaceTable& near = table->interfaces[Lan::NearIndex()];
    near.mac = Lan::NearMac();
    for (const std::string& each : addresses) {
      near.answer.insert(Ip(each));
      near.watch.insert(Ip(each));
    }
    port_.Publish(table);
  }

  // Runs the loop until `done`, or fails the test.
  void RunUntil(const std::function<bool()>& done) {
    const absl::Time deadline = loop_->Now() + kSoon;
    while (!done() && loop_->Now() < deadline) {
      loop_->RunAfter(absl::Milliseconds(1), [this] { loop_->Stop(); });
      loop_->Run();
    }
    REQUIRE(done());
  }

  Frame Request(const std::string& address, const MacAddr& to = MacAddr::Broadcast()) {
    return ArpBytes(to, far_mac_, 1, far_mac_, "10.0.0.1", MacAddr(), address);
  }
  Frame Reply(const std::string& address) {
    Frame frame = ArpBytes(far_mac_, Lan::NearMac(), 2, Lan::NearMac(), address, far_mac_, "10.0.0.1");
    frame.resize(60);
    return frame;
  }
  // Asks until answered: the capture may still be opening.
  bool Answers(const std::string& address = "10.0.0.10") {
    const absl::Time deadline = absl::Now() + kSoon;
    while (absl::Now() < deadline) {
      client_.Send(Request(address));
      if (client_.Receive(absl::Milliseconds(50)) == Reply(address)) {
        while (client_.Receive(absl::Milliseconds(20)).has_value()) {
        }
        return true;
      }
    }
    return false;
  }
  bool Silent(const Frame& request) {
    client_.Send(request);
    return !client_.Receive(kQuiet).has_value();
  }
  PortStats NearStats() const {
    for (const PortStats& each : port_.Stats()) {
      if (each.interface == "near") return each;
    }
    return {};
  }

  void OnSighting(const Sighting& sighting) override { sightings_.push_back(sighting); }
  void OnInterfaceError(int ifindex, const absl::Status& status) override { errors_.emplace_back(ifindex, status); }
  void OnInterfaceOpen(int) override {}

  Lan lan_;
  MacAddr far_mac_ = lan_.FarMac();
  RawSocket client_ = lan_.Far();
  std::unique_ptr<RealEventLoop> loop_ = *RealEventLoop::Create();
  std::vector<Sighting> sightings_;
  std::vector<std::pair<int, absl::Status>> errors_;
  std::unique_ptr<EventLoop> told_;
  PcapFramePort port_{told_ ? *told_ : *loop_};
};

}  // namespace berth::agent

#endif  // BERTH_TESTS_NET_L2_PORT_WORLD_H_
