// SPDX-License-Identifier: Apache-2.0
#include "agent/effect/l2/ndp_packet.h"

#include <algorithm>
#include <array>
#include <cstring>

#include "absl/numeric/int128.h"

namespace berth::agent {
namespace {

constexpr std::uint8_t kNextHeaderIcmpv6 = 58;
constexpr std::uint8_t kHopLimit = 255;

// Offsets into the frame: the IPv6 header's fields (RFC 8200), then the message's (RFC 4861).
constexpr std::size_t kIpAt = kEthernetHeaderSize;
constexpr std::size_t kPayloadLengthAt = kIpAt + 4;
constexpr std::size_t kNextHeaderAt = kIpAt + 6;
constexpr std::size_t kHopLimitAt = kIpAt + 7;
constexpr std::size_t kSourceAt = kIpAt + 8;
constexpr std::size_t kDestinationAt = kIpAt + 24;
constexpr std::size_t kTypeAt = kIpAt + 40;
constexpr std::size_t kCodeAt = kTypeAt + 1;
constexpr std::size_t kChecksumAt = kTypeAt + 2;
constexpr std::size_t kFlagsAt = kTypeAt + 4;
constexpr std::size_t kTargetAt = kTypeAt + 8;
constexpr std::size_t kOptionsAt = kTypeAt + 24;
constexpr std::size_t kMessageSize = kOptionsAt - kTypeAt;  // without options
constexpr std::size_t kLinkAddressOptionSize = 8;
static_assert(kMaxNdpFrameSize == kOptionsAt + kLinkAddressOptionSize);

constexpr std::uint8_t kSourceLinkAddress = 1, kTargetLinkAddress = 2;  // types of options
constexpr std::uint8_t kRouterFlag = 0x80, kSolicitedFlag = 0x40, kOverrideFlag = 0x20;

IpAddr ReadIp(const std::uint8_t* at) {
  absl::uint128 number = 0;
  for (std::size_t i = 0; i < 16; ++i) number = number << 8 | at[i];
  return IpAddr::V6(number);
}

void WriteIp(std::uint8_t* at, const IpAddr& ip) {
  const std::array<std::uint8_t, 16> bytes = ip.V6Bytes();
  std::copy(bytes.begin(), bytes.end(), at);
}

// RFC 1071 and RFC 8200 section 8.1: over pseudo header and message, `size` bytes of it. 0xffff when the checksum in
// the message is right; its complement is the checksum when that field is zero.
std::uint16_t Sum(const std::uint8_t* frame, std::size_t size) {
  std::uint32_t sum = static_cast<std::uint32_t>(size) + kNextHeaderIcmpv6;
  for (std::size_t at = kSourceAt; at < kTypeAt; at += 2) sum += Read16(frame + at);
  const std::uint8_t* message = frame + kTypeAt;
  for (std::size_t i = 0; i + 1 < size; i += 2) sum += Read16(message + i);
  if (size % 2 == 1) sum += static_cast<std::uint32_t>(message[size - 1]) << 8;
  while ((sum >> 16) != 0) sum = (sum & 0xffff) + (sum >> 16);
  return static_cast<std::uint16_t>(sum);
}

// Everything but the options.
NdpFault CheckHeaders(absl::Span<const std::uint8_t> frame) {
  if (frame.size() < kEthernetHeaderSize) return NdpFault::kTruncated;
  const std::uint8_t* data = frame.data();
  const std::uint16_t ether_type = Read16(data + kEtherTypeAt);
  if (ether_type != kEtherTypeIpv6) return IsVlanTag(ether_type) ? NdpFault::kVlanTagged : NdpFault::kNotNdp;
  if (frame.size() <= kTypeAt) return NdpFault::kTruncated;
  if (data[kIpAt] >> 4 != 6 || data[kNextHeaderAt] != kNextHeaderIcmpv6) return NdpFault::kNotNdp;
  const std::uint8_t type = data[kTypeAt];
  if (type != static_cast<std::uint8_t>(NdpKind::kSolicitation) &&
      type != static_cast<std::uint8_t>(NdpKind::kAdvertisement)) {
    return NdpFault::kNotNdp;
  }
  if (data[kHopLimitAt] != kHopLimit) return NdpFault::kHopLimit;
  const std::size_t size = Read16(data + kPayloadLengthAt);
  if (size < kMessageSize) return NdpFault::kLength;
  if (frame.size() < kTypeAt + size) return NdpFault::kTruncated;
  if (Sum(data, size) != 0xffff) return NdpFault::kChecksum;
  if (data[kCodeAt] != 0) return NdpFault::kCode;
  return NdpFault::kNone;
}

// Takes the address out of the option that belongs to the kind of message; the first one counts.
NdpFault ReadOptions(absl::Span<const std::uint8_t> options, NdpPacket* packet) {
  const std::uint8_t wanted = packet->kind == NdpKind::kSolicitation ? kSourceLinkAddress : kTargetLinkAddress;
  while (!options.empty()) {
    if (options.size() < 2) return NdpFault::kOption;
    const std::size_t size = std::size_t{options[1]} * 8;
    if (size == 0 || size > options.size()) return NdpFault::kOption;
    if (options[0] == wanted && !packet->link_address.has_value()) {
      if (size != kLinkAddressOptionSize) return NdpFault::kOption;
      packet->link_address = ReadMac(options.data() + 2);
    }
    options.remove_prefix(size);
  }
  return NdpFault::kNone;
}

NdpFault CheckAddresses(const NdpPacket& packet) {
  if (packet.source.is_multicast()) return NdpFault::kSource;
  if (packet.target.is_multicast()) return NdpFault::kTarget;
  if (packet.is_probe()) {
    if (packet.link_address.has_value()) return NdpFault::kOption;
    if (packet.destination != SolicitedNodeGroup(packet.target)) return NdpFault::kDestination;
  }
  if (packet.solicited && packet.destination.is_multicast()) return NdpFault::kDestination;
  if (!NamesOneStation(packet.ether_src)) return NdpFault::kHardwareAddress;
  if (packet.link_address.has_value() && !NamesOneStation(*packet.link_address)) return NdpFault::kHardwareAddress;
  return NdpFault::kNone;
}

}  // namespace

absl::string_view NdpFaultName(NdpFault fault) {
  switch (fault) {
    case NdpFault::kNone:
      return "none";
    case NdpFault::kTruncated:
      return "truncated";
    case NdpFault::kVlanTagged:
      return "vlan tagged";
    case NdpFault::kNotNdp:
      return "not neighbour discovery";
    case NdpFault::kHopLimit:
      return "hop limit is not 255";
    case NdpFault::kChecksum:
      return "wrong checksum";
    case NdpFault::kCode:
      return "code is not 0";
    case NdpFault::kLength:
      return "too short";
    case NdpFault::kSource:
      return "IPv6 source is a group";
    case NdpFault::kTarget:
      return "target is a group";
    case NdpFault::kOption:
      return "impossible option";
    case NdpFault::kDestination:
      return "destination does not fit";
    case NdpFault::kHardwareAddress:
      return "source is zero or a group";
  }
  return "unknown";
}

bool IsIpv6Frame(absl::Span<const std::uint8_t> frame) {
  return frame.size() >= kEthernetHeaderSize && Read16(frame.data() + kEtherTypeAt) == kEtherTypeIpv6;
}

NdpParse ParseNdp(absl::Span<const std::uint8_t> frame) {
  NdpParse parsed;
  parsed.fault = CheckHeaders(frame);
  if (!parsed.ok()) return parsed;
  const std::uint8_t* data = frame.data();
  NdpPacket& packet = parsed.packet;
  packet.ether_dst = ReadMac(data);
  packet.ether_src = ReadMac(data + 6);
  packet.kind = static_cast<NdpKind>(data[kTypeAt]);
  packet.source = ReadIp(data + kSourceAt);
  packet.destination = ReadIp(data + kDestinationAt);
  packet.target = ReadIp(data + kTargetAt);
  if (packet.kind == NdpKind::kAdvertisement) {  // reserved bits in a solicitation, which a receiver ignores
    packet.router = (data[kFlagsAt] & kRouterFlag) != 0;
    packet.solicited = (data[kFlagsAt] & kSolicitedFlag) != 0;
    packet.overrides = (data[kFlagsAt] & kOverrideFlag) != 0;
  }
  parsed.fault = ReadOptions(frame.subspan(kOptionsAt, Read16(data + kPayloadLengthAt) - kMessageSize), &packet);
  if (parsed.ok()) parsed.fault = CheckAddresses(packet);
  return parsed;
}

std::size_t BuildNdpInto(const NdpPacket& packet, std::uint8_t* out) {
  const std::size_t options = packet.link_address.has_value() ? kLinkAddressOptionSize : 0;
  const std::size_t message = kMessageSize + options;
  std::memset(out, 0, kTypeAt + message);
  WriteMac(out, packet.ether_dst);
  WriteMac(out + 6, packet.ether_src);
  Write16(out + kEtherTypeAt, kEtherTypeIpv6);
  out[kIpAt] = 6 << 4;
  Write16(out + kPayloadLengthAt, static_cast<std::uint16_t>(message));
  out[kNextHeaderAt] = kNextHeaderIcmpv6;
  out[kHopLimitAt] = kHopLimit;
  WriteIp(out + kSourceAt, packet.source);
  WriteIp(out + kDestinationAt, packet.destination);
  out[kTypeAt] = static_cast<std::uint8_t>(packet.kind);
  out[kFlagsAt] =
      static_cast<std::uint8_t>((packet.router ? kRouterFlag : 0) | (packet.solicited ? kSolicitedFlag : 0) |
                                (packet.overrides ? kOverrideFlag : 0));
  WriteIp(out + kTargetAt, packet.target);
  if (packet.link_address.has_value()) {
    out[kOptionsAt] = packet.kind == NdpKind::kSolicitation ? kSourceLinkAddress : kTargetLinkAddress;
    out[kOptionsAt + 1] = kLinkAddressOptionSize / 8;
    WriteMac(out + kOptionsAt + 2, *packet.link_address);
  }
  Write16(out + kChecksumAt, static_cast<std::uint16_t>(~Sum(out, message)));
  return kTypeAt + message;
}

IpAddr SolicitedNodeGroup(const IpAddr& ip) {
  constexpr absl::uint128 kPrefix = absl::MakeUint128(0xff02ULL << 48, 0x1ff000000ULL);  // ff02::1:ff00:0
  return IpAddr::V6(kPrefix | (ip.number() & 0xffffff));
}

MacAddr MacOfGroup(const IpAddr& group) {
  const auto low = absl::Uint128Low64(group.number());
  const auto byte = [low](int shift) { return static_cast<std::uint8_t>(low >> shift); };
  return MacAddr({0x33, 0x33, byte(24), byte(16), byte(8), byte(0)});
}

IpAddr AllNodesGroup() { return IpAddr::V6(absl::MakeUint128(0xff02ULL << 48, 1)); }

// Advertisements bear the address itself as IPv6 source, as the kernel's own do for an address of its interface. So
// they need no other address on the interface, whose link-local one may be missing, not checked yet, or found to be
// somebody else's; and a receiver that filters by source sees the address that it asked for.
NdpPacket UnsolicitedAdvertisement(const MacAddr& mac, const IpAddr& ip) {
  NdpPacket packet;
  packet.ether_dst = MacOfGroup(AllNodesGroup());
  packet.ether_src = mac;
  packet.kind = NdpKind::kAdvertisement;
  packet.source = ip;
  packet.destination = AllNodesGroup();
  packet.target = ip;
  packet.link_address = mac;
  packet.overrides = true;
  return packet;
}

NdpPacket NdpProbe(const MacAddr& mac, const IpAddr& ip) {
  NdpPacket packet;
  packet.destination = SolicitedNodeGroup(ip);
  packet.ether_dst = MacOfGroup(packet.destination);
  packet.ether_src = mac;
  packet.kind = NdpKind::kSolicitation;
  packet.source = IpAddr::V6(0);
  packet.target = ip;
  return packet;
}

// The Override flag stays clear in answers, although RFC 4861 would rather have it set (a SHOULD). A host that has no
// entry, or an incomplete one, takes the answer all the same; one that has an entry keeps it until it is announced anew
// or found unreachable. So a late answer of a node that has just handed the address over does not turn anybody back who
// has heard the new one announce it.
NdpPacket NdpReplyTo(const NdpPacket& solicitation, const MacAddr& mac) {
  NdpPacket packet = UnsolicitedAdvertisement(mac, solicitation.target);
  packet.overrides = false;
  if (solicitation.is_probe()) return packet;  // to all nodes: who asks has no address yet
  packet.ether_dst = solicitation.claimed_by();
  packet.destination = solicitation.source;
  packet.solicited = true;
  return packet;
}

}  // namespace berth::agent
