// SPDX-License-Identifier: Apache-2.0
#include "controller/plan/exclude.h"

#include "tests/unit/controller/plan/plan_fixture.h"

namespace berth::plan {
namespace {

NodeView NodeWith(const std::string& name, const std::vector<std::string>& prefixes,
                  const std::vector<std::string>& gateways = {}) {
  NodeView node;
  node.name = name;
  sync::InterfaceInfo interface;
  interface.name = "eth0";
  for (const std::string& text : prefixes) interface.prefixes.push_back(*Cidr::Parse(text));
  for (const std::string& text : gateways) interface.gateways.push_back(Ip(text));
  node.interfaces = {interface};
  return node;
}

TEST_CASE("node addresses, gateways and the ends of connected subnets are excluded", "[unit]") {
  const auto [prefix, excluded] = GENERATE(table<std::string, std::string>({
      {"10.0.0.5/24", "10.0.0.0,10.0.0.5,10.0.0.255"},
      {"10.0.0.5/30", "10.0.0.4-10.0.0.5,10.0.0.7"},
      {"10.0.0.5/31", "10.0.0.5"},
      {"10.0.0.5/32", "10.0.0.5"},
      {"fd00::5/64", "fd00::,fd00::5"},
      {"fd00::5/127", "fd00::5"},
      {"fd00::5/128", "fd00::5"},
  }));
  CAPTURE(prefix);
  CHECK(ExcludedAddresses({{"n1", NodeWith("n1", {prefix})}}).ToString() == excluded);
}

TEST_CASE("every interface of every node counts, in contact or not", "[unit]") {
  NodeView n1 = NodeWith("n1", {"10.0.0.11/24"}, {"10.0.0.1"});
  NodeView n2 = NodeWith("n2", {"10.0.0.12/24", "fd00::12/64"}, {"fe80::1"});
  n1.connected = true;
  n2.interfaces.push_back(NodeWith("n2", {"192.168.7.2/32"}).interfaces[0]);
  CHECK(ExcludedAddresses({{"n1", n1}, {"n2", n2}}).ToString() ==
        "10.0.0.0-10.0.0.1,10.0.0.11-10.0.0.12,10.0.0.255,192.168.7.2,fd00::,fd00::12,fe80::1");
  CHECK(ExcludedAddresses({}).empty());
}

}  // namespace
}  // namespace berth::plan
