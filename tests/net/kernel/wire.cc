// SPDX-License-Identifier: Apache-2.0
#include "tests/net/kernel/wire.h"

#include <arpa/inet.h>
#include <linux/if_packet.h>
#include <net/ethernet.h>
#include <net/if.h>
#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>

#include <array>
#include <catch2/catch.hpp>

namespace berth::agent {
namespace {

constexpr int kWaitMs = 10000;
const std::string kPeerMac("\x02\x00\x00\x00\x00\x01", 6);

std::string Bytes(std::initializer_list<int> values) {
  std::string out;
  for (const int value : values) out.push_back(static_cast<char>(value));
  return out;
}

std::string Checksum(const std::string& data) {
  std::uint32_t sum = 0;
  for (std::size_t i = 0; i < data.size(); i += 2) {
    sum += static_cast<std::uint32_t>(static_cast<std::uint8_t>(data[i]) << 8);
    if (i + 1 < data.size()) sum += static_cast<std::uint8_t>(data[i + 1]);
  }
  while ((sum >> 16) != 0) sum = (sum & 0xffff) + (sum >> 16);
  const std::uint32_t folded = ~sum & 0xffff;
  return Bytes({static_cast<int>(folded >> 8), static_cast<int>(folded & 0xff)});
}

IpAddr AddressAt(const std::string& frame, std::size_t offset, std::size_t size) {
  return *IpAddr::FromBytes(absl::string_view(frame).substr(offset, size));
}

}  // namespace

Wire::Wire(Lab& lab) {
  lab.peer().Enter();
  fd_ = socket(AF_PACKET, SOCK_RAW | SOCK_CLOEXEC, htons(ETH_P_ALL));
  ifindex_ = static_cast<int>(if_nametoindex("p0"));
  lab.node().Enter();
  REQUIRE(fd_ >= 0);
  sockaddr_ll address{};
  address.sll_family = AF_PACKET;
  address.sll_protocol = htons(ETH_P_ALL);
  address.sll_ifindex = ifindex_;
  REQUIRE(bind(fd_, reinterpret_cast<sockaddr*>(&address), sizeof(address)) == 0);
}

Wire::~Wire() { close(fd_); }

void Wire::Send(const std::string& frame) {
  REQUIRE(send(fd_, frame.data(), frame.size(), 0) == static_cast<ssize_t>(frame.size()));
}

std::optional<std::string> Wire::Receive() {
  std::array<char, 2048> buffer{};
  while (true) {
    pollfd ready{.fd = fd_, .events = POLLIN, .revents = 0};
    if (poll(&ready, 1, kWaitMs) <= 0) return std::nullopt;
    sockaddr_ll from{};
    socklen_t from_size = sizeof(from);
    const ssize_t got = recvfrom(fd_, buffer.data(), buffer.size(), 0, reinterpret_cast<sockaddr*>(&from), &from_size);
    if (got < 0) return std::nullopt;
    if (from.sll_pkttype == PACKET_OUTGOING) continue;  // what this end sends itself
    return std::string(buffer.data(), static_cast<std::size_t>(got));
  }
}

void Wire::AskArp(const IpAddr& target, const IpAddr& sender) {
  Send(std::string(6, '\xff') + kPeerMac + Bytes({8, 6, 0, 1, 8, 0, 6, 4, 0, 1}) + kPeerMac + sender.ToBytes() +
       std::string(6, '\0') + target.ToBytes());
}

void Wire::Solicit(const IpAddr& target, const IpAddr& sender) {
  const std::string low = target.ToBytes().substr(13);
  const std::string group = Ip("ff02::1:ff00:0").ToBytes().substr(0, 13) + low;
  const std::string tail = Bytes({0, 0, 0, 0}) + target.ToBytes() + Bytes({1, 1}) + kPeerMac;
  const std::string pseudo = sender.ToBytes() + group + Bytes({0, 0, 0, 32, 0, 0, 0, 58});
  const std::string sum = Checksum(pseudo + Bytes({135, 0, 0, 0}) + tail);
  Send(Bytes({0x33, 0x33, 0xff}) + low + kPeerMac + Bytes({0x86, 0xdd, 0x60, 0, 0, 0, 0, 32, 58, 255}) +
       sender.ToBytes() + group + Bytes({135, 0}) + sum + tail);
}

std::optional<ArpSeen> Wire::NextArp() {
  while (const std::optional<std::string> frame = Receive()) {
    if (frame->size() < 42 || frame->substr(12, 2) != Bytes({8, 6})) continue;
    return ArpSeen{.request = (*frame)[21] == 1,
                   .sender_mac = *MacAddr::FromBytes(absl::string_view(*frame).substr(22, 6)),
                   .sender = AddressAt(*frame, 28, 4),
                   .target = AddressAt(*frame, 38, 4)};
  }
  return std::nullopt;
}

std::optional<NdpSeen> Wire::NextNdp() {
  while (const std::optional<std::string> frame = Receive()) {
    if (frame->size() < 78 || frame->substr(12, 2) != Bytes({0x86, 0xdd}) || (*frame)[20] != 58) continue;
    const auto type = static_cast<std::uint8_t>((*frame)[54]);
    if (type != 135 && type != 136) continue;
    const std::string message = frame->substr(54);
    const std::string pseudo = frame->substr(22, 32) + Bytes({0, 0, 0, static_cast<int>(message.size()), 0, 0, 0, 58});
    return NdpSeen{.solicitation = type == 135,
                   .source = AddressAt(*frame, 22, 16),
                   .target = AddressAt(*frame, 62, 16),
                   .sound = Checksum(pseudo + message) == Bytes({0, 0})};
  }
  return std::nullopt;
}

bool Wire::AnswersArp(const IpAddr& address, const IpAddr& control) {
  AskArp(address, Ip("10.9.0.1"));
  AskArp(control, Ip("10.9.0.1"));
  bool answered = false;
  while (const std::optional<ArpSeen> seen = NextArp()) {
    if (seen->request) continue;
    if (seen->sender == address) answered = true;
    if (seen->sender == control) return answered;
  }
  FAIL("the control address was not answered");
  return false;
}

bool Wire::AnswersSolicitation(const IpAddr& address, const IpAddr& control) {
  Solicit(address, Ip("fd00::1"));
  Solicit(control, Ip("fd00::1"));
  bool answered = false;
  while (const std::optional<NdpSeen> seen = NextNdp()) {
    if (seen->solicitation) continue;
    if (seen->target == address) answered = true;
    if (seen->target == control) return answered;
  }
  FAIL("the control address was not answered");
  return false;
}

}  // namespace berth::agent
