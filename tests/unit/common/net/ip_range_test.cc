// SPDX-License-Identifier: Apache-2.0
#include "common/net/ip_range.h"

#include <catch2/catch.hpp>

#include "tests/unit/common/net/net_testing.h"

namespace berth {
namespace {

TEST_CASE("a range is read from one address, a prefix or two ends, with blanks around each", "[unit]") {
  const auto [text, canonical] = GENERATE(table<std::string, std::string>({
      {"10.0.0.1", "10.0.0.1"},
      {" 10.0.0.1\t", "10.0.0.1"},
      {"10.0.0.5/32", "10.0.0.5"},
      {" 10.0.0.5/30 ", "10.0.0.4-10.0.0.7"},
      {"10.0.0.1-10.0.0.1", "10.0.0.1"},
      {"10.0.0.1-10.0.0.9", "10.0.0.1-10.0.0.9"},
      {"  10.0.0.1  -  10.0.0.9  ", "10.0.0.1-10.0.0.9"},
      {"2001:DB8::1 - 2001:db8::0010", "2001:db8::1-2001:db8::10"},
      {"2001:db8::/126", "2001:db8::-2001:db8::3"},
      {"0.0.0.0-255.255.255.255", "0.0.0.0-255.255.255.255"},
  }));
  CAPTURE(text);
  CHECK(Range(text).ToString() == canonical);
  CHECK(Range(canonical) == Range(text));
}

TEST_CASE("a refused range names what is wrong", "[unit]") {
  const auto [text, complaint] = GENERATE(table<std::string, std::string>({
      {"", "\"\": an address is missing"},
      {"10.0.0.x", "\"10.0.0.x\" is not an IPv4 or IPv6 address"},
      {"10.0.0.1-", "\"10.0.0.1-\": end \"\" is not an IPv4 or IPv6 address"},
      {"-10.0.0.1", "\"-10.0.0.1\": start \"\" is not an IPv4 or IPv6 address"},
      {"-", "\"-\": start \"\" is not an IPv4 or IPv6 address"},
      {"10.0.0.1-9", "\"10.0.0.1-9\": end \"9\" is not an IPv4 or IPv6 address"},
      {"10.0.0.0/24-10.0.1.0", "\"10.0.0.0/24-10.0.1.0\": start \"10.0.0.0/24\" is not an IPv4 or IPv6 address"},
      {"10.0.0.9-10.0.0.1", "\"10.0.0.9-10.0.0.1\": start 10.0.0.9 is after end 10.0.0.1"},
      {"10.0.0.1-::1", "\"10.0.0.1-::1\": start 10.0.0.1 is IPv4 but end ::1 is IPv6"},
      {"::1-10.0.0.1", "\"::1-10.0.0.1\": start ::1 is IPv6 but end 10.0.0.1 is IPv4"},
      {"10.0.0.1-10.0.0.2-10.0.0.3",
       "\"10.0.0.1-10.0.0.2-10.0.0.3\": a range has two ends, as in 192.0.2.10-192.0.2.20"},
  }));
  CAPTURE(text);
  CHECK(Complaint(IpRange::Parse(text)) == complaint);
}

TEST_CASE("a range is made only of ends in order and of one family", "[unit]") {
  CHECK(IpRange::Make(Addr("10.0.0.1"), Addr("10.0.0.1")).value() == IpRange::Of(Addr("10.0.0.1")));
  CHECK(Complaint(IpRange::Make(Addr("10.0.0.2"), Addr("10.0.0.1"))) == "start 10.0.0.2 is after end 10.0.0.1");
  CHECK(Complaint(IpRange::Make(Addr("10.0.0.2"), Addr("::"))) == "start 10.0.0.2 is IPv4 but end :: is IPv6");
}

TEST_CASE("a range made of a prefix drops the host bits", "[unit]") {
  const IpRange range = IpRange::Of(Prefix("172.22.7.9/16"));
  CHECK(range.first() == Addr("172.22.0.0"));
  CHECK(range.last() == Addr("172.22.255.255"));
  CHECK(range.family() == Family::kIpv4);
}

TEST_CASE("ranges overlap when they share one address, and not when they touch", "[unit]") {
  const IpRange range = Range("10.0.0.10-10.0.0.20");
  CHECK(range.Overlaps(Range("10.0.0.20-10.0.0.30")));
  CHECK(range.Overlaps(Range("10.0.0.1-10.0.0.10")));
  CHECK(range.Overlaps(Range("10.0.0.12")));
  CHECK(range.Overlaps(Range("10.0.0.0/8")));
  CHECK_FALSE(range.Overlaps(Range("10.0.0.21-10.0.0.30")));
  CHECK_FALSE(range.Overlaps(Range("10.0.0.1-10.0.0.9")));
  CHECK_FALSE(Range("0.0.0.0/0").Overlaps(Range("::/0")));
}

TEST_CASE("places in a range count from 0 and end with the range", "[unit]") {
  const IpRange range = Range("10.0.0.250-10.0.1.5");
  CHECK(Text(range.At(0)) == "10.0.0.250");
  CHECK(Text(range.At(6)) == "10.0.1.0");
  CHECK(Text(range.At(11)) == "10.0.1.5");
  CHECK(Text(range.At(12)) == "none");
  CHECK(Text(range.At(absl::Uint128Max())) == "none");
  CHECK(range.OffsetOf(Addr("10.0.1.0")) == absl::uint128(6));
  CHECK_FALSE(range.OffsetOf(Addr("10.0.0.249")).has_value());
  CHECK_FALSE(range.OffsetOf(Addr("10.0.1.6")).has_value());
  CHECK_FALSE(range.OffsetOf(Addr("::a00:100")).has_value());
}

TEST_CASE("places reach the last address of the whole of IPv6", "[unit]") {
  const IpRange all = Range("::/0");
  CHECK(Text(all.At(absl::Uint128Max())) == "ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff");
  CHECK(all.OffsetOf(all.last()) == absl::Uint128Max());
}

}  // namespace
}  // namespace berth
