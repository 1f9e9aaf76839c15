// SPDX-License-Identifier: Apache-2.0
// Laws of IpAddr over arbitrary addresses, with the C library's parser as the independent judge of our text.
#include <arpa/inet.h>

#include <rapidcheck/catch.h>
#include <catch2/catch.hpp>

#include "common/net/cidr.h"
#include "common/net/ip_addr.h"

namespace berth {
namespace {

// Addresses with many zero groups, where shortening happens: `zeros` picks the groups that are cleared.
absl::uint128 Sparse(std::uint64_t high, std::uint64_t low, std::uint8_t zeros) {
  absl::uint128 value = absl::MakeUint128(high, low);
  for (int group = 0; group < 8; ++group) {
    if ((zeros >> group) & 1) value &= ~(absl::uint128(0xffff) << (16 * group));
  }
  return value;
}

TEST_CASE("IPv6 text means the same address to the C library and has no shorter form", "[unit]") {
  rc::prop("text law", [](std::uint64_t high, std::uint64_t low, std::uint8_t zeros) {
    const IpAddr a = IpAddr::V6(Sparse(high, low, zeros));
    const std::string text = a.ToString();
    std::array<std::uint8_t, 16> bytes{};
    RC_ASSERT(inet_pton(AF_INET6, text.c_str(), bytes.data()) == 1);
    RC_ASSERT(bytes == a.V6Bytes());
    const std::size_t gap = text.find("::");
    const bool has_gap = gap != std::string::npos;
    RC_ASSERT(!has_gap || text.find("::", gap + 1) == std::string::npos);
    RC_ASSERT(has_gap || (":" + text + ":").find(":0:0:") == std::string::npos);
    RC_ASSERT(text.find_first_not_of("0123456789abcdef:") == std::string::npos);
    // The C library writes a canonical text, too, except where it chooses the mixed notation.
    std::array<char, INET6_ADDRSTRLEN> theirs{};
    inet_ntop(AF_INET6, bytes.data(), theirs.data(), theirs.size());
    const std::string libc(theirs.data());
    if (libc.find('.') == std::string::npos) RC_ASSERT(text == libc);
  });
}

TEST_CASE("every IPv6 address that is not IPv4-mapped survives a round trip through text", "[unit]") {
  rc::prop("round trip law", [](std::uint64_t high, std::uint64_t low, std::uint8_t zeros) {
    const IpAddr a = IpAddr::V6(Sparse(high, low, zeros));
    const auto back = IpAddr::Parse(a.ToString());
    if ((a.number() >> 32) == 0xffff) {
      RC_ASSERT(!back.ok());
    } else {
      RC_ASSERT(back.ok());
      RC_ASSERT(*back == a);
    }
    RC_ASSERT(IpAddr::FromBytes(a.ToBytes()).value() == a);
  });
}

TEST_CASE("every IPv4 address survives a round trip through text and bytes", "[unit]") {
  rc::prop("round trip law", [](std::uint32_t number) {
    const IpAddr a = IpAddr::V4(number);
    RC_ASSERT(IpAddr::Parse(a.ToString()).value() == a);
    RC_ASSERT(IpAddr::FromBytes(a.ToBytes()).value() == a);
    in_addr raw{htonl(number)};
    std::array<char, INET_ADDRSTRLEN> theirs{};
    inet_ntop(AF_INET, &raw, theirs.data(), theirs.size());
    RC_ASSERT(a.ToString() == theirs.data());
  });
}

TEST_CASE("Next and Prev undo each other and keep the order", "[unit]") {
  rc::prop("step law", [](std::uint64_t high, std::uint64_t low, bool v4) {
    const IpAddr a = v4 ? IpAddr::V4(static_cast<std::uint32_t>(low)) : IpAddr::V6(absl::MakeUint128(high, low));
    if (const auto next = a.Next()) {
      RC_ASSERT(*next > a);
      RC_ASSERT(next->Prev() == a);
    }
    if (const auto prev = a.Prev()) {
      RC_ASSERT(*prev < a);
      RC_ASSERT(prev->Next() == a);
    }
  });
}

TEST_CASE("a prefix holds exactly the addresses that agree with it in its first bits", "[unit]") {
  rc::prop("prefix law", [](std::uint64_t high, std::uint64_t low, std::uint8_t any, std::uint8_t flip) {
    const int length = any % 129;
    const absl::uint128 number = absl::MakeUint128(high, low);
    const Cidr cidr = Cidr::Make(IpAddr::V6(number), length).value();
    const int bit = flip % 128;  // counted from the front
    const IpAddr other = IpAddr::V6(number ^ (absl::uint128(1) << (127 - bit)));
    RC_ASSERT(cidr.Contains(cidr.address()));
    RC_ASSERT(cidr.Contains(other) == (bit >= length));
    RC_ASSERT(cidr.first() <= cidr.address());
    RC_ASSERT(cidr.address() <= cidr.last());
    if (const auto before = cidr.first().Prev()) RC_ASSERT(!cidr.Contains(*before));
    if (const auto after = cidr.last().Next()) RC_ASSERT(!cidr.Contains(*after));
  });
}

}  // namespace
}  // namespace berth
