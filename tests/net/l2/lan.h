// SPDX-License-Identifier: Apache-2.0
// tests/net/l2/lan.h -- two network namespaces joined by a veth pair, and a raw socket on the far side.
//
//   Lan lan;                       // this thread is now in the near namespace: interface "near"
//   RawSocket client = lan.Far();  // sends and hears whole frames on "far"
//   lan.FarShell("ip addr add 10.0.0.1/24 dev far");
#ifndef BERTH_TESTS_NET_L2_LAN_H_
#define BERTH_TESTS_NET_L2_LAN_H_

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "absl/time/time.h"
#include "common/net/mac_addr.h"

namespace berth::testing {

using Frame = std::vector<std::uint8_t>;

// An AF_PACKET socket bound to one interface of the namespace it was made in. Not libpcap: the tests' own eyes.
class RawSocket {
 public:
  RawSocket(const std::string& interface, std::uint16_t ether_type);
  ~RawSocket();
  RawSocket(RawSocket&& other) noexcept;
  RawSocket& operator=(RawSocket&&) = delete;

  bool Send(const Frame& frame);
  // The next frame that came in, or nullopt when none does within `wait`. Own frames are not heard.
  std::optional<Frame> Receive(absl::Duration wait);

 private:
  int fd_ = -1;
};

class Lan {
 public:
  Lan();
  ~Lan();  // back to the namespace it was made in
  Lan(const Lan&) = delete;
  Lan& operator=(const Lan&) = delete;

  static std::string Shell(
      const std::string& command);  // in the near namespace; returns stdout, fails the test on rc != 0
  std::string FarShell(const std::string& command);
  void FarSendUdp(const std::string& address);  // makes the far kernel ask who has it
  void Connect();                               // makes the veth pair near/far, both up; called by the constructor
  RawSocket Far(std::uint16_t ether_type = 0x0806);

  static int NearIndex(const std::string& interface = "near");
  static MacAddr NearMac(const std::string& interface = "near");
  MacAddr FarMac();

 private:
  void EnterFar() const;
  void EnterNear() const;
  int home_ = -1, near_ = -1, far_ = -1;
};

// An ARP frame written out byte by byte, independently of the code under test.
Frame ArpBytes(const MacAddr& ether_dst, const MacAddr& ether_src, std::uint16_t op, const MacAddr& sender_mac,
               const std::string& sender_ip, const MacAddr& target_mac, const std::string& target_ip);

}  // namespace berth::testing

#endif  // BERTH_TESTS_NET_L2_LAN_H_
