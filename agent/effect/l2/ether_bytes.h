// SPDX-License-Identifier: Apache-2.0
// agent/effect/l2/ether_bytes.h -- what ARP and neighbour discovery have in common: fields of Ethernet frames.
// Internal.
#ifndef BERTH_AGENT_EFFECT_L2_ETHER_BYTES_H_
#define BERTH_AGENT_EFFECT_L2_ETHER_BYTES_H_

#include <algorithm>
#include <array>
#include <cstddef>
#include <cstdint>

#include "common/net/mac_addr.h"

namespace berth::agent {

inline constexpr std::size_t kEthernetHeaderSize = 14;
inline constexpr std::size_t kEtherSourceAt = 6;
inline constexpr std::size_t kEtherTypeAt = 12;

inline constexpr std::uint16_t kEtherTypeArp = 0x0806;
inline constexpr std::uint16_t kEtherTypeIpv6 = 0x86dd;
inline constexpr std::uint16_t kEtherTypeVlan = 0x8100;         // IEEE 802.1Q
inline constexpr std::uint16_t kEtherTypeServiceVlan = 0x88a8;  // IEEE 802.1ad
inline constexpr std::uint16_t kEtherTypeOldVlan = 0x9100;      // stacked tags before 802.1ad

inline bool IsVlanTag(std::uint16_t ether_type) {
  return ether_type == kEtherTypeVlan || ether_type == kEtherTypeServiceVlan || ether_type == kEtherTypeOldVlan;
}

inline std::uint16_t Read16(const std::uint8_t* at) { return static_cast<std::uint16_t>(at[0] << 8 | at[1]); }

inline MacAddr ReadMac(const std::uint8_t* at) {
  std::array<std::uint8_t, 6> bytes;
  std::copy_n(at, bytes.size(), bytes.begin());
  return MacAddr(bytes);
}

inline void Write16(std::uint8_t* at, std::uint16_t value) {
  at[0] = static_cast<std::uint8_t>(value >> 8);
  at[1] = static_cast<std::uint8_t>(value & 0xff);
}

inline void WriteMac(std::uint8_t* at, const MacAddr& mac) { std::copy(mac.bytes().begin(), mac.bytes().end(), at); }

// Whether somebody can be answered there.
inline bool NamesOneStation(const MacAddr& mac) { return !mac.is_zero() && !mac.is_multicast(); }

}  // namespace berth::agent

#endif  // BERTH_AGENT_EFFECT_L2_ETHER_BYTES_H_
