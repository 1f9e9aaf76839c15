// SPDX-License-Identifier: Apache-2.0
// The doctor in a running cluster: what agents say of their nodes, and what the LAN says when it is asked.
#include "controller/doctor/doctor.h"

#include <catch2/catch.hpp>
#include <set>

#include "absl/strings/str_cat.h"
#include "tests/system/stories.h"

namespace berth::system {
namespace {

using Catch::Contains;
using model::FindingView;
using Severity = FindingView::Severity;

model::LanCensus Examine(World& world, core::CoreRunner& runner) {
  std::optional<model::LanCensus> census;
  runner.Examine([&](const model::LanCensus& c) { census = c; });
  REQUIRE(world.RunUntil([&] { return census.has_value(); }, absl::Milliseconds(1001)));
  return *census;
}

std::vector<FindingView> Diagnose(World& world, core::CoreRunner& runner) {
  const model::LanCensus census = Examine(world, runner);
  return doctor::Diagnose({.version = "test",
                           .wall_now = world.loop.WallNow(),
                           .status = runner.Status(),
                           .pools = runner.Pools(),
                           .services = runner.Services(),
                           .addresses = runner.Addresses(),
                           .agents = runner.Agents(),
                           .census = census});
}
std::vector<FindingView> Diagnose(World& world) { return Diagnose(world, world.Leader().runner); }

FindingView Only(World& world) {
  const std::vector<FindingView> found = Diagnose(world);
  for (const FindingView& f : found) UNSCOPED_INFO(f.object << ": " << f.message);
  REQUIRE(found.size() == 1);
  CHECK_FALSE(found[0].cure.empty());
  return found[0];
}

// Nodes with a link-local address each, and a Service with an address of each family.
void PrepareBoth(World& world, int nodes) {
  world.AddNodes(nodes);
  for (const auto& [name, node] : world.nodes) {
    node->kernel.fake().AddForeignAddress(kEth0, *Cidr::Parse(absl::StrCat("fe80::", name.substr(4), "/64")));
  }
  world.AddPool("four", "192.168.50.100-192.168.50.110");
  world.AddPool("six", "fd00:50::100-fd00:50::10f");
  world.StartAll();
  model::Service service = World::MakeService("svc");
  service.ip_families = {Family::kIpv4, Family::kIpv6};
  service.ip_family_policy = model::IpFamilyPolicy::kRequireDualStack;
  world.AddService(service);
  world.Run(absl::Seconds(12));
  REQUIRE(world.AddressesOf("svc").size() == 2);
}

TEST_CASE("the doctor finds nothing in a cluster that is well, and disturbs nothing", "[system]") {
  World world;
  PrepareBoth(world, GENERATE(1, 2, 3));
  const absl::Time from = world.Now();
  const auto holders = world.Holders();
  const model::LanCensus census = Examine(world, world.Leader().runner);
  CHECK(census.announced == 2);
  CHECK(census.asked == 2);
  CHECK(census.addresses.size() == 2);
  CHECK(census.unheard.empty());
  CHECK(Diagnose(world).empty());
  CHECK(world.GratuitousSince(from) == 0);
  CHECK(world.Holders() == holders);
  CHECK(world.WhatMoved(absl::Seconds(60)) == "");
}

TEST_CASE("the doctor finds a kernel that is not silent, by ARP and by neighbour solicitation", "[system]") {
  const int nodes = GENERATE(2, 3);
  const bool six = GENERATE(false, true);
  const bool agent_is_dead = GENERATE(false, true);
  CAPTURE(nodes, six, agent_is_dead);
  World world;
  PrepareBoth(world, nodes);
  const IpAddr vip = world.AddressesOf("svc")[six ? 1 : 0];
  const std::string holder = world.HolderOf(vip);
  for (const auto& [name, node] : world.nodes) {
    if (name == holder) continue;
    // Each node but the holder in its turn: whoever asks, and for itself, it is found.
    const Cidr single = *Cidr::Make(vip, FamilyBits(vip.family()));
    agent::FakeKernel& kernel = node->kernel.fake();
    kernel.AddForeignAddress(kEth0, single);
    if (agent_is_dead) {
      world.KillAgent(name);
      kernel.FlushRuleset();
      world.Run(absl::Seconds(1));
    }
    CHECK(kernel.WouldAnswer(kEth0, vip));
    const std::vector<FindingView> all = Diagnose(world);
    REQUIRE(all.size() == (agent_is_dead ? 2 : 1));  // and lost
    const FindingView& found = all[0];
    CHECK(found.severity == Severity::kError);
    CHECK(found.object == absl::StrCat("agent ", name));
    CHECK_THAT(found.message, Contains(vip.ToString()) && Contains(node->mac.ToString()) && Contains("not silent"));
    CHECK_THAT(found.cure, Contains("nft list table arp berth"));
    CHECK(world.HolderOf(vip) == holder);  // asking moved nothing
    kernel.RemoveForeignAddress(kEth0, single);
    if (agent_is_dead) world.StartAgent(name);
    world.Run(absl::Seconds(1));
    CHECK(Diagnose(world).empty());
  }
}

TEST_CASE("the doctor finds a kernel that its own agent believes to be silent, whoever asks", "[system]") {
  World world;
  PrepareBoth(world, 3);
  const IpAddr vip = world.AddressesOf("svc")[0];
  for (const auto& [name, node] : world.nodes) {
    if (name == world.HolderOf(vip)) continue;
    agent::FakeKernel& kernel = node->kernel.fake();
    kernel.SetLink({.index = 20, .name = "kube-ipvs0", .ethernet = false, .addresses = {{*Cidr::Make(vip, 32)}}});
    world.Run(absl::Seconds(1));
    CHECK_FALSE(kernel.WouldAnswer(kEth0, vip));
    CHECK(Diagnose(world).empty());
    kernel.BreakSilence();
    const FindingView found = Only(world);
    CHECK(found.object == absl::StrCat("agent ", name));
    CHECK_THAT(found.message, Contains(vip.ToString()) && Contains("not silent"));
    kernel.RemoveLink(20);
    world.Run(absl::Seconds(1));
  }
}

TEST_CASE("the doctor finds a stranger that answers, and a holder that nobody hears", "[system]") {
  World world;
  PrepareBoth(world, 3);
  const IpAddr vip = world.AddressesOf("svc")[0];
  SECTION("a stranger") {
    world.gateway.Own(vip);
    const FindingView found = Only(world);
    CHECK(found.severity == Severity::kError);
    CHECK(found.object == absl::StrCat("address ", vip.ToString()));
    CHECK_THAT(found.message, Contains(world.gateway.mac().ToString()));
  }
  SECTION("nobody hears the holder") {
    world.lan_is_broken = true;
    const std::string holder = world.HolderOf(vip);
    world.NodeNamed(holder).port->group = 1;
    const std::vector<FindingView> found = Diagnose(world);
    REQUIRE_FALSE(found.empty());
    CHECK(found[0].severity == Severity::kError);
    CHECK(found[0].object == absl::StrCat("agent ", holder));
    CHECK_THAT(found[0].message, Contains(vip.ToString()) && Contains("no answer"));
  }
}

TEST_CASE("the doctor has agents look at their nodes just then, and hands on what they find", "[system]") {
  World world;
  PrepareBoth(world, 3);
  agent::FakeNodeReader& node2 = world.NodeNamed("node2").settings;
  const int reads = node2.reads;
  node2.facts.forwarding6 = false;
  FindingView found = Only(world);
  CHECK(node2.reads == reads + 1);
  CHECK(found.object == "agent node2");
  CHECK_THAT(found.cure, Contains("net.ipv6.conf.all.forwarding=1"));
  CHECK_THAT(world.Leader().runner.Agents()[1].message, Contains("berthctl doctor"));
  node2.facts.forwarding6 = true;
  node2.ahead = absl::Seconds(5);
  found = Only(world);
  CHECK(found.object == "agent node2");
  CHECK_THAT(found.message, Contains("5s ahead"));
  node2.ahead = absl::ZeroDuration();
  CHECK(Diagnose(world).empty());
  CHECK(world.WhatMoved(absl::Seconds(60)) == "");
}

TEST_CASE("an agent that does not know of the doctor is not asked, and goes on", "[system]") {
  World world;
  PrepareBoth(world, 2);
  // One that reads no settings tells no time, as an older one.
  Node& node = world.NodeNamed("node2");
  node.tells_time = false;
  world.KillAgent("node2");
  world.StartAgent("node2");
  world.Run(absl::Seconds(4));
  const int reads = node.settings.reads;
  const model::LanCensus census = Examine(world, world.Leader().runner);
  CHECK(census.unheard.empty());
  CHECK(node.settings.reads == reads);
  for (const auto& address : census.addresses) {
    for (const model::LanAnswer& answer : address.answers) CHECK(answer.asker == "node1");
  }
  CHECK(world.AgentState("node2") == model::AgentState::kReady);
}

TEST_CASE("the doctor tells of agents that send each other away, and of one that has not come back", "[system]") {
  World world;
  PrepareBoth(world, 3);
  SECTION("two DaemonSets") {
    world.StartAgent("node3");
    world.Run(absl::Seconds(2));
    CHECK(Diagnose(world).empty());  // an upgrade
    world.StartAgent("node3");
    world.Run(absl::Seconds(2));
    const FindingView found = Only(world);
    CHECK(found.severity == Severity::kError);
    CHECK(found.object == "agent node3");
    CHECK_THAT(found.message, Contains("send each other away, 2 times"));
    world.Run(absl::Seconds(60));
    CHECK(Diagnose(world).empty());
  }
  SECTION("one is known from before") {
    world.KillController("a");
    world.KillAgent("node3");
    world.StartController("a");
    world.Run(absl::Seconds(8));
    const FindingView found = Only(world);
    CHECK(found.severity == Severity::kWarning);
    CHECK(found.object == "agent node3");
    CHECK_THAT(found.message, Contains("has not connected"));
  }
}

TEST_CASE("one examination serves all who ask meanwhile, and ends with an agent or the leadership", "[system]") {
  World world;
  PrepareBoth(world, 3);
  core::CoreRunner& runner = world.Leader().runner;
  int done = 0;
  const auto count = [&](const model::LanCensus&) { ++done; };
  const auto probes = [&] { return world.lan.captured().size(); };
  SECTION("shared") {
    const std::size_t before = probes();
    Examine(world, runner);
    const std::size_t one = probes() - before;
    runner.Examine(count);
    runner.Examine(count);
    world.Run(absl::Milliseconds(100));
    runner.Examine(count);
    world.Run(absl::Seconds(1));
    CHECK(done == 3);
    CHECK(probes() - before == 2 * one);
  }
  SECTION("an agent dies meanwhile") {
    runner.Examine(count);
    world.Run(absl::Milliseconds(10));
    world.KillAgent("node3");
    world.Run(absl::Seconds(1));
    CHECK(done == 1);
  }
  SECTION("an agent stands still meanwhile") {
    world.AgentOf("node3").Freeze();
    runner.Examine(count);
    world.Run(absl::Milliseconds(1001));
    CHECK(done == 1);
    world.AgentOf("node3").Thaw();
  }
  SECTION("a standby asks nobody") {
    world.StartController("b");
    world.Run(absl::Seconds(1));
    core::CoreRunner& standby = world.controllers.at("b")->runner;
    const std::size_t before = probes();
    const std::vector<FindingView> found = Diagnose(world, standby);
    CHECK(probes() == before);
    REQUIRE(found.size() == 1);
    CHECK_THAT(found[0].cure, Contains("exec a -- berthctl doctor"));
  }
}

TEST_CASE("of many addresses 256 are asked about, and the next ones the next time", "[system]") {
  World world;
  world.AddNodes(2);
  world.AddPool("edge", "10.0.0.1-10.0.1.44");
  world.StartAll();
  for (int i = 0; i < 300; ++i) world.AddService(absl::StrCat("svc", i));
  REQUIRE(world.RunUntil([&] { return Examine(world, world.Leader().runner).announced == 300; }, absl::Seconds(30)));
  std::set<IpAddr> asked;
  for (int call = 0; call < 2; ++call) {
    const model::LanCensus census = Examine(world, world.Leader().runner);
    CHECK(census.announced == 300);
    CHECK(census.asked == 256);
    REQUIRE(census.addresses.size() == 256);
    for (const auto& address : census.addresses) asked.insert(address.address);
  }
  CHECK(asked.size() == 300);
}

}  // namespace
}  // namespace berth::system
