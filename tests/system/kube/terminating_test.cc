// SPDX-License-Identifier: Apache-2.0
// What is deleted goes, whatever is written in it and whoever put a finalizer on it.
#include <catch2/catch.hpp>
#include <set>
#include <string>
#include <vector>

#include "tests/system/kube/kube_world.h"

namespace berth::system {
namespace {

using Fault = kube::FakeApiServer::Fault;

constexpr char kEipFinalizer[] = "finalizer.ipam.kubesphere.io/v1alpha1";
constexpr char kLbFinalizer[] = "finalizer.lb.kubesphere.io/v1alpha1";

struct Cluster : KubeWorld {
  ~Cluster() { CHECK(violations.empty()); }
  // As OpenELB, or a CRD without rules, let it in.
  void AddUnreadable(const json& finalizers = {kEipFinalizer}) {
    AddEip("broken", "xxxx");
    Edit("eips", "broken", {{"metadata", {{"finalizers", finalizers}}}});
  }
  void AddBgp(const std::string& kind, const json& spec, const json& finalizers = {kLbFinalizer}) {
    Apply({{"apiVersion", "network.kubesphere.io/v1alpha2"},
           {"kind", kind},
           {"metadata", {{"name", "default"}, {"finalizers", finalizers}}},
           {"spec", spec}});
  }
  bool Goes(const std::string& resource, const std::string& name, absl::Duration within = absl::Seconds(2)) {
    return RunUntil([&] { return Get(resource, name).is_null(); }, within);
  }
  std::vector<std::string> Problems() { return Leader().runner.Status().problems; }
};

TEST_CASE("an Eip that never could be read goes when it is deleted", "[system]") {
  Cluster w;
  w.AddUnreadable();
  w.AddEip("pool", "192.168.50.50");
  w.AddService("web");
  SECTION("while controllers run") {
    w.StartController("one");
    w.StartController("two");
    w.Run(absl::Seconds(10));
    REQUIRE_FALSE(w.Get("eips", "broken").is_null());
    CHECK(w.Problems().size() == 1);
    w.Delete("eips", "broken");
    CHECK(w.Goes("eips", "broken"));
  }
  SECTION("before one starts") {
    w.Delete("eips", "broken");
    w.StartController("one");
    CHECK(w.Goes("eips", "broken", absl::Seconds(20)));
  }
  SECTION("and one of its name that can be read comes after it") {
    w.StartController("one");
    w.Run(absl::Seconds(5));
    w.Delete("eips", "broken");
    CHECK(w.Goes("eips", "broken"));
    w.AddEip("broken", "10.0.0.1");
    CHECK(w.RunUntil([&] { return w.Get("eips", "broken")["status"]["poolSize"] == 1; }));
    CHECK(w.Get("eips", "broken")["metadata"]["finalizers"] == json{kEipFinalizer});
  }
  w.Run(absl::Seconds(2));
  CHECK(w.Problems().empty());
  CHECK(w.IngressOf("web") == "192.168.50.50");
}

TEST_CASE("an Eip that cannot be read and is being deleted says why it gives nothing, while others hold it",
          "[system]") {
  Cluster w;
  w.AddUnreadable({"theirs/one", kEipFinalizer});
  w.StartController("one");
  json service = KubeWorld::MakeService("web");
  service["metadata"]["annotations"]["eip.openelb.kubesphere.io/v1alpha2"] = "broken";
  w.Apply(service);
  w.Run(absl::Seconds(5));
  w.Delete("eips", "broken");
  w.Run(absl::Seconds(5));
  CHECK(w.Get("eips", "broken")["metadata"]["finalizers"] == json{"theirs/one"});
  REQUIRE(w.Problems().size() == 1);
  const std::string why = w.Problems()[0];
  CHECK_THAT(why, Catch::Contains("\"xxxx\""));
  CHECK_THAT(w.EventsOf("broken").at(0), Catch::Contains(why));
  CHECK_THAT(w.Get("eips", "broken")["status"]["message"].get<std::string>(), Catch::Contains(why));
  CHECK_FALSE(w.Assigned("web"));
  const std::uint64_t writes = w.Writes();
  w.Run(absl::Minutes(1));
  CHECK(w.Writes() == writes);
  SECTION("mended, it still goes") {
    w.Edit("eips", "broken", {{"spec", {{"address", "10.0.0.1"}}}});
    w.Run(absl::Seconds(2));
    CHECK(w.Problems().empty());
  }
  w.Edit("eips", "broken", {{"metadata", {{"finalizers", nullptr}}}});
  CHECK(w.Goes("eips", "broken"));
  w.Run(absl::Seconds(1));
  CHECK(w.Problems().empty());
}

TEST_CASE("an Eip in use that cannot be read any more waits for its users when it is deleted", "[system]") {
  Cluster w;
  w.AddEip("pool", "192.168.50.50");
  w.StartController("one");
  w.StartController("two");
  w.AddService("web");
  REQUIRE(w.RunUntil([&] { return w.Assigned("web"); }));
  w.Edit("eips", "pool", {{"spec", {{"address", "xxxx"}}}});
  w.Run(absl::Seconds(2));
  w.Delete("eips", "pool");
  w.Run(absl::Seconds(20));
  REQUIRE_FALSE(w.Get("eips", "pool").is_null());
  CHECK(w.IngressOf("web") == "192.168.50.50");
  CHECK_THAT(w.Get("eips", "pool")["status"]["message"].get<std::string>(), Catch::Contains("default/web"));
  w.AddService("late");  // it gives nothing any more
  w.Run(absl::Seconds(2));
  CHECK_FALSE(w.Assigned("late"));
  SECTION("the user goes") { w.Delete("services", "web"); }
  SECTION("it is forced") {
    w.Edit("eips", "pool", {{"metadata", {{"annotations", {{"berth.io/force-delete", "true"}}}}}});
  }
  SECTION("another one leads then, and the user goes") {
    w.KillController(&w.Leader() == w.controllers["one"].get() ? "one" : "two");
    w.Run(absl::Seconds(30));
    CHECK_FALSE(w.Get("eips", "pool").is_null());
    w.Delete("services", "web");
  }
  CHECK(w.Goes("eips", "pool"));
  CHECK(w.RunUntil([&] { return !w.Assigned("web"); }));
}

TEST_CASE("BgpConfs and BgpPeers that OpenELB held go when they are deleted", "[system]") {
  const auto [kind, resource, spec] = GENERATE(table<std::string, std::string, json>(
      {{"BgpConf", "bgpconfs", {{"as", 64512}}},
       {"BgpPeer", "bgppeers", {{"conf", {{"neighborAddress", "192.0.2.1"}, {"peerAs", 64512}}}}},
       {"BgpPeer", "bgppeers", json::object()}}));  // not one that a speaker would take
  CAPTURE(resource, spec);
  Cluster w;
  w.AddBgp(kind, spec);
  SECTION("while controllers run") {
    w.StartController("one");
    w.StartController("two");
    w.Run(absl::Seconds(10));
    CHECK(w.Get(resource, "default")["metadata"]["finalizers"] ==
          json{kLbFinalizer});  // whoever is not deleted keeps it
    w.Delete(resource, "default");
    CHECK(w.Goes(resource, "default", absl::Seconds(1)));
  }
  SECTION("before one starts") {
    w.Delete(resource, "default");
    w.StartController("one");
    CHECK(w.Goes(resource, "default", absl::Seconds(20)));
  }
  SECTION("whoever else changes it at the same time") {
    w.StartController("one");
    w.Run(absl::Seconds(5));
    w.server.SetWatchLag(absl::Milliseconds(300));
    w.Delete(resource, "default");
    for (int i = 0; i < 20; ++i) {
      if (!w.Get(resource, "default").is_null()) {
        w.Edit(resource, "default", {{"metadata", {{"labels", {{"n", std::to_string(i)}}}}}});
      }
      w.Run(absl::Milliseconds(100));
    }
    CHECK(w.Goes(resource, "default", absl::Seconds(3)));
  }
  SECTION("and nobody takes off what others put there") {
    w.Edit(resource, "default", {{"metadata", {{"finalizers", {"theirs/one", kLbFinalizer}}}}});
    w.StartController("one");
    w.Run(absl::Seconds(5));
    w.Delete(resource, "default");
    w.Run(absl::Seconds(2));
    CHECK(w.Get(resource, "default")["metadata"]["finalizers"] == json{"theirs/one"});
    const std::uint64_t writes = w.Writes();
    w.Run(absl::Minutes(1));
    CHECK(w.Writes() == writes);
  }
}

TEST_CASE("a finalizer that may not be taken off a BgpPeer is tried again, and by the leader alone", "[system]") {
  Cluster w;
  w.AddBgp("BgpPeer", {{"conf", {{"neighborAddress", "192.0.2.1"}}}});
  w.server.Forbid("patch", "bgppeers");
  w.StartController("one");
  w.StartController("two");
  w.Run(absl::Seconds(5));
  std::set<std::string> tried;
  std::size_t tries = 0;
  w.server.faults = [&](const kube::FakeApiServer::Seen& seen) {
    if (seen.verb == "patch" && seen.resource == "bgppeers") {
      tried.insert(seen.client);
      ++tries;
    }
    return Fault{};
  };
  w.Delete("bgppeers", "default");
  w.Run(absl::Seconds(10));
  CHECK(tried == std::set<std::string>{&w.Leader() == w.controllers["one"].get() ? "one" : "two"});
  CHECK(tries >= 5);
  CHECK(tries <= 12);
  SECTION("by the next one, once it leads") { w.KillController(*tried.begin()); }
  SECTION("by the same one") {}
  w.server.Permit("patch", "bgppeers");
  CHECK(w.Goes("bgppeers", "default", absl::Seconds(40)));
}

TEST_CASE("a Service that cannot be read any more goes when it is deleted, and its address is free", "[system]") {
  Cluster w;
  w.AddEip("pool", "192.168.50.50");
  w.StartController("one");
  w.AddService("web");
  REQUIRE(w.RunUntil([&] { return w.Assigned("web"); }));
  w.Edit("services", "web", {{"spec", {{"ports", {{{"port", 0}}}}}}});
  w.Run(absl::Seconds(2));
  REQUIRE(w.Problems().size() == 1);
  CHECK_THAT(w.Problems()[0], Catch::Contains("default/web"));
  CHECK(w.IngressOf("web") == "192.168.50.50");
  SECTION("at once") {}
  SECTION("once somebody else lets go of it, too") {
    w.Edit("services", "web", {{"metadata", {{"finalizers", {"theirs/one", kLbFinalizer}}}}});
    w.Delete("services", "web");
    w.Run(absl::Seconds(2));
    const std::uint64_t writes = w.Writes();
    w.Run(absl::Minutes(1));
    CHECK(w.Writes() == writes);
    CHECK(w.Get("services", "web")["metadata"]["finalizers"] == json{"theirs/one"});
    w.Edit("services", "web", {{"metadata", {{"finalizers", nullptr}}}});
  }
  w.Delete("services", "web");
  CHECK(w.Goes("services", "web"));
  w.AddService("next");
  CHECK(w.RunUntil([&] { return w.IngressOf("next") == "192.168.50.50"; }));
  CHECK(w.Problems().empty());
}

TEST_CASE("an Eip waits, too, for a Service to which an address of it is just being given", "[system]") {
  Cluster w;
  w.AddEip("pool", "192.168.50.50");
  w.StartController("one");
  w.Run(absl::Seconds(5));
  bool landed = false;
  w.server.faults = [](const kube::FakeApiServer::Seen& seen) {
    return Fault{.delay = seen.resource == "services/status" ? absl::Seconds(1) : absl::ZeroDuration()};
  };
  SECTION("and gets it") { landed = true; }
  SECTION("and does not get it: it goes first") {}
  w.AddService("web");
  w.Run(absl::Milliseconds(500));
  REQUIRE_FALSE(w.Assigned("web"));
  w.Delete("eips", "pool");
  if (!landed) w.Delete("services", "web");
  w.Run(absl::Milliseconds(400));
  CHECK_FALSE(w.Get("eips", "pool").is_null());
  w.Run(absl::Seconds(5));
  CHECK(w.Assigned("web") == landed);
  CHECK(w.Get("eips", "pool").is_null() == !landed);
  w.server.faults = nullptr;
  w.Delete("services", "web");
  CHECK(w.Goes("eips", "pool"));
}

}  // namespace
}  // namespace berth::system
