// SPDX-License-Identifier: Apache-2.0
#include "tests/bench/arp_socket.h"

#include <arpa/inet.h>
#include <linux/filter.h>
#include <linux/if_ether.h>
#include <linux/if_packet.h>
#include <net/if.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstdio>
#include <cstdlib>
#include <cstring>

namespace berth::bench {
namespace {

constexpr std::size_t kFrame = 60;  // Ethernet's minimum without the check sequence
constexpr std::size_t kSourceAt = 6;
constexpr std::size_t kSenderMacAt = 22;
constexpr std::size_t kSenderIpAt = 28;
constexpr std::size_t kTargetIpAt = 38;
constexpr int kReceiveBuffer = 32 * 1024 * 1024;

void Check(bool fine, const char* what) {
  if (!fine) Die(std::string(what) + ": " + std::strerror(errno));
}

void WriteIp(std::uint8_t* at, std::uint32_t address) {
  for (int i = 0; i < 4; ++i) at[i] = static_cast<std::uint8_t>(address >> (24 - 8 * i));
}

std::uint32_t ReadIp(const std::uint8_t* at) {
  return static_cast<std::uint32_t>(at[0]) << 24 | static_cast<std::uint32_t>(at[1]) << 16 |
         static_cast<std::uint32_t>(at[2]) << 8 | at[3];
}

std::array<std::uint8_t, 6> MacOf(int fd, const std::string& interface) {
  ifreq request{};
  interface.copy(request.ifr_name, IFNAMSIZ - 1);
  Check(ioctl(fd, SIOCGIFHWADDR, &request) == 0, "read the interface's MAC");
  std::array<std::uint8_t, 6> mac{};
  std::memcpy(mac.data(), request.ifr_hwaddr.sa_data, mac.size());
  return mac;
}

// Answers only: what other hosts ask is none of the generator's business.
void KeepAnswersOnly(int fd) {
  sock_filter code[] = {
      {BPF_LD | BPF_H | BPF_ABS, 0, 0, 20},  // operation
      {BPF_JMP | BPF_JEQ | BPF_K, 0, 1, 2},
      {BPF_RET | BPF_K, 0, 0, 0xffffffff},
      {BPF_RET | BPF_K, 0, 0, 0},
  };
  const sock_fprog program{4, code};
  Check(setsockopt(fd, SOL_SOCKET, SO_ATTACH_FILTER, &program, sizeof program) == 0, "attach the filter for answers");
}

}  // namespace

struct ArpSocket::Frames {
  Frames() {
    for (std::size_t i = 0; i < kBatch; ++i) {
      parts[i] = {bytes[i].data(), kFrame};
      messages[i].msg_hdr.msg_iov = &parts[i];
      messages[i].msg_hdr.msg_iovlen = 1;
    }
  }
  std::array<std::array<std::uint8_t, kFrame>, kBatch> bytes{};
  std::array<iovec, kBatch> parts{};
  std::array<mmsghdr, kBatch> messages{};
};

void Die(const std::string& what) {
  std::fprintf(stderr, "arp_load: %s\n", what.c_str());
  std::exit(3);
}

ArpSocket::ArpSocket(const std::string& interface, std::uint32_t sender, std::size_t sources)
    : sender_(sender), sources_(sources), requests_(std::make_unique<Frames>()), answers_(std::make_unique<Frames>()) {
  fd_ = socket(AF_PACKET, SOCK_RAW | SOCK_CLOEXEC, 0);
  Check(fd_ >= 0, "open a raw socket");
  KeepAnswersOnly(fd_);
  const int one = 1;
  Check(setsockopt(fd_, SOL_PACKET, PACKET_IGNORE_OUTGOING, &one, sizeof one) == 0, "ignore own frames");
  Check(setsockopt(fd_, SOL_SOCKET, SO_RCVBUFFORCE, &kReceiveBuffer, sizeof kReceiveBuffer) == 0,
        "set the size of the receive buffer");
  sockaddr_ll address{};
  address.sll_family = AF_PACKET;
  address.sll_protocol = htons(ETH_P_ARP);
  address.sll_ifindex = static_cast<int>(if_nametoindex(interface.c_str()));
  Check(address.sll_ifindex != 0, "find the interface");
  Check(bind(fd_, reinterpret_cast<const sockaddr*>(&address), sizeof address) == 0, "bind to the interface");

  const std::array<std::uint8_t, 6> mac = MacOf(fd_, interface);
  // EtherType, Ethernet, IPv4, lengths 6 and 4, request.
  constexpr std::array<std::uint8_t, 10> kHead = {0x08, 0x06, 0, 1, 0x08, 0, 6, 4, 0, 1};
  for (auto& frame : requests_->bytes) {
    std::fill_n(frame.begin(), 6, std::uint8_t{0xff});
    std::copy(mac.begin(), mac.end(), frame.begin() + kSourceAt);
    std::copy(kHead.begin(), kHead.end(), frame.begin() + 12);
    std::copy(mac.begin(), mac.end(), frame.begin() + kSenderMacAt);
    WriteIp(frame.data() + kSenderIpAt, sender);
  }
}

ArpSocket::~ArpSocket() { close(fd_); }

void ArpSocket::SignNext(std::size_t frame) {
  if (sources_ == 1) return;
  const auto source = static_cast<std::uint32_t>(next_source_);
  next_source_ = next_source_ + 1 == sources_ ? 0 : next_source_ + 1;
  std::uint8_t* bytes = requests_->bytes[frame].data();
  for (const std::size_t at : {kSourceAt, kSenderMacAt}) {
    bytes[at] = 0x02;
    bytes[at + 1] = 0xbe;
    WriteIp(bytes + at + 2, source);
  }
  WriteIp(bytes + kSenderIpAt, sender_ + source);
}

void ArpSocket::Ask(const std::uint32_t* targets, std::size_t count) {
  for (std::size_t i = 0; i < count; ++i) {
    WriteIp(requests_->bytes[i].data() + kTargetIpAt, targets[i]);
    SignNext(i);
  }
  for (std::size_t sent = 0; sent < count;) {
    const int now = sendmmsg(fd_, requests_->messages.data() + sent, static_cast<unsigned>(count - sent), 0);
    if (now < 0 && (errno == EINTR || errno == ENOBUFS || errno == EAGAIN)) continue;
    Check(now >= 0, "send requests");
    sent += static_cast<std::size_t>(now);
  }
}

void ArpSocket::AskOne(std::uint32_t target) {
  WriteIp(requests_->bytes[0].data() + kTargetIpAt, target);
  SignNext(0);
  Check(send(fd_, requests_->bytes[0].data(), kFrame, 0) == static_cast<ssize_t>(kFrame), "send a request");
}

std::size_t ArpSocket::Hear(std::array<std::uint32_t, kBatch>& who) {
  const int got = recvmmsg(fd_, answers_->messages.data(), kBatch, MSG_DONTWAIT, nullptr);
  if (got < 0) {
    Check(errno == EAGAIN || errno == EINTR, "receive answers");
    return 0;
  }
  const auto count = static_cast<std::size_t>(got);
  for (std::size_t i = 0; i < count; ++i) who[i] = ReadIp(answers_->bytes[i].data() + kSenderIpAt);
  return count;
}

std::optional<std::uint32_t> ArpSocket::HearOne() {
  if (recv(fd_, answers_->bytes[0].data(), kFrame, MSG_DONTWAIT) < 0) {
    Check(errno == EAGAIN || errno == EINTR, "receive an answer");
    return std::nullopt;
  }
  return ReadIp(answers_->bytes[0].data() + kSenderIpAt);
}

}  // namespace berth::bench
