// SPDX-License-Identifier: Apache-2.0
// agent/peer/udp_peer_port.h -- the other agents over real UDP sockets, two for each interface, bound to it.
//
// Questions come in on the port that all agents know. Ours leave from a port of the kernel's choice: two agents of one
// node, as during an upgrade, share the known port, and either may answer for the node, but an answer must find who
// asked.
#ifndef BERTH_AGENT_PEER_UDP_PEER_PORT_H_
#define BERTH_AGENT_PEER_UDP_PEER_PORT_H_

#include <functional>
#include <map>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "agent/peer/peer_port.h"
#include "common/base/event_loop.h"
#include "common/base/host_port.h"

namespace berth::agent {

class UdpPeerPort final : public PeerPort {
 public:
  static constexpr absl::Duration kRetry = absl::Seconds(5);  // of an interface that could not be opened

  // `loop` is borrowed. An empty host of `listen` stands for all addresses of each interface.
  UdpPeerPort(EventLoop& loop, HostPort listen) : loop_(loop), listen_(std::move(listen)) {}
  ~UdpPeerPort() override;
  UdpPeerPort(const UdpPeerPort&) = delete;
  UdpPeerPort& operator=(const UdpPeerPort&) = delete;

  void Start(Observer& observer) override { observer_ = &observer; }
  void SetInterfaces(const std::vector<PeerInterface>& interfaces) override;
  void Send(const PeerPacket& packet) override;

  bool IsOpen(int ifindex) const { return open_.contains(ifindex); }

 private:
  struct Sockets {
    std::string name;
    int known = -1, ours = -1;  // where questions come in; where ours leave
    bool ipv6 = false;
  };
  absl::StatusOr<Sockets> Open(const PeerInterface& interface) const;
  void OpenMissing();
  void Watch(int ifindex, int fd, bool ours);
  void Read(int ifindex, int fd, bool ours);
  void Close(const Sockets& sockets);

  EventLoop& loop_;
  const HostPort listen_;
  Observer* observer_ = nullptr;
  std::vector<PeerInterface> wanted_;
  std::map<int, Sockets> open_;
  std::map<int, absl::Status> failed_;  // as it was logged
  TimerId retry_ = 0;
};

}  // namespace berth::agent

#endif  // BERTH_AGENT_PEER_UDP_PEER_PORT_H_
