// SPDX-License-Identifier: Apache-2.0
#include "tests/net/l2/lan.h"

#include <arpa/inet.h>
#include <fcntl.h>
#include <linux/if_packet.h>
#include <net/if.h>
#include <poll.h>
#include <sched.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <catch2/catch.hpp>
#include <cstdio>
#include <utility>

#include "absl/strings/str_cat.h"

namespace berth::testing {

RawSocket::RawSocket(const std::string& interface, std::uint16_t ether_type)
    : fd_(socket(AF_PACKET, SOCK_RAW | SOCK_CLOEXEC, htons(ether_type))) {
  REQUIRE(fd_ >= 0);
  sockaddr_ll address{};
  address.sll_family = AF_PACKET;
  address.sll_protocol = htons(ether_type);
  address.sll_ifindex = static_cast<int>(if_nametoindex(interface.c_str()));
  REQUIRE(bind(fd_, reinterpret_cast<const sockaddr*>(&address), sizeof address) == 0);
  const int big = 64 << 20;  // a flood's answers must not be lost on our side
  setsockopt(fd_, SOL_SOCKET, SO_RCVBUFFORCE, &big, sizeof big);
}

RawSocket::~RawSocket() {
  if (fd_ >= 0) close(fd_);
}

RawSocket::RawSocket(RawSocket&& other) noexcept : fd_(std::exchange(other.fd_, -1)) {}

bool RawSocket::Send(const Frame& frame) {
  return send(fd_, frame.data(), frame.size(), 0) == static_cast<ssize_t>(frame.size());
}

std::optional<Frame> RawSocket::Receive(absl::Duration wait) {
  const absl::Time deadline = absl::Now() + wait;
  while (true) {
    pollfd poller{fd_, POLLIN, 0};
    const auto left = absl::ToInt64Milliseconds(absl::Ceil(deadline - absl::Now(), absl::Milliseconds(1)));
    if (poll(&poller, 1, static_cast<int>(std::max<std::int64_t>(left, 0))) <= 0) return std::nullopt;
    std::array<std::uint8_t, 2048> buffer;
    sockaddr_ll from{};
    socklen_t length = sizeof from;
    const ssize_t size =
        recvfrom(fd_, buffer.data(), buffer.size(), MSG_DONTWAIT, reinterpret_cast<sockaddr*>(&from), &length);
    if (size <= 0 || from.sll_pkttype == PACKET_OUTGOING) continue;
    return Frame(buffer.begin(), buffer.begin() + size);
  }
}

namespace {

int OpenNamespace() {
  return open(absl::StrCat("/proc/self/task/", gettid(), "/ns/net").c_str(), O_RDONLY | O_CLOEXEC);
}

MacAddr MacOf(const std::string& interface) {
  const int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
  ifreq request{};
  interface.copy(request.ifr_name, IFNAMSIZ - 1);
  REQUIRE(ioctl(fd, SIOCGIFHWADDR, &request) == 0);
  close(fd);
  std::array<std::uint8_t, 6> bytes;
  std::copy_n(request.ifr_hwaddr.sa_data, bytes.size(), bytes.begin());
  return MacAddr(bytes);
}

}  // namespace

Lan::Lan() : home_(OpenNamespace()) {
  REQUIRE(home_ >= 0);
  REQUIRE(unshare(CLONE_NEWNET) == 0);
  far_ = OpenNamespace();
  REQUIRE(unshare(CLONE_NEWNET) == 0);
  near_ = OpenNamespace();
  Shell("ip link set lo up");
  FarShell("ip link set lo up");
  Connect();
}

Lan::~Lan() {
  setns(home_, CLONE_NEWNET);
  for (const int fd : {home_, near_, far_}) close(fd);
}

void Lan::EnterFar() const { REQUIRE(setns(far_, CLONE_NEWNET) == 0); }
void Lan::EnterNear() const { REQUIRE(setns(near_, CLONE_NEWNET) == 0); }

std::string Lan::Shell(const std::string& command) {
  INFO(command);
  FILE* pipe = popen(command.c_str(), "r");
  REQUIRE(pipe != nullptr);
  std::string out;
  std::array<char, 512> buffer;
  while (const std::size_t size = fread(buffer.data(), 1, buffer.size(), pipe)) out.append(buffer.data(), size);
  const int status = pclose(pipe);
  REQUIRE(status == 0);
  return out;
}

std::string Lan::FarShell(const std::string& command) {
  EnterFar();
  std::string out = Shell(command);
  EnterNear();
  return out;
}

void Lan::FarSendUdp(const std::string& address) {
  EnterFar();
  const int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
  EnterNear();
  sockaddr_in to{};
  to.sin_family = AF_INET;
  to.sin_port = htons(9);  // discard
  REQUIRE(inet_pton(AF_INET, address.c_str(), &to.sin_addr) == 1);
  CHECK(sendto(fd, "x", 1, 0, reinterpret_cast<const sockaddr*>(&to), sizeof to) == 1);
  close(fd);
}

void Lan::Connect() {
  // IPv6 is off so that nothing but what a test sends is on the wire.
  Shell(
      absl::StrCat("ip link add near type veth peer name far && ip link set far netns /proc/", getpid(), "/fd/", far_));
  Shell("sysctl -qw net.ipv6.conf.near.disable_ipv6=1 && ip link set near up");
  FarShell("sysctl -qw net.ipv6.conf.far.disable_ipv6=1 && ip link set far up");
}

RawSocket Lan::Far(std::uint16_t ether_type) {
  EnterFar();
  RawSocket socket("far", ether_type);
  EnterNear();
  return socket;
}

int Lan::NearIndex(const std::string& interface) { return static_cast<int>(if_nametoindex(interface.c_str())); }

MacAddr Lan::NearMac(const std::string& interface) { return MacOf(interface); }

MacAddr Lan::FarMac() {
  EnterFar();
  const MacAddr mac = MacOf("far");
  EnterNear();
  return mac;
}

Frame ArpBytes(const MacAddr& ether_dst, const MacAddr& ether_src, std::uint16_t op, const MacAddr& sender_mac,
               const std::string& sender_ip, const MacAddr& target_mac, const std::string& target_ip) {
  Frame frame;
  const auto mac = [&](const MacAddr& m) { frame.insert(frame.end(), m.bytes().begin(), m.bytes().end()); };
  const auto ip = [&](const std::string& text) {
    std::array<std::uint8_t, 4> bytes;
    REQUIRE(inet_pton(AF_INET, text.c_str(), bytes.data()) == 1);
    frame.insert(frame.end(), bytes.begin(), bytes.end());
  };
  mac(ether_dst);
  mac(ether_src);
  for (const int byte : {0x08, 0x06, 0x00, 0x01, 0x08, 0x00, 6, 4, 0, static_cast<int>(op)}) {
    frame.push_back(static_cast<std::uint8_t>(byte));
  }
  mac(sender_mac);
  ip(sender_ip);
  mac(target_mac);
  ip(target_ip);
  return frame;
}

}  // namespace berth::testing
