// SPDX-License-Identifier: Apache-2.0
// tests/unit/agent/l2/arp_bytes.h -- frames written out as hex text by hand: an oracle that shares no code with Berth.
#ifndef BERTH_TESTS_UNIT_AGENT_L2_ARP_BYTES_H_
#define BERTH_TESTS_UNIT_AGENT_L2_ARP_BYTES_H_

#include <cstdint>
#include <string>
#include <vector>

namespace berth::testing {

using Bytes = std::vector<std::uint8_t>;

// "02 00 0a" or "02000a".
inline Bytes Hex(const std::string& text) {
  Bytes bytes;
  std::string digits;
  for (const char c : text) {
    if (c != ' ') digits += c;
  }
  for (std::size_t i = 0; i + 1 < digits.size(); i += 2) {
    bytes.push_back(static_cast<std::uint8_t>(std::stoi(digits.substr(i, 2), nullptr, 16)));
  }
  return bytes;
}

inline Bytes Padded(Bytes bytes) {
  bytes.resize(60);
  return bytes;
}

}  // namespace berth::testing

#endif  // BERTH_TESTS_UNIT_AGENT_L2_ARP_BYTES_H_
