// SPDX-License-Identifier: Apache-2.0
#include <catch2/catch.hpp>
#include <limits>

#include "tests/unit/common/net/net_testing.h"

namespace berth {
namespace {

const char kTwoTo128[] = "340282366920938463463374607431768211456";
const char kTwoTo128Minus1[] = "340282366920938463463374607431768211455";

TEST_CASE("the size of every prefix of IPv6 is exact", "[unit]") {
  const auto [text, size] = GENERATE(table<std::string, std::string>({
      {"::/0", "340282366920938463463374607431768211456"},
      {"::/1", "170141183460469231731687303715884105728"},
      {"2001:db8::/32", "79228162514264337593543950336"},
      {"2001:db8::/63", "36893488147419103232"},
      {"2001:db8::/64", "18446744073709551616"},
      {"2001:db8::/65", "9223372036854775808"},
      {"2001:db8::/66", "4611686018427387904"},
      {"2001:db8::/127", "2"},
      {"2001:db8::1", "1"},
      {"0.0.0.0/0", "4294967296"},
      {"10.0.0.0/8", "16777216"},
  }));
  CAPTURE(text);
  CHECK(Range(text).size().ToString() == size);
  CHECK(Set(text).size().ToString() == size);
}

TEST_CASE("poolSize saturates at 2^63-1 and is never zero or negative", "[unit]") {
  constexpr std::int64_t kMost = std::numeric_limits<std::int64_t>::max();
  CHECK(Range("2001:db8::/66").size().SaturatedInt64() == std::int64_t{1} << 62);
  CHECK(Range("2001:db8::/65").size().SaturatedInt64() == kMost);
  CHECK(Range("2001:db8::/64").size().SaturatedInt64() == kMost);
  CHECK(Range("::/0").size().SaturatedInt64() == kMost);
  CHECK(Range("::1-::7fff:ffff:ffff:fffe").size().SaturatedInt64() == kMost - 1);
  CHECK(Range("::1-::7fff:ffff:ffff:ffff").size().SaturatedInt64() == kMost);
  CHECK(AddressCount().SaturatedInt64() == 0);
}

TEST_CASE("2^128 is one more than the greatest 128-bit number", "[unit]") {
  AddressCount count(absl::Uint128Max());
  CHECK(count.ToString() == kTwoTo128Minus1);
  CHECK(count < AddressCount::TwoTo128());
  count += AddressCount(1);
  CHECK(count == AddressCount::TwoTo128());
  CHECK(count.ToString() == kTwoTo128);
  CHECK_FALSE(count.is_zero());
  count -= AddressCount(1);
  CHECK(count.ToString() == kTwoTo128Minus1);
}

TEST_CASE("sums stop at 2^128", "[unit]") {
  AddressCount count = AddressCount::TwoTo128();
  count += AddressCount(7);
  CHECK(count == AddressCount::TwoTo128());
  count += AddressCount::TwoTo128();
  CHECK(count == AddressCount::TwoTo128());
  AddressCount half(absl::uint128(1) << 127);
  half += half;
  CHECK(half == AddressCount::TwoTo128());
  AddressCount near(absl::Uint128Max());
  near += AddressCount(5);
  CHECK(near == AddressCount::TwoTo128());
}

TEST_CASE("differences reach down to zero from every size", "[unit]") {
  AddressCount count = AddressCount::TwoTo128();
  count -= AddressCount();
  CHECK(count == AddressCount::TwoTo128());
  count -= AddressCount(absl::Uint128Max());
  CHECK(count == AddressCount(1));
  count -= AddressCount(1);
  CHECK(count.is_zero());
  count = AddressCount::TwoTo128();
  count -= AddressCount::TwoTo128();
  CHECK(count.is_zero());
  CHECK(count.ToString() == "0");
}

TEST_CASE("counts order by size and turn into the nearest double", "[unit]") {
  CHECK(AddressCount(absl::uint128(1) << 100) > AddressCount(5));
  CHECK(AddressCount(5) > AddressCount(4));
  CHECK(AddressCount::TwoTo128() > AddressCount(absl::Uint128Max()));
  CHECK(AddressCount::TwoTo128() > AddressCount());
  CHECK(AddressCount(256).ToDouble() == 256.0);
  CHECK(AddressCount::TwoTo128().ToDouble() == 0x1p128);
  CHECK(AddressCount(absl::uint128(1) << 64).ToDouble() == 0x1p64);
}

}  // namespace
}  // namespace berth
