// SPDX-License-Identifier: Apache-2.0
// Berth is taken off a cluster while its controllers still run.
#include "controller/kube/uninstall/uninstall.h"

#include <catch2/catch.hpp>
#include <map>
#include <memory>
#include <string>
#include <variant>
#include <vector>

#include "absl/strings/match.h"
#include "agent/link/link.h"
#include "tests/system/kube/kube_world.h"

namespace berth::system {
namespace {

using Fault = kube::FakeApiServer::Fault;

// A node's agent, as far as an uninstallation sees it: goes from one to the next that does not lead, and says that its
// node is clean once told to clean it.
struct NodeAgent final : agent::ControllerPort::Observer {
  explicit NodeAgent(KubeWorld& w) : world(w) { REQUIRE(link.Start(*this).ok()); }
  void OnLinkUp() override {
    sync::Hello hello;
    hello.node = "node1";
    link.Send(hello);
  }
  void OnControllerMessage(sync::ControllerMessage message) override {
    if (std::holds_alternative<sync::NotLeader>(message)) process.RunAfter(hop, [this] { link.Redial(); });
    if (!std::holds_alternative<sync::Cleanup>(message)) return;
    if (++cleanups == 1) ingress_when_told = world.IngressOf("a");
    sync::Report report{.interfaces = {}, .announced = std::vector<sync::AnnouncedAddress>{}, .conflicts = {}};
    report.cleaned = cleans;
    link.Send(report);
  }
  void OnLinkDown(const absl::Status&) override {}

  KubeWorld& world;
  ProcessLoop process{world.loop};
  WireLink link{world.wire, "node1", process};
  int cleanups = 0;
  bool cleans = true;                     // else its kernel refuses
  absl::Duration hop = absl::Seconds(1);  // on to the next controller
  std::string ingress_when_told;
};

struct Installed : KubeWorld {
  Installed() {
    AddEip("pool", "192.168.50.50-192.168.50.51");
    StartController("one");
    StartController("two");
    for (const char* name : {"a", "b", "c"}) AddService(name);
    Run(absl::Seconds(10));
    REQUIRE(ReasonOf("c") == "PoolExhausted");
  }
  void BeginUninstall(bool keep, absl::Duration limit = kube::UninstallOptions().limit) {
    kube::UninstallOptions options;
    options.limit = limit;
    options.ns = "openelb-system";
    options.identity = "uninstall-1";
    options.keep_addresses = keep;
    uninstall = std::make_unique<kube::Uninstall>(process, client, agents, options,
                                                  [this](const absl::Status& status) { outcome = status; });
    REQUIRE(uninstall->Start().ok());
  }
  // Runs it to its end and returns the outcome.
  absl::Status RunUninstall(bool keep) {
    BeginUninstall(keep);
    REQUIRE(RunUntil([&] { return outcome.has_value(); }, absl::Minutes(3)));
    return *outcome;
  }
  // A policy that forbids the uninstallation to change Service b; `rehearsals`: also to try.
  void RefuseB(bool rehearsals) {
    server.faults = [rehearsals](const kube::FakeApiServer::Seen& seen) {
      const bool real = seen.path.Query("dryRun").empty();
      if (seen.client != "uninstall" || seen.verb != "patch" || seen.path.name != "b") return Fault{};
      if (!real && !rehearsals) return Fault{};
      return Fault{Fault::Kind::kRefuse, 403, "Forbidden", "services \"b\" is forbidden: a policy says no"};
    };
  }
  // Everything is as if it had never been tried, and goes on.
  void CheckServes() {
    AddEip("more", "192.168.50.60-192.168.50.69");
    AddService("new");
    CHECK(RunUntil([&] { return Assigned("a") && Assigned("b") && Assigned("c") && Assigned("new"); },
                   absl::Seconds(10)));
    CHECK(kube::ListAt(Get("services", "a")["metadata"], "finalizers").size() == 1);
    CHECK(kube::ListAt(Get("eips", "pool")["metadata"], "finalizers").size() == 1);
    CHECK(violations.empty());
  }
  bool SomebodyLeads() {
    for (const auto& [name, controller] : controllers) {
      if (controller->runner.Status().leader) return true;
    }
    return false;
  }

  ProcessLoop process{loop};
  kube::FakeApiClient client{server, "uninstall", process};
  WireServer agents{wire, "uninstall", process};
  std::unique_ptr<kube::Uninstall> uninstall;
  std::optional<absl::Status> outcome;
};

TEST_CASE("an uninstallation leaves nothing of ours, and no controller that runs puts it back", "[system]") {
  const bool keep = GENERATE(false, true);
  Installed w;
  CHECK(w.RunUninstall(keep).ok());
  w.Run(absl::Minutes(1));
  for (const char* name : {"a", "b", "c"}) {
    const json service = w.Get("services", name);
    CHECK_FALSE(service["metadata"].contains("finalizers"));
    CHECK(kube::MapAt(service["metadata"], "labels").empty());
    CHECK_FALSE(service["metadata"]["annotations"].contains("berth.io/allocations"));
    CHECK(kube::ListAt(service["status"], "conditions").empty());
  }
  CHECK(w.IngressOf("a") == (keep ? "192.168.50.50" : ""));
  CHECK_FALSE(w.Get("eips", "pool")["metadata"].contains("finalizers"));
  w.Delete("eips", "pool");
  w.Delete("services", "a");
  CHECK(w.Get("eips", "pool").is_null());
  CHECK(w.Get("services", "a").is_null());
}

TEST_CASE("an uninstallation and a leader that has not noticed it yet do not wear the API server down", "[system]") {
  Installed w;
  std::map<std::string, int> requests;
  const auto counted = w.server.on_answered;
  w.server.on_answered = [&](const kube::FakeApiServer::Seen& seen, int code) {
    ++requests[seen.client];
    counted(seen, code);
  };
  CHECK(w.RunUninstall(false).ok());
  CHECK(requests["uninstall"] <= 100);
  CHECK(requests["one"] + requests["two"] <= 200);
}

TEST_CASE("an uninstallation lets BgpConfs and BgpPeers that OpenELB held go whenever they are deleted", "[system]") {
  Installed w;
  for (const char* kind : {"BgpConf", "BgpPeer"}) {
    w.Apply({{"apiVersion", "network.kubesphere.io/v1alpha2"},
             {"kind", kind},
             {"metadata", {{"name", "default"}, {"finalizers", {"finalizer.lb.kubesphere.io/v1alpha1", "theirs/one"}}}},
             {"spec", {{"conf", {{"neighborAddress", "192.0.2.1"}, {"peerAs", 64512}}}}}});
  }
  w.Run(absl::Seconds(5));
  const char* const resource = GENERATE("bgpconfs", "bgppeers");
  CAPTURE(resource);
  CHECK(w.Get(resource, "default")["metadata"]["finalizers"].size() == 2);  // while Berth is there it may stay
  CHECK(w.RunUninstall(false).ok());
  CHECK(w.Get(resource, "default")["metadata"]["finalizers"] == json{"theirs/one"});
}

TEST_CASE("a controller that is started after an uninstallation works as on the first day", "[system]") {
  Installed w;
  CHECK(w.RunUninstall(false).ok());
  w.uninstall.reset();
  w.KillController("one");
  w.KillController("two");
  w.StartController("three");
  // Sooner than a Lease runs out: the uninstallation has let go of it.
  CHECK(w.RunUntil([&] { return w.IngressOf("a") == "192.168.50.50"; }, absl::Seconds(5)));
}

TEST_CASE("an uninstallation that cannot reach the API server says so in time", "[system]") {
  Installed w;
  w.server.SetSilent(true, "uninstall");
  const absl::Status status = w.RunUninstall(false);
  CHECK(absl::IsDeadlineExceeded(status));
  w.Run(absl::Seconds(5));
  CHECK(w.IngressOf("a") == "192.168.50.50");
}

TEST_CASE("an uninstallation that may not change one Service touches nothing, and no controller notices", "[system]") {
  Installed w;
  NodeAgent agent(w);
  w.RefuseB(/*rehearsals=*/true);
  const std::uint64_t before = w.server.store().revision();
  w.BeginUninstall(false);
  w.Run(absl::Seconds(20));
  CHECK(w.SomebodyLeads());
  CHECK(w.IngressOf("a") == "192.168.50.50");
  w.AddEip("early", "192.168.50.70");
  w.AddService("during");
  CHECK(w.RunUntil([&] { return w.Assigned("c") || w.Assigned("during"); }, absl::Seconds(2)));
  REQUIRE(w.RunUntil([&] { return w.outcome.has_value(); }, absl::Minutes(3)));
  CHECK(absl::StrContains(w.outcome->message(), "services default/b: "));
  CHECK(absl::StrContains(w.outcome->message(), "a policy says no"));
  for (const kube::ApiStore::Event& event : w.server.store().history()) {
    if (event.revision <= before || event.resource != "services" || event.key.name != "a") continue;
    CHECK((*event.object)["metadata"].contains("finalizers"));
  }
  CHECK(agent.cleanups == 0);
  w.CheckServes();
}

TEST_CASE("after an uninstallation that failed half-way the controllers lead again and give addresses", "[system]") {
  const bool killed = GENERATE(false, true);
  CAPTURE(killed);
  Installed w;
  NodeAgent agent(w);
  w.RefuseB(/*rehearsals=*/false);
  w.BeginUninstall(false);
  w.Run(absl::Seconds(20));
  CHECK_FALSE(w.SomebodyLeads());
  CHECK(w.IngressOf("a") == "");
  if (killed) {
    w.process.Kill();
    w.Run(absl::Seconds(28));
    CHECK_FALSE(w.SomebodyLeads());
    CHECK(w.RunUntil([&] { return w.SomebodyLeads(); }, absl::Seconds(10)));
  } else {
    REQUIRE(w.RunUntil([&] { return w.outcome.has_value(); }, absl::Minutes(3)));
    CHECK(absl::IsDeadlineExceeded(*w.outcome));
    CHECK(w.RunUntil([&] { return w.SomebodyLeads(); }, absl::Seconds(2)));
  }
  CHECK(agent.cleanups == 0);
  w.CheckServes();
}

TEST_CASE("an uninstallation that is told to end lets the controllers go on at once", "[system]") {
  Installed w;
  w.RefuseB(/*rehearsals=*/false);
  w.BeginUninstall(true);
  w.Run(absl::Seconds(10));
  CHECK_FALSE(w.SomebodyLeads());
  w.uninstall->GiveUp();
  REQUIRE(w.RunUntil([&] { return w.outcome.has_value(); }, absl::Seconds(1)));
  CHECK(absl::IsCancelled(*w.outcome));
  CHECK(w.RunUntil([&] { return w.SomebodyLeads(); }, absl::Seconds(2)));
  CHECK(w.IngressOf("a") == "192.168.50.50");
  w.CheckServes();
}

TEST_CASE("nodes are cleaned once no object can fail any more, and agents that cannot come do not hold it up",
          "[system]") {
  Installed w;
  auto agent = std::make_unique<NodeAgent>(w);
  const bool comes = GENERATE(true, false);
  agent->cleans = GENERATE(true, false);
  CAPTURE(comes, agent->cleans);
  if (!comes) w.wire.Cut("node1", true);
  const absl::Time began = w.loop.Now();
  CHECK(w.RunUninstall(false).ok());
  const absl::Duration took = w.loop.Now() - began;
  CHECK(agent->ingress_when_told == "");
  CHECK((agent->cleanups > 0) == comes);
  CHECK(took <= absl::Seconds(40));
  // One whose kernel refuses may be started again, and succeed: it is waited for.
  CHECK((took > absl::Seconds(20)) == (comes && !agent->cleans));
}

TEST_CASE("time in which an uninstallation stood still is not taken from the agents", "[system]") {
  Installed w;
  NodeAgent agent(w);
  agent.cleans = false;
  agent.hop = absl::Milliseconds(100);
  w.BeginUninstall(false, absl::Seconds(8));
  REQUIRE(w.RunUntil([&] { return agent.cleanups > 0; }, absl::Seconds(3)));
  w.process.Freeze();
  w.Run(absl::Seconds(2.8));  // longer than the agents' third, and it leads still
  w.process.Thaw();
  w.Run(absl::Milliseconds(500));
  CHECK_FALSE(w.outcome.has_value());
  agent.cleans = true;  // its pod is started again
  agent.link.Redial();
  REQUIRE(w.RunUntil([&] { return w.outcome.has_value(); }, absl::Seconds(1)));
  CHECK(w.outcome->ok());
  CHECK(agent.cleanups == 2);
}

TEST_CASE("an uninstallation that stood still and was late already ends well without the agents", "[system]") {
  Installed w;
  NodeAgent agent(w);
  agent.cleans = false;
  agent.hop = absl::Milliseconds(100);
  w.RefuseB(/*rehearsals=*/false);
  w.BeginUninstall(false, absl::Seconds(12));
  w.Run(absl::Seconds(6));
  w.server.faults = nullptr;
  REQUIRE(w.RunUntil([&] { return agent.cleanups > 0; }, absl::Seconds(3)));
  w.process.Freeze();
  w.Run(absl::Seconds(2.8));
  w.process.Thaw();
  REQUIRE(w.RunUntil([&] { return w.outcome.has_value(); }, absl::Seconds(5)));
  CHECK(w.outcome->ok());
}

TEST_CASE("an uninstallation goes on where a webhook refuses every dry run", "[system]") {
  Installed w;
  w.server.faults = [](const kube::FakeApiServer::Seen& seen) {
    if (seen.path.Query("dryRun").empty()) return Fault{};
    return Fault{Fault::Kind::kRefuse, 400, "BadRequest", "admission webhook \"x\" does not support dry run"};
  };
  CHECK(w.RunUninstall(false).ok());
}

TEST_CASE("an uninstallation forgets no Service because it cannot be read", "[system]") {
  Installed w;
  w.Edit("services", "a", {{"spec", {{"ports", {{{"port", 0}}}}}}});
  CHECK(w.RunUninstall(/*keep=*/false).ok());
  CHECK(w.IngressOf("a").empty());
  CHECK(w.Get("services", "a")["metadata"].value("finalizers", json::array()).empty());
}

}  // namespace
}  // namespace berth::system
