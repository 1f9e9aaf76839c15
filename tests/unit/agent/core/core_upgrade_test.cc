// SPDX-License-Identifier: Apache-2.0
// A new agent of a node beside the one that it replaces.
#include <catch2/catch.hpp>

#include "tests/unit/agent/core/core_harness.h"

namespace berth::agent {
namespace {

using sync::Role;

sync::Snapshot Continued(std::vector<sync::Assignment> assignments) {
  sync::Snapshot snapshot = CoreHarness::SnapshotOf(1, std::move(assignments));
  for (const sync::Assignment& a : snapshot.assignments) snapshot.continued.push_back(a.address);
  return snapshot;
}

TEST_CASE("what an older agent of the node announces is announced on without a frame", "[unit]") {
  CoreHarness agent;
  agent.Connect();
  agent.Controller(Continued({Announce("192.0.2.10"), Announce("192.0.2.11")}));
  CHECK(agent.Answers("192.0.2.10"));
  CHECK(agent.Answers("192.0.2.11"));
  CHECK(agent.Last<sync::Applied>()->version == 1);
  CHECK(agent.Last<sync::Report>()->announced->size() == 2);
  agent.Advance(absl::Seconds(20));
  CHECK(agent.Gratuitous("192.0.2.10") == 0);
  CHECK(agent.Effected<SendFrame>() == 0);
}

TEST_CASE("an agent that takes over beside an older one says so only once its capture is open", "[unit]") {
  CoreHarness agent;
  agent.hold_opens = true;
  agent.Connect();
  agent.Controller(Continued({Announce("192.0.2.10")}));
  agent.Advance(absl::Milliseconds(100));
  CHECK_FALSE(agent.Last<sync::Applied>().has_value());
  REQUIRE(agent.held.size() == 1);
  agent.Feed(agent.held.front());
  CHECK(agent.Answers("192.0.2.10"));
  CHECK(agent.Last<sync::Applied>()->version == 1);
  CHECK(agent.Effected<SendFrame>() == 0);
}

TEST_CASE("a capture that cannot be opened is an answer to the controller too, and later begins with frames",
          "[unit]") {
  CoreHarness agent;
  agent.hold_opens = true;
  agent.Connect();
  agent.Controller(Continued({Announce("192.0.2.10")}));
  agent.Feed(PortError{kEth0, absl::PermissionDeniedError("no CAP_NET_RAW")});
  REQUIRE(agent.Last<sync::Rejected>().has_value());
  CHECK(agent.Last<sync::Rejected>()->rejections.at(0).code == sync::RejectCode::kInterfaceDown);
  CHECK_FALSE(agent.Answers("192.0.2.10"));
}

TEST_CASE("an address muted since is announced with frames again, though an older agent announced it", "[unit]") {
  CoreHarness agent;
  agent.hold_opens = true;
  agent.Connect();
  agent.Controller(Continued({Announce("192.0.2.10")}));
  agent.Controller(CoreHarness::DeltaOf(1, {Assign("192.0.2.10", Role::kMute, {1, 2})}));
  agent.Feed(agent.held.front());
  CHECK_FALSE(agent.Answers("192.0.2.10"));
  agent.Controller(CoreHarness::DeltaOf(2, {Announce("192.0.2.10", {1, 3})}));
  CHECK(agent.Answers("192.0.2.10"));
  CHECK(agent.Gratuitous("192.0.2.10") > 0);
}

TEST_CASE("an address that no older agent announces is announced with frames beside those that one does", "[unit]") {
  CoreHarness agent;
  agent.Connect();
  sync::Snapshot snapshot = CoreHarness::SnapshotOf(1, {Announce("192.0.2.10"), Announce("192.0.2.11")});
  snapshot.continued = {Ip("192.0.2.10")};
  agent.Controller(snapshot);
  CHECK(agent.Gratuitous("192.0.2.10") == 0);
  CHECK(agent.Gratuitous("192.0.2.11") > 0);
}

TEST_CASE("an agent that retires answers on for what it is told to, and for nothing else", "[unit]") {
  CoreHarness agent;
  agent.Connect();
  agent.Controller(CoreHarness::SnapshotOf(1, {Announce("192.0.2.10"), Announce("192.0.2.11")}));
  agent.Advance(absl::Seconds(11));
  agent.Forget();
  agent.Controller(sync::Retire{1, {Ip("192.0.2.10")}});
  CHECK(agent.Answers("192.0.2.10"));
  CHECK_FALSE(agent.Answers("192.0.2.11"));
  REQUIRE(agent.Last<sync::Report>()->announced->size() == 1);
  CHECK(agent.Last<sync::Report>()->announced->at(0).address == Ip("192.0.2.10"));
  agent.Controller(sync::Retire{1, {}});
  CHECK_FALSE(agent.Answers("192.0.2.10"));
  CHECK(agent.Last<sync::Report>()->announced->empty());
  CHECK(agent.Touches() == 0);
}

TEST_CASE("an agent that retires tells for what it had more frames to send", "[unit]") {
  CoreHarness agent;
  agent.Connect();
  agent.Controller(CoreHarness::SnapshotOf(1, {Announce("192.0.2.10")}));
  agent.Controller(sync::Retire{1, {Ip("192.0.2.10")}});
  CHECK(agent.Last<sync::Report>()->announced->at(0).repeating);
  agent.Advance(absl::Seconds(11));
  agent.Controller(sync::Retire{1, {Ip("192.0.2.10")}});
  CHECK_FALSE(agent.Last<sync::Report>()->announced->at(0).repeating);
}

TEST_CASE("an agent that retires leaves the kernel alone, whatever its successor does there", "[unit]") {
  CoreHarness agent;
  agent.Connect();
  agent.Controller(CoreHarness::SnapshotOf(1, {Announce("192.0.2.10")}));
  agent.Advance(absl::Seconds(11));
  agent.Controller(sync::Retire{1, {Ip("192.0.2.10")}});
  agent.Forget();
  for (Link& link : agent.kernel.links) std::erase_if(link.addresses, [](const LinkAddress& a) { return a.ours; });
  agent.ShowKernel();
  agent.Feed(SilenceDisturbed{});
  agent.Advance(absl::Seconds(5));
  CHECK(agent.Touches() == 0);
  CHECK(agent.Effected<Store>() == 0);
  CHECK(agent.Answers("192.0.2.10"));
}

TEST_CASE("an agent whose successor is gone dials again and mends what was undone meanwhile", "[unit]") {
  CoreHarness agent;
  agent.Connect();
  agent.Controller(CoreHarness::SnapshotOf(1, {Announce("192.0.2.10")}));
  agent.Controller(sync::Retire{1, {Ip("192.0.2.10")}});
  for (Link& link : agent.kernel.links) std::erase_if(link.addresses, [](const LinkAddress& a) { return a.ours; });
  agent.ShowKernel();
  CHECK_FALSE(agent.Local("192.0.2.10"));
  agent.Feed(LinkDown{"the newer agent of this node is gone: dial again"});
  agent.Advance(absl::Seconds(2));
  CHECK(agent.Local("192.0.2.10"));
  CHECK(agent.Answers("192.0.2.10"));
  CHECK_FALSE(agent.order_broken);
}

TEST_CASE("until it knows what shall be silent an agent leaves what another of its node has silenced", "[unit]") {
  CoreHarness agent;
  agent.silence.addresses = {Ip("192.0.2.77")};
  agent.Connect();
  CHECK(agent.silence.addresses.contains(Ip("192.0.2.77")));
  CHECK(agent.silence.keep_others);
  agent.Controller(CoreHarness::SnapshotOf(1, {Announce("192.0.2.10")}));
  CHECK(agent.silence.addresses == std::set<IpAddr>{Ip("192.0.2.10")});
  CHECK_FALSE(agent.silence.keep_others);
}

}  // namespace
}  // namespace berth::agent
