// SPDX-License-Identifier: Apache-2.0
// tests/unit/agent/l2/ndp_bytes.h -- neighbour discovery frames written out by hand. Their checksums are Wireshark's,
// not ours, where a test names one; Ndp computes it by the plain words of RFC 1071, byte by byte.
#ifndef BERTH_TESTS_UNIT_AGENT_L2_NDP_BYTES_H_
#define BERTH_TESTS_UNIT_AGENT_L2_NDP_BYTES_H_

#include <string>

#include "tests/unit/agent/l2/arp_bytes.h"

namespace berth::testing {

// fd00::10, ours; its group; who asks.
inline const std::string kVip = "fd000000000000000000000000000010";
inline const std::string kVipGroup = "ff0200000000000000000001ff000010", kVipGroupMac = "3333ff000010";
inline const std::string kAllNodes = "ff020000000000000000000000000001", kAllNodesMac = "333300000001";
inline const std::string kAsker = "fd000000000000000000000000000099", kAskerMac = "02005e100099";
inline const std::string kNobody = "00000000000000000000000000000000";

// Puts the right checksum into a frame whose IPv6 payload is all that follows.
inline Bytes Summed(Bytes frame) {
  frame[56] = frame[57] = 0;
  std::uint64_t sum = (frame.size() - 54) + 58;
  for (std::size_t i = 22; i < frame.size(); ++i) sum += static_cast<std::uint64_t>(frame[i]) << (i % 2 == 0 ? 8 : 0);
  while (sum > 0xffff) sum = (sum & 0xffff) + (sum >> 16);
  frame[56] = static_cast<std::uint8_t>(~sum >> 8);
  frame[57] = static_cast<std::uint8_t>(~sum);
  return frame;
}

// A whole message; `flags` are its first reserved byte, `options` what follows the target.
inline Bytes Ndp(const std::string& to, const std::string& from, const std::string& source,
                 const std::string& destination, const std::string& type, const std::string& flags,
                 const std::string& target, const std::string& options) {
  Bytes body = Hex(type + "00 0000" + flags + "000000" + target + options);
  Bytes frame = Hex(to + from + "86dd 60000000 00" + "00 3a ff" + source + destination);
  frame[19] = static_cast<std::uint8_t>(body.size());
  frame.insert(frame.end(), body.begin(), body.end());
  return Summed(frame);
}

inline Bytes Solicitation(const std::string& target = kVip, const std::string& to = kVipGroupMac,
                          const std::string& destination = kVipGroup) {
  return Ndp(to, kAskerMac, kAsker, destination, "87", "00", target, "0101" + kAskerMac);
}

}  // namespace berth::testing

#endif  // BERTH_TESTS_UNIT_AGENT_L2_NDP_BYTES_H_
