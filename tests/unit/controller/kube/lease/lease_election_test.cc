// SPDX-License-Identifier: Apache-2.0
// Who leads, with several processes, an API server that fails, and clocks that are wrong.
#include "controller/kube/lease/lease_election.h"

#include <catch2/catch.hpp>
#include <memory>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "tests/fakes/kube/fake_api_server.h"
#include "tests/fakes/manual_event_loop.h"
#include "tests/fakes/process_loop.h"

namespace berth::kube {
namespace {

using nlohmann::json;
using Fault = FakeApiServer::Fault;

struct Replica {
  Replica(ManualEventLoop& world, FakeApiServer& server, const std::string& name, bool elect = true,
          bool uninstall = false)
      : process(world), client(server, name, process) {
    LeaseOptions options;
    options.ns = "openelb-system";
    options.identity = name;
    options.elect = elect;
    if (uninstall) options.uninstall = name;
    election = std::make_unique<LeaseElection>(
        process, client, options, [this](const LeaseElection::Leadership& now) { told.push_back(now); },
        [this](const absl::Status& status) { problem = status; });
  }
  bool leads() const { return !told.empty() && told.back().leader; }
  std::uint64_t term() const { return told.empty() ? 0 : told.back().term; }

  ProcessLoop process;
  FakeApiClient client;
  std::unique_ptr<LeaseElection> election;
  std::vector<LeaseElection::Leadership> told;
  absl::Status problem;
};

void MakeNamespace(FakeApiServer& server) {
  server.store().Put({{"apiVersion", "v1"}, {"kind", "Namespace"}, {"metadata", {{"name", "openelb-system"}}}});
}

struct World {
  World() {
    MakeNamespace(server);
    for (Replica* each : {&a, &b}) each->election->Start();
  }
  // Runs for `time`, and checks at each step that at most one may write.
  void Run(absl::Duration time) {
    const absl::Time end = loop.Now() + time;
    while (loop.Now() < end) {
      loop.Advance(absl::Milliseconds(50));
      const auto may = [&](const Replica& r) { return loop.Now() < r.election->write_deadline(); };
      CHECK_FALSE((may(a) && may(b)));
    }
  }
  const json& lease() {
    const ObjectPtr found = server.store().Find("leases", {"openelb-system", "berth-controller"});
    REQUIRE(found != nullptr);
    seen = *found;
    return seen;
  }
  Replica& leader() { return a.leads() ? a : b; }
  Replica& other() { return a.leads() ? b : a; }

  ManualEventLoop loop;
  FakeApiServer server{loop};
  Replica a{loop, server, "one"}, b{loop, server, "two"};
  json seen;
};

TEST_CASE("one of two replicas leads, under term 1, and the other knows who", "[unit]") {
  World w;
  w.Run(absl::Seconds(10));
  CHECK((w.a.leads() != w.b.leads()));
  CHECK(w.leader().term() == 1);
  CHECK(w.other().told.back().leader_name == w.lease()["spec"]["holderIdentity"]);
  CHECK(w.lease()["metadata"]["annotations"]["berth.io/term"] == "1");
  CHECK(w.lease()["spec"]["leaseDurationSeconds"] == 6);
}

TEST_CASE("a leader that goes on is told once, and renews each second", "[unit]") {
  World w;
  w.Run(absl::Seconds(3));
  const std::size_t told = w.leader().told.size() + w.other().told.size();
  const std::uint64_t writes = w.server.writes();
  w.Run(absl::Seconds(20));
  CHECK(w.leader().told.size() + w.other().told.size() == told);
  CHECK(w.server.writes() - writes >= 18);
  CHECK(w.server.writes() - writes <= 21);
}

TEST_CASE("a leader that is killed is followed under a higher term, once its Lease has run out", "[unit]") {
  World w;
  w.Run(absl::Seconds(3));
  Replica& old = w.leader();
  Replica& next = w.other();
  old.process.Kill();
  w.loop.Advance(absl::Seconds(4));
  CHECK_FALSE(next.leads());
  w.loop.Advance(absl::Seconds(4));
  CHECK(next.leads());
  CHECK(next.term() == 2);
  CHECK(w.lease()["spec"]["leaseTransitions"] == 2);
}

TEST_CASE("a leader that cannot renew stops before anybody else may begin", "[unit]") {
  World w;
  w.Run(absl::Seconds(3));
  Replica& old = w.leader();
  const std::string name = old.told.back().leader_name;
  w.server.SetSilent(true, name);
  w.Run(absl::Milliseconds(4200));
  CHECK_FALSE(old.leads());
  w.Run(absl::Seconds(10));
  CHECK(w.leader().term() == 2);
  w.server.SetSilent(false, name);
  w.Run(absl::Seconds(20));
  CHECK_FALSE(old.leads());
}

TEST_CASE("a leader that was frozen wakes without the right to write", "[unit]") {
  World w;
  w.Run(absl::Seconds(3));
  Replica& old = w.leader();
  old.process.Freeze();
  w.Run(absl::Seconds(10));
  old.process.Thaw();
  CHECK(w.loop.Now() >= old.election->write_deadline());
  w.Run(absl::Seconds(3));
  CHECK_FALSE(old.leads());
  CHECK(w.other().term() == 2);
}

TEST_CASE("a wall clock that is wrong by an hour changes nothing", "[unit]") {
  World w;
  w.Run(absl::Seconds(3));
  const std::size_t told = w.leader().told.size() + w.other().told.size();
  w.loop.StepWallClock(absl::Hours(GENERATE(-1, 1)));
  w.Run(absl::Seconds(30));
  CHECK(w.leader().told.size() + w.other().told.size() == told);
}

TEST_CASE("requests that take longer than a renewal is due do not end the election", "[unit]") {
  World w;
  const bool hangs = GENERATE(false, true);  // so that they run out of time, else only slow
  CAPTURE(hangs);
  w.Run(absl::Seconds(3));
  const std::uint64_t term = w.leader().term();
  w.server.faults = [&](const FakeApiServer::Seen&) { return Fault{.delay = absl::Milliseconds(hangs ? 3000 : 1400)}; };
  w.Run(absl::Seconds(20));
  if (!hangs) {
    CHECK((w.leader().leads() && w.leader().term() == term));
  }
  w.server.faults = nullptr;
  w.Run(absl::Seconds(10));
  CHECK(w.leader().leads());
  const std::uint64_t writes = w.server.writes();
  w.Run(absl::Seconds(10));
  CHECK(w.server.writes() - writes >= 8);
}

TEST_CASE("a term that was raised is in the Lease before it is told", "[unit]") {
  World w;
  w.Run(absl::Seconds(3));
  w.leader().election->RaiseTerm(17);
  w.Run(absl::Seconds(2));
  CHECK(w.leader().term() == 17);
  CHECK(w.lease()["metadata"]["annotations"]["berth.io/term"] == "17");
  w.leader().election->RaiseTerm(5);
  const std::size_t told = w.leader().told.size();
  w.Run(absl::Seconds(2));
  CHECK(w.leader().told.size() == told + 1);  // an answer, though nothing changed
  CHECK(w.leader().term() == 17);
  Replica& next = w.other();
  w.leader().process.Kill();
  w.loop.Advance(absl::Seconds(10));
  CHECK(next.term() == 18);
}

TEST_CASE("a Lease that is deleted comes back under the same leader and term", "[unit]") {
  World w;
  w.Run(absl::Seconds(3));
  w.server.store().Delete("leases", {"openelb-system", "berth-controller"});
  const std::size_t told = w.leader().told.size() + w.other().told.size();
  w.Run(absl::Seconds(10));
  CHECK(w.lease()["metadata"]["annotations"]["berth.io/term"] == "1");
  CHECK(w.leader().told.size() + w.other().told.size() == told);
}

TEST_CASE("a write that took the Lease counts though its answer was lost", "[unit]") {
  ManualEventLoop loop;
  FakeApiServer server(loop);
  MakeNamespace(server);
  int lost = 0;
  server.faults = [&](const FakeApiServer::Seen& seen) {
    return Fault{seen.verb == "create" && lost++ == 0 ? Fault::Kind::kLoseAnswer : Fault::Kind::kNone};
  };
  Replica a(loop, server, "one");
  a.election->Start();
  loop.Advance(absl::Seconds(5));
  CHECK(lost == 1);
  CHECK(a.leads());
  CHECK(a.term() == 1);
}

TEST_CASE("a leader that ends leaves the Lease, and the next one need not wait for it to run out", "[unit]") {
  World w;
  w.Run(absl::Seconds(3));
  Replica& old = w.leader();
  Replica& next = w.other();
  bool done = false;
  old.election->Release([&] { done = true; });
  CHECK(old.election->write_deadline() == absl::InfinitePast());
  w.loop.Advance(absl::Seconds(1));
  CHECK(done);
  w.loop.Advance(absl::Seconds(1));
  CHECK(next.leads());
  CHECK(next.term() == 2);
}

TEST_CASE("an end does not wait for an API server that is not there", "[unit]") {
  World w;
  w.Run(absl::Seconds(3));
  w.server.SetSilent(true);
  bool done = false;
  w.leader().election->Release([&] { done = true; });
  w.loop.Advance(absl::Seconds(1));
  CHECK(done);
}

TEST_CASE("what is wrong with the Lease is told, and that it has passed", "[unit]") {
  ManualEventLoop loop;
  FakeApiServer server(loop);
  MakeNamespace(server);
  server.Forbid("create", "leases");
  Replica a(loop, server, "one");
  a.election->Start();
  loop.Advance(absl::Seconds(2));
  CHECK(absl::IsPermissionDenied(a.problem));
  CHECK_FALSE(a.leads());
  server.Permit("create", "leases");
  loop.Advance(absl::Seconds(2));
  CHECK(a.problem.ok());
  CHECK(a.leads());
}

TEST_CASE("a namespace that is missing is told, and looked for once a second", "[unit]") {
  ManualEventLoop loop;
  FakeApiServer server(loop);
  Replica a(loop, server, "one");
  a.election->Start();
  loop.Advance(absl::Seconds(10));
  CHECK(absl::IsNotFound(a.problem));
  CHECK(server.reads() + server.writes() <= 24);
  MakeNamespace(server);
  loop.Advance(absl::Seconds(2));
  CHECK(a.leads());
}

TEST_CASE("without election the Lease is taken at once, under a term of its own", "[unit]") {
  World w;
  w.Run(absl::Seconds(3));
  Replica third(w.loop, w.server, "three", /*elect=*/false);
  third.election->Start();
  w.loop.Advance(absl::Seconds(3));
  CHECK(third.leads());
  CHECK(third.term() == 2);
  CHECK_FALSE(w.a.leads());
  CHECK_FALSE(w.b.leads());
}

TEST_CASE("a Lease whose uninstallation failed is led again by those that it had made stand back", "[unit]") {
  World w;
  w.Run(absl::Seconds(3));
  Replica uninstaller(w.loop, w.server, "uninstall", /*elect=*/false, /*uninstall=*/true);
  uninstaller.election->Start();
  w.Run(absl::Seconds(60));
  CHECK(uninstaller.leads());
  CHECK_FALSE((w.a.leads() || w.b.leads()));
  CHECK(absl::IsFailedPrecondition(w.a.problem));
  SECTION("it says so") {
    uninstaller.election->Abandon([] {});
    w.Run(absl::Seconds(2));
    CHECK(w.leader().leads());
  }
  SECTION("it was killed") {
    uninstaller.process.Kill();
    w.Run(absl::Seconds(28));
    CHECK_FALSE((w.a.leads() || w.b.leads()));
    w.Run(absl::Seconds(5));
    CHECK(w.leader().leads());
  }
  SECTION("it was killed, and the next one succeeds") {
    uninstaller.process.Kill();
    w.Run(absl::Seconds(40));
    Replica second(w.loop, w.server, "uninstall-2", /*elect=*/false, /*uninstall=*/true);
    second.election->Start();
    w.Run(absl::Seconds(3));
    second.election->Release([] {});
    w.Run(absl::Minutes(5));
    CHECK_FALSE((w.a.leads() || w.b.leads()));
    return;
  }
  CHECK_FALSE(w.lease()["metadata"]["annotations"].contains("berth.io/uninstall"));
  CHECK(w.a.problem.ok());
  CHECK(w.b.problem.ok());
}

}  // namespace
}  // namespace berth::kube
