// SPDX-License-Identifier: Apache-2.0
#include "common/net/cidr.h"

#include <catch2/catch.hpp>

#include "tests/unit/common/net/net_testing.h"

namespace berth {
namespace {

using Catch::Matchers::Contains;
using Catch::Matchers::EndsWith;
using Catch::Matchers::StartsWith;

TEST_CASE("a prefix keeps its host bits and knows its first and last address", "[unit]") {
  const auto [text, first, last] = GENERATE(table<std::string, std::string, std::string>({
      {"10.0.0.5/24", "10.0.0.0", "10.0.0.255"},
      {"10.0.0.5/32", "10.0.0.5", "10.0.0.5"},
      {"10.0.0.5/31", "10.0.0.4", "10.0.0.5"},
      {"10.0.0.5/1", "0.0.0.0", "127.255.255.255"},
      {"10.0.0.5/0", "0.0.0.0", "255.255.255.255"},
      {"172.22.0.9/16", "172.22.0.0", "172.22.255.255"},
      {"2001:db8::5/64", "2001:db8::", "2001:db8::ffff:ffff:ffff:ffff"},
      {"2001:db8::5/65", "2001:db8::", "2001:db8::7fff:ffff:ffff:ffff"},
      {"2001:db8::5/63", "2001:db8::", "2001:db8:0:1:ffff:ffff:ffff:ffff"},
      {"2001:db8::5/128", "2001:db8::5", "2001:db8::5"},
      {"2001:db8::5/0", "::", "ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff"},
  }));
  CAPTURE(text);
  const Cidr cidr = Prefix(text);
  CHECK(cidr.ToString() == text);
  CHECK(cidr.first() == Addr(first));
  CHECK(cidr.last() == Addr(last));
  CHECK(cidr.Contains(cidr.address()));
}

TEST_CASE("a prefix holds its ends and nothing beside them, nor the other family", "[unit]") {
  const Cidr cidr = Prefix("192.168.4.77/22");
  CHECK(cidr.Contains(Addr("192.168.4.0")));
  CHECK(cidr.Contains(Addr("192.168.7.255")));
  CHECK_FALSE(cidr.Contains(Addr("192.168.3.255")));
  CHECK_FALSE(cidr.Contains(Addr("192.168.8.0")));
  CHECK_FALSE(Prefix("0.0.0.0/0").Contains(Addr("::1")));
  CHECK_FALSE(Prefix("::/0").Contains(Addr("10.0.0.1")));
}

TEST_CASE("text that is not exactly an address, a slash and a length is refused and quoted", "[unit]") {
  const std::string text = GENERATE(values<std::string>({"",
                                                         "/",
                                                         "/24",
                                                         "10.0.0.5",
                                                         "10.0.0.5/",
                                                         "10.0.0.5/x",
                                                         "10.0.0.5/-1",
                                                         "10.0.0.5/+8",
                                                         "10.0.0.5/08",
                                                         "10.0.0.5/00",
                                                         "10.0.0.5/33",
                                                         "10.0.0.5/128",
                                                         "10.0.0.5/1000",
                                                         "10.0.0.5/ 8",
                                                         "10.0.0.5 /8",
                                                         " 10.0.0.5/8",
                                                         "10.0.0.5/8 ",
                                                         "10.0.0.5/8/8",
                                                         "10.0.0/8",
                                                         "::/129",
                                                         "::/4294967297",
                                                         "::/0x10",
                                                         "fe80::1%eth0/64",
                                                         "::ffff:10.0.0.0/104",
                                                         "2001:db8::"}));
  CAPTURE(text);
  CHECK_THAT(Complaint(Cidr::Parse(text)), StartsWith("\"" + text + "\": "));
}

TEST_CASE("a refusal of a prefix says which half is wrong", "[unit]") {
  CHECK(Complaint(Cidr::Parse("10.0.0.0/33")) ==
        "\"10.0.0.0/33\": prefix length \"33\" is not a number from 0 to 32 (IPv4)");
  CHECK(Complaint(Cidr::Parse("::/129")) == "\"::/129\": prefix length \"129\" is not a number from 0 to 128 (IPv6)");
  CHECK(Complaint(Cidr::Parse("10.0.0.x/8")) == "\"10.0.0.x/8\": \"10.0.0.x\" is not an IPv4 or IPv6 address");
  CHECK_THAT(Complaint(Cidr::Parse("10.0.0.5")), Contains("prefix length is missing"));
  CHECK_THAT(Complaint(Cidr::Parse("10.0.0.0/255.0.0.0")),
             EndsWith("write a prefix length such as /24 in place of a netmask"));
}

TEST_CASE("a prefix is made only of a length its family has", "[unit]") {
  CHECK(Cidr::Make(Addr("10.0.0.5"), 24).value() == Prefix("10.0.0.5/24"));
  CHECK(Cidr::Make(Addr("10.0.0.5"), 0).ok());
  CHECK(Cidr::Make(Addr("10.0.0.5"), 32).ok());
  CHECK(Cidr::Make(Addr("::"), 128).ok());
  CHECK_THAT(Complaint(Cidr::Make(Addr("10.0.0.5"), 33)), Contains("\"33\""));
  CHECK_THAT(Complaint(Cidr::Make(Addr("10.0.0.5"), -1)), Contains("\"-1\""));
  CHECK_THAT(Complaint(Cidr::Make(Addr("::"), 129)), Contains("0 to 128"));
}

TEST_CASE("prefixes are equal only with the same address and length, and sort by both", "[unit]") {
  CHECK(Prefix("10.0.0.5/24") != Prefix("10.0.0.0/24"));
  CHECK(Prefix("10.0.0.0/24") != Prefix("10.0.0.0/25"));
  CHECK(Prefix("10.0.0.0/8") < Prefix("10.0.0.0/24"));
  CHECK(Prefix("9.0.0.0/24") < Prefix("10.0.0.0/8"));
  CHECK(Cidr() == Prefix("0.0.0.0/32"));
}

}  // namespace
}  // namespace berth
