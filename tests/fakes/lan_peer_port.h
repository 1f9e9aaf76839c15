// SPDX-License-Identifier: Apache-2.0
// tests/fakes/lan_peer_port.h -- an agent's PeerPort on the virtual LAN: its packets are frames that get lost, wait and
// stop at partitions like all others.
//
// What comes in while the process stands still waits in its sockets. One node's two agents share the port that all
// know: either may get a question.
#ifndef BERTH_TESTS_FAKES_LAN_PEER_PORT_H_
#define BERTH_TESTS_FAKES_LAN_PEER_PORT_H_

#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/string_view.h"
#include "agent/peer/peer_port.h"
#include "common/net/mac_addr.h"
#include "tests/fakes/process_loop.h"

namespace berth::agent {

// The node's end: addresses, and how frames leave it.
struct LanPeerEnd {
  int ifindex = 0;
  MacAddr mac;
  IpAddr ip;
  std::function<std::optional<MacAddr>(const IpAddr&)> resolve;  // as the kernel's neighbour table does
  std::function<void(const std::string&)> send;
};

class LanPeerPort final : public PeerPort {
 public:
  static constexpr std::uint16_t kKnownPort = 7445;

  // `port`: of its own questions, unlike that of any other process of the node.
  LanPeerPort(ProcessLoop& process, LanPeerEnd end, std::uint16_t port)
      : process_(process), end_(std::move(end)), port_(port) {}

  void Start(Observer& observer) override { observer_ = &observer; }
  void SetInterfaces(const std::vector<PeerInterface>& interfaces) override;
  void Send(const PeerPacket& packet) override;

  // Whether the frame is one of these, whoever it is for.
  static bool IsPeerFrame(absl::string_view frame);
  // A frame came in for the node. True: it was for this process and is taken.
  bool Receive(absl::string_view frame);

 private:
  ProcessLoop& process_;
  const LanPeerEnd end_;
  const std::uint16_t port_;
  Observer* observer_ = nullptr;
  bool open_ = false;
  std::shared_ptr<int> alive_ = std::make_shared<int>(0);
};

}  // namespace berth::agent

#endif  // BERTH_TESTS_FAKES_LAN_PEER_PORT_H_
