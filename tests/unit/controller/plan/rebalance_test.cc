// SPDX-License-Identifier: Apache-2.0
#include "controller/plan/rebalance.h"

#include "tests/unit/controller/plan/plan_fixture.h"

namespace berth::plan {
namespace {

using Nodes = std::map<std::string, NodeView>;
using Load = std::map<std::string, std::size_t>;

struct Case {
  Nodes nodes;
  std::vector<AddressView> addresses;

  explicit Case(int node_count) {
    for (int i = 1; i <= node_count; ++i) {
      NodeView node;
      node.name = absl::StrCat("node", i);
      node.connected = true;
      for (const char* name : {"eth0", "eth1"}) {
        sync::InterfaceInfo link;
        link.name = name;
        link.up = true;
        node.interfaces.push_back(link);
      }
      nodes[node.name] = node;
    }
  }
  // `count` more addresses that `holder` has.
  Case& Holds(const std::string& holder, int count, const std::string& interface = "eth0") {
    for (int i = 0; i < count; ++i) {
      AddressView view;
      view.address = IpAddr::V4((10U << 24) + static_cast<std::uint32_t>(addresses.size()));
      view.interface = interface;
      view.holder = holder;
      addresses.push_back(view);
    }
    return *this;
  }
  Load LoadNow() const {
    Load load;
    for (const AddressView& a : addresses) ++load[*a.holder];
    return load;
  }
  std::vector<Shift> Plan() const { return Rebalance(addresses, nodes, Rules(), LoadNow()); }
  Load After(const std::vector<Shift>& shifts) const {
    Load load = LoadNow();
    for (const Shift& s : shifts) {
      --load[s.from];
      ++load[s.to];
    }
    return load;
  }
};

TEST_CASE("an even load stays as it is", "[unit]") {
  CHECK(Case(3).Plan().empty());
  CHECK(Case(1).Holds("node1", 5).Plan().empty());
  CHECK(Case(2).Holds("node1", 1).Plan().empty());
  CHECK(Case(2).Holds("node1", 3).Holds("node2", 2).Plan().empty());
  // A quarter of the mean more is no reason to move anything.
  CHECK(Case(2).Holds("node1", 112).Holds("node2", 88).Plan().empty());
}

TEST_CASE("a node that came back empty gets its part, with as few moves as that takes", "[unit]") {
  const Case two = Case(2).Holds("node1", 2);
  CHECK(two.After(two.Plan()) == Load{{"node1", 1}, {"node2", 1}});
  const Case three = Case(3).Holds("node1", 6).Holds("node2", 6);
  const auto shifts = three.Plan();
  CHECK(three.After(shifts) == Load{{"node1", 4}, {"node2", 4}, {"node3", 4}});
  CHECK(shifts.size() == 4);
  for (const Shift& s : shifts) CHECK(s.to == "node3");
  // Of many, only until the rest differs by less than a quarter of the mean (25).
  const Case many = Case(2).Holds("node1", 200);
  const auto moved = many.Plan();
  CHECK(moved.size() == 88);
  CHECK(
      std::is_sorted(moved.begin(), moved.end(), [](const Shift& a, const Shift& b) { return a.address < b.address; }));
}

TEST_CASE("of the addresses that could go, those go that the node would have been given first", "[unit]") {
  const Case one = Case(2).Holds("node1", 2);
  const auto shifts = one.Plan();
  REQUIRE(shifts.size() == 1);
  const auto liking = [](const IpAddr& a) {
    return static_cast<std::int64_t>(Weight("node2", a) >> 1) - static_cast<std::int64_t>(Weight("node1", a) >> 1);
  };
  for (const AddressView& a : one.addresses) CHECK(liking(shifts[0].address) >= liking(a.address));
}

TEST_CASE("addresses go only to nodes that can hold them, preferred ones where there are some", "[unit]") {
  Case c = Case(4).Holds("node1", 6);
  c.nodes["node2"].drained = true;
  c.nodes["node3"].interfaces.clear();
  auto shifts = c.Plan();
  CHECK(shifts.size() == 3);
  for (const Shift& s : shifts) CHECK(s.to == "node4");
  c.nodes["node4"].preferred = false;
  CHECK(c.Plan().empty());
  c.nodes["node1"].preferred = false;  // nobody is: all count
  CHECK(c.Plan() == shifts);
}

TEST_CASE("addresses are evened out among nodes of one tier, the best that there is, as they were placed", "[unit]") {
  Case c = Case(4).Holds("node1", 6);
  c.nodes["node2"].unsteady = true;
  c.nodes["node3"].preferred = false;
  auto shifts = c.Plan();
  CHECK(shifts.size() == 3);
  for (const Shift& s : shifts) CHECK(s.to == "node4");
  c.nodes["node1"].unsteady = c.nodes["node4"].unsteady = true;  // nobody is steady, yet three are preferred
  shifts = c.Plan();
  CHECK(c.After(shifts) == Load{{"node1", 2}, {"node2", 2}, {"node4", 2}});
}

TEST_CASE("what leaves its node anyway is no matter of balance", "[unit]") {
  Case c = Case(3).Holds("node1", 6);
  c.nodes["node1"].drained = true;
  CHECK(c.Plan().empty());
  c.nodes["node1"].drained = false;
  c.nodes["node1"].connected = false;
  CHECK(c.Plan().empty());
}

TEST_CASE("where one address can only go on by way of another, the load evens out all the same", "[unit]") {
  Case c = Case(3).Holds("node1", 4, "eth0").Holds("node2", 4, "eth1");
  c.nodes["node1"].interfaces.pop_back();                                  // eth0 only
  c.nodes["node3"].interfaces.erase(c.nodes["node3"].interfaces.begin());  // eth1 only
  const auto shifts = c.Plan();
  const Load after = c.After(shifts);
  CHECK(after == Load{{"node1", 3}, {"node2", 3}, {"node3", 2}});
  for (const Shift& s : shifts) CHECK(s.from != s.to);
}

TEST_CASE("the load of addresses that cannot move now counts", "[unit]") {
  const Case c = Case(2).Holds("node1", 2);
  CHECK(Rebalance(c.addresses, c.nodes, Rules(), {{"node1", 2}, {"node2", 2}}).empty());
  CHECK(Rebalance(c.addresses, c.nodes, Rules(), {{"node1", 4}, {"node2", 0}}).size() == 2);
}

TEST_CASE("a rebalanced load needs no rebalancing, whatever it was", "[unit]") {
  const int seed = GENERATE(range(1, 40));
  std::uint32_t random = static_cast<std::uint32_t>(seed) * 2654435761U;
  const auto below = [&random](std::uint32_t n) {
    random = random * 1664525U + 1013904223U;
    return static_cast<int>((random >> 16) % n);
  };
  Case c(2 + below(6));
  for (auto& [name, node] : c.nodes) {
    if (below(3) == 0) node.interfaces.resize(1);
    node.preferred = below(5) != 0;
  }
  for (const auto& [name, node] : c.nodes) {
    c.Holds(name, below(30));
    if (node.interfaces.size() == 2) c.Holds(name, below(30), "eth1");
  }
  const auto shifts = c.Plan();
  const Load before = c.LoadNow();
  for (const Shift& s : shifts) {
    for (AddressView& a : c.addresses) {
      if (a.address != s.address) continue;
      CHECK(*a.holder == s.from);
      a.holder = s.to;
      CHECK(CanHold(a, c.nodes.at(s.to), Rules()).ok());
    }
  }
  CHECK(c.Plan().empty());
}

}  // namespace
}  // namespace berth::plan
