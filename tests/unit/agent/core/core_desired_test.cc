// SPDX-License-Identifier: Apache-2.0
// What a controller wants, from its message to the acknowledgement.
#include <catch2/catch.hpp>

#include "tests/unit/agent/core/core_harness.h"

namespace berth::agent {
namespace {

using sync::RejectCode;
using sync::Role;

TEST_CASE("an address is silenced, then made local, then answered for, then acknowledged", "[unit]") {
  CoreHarness agent = Connected({Announce("192.0.2.10")});
  CHECK(agent.Answers("192.0.2.10"));
  CHECK(agent.Local("192.0.2.10"));
  CHECK(agent.silence.addresses.contains(Ip("192.0.2.10")));
  CHECK_FALSE(agent.order_broken);
  CHECK(agent.Gratuitous("192.0.2.10") == 2);
  REQUIRE(agent.Last<sync::Applied>().has_value());
  CHECK(agent.Last<sync::Applied>()->version == 1);
  REQUIRE(agent.Last<sync::Report>().has_value());
  CHECK(agent.Last<sync::Report>()->announced->at(0).address == Ip("192.0.2.10"));
  CHECK(agent.Last<sync::Report>()->announced->at(0).rank == 1);
}

TEST_CASE("an address is not made local before the silence is in force", "[unit]") {
  CoreHarness agent;
  agent.Connect();
  agent.hold_silence = true;
  agent.Controller(CoreHarness::SnapshotOf(1, {Announce("192.0.2.10")}));
  CHECK(agent.Effected<AddAddress>() == 0);
  CHECK_FALSE(agent.Answers("192.0.2.10"));
  CHECK_FALSE(agent.Last<sync::Applied>().has_value());
  agent.Feed(agent.held.front());
  CHECK(agent.Answers("192.0.2.10"));
}

TEST_CASE("an address is not answered for, nor acknowledged, before it is local", "[unit]") {
  CoreHarness agent;
  agent.Connect();
  agent.hold_adds = true;
  agent.Controller(CoreHarness::SnapshotOf(1, {Announce("192.0.2.10")}));
  CHECK_FALSE(agent.Answers("192.0.2.10"));
  CHECK(agent.Gratuitous("192.0.2.10") == 0);
  CHECK_FALSE(agent.Last<sync::Applied>().has_value());
  while (!agent.held.empty()) {
    agent.Feed(agent.held.front());
    agent.held.pop_front();
  }
  CHECK(agent.Answers("192.0.2.10"));
  CHECK(agent.Last<sync::Applied>().has_value());
}

TEST_CASE("preparing and muting make an address local without a sound", "[unit]") {
  const Role role = GENERATE(Role::kPrepare, Role::kMute);
  CoreHarness agent = Connected({Assign("192.0.2.10", role)});
  agent.Advance(absl::Seconds(12));
  CHECK(agent.Local("192.0.2.10"));
  CHECK_FALSE(agent.Answers("192.0.2.10"));
  CHECK(agent.frames.empty());
  CHECK(agent.Last<sync::Applied>()->version == 1);
}

TEST_CASE("muting a gained address cancels its gratuitous repeats and keeps it local", "[unit]") {
  CoreHarness agent = Connected({Announce("192.0.2.10")});
  agent.Forget();
  agent.Controller(CoreHarness::DeltaOf(1, {Assign("192.0.2.10", Role::kMute, {1, 2})}));
  CHECK_FALSE(agent.Answers("192.0.2.10"));
  agent.Advance(absl::Seconds(12));
  CHECK(agent.frames.empty());
  CHECK(agent.Local("192.0.2.10"));
  CHECK(agent.Last<sync::Report>()->announced->empty());
  CHECK(agent.Last<sync::Applied>()->version == 2);
}

TEST_CASE("a removed address falls silent before it leaves, and its silence ends last", "[unit]") {
  CoreHarness agent = Connected({Announce("192.0.2.10"), Announce("192.0.2.11")});
  agent.Controller(CoreHarness::DeltaOf(1, {}, {{Ip("192.0.2.10"), false}}));
  CHECK_FALSE(agent.Answers("192.0.2.10"));
  CHECK_FALSE(agent.Local("192.0.2.10"));
  CHECK_FALSE(agent.silence.addresses.contains(Ip("192.0.2.10")));
  CHECK(agent.silence.addresses.contains(Ip("192.0.2.11")));
  CHECK_FALSE(agent.order_broken);
  CHECK(agent.Last<sync::Applied>()->version == 2);
}

TEST_CASE("the same state from a restarted controller changes nothing on the node or the LAN", "[unit]") {
  CoreHarness agent = Connected({Announce("192.0.2.10"), Assign("192.0.2.11", Role::kMute)});
  agent.Advance(absl::Seconds(12));
  agent.Feed(LinkDown{"gone"});
  agent.Connect();
  agent.Forget();
  agent.Controller(CoreHarness::SnapshotOf(
      9, {Announce("192.0.2.10", {2, 3}), Assign("192.0.2.11", Role::kMute, {2, 3})}, /*term=*/2));
  agent.Advance(absl::Seconds(12));
  CHECK(agent.Touches() == 0);
  CHECK(agent.Effected<Publish>() == 0);
  CHECK(agent.Last<sync::Applied>()->term == 2);
  CHECK(agent.Answers("192.0.2.10"));
}

TEST_CASE("a snapshot replaces everything that was wanted before", "[unit]") {
  CoreHarness agent = Connected({Announce("192.0.2.10"), Announce("192.0.2.11")});
  agent.Controller(CoreHarness::SnapshotOf(2, {Announce("192.0.2.11")}));
  CHECK_FALSE(agent.Local("192.0.2.10"));
  CHECK(agent.Answers("192.0.2.11"));
}

TEST_CASE("a message of a lower term is refused and names the term seen", "[unit]") {
  CoreHarness agent;
  agent.Connect();
  agent.Controller(CoreHarness::SnapshotOf(1, {Announce("192.0.2.10")}, /*term=*/7));
  agent.Controller(CoreHarness::SnapshotOf(5, {}, /*term=*/6));
  const auto rejected = agent.Last<sync::Rejected>();
  REQUIRE(rejected.has_value());
  CHECK(rejected->term == 6);
  CHECK(rejected->version == 5);
  CHECK(rejected->seen_term == 7);
  CHECK(rejected->rejections.at(0).code == RejectCode::kStaleTerm);
  CHECK(agent.Answers("192.0.2.10"));
}

TEST_CASE("a new term is on disk before anything is done by it", "[unit]") {
  CoreHarness agent;
  agent.Connect();
  agent.hold_disk = true;
  agent.Controller(CoreHarness::SnapshotOf(1, {Announce("192.0.2.10")}, /*term=*/7));
  CHECK(agent.disk->highest_term == 7);
  CHECK(agent.Effected<AddAddress>() == 0);
  agent.hold_disk = false;
  agent.Feed(agent.held.front());
  CHECK(agent.Answers("192.0.2.10"));
}

TEST_CASE("a full disk is no reason to refuse a new term", "[unit]") {
  CoreHarness agent;
  agent.disk_status = absl::ResourceExhaustedError("No space left on device");
  agent.Connect();
  agent.Controller(CoreHarness::SnapshotOf(1, {Announce("192.0.2.10")}, /*term=*/7));
  CHECK(agent.Answers("192.0.2.10"));
}

TEST_CASE("a disk that hangs holds a new term up for a second at most", "[unit]") {
  CoreHarness agent;
  agent.Connect();
  agent.hold_disk = true;
  agent.Controller(CoreHarness::SnapshotOf(1, {Announce("192.0.2.10")}, /*term=*/7));
  agent.Advance(absl::Milliseconds(1100));
  CHECK(agent.Answers("192.0.2.10"));
}

TEST_CASE("a delta for another version is refused", "[unit]") {
  CoreHarness agent = Connected({Announce("192.0.2.10")});
  const auto base = GENERATE(std::uint64_t{0}, std::uint64_t{2});
  agent.Controller(CoreHarness::DeltaOf(base, {}, {{Ip("192.0.2.10"), true}}));
  CHECK(agent.Last<sync::Rejected>()->rejections.at(0).code == RejectCode::kBadBaseVersion);
  CHECK(agent.Answers("192.0.2.10"));
}

TEST_CASE("what cannot be in force is refused by address, the rest is in force", "[unit]") {
  sync::Assignment missing = Announce("192.0.2.20");
  missing.interface = "eth7";
  sync::Assignment bgp = Announce("192.0.2.21");
  bgp.protocol = sync::Protocol::kBgp;
  CoreHarness agent = Connected({Announce("192.0.2.1"), Announce("192.0.2.10"), missing, bgp});
  const auto rejected = agent.Last<sync::Rejected>();
  REQUIRE(rejected.has_value());
  REQUIRE(rejected->rejections.size() == 3);
  CHECK(rejected->rejections[0].code == RejectCode::kOwnAddress);
  CHECK(rejected->rejections[1].code == RejectCode::kInterfaceMissing);
  CHECK(rejected->rejections[1].message.find("eth0") != std::string::npos);
  CHECK(rejected->rejections[2].code == RejectCode::kUnsupported);
  CHECK(agent.Answers("192.0.2.10"));
  CHECK_FALSE(agent.silence.addresses.contains(Ip("192.0.2.1")));
  CHECK_FALSE(agent.Local("192.0.2.1"));
}

TEST_CASE("F13 an agent with layer 2 off says so, answers for nothing and opens no port", "[unit]") {
  AgentConfig config = CoreHarness::Config();
  config.layer2 = false;
  CoreHarness agent({}, config);
  agent.Connect();
  CHECK(agent.Last<sync::Hello>()->layer2_off);
  // By a controller that takes no notice.
  agent.Controller(CoreHarness::SnapshotOf(1, {Announce("192.0.2.10")}));
  const auto rejected = agent.Last<sync::Rejected>();
  REQUIRE(rejected.has_value());
  REQUIRE(rejected->rejections.size() == 1);
  CHECK(rejected->rejections[0].code == RejectCode::kUnsupported);
  CHECK(rejected->rejections[0].message.find("--enable-layer2=false") != std::string::npos);
  CHECK_FALSE(agent.Answers("192.0.2.10"));
  CHECK_FALSE(agent.Local("192.0.2.10"));
  CHECK(agent.ports.empty());
}

TEST_CASE("an address that the kernel refuses is refused with the kernel's words, and tried again", "[unit]") {
  CoreHarness agent;
  agent.add_status = absl::ResourceExhaustedError("no buffer space");
  agent.Connect();
  agent.Controller(CoreHarness::SnapshotOf(1, {Announce("192.0.2.10")}));
  REQUIRE(agent.Last<sync::Rejected>().has_value());
  CHECK(agent.Last<sync::Rejected>()->rejections.at(0).code == RejectCode::kNetlinkError);
  CHECK(agent.Last<sync::Rejected>()->rejections.at(0).message.find("no buffer space") != std::string::npos);
  agent.add_status = absl::OkStatus();
  agent.Advance(absl::Milliseconds(1200));
  CHECK(agent.Local("192.0.2.10"));
  CHECK_FALSE(agent.Answers("192.0.2.10"));  // the leader may have given it to another node
  agent.Controller(CoreHarness::DeltaOf(1, {Announce("192.0.2.10", {1, 2})}));
  CHECK(agent.Answers("192.0.2.10"));
}

TEST_CASE("an address that was refused is asked about once the leader is lost, and then answered for", "[unit]") {
  CoreHarness agent;
  agent.add_status = absl::ResourceExhaustedError("no buffer space");
  agent.Connect();
  agent.Controller(CoreHarness::SnapshotOf(1, {Announce("192.0.2.10")}));
  agent.add_status = absl::OkStatus();
  agent.Advance(absl::Milliseconds(1200));
  agent.Feed(LinkDown{"gone"});
  CHECK_FALSE(agent.Answers("192.0.2.10"));
  agent.Advance(absl::Seconds(10));
  CHECK(agent.Answers("192.0.2.10"));
}

TEST_CASE("without nftables no address is made local or answered for", "[unit]") {
  CoreHarness agent;
  agent.silence_status = absl::UnimplementedError("load the module nft_arp");
  agent.Connect();
  agent.Controller(CoreHarness::SnapshotOf(1, {Announce("192.0.2.10")}));
  CHECK(agent.Last<sync::Rejected>()->rejections.at(0).code == RejectCode::kSilenceUnavailable);
  CHECK(agent.Effected<AddAddress>() == 0);
  CHECK_FALSE(agent.Answers("192.0.2.10"));
  CHECK_FALSE(agent.core().status().unready.empty());
}

TEST_CASE("a superseded agent falls silent, leaves the kernel alone and ends with code 3", "[unit]") {
  CoreHarness agent = Connected({Announce("192.0.2.10")});
  agent.Forget();
  agent.Controller(sync::Superseded{1, "instance-2", "a newer instance"});
  CHECK_FALSE(agent.Answers("192.0.2.10"));
  CHECK(agent.exit_code == 3);
  CHECK(agent.Touches() == 0);
  CHECK(agent.Local("192.0.2.10"));
}

TEST_CASE("cleanup takes everything off the node and from the disk, says so and ends", "[unit]") {
  CoreHarness agent = Connected({Announce("192.0.2.10")});
  agent.Controller(sync::Cleanup{1});
  CHECK_FALSE(agent.Answers("192.0.2.10"));
  CHECK_FALSE(agent.Local("192.0.2.10"));
  CHECK_FALSE(agent.disk.has_value());
  CHECK(agent.Last<sync::Report>()->announced->empty());
  CHECK(agent.Last<sync::Report>()->cleaned);
  CHECK(agent.exit_code == 0);
}

TEST_CASE("a cleanup that the kernel refuses is silent all the same, is not said to be one, and ends as a failure",
          "[unit]") {
  CoreHarness agent = Connected({Announce("192.0.2.10")});
  agent.cleanup_status = absl::UnavailableError("device or resource busy");
  agent.Controller(sync::Cleanup{1});
  CHECK_FALSE(agent.Answers("192.0.2.10"));
  CHECK_FALSE(agent.Last<sync::Report>()->cleaned);
  CHECK(agent.exit_code == 1);
}

}  // namespace
}  // namespace berth::agent
