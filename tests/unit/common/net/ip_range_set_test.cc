// SPDX-License-Identifier: Apache-2.0
#include <catch2/catch.hpp>

#include "tests/unit/common/net/net_testing.h"

namespace berth {
namespace {

TEST_CASE("a comma list is read part by part, sorted and merged", "[unit]") {
  const auto [text, canonical] = GENERATE(table<std::string, std::string>({
      {"10.0.0.1", "10.0.0.1"},
      {"10.0.0.1,10.0.0.3", "10.0.0.1,10.0.0.3"},
      {"10.0.0.3 , 10.0.0.1", "10.0.0.1,10.0.0.3"},
      {"10.0.0.1,10.0.0.2", "10.0.0.1-10.0.0.2"},
      {"192.168.50.50-192.168.50.60, 10.0.0.0/30", "10.0.0.0-10.0.0.3,192.168.50.50-192.168.50.60"},
      {"10.0.1.0/24,10.0.0.0/24,10.0.3.0/24", "10.0.0.0-10.0.1.255,10.0.3.0-10.0.3.255"},
      {"\t10.0.0.5/30\n", "10.0.0.4-10.0.0.7"},
      {"2001:db8::1,2001:db8:1::/126", "2001:db8::1,2001:db8:1::-2001:db8:1::3"},
  }));
  CAPTURE(text);
  CHECK(Set(text).ToString() == canonical);
  CHECK(Set(canonical) == Set(text));
}

TEST_CASE("a refused list names the bad part and the reason", "[unit]") {
  const std::string forms = "write one IP, a CIDR, first-last, or a comma list of these";
  const auto [text, complaint] = GENERATE_COPY(table<std::string, std::string>({
      {"", "address \"\" is empty; " + forms},
      {"  ", "address \"  \" is empty; " + forms},
      {"10.0.0.1,", "\"10.0.0.1,\": a part of the comma list is empty; " + forms},
      {"10.0.0.1, ,10.0.0.2", "\"10.0.0.1, ,10.0.0.2\": a part of the comma list is empty; " + forms},
      {",", "\",\": a part of the comma list is empty; " + forms},
      {"10.0.0.1 10.0.0.2", "\"10.0.0.1 10.0.0.2\" is not an IPv4 or IPv6 address"},
      {"10.0.0.1;10.0.0.2", "\"10.0.0.1;10.0.0.2\" is not an IPv4 or IPv6 address"},
      {"10.0.0.1, 10.0.0.x", "\"10.0.0.x\" is not an IPv4 or IPv6 address"},
      {"10.0.0.1, 10.0.0.9-10.0.0.2", "\"10.0.0.9-10.0.0.2\": start 10.0.0.9 is after end 10.0.0.2"},
      {"10.0.0.1, 10.0.0.1", "\"10.0.0.1\" overlaps 10.0.0.1 in the same list"},
      {"10.0.0.0/24, 10.0.1.0/24, 10.0.1.7", "\"10.0.1.7\" overlaps 10.0.1.0-10.0.1.255 in the same list"},
      {"10.0.0.7, 10.0.0.0/24", "\"10.0.0.0/24\" overlaps 10.0.0.7 in the same list"},
      {"10.0.0.1, 2001:db8::1",
       "\"2001:db8::1\" is IPv6 but 10.0.0.1 in the same list is IPv4; use one list for each family"},
      {"2001:db8::/64, 10.0.0.0/24",
       "\"10.0.0.0/24\" is IPv4 but 2001:db8::-2001:db8::ffff:ffff:ffff:ffff in the same list is IPv6; use one list "
       "for "
       "each family"},
      {"10.0.0.0/255.255.255.0",
       "\"10.0.0.0/255.255.255.0\": prefix length \"255.255.255.0\" is not a number from 0 to 32 (IPv4); write a "
       "prefix "
       "length such as /24 in place of a netmask"},
  }));
  CAPTURE(text);
  CHECK(Complaint(IpRangeSet::Parse(text)) == complaint);
}

TEST_CASE("an empty set has no members, no ends and no size", "[unit]") {
  const IpRangeSet none;
  CHECK(none.empty());
  CHECK(Text(none.First()) == "none");
  CHECK(Text(none.Last()) == "none");
  CHECK(Text(none.NextAtOrAfter(IpAddr())) == "none");
  CHECK_FALSE(none.Contains(IpAddr()));
  CHECK_FALSE(none.Overlaps(Range("0.0.0.0/0")));
  CHECK_FALSE(none.Overlaps(none));
  CHECK(none.size().is_zero());
  CHECK(none.ToString().empty());
}

TEST_CASE("carving addresses out of a range leaves the gaps between them", "[unit]") {
  IpRangeSet free = Set("10.0.0.0/29");
  free.Remove(Addr("10.0.0.0"));
  free.Remove(Addr("10.0.0.7"));
  free.Remove(Addr("10.0.0.3"));
  CHECK(free.ToString() == "10.0.0.1-10.0.0.2,10.0.0.4-10.0.0.6");
  CHECK(free.size() == AddressCount(5));
  CHECK(Text(free.First()) == "10.0.0.1");
  CHECK(Text(free.NextAtOrAfter(Addr("10.0.0.3"))) == "10.0.0.4");
  CHECK(Text(free.NextAtOrAfter(Addr("10.0.0.7"))) == "none");
  free.Add(Addr("10.0.0.3"));
  CHECK(free.ToString() == "10.0.0.1-10.0.0.6");
}

TEST_CASE("a large removal swallows whole ranges and cuts the outer two", "[unit]") {
  IpRangeSet set = Set("10.0.0.0/24,10.0.2.0/24,10.0.4.0/24");
  set.Remove(Range("10.0.0.128-10.0.4.127"));
  CHECK(set.ToString() == "10.0.0.0-10.0.0.127,10.0.4.128-10.0.4.255");
  set.Remove(Range("0.0.0.0/0"));
  CHECK(set.empty());
}

TEST_CASE("the ends of the families neither wrap nor merge", "[unit]") {
  IpRangeSet set;
  set.Add(Addr("255.255.255.255"));
  set.Add(Addr("::"));
  CHECK(set.range_count() == 2);
  CHECK(set.ToString() == "255.255.255.255,::");
  CHECK(set.size() == AddressCount(2));
  set.Add(Range("0.0.0.0/0"));
  set.Add(Range("::/0"));
  CHECK(set.range_count() == 2);
  set.Remove(Addr("ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff"));
  set.Remove(Addr("::"));
  set.Remove(Addr("0.0.0.0"));
  set.Remove(Addr("255.255.255.255"));
  CHECK(set.ToString() == "0.0.0.1-255.255.255.254,::1-ffff:ffff:ffff:ffff:ffff:ffff:ffff:fffe");
  CHECK(Text(set.NextAtOrAfter(Addr("255.255.255.255"))) == "::1");
  set.Remove(Range("::/0"));
  CHECK(set.ToString() == "0.0.0.1-255.255.255.254");
}

TEST_CASE("all of IPv6 can be carved and counted exactly", "[unit]") {
  IpRangeSet set = Set("::/0");
  CHECK(set.size().ToString() == "340282366920938463463374607431768211456");
  set.Remove(Addr("8000::"));
  CHECK(set.size().ToString() == "340282366920938463463374607431768211455");
  CHECK(set.range_count() == 2);
  set.Add(Addr("8000::"));
  CHECK(set == Set("::/0"));
}

TEST_CASE("a set added to or removed from itself is itself or nothing", "[unit]") {
  IpRangeSet set = Set("10.0.0.1,10.0.0.3");
  set.Add(set);
  CHECK(set == Set("10.0.0.1,10.0.0.3"));
  set.Remove(set);
  CHECK(set.empty());
}

TEST_CASE("ten thousand addresses carved out of a /64 leave as many gaps", "[unit]") {
  IpRangeSet free = Set("2001:db8::/64");
  for (std::uint64_t i = 0; i < 10000; ++i) {
    free.Remove(IpAddr::V6(Addr("2001:db8::").number() + 2 * i));
  }
  CHECK(free.range_count() == 10000);
  CHECK(Text(free.First()) == "2001:db8::1");
  CHECK(free.size().ToString() == "18446744073709541616");
  CHECK(free.ranges().back().first() == IpAddr::V6(Addr("2001:db8::").number() + 19999));
}

}  // namespace
}  // namespace berth
