// SPDX-License-Identifier: Apache-2.0
// What tests can make the fake API server do besides; what it shares with real sources is in
// cluster_source_contract_test.cc.
#include "tests/fakes/fake_source.h"

#include <catch2/catch.hpp>
#include <vector>

#include "tests/fakes/manual_event_loop.h"

namespace berth {
namespace {

const model::ObjectId kWeb{"default", "web"};

struct Seen : model::ClusterSource::Observer {
  std::vector<model::ClusterDelta> deltas;
  std::vector<std::pair<bool, std::uint64_t>> leadership;
  std::vector<absl::StatusCode> answers;
  void OnDelta(const model::ClusterDelta& delta) override { deltas.push_back(delta); }
  void OnSynced() override {}
  void OnLeadership(bool leader, std::uint64_t term, const std::string&) override {
    leadership.emplace_back(leader, term);
  }
  void OnServiceWritten(std::uint64_t, const absl::Status& status, const std::string&) override {
    answers.push_back(status.code());
  }
  void OnProblems(const model::Problems&) override {}
};

struct Setup {
  Setup() {
    model::Service web;
    web.id = kWeb;
    cluster.Put(web);
    model::Pool pool;
    pool.name = "edge";
    cluster.Put(pool);
    REQUIRE(a.Start(seen_a).ok());
    REQUIRE(b.Start(seen_b).ok());
    loop.RunUntilIdle();
  }
  void Write(FakeSource& source) {
    model::ServiceWrite write;
    write.id = kWeb;
    write.revision = cluster.service(kWeb)->revision;
    write.allocations = {{*IpAddr::Parse("10.0.0.1"), "edge", model::Protocol::kLayer2, ""}};
    source.WriteService(write);
  }
  bool Written() const { return cluster.service(kWeb)->marked; }

  ManualEventLoop loop;
  FakeCluster cluster{loop};
  FakeSource a{cluster, "a"}, b{cluster, "b"};
  Seen seen_a, seen_b;
};

using Leadership = std::vector<std::pair<bool, std::uint64_t>>;

}  // namespace

TEST_CASE("the fake lets one of two controllers lead, and hands leadership over with a new term", "[contract]") {
  Setup s;
  CHECK(s.seen_a.leadership == Leadership{{true, 1}});
  CHECK(s.seen_b.leadership == Leadership{{false, 1}});
  s.cluster.Grant(s.b);
  s.loop.RunUntilIdle();
  CHECK(s.seen_a.leadership.back() == std::make_pair(false, std::uint64_t{2}));
  CHECK(s.seen_b.leadership.back() == std::make_pair(true, std::uint64_t{2}));
  s.a.RaiseTerm(50);  // not its to raise
  s.b.RaiseTerm(20);
  s.loop.RunUntilIdle();
  CHECK(s.cluster.term() == 20);
  s.cluster.Revoke();
  s.loop.RunUntilIdle();
  CHECK_FALSE(s.seen_b.leadership.back().first);
}

TEST_CASE("the fake fails a write, loses an answer and takes its time when told", "[contract]") {
  Setup s;
  s.cluster.FailWrites(1, absl::UnavailableError("down"));
  s.Write(s.a);
  s.loop.RunUntilIdle();
  CHECK_FALSE(s.Written());
  s.cluster.LoseAnswers(1);
  s.Write(s.a);
  s.loop.RunUntilIdle();
  CHECK(s.Written());
  CHECK(s.seen_a.deltas.back().services.at(0).marked);
  s.cluster.Tamper(kWeb, [](model::Service& web) { web.marked = false; });
  s.cluster.DelayWrites(absl::Seconds(2));
  s.Write(s.a);
  s.loop.Advance(absl::Milliseconds(1999));
  CHECK_FALSE(s.Written());
  s.loop.Advance(absl::Milliseconds(1));
  CHECK(s.Written());
  CHECK(s.seen_a.answers == std::vector<absl::StatusCode>{absl::StatusCode::kUnavailable,
                                                          absl::StatusCode::kDeadlineExceeded, absl::StatusCode::kOk});
  CHECK(s.cluster.service_writes().size() == 2);
}

TEST_CASE("a controller cut off from the fake hears afterwards only of what changed, and b all the time",
          "[contract]") {
  Setup s;
  s.a.SetConnected(false);
  s.seen_a.deltas.clear();
  s.seen_b.deltas.clear();
  s.cluster.DeleteService(kWeb);
  s.loop.RunUntilIdle();
  CHECK(s.seen_a.deltas.empty());
  CHECK(s.seen_b.deltas.size() == 1);
  s.a.SetConnected(true);
  s.loop.RunUntilIdle();
  REQUIRE(s.seen_a.deltas.size() == 1);
  CHECK(s.seen_a.deltas[0].gone_services == std::vector<model::ObjectId>{kWeb});
  CHECK(s.seen_a.deltas[0].pools.empty());
}

TEST_CASE("a pool that bears a finalizer waits for its controller in the fake, unless it vanishes", "[contract]") {
  Setup s;
  model::PoolStatus status;
  status.pool = "edge";
  status.hold = true;
  s.a.WritePoolStatus(status);
  s.cluster.DeletePool("edge");
  REQUIRE(s.cluster.pools().count("edge") == 1);
  CHECK(s.cluster.pools().at("edge").deleting);
  SECTION("let go") {
    status.hold = false;
    s.a.WritePoolStatus(status);
    CHECK(s.cluster.pools().empty());
  }
  SECTION("stripped") {
    s.cluster.VanishPool("edge");
    CHECK(s.cluster.pools().empty());
  }
}

}  // namespace berth
