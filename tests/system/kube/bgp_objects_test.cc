// SPDX-License-Identifier: Apache-2.0
// BgpConfs and BgpPeers that came past the webhook.
#include <catch2/catch.hpp>

#include "tests/system/kube/kube_world.h"

namespace berth::system {
namespace {

constexpr char kNoAddress[] =
    "BgpPeer \"tor\": spec.conf.neighborAddress is missing; write the neighbour's IP address, such as 192.0.2.1";

json Object(const std::string& kind, const std::string& name, const json& spec) {
  return {
      {"apiVersion", "network.kubesphere.io/v1alpha2"}, {"kind", kind}, {"metadata", {{"name", name}}}, {"spec", spec}};
}

std::vector<std::string> ProblemsOf(KubeWorld& w, const std::string& controller) {
  return w.controllers[controller]->runner.Status().problems;
}

TEST_CASE("G14 a BgpPeer without conf is told in an Event and among the problems, and disturbs nobody", "[system]") {
  KubeWorld w;
  w.AddEip("pool", "192.168.50.50");
  w.Apply(Object("BgpPeer", "tor", json::object()));
  w.Apply(Object("BgpPeer", "good", {{"conf", {{"neighborAddress", "192.0.2.1"}, {"peerAs", 64512}}}}));
  w.StartController("one");
  w.AddService("web");
  CHECK(w.RunUntil([&] { return w.Assigned("web") && !w.EventsOf("tor").empty(); }));
  CHECK(w.EventsOf("tor") == std::vector<std::string>{std::string("InvalidConfig: ") + kNoAddress + " (1)"});
  CHECK(ProblemsOf(w, "one") == std::vector<std::string>{std::string("Kubernetes: ") + kNoAddress});

  SECTION("mended, it is no problem any more") {
    w.Edit("bgppeers", "tor", {{"spec", {{"conf", {{"neighborAddress", "192.0.2.9"}, {"peerAs", 64512}}}}}});
    CHECK(w.RunUntil([&] { return ProblemsOf(w, "one").empty(); }));
  }
  SECTION("wrong in another way, that is told") {
    w.Edit("bgppeers", "tor", {{"spec", {{"conf", {{"neighborAddress", "192.0.2.9"}}}}}});
    CHECK(w.RunUntil([&] { return w.EventsOf("tor").size() == 2; }));
    CHECK(ProblemsOf(w, "one").size() == 1);
  }
  SECTION("deleted, it is no problem any more, and one of its name is told of anew") {
    w.Delete("bgppeers", "tor");
    CHECK(w.RunUntil([&] { return ProblemsOf(w, "one").empty(); }));
    w.Apply(Object("BgpPeer", "tor", json::object()));
    CHECK(w.RunUntil([&] { return w.EventsOf("tor").size() == 2; }));
  }
  w.Run(absl::Seconds(20));
  CHECK(w.EventsOf("good").empty());
}

TEST_CASE("a BgpConf that is wrong is told by the controller that leads, once, and by the next one when it leads",
          "[system]") {
  KubeWorld w;
  w.StartController("one");
  w.StartController("two");
  REQUIRE(w.RunUntil(
      [&] { return w.controllers["one"]->runner.Status().leader || w.controllers["two"]->runner.Status().leader; }));
  w.Apply(Object("BgpConf", "default", {{"as", 64512}, {"routerId", "2001:db8::1"}}));
  REQUIRE(w.RunUntil([&] { return !w.EventsOf("default").empty(); }));
  w.Run(absl::Seconds(30));
  CHECK(w.EventsOf("default") == std::vector<std::string>{"InvalidConfig: BgpConf \"default\": spec.routerId is "
                                                          "\"2001:db8::1\", which is no IPv4 address; write one such "
                                                          "as 192.0.2.1 (1)"});
  w.KillController(&w.Leader() == w.controllers["one"].get() ? "one" : "two");
  CHECK(w.RunUntil([&] { return w.EventsOf("default").size() == 2; }, absl::Minutes(1)));
}

TEST_CASE("without the kinds of BGP addresses are given out all the same, and what is missing is told", "[system]") {
  KubeWorld w;
  w.server.store().RemoveType("bgpconfs");
  w.server.store().RemoveType("bgppeers");
  w.AddEip("pool", "192.168.50.50");
  w.StartController("one");
  w.AddService("web");
  CHECK(w.RunUntil([&] { return w.Assigned("web"); }));
  REQUIRE(w.RunUntil([&] { return ProblemsOf(w, "one").size() == 2; }));
  CHECK_THAT(ProblemsOf(w, "one")[0], Catch::Contains("no bgpconfs") && Catch::Contains("install Berth's CRDs"));
}

}  // namespace
}  // namespace berth::system
