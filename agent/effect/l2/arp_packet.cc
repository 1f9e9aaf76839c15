// SPDX-License-Identifier: Apache-2.0
#include "agent/effect/l2/arp_packet.h"

#include <algorithm>
#include <cstring>

#include "agent/effect/l2/ether_bytes.h"

namespace berth::agent {
namespace {

constexpr std::uint16_t kHardwareEthernet = 1;
constexpr std::uint16_t kProtocolIpv4 = 0x0800;

// Offsets into the frame, RFC 826's fields in their order.
constexpr std::size_t kHardwareTypeAt = 14;
constexpr std::size_t kProtocolTypeAt = 16;
constexpr std::size_t kHardwareLengthAt = 18;
constexpr std::size_t kProtocolLengthAt = 19;
constexpr std::size_t kOperationAt = 20;
constexpr std::size_t kSenderMacAt = 22;
constexpr std::size_t kSenderIpAt = 28;
constexpr std::size_t kTargetMacAt = 32;
constexpr std::size_t kTargetIpAt = 38;

IpAddr ReadIp(const std::uint8_t* at) {
  return IpAddr::V4(static_cast<std::uint32_t>(Read16(at)) << 16 | Read16(at + 2));
}

void WriteIp(std::uint8_t* at, const IpAddr& ip) {
  const std::array<std::uint8_t, 4> bytes = ip.V4Bytes();
  std::copy(bytes.begin(), bytes.end(), at);
}

ArpFault CheckHeader(absl::Span<const std::uint8_t> frame) {
  if (frame.size() < kEthernetHeaderSize) return ArpFault::kTruncated;
  const std::uint8_t* data = frame.data();
  const std::uint16_t ether_type = Read16(data + kEtherTypeAt);
  if (ether_type != kEtherTypeArp) return IsVlanTag(ether_type) ? ArpFault::kVlanTagged : ArpFault::kNotArp;
  if (frame.size() < kEthernetHeaderSize + kArpSize) return ArpFault::kTruncated;
  if (Read16(data + kHardwareTypeAt) != kHardwareEthernet) return ArpFault::kHardwareType;
  if (Read16(data + kProtocolTypeAt) != kProtocolIpv4) return ArpFault::kProtocolType;
  if (data[kHardwareLengthAt] != 6 || data[kProtocolLengthAt] != 4) return ArpFault::kAddressLength;
  const std::uint16_t op = Read16(data + kOperationAt);
  if (op != static_cast<std::uint16_t>(ArpOp::kRequest) && op != static_cast<std::uint16_t>(ArpOp::kReply)) {
    return ArpFault::kOperation;
  }
  return ArpFault::kNone;
}

ArpPacket Broadcast(ArpOp op, const MacAddr& mac, const IpAddr& sender_ip, const MacAddr& target_mac,
                    const IpAddr& target_ip) {
  return {.ether_dst = MacAddr::Broadcast(),
          .ether_src = mac,
          .op = op,
          .sender_mac = mac,
          .sender_ip = sender_ip,
          .target_mac = target_mac,
          .target_ip = target_ip};
}

}  // namespace

absl::string_view ArpFaultName(ArpFault fault) {
  switch (fault) {
    case ArpFault::kNone:
      return "none";
    case ArpFault::kTruncated:
      return "truncated";
    case ArpFault::kVlanTagged:
      return "vlan tagged";
    case ArpFault::kNotArp:
      return "not arp";
    case ArpFault::kHardwareType:
      return "wrong hardware type";
    case ArpFault::kProtocolType:
      return "wrong protocol type";
    case ArpFault::kAddressLength:
      return "wrong address length";
    case ArpFault::kOperation:
      return "unknown operation";
    case ArpFault::kHardwareAddress:
      return "source is zero or a group";
  }
  return "unknown";
}

ArpParse ParseArp(absl::Span<const std::uint8_t> frame) {
  ArpParse parsed;
  parsed.fault = CheckHeader(frame);
  if (!parsed.ok()) return parsed;
  const std::uint8_t* data = frame.data();
  parsed.packet = {.ether_dst = ReadMac(data),
                   .ether_src = ReadMac(data + 6),
                   .op = static_cast<ArpOp>(Read16(data + kOperationAt)),
                   .sender_mac = ReadMac(data + kSenderMacAt),
                   .sender_ip = ReadIp(data + kSenderIpAt),
                   .target_mac = ReadMac(data + kTargetMacAt),
                   .target_ip = ReadIp(data + kTargetIpAt)};
  if (!NamesOneStation(parsed.packet.ether_src) || !NamesOneStation(parsed.packet.sender_mac)) {
    parsed.fault = ArpFault::kHardwareAddress;
  }
  return parsed;
}

void BuildArpInto(const ArpPacket& packet, std::uint8_t* out) {
  std::memset(out, 0, kMinFrameSize);
  WriteMac(out, packet.ether_dst);
  WriteMac(out + 6, packet.ether_src);
  Write16(out + kEtherTypeAt, kEtherTypeArp);
  Write16(out + kHardwareTypeAt, kHardwareEthernet);
  Write16(out + kProtocolTypeAt, kProtocolIpv4);
  out[kHardwareLengthAt] = 6;
  out[kProtocolLengthAt] = 4;
  Write16(out + kOperationAt, static_cast<std::uint16_t>(packet.op));
  WriteMac(out + kSenderMacAt, packet.sender_mac);
  WriteIp(out + kSenderIpAt, packet.sender_ip);
  WriteMac(out + kTargetMacAt, packet.target_mac);
  WriteIp(out + kTargetIpAt, packet.target_ip);
}

ArpFrame BuildArp(const ArpPacket& packet) {
  ArpFrame frame;
  BuildArpInto(packet, frame.data());
  return frame;
}

ArpPacket GratuitousRequest(const MacAddr& mac, const IpAddr& ip) {
  return Broadcast(ArpOp::kRequest, mac, ip, MacAddr(), ip);
}

ArpPacket GratuitousReply(const MacAddr& mac, const IpAddr& ip) { return Broadcast(ArpOp::kReply, mac, ip, mac, ip); }

ArpPacket ArpProbe(const MacAddr& mac, const IpAddr& ip) {
  return Broadcast(ArpOp::kRequest, mac, IpAddr(), MacAddr(), ip);
}

ArpPacket ArpReplyTo(const ArpPacket& request, const MacAddr& mac) {
  return {.ether_dst = request.sender_mac,
          .ether_src = mac,
          .op = ArpOp::kReply,
          .sender_mac = mac,
          .sender_ip = request.target_ip,
          .target_mac = request.sender_mac,
          .target_ip = request.sender_ip};
}

}  // namespace berth::agent
