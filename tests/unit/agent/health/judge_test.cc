// SPDX-License-Identifier: Apache-2.0
#include "agent/health/judge.h"

#include <linux/capability.h>

#include <catch2/catch.hpp>
#include <map>

#include "absl/strings/str_cat.h"

namespace berth::agent {
namespace {

using Severity = sync::NodeFinding::Severity;
using Catch::Contains;

sync::InterfaceInfo Interface(const std::string& name, const std::string& prefix,
                              const std::vector<std::string>& routes) {
  sync::InterfaceInfo i;
  i.name = name;
  i.up = true;
  i.prefixes = {*Cidr::Parse(prefix)};
  for (const std::string& route : routes) i.routes.push_back(*Cidr::Parse(route));
  return i;
}

// Two interfaces; the way to everybody else is eth1, and eth0 carries addresses.
NodeState WellNode() {
  NodeState node;
  node.facts.wall = absl::UnixEpoch();
  node.facts.capabilities = std::uint64_t{1} << CAP_NET_ADMIN | std::uint64_t{1} << CAP_NET_RAW;
  node.facts.forwarding = node.facts.forwarding6 = true;
  node.facts.rp_filter = {{"eth0", 2}, {"eth1", 1}};
  node.facts.kube_proxy = {KubeProxyMode::kIptables};
  node.facts.kube_proxy_known = true;
  node.facts.in_kubernetes = true;
  node.interfaces = {Interface("eth0", "192.0.2.1/24", {"198.51.100.0/24"}),
                     Interface("eth1", "10.0.0.1/24", {"0.0.0.0/0", "::/0"})};
  node.announcing = {"eth0"};
  node.ipv4 = node.ipv6 = true;
  node.vip_rule = "auto";
  return node;
}

// The only finding.
sync::NodeFinding Only(const NodeState& node) {
  const std::vector<sync::NodeFinding> found = JudgeNode(node);
  REQUIRE(found.size() == 1);
  CHECK_FALSE(found.front().cure.empty());
  return found.front();
}

TEST_CASE("a node that is well has no finding, nor has one of which nothing could be read", "[unit]") {
  CHECK(JudgeNode(WellNode()).empty());
  NodeState unread = WellNode();
  unread.facts = {};
  CHECK(JudgeNode(unread).empty());
  CHECK(JudgeNode(NodeState{}).empty());
}

TEST_CASE("capabilities that are lacking are named", "[unit]") {
  NodeState node = WellNode();
  node.facts.capabilities = std::uint64_t{1} << CAP_NET_ADMIN;
  CHECK(Only(node).severity == Severity::kError);
  CHECK_THAT(Only(node).message, Contains("NET_RAW") && !Contains("NET_ADMIN"));
  node.facts.capabilities = 0;
  CHECK_THAT(Only(node).message, Contains("NET_ADMIN, NET_RAW"));
  CHECK_THAT(Only(node).cure, Contains("securityContext"));
}

TEST_CASE("forwarding that is off is an error where kube-proxy needs it, of each family that is served", "[unit]") {
  NodeState node = WellNode();
  node.facts.forwarding = false;
  CHECK(Only(node).severity == Severity::kError);
  CHECK_THAT(Only(node).cure, Contains("net.ipv4.ip_forward=1"));
  node.facts.kube_proxy.clear();
  node.facts.kube_proxy_known = false;
  CHECK(Only(node).severity == Severity::kWarning);
  node.ipv4 = false;
  CHECK(JudgeNode(node).empty());
  node.facts.forwarding6 = false;
  CHECK_THAT(Only(node).cure, Contains("net.ipv6.conf.all.forwarding=1"));
  node.ipv6 = false;
  CHECK(JudgeNode(node).empty());
}

TEST_CASE("a strict rp_filter matters on an interface that carries addresses and is not the way back", "[unit]") {
  NodeState node = WellNode();
  node.facts.rp_filter["eth0"] = 1;
  CHECK(Only(node).severity == Severity::kWarning);
  CHECK_THAT(Only(node).message, Contains("eth0") && Contains("eth1"));
  CHECK_THAT(Only(node).cure, Contains("net.ipv4.conf.eth0.rp_filter=2"));
  SECTION("not where it is loose or off") {
    node.facts.rp_filter["eth0"] = GENERATE(0, 2);
    CHECK(JudgeNode(node).empty());
  }
  SECTION("not where nothing is announced") {
    node.announcing.clear();
    CHECK(JudgeNode(node).empty());
  }
  SECTION("not where the default route is there as well") {
    node.interfaces[0].routes.push_back(*Cidr::Parse("0.0.0.0/0"));
    CHECK(JudgeNode(node).empty());
  }
  SECTION("a default route of IPv6 is none of IPv4") {
    node.interfaces[0].routes.push_back(*Cidr::Parse("::/0"));
    CHECK(JudgeNode(node).size() == 1);
  }
  SECTION("a dot in a name is no separator") {
    node.interfaces[0].name = "eth0.100";
    node.announcing = {"eth0.100"};
    node.facts.rp_filter = {{"eth0.100", 1}};
    CHECK_THAT(Only(node).cure, Contains("net.ipv4.conf.eth0/100.rp_filter=2"));
  }
}

TEST_CASE("kube-proxy is missed in a pod only, and several modes at once are told", "[unit]") {
  NodeState node = WellNode();
  node.facts.kube_proxy.clear();
  CHECK(Only(node).severity == Severity::kWarning);
  CHECK_THAT(Only(node).message, Contains("kube-proxy has set nothing"));
  node.facts.in_kubernetes = false;
  CHECK(JudgeNode(node).empty());
  node.facts.in_kubernetes = true;
  node.facts.kube_proxy_known = false;
  CHECK(JudgeNode(node).empty());
  node.facts.kube_proxy = {KubeProxyMode::kIpvs, KubeProxyMode::kNftables};
  CHECK_THAT(Only(node).message, Contains("ipvs, nftables"));
  CHECK_THAT(Only(node).cure, Contains("--cleanup"));
}

TEST_CASE("what the agent found impossible is told with a cure, errors first", "[unit]") {
  NodeState node = WellNode();
  node.disk = absl::ResourceExhaustedError("no room");
  CHECK(Only(node).severity == Severity::kWarning);
  node.host_ports = absl::UnimplementedError("no inet family");
  node.silence = absl::UnimplementedError("no arp family");
  node.silence6 = absl::UnimplementedError("no ip6 family");
  node.vip = absl::NotFoundError("no such interface");
  node.vip_rule = "vip0";
  node.vip_down = "berth0";
  node.deaf = {{"eth7", "permission denied"}};
  std::vector<sync::NodeFinding> found = JudgeNode(node);
  REQUIRE(found.size() == 7);
  for (std::size_t i = 0; i < found.size(); ++i) {
    CHECK(found[i].severity == (i < 5 ? Severity::kError : Severity::kWarning));
    CHECK_FALSE(found[i].cure.empty());
  }
  CHECK_THAT(found[2].cure, Contains("ip link add vip0 type dummy"));
  node.ipv6 = false;  // then it is no loss yet
  found = JudgeNode(node);
  REQUIRE(found.size() == 7);
  CHECK(found[4].severity == Severity::kWarning);
}

TEST_CASE("more findings than a message may have are cut, warnings first", "[unit]") {
  NodeState node = WellNode();
  node.disk = absl::ResourceExhaustedError("no room");
  for (int i = 0; i < 100; ++i) node.deaf.emplace_back(absl::StrCat("eth", i), "gone");
  const std::vector<sync::NodeFinding> found = JudgeNode(node);
  CHECK(found.size() == sync::kMaxFindings);
  CHECK(found.back().severity == Severity::kError);
}

}  // namespace
}  // namespace berth::agent
