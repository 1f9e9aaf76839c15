// SPDX-License-Identifier: Apache-2.0
#include "controller/plan/place.h"

#include "tests/unit/controller/plan/plan_fixture.h"

namespace berth::plan {
namespace {

using Nodes = std::map<std::string, NodeView>;
using Load = std::map<std::string, std::size_t>;

sync::InterfaceInfo Link(const std::string& name, bool up = true) {
  sync::InterfaceInfo link;
  link.name = name;
  link.up = up;
  return link;
}

Nodes MakeNodes(int count) {
  Nodes nodes;
  for (int i = 1; i <= count; ++i) {
    NodeView node;
    node.name = absl::StrCat("node", i);
    node.connected = true;
    node.interfaces = {Link("eth0"), Link("eth1")};
    nodes[node.name] = node;
  }
  return nodes;
}

AddressView View(const IpAddr& address, std::optional<std::string> holder = std::nullopt) {
  AddressView view;
  view.address = address;
  view.interface = "eth0";
  view.holder = std::move(holder);
  return view;
}

IpAddr Nth(int i) { return IpAddr::V4((10U << 24) + static_cast<std::uint32_t>(i)); }

std::vector<AddressView> Views(int count) {
  std::vector<AddressView> views;
  for (int i = 0; i < count; ++i) views.push_back(View(Nth(i)));
  return views;
}

std::size_t Highest(const Load& load) {
  std::size_t highest = 0;
  for (const auto& [node, n] : load) highest = std::max(highest, n);
  return highest;
}

Placement PlaceOne(const AddressView& view, const Nodes& nodes, bool may_leave = true) {
  Load load;
  return Place({view}, nodes, Rules(), load, may_leave).at(view.address);
}

TEST_CASE("the weight of a node for an address never changes between versions", "[unit]") {
  const auto [node, address, weight] = GENERATE(table<std::string, std::string, std::uint64_t>({
      {"node1", "192.168.50.50", 0xb2b475edf4f56afe},
      {"node2", "192.168.50.50", 0xa85f20e52da8fe48},
      {"node1", "192.168.50.51", 0x4f3c333b3d87cba0},
      {"node1", "fd00::1", 0xfb5e38450040d632},
      {"a-rather-long-node-name.example.org", "10.0.0.1", 0x7978005f5b6f9574},
  }));
  CAPTURE(node, address);
  CHECK(Weight(node, Ip(address)) == weight);
}

TEST_CASE("an interface is meant by its name, and a miss tells which there are", "[unit]") {
  const Nodes nodes = MakeNodes(2);
  const auto found = ResolveInterface("eth1", Ip("10.0.0.1"), nodes.at("node2"));
  REQUIRE(found.ok());
  CHECK((*found)->name == "eth1");
  const auto missing = ResolveInterface("eth9", Ip("10.0.0.1"), nodes.at("node2"));
  CHECK(missing.status().code() == absl::StatusCode::kNotFound);
  CHECK(missing.status().message() == "node node2 has no interface eth9 (it has eth0, eth1)");
  NodeView bare;
  bare.name = "bare";
  CHECK(ResolveInterface("eth0", Ip("10.0.0.1"), bare).status().message() ==
        "node bare has no interface eth0 (it has none)");
}

TEST_CASE("T117 T131 T135 T136 a node that cannot hold an address is refused with the reason", "[unit]") {
  Nodes nodes = MakeNodes(1);
  NodeView& node = nodes.at("node1");
  AddressView view = View(Ip("10.0.0.10"));
  Rules rules;
  REQUIRE(CanHold(view, node, rules).ok());
  std::string why;
  SECTION("agent out of contact") {
    node.connected = false;
    why = "not connected";
  }
  SECTION("leaving") {
    node.leaving = true;
    why = "ending";
  }
  SECTION("drained") {
    node.drained = true;
    why = "berthctl undrain node1";
  }
  SECTION("F13 layer 2 off") {
    node.layer2_off = true;
    why = "layer 2 is off on this node (berth-agent --enable-layer2=false)";
  }
  SECTION("no such interface") {
    view.interface = "eth9";
    why = "no interface eth9 (it has eth0, eth1)";
  }
  SECTION("no carrier") {
    node.interfaces[0].up = false;
    why = "interface eth0 is down or has no carrier";
  }
  SECTION("no network") {
    node.node.network_unavailable = true;
    why = "NetworkUnavailable";
  }
  SECTION("excluded by label") {
    node.node.labels[model::kExcludeNodeLabel] = "";
    why = "--ignore-exclude-label";
    CHECK(CanHold(view, node, Rules{.ignore_exclude_label = true}).ok());
  }
  SECTION("selector of the Eip") {
    view.node_selector = model::LabelSelector{.match_labels = {{"rack", "r1"}}, .match_expressions = {}};
    why = "spec.nodeSelector";
  }
  SECTION("policy Local without an endpoint here") {
    view.endpoint_nodes = std::set<std::string>{"node2"};
    why = "no ready endpoint";
  }
  const absl::Status status = CanHold(view, node, rules);
  CHECK(status.code() == absl::StatusCode::kFailedPrecondition);
  CHECK_THAT(std::string(status.message()), Catch::Contains(why));
  const Placement placement = PlaceOne(view, nodes);
  CHECK_FALSE(placement.holder);
  CHECK(placement.candidates.empty());
  CHECK(placement.refusals == std::vector<Refusal>{{"node1", std::string(status.message())}});
}

TEST_CASE("a node can speak for an address as long as its agent and its interface can, whether or not it should",
          "[unit]") {
  Nodes nodes = MakeNodes(1);
  NodeView& node = nodes.at("node1");
  AddressView view = View(Ip("10.0.0.10"));
  SECTION("it can") {
    view.endpoint_nodes = std::set<std::string>{"node2"};
    view.node_selector = model::LabelSelector{.match_labels = {{"rack", "r1"}}, .match_expressions = {}};
    node.node.network_unavailable = true;
    node.preferred = false;
    node.leaving = node.drained = true;
    CHECK_FALSE(CanHold(view, node, Rules()).ok());
    CHECK(CanSpeakFor(view, node));
  }
  SECTION("it cannot") {
    SECTION("out of contact") { node.connected = false; }
    SECTION("no such interface") { view.interface = "eth9"; }
    SECTION("no interface by that rule") { view.interface = "regex:("; }
    SECTION("no carrier") { node.interfaces[0].up = false; }
    CHECK_FALSE(CanSpeakFor(view, node));
  }
}

TEST_CASE("T130 T131 policy Local leaves the nodes with endpoints, Cluster leaves all", "[unit]") {
  const Nodes nodes = MakeNodes(3);
  AddressView view = View(Ip("10.0.0.10"));
  CHECK(Rank(view, nodes, Rules()).nodes.size() == 3);
  view.endpoint_nodes = std::set<std::string>{"node2"};
  CHECK(PlaceOne(view, nodes).holder == "node2");
  view.endpoint_nodes = std::set<std::string>{};
  CHECK_FALSE(PlaceOne(view, nodes).holder);
}

TEST_CASE("the ranking is by weight, preferred nodes before the others, refusals by name", "[unit]") {
  Nodes nodes = MakeNodes(6);
  nodes.at("node1").preferred = nodes.at("node4").preferred = false;
  nodes.at("node5").connected = nodes.at("node2").connected = false;
  for (int i = 0; i < 50; ++i) {
    const Ranking ranking = Rank(View(Nth(i)), nodes, Rules());
    REQUIRE(ranking.nodes.size() == 4);
    REQUIRE(nodes.at(ranking.nodes[0]).preferred);
    REQUIRE(nodes.at(ranking.nodes[1]).preferred);
    REQUIRE(Weight(ranking.nodes[0], Nth(i)) > Weight(ranking.nodes[1], Nth(i)));
    REQUIRE(Weight(ranking.nodes[2], Nth(i)) > Weight(ranking.nodes[3], Nth(i)));
    REQUIRE(ranking.refusals.size() == 2);
    REQUIRE(ranking.refusals[0].node == "node2");
    REQUIRE(ranking.refusals[1].node == "node5");
  }
}

TEST_CASE("one address alone goes to the best of its ranking, and the holder leads its candidates", "[unit]") {
  const Nodes nodes = MakeNodes(5);
  const AddressView view = View(Ip("10.0.0.10"));
  const Ranking ranking = Rank(view, nodes, Rules());
  CHECK(PlaceOne(view, nodes).holder == ranking.nodes.front());
  CHECK(PlaceOne(view, nodes).candidates == ranking.nodes);
  const Placement kept = PlaceOne(View(Ip("10.0.0.10"), ranking.nodes[3]), nodes);
  CHECK(kept.holder == ranking.nodes[3]);
  CHECK(kept.candidates == std::vector<std::string>{ranking.nodes[3], ranking.nodes[0], ranking.nodes[1],
                                                    ranking.nodes[2], ranking.nodes[4]});
}

TEST_CASE("up to 200 addresses over 4 nodes stay within 1.25 of the mean, at once and one by one", "[unit]") {
  const Nodes nodes = MakeNodes(4);
  const auto bound = [](std::size_t n) { return (5 * n + 15) / 16; };
  Load one_by_one;
  for (std::size_t n = 1; n <= 200; ++n) {
    CAPTURE(n);
    Load at_once;
    REQUIRE(Place(Views(static_cast<int>(n)), nodes, Rules(), at_once).size() == n);
    REQUIRE(Highest(at_once) <= bound(n));
    Place({View(Nth(static_cast<int>(n)))}, nodes, Rules(), one_by_one);
    REQUIRE(Highest(one_by_one) <= bound(n));
  }
  std::size_t total = 0;
  for (const auto& [node, n] : one_by_one) total += n;
  CHECK(total == 200);
}

TEST_CASE("addresses placed at once get their best node as long as the bound for all of them allows", "[unit]") {
  const Nodes nodes = MakeNodes(2);
  Load load;
  const auto placed = Place(Views(200), nodes, Rules(), load);
  REQUIRE(Highest(load) < 125);
  for (const auto& [address, placement] : placed) {
    REQUIRE(placement.holder == Rank(View(address), nodes, Rules()).nodes.front());
  }
}

TEST_CASE("a bound that cannot be kept is no reason to leave an address alone", "[unit]") {
  const Nodes nodes = MakeNodes(3);
  std::vector<AddressView> views = Views(30);
  for (AddressView& view : views) view.endpoint_nodes = std::set<std::string>{"node2"};
  Load load = {{"node1", 5}};
  for (const auto& [address, placement] : Place(views, nodes, Rules(), load)) CHECK(placement.holder == "node2");
  CHECK(load.at("node2") == 30);
}

TEST_CASE("load from elsewhere counts: a node that has much gets nothing more", "[unit]") {
  const Nodes nodes = MakeNodes(2);
  Load load = {{"node1", 40}};
  for (const auto& [address, placement] : Place(Views(10), nodes, Rules(), load)) CHECK(placement.holder == "node2");
  CHECK(load.at("node1") == 40);
}

TEST_CASE("T141 a node that comes back moves nothing, and one that goes moves only its own", "[unit]") {
  Nodes nodes = MakeNodes(4);
  Load load;
  std::vector<AddressView> views = Views(100);
  const auto place = [&] {
    load.clear();
    std::map<IpAddr, std::string> holders;
    for (const auto& [address, placement] : Place(views, nodes, Rules(), load)) holders[address] = *placement.holder;
    for (AddressView& view : views) view.holder = holders.at(view.address);
    return holders;
  };
  const auto before = place();
  nodes.at("node3").connected = false;
  const auto without = place();
  for (const auto& [address, holder] : before) {
    if (holder != "node3") CHECK(without.at(address) == holder);
    CHECK(without.at(address) != "node3");
  }
  CHECK(Highest(load) <= 42);
  nodes.at("node3").connected = true;
  CHECK(place() == without);
}

TEST_CASE("T137 a leaving holder hands over, and keeps the address only where nobody else can hold it", "[unit]") {
  Nodes nodes = MakeNodes(2);
  nodes.at("node1").leaving = true;
  CHECK(PlaceOne(View(Ip("10.0.0.10"), "node1"), nodes).holder == "node2");
  nodes.at("node2").interfaces[0].up = false;
  const Placement kept = PlaceOne(View(Ip("10.0.0.10"), "node1"), nodes);
  CHECK(kept.holder == "node1");
  CHECK(kept.candidates == std::vector<std::string>{"node1"});
  CHECK_FALSE(PlaceOne(View(Ip("10.0.0.10")), nodes).holder);
  nodes.at("node1").connected = false;
  CHECK_FALSE(PlaceOne(View(Ip("10.0.0.10"), "node1"), nodes).holder);
}

TEST_CASE("a holder that is not preferred leaves for one that is, if it may", "[unit]") {
  Nodes nodes = MakeNodes(3);
  nodes.at("node1").preferred = false;
  const AddressView view = View(Ip("10.0.0.10"), "node1");
  CHECK(PlaceOne(view, nodes).holder != "node1");
  CHECK(PlaceOne(view, nodes, false).holder == "node1");
  nodes.at("node2").preferred = nodes.at("node3").preferred = false;
  CHECK(PlaceOne(view, nodes).holder == "node1");
}

TEST_CASE("an unpreferred node gets new addresses only where no preferred one can hold them", "[unit]") {
  Nodes nodes = MakeNodes(3);
  nodes.at("node2").preferred = nodes.at("node3").preferred = false;
  Load load;
  Place(Views(20), nodes, Rules(), load);
  CHECK(load.at("node1") == 20);
  nodes.at("node1").connected = false;
  Load others;
  Place(Views(20), nodes, Rules(), others);
  CHECK(Highest(others) <= 13);
  CHECK(others.count("node1") == 0);
}

TEST_CASE("a holder that no longer exists is replaced, and no node at all is no holder", "[unit]") {
  CHECK(PlaceOne(View(Ip("10.0.0.10"), "gone"), MakeNodes(1)).holder == "node1");
  CHECK_FALSE(PlaceOne(View(Ip("10.0.0.10"), "gone"), {}).holder);
}

TEST_CASE("placement does not depend on the order of its input", "[unit]") {
  const Nodes nodes = MakeNodes(4);
  std::vector<AddressView> views = Views(60);
  Load load, reversed_load;
  const auto placed = Place(views, nodes, Rules(), load);
  std::reverse(views.begin(), views.end());
  const auto reversed = Place(views, nodes, Rules(), reversed_load);
  for (const auto& [address, placement] : placed) CHECK(reversed.at(address).holder == placement.holder);
  CHECK(load == reversed_load);
}

}  // namespace
}  // namespace berth::plan
