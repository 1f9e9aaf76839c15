// SPDX-License-Identifier: Apache-2.0
#include "common/net/ip_addr.h"

#include <catch2/catch.hpp>
#include <set>
#include <unordered_set>

#include "absl/hash/hash.h"
#include "tests/unit/common/net/net_testing.h"

namespace berth {
namespace {

using Catch::Matchers::Contains;

TEST_CASE("IPv4 text is read as its number and written back unchanged", "[unit]") {
  const auto [text, number] = GENERATE(table<std::string, std::uint32_t>({
      {"0.0.0.0", 0},
      {"0.0.0.1", 1},
      {"1.2.3.4", 0x01020304},
      {"10.0.0.255", 0x0a0000ff},
      {"192.168.50.50", 0xc0a83232},
      {"255.255.255.255", 0xffffffff},
  }));
  CAPTURE(text);
  CHECK(Addr(text) == IpAddr::V4(number));
  CHECK(Addr(text).ToString() == text);
  CHECK(Addr(text).number() == number);
  CHECK(Addr(text).family() == Family::kIpv4);
}

TEST_CASE("IPv6 text comes out in the canonical form of RFC 5952", "[unit]") {
  const auto [given, canonical] = GENERATE(table<std::string, std::string>({
      {"0:0:0:0:0:0:0:0", "::"},
      {"0:0:0:0:0:0:0:1", "::1"},
      {"1:0:0:0:0:0:0:0", "1::"},
      {"2001:0db8::0001", "2001:db8::1"},                // 4.1: no leading zeros
      {"2001:db8:0:0:0:0:2:1", "2001:db8::2:1"},         // 4.2.1: shorten as much as possible
      {"2001:db8:0:1:1:1:1:1", "2001:db8:0:1:1:1:1:1"},  // 4.2.2: never a single group
      {"2001:db8::1:1:1:1:1", "2001:db8:0:1:1:1:1:1"},   // 4.2.2, given shortened
      {"2001:0:0:1:0:0:0:1", "2001:0:0:1::1"},           // 4.2.3: the longest run
      {"2001:0:0:0:1:0:0:1", "2001::1:0:0:1"},           // 4.2.3: longest comes first
      {"2001:db8:0:0:1:0:0:1", "2001:db8::1:0:0:1"},     // 4.2.3: the first of equals
      {"0:0:1:0:0:1:0:0", "::1:0:0:1:0:0"},              // three equals
      {"1:0:0:2:0:0:0:0", "1:0:0:2::"},                  // longest at the end
      {"1:2:3:4:5:6:0:0", "1:2:3:4:5:6::"},              // two at the end
      {"0:0:3:4:5:6:7:8", "::3:4:5:6:7:8"},              // two at the start
      {"0:2:3:4:5:6:7:0", "0:2:3:4:5:6:7:0"},            // singles at both ends
      {"1:2:3:4:5:6:7::", "1:2:3:4:5:6:7:0"},            // :: for one group is read
      {"2001:DB8::ABCD:EF01", "2001:db8::abcd:ef01"},    // 4.3: lower case
      {"fe80:0000:0000:0000:0204:61ff:fe9d:f156", "fe80::204:61ff:fe9d:f156"},
      {"::1:f00d", "::1:f00d"},                      // not the mixed form ::0.1.240.13
      {"64:ff9b::192.0.2.33", "64:ff9b::c000:221"},  // mixed is read, hexadecimal written
      {"ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff", "ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff"},
  }));
  CAPTURE(given);
  CHECK(Addr(given).ToString() == canonical);
  CHECK(Addr(canonical) == Addr(given));
  CHECK(Addr(given).is_v6());
}

TEST_CASE("text that is not exactly one address is refused and quoted", "[unit]") {
  const std::string text = GENERATE(values<std::string>({
      "",
      " ",
      "x",
      "xxxx",
      "localhost",
      // IPv4
      "1.2.3",
      "1.2",
      "1",
      "16909060",
      "1.2.3.4.5",
      "1.2.3.",
      ".1.2.3",
      "1..2.3",
      "1.2.3.256",
      "1.2.3.1000",
      "01.2.3.4",
      "1.2.3.04",
      "1.2.3.00",
      "0x1.2.3.4",
      "1.2.3.-4",
      "+1.2.3.4",
      "1.2.3.4 ",
      " 1.2.3.4",
      "1.2. 3.4",
      "1.2.3.4/32",
      "1.2.3.4:80",
      "1.2.3.4%eth0",
      "1,2,3,4",
      "1.2.3.a",
      "10.0.0.x",
      "[1.2.3.4]",
      "1.2.3.4\n",
      // IPv6
      ":",
      ":::",
      "1::2::3",
      "1:2:3:4:5:6:7",
      "1:2:3:4:5:6:7:8:9",
      "1:2:3:4:5:6:7:8::",
      "::1:2:3:4:5:6:7:8",
      "12345::",
      "g::",
      ":1::",
      "::1:",
      "fe80::1%eth0",
      "fe80::1%1",
      "[::1]",
      " ::1",
      "::1 ",
      "::1.2.3",
      "::1.2.3.04",
      "::/0",
      "1.2.3.4::",
      "::1.2.3.4:5",
  }));
  CAPTURE(text);
  const std::string complaint = Complaint(IpAddr::Parse(text));
  CHECK_THAT(complaint, Contains("is not an IPv4 or IPv6 address"));
  if (text.find('\n') == std::string::npos) CHECK_THAT(complaint, Contains("\"" + text + "\""));
}

TEST_CASE("a NUL in an address does not hide what follows it", "[unit]") {
  CHECK(Complaint(IpAddr::Parse(absl::string_view("1.2.3.4\0x", 9))) ==
        "\"1.2.3.4\\000x\" is not an IPv4 or IPv6 address");
}

TEST_CASE("hostile text is quoted short and printable", "[unit]") {
  CHECK(Complaint(IpAddr::Parse("\xff\x1b[0m\"")) == "\"\\377\\033[0m\\\"\" is not an IPv4 or IPv6 address");
  CHECK(Complaint(IpAddr::Parse(std::string(5000, 'a'))) ==
        "\"" + std::string(80, 'a') + "\"... is not an IPv4 or IPv6 address");
}

TEST_CASE("an IPv4-mapped IPv6 address is refused and the IPv4 form named", "[unit]") {
  const std::string text =
      GENERATE(values<std::string>({"::ffff:1.2.3.4", "::ffff:102:304", "0:0:0:0:0:FFFF:1.2.3.4"}));
  CHECK(Complaint(IpAddr::Parse(text)) == "\"" + text + "\" is an IPv4-mapped IPv6 address; write 1.2.3.4");
  CHECK(Complaint(IpAddr::Parse("::ffff:0:0")) == "\"::ffff:0:0\" is an IPv4-mapped IPv6 address; write 0.0.0.0");
}

TEST_CASE("the neighbours of the IPv4-mapped block are ordinary addresses", "[unit]") {
  CHECK(Addr("::fffe:ffff:ffff").ToString() == "::fffe:ffff:ffff");
  CHECK(Addr("::1:0:0:0").ToString() == "::1:0:0:0");
  CHECK(Addr("1::ffff:1.2.3.4").ToString() == "1::ffff:102:304");
}

TEST_CASE("stepping stops at the ends of each family", "[unit]") {
  CHECK(Text(Addr("255.255.255.255").Next()) == "none");
  CHECK(Text(Addr("0.0.0.0").Prev()) == "none");
  CHECK(Text(Addr("ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff").Next()) == "none");
  CHECK(Text(Addr("::").Prev()) == "none");
  CHECK(Text(Addr("255.255.255.255").Prev()) == "255.255.255.254");
  CHECK(Text(Addr("0.0.0.0").Next()) == "0.0.0.1");
  CHECK(Text(Addr("::ffff:ffff").Next()) == "::1:0:0");
  CHECK(Text(Addr("::").Next()) == "::1");
}

TEST_CASE("stepping carries and borrows over byte and word bounds", "[unit]") {
  CHECK(Text(Addr("10.0.0.255").Next()) == "10.0.1.0");
  CHECK(Text(Addr("10.0.0.0").Prev()) == "9.255.255.255");
  CHECK(Text(Addr("2001:db8:0:0:ffff:ffff:ffff:ffff").Next()) == "2001:db8:0:1::");
  CHECK(Text(Addr("2001:db8:0:1::").Prev()) == "2001:db8::ffff:ffff:ffff:ffff");
}

TEST_CASE("IPv4 sorts before IPv6 and numbers decide within a family", "[unit]") {
  CHECK(Addr("255.255.255.255") < Addr("::"));
  CHECK(Addr("9.0.0.0") < Addr("10.0.0.0"));  // not the order of the texts
  CHECK(Addr("2001:db8::9") < Addr("2001:db8::10"));
  CHECK(Addr("0:0:0:1::") > Addr("::ffff:ffff:ffff:fffe"));  // the high half counts first
  CHECK(Addr("0.0.0.1") != Addr("::1"));
  CHECK(Addr("1.2.3.4") == IpAddr::V4(0x01020304));
}

TEST_CASE("bytes go out and come in in network order", "[unit]") {
  CHECK(Addr("1.2.3.4").ToBytes() == std::string("\x01\x02\x03\x04"));
  CHECK(Addr("1.2.3.4").V4Bytes() == std::array<std::uint8_t, 4>{1, 2, 3, 4});
  const std::string bytes("\x20\x01\x0d\xb8\0\0\0\0\0\0\0\0\0\0\xf0\x0d", 16);
  CHECK(Addr("2001:db8::f00d").ToBytes() == bytes);
  CHECK(Addr("2001:db8::f00d").V6Bytes()[15] == 0x0d);
  CHECK(Addr("2001:db8::f00d").V6Bytes()[0] == 0x20);
  CHECK(IpAddr::FromBytes(bytes).value() == Addr("2001:db8::f00d"));
  CHECK(IpAddr::FromBytes("\xff\x02\x03\x04").value() == Addr("255.2.3.4"));
}

TEST_CASE("only 4 or 16 bytes make an address", "[unit]") {
  const std::size_t length = GENERATE(0U, 1U, 3U, 5U, 15U, 17U);
  CHECK(Complaint(IpAddr::FromBytes(std::string(length, 'x'))) ==
        "an address has 4 or 16 bytes, but " + std::to_string(length) + " were given");
}

TEST_CASE("multicast, loopback, link-local and unspecified end exactly where their blocks end", "[unit]") {
  const auto [text, kind] = GENERATE(table<std::string, std::string>({
      {"223.255.255.255", ""},
      {"224.0.0.0", "multicast"},
      {"239.255.255.255", "multicast"},
      {"240.0.0.0", ""},
      {"126.255.255.255", ""},
      {"127.0.0.0", "loopback"},
      {"127.255.255.255", "loopback"},
      {"128.0.0.0", ""},
      {"169.253.255.255", ""},
      {"169.254.0.0", "link-local"},
      {"169.254.255.255", "link-local"},
      {"169.255.0.0", ""},
      {"0.0.0.0", "unspecified"},
      {"0.0.0.1", ""},
      {"::", "unspecified"},
      {"::1", "loopback"},
      {"::2", ""},
      {"::7f00:1", ""},
      {"fe7f:ffff::", ""},
      {"fe80::", "link-local"},
      {"febf:ffff::1", "link-local"},
      {"fec0::", ""},
      {"feff:ffff::", ""},
      {"ff00::", "multicast"},
      {"ff02::1", "multicast"},
      {"::a9fe:1", ""},
      {"::e000:1", ""},
  }));
  CAPTURE(text);
  const IpAddr a = Addr(text);
  CHECK(a.is_multicast() == (kind == "multicast"));
  CHECK(a.is_loopback() == (kind == "loopback"));
  CHECK(a.is_link_local() == (kind == "link-local"));
  CHECK(a.is_unspecified() == (kind == "unspecified"));
}

TEST_CASE("a default address is 0.0.0.0", "[unit]") { CHECK(IpAddr() == Addr("0.0.0.0")); }

TEST_CASE("numbers make addresses of the family asked for", "[unit]") {
  CHECK(IpAddr::FromNumber(Family::kIpv4, 0xffffffff) == Addr("255.255.255.255"));
  CHECK(IpAddr::FromNumber(Family::kIpv6, 0xffffffff) == Addr("::ffff:ffff"));
  CHECK(IpAddr::V6(absl::MakeUint128(0x20010db800000000, 1)) == Addr("2001:db8::1"));
  CHECK(FamilyName(Family::kIpv4) == "IPv4");
  CHECK(FamilyName(Family::kIpv6) == "IPv6");
  CHECK(FamilyBits(Family::kIpv4) == 32);
  CHECK(FamilyBits(Family::kIpv6) == 128);
}

TEST_CASE("equal addresses hash alike and the family counts", "[unit]") {
  const absl::Hash<IpAddr> hash;
  CHECK(hash(Addr("2001:db8::1")) == hash(Addr("2001:0db8:0::1")));
  CHECK(hash(Addr("0.0.0.1")) != hash(Addr("::1")));
  CHECK(hash(Addr("::1")) != hash(Addr("0:0:0:1::")));
  std::unordered_set<IpAddr> seen;
  for (std::uint32_t n = 0; n < 1000; ++n) {
    seen.insert(IpAddr::V4(n));
    seen.insert(IpAddr::V6(n));
    seen.insert(IpAddr::V4(n));
  }
  CHECK(seen.size() == 2000);
  CHECK(std::hash<IpAddr>()(Addr("0.0.0.1")) != std::hash<IpAddr>()(Addr("::1")));
}

}  // namespace
}  // namespace berth
