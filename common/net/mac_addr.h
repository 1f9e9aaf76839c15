// SPDX-License-Identifier: Apache-2.0
// common/net/mac_addr.h -- a 48-bit Ethernet address.
#ifndef BERTH_COMMON_NET_MAC_ADDR_H_
#define BERTH_COMMON_NET_MAC_ADDR_H_

#include <array>
#include <compare>
#include <cstdint>
#include <ostream>
#include <string>
#include <utility>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"

namespace berth {

class MacAddr {
 public:
  constexpr MacAddr() = default;  // 00:00:00:00:00:00
  constexpr explicit MacAddr(std::array<std::uint8_t, 6> bytes) : bytes_(bytes) {}
  static constexpr MacAddr Broadcast() { return MacAddr({0xff, 0xff, 0xff, 0xff, 0xff, 0xff}); }
  // "02:00:5e:00:00:01" (either case). Errors: InvalidArgument, quoting `text`.
  static absl::StatusOr<MacAddr> Parse(absl::string_view text);
  // Errors: InvalidArgument unless 6 bytes are given.
  static absl::StatusOr<MacAddr> FromBytes(absl::string_view bytes);

  const std::array<std::uint8_t, 6>& bytes() const { return bytes_; }
  std::string ToBytes() const;
  bool is_zero() const { return *this == MacAddr(); }
  bool is_broadcast() const { return *this == Broadcast(); }
  bool is_multicast() const { return (bytes_[0] & 1) != 0; }
  std::string ToString() const;  // lower case

  friend std::strong_ordering operator<=>(const MacAddr&, const MacAddr&) = default;
  friend bool operator==(const MacAddr&, const MacAddr&) = default;
  friend std::ostream& operator<<(std::ostream& out, const MacAddr& m) { return out << m.ToString(); }
  template <typename H>
  friend H AbslHashValue(H h, const MacAddr& m) {
    return H::combine(std::move(h), m.bytes_);
  }

 private:
  std::array<std::uint8_t, 6> bytes_{};
};

}  // namespace berth

#endif  // BERTH_COMMON_NET_MAC_ADDR_H_
