// SPDX-License-Identifier: Apache-2.0
// agent/peer/peer_port.h -- the seam to the other agents: small UDP packets over the interfaces that announce.
//
// Two implementations: UdpPeerPort (udp_peer_port.h) and LanPeerPort (tests/fakes), on the virtual LAN.
#ifndef BERTH_AGENT_PEER_PEER_PORT_H_
#define BERTH_AGENT_PEER_PEER_PORT_H_

#include <cstdint>
#include <string>
#include <vector>

#include "common/net/ip_addr.h"

namespace berth::agent {

struct PeerPacket {
  int ifindex = 0;         // it came in, or is to go out, on this interface and no other
  IpAddr address;          // of the other side
  std::uint16_t port = 0;  // of the other side
  bool question = false;   // it is one of ours, or an answer to it: another port than where questions come in
  std::string bytes;
};
struct PeerInterface {
  int index = 0;
  std::string name;
  friend bool operator==(const PeerInterface&, const PeerInterface&) = default;
};

// Loop thread only.
class PeerPort {
 public:
  class Observer {
   public:
    virtual ~Observer() = default;
    virtual void OnPeerPacket(PeerPacket packet) = 0;
  };
  virtual ~PeerPort() = default;

  virtual void Start(Observer& observer) = 0;
  // Where packets pass from now on; none: nowhere. An interface that cannot be used is tried again at each call, and
  // logged once.
  virtual void SetInterfaces(const std::vector<PeerInterface>& interfaces) = 0;
  // Never blocks. What cannot be sent is lost, as packets are.
  virtual void Send(const PeerPacket& packet) = 0;
};

}  // namespace berth::agent

#endif  // BERTH_AGENT_PEER_PEER_PORT_H_
