// SPDX-License-Identifier: Apache-2.0
// When an agent may believe in itself: after standing still, after a restart, without a leader, at its end.
#include <catch2/catch.hpp>

#include "tests/unit/agent/core/core_harness.h"

namespace berth::agent {
namespace {

using sync::Role;

StoredState StoredOn(const std::string& boot_id) {
  StoredState stored;
  stored.boot_id = boot_id;
  stored.highest_term = 5;
  stored.state = {5, 9};
  stored.assignments = {Announce("192.0.2.10", {5, 9}), Assign("192.0.2.11", Role::kMute, {5, 9})};
  return stored;
}

Link Berth0With(std::vector<LinkAddress> addresses) {
  Link berth0;
  berth0.index = kBerth0;
  berth0.name = "berth0";
  berth0.addresses = std::move(addresses);
  return berth0;
}

TEST_CASE("the leave to answer is renewed well before it ends", "[unit]") {
  CoreHarness agent = Settled({Announce("192.0.2.10")});
  for (int i = 0; i < 100; ++i) {
    agent.Advance(absl::Milliseconds(37));
    CHECK(agent.answer_until - agent.now >= absl::Milliseconds(400));
  }
}

TEST_CASE("an agent that stood still mutes everything before anything else and dials anew", "[unit]") {
  CoreHarness agent = Settled({Announce("192.0.2.10")});
  agent.StandStill(absl::Milliseconds(701));
  CHECK_FALSE(agent.Answers("192.0.2.10"));  // the port's own leave has run out
  agent.Feed(FromController{CoreHarness::DeltaOf(1, {Announce("192.0.2.10", {1, 2})})});
  REQUIRE(std::holds_alternative<Publish>(agent.history.at(0)));
  CHECK(std::get<Publish>(agent.history.at(0)).table->interfaces.empty());
  CHECK(agent.Effected<Redial>() == 1);
  CHECK_FALSE(agent.Answers("192.0.2.10"));  // what waited on the old stream does not count
  CHECK(agent.frames.empty());
}

TEST_CASE("after standing still the first snapshot of a new stream is the leave to speak again", "[unit]") {
  CoreHarness agent = Settled({Announce("192.0.2.10"), Announce("192.0.2.11")});
  agent.StandStill(absl::Seconds(1));
  agent.Feed(Timer{});
  agent.Connect();
  CHECK(agent.Last<sync::Hello>()->announced.empty());
  CHECK_FALSE(agent.Answers("192.0.2.10"));
  agent.Controller(CoreHarness::SnapshotOf(2, {Announce("192.0.2.10")}));
  CHECK(agent.Answers("192.0.2.10"));
  CHECK(agent.Gratuitous("192.0.2.10") == 2);
  CHECK_FALSE(agent.Answers("192.0.2.11"));
}

TEST_CASE("after standing still without a leader an unanswered probe is the leave to speak again", "[unit]") {
  CoreHarness agent = Settled({Announce("192.0.2.10"), Announce("192.0.2.11")});
  agent.StandStill(absl::Seconds(1));
  agent.Feed(Timer{});
  agent.Advance(absl::Milliseconds(900));
  CHECK(agent.Probes("192.0.2.10") == 0);
  agent.Advance(absl::Milliseconds(100));
  CHECK(agent.Probes("192.0.2.10") == 1);
  CHECK(agent.table->interfaces.at(kEth0).watch.contains(Ip("192.0.2.11")));
  agent.See("192.0.2.11", kMacC);
  agent.Advance(absl::Milliseconds(250));
  CHECK(agent.Answers("192.0.2.10"));
  CHECK(agent.Gratuitous("192.0.2.10") == 2);
  CHECK_FALSE(agent.Answers("192.0.2.11"));
}

TEST_CASE("a lost controller connection changes nothing on the LAN", "[unit]") {
  CoreHarness agent = Settled({Announce("192.0.2.10")});
  agent.Feed(LinkDown{"gone"});
  agent.Advance(absl::Minutes(10));
  CHECK(agent.Answers("192.0.2.10"));
  CHECK(agent.Touches() == 0);
}

TEST_CASE("while an older agent of its node lives the disk waits for a leader's word, for seconds", "[unit]") {
  CoreHarness agent(StoredOn("boot-1"));
  agent.kernel.links.push_back(Berth0With({Ours("192.0.2.10"), Ours("192.0.2.12")}));
  agent.elder = true;
  agent.Start();
  agent.Advance(absl::Milliseconds(2900));
  CHECK(agent.Probes("192.0.2.10") == 0);
  CHECK(agent.Local("192.0.2.12"));
  SECTION("it says so") {
    agent.Connect();
    sync::Snapshot word = CoreHarness::SnapshotOf(10, {Announce("192.0.2.10", {5, 9})}, 5);
    word.continued = {Ip("192.0.2.10")};
    agent.Controller(word);
    agent.Advance(absl::Seconds(10));
    CHECK(agent.Answers("192.0.2.10"));
    CHECK(agent.Probes("192.0.2.10") == 0);
    CHECK(agent.Gratuitous("192.0.2.10") == 0);
  }
  SECTION("there is none") {
    agent.Advance(absl::Milliseconds(120));
    CHECK(agent.Probes("192.0.2.10") == 1);
    CHECK_FALSE(agent.Local("192.0.2.12"));
    agent.Advance(absl::Milliseconds(200));
    CHECK(agent.Answers("192.0.2.10"));
  }
}

TEST_CASE("what an older agent announced is asked about as soon as that one ends", "[unit]") {
  CoreHarness agent(StoredOn("boot-1"));
  agent.elder = true;
  agent.Start();
  agent.Advance(absl::Milliseconds(1000));
  CHECK(agent.Probes("192.0.2.10") == 0);
  agent.Feed(ElderGone{});
  agent.Advance(absl::Milliseconds(10));
  CHECK(agent.Probes("192.0.2.10") == 1);
  agent.Advance(absl::Milliseconds(200));
  CHECK(agent.Answers("192.0.2.10"));
  agent.Forget();
  agent.Feed(ElderGone{});  // and said again it is no news
  agent.Advance(absl::Seconds(1));
  CHECK(agent.Answers("192.0.2.10"));
  CHECK(agent.Probes("192.0.2.10") == 0);
}

TEST_CASE("a restarted agent announces what the disk says once a probe stays unanswered", "[unit]") {
  CoreHarness agent(StoredOn("boot-1"));
  agent.kernel.links.push_back(Berth0With({Ours("192.0.2.10"), Ours("192.0.2.11"), Ours("192.0.2.12")}));
  agent.Start();
  agent.Advance(absl::Milliseconds(290));
  CHECK_FALSE(agent.Answers("192.0.2.10"));
  CHECK(agent.Local("192.0.2.12"));
  agent.Advance(absl::Milliseconds(20));
  CHECK(agent.Probes("192.0.2.10") == 1);
  CHECK(agent.Probes("192.0.2.11") == 0);
  CHECK_FALSE(agent.Local("192.0.2.12"));  // the disk's word is that it is not ours
  agent.Advance(absl::Milliseconds(200));
  CHECK(agent.Answers("192.0.2.10"));
  CHECK(agent.Gratuitous("192.0.2.10") == 2);
  CHECK_FALSE(agent.Answers("192.0.2.11"));
  CHECK(agent.Effected<AddAddress>() == 0);
}

TEST_CASE("a restarted agent does not announce what somebody else answers for", "[unit]") {
  CoreHarness agent(StoredOn("boot-1"));
  agent.Start();
  agent.Advance(absl::Milliseconds(310));
  agent.See("192.0.2.10", kMacB);
  agent.Advance(absl::Seconds(2));
  CHECK_FALSE(agent.Answers("192.0.2.10"));
  CHECK(agent.Gratuitous("192.0.2.10") == 0);
}

TEST_CASE("a leader's word in time saves a restarted agent the probe", "[unit]") {
  CoreHarness agent(StoredOn("boot-1"));
  agent.Connect();
  CHECK(agent.Last<sync::Hello>()->state == sync::Stamp{5, 9});
  agent.Advance(absl::Milliseconds(100));
  agent.Controller(CoreHarness::SnapshotOf(10, {Announce("192.0.2.10", {5, 9})}, 5));
  CHECK(agent.Answers("192.0.2.10"));
  agent.Advance(absl::Seconds(1));
  CHECK(agent.Probes("192.0.2.10") == 0);
}

TEST_CASE("a restarted agent in contact with a controller waits for its word, but not for ever", "[unit]") {
  CoreHarness agent(StoredOn("boot-1"));
  agent.Start();
  agent.Connect();
  agent.Advance(absl::Milliseconds(3900));
  CHECK(agent.Probes("192.0.2.10") == 0);
  CHECK_FALSE(agent.Answers("192.0.2.10"));
  agent.Advance(absl::Milliseconds(600));
  CHECK(agent.Answers("192.0.2.10"));
}

TEST_CASE("state of another boot waits for a leader, but its term counts", "[unit]") {
  CoreHarness agent(StoredOn("boot-0"));
  agent.Connect();
  CHECK(agent.Last<sync::Hello>()->highest_term == 5);
  CHECK(agent.Last<sync::Hello>()->state == sync::Stamp{});
  agent.Advance(absl::Minutes(1));
  CHECK(agent.Probes("192.0.2.10") == 0);
  CHECK_FALSE(agent.Local("192.0.2.10"));
  agent.Controller(CoreHarness::SnapshotOf(1, {}, 4));
  CHECK(agent.Last<sync::Rejected>()->seen_term == 5);
}

TEST_CASE("the newest state is on disk soon after it was given", "[unit]") {
  CoreHarness agent = Settled({Announce("192.0.2.10")});
  for (std::uint64_t v = 1; v <= 20; ++v) agent.Controller(CoreHarness::DeltaOf(v, {Announce("192.0.2.12")}));
  CHECK(agent.Effected<Store>() <= 1);
  agent.Advance(absl::Milliseconds(110));
  CHECK(agent.Effected<Store>() <= 2);
  REQUIRE(agent.disk.has_value());
  CHECK(agent.disk->state == sync::Stamp{1, 21});
  CHECK(agent.disk->assignments.size() == 2);
  CHECK(agent.disk->boot_id == "boot-1");
}

TEST_CASE("asked to end, an agent serves until its addresses are taken over, and leaves the node as it is", "[unit]") {
  CoreHarness agent = Settled({Announce("192.0.2.10")});
  agent.Feed(Terminate{});
  REQUIRE(agent.Last<sync::Report>().has_value());
  CHECK(agent.Last<sync::Report>()->leaving);
  CHECK(agent.Answers("192.0.2.10"));
  agent.Advance(absl::Seconds(1));
  CHECK_FALSE(agent.exit_code.has_value());
  CHECK(agent.Answers("192.0.2.10"));
  agent.Controller(CoreHarness::DeltaOf(1, {Assign("192.0.2.10", Role::kMute, {1, 2})}));
  CHECK(agent.Last<sync::Applied>()->version == 2);
  CHECK(agent.exit_code == 0);
  CHECK(agent.Local("192.0.2.10"));
  CHECK(agent.silence.addresses.contains(Ip("192.0.2.10")));
}

TEST_CASE("asked to end, an agent does not wait for ever", "[unit]") {
  CoreHarness agent = Settled({Announce("192.0.2.10")});
  SECTION("five seconds for a leader that says nothing") {
    agent.Feed(Terminate{});
    agent.Advance(absl::Milliseconds(4900));
    CHECK_FALSE(agent.exit_code.has_value());
    agent.Advance(absl::Milliseconds(100));
  }
  SECTION("no time without a controller") {
    agent.Feed(LinkDown{"gone"});
    agent.Feed(Terminate{});
  }
  SECTION("no time when asked twice") {
    agent.Feed(Terminate{});
    agent.Feed(Terminate{});
  }
  CHECK(agent.exit_code == 0);
  CHECK(agent.Local("192.0.2.10"));
}

}  // namespace
}  // namespace berth::agent
