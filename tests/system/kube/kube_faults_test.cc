// SPDX-License-Identifier: Apache-2.0
// What may go wrong between controllers and their API server, and that it costs nobody an address.
#include <catch2/catch.hpp>
#include <set>

#include "tests/system/kube/kube_world.h"

namespace berth::system {
namespace {

using Fault = kube::FakeApiServer::Fault;
using Seen = kube::FakeApiServer::Seen;

struct Pair : KubeWorld {
  Pair() {
    AddEip("pool", "192.168.50.50-192.168.50.99");
    StartController("one");
    StartController("two");
    Run(absl::Seconds(6));
  }
  ~Pair() { CHECK(violations.empty()); }
  std::string NameOf(const KubeController& controller) {
    for (const auto& [name, each] : controllers) {
      if (each.get() == &controller) return name;
    }
    return "";
  }
  // All of `count` Services web-0 ... have addresses, each its own.
  bool AllDistinct(int count) {
    std::set<std::string> addresses;
    for (int i = 0; i < count; ++i) addresses.insert(IngressOf("web-" + std::to_string(i)));
    return addresses.size() == static_cast<std::size_t>(count) && addresses.count("") == 0;
  }
  void AddServices(int from, int to) {
    for (int i = from; i < to; ++i) AddService("web-" + std::to_string(i));
  }
};

bool IsServicePatch(const Seen& seen) { return seen.resource == "services/status" && seen.verb == "patch"; }

TEST_CASE("an API server that is down for a minute: what came meanwhile is done after it", "[system]") {
  Pair w;
  w.AddServices(0, 10);
  REQUIRE(w.RunUntil([&] { return w.AllDistinct(10); }));
  const std::string kept = w.IngressOf("web-3");
  w.Run(absl::Seconds(2));
  w.server.SetDown(true);
  w.Run(absl::Seconds(30));
  w.AddServices(10, 15);
  w.Delete("services", "web-0");
  w.Run(absl::Seconds(30));
  w.server.SetDown(false);
  CHECK(w.RunUntil([&] { return w.Assigned("web-14") && w.Get("services", "web-0").is_null(); }, absl::Minutes(1)));
  CHECK(w.IngressOf("web-3") == kept);
}

TEST_CASE("a history that was compacted is read anew, and nothing moves", "[system]") {
  Pair w;
  w.AddServices(0, 10);
  REQUIRE(w.RunUntil([&] { return w.AllDistinct(10); }));
  w.Run(absl::Seconds(2));
  w.server.SetDown(true);
  w.Run(absl::Seconds(1));
  w.Delete("services", "web-0");
  w.AddServices(10, 12);
  w.server.Compact();
  w.server.SetDown(false);
  CHECK(w.RunUntil([&] { return w.Assigned("web-11") && w.Get("services", "web-0").is_null(); }, absl::Minutes(1)));
}

TEST_CASE("watches that are cut in the middle of an object lose nothing", "[system]") {
  Pair w;
  for (int i = 0; i < 20; ++i) {
    w.AddService("web-" + std::to_string(i));
    w.server.CutWatches();
    w.Run(absl::Milliseconds(137));
  }
  CHECK(w.RunUntil([&] { return w.AllDistinct(20); }, absl::Minutes(1)));
}

TEST_CASE("somebody who writes the same Services all the time is no obstacle", "[system]") {
  Pair w;
  w.AddServices(0, 10);
  for (int round = 0; round < 200; ++round) {
    for (int i = 0; i < 10; ++i) {
      w.Edit("services", "web-" + std::to_string(i),
             {{"metadata", {{"annotations", {{"example.com/round", std::to_string(round)}}}}}});
    }
    w.Run(absl::Milliseconds(20));
  }
  CHECK(w.AllDistinct(10));
}

// What allocations consist of: five Services come, one goes, two more come, and an Eip.
struct Allocation : Pair {
  Allocation() : leader(Leader()), name(NameOf(leader)) {}
  bool IsWrite(const Seen& seen) const {
    return seen.client == name && seen.resource != "leases" && seen.verb != "list" && seen.verb != "watch" &&
           seen.verb != "get";
  }
  void Go() {
    AddServices(0, 5);
    Run(absl::Seconds(1));
    Delete("services", "web-1");
    Run(absl::Milliseconds(500));
    AddServices(5, 7);
    AddEip("more", "192.168.60.50-192.168.60.99");
    Run(absl::Milliseconds(1500));
  }
  KubeController& leader;
  const std::string name;
};

constexpr int kWrites = 20;

TEST_CASE("the writes of an allocation are those that a leader dies at in the next test", "[system]") {
  Allocation w;
  std::vector<std::string> writes;
  w.server.on_answered = [&](const Seen& seen, int) {
    if (w.IsWrite(seen)) writes.push_back(seen.verb + " " + seen.resource);
  };
  w.Go();
  CHECK(writes.size() == kWrites);
  CHECK(std::set<std::string>(writes.begin(), writes.end()) ==
        std::set<std::string>{"create events", "patch eips", "patch eips/status", "patch services/status"});
}

// Each write of an allocation, before and after the server has done it.
TEST_CASE("a leader that dies at any step of an allocation loses no address and gives none twice", "[system]") {
  const int step = GENERATE(range(0, kWrites));
  const bool done = GENERATE(false, true);
  CAPTURE(step, done);
  Allocation w;
  KubeController& leader = w.leader;
  int writes = 0;
  bool died = false;
  const auto counts = [&](const Seen& seen) { return w.IsWrite(seen) && writes++ == step; };
  if (done) {
    w.server.on_answered = [&](const Seen& seen, int) {
      if (counts(seen)) {
        leader.process.Die();
        died = true;
      }
    };
  } else {
    w.server.faults = [&](const Seen& seen) {
      Fault fault;
      if (counts(seen)) {
        leader.process.Die();
        died = true;
        fault.kind = Fault::Kind::kLoseRequest;
      }
      return fault;
    };
  }
  w.Go();
  REQUIRE(died);
  w.server.faults = nullptr;
  w.KillController(w.name);
  CHECK(w.RunUntil(
      [&] {
        std::set<std::string> addresses;
        for (const int i : {0, 2, 3, 4, 5, 6}) addresses.insert(w.IngressOf("web-" + std::to_string(i)));
        return addresses.size() == 6 && addresses.count("") == 0 && w.Get("services", "web-1").is_null();
      },
      absl::Minutes(1)));
}

TEST_CASE("answers that are lost after the write was done: the address is kept", "[system]") {
  Pair w;
  int lost = 0;
  w.server.faults = [&](const Seen& seen) {
    const bool lose = IsServicePatch(seen) && ++lost % 2 == 1;
    return Fault{.kind = lose ? Fault::Kind::kLoseAnswer : Fault::Kind::kNone};
  };
  w.AddServices(0, 10);
  CHECK(w.RunUntil([&] { return w.AllDistinct(10); }, absl::Minutes(1)));
  w.server.faults = nullptr;
  w.Run(absl::Seconds(10));
  CHECK(w.AllDistinct(10));
}

TEST_CASE("a Service keeps its address though its ingress was emptied, restoring it failed and it was edited meanwhile",
          "[system]") {
  Pair w;
  w.AddServices(0, 2);
  REQUIRE(w.RunUntil([&] { return w.AllDistinct(2); }));
  const std::string address = w.IngressOf("web-1");
  w.Delete("services", "web-0");  // a lower address is free
  w.Run(absl::Seconds(3));
  int tries = 0;
  w.server.faults = [&](const Seen& seen) {
    const bool fails = IsServicePatch(seen) && ++tries == 1;
    return Fault{.kind = fails ? Fault::Kind::kRefuse : Fault::Kind::kNone,
                 .code = 500,
                 .message = "later",
                 .delay = absl::Milliseconds(100)};
  };
  w.Edit("services", "web-1", {{"status", {{"loadBalancer", nullptr}}}}, /*status=*/true);
  SECTION("before the restoring was answered") {
    REQUIRE(w.RunUntil([&] { return tries == 1; }));
  }
  SECTION("before it was repeated") { w.Run(absl::Milliseconds(500)); }
  REQUIRE(tries == 1);
  w.Edit("services", "web-1", {{"metadata", {{"labels", {{"edited", "yes"}}}}}});
  CHECK(w.RunUntil([&] { return w.Assigned("web-1"); }));
  CHECK(w.IngressOf("web-1") == address);
}

TEST_CASE("both controllers are killed and come back: the same addresses, and no write", "[system]") {
  Pair w;
  w.AddServices(0, 10);
  REQUIRE(w.RunUntil([&] { return w.AllDistinct(10); }));
  w.Run(absl::Seconds(3));
  const std::uint64_t before = w.Writes();
  w.KillController("one");
  w.KillController("two");
  w.StartController("three");
  w.StartController("four");
  w.Run(absl::Seconds(20));
  CHECK(w.Writes() == before);
  w.AddServices(10, 11);
  CHECK(w.RunUntil([&] { return w.AllDistinct(11); }));
}

TEST_CASE("a standby that takes over writes nothing that needs no change", "[system]") {
  Pair w;
  w.AddServices(0, 10);
  REQUIRE(w.RunUntil([&] { return w.AllDistinct(10); }));
  w.Run(absl::Seconds(3));
  const std::uint64_t before = w.Writes();
  w.KillController(w.NameOf(w.Leader()));
  w.Run(absl::Seconds(20));
  CHECK(w.Leader().runner.Status().leader);
  CHECK(w.Writes() == before);
}

TEST_CASE("a leader frozen between decision and write finds its time over when it wakes", "[system]") {
  Pair w;
  KubeController& old = w.Leader();
  const std::string name = w.NameOf(old);
  w.server.faults = [&](const Seen& seen) {
    Fault fault;
    // On its way for so long that another leads by then.
    if (IsServicePatch(seen) && seen.client == name) fault.delay = absl::Seconds(15);
    return fault;
  };
  w.AddServices(0, 3);
  w.Run(absl::Milliseconds(100));
  old.process.Freeze();
  w.AddServices(3, 6);
  CHECK(w.RunUntil([&] { return w.AllDistinct(6); }, absl::Minutes(1)));
  old.process.Thaw();
  w.Run(absl::Seconds(20));
  CHECK(w.AllDistinct(6));
}

TEST_CASE(
    "an API server without Berth's CRDs: nothing is decided, the reason is told, and it goes on once they are there",
    "[system]") {
  KubeWorld w;
  w.server.store().RemoveType("eips");
  w.StartController("one");
  w.AddService("web");
  w.Run(absl::Seconds(20));
  CHECK_FALSE(w.controllers["one"]->runner.Status().synced);
  const auto problems = w.controllers["one"]->runner.Status().problems;
  REQUIRE(problems.size() == 1);
  CHECK(problems[0].find("eips") != std::string::npos);
  w.server.store().AddType({"network.kubesphere.io", "v1alpha2", "eips", "Eip", false, true, true});
  w.AddEip("pool", "192.168.50.50");
  CHECK(w.RunUntil([&] { return w.Assigned("web"); }));
  w.Run(absl::Seconds(1));
  for (const std::string& problem : w.controllers["one"]->runner.Status().problems) UNSCOPED_INFO(problem);
  CHECK(w.controllers["one"]->runner.Status().problems.empty());
}

TEST_CASE("a right that is missing is named, and what it is for waits", "[system]") {
  const auto [verb, resource] = GENERATE(table<std::string, std::string>({{"list", "services"},
                                                                          {"watch", "services"},
                                                                          {"list", "nodes"},
                                                                          {"list", "namespaces"},
                                                                          {"list", "endpointslices"},
                                                                          {"list", "eips"},
                                                                          {"get", "leases"},
                                                                          {"create", "leases"}}));
  CAPTURE(verb, resource);
  KubeWorld w;
  w.AddEip("pool", "192.168.50.50");
  w.server.Forbid(verb, resource);
  w.StartController("one");
  w.Run(absl::Seconds(5));
  const auto problems = w.controllers["one"]->runner.Status().problems;
  REQUIRE_FALSE(problems.empty());
  CHECK(problems[0].find(verb) != std::string::npos);
  CHECK(problems[0].find(resource) != std::string::npos);
  w.server.Permit(verb, resource);
  w.AddService("web");
  CHECK(w.RunUntil([&] { return w.Assigned("web"); }, absl::Minutes(1)));
}

TEST_CASE("a Lease that is deleted harms nobody", "[system]") {
  Pair w;
  w.AddServices(0, 5);
  REQUIRE(w.RunUntil([&] { return w.AllDistinct(5); }));
  w.server.store().Delete("leases", {"openelb-system", "berth-controller"});
  w.Run(absl::Seconds(10));
  w.AddServices(5, 8);
  CHECK(w.RunUntil([&] { return w.AllDistinct(8); }));
}

TEST_CASE("tokens that are refused for a while are a problem that passes", "[system]") {
  Pair w;
  w.server.RejectTokens(true);
  w.AddServices(0, 3);
  w.Run(absl::Seconds(20));
  w.server.RejectTokens(false);
  CHECK(w.RunUntil([&] { return w.AllDistinct(3); }, absl::Minutes(1)));
}

TEST_CASE("T097 a leader is killed during a burst of a thousand Services: each has an address of its own", "[system]") {
  KubeWorld w;
  w.AddEip("pool", "10.64.0.0/16");
  for (const char* name : {"one", "two", "three"}) w.StartController(name);
  w.Run(absl::Seconds(6));
  for (int i = 0; i < 500; ++i) w.AddService("web-" + std::to_string(i));
  w.Run(absl::Milliseconds(30));
  for (const auto& [name, each] : w.controllers) {
    if (!each->runner.Status().leader) continue;
    w.KillController(name);
    break;
  }
  for (int i = 500; i < 1000; ++i) w.AddService("web-" + std::to_string(i));
  int served = 0;
  CHECK(w.RunUntil(
      [&] {
        while (served < 1000 && w.Assigned("web-" + std::to_string(served))) ++served;
        return served == 1000;
      },
      absl::Seconds(16)));
  std::set<std::string> addresses;
  for (int i = 0; i < 1000; ++i) addresses.insert(w.IngressOf("web-" + std::to_string(i)));
  CHECK(addresses.size() == 1000);
  CHECK(addresses.count("") == 0);
  CHECK(w.violations.empty());
}

TEST_CASE("whoever leads before it knows the Nodes forgets no agent on record; later those whose Node is gone",
          "[system]") {
  KubeWorld w;
  const std::vector<model::ClusterSource::KnownAgent> record = {{"node1", {MacAddr({2, 0, 0, 0, 0, 1})}, true},
                                                                {"node2", {MacAddr({2, 0, 0, 0, 0, 2})}, false}};
  w.server.store().Put({{"apiVersion", "v1"},
                        {"kind", "ConfigMap"},
                        {"metadata", {{"name", "berth-agents"}, {"namespace", "openelb-system"}}},
                        {"data", {{"agents.json", kube::EncodeAgents(record)}}}});
  w.Apply({{"apiVersion", "v1"}, {"kind", "Node"}, {"metadata", {{"name", "node1"}}}});
  bool away = true;
  w.server.faults = [&](const kube::FakeApiServer::Seen& seen) {
    return seen.resource == "nodes" && away ? Fault{.kind = Fault::Kind::kRefuse, .code = 503} : Fault{};
  };
  w.StartController("a");
  const kube::KubeSource& source = w.controllers.at("a")->source;
  REQUIRE(w.RunUntil([&] { return source.KnownAgents() == record; }));
  w.Run(absl::Seconds(5));
  CHECK(source.KnownAgents() == record);
  away = false;
  CHECK(w.RunUntil([&] { return source.KnownAgents().size() == 1; }));
  CHECK(source.KnownAgents()[0] == record[0]);
}

}  // namespace
}  // namespace berth::system
