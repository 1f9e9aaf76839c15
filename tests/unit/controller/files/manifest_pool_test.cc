// SPDX-License-Identifier: Apache-2.0
#include "tests/unit/controller/files/manifest_testing.h"

namespace berth::files {

using model::Pool;

TEST_CASE("an Eip has the defaults of its CRD where a manifest says nothing", "[unit]") {
  const Pool pool = Only<Pool>(Eip("{address: 192.168.50.50}"));
  Pool wanted;
  wanted.name = "a";
  wanted.address_text = "192.168.50.50";
  wanted.addresses = *IpRangeSet::Parse("192.168.50.50");
  CHECK(pool == wanted);
  CHECK(pool.protocol == model::Protocol::kBgp);
}

TEST_CASE("every field of an Eip is read", "[unit]") {
  const Pool pool = Only<Pool>(R"(
apiVersion: network.kubesphere.io/v1alpha2
kind: Eip
metadata:
  name: edge
  annotations:
    eip.openelb.kubesphere.io/is-default-eip: "true"
    berth.io/avoid-buggy-ips: "true"
    berth.io/force-delete: "true"
spec:
  address: fd00::50-fd00::5f
  protocol: vip
  interface: can_reach:fd00::1
  disable: true
  usingKnownIPs: true
  priority: -3
  namespaces: [shop, web]
  namespaceSelector: {team: a}
  nodeSelector:
    matchLabels: {rack: r1}
    matchExpressions:
      - {key: zone, operator: In, values: [z1, z2]}
      - {key: gpu, operator: DoesNotExist}
)");
  Pool wanted;
  wanted.name = "edge";
  wanted.address_text = "fd00::50-fd00::5f";
  wanted.addresses = *IpRangeSet::Parse("fd00::50-fd00::5f");
  wanted.family = Family::kIpv6;
  wanted.protocol = model::Protocol::kVip;
  wanted.interface = "can_reach:fd00::1";
  wanted.disable = true;
  wanted.priority = -3;
  wanted.namespaces = {"shop", "web"};
  wanted.namespace_selector = model::Labels{{"team", "a"}};
  wanted.node_selector =
      model::LabelSelector{{{"rack", "r1"}}, {{"zone", "In", {"z1", "z2"}}, {"gpu", "DoesNotExist", {}}}};
  wanted.is_default = wanted.avoid_buggy_ips = wanted.force_delete = true;
  CHECK(pool == wanted);
}

TEST_CASE("an Eip annotation counts only when it is true, and the default's in any case", "[unit]") {
  const auto [value, is_default] = GENERATE(table<std::string, bool>(
      {{"\"true\"", true}, {"\"True\"", true}, {"\"false\"", false}, {"\"1\"", false}, {"\"\"", false}}));
  const Pool pool = Only<Pool>(
      "apiVersion: network.kubesphere.io/v1alpha2\nkind: Eip\n"
      "metadata: {name: a, annotations: {eip.openelb.kubesphere.io/is-default-eip: " +
      value + ", berth.io/force-delete: " + value + "}}\nspec: {address: 10.0.0.1}\n");
  CHECK(pool.is_default == is_default);
  CHECK(pool.force_delete == (value == "\"true\""));
}

TEST_CASE("an Eip of v1alpha1 is read, without the fields that version does not have", "[unit]") {
  const Pool pool = Only<Pool>(
      Eip("{address: 10.0.0.0/30, protocol: layer2, interface: eth0, disable: true, usingKnownIPs: false, priority: 7,"
          " namespaces: [a]}",
          "v1alpha1"));
  CHECK(pool.addresses == *IpRangeSet::Parse("10.0.0.0/30"));
  CHECK(pool.protocol == model::Protocol::kLayer2);
  CHECK(pool.disable);
  CHECK(pool.priority == 0);
  CHECK(pool.namespaces.empty());
}

TEST_CASE("a wrong field of an Eip is named with file, line and cure", "[unit]") {
  const auto [spec, problem] = GENERATE(table<std::string, std::string>({
      {"{}", "spec.address: is missing, name an address, a CIDR or a range a-b"},
      {"{address: null}", "spec.address: is missing, name an address, a CIDR or a range a-b"},
      {"{address: 5}", "spec.address: must be a string, not a number \"5\"; put it in quotes"},
      {"{address: [10.0.0.1]}", "spec.address: must be a string, not a list"},
      {"{address: {}}", "spec.address: must be a string, not a map"},
      {"{address: 10.0.0.1, protocol: foo}", "spec.protocol: \"foo\" is not one of bgp, layer2, vip"},
      {"{address: 10.0.0.1, protocol: Layer2}", "spec.protocol: \"Layer2\" is not one of bgp, layer2, vip"},
      {"{address: 10.0.0.1, interface: 7}", "spec.interface: must be a string, not a number \"7\"; put it in quotes"},
      {"{address: 10.0.0.1, disable: \"yes\"}", "spec.disable: must be true or false, not a string \"yes\""},
      {"{address: 10.0.0.1, disable: 1}", "spec.disable: must be true or false, not a number \"1\""},
      {"{address: 10.0.0.1, usingKnownIPs: x}", "spec.usingKnownIPs: must be true or false, not a string \"x\""},
      {"{address: 10.0.0.1, priority: 1.5}", "spec.priority: must be a whole number, not a fraction \"1.5\""},
      {"{address: 10.0.0.1, priority: \"1\"}", "spec.priority: must be a whole number, not a string \"1\""},
      {"{address: 10.0.0.1, priority: 9223372036854775808}",
       "spec.priority: 9223372036854775808 is not within -9223372036854775808 to 9223372036854775807"},
      {"{address: 10.0.0.1, namespaces: shop}", "spec.namespaces: must be a list, not a string \"shop\""},
      {"{address: 10.0.0.1, namespaces: [a, 2]}",
       "spec.namespaces[1]: must be a string, not a number \"2\"; put it in quotes"},
      {"{address: 10.0.0.1, namespaceSelector: [a]}", "spec.namespaceSelector: must be a map, not a list"},
      {"{address: 10.0.0.1, namespaceSelector: {a: true}}",
       "spec.namespaceSelector.a: must be a string, not a boolean \"true\"; put it in quotes"},
      {"{address: 10.0.0.1, nodeSelector: {rack: r1}}",
       "spec.nodeSelector: \"rack\" is not one of matchLabels, matchExpressions"},
      {"{address: 10.0.0.1, nodeSelector: {matchExpressions: [{operator: Exists}]}}",
       "spec.nodeSelector.matchExpressions[0]: has no key"},
      {"{address: 10.0.0.1, nodeSelector: {matchExpressions: [{key: a}]}}",
       "spec.nodeSelector.matchExpressions[0]: has no operator"},
      {"{address: 10.0.0.1, nodeSelector: {matchExpressions: [{key: a, operator: Is, values: [b]}]}}",
       "spec.nodeSelector.matchExpressions[0].operator: \"Is\" is not one of In, NotIn, Exists, DoesNotExist"},
      {"{address: 10.0.0.1, nodeSelector: {matchExpressions: [{key: a, operator: In}]}}",
       "spec.nodeSelector.matchExpressions[0]: operator In needs values"},
      {"{address: 10.0.0.1, nodeSelector: {matchExpressions: [{key: a, operator: Exists, values: [b]}]}}",
       "spec.nodeSelector.matchExpressions[0]: operator Exists must not have values"},
      {"{address: 10.0.0.1, nodeSelector: {matchExpressions: [a]}}",
       "spec.nodeSelector.matchExpressions[0]: must be a map, not a string"},
      {"[]", "spec: must be a map, not a list"},
  }));
  CHECK(OnlyProblem(Eip(spec)) == "f.yaml:4: Eip \"a\": " + problem);
}

TEST_CASE("the address text that an Eip cannot have is quoted", "[unit]") {
  const std::string address = GENERATE("xxxx", "10.0.0.9-10.0.0.1", "10.0.0.1/255.255.255.0", "10.0.0.1,fd00::1",
                                       "10.0.0.0/33", "\"\"", "10.0.0.1-", "10.0.0.1,10.0.0.1");
  const std::string text = OnlyProblem(Eip("{address: \"" + (address == "\"\"" ? "" : address) + "\"}"));
  CAPTURE(text);
  CHECK(text.rfind("f.yaml:4: Eip \"a\": spec.address: ", 0) == 0);
}

TEST_CASE("T005 an Eip whose range is reversed is refused, and both ends are named", "[unit]") {
  CHECK(OnlyProblem(Eip("{address: 10.0.0.20-10.0.0.10}")) ==
        "f.yaml:4: Eip \"a\": spec.address: \"10.0.0.20-10.0.0.10\": start 10.0.0.20 is after end 10.0.0.10");
}

TEST_CASE("T006 an Eip with an impossible address is refused, and the bad value quoted", "[unit]") {
  const std::string address = GENERATE("10.0.0.0/33", "10.0.0.x", "10.0.0.1-fe80::1", "");
  const std::string problem = OnlyProblem(Eip("{address: \"" + address + "\"}"));
  CAPTURE(problem);
  CHECK(problem.rfind("f.yaml:4: Eip \"a\": spec.address: ", 0) == 0);
  CHECK(problem.find("\"" + address + "\"") != std::string::npos);
}

TEST_CASE("T012 an Eip with blanks round the dash has all five of its addresses", "[unit]") {
  const Pool pool = Only<Pool>(Eip("{address: \" 10.3.0.5 - 10.3.0.9 \"}"));
  CHECK(pool.addresses.size() == AddressCount(5));
  CHECK(pool.addresses.First() == *IpAddr::Parse("10.3.0.5"));
}

TEST_CASE("an Eip of v1alpha1 knows IPv4 and the two protocols of its time only", "[unit]") {
  CHECK(
      OnlyProblem(Eip("{address: \"fd00::1\"}", "v1alpha1")) ==
      "f.yaml:4: Eip \"a\": spec.address: \"fd00::1\" is IPv6, which needs apiVersion network.kubesphere.io/v1alpha2");
  CHECK(OnlyProblem(Eip("{address: 10.0.0.1, protocol: vip}", "v1alpha1")) ==
        "f.yaml:4: Eip \"a\": spec.protocol: \"vip\" is not one of bgp, layer2");
  CHECK(OnlyProblem(Eip("{address: 10.0.0.1}", "v1")) ==
        "f.yaml:1: Eip \"a\": apiVersion: \"network.kubesphere.io/v1\" is not known, write "
        "network.kubesphere.io/v1alpha2");
}

TEST_CASE("all problems of an Eip are told, each with its own line", "[unit]") {
  const ParsedFile parsed = ParseManifest("pools/f.yaml", R"(apiVersion: network.kubesphere.io/v1alpha2
kind: Eip
metadata:
  name: a
spec:
  address: 10.0.0.300
  protocol: arp
  disable: no way
)");
  REQUIRE(parsed.problems.size() == 3);
  CHECK(parsed.problems[0].text.rfind("pools/f.yaml:6: Eip \"a\": spec.address: ", 0) == 0);
  CHECK(parsed.problems[1].text == "pools/f.yaml:7: Eip \"a\": spec.protocol: \"arp\" is not one of bgp, layer2, vip");
  CHECK(parsed.problems[2].text ==
        "pools/f.yaml:8: Eip \"a\": spec.disable: must be true or false, not a string \"no way\"");
  CHECK(parsed.wrong == std::set<ObjectKey>{{ObjectKind::kPool, {"", "a"}}});
}

}  // namespace berth::files
