// SPDX-License-Identifier: Apache-2.0
#include "common/sync/interface_rule.h"

#include <algorithm>
#include <catch2/catch.hpp>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"

namespace berth::sync {
namespace {

IpAddr Ip(const std::string& text) { return *IpAddr::Parse(text); }

InterfaceInfo Link(const std::string& name, const std::vector<std::string>& prefixes = {},
                   const std::vector<std::string>& routes = {}, bool up = true) {
  InterfaceInfo info;
  info.name = name;
  info.up = up;
  for (const std::string& p : prefixes) info.prefixes.push_back(*Cidr::Parse(p));
  for (const std::string& r : routes) info.routes.push_back(*Cidr::Parse(r));
  return info;
}

// The chosen interface's name, or why there is none.
std::string Choice(const std::string& rule, const std::string& address, const std::vector<InterfaceInfo>& links) {
  const auto parsed = InterfaceRule::Parse(rule);
  REQUIRE(parsed.ok());
  const auto chosen = parsed->Choose(Ip(address), links);
  return chosen.ok() ? (*chosen)->name : std::string(chosen.status().message());
}

std::string Refusal(const std::string& rule) {
  const auto parsed = InterfaceRule::Parse(rule);
  CAPTURE(rule);
  REQUIRE(parsed.status().code() == absl::StatusCode::kInvalidArgument);
  return std::string(parsed.status().message());
}

const std::vector<InterfaceInfo> kNode = {
    Link("br0", {"10.1.0.11/16"}),
    Link("docker0", {"172.17.0.1/16"}),
    Link("eth0", {"192.168.50.11/24", "2001:db8::11/64"}, {"0.0.0.0/0", "10.9.0.0/16"}),
    Link("eth1", {"192.168.60.11/24"}, {"::/0", "10.9.8.0/24"}),
    Link("eth2", {"192.168.60.12/24"}, {}, false),
    Link("veth0a1b", {"10.244.0.1/24"}),
};

TEST_CASE("F14 a rule that can mean nothing is refused with what is wrong, as OpenELB begins to say it", "[unit]") {
  using Catch::Contains;
  CHECK_THAT(Refusal("haha:hahah"), Catch::StartsWith("invalid interface string"));
  CHECK_THAT(Refusal("can_reach:hahah"), Catch::StartsWith("invalid can_reach address \"hahah\""));
  CHECK_THAT(Refusal("can_reach:"), Catch::StartsWith("invalid can_reach address"));
  CHECK_THAT(Refusal("can_reach:127.0.0.1"), Catch::StartsWith("invalid interface lo"));
  CHECK_THAT(Refusal("can_reach:::1"), Catch::StartsWith("invalid interface lo"));
  CHECK_THAT(Refusal("can_reach:0.0.0.0"), Contains("no host's"));
  CHECK_THAT(Refusal("can_reach:224.0.0.1"), Contains("no host's"));
  CHECK_THAT(Refusal("lo"), Catch::StartsWith("invalid interface lo"));
  CHECK_THAT(Refusal("eth0,lo"), Catch::StartsWith("invalid interface lo"));
  CHECK_THAT(Refusal(""), Contains("names have 1 to 15 characters"));
  CHECK_THAT(Refusal("eth0,,eth1"), Contains("names have 1 to 15 characters"));
  CHECK_THAT(Refusal("."), Contains("no Linux interface"));
  CHECK_THAT(Refusal("a0123456789abcde"), Contains("no Linux interface"));
  CHECK_THAT(Refusal("eth[0-9]+"), Contains("regex:eth[0-9]+"));
  CHECK_THAT(Refusal("eth0 eth1"), Contains("no interface is called \"eth0 eth1\""));
  CHECK_THAT(Refusal("regex:"), Contains("the pattern is empty"));
  CHECK_THAT(Refusal(absl::StrCat("regex:", std::string(248, 'a'))), Contains("has 254 characters, more than 253"));
  CHECK_THAT(Refusal("regex:eth("), Contains("cannot be read"));
  CHECK_THAT(Refusal("regex:(eth)\\1"), Contains("cannot be read"));
  // One that would take more memory than its node should give.
  CHECK_THAT(Refusal("regex:((((a{1,100}){1,100}){1,100}){1,100})"), Contains("cannot be read"));
  std::vector<std::string> many;
  for (int i = 0; i < 33; ++i) many.push_back(absl::StrCat("e", i));
  CHECK_THAT(Refusal(absl::StrJoin(many, ",")), Contains("more than 32 names"));
}

TEST_CASE("a name means that interface, whatever else there is", "[unit]") {
  CHECK(Choice("eth0", "10.1.0.5", kNode) == "eth0");
  CHECK(Choice("eth2", "10.1.0.5", kNode) == "eth2");
  CHECK(Choice("docker0", "10.1.0.5", kNode) == "docker0");
  CHECK(InterfaceRule::Parse("eth0")->IsOneName());
  CHECK_FALSE(InterfaceRule::Parse("eth0,eth1")->IsOneName());
  CHECK_FALSE(InterfaceRule::Parse("auto")->IsOneName());
  CHECK(Choice("eth9", "10.1.0.5", kNode) == "no interface eth9 (it has br0, docker0, eth0, eth1, eth2, veth0a1b)");
  CHECK(Choice("eth9", "10.1.0.5", {}) == "no interface eth9 (it has none)");
}

TEST_CASE("a list means the one in the address's subnet, else the first that is up", "[unit]") {
  CHECK(Choice("eth0,eth1", "192.168.60.5", kNode) == "eth1");
  CHECK(Choice("eth1, eth0", "10.7.0.1", kNode) == "eth1");
  CHECK(Choice("eth9,eth1,eth0", "10.7.0.1", kNode) == "eth1");
  CHECK(Choice("eth2,eth0", "10.7.0.1", kNode) == "eth0");
  CHECK(Choice("eth2,eth1", "192.168.60.5", kNode) == "eth1");
  CHECK(Choice("eth2,eth0", "192.168.60.5", kNode) == "eth2");  // the only one of that LAN, though it is down
  CHECK(Choice("eth7,eth8", "10.7.0.1", {kNode[0]}) == "none of the interfaces eth7, eth8 (it has br0)");
}

TEST_CASE("T125 a pattern matches whole names, never those of pods and overlays", "[unit]") {
  CHECK(Choice("regex:eth[0-9]+", "192.168.60.5", kNode) == "eth1");
  CHECK(Choice("regex:eth[0-9]+", "192.168.50.5", kNode) == "eth0");
  CHECK(Choice("regex:eth[0-9]+", "10.7.0.1", kNode) == "eth0");  // the default route
  CHECK(Choice("regex:eth[0-9]+", "fd00::1", kNode) == "eth1");   // of its family
  CHECK(Choice("regex:eth", "10.7.0.1", kNode) == "no interface that matches regex:eth (it has br0, eth0, eth1, eth2)");
  CHECK(Choice("regex:.*", "10.244.0.7", kNode) == "eth0");
  CHECK(Choice("regex:.*", "172.17.0.9", kNode) == "eth0");
  const std::vector<InterfaceInfo> only_pods = {
      Link("cali12"),     Link("cilium_host"), Link("cni0"),       Link("docker0"), Link("dummy0"), Link("flannel.1"),
      Link("kube-ipvs0"), Link("lo"),          Link("lxc_health"), Link("tunl0"),   Link("veth1"),  Link("virbr0")};
  CHECK(Choice("regex:.*", "10.7.0.1", only_pods) == "no interface that matches regex:.* (it has none)");
  CHECK(Choice("auto", "10.7.0.1", only_pods) ==
        "no interface whose subnet has 10.7.0.1, and no default route for IPv4 (it has none)");
  CHECK(Choice("veth1", "10.7.0.1", only_pods) == "veth1");
}

TEST_CASE("a pattern that is slow elsewhere is not here", "[unit]") {
  CHECK(Choice("regex:(a|aa|a?)*(a*)*b", "10.7.0.1", {Link("aaaaaaaaaaaaaaa"), Link("aaaaaaaaaaaaaab")}) ==
        "aaaaaaaaaaaaaab");
}

TEST_CASE("auto means the address's subnet, and without one the default route", "[unit]") {
  CHECK(Choice("auto", "192.168.50.200", kNode) == "eth0");
  CHECK(Choice("auto", "10.1.200.1", kNode) == "br0");
  CHECK(Choice("auto", "192.168.60.200", kNode) == "eth1");  // eth2 has the subnet too, but is down
  CHECK(Choice("auto", "203.0.113.1", kNode) == "eth0");
  CHECK(Choice("auto", "2001:db8::99", kNode) == "eth0");
  CHECK(Choice("auto", "2001:db8:1::99", kNode) == "eth1");
  CHECK(Choice("auto", "203.0.113.1", {kNode[0]}) ==
        "no interface whose subnet has 203.0.113.1, and no default route for IPv4 (it has br0)");
  // The narrower subnet wins, wherever it is.
  CHECK(Choice("auto", "10.1.2.3", {Link("eth0", {"10.0.0.1/8"}, {"0.0.0.0/0"}), Link("eth1", {"10.1.2.1/24"})}) ==
        "eth1");
}

TEST_CASE("F15 can_reach means the interface that the node would send by", "[unit]") {
  CHECK(Choice("can_reach:192.168.50.1", "10.7.0.1", kNode) == "eth0");
  CHECK(Choice("can_reach:192.168.60.1", "10.7.0.1", kNode) == "eth1");
  CHECK(Choice("can_reach:2001:db8::1", "10.7.0.1", kNode) == "eth0");
  CHECK(Choice("can_reach:8.8.8.8", "10.7.0.1", kNode) == "eth0");
  CHECK(Choice("can_reach:10.9.1.1", "192.168.60.5", kNode) == "eth0");
  CHECK(Choice("can_reach:10.9.8.1", "192.168.50.5", kNode) == "eth1");
  CHECK(Choice("can_reach:2001:db8:7::1", "10.7.0.1", kNode) == "eth1");
  CHECK(Choice("can_reach:10.244.0.7", "10.7.0.1", kNode) == "eth0");  // not by way of a pod
  CHECK(Choice("can_reach:8.8.8.8", "10.7.0.1", {kNode[0]}) == "no route to 8.8.8.8 (it has br0)");
}

TEST_CASE("what a rule means does not depend on the order in which interfaces are told", "[unit]") {
  std::vector<InterfaceInfo> links = {Link("eth3"), Link("eth1"), Link("eth2", {}, {}, false)};
  const auto rule = GENERATE(as<std::string>(), "regex:eth.", "eth3,eth1,eth2");
  const std::string wanted = rule[0] == 'r' ? "eth1" : "eth3";
  std::sort(links.begin(), links.end(), [](const auto& a, const auto& b) { return a.name < b.name; });
  do {
    CHECK(Choice(rule, "10.7.0.1", links) == wanted);
  } while (
      std::next_permutation(links.begin(), links.end(), [](const auto& a, const auto& b) { return a.name < b.name; }));
}

}  // namespace
}  // namespace berth::sync
