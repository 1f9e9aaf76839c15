// SPDX-License-Identifier: Apache-2.0
#include "common/net/ip_addr.h"

#include <arpa/inet.h>

#include <cassert>
#include <cstddef>

#include "absl/status/status.h"
#include "absl/strings/str_cat.h"
#include "common/net/quote.h"

namespace berth {
namespace {

constexpr int kGroups = 8;  // 16-bit groups in an IPv6 address

// The value that `count` network-order bytes spell.
absl::uint128 FromNetworkOrder(const std::uint8_t* bytes, std::size_t count) {
  absl::uint128 value = 0;
  for (std::size_t i = 0; i < count; ++i) value = (value << 8) | bytes[i];
  return value;
}

template <std::size_t N>
std::array<std::uint8_t, N> ToNetworkOrder(absl::uint128 value) {
  std::array<std::uint8_t, N> bytes{};
  for (std::size_t i = N; i-- > 0; value >>= 8) bytes[i] = static_cast<std::uint8_t>(value & 0xff);
  return bytes;
}

absl::uint128 LastOf(Family family) {
  return family == Family::kIpv4 ? absl::uint128(0xffffffffU) : absl::Uint128Max();
}

// ::ffff:0:0/96, RFC 4291 section 2.5.5.2.
bool IsIpv4Mapped(absl::uint128 value) { return (value >> 32) == 0xffff; }

std::string V4Text(absl::uint128 value) {
  const auto b = ToNetworkOrder<4>(value);
  return absl::StrCat(b[0], ".", b[1], ".", b[2], ".", b[3]);
}

// The groups that "::" stands for: the longest run of at least two zeros, the first one of equals (RFC 5952
// section 4.2).
struct Gap {
  int begin = kGroups;
  int length = 0;
};

Gap LongestZeroRun(const std::array<unsigned, kGroups>& groups) {
  Gap best;
  for (int i = 0; i < kGroups; ++i) {
    int end = i;
    while (end < kGroups && groups[static_cast<std::size_t>(end)] == 0) ++end;
    if (end - i >= 2 && end - i > best.length) best = {i, end - i};
    if (end > i) i = end;  // groups[end] is not zero
  }
  return best;
}

// inet_ntop is of no use here: it writes ::1:f00d as ::0.1.240.13.
std::string V6Text(absl::uint128 value) {
  std::array<unsigned, kGroups> groups{};
  for (std::size_t i = kGroups; i-- > 0; value >>= 16) groups[i] = static_cast<unsigned>(value & 0xffff);
  const Gap gap = LongestZeroRun(groups);
  std::string text;
  for (int i = 0; i < kGroups; ++i) {
    if (i == gap.begin) {
      text += "::";
      i += gap.length - 1;
      continue;
    }
    if (!text.empty() && text.back() != ':') text += ':';
    absl::StrAppend(&text, absl::Hex(groups[static_cast<std::size_t>(i)]));
  }
  return text;
}

}  // namespace

absl::string_view FamilyName(Family family) { return family == Family::kIpv4 ? "IPv4" : "IPv6"; }

int FamilyBits(Family family) { return family == Family::kIpv4 ? 32 : 128; }

absl::StatusOr<IpAddr> IpAddr::Parse(absl::string_view text) {
  // inet_pton is as strict as we want (no leading zeros in IPv4, no short forms, no scope ids), but stops at a NUL.
  const std::string terminated(text);
  std::array<std::uint8_t, 16> bytes{};
  if (terminated.find('\0') == std::string::npos) {
    if (inet_pton(AF_INET, terminated.c_str(), bytes.data()) == 1) {
      return IpAddr(Family::kIpv4, FromNetworkOrder(bytes.data(), 4));
    }
    if (inet_pton(AF_INET6, terminated.c_str(), bytes.data()) == 1) {
      const absl::uint128 value = FromNetworkOrder(bytes.data(), 16);
      if (!IsIpv4Mapped(value)) return IpAddr(Family::kIpv6, value);
      return absl::InvalidArgumentError(
          absl::StrCat(Quote(text), " is an IPv4-mapped IPv6 address; write ", V4Text(value)));
    }
  }
  return absl::InvalidArgumentError(absl::StrCat(Quote(text), " is not an IPv4 or IPv6 address"));
}

IpAddr IpAddr::V4(std::uint32_t host_order) { return IpAddr(Family::kIpv4, host_order); }

IpAddr IpAddr::V6(absl::uint128 host_order) { return IpAddr(Family::kIpv6, host_order); }

IpAddr IpAddr::FromNumber(Family family, absl::uint128 value) {
  assert(value <= LastOf(family));
  return IpAddr(family, value & LastOf(family));
}

absl::StatusOr<IpAddr> IpAddr::FromBytes(absl::string_view network_order) {
  if (network_order.size() != 4 && network_order.size() != 16) {
    return absl::InvalidArgumentError(
        absl::StrCat("an address has 4 or 16 bytes, but ", network_order.size(), " were given"));
  }
  absl::uint128 value = 0;
  for (const char c : network_order) value = (value << 8) | static_cast<std::uint8_t>(c);
  return IpAddr(network_order.size() == 4 ? Family::kIpv4 : Family::kIpv6, value);
}

bool IpAddr::is_multicast() const { return is_v4() ? (number() >> 28) == 0xe : (number() >> 120) == 0xff; }

bool IpAddr::is_loopback() const { return is_v4() ? (number() >> 24) == 127 : number() == 1; }

bool IpAddr::is_link_local() const {
  return is_v4() ? (number() >> 16) == 0xa9fe : (number() >> 118) == (0xfe80U >> 6);
}

std::string IpAddr::ToBytes() const {
  const auto bytes = V6Bytes();
  return std::string(is_v4() ? bytes.begin() + 12 : bytes.begin(), bytes.end());
}

std::array<std::uint8_t, 4> IpAddr::V4Bytes() const {
  assert(is_v4());
  return ToNetworkOrder<4>(number());
}

// Not asserted to be IPv6: ToBytes() takes the low four of these for IPv4.
std::array<std::uint8_t, 16> IpAddr::V6Bytes() const { return ToNetworkOrder<16>(number()); }

std::optional<IpAddr> IpAddr::Next() const {
  if (number() == LastOf(family_)) return std::nullopt;
  return IpAddr(family_, number() + 1);
}

std::optional<IpAddr> IpAddr::Prev() const {
  if (number() == 0) return std::nullopt;
  return IpAddr(family_, number() - 1);
}

std::string IpAddr::ToString() const { return is_v4() ? V4Text(number()) : V6Text(number()); }

}  // namespace berth
