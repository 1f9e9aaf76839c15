// SPDX-License-Identifier: Apache-2.0
// common/net/ip_addr.h -- one IPv4 or IPv6 address, a value: ordered, hashable, with arithmetic.
//
//   absl::StatusOr<IpAddr> a = IpAddr::Parse("192.168.50.50");
//   a->Next()->ToString() == "192.168.50.51"
//
// Text is strict on the way in (no leading zeros, no blanks, no scope ids) and canonical on the way out (RFC 5952).
// IPv4-mapped IPv6 addresses are rejected by Parse, so that each address has one form only.
#ifndef BERTH_COMMON_NET_IP_ADDR_H_
#define BERTH_COMMON_NET_IP_ADDR_H_

#include <array>
#include <compare>
#include <cstdint>
#include <functional>
#include <optional>
#include <ostream>
#include <string>
#include <utility>

#include "absl/numeric/int128.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"

namespace berth {

enum class Family : std::uint8_t { kIpv4 = 4, kIpv6 = 6 };

// "IPv4" or "IPv6", as Kubernetes spells them in Service.spec.ipFamilies.
absl::string_view FamilyName(Family family);
// Bits of an address: 32 or 128.
int FamilyBits(Family family);

class IpAddr {
 public:
  // 0.0.0.0. Exists so that containers can default-construct.
  constexpr IpAddr() = default;

  // Errors: InvalidArgument, quoting `text`.
  static absl::StatusOr<IpAddr> Parse(absl::string_view text);
  // From host-order numbers.
  static IpAddr V4(std::uint32_t host_order);
  static IpAddr V6(absl::uint128 host_order);
  // `value` is the address as a number; for kIpv4 it must be below 2^32.
  static IpAddr FromNumber(Family family, absl::uint128 value);
  // From network-order bytes: 4 or 16 of them. Errors: InvalidArgument on any other length.
  static absl::StatusOr<IpAddr> FromBytes(absl::string_view network_order);

  Family family() const { return family_; }
  bool is_v4() const { return family_ == Family::kIpv4; }
  bool is_v6() const { return family_ == Family::kIpv6; }
  bool is_unspecified() const { return number() == 0; }
  bool is_multicast() const;
  bool is_loopback() const;
  bool is_link_local() const;
  // The address as a number, in host order.
  absl::uint128 number() const { return absl::MakeUint128(high_, low_); }
  // Network-order bytes, 4 or 16, as a binary string.
  std::string ToBytes() const;
  std::array<std::uint8_t, 4> V4Bytes() const;   // only for IPv4
  std::array<std::uint8_t, 16> V6Bytes() const;  // only for IPv6

  // The neighbours in the same family, or nullopt at the family's end.
  std::optional<IpAddr> Next() const;
  std::optional<IpAddr> Prev() const;

  std::string ToString() const;

  // IPv4 sorts before IPv6; within a family by number.
  friend std::strong_ordering operator<=>(const IpAddr& a, const IpAddr& b) {
    if (a.family_ != b.family_) return a.family_ <=> b.family_;
    if (a.high_ != b.high_) return a.high_ <=> b.high_;
    return a.low_ <=> b.low_;
  }
  friend bool operator==(const IpAddr&, const IpAddr&) = default;
  friend std::ostream& operator<<(std::ostream& out, const IpAddr& a) { return out << a.ToString(); }
  template <typename H>
  friend H AbslHashValue(H h, const IpAddr& a) {
    return H::combine(std::move(h), static_cast<int>(a.family_), a.high_, a.low_);
  }

 private:
  constexpr IpAddr(Family family, absl::uint128 value)
      : high_(absl::Uint128High64(value)), low_(absl::Uint128Low64(value)), family_(family) {}
  // In halves: a uint128 would be aligned to 16 bytes, and each address 8 bytes larger.
  std::uint64_t high_ = 0, low_ = 0;
  Family family_ = Family::kIpv4;
};

}  // namespace berth

template <>
struct std::hash<berth::IpAddr> {
  std::size_t operator()(const berth::IpAddr& a) const noexcept {
    const auto n = a.number();
    return static_cast<std::size_t>((absl::Uint128High64(n) * 0x9E3779B97F4A7C15ULL) ^ absl::Uint128Low64(n) ^
                                    (a.is_v6() ? 0x5851F42D4C957F2DULL : 0));
  }
};

#endif  // BERTH_COMMON_NET_IP_ADDR_H_
