// SPDX-License-Identifier: Apache-2.0
// tests/net/kernel/wire.h -- raw ARP and neighbour discovery at one end of the wire, past that end's own kernel.
#ifndef BERTH_TESTS_NET_KERNEL_WIRE_H_
#define BERTH_TESTS_NET_KERNEL_WIRE_H_

#include <optional>
#include <string>
#include <vector>

#include "common/net/ip_addr.h"
#include "common/net/mac_addr.h"
#include "tests/net/kernel/lab.h"

namespace berth::agent {

struct ArpSeen {
  bool request = false;
  MacAddr sender_mac;
  IpAddr sender, target;
};

// A neighbour solicitation or advertisement.
struct NdpSeen {
  bool solicitation = false;
  IpAddr source, target;
  bool sound = false;  // its checksum is right
};

// A packet socket on the peer's p0.
class Wire {
 public:
  explicit Wire(Lab& lab);
  ~Wire();
  Wire(const Wire&) = delete;
  Wire& operator=(const Wire&) = delete;

  void AskArp(const IpAddr& target, const IpAddr& sender);
  void Solicit(const IpAddr& target, const IpAddr& sender);
  // The next ARP frame, or solicitation or advertisement, that arrives, waiting for it; nullopt after 10 s.
  std::optional<ArpSeen> NextArp();
  std::optional<NdpSeen> NextNdp();

  // Asks for `address`, then for `control`, which the node must answer. Frames are answered in the order they arrive,
  // so an answer for `address` would be there before control's: no waiting for what should not come.
  bool AnswersArp(const IpAddr& address, const IpAddr& control);
  bool AnswersSolicitation(const IpAddr& address, const IpAddr& control);

 private:
  void Send(const std::string& frame);
  std::optional<std::string> Receive();
  int fd_ = -1;
  int ifindex_ = 0;
};

}  // namespace berth::agent

#endif  // BERTH_TESTS_NET_KERNEL_WIRE_H_
