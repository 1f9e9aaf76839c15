// SPDX-License-Identifier: Apache-2.0
// Condition berth.io/Announced: said of a Service whose address nobody announces for a while, and taken back.
#include <catch2/catch.hpp>

#include "tests/system/stories.h"

namespace berth::system {
namespace {

core::Options Recording() {
  core::Options options;
  options.record_reasons = true;
  return options;
}

struct Cluster : World {
  Cluster() : World(1, Recording()) { Prepare(*this, 2, 2); }
  void Exclude(const std::string& node, bool on) {
    model::Node object{.name = node, .labels = {}, .explicit_object = true};
    if (on) object.labels[model::kExcludeNodeLabel] = "";
    cluster.Put(object);
  }
  void ExcludeAll(bool on) {
    for (const char* node : {"node1", "node2"}) Exclude(node, on);
  }
  const model::UnannouncedServices& said() const { return cluster.unannounced(); }
};

TEST_CASE("a Service whose address no node can hold says so after 5 s, with the reason, and takes it back",
          "[system]") {
  Cluster w;
  CHECK(w.said().empty());
  w.ExcludeAll(true);
  w.Run(absl::Milliseconds(4500));
  CHECK(w.said().empty());
  w.Run(absl::Seconds(1));
  REQUIRE(w.said().size() == 2);
  const std::string why = w.said().begin()->second;
  CHECK(why.find(w.AddressOf("svc1").ToString() + ": no node can hold it: node1: the Node has label") == 0);
  CHECK(why.find("node2: ") != std::string::npos);
  w.ExcludeAll(false);
  REQUIRE(w.RunUntil([&] { return w.said().empty(); }, absl::Seconds(3)));
  w.Run(absl::Seconds(12));  // the gratuitous frames are over
  CHECK(w.WhatMoved(absl::Seconds(20)) == "");
}

TEST_CASE("F13 with layer 2 off everywhere an address is assigned, nobody answers, and its Service says why",
          "[system]") {
  World w(1, Recording());
  w.AddNodes(2);
  for (const auto& [name, node] : w.nodes) node->layer2 = false;
  w.AddPool("edge", "192.168.50.100-192.168.50.120");
  w.StartAll();
  w.AddService("svc1");
  REQUIRE(w.RunUntil([&] { return !w.cluster.unannounced().empty(); }, absl::Seconds(10)));
  const IpAddr vip = w.AddressOf("svc1");
  CHECK(vip.ToString() == "192.168.50.100");
  CHECK(w.Announcers(vip).empty());
  CHECK(w.cluster.unannounced().begin()->second ==
        "192.168.50.100: no node can hold it: node1: layer 2 is off on this node (berth-agent --enable-layer2=false); "
        "node2: layer 2 is off on this node (berth-agent --enable-layer2=false)");

  SECTION("on again on one node, that one answers") {
    w.nodes.at("node2")->layer2 = true;
    w.KillAgent("node2");
    w.StartAgent("node2");
    CHECK(w.RunUntil([&] { return w.HolderOf(vip) == "node2" && w.cluster.unannounced().empty(); }, absl::Seconds(5)));
  }
}

TEST_CASE("a failover is over before anybody says that an address is not announced", "[system]") {
  Cluster w;
  w.KillAgent(w.HolderOf(w.AddressOf("svc1")));
  w.Run(absl::Seconds(15));
  CHECK(w.said().empty());
}

TEST_CASE("what a former leader said of a Service is taken back by the next one", "[system]") {
  Cluster w;
  w.ExcludeAll(true);
  REQUIRE(w.RunUntil([&] { return !w.said().empty(); }, absl::Seconds(7)));
  w.KillController("a");
  w.ExcludeAll(false);
  w.StartController("b");
  CHECK(w.RunUntil([&] { return w.said().empty(); }, absl::Seconds(12)));
}

TEST_CASE("a Service that is let go of is not spoken of any more", "[system]") {
  Cluster w;
  w.ExcludeAll(true);
  REQUIRE(w.RunUntil([&] { return w.said().size() == 2; }, absl::Seconds(7)));
  w.DeleteService("svc1");
  CHECK(w.RunUntil([&] { return w.said().size() == 1; }, absl::Seconds(5)));
}

TEST_CASE("without any agent in contact nothing is said of single Services", "[system]") {
  Cluster w;
  w.KillAgent("node1");
  w.KillAgent("node2");
  w.Run(absl::Seconds(20));
  CHECK(w.said().empty());
  w.StartAgent("node1");
  w.Run(absl::Seconds(10));
  CHECK(w.said().empty());
}

}  // namespace
}  // namespace berth::system
