// SPDX-License-Identifier: Apache-2.0
// What happens to the node under the agent: drift, links, leftovers.
#include <catch2/catch.hpp>

#include "tests/unit/agent/core/core_harness.h"

namespace berth::agent {
namespace {

using sync::Role;

TEST_CASE("an address deleted by hand is added again while it is answered for", "[unit]") {
  CoreHarness agent = Settled({Announce("192.0.2.10")});
  agent.LinkAt(kBerth0).addresses.clear();
  agent.ShowKernel();
  CHECK(agent.Local("192.0.2.10"));
  CHECK(agent.repairs == 1);
  CHECK(agent.Answers("192.0.2.10"));
  CHECK(agent.frames.empty());
}

TEST_CASE("whoever takes an address off again and again is answered once a second", "[unit]") {
  CoreHarness agent = Settled({Announce("192.0.2.10")});
  for (int i = 0; i < 20; ++i) {
    agent.LinkAt(kBerth0).addresses.clear();
    agent.ShowKernel();
    agent.Advance(absl::Milliseconds(100));
  }
  CHECK(agent.repairs >= 2);
  CHECK(agent.repairs <= 3);
  agent.Advance(absl::Seconds(2));
  CHECK(agent.Local("192.0.2.10"));
}

TEST_CASE("an agent out of contact leaves alone what another agent of its node makes local", "[unit]") {
  CoreHarness agent = Settled({Announce("192.0.2.10")});
  agent.Feed(LinkDown{"gone"});
  agent.LinkAt(kBerth0).addresses.push_back(Ours("192.0.2.99"));
  agent.ShowKernel();
  agent.Advance(absl::Seconds(30));
  CHECK(agent.Local("192.0.2.99"));
}

TEST_CASE("a flushed silence is applied again at once", "[unit]") {
  CoreHarness agent = Settled({Announce("192.0.2.10")});
  agent.silence = {};
  agent.Feed(SilenceDisturbed{});
  CHECK(agent.silence.addresses.contains(Ip("192.0.2.10")));
  CHECK(agent.repairs == 1);
}

TEST_CASE("a removed interface of ours is made again with its addresses", "[unit]") {
  CoreHarness agent = Settled({Announce("192.0.2.10")});
  std::erase_if(agent.kernel.links, [](const Link& l) { return l.index == kBerth0; });
  agent.ShowKernel();
  CHECK(agent.Local("192.0.2.10"));
  CHECK(agent.Answers("192.0.2.10"));
  CHECK(agent.frames.empty());
}

TEST_CASE("a new MAC of the interface is announced to the LAN", "[unit]") {
  CoreHarness agent = Settled({Announce("192.0.2.10")});
  agent.LinkAt(kEth0).mac = kMacC;
  agent.ShowKernel();
  CHECK(agent.table->interfaces.at(kEth0).mac == kMacC);
  REQUIRE(agent.Gratuitous("192.0.2.10") == 2);
  CHECK(agent.frames[0].packet.sender_mac == kMacC);
  CHECK(agent.Last<sync::Report>()->interfaces->at(0).mac == kMacC);
}

TEST_CASE("an interface without carrier silences its addresses until it is back and the leader confirms them",
          "[unit]") {
  CoreHarness agent = Settled({Announce("192.0.2.10")});
  agent.LinkAt(kEth0).carrier = false;
  agent.ShowKernel();
  CHECK_FALSE(agent.Answers("192.0.2.10"));
  CHECK(agent.Local("192.0.2.10"));
  REQUIRE(agent.Last<sync::Report>().has_value());
  CHECK_FALSE(agent.Last<sync::Report>()->interfaces->at(0).up);
  CHECK(agent.Last<sync::Report>()->announced->empty());
  agent.Forget();
  agent.LinkAt(kEth0).carrier = true;
  agent.ShowKernel();
  CHECK_FALSE(agent.Answers("192.0.2.10"));  // somebody else may have taken over meanwhile
  CHECK(agent.Gratuitous("192.0.2.10") == 0);
  agent.Controller(CoreHarness::DeltaOf(1, {Announce("192.0.2.10", {1, 2})}));
  CHECK(agent.Answers("192.0.2.10"));
  CHECK(agent.Gratuitous("192.0.2.10") == 2);
}

TEST_CASE("a leader's first word from before an interface came back does not make it speak", "[unit]") {
  CoreHarness agent = Settled({Announce("192.0.2.10")});
  agent.Feed(LinkDown{"gone"});
  agent.Connect();
  agent.LinkAt(kEth0).carrier = false;
  agent.ShowKernel();
  agent.Controller(CoreHarness::SnapshotOf(1, {Announce("192.0.2.10")}));  // it was on its way
  REQUIRE(agent.Last<sync::Rejected>().has_value());
  agent.Forget();
  agent.LinkAt(kEth0).carrier = true;
  agent.ShowKernel();
  CHECK_FALSE(agent.Answers("192.0.2.10"));  // by now the leader has it that this node cannot have it
  CHECK(agent.Gratuitous("192.0.2.10") == 0);
  agent.Controller(CoreHarness::DeltaOf(1, {Announce("192.0.2.10", {1, 2})}));
  CHECK(agent.Answers("192.0.2.10"));
}

TEST_CASE("an interface that cannot be listened on is reported and tried again", "[unit]") {
  CoreHarness agent = Settled({Announce("192.0.2.10")});
  agent.Feed(PortError{kEth0, absl::UnavailableError("That device is not up")});
  CHECK_FALSE(agent.Answers("192.0.2.10"));
  CHECK(agent.Last<sync::Report>()->announced->empty());
  agent.Forget();
  agent.Advance(absl::Milliseconds(1300));
  CHECK(agent.Effected<SetInterfaces>() == 1);
  CHECK_FALSE(agent.Answers("192.0.2.10"));  // deaf for a while: the leader is asked first
  agent.Controller(CoreHarness::DeltaOf(1, {Announce("192.0.2.10", {1, 2})}));
  CHECK(agent.Answers("192.0.2.10"));
}

TEST_CASE("addresses on kube-ipvs0 are silenced whoever put them there", "[unit]") {
  CoreHarness agent;
  agent.vip = "kube-ipvs0";
  Link kube;
  kube.index = kKube;
  kube.name = "kube-ipvs0";
  kube.addresses = {Own("10.96.0.1/32"), Own("192.0.2.10/32")};
  agent.kernel.links.push_back(kube);
  agent.Connect();
  CHECK(agent.silence.addresses == std::set<IpAddr>{Ip("10.96.0.1"), Ip("192.0.2.10")});
  agent.Controller(CoreHarness::SnapshotOf(1, {Announce("192.0.2.10")}));
  CHECK(agent.Effected<AddAddress>() == 0);
  CHECK(agent.Answers("192.0.2.10"));
}

TEST_CASE("an address leaves a shared interface only when its last Service is gone", "[unit]") {
  CoreHarness agent;
  agent.vip = "kube-ipvs0";
  agent.Connect();
  agent.Controller(CoreHarness::SnapshotOf(1, {Announce("192.0.2.10"), Announce("192.0.2.11")}));
  agent.Controller(CoreHarness::DeltaOf(1, {}, {{Ip("192.0.2.10"), false}, {Ip("192.0.2.11"), true}}));
  CHECK(agent.Local("192.0.2.10", kKube));
  CHECK(agent.silence.addresses.contains(Ip("192.0.2.10")));
  CHECK_FALSE(agent.Local("192.0.2.11", kKube));
  agent.Controller(CoreHarness::DeltaOf(2, {}, {{Ip("192.0.2.10"), true}}));
  CHECK_FALSE(agent.Local("192.0.2.10", kKube));
}

TEST_CASE("leftovers stay, silent, until the first snapshot says what is not ours any more", "[unit]") {
  CoreHarness agent;
  Link berth0;
  berth0.index = kBerth0;
  berth0.name = "berth0";
  berth0.addresses = {Ours("192.0.2.10"), Ours("192.0.2.11")};
  agent.kernel.links.push_back(berth0);
  agent.Connect();
  agent.Advance(absl::Seconds(5));
  CHECK(agent.Local("192.0.2.10"));
  CHECK(agent.silence.addresses.contains(Ip("192.0.2.10")));
  CHECK_FALSE(agent.Answers("192.0.2.10"));
  CHECK(agent.Last<sync::Hello>()->local == std::vector<IpAddr>{Ip("192.0.2.10"), Ip("192.0.2.11")});
  agent.Controller(CoreHarness::SnapshotOf(1, {Announce("192.0.2.11")}));
  CHECK_FALSE(agent.Local("192.0.2.10"));
  CHECK(agent.Answers("192.0.2.11"));
  CHECK(agent.Effected<AddAddress>() == 0);
}

TEST_CASE("an address that the node takes for itself is given up and no longer silenced", "[unit]") {
  CoreHarness agent = Settled({Announce("192.0.2.10")});
  agent.LinkAt(kEth0).addresses.push_back(Own("192.0.2.10/24"));
  agent.ShowKernel();
  CHECK_FALSE(agent.Answers("192.0.2.10"));
  CHECK_FALSE(agent.silence.addresses.contains(Ip("192.0.2.10")));
  CHECK_FALSE(agent.Local("192.0.2.10"));
}

TEST_CASE("with --vip-interface=none nothing is made local and addresses are answered for", "[unit]") {
  AgentConfig config = CoreHarness::Config();
  config.vip_interface = "none";
  CoreHarness agent({}, config);
  agent.vip = "";
  agent.Connect();
  agent.Controller(CoreHarness::SnapshotOf(1, {Announce("192.0.2.10")}));
  CHECK(agent.Answers("192.0.2.10"));
  CHECK(agent.Effected<AddAddress>() == 0);
  CHECK(agent.Last<sync::Applied>().has_value());
}

TEST_CASE("a missing named interface for addresses is refused with its reason and found later", "[unit]") {
  CoreHarness agent;
  agent.vip_status = absl::NotFoundError("interface \"vips\" does not exist");
  agent.Connect();
  agent.Controller(CoreHarness::SnapshotOf(1, {Announce("192.0.2.10")}));
  REQUIRE(agent.Last<sync::Rejected>().has_value());
  CHECK(agent.Last<sync::Rejected>()->rejections.at(0).message.find("vips") != std::string::npos);
  agent.vip_status = absl::OkStatus();
  agent.Advance(absl::Milliseconds(1100));
  CHECK(agent.Local("192.0.2.10"));
  agent.Controller(CoreHarness::DeltaOf(1, {Announce("192.0.2.10", {1, 2})}));
  CHECK(agent.Answers("192.0.2.10"));
}

}  // namespace
}  // namespace berth::agent
