// SPDX-License-Identifier: Apache-2.0
// The address arithmetic that OpenELB's own tests and a live OpenELB show, as Berth keeps it (A1-A17).
#include <catch2/catch.hpp>
#include <limits>

#include "tests/unit/common/net/net_testing.h"

namespace berth {
namespace {

using Catch::Matchers::Contains;

void CheckPool(const std::string& text, const std::string& first, const std::string& last, std::int64_t size) {
  CAPTURE(text);
  const IpRangeSet pool = Set(text);
  CHECK(Text(pool.First()) == first);
  CHECK(Text(pool.Last()) == last);
  CHECK(pool.size().SaturatedInt64() == size);
}

TEST_CASE("A1 a single address is a pool of one", "[unit]") {
  CheckPool("192.168.0.1", "192.168.0.1", "192.168.0.1", 1);
}

TEST_CASE("A2 a prefix with host bits set begins at its network address", "[unit]") {
  CheckPool("192.168.0.1/24", "192.168.0.0", "192.168.0.255", 256);
}

TEST_CASE("A3 a range has both of its ends", "[unit]") {
  CheckPool("192.168.0.1-192.168.0.100", "192.168.0.1", "192.168.0.100", 100);
}

TEST_CASE("A4 a reversed range, a word and a range with three ends are refused", "[unit]") {
  CHECK_THAT(Complaint(IpRangeSet::Parse("192.168.0.100-192.168.0.1")),
             Contains("start 192.168.0.100 is after end 192.168.0.1"));
  CHECK_THAT(Complaint(IpRangeSet::Parse("xxxx")), Contains("\"xxxx\" is not an IPv4 or IPv6 address"));
  CHECK_THAT(Complaint(IpRangeSet::Parse("192.168.0.1-192.168.0.5-192.168.0.9")), Contains("a range has two ends"));
}

TEST_CASE("A5 the ordinal of an address counts from the start and is absent outside", "[unit]") {
  const IpRange pool = Range("192.168.0.1-192.168.0.100");
  CHECK(pool.OffsetOf(Addr("192.168.0.2")) == absl::uint128(1));
  CHECK_FALSE(pool.OffsetOf(Addr("192.168.0.0")).has_value());
  CHECK_FALSE(pool.OffsetOf(Addr("192.168.0.101")).has_value());
}

TEST_CASE("A6 pools that only touch do not overlap", "[unit]") {
  const IpRangeSet pool = Set("192.168.0.100-192.168.0.200");
  CHECK_FALSE(pool.Overlaps(Set("192.168.0.1-192.168.0.99")));
  CHECK_FALSE(pool.Overlaps(Set("192.168.0.201-192.168.0.250")));
}

TEST_CASE("A7 pools that share one address overlap", "[unit]") {
  const IpRangeSet pool = Set("192.168.0.100-192.168.0.200");
  CHECK(pool.Overlaps(Set("192.168.0.1-192.168.0.100")));
  CHECK(pool.Overlaps(Set("192.168.0.200-192.168.0.250")));
}

TEST_CASE("A8 a pool holds its ends and its middle and nothing else", "[unit]") {
  const IpRangeSet pool = Set("192.168.0.100-192.168.0.200");
  CHECK_FALSE(IpAddr::Parse("").ok());
  CHECK_FALSE(pool.Contains(Addr("192.168.0.99")));
  CHECK_FALSE(pool.Contains(Addr("192.168.0.201")));
  CHECK(pool.Contains(Addr("192.168.0.100")));
  CHECK(pool.Contains(Addr("192.168.0.150")));
  CHECK(pool.Contains(Addr("192.168.0.200")));
}

TEST_CASE("A9 short and long IPv4 prefixes have all their addresses", "[unit]") {
  CheckPool("192.0.2.0/31", "192.0.2.0", "192.0.2.1", 2);
  CheckPool("192.0.2.0/32", "192.0.2.0", "192.0.2.0", 1);
  CheckPool("192.0.2.0/30", "192.0.2.0", "192.0.2.3", 4);
  CheckPool("192.0.2.0/0", "0.0.0.0", "255.255.255.255", std::int64_t{1} << 32);
}

TEST_CASE("A10 host bits do not move a prefix", "[unit]") {
  CheckPool("192.0.2.10/24", "192.0.2.0", "192.0.2.255", 256);
}

TEST_CASE("A11 a prefix length out of range, absent, a word or a netmask is refused", "[unit]") {
  const std::string text = GENERATE(values<std::string>(
      {"192.0.2.0/99", "192.0.2.0/", "192.0.2.0/mask", "192.0.2.0/255.255.255.0", "192.0.2.0/255.0.255.0"}));
  CAPTURE(text);
  CHECK_THAT(Complaint(IpRangeSet::Parse(text)), Contains("\"" + text + "\""));
}

TEST_CASE("A12 IPv6 prefixes have all their addresses", "[unit]") {
  CheckPool("2001:db8::/126", "2001:db8::", "2001:db8::3", 4);
  CheckPool("2001:db8::/127", "2001:db8::", "2001:db8::1", 2);
  CheckPool("2001:db8::/128", "2001:db8::", "2001:db8::", 1);
  CheckPool("2001:db8::/120", "2001:db8::", "2001:db8::ff", 256);
}

TEST_CASE("A13 an IPv6 range has both of its ends", "[unit]") {
  CheckPool("2001:db8::-2001:db8::10", "2001:db8::", "2001:db8::10", 17);
}

TEST_CASE("A14 ends of two families and reversed ends are refused", "[unit]") {
  CHECK_THAT(Complaint(IpRangeSet::Parse("192.0.2.1-2001:db8::1")), Contains("is IPv4 but end 2001:db8::1 is IPv6"));
  CHECK_THAT(Complaint(IpRangeSet::Parse("2001:db8::2-2001:db8::1")),
             Contains("start 2001:db8::2 is after end 2001:db8::1"));
}

TEST_CASE("A15 a /30 gives its network and its broadcast address, too", "[unit]") {
  CheckPool("7.7.7.0/30", "7.7.7.0", "7.7.7.3", 4);
}

TEST_CASE("A16 an IPv6 /64 is a sane pool with the greatest poolSize", "[unit]") {
  CheckPool("2001:db8::/64", "2001:db8::", "2001:db8::ffff:ffff:ffff:ffff", std::numeric_limits<std::int64_t>::max());
  CHECK(Set("2001:db8::/64").size().ToString() == "18446744073709551616");
  CHECK(Set("2001:db8::/64").range_count() == 1);
}

TEST_CASE("A17 the nth address of a network carries over bytes", "[unit]") {
  CHECK(Text(IpRange::Of(Prefix("10.0.0.0/8")).At(257)) == "10.0.1.1");
  CHECK(Text(IpRange::Of(Prefix("::/0")).At(0xf00d)) == "::f00d");
}

}  // namespace
}  // namespace berth
