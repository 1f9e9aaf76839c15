// SPDX-License-Identifier: Apache-2.0
// tests/fakes/virtual_lan.h -- one Ethernet segment in memory: ports, faults, and a log of what crossed it.
//
//   VirtualLan lan(loop, /*seed=*/1);
//   auto& port = lan.AddPort("client", mac, [](const std::string& frame) { ... });
//   lan.Send(port, frame);                  // reaches the others kLatency later, by destination MAC
//   port.group = 1;                         // a partition: ports reach those of their own group only
#ifndef BERTH_TESTS_FAKES_VIRTUAL_LAN_H_
#define BERTH_TESTS_FAKES_VIRTUAL_LAN_H_

#include <cstdint>
#include <functional>
#include <list>
#include <random>
#include <string>
#include <vector>

#include "absl/time/time.h"
#include "agent/effect/l2/arp_packet.h"
#include "common/base/event_loop.h"
#include "common/net/mac_addr.h"

namespace berth {

class VirtualLan {
 public:
  static constexpr absl::Duration kLatency = absl::Microseconds(50);

  struct Port {
    std::string name;
    MacAddr mac;
    std::function<void(const std::string&)> on_frame;
    bool carrier = true;
    bool drop_all = false;  // the carrier is fine, and nothing passes
    int group = 0;          // reaches only ports of the same group
  };
  // One frame of ARP or neighbour discovery that entered the segment.
  struct Captured {
    absl::Time at;
    std::string from;      // name of the port
    agent::ArpPacket arp;  // either one, as neighbour_frame.h tells it
  };

  VirtualLan(EventLoop& loop, std::uint64_t seed) : loop_(loop), random_(seed) {}

  Port& AddPort(std::string name, MacAddr mac, std::function<void(const std::string&)> on_frame);
  // Frames of a port without carrier, or that drops all, go nowhere and are not captured.
  void Send(Port& from, const std::string& frame);
  // Of all deliveries, this share is lost.
  void SetLoss(double share) { loss_ = share; }
  double loss() const { return loss_; }

  const std::vector<Captured>& captured() const { return captured_; }
  // Called for each frame captured, before it is delivered.
  std::function<void(const Captured&)> on_captured = [](const Captured&) {};

 private:
  EventLoop& loop_;
  std::mt19937_64 random_;
  double loss_ = 0;
  std::list<Port> ports_;  // stay where they are
  std::vector<Captured> captured_;
};

}  // namespace berth

#endif  // BERTH_TESTS_FAKES_VIRTUAL_LAN_H_
