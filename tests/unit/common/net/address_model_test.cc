// SPDX-License-Identifier: Apache-2.0
// Addresses, prefixes, ranges and counts against an independent model: the C library for text, the compiler's own
// 128-bit numbers for arithmetic.
#include <arpa/inet.h>

#include <algorithm>
#include <array>
#include <string>
#include <vector>

#include "tests/property.h"
#include "tests/unit/common/net/net_testing.h"

namespace berth {
namespace {

__extension__ using Number = unsigned __int128;

Number AsNumber(const IpAddr& a) {
  return (static_cast<Number>(absl::Uint128High64(a.number())) << 64) | absl::Uint128Low64(a.number());
}

std::string Decimal(Number n) {
  std::string digits;
  do digits.insert(digits.begin(), static_cast<char>('0' + static_cast<int>(n % 10)));
  while ((n /= 10) != 0);
  return digits;
}

// Texts that are addresses, or nearly: made of the pieces that addresses are made of.
std::string NearlyAnAddress() {
  static const std::vector<std::string> pieces = {
      "0", "1", "25", "255", "256", "a", "ffff", "db8", "10000", ".", ".",      ".",
      ":", ":", ":",  "::",  "-",   "/", " ",    "00",  "%eth0", "X", "1.2.3.4"};
  std::string text;
  for (const std::string& piece : *rc::gen::container<std::vector<std::string>>(rc::gen::elementOf(pieces)))
    text += piece;
  return text;
}

IpAddr AnyAddress(bool v4) {
  const auto low = *rc::gen::arbitrary<std::uint64_t>();
  if (v4) return IpAddr::V4(static_cast<std::uint32_t>(low));
  return IpAddr::V6(absl::MakeUint128(*rc::gen::arbitrary<std::uint64_t>(), low));
}

TEST_CASE("a text is an address when the C library says so, and the same one", "[unit]") {
  Property("acceptance", 20000, [] {
    const std::string text = NearlyAnAddress();
    std::array<unsigned char, 16> bytes{};
    const bool v4 = inet_pton(AF_INET, text.c_str(), bytes.data()) == 1;
    const bool v6 = !v4 && inet_pton(AF_INET6, text.c_str(), bytes.data()) == 1;
    const bool mapped = v6 && IN6_IS_ADDR_V4MAPPED(reinterpret_cast<const in6_addr*>(bytes.data()));
    const auto address = IpAddr::Parse(text);
    RC_ASSERT(address.ok() == (v4 || (v6 && !mapped)));
    if (address.ok()) RC_ASSERT(address->ToBytes() == std::string(bytes.begin(), bytes.begin() + (v4 ? 4 : 16)));
  });
}

TEST_CASE("a prefix begins and ends where a mask of as many bits says", "[unit]") {
  Property("masks", 5000, [](bool v4) {
    const IpAddr address = AnyAddress(v4);
    const int bits = v4 ? 32 : 128;
    const int length = *rc::gen::inRange(0, bits + 1);
    const auto cidr = Cidr::Parse(address.ToString() + "/" + std::to_string(length));
    RC_PRE(IpAddr::Parse(address.ToString()).ok());
    RC_ASSERT(cidr.ok());
    const Number hosts = length == 0 && bits == 128 ? ~Number{0} : (Number{1} << (bits - length)) - 1;
    RC_ASSERT(AsNumber(cidr->first()) == (AsNumber(address) & ~hosts));
    RC_ASSERT(AsNumber(cidr->last()) == (AsNumber(address) | hosts));
    RC_ASSERT(cidr->first().family() == address.family());
    const IpRange range = IpRange::Of(*cidr);
    const std::string size =
        length == 0 && bits == 128 ? "340282366920938463463374607431768211456" : Decimal(hosts + 1);
    RC_ASSERT(range.size().ToString() == size);
    RC_ASSERT(!Cidr::Parse(address.ToString() + "/" + std::to_string(bits + 1)).ok());
  });
}

TEST_CASE("a range holds what lies between its ends, counted exactly", "[unit]") {
  Property("ranges", 5000, [](bool v4) {
    const IpAddr a = AnyAddress(v4), b = AnyAddress(v4), other = AnyAddress(v4);
    RC_PRE(IpAddr::Parse(a.ToString()).ok() && IpAddr::Parse(b.ToString()).ok());
    const auto range = IpRange::Parse(" " + a.ToString() + " - " + b.ToString());
    RC_ASSERT(range.ok() == (AsNumber(a) <= AsNumber(b)));
    if (!range.ok()) return;
    RC_ASSERT(range->Contains(other) == (AsNumber(a) <= AsNumber(other) && AsNumber(other) <= AsNumber(b)));
    const Number span = AsNumber(b) - AsNumber(a);
    if (span != ~Number{0}) RC_ASSERT(range->size().ToString() == Decimal(span + 1));
    if (range->Contains(other)) {
      RC_ASSERT(range->At(*range->OffsetOf(other)) == other);
      RC_ASSERT(AsNumber(IpAddr::V6(*range->OffsetOf(other))) == AsNumber(other) - AsNumber(a));
    }
  });
}

TEST_CASE("a comma list is read when its parts are, are of one family and are apart", "[unit]") {
  Property("lists", 5000, [](const std::vector<std::pair<std::uint8_t, std::uint8_t>>& runs) {
    RC_PRE(!runs.empty());
    std::string text;
    std::vector<bool> taken(512);
    bool apart = true;
    std::uint32_t members = 0;
    for (const auto& [first, more] : runs) {
      const std::uint32_t last = first + more % 8U;
      text += (text.empty() ? "" : ", ") + IpAddr::V4(first).ToString() + "-" + IpAddr::V4(last).ToString();
      for (std::uint32_t i = first; i <= last; ++i, ++members) {
        apart = apart && !taken[i];
        taken[i] = true;
      }
    }
    const auto set = IpRangeSet::Parse(text);
    RC_ASSERT(set.ok() == apart);
    if (set.ok()) RC_ASSERT(set->size() == AddressCount(members));
    for (std::uint32_t i = 0; set.ok() && i < taken.size(); ++i) RC_ASSERT(set->Contains(IpAddr::V4(i)) == taken[i]);
    RC_ASSERT(!IpRangeSet::Parse(text + ",").ok());
    RC_ASSERT(!IpRangeSet::Parse(text + ",2001:db8::1").ok());
  });
}

TEST_CASE("counts add and subtract as whole numbers up to 2^128", "[unit]") {
  Property("counts", 5000, [](std::uint64_t high, std::uint64_t low, std::uint64_t other) {
    const Number n = (static_cast<Number>(high) << 64) | low;
    AddressCount count(absl::MakeUint128(high, low));
    RC_ASSERT(count.ToString() == Decimal(n));
    RC_ASSERT((count < AddressCount(other)) == (n < other));
    AddressCount sum = count;
    sum += AddressCount(other);
    const bool over = n + other < n;
    RC_ASSERT(sum.ToString() == (over ? "340282366920938463463374607431768211456" : Decimal(n + other)));
    if (over) return;
    sum -= count;
    RC_ASSERT(sum == AddressCount(other));
  });
}

}  // namespace
}  // namespace berth
