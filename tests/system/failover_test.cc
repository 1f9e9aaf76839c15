// SPDX-License-Identifier: Apache-2.0
// What happens to addresses when agents die, vanish, freeze or leave: who takes over, how soon, and who must not.
#include <algorithm>
#include <catch2/catch.hpp>

#include "tests/system/stories.h"

namespace berth::system {
namespace {

TEST_CASE("a killed agent's addresses move within 200 ms, and only those", "[system]") {
  World world;
  Prepare(world, 3, 6);
  const auto before = world.Holders();
  const std::string victim = before.begin()->second;
  for (const auto& [address, holder] : before) world.client.AskEvery(address, absl::Milliseconds(10));
  world.Run(absl::Milliseconds(100));
  const absl::Time killed = world.Now();
  world.KillAgent(victim);
  const auto moved = [&] {
    for (const auto& [address, holder] : world.Holders()) {
      if (holder.empty()) return false;
    }
    return true;
  };
  REQUIRE(world.RunUntil(moved, absl::Milliseconds(200)));
  world.Run(absl::Seconds(2));
  for (const auto& [address, holder] : before) {
    INFO(address.ToString());
    if (holder == victim) {
      CHECK(world.HolderOf(address) != victim);
      CHECK(world.GratuitousSince(killed, address) >= 2);
      CHECK(world.client.neighbour(address) == world.NodeNamed(world.HolderOf(address)).mac);
    } else {
      CHECK(world.HolderOf(address) == holder);
      CHECK(world.GratuitousSince(killed, address) == 0);
      CHECK(world.client.Unanswered(address, killed, world.Now() - absl::Milliseconds(5)) == 0);
    }
  }
  CHECK(Text(world.client.double_answers()) == "");
}

TEST_CASE("a node that falls silent altogether loses its addresses within a second", "[system]") {
  World world;
  Prepare(world, 3, 3);
  const IpAddr vip = world.AddressOf("svc1");
  const std::string victim = world.HolderOf(vip);
  const auto allocations = world.Allocations();
  world.client.AskEvery(vip, absl::Milliseconds(10));
  world.NodeNamed(victim).port->drop_all = true;
  world.wire.Cut(victim, true);
  const auto moved = [&] {
    const auto all = world.Announcers(vip);
    return std::any_of(all.begin(), all.end(), [&](const std::string& n) { return n != victim; });
  };
  REQUIRE(world.RunUntil(moved, absl::Seconds(1)));
  world.Run(absl::Seconds(5));
  CHECK(world.Allocations() == allocations);
  CHECK(world.AgentState(victim) == model::AgentState::kLost);

  // It comes back, having announced all the while where nobody heard it: its successor keeps the address.
  const auto heirs = world.Announcers(vip);
  world.NodeNamed(victim).port->drop_all = false;
  world.wire.Cut(victim, false);
  world.lan_is_broken = true;  // until it has heard that it was succeeded
  REQUIRE(world.RunUntil([&] { return world.AgentState(victim) == model::AgentState::kReady; }, absl::Seconds(4)));
  world.Run(absl::Milliseconds(100));
  world.lan_is_broken = false;
  world.Run(absl::Seconds(5));
  REQUIRE(world.HolderOf(vip) != "");
  CHECK(world.HolderOf(vip) != victim);
}

TEST_CASE("what was said of an address whose holder was lost is over once that holder is back", "[system]") {
  World world;
  Prepare(world, 1, 1);
  const IpAddr vip = world.AddressOf("svc1");
  const auto silence = [&](bool silent) {
    world.NodeNamed("node1").port->drop_all = silent;
    world.wire.Cut("node1", silent);
  };
  silence(true);
  const auto told = [&] {
    return world.Explain(vip).message.find("is lost and no other node can hold it") != std::string::npos;
  };
  REQUIRE(world.RunUntil(told, absl::Seconds(5)));
  silence(false);
  REQUIRE(world.RunUntil([&] { return world.AgentState("node1") == model::AgentState::kReady; }, absl::Seconds(5)));
  world.Run(absl::Seconds(1));
  CHECK(world.HolderOf(vip) == "node1");
  CHECK(world.Explain(vip).state == model::AddressState::kAnnounced);
  CHECK(world.Explain(vip).message.empty());
}

TEST_CASE("an agent cut off from the controller alone keeps its addresses until it falls silent too", "[system]") {
  World world;
  Prepare(world, 3, 1);
  const IpAddr vip = world.AddressOf("svc1");
  const std::string holder = world.HolderOf(vip);
  world.client.AskEvery(vip, absl::Milliseconds(10));
  const absl::Time cut = world.Now();
  world.wire.Cut(holder, true);
  world.Run(absl::Seconds(10));
  CHECK(world.HolderOf(vip) == holder);
  CHECK(world.AgentState(holder) == model::AgentState::kControlLost);
  CHECK(world.client.Unanswered(vip, cut, world.Now() - absl::Milliseconds(5)) == 0);
  CHECK(world.GratuitousSince(cut, vip) == 0);

  world.KillAgent(holder);
  REQUIRE(world.RunUntil([&] { return world.HolderOf(vip) != ""; }, absl::Seconds(1)));
  CHECK(world.HolderOf(vip) != holder);
  CHECK(Text(world.client.double_answers()) == "");
}

TEST_CASE("a successor that is lost while it takes over is believed to announce until it falls silent", "[system]") {
  World world;
  world.AddNodes(3);
  const auto exclude = [&](const std::set<std::string>& names) {
    for (int i = 1; i <= 3; ++i) {
      model::Node object{.name = absl::StrCat("node", i), .labels = {}, .explicit_object = true};
      if (names.contains(object.name)) object.labels[model::kExcludeNodeLabel] = "";
      world.cluster.Put(object);
    }
  };
  exclude({"node2", "node3"});
  world.AddPool("edge", "192.168.50.100");
  world.StartAll();
  world.AddService("web");
  const IpAddr vip = Ip("192.168.50.100");
  REQUIRE(world.RunUntil([&] { return world.HolderOf(vip) == "node1"; }, absl::Seconds(10)));
  world.Run(absl::Seconds(2));
  // From when node2 announces, its controller hears no more of it.
  const auto announces = [&](const std::string& name) {
    const auto found = world.Announcers(vip);
    return std::find(found.begin(), found.end(), name) != found.end();
  };
  world.wire.on_message = [&, watch = world.wire.on_message](const FakeWire::Message& m) {
    return (m.node != "node2" || !announces("node2")) && watch(m);
  };
  exclude({"node1", "node3"});
  REQUIRE(world.RunUntil([&] { return announces("node2"); }, absl::Seconds(5)));
  REQUIRE(world.RunUntil([&] { return world.AgentState("node2") == model::AgentState::kLost; }, absl::Seconds(5)));
  exclude({"node1"});
  world.Run(absl::Seconds(5));
  CHECK_FALSE(announces("node3"));
  CHECK(world.HolderOf(vip) == "node2");
  CHECK(world.AgentState("node2") == model::AgentState::kControlLost);
  world.KillAgent("node2");
  REQUIRE(world.RunUntil([&] { return world.HolderOf(vip) == "node3"; }, absl::Seconds(2)));
}

TEST_CASE("T141 a node that comes back moves nothing", "[system]") {
  World world;
  Prepare(world, 3, 6);
  const std::string victim = world.Holders().begin()->second;
  world.KillAgent(victim);
  world.Run(absl::Seconds(15));
  const auto before = world.Holders();
  const absl::Time back = world.Now();
  world.StartAgent(victim);
  world.Run(absl::Seconds(15));
  CHECK(world.Holders() == before);
  CHECK(world.GratuitousSince(back) == 0);
}

TEST_CASE("an agent asked to end hands over without one question unanswered", "[system]") {
  World world;
  Prepare(world, 3, 4);
  const std::string leaving = world.Holders().begin()->second;
  for (const auto& [address, holder] : world.Holders()) world.client.AskEvery(address, absl::Milliseconds(10));
  world.Run(absl::Milliseconds(100));
  const absl::Time asked = world.Now();
  world.AgentOf(leaving).runner.Terminate();
  REQUIRE(world.RunUntil([&] { return world.AgentOf(leaving).exit_code.has_value(); }, absl::Seconds(1)));
  CHECK(world.AgentOf(leaving).exit_code == 0);
  world.KillAgent(leaving);
  world.Run(absl::Seconds(3));
  for (const auto& [address, holder] : world.Holders()) {
    INFO(address.ToString());
    CHECK(holder != "");
    CHECK(holder != leaving);
    CHECK(world.client.Unanswered(address, asked, world.Now() - absl::Milliseconds(5)) == 0);
  }
  CHECK(Text(world.client.double_answers()) == "");
}

TEST_CASE("an agent that stood still for 5 s never answers for what moved on meanwhile", "[system]") {
  World world;
  Prepare(world, 3, 3);
  const IpAddr vip = world.AddressOf("svc1");
  const std::string frozen = world.HolderOf(vip);
  world.client.AskEvery(vip, absl::Milliseconds(10));
  world.AgentOf(frozen).Freeze();
  world.Run(absl::Seconds(5));
  const std::string heir = world.HolderOf(vip);
  CHECK(heir != "");
  CHECK(heir != frozen);
  world.AgentOf(frozen).Thaw();
  world.Run(absl::Seconds(10));
  CHECK(world.HolderOf(vip) == heir);
  CHECK(Text(world.client.double_answers()) == "");
  CHECK(world.AgentState(frozen) == model::AgentState::kReady);
}

TEST_CASE("addresses leave a node whose interface loses its carrier", "[system]") {
  World world;
  Prepare(world, 3, 3);
  const IpAddr vip = world.AddressOf("svc1");
  const std::string victim = world.HolderOf(vip);
  const absl::Time lost = world.Now();
  world.NodeNamed(victim).port->carrier = false;
  world.NodeNamed(victim).kernel.fake().SetCarrier(kEth0, false);
  REQUIRE(world.RunUntil([&] { return world.HolderOf(vip) != "" && world.HolderOf(vip) != victim; },
                         absl::Milliseconds(200)));
  world.Run(absl::Seconds(1));
  CHECK_THAT(Text(EventsOf(world, "svc1", lost)),
             Catch::StartsWith(absl::StrCat("SetBalancer: address ", vip.ToString(), " moved from ", victim, " to ",
                                            world.HolderOf(vip), ": node can hold it no longer; took ")));
}

TEST_CASE("a controller that loses more than half of its agents at once moves nothing before it has listened anew",
          "[system]") {
  World world;
  Prepare(world, 4, 8);
  const auto before = world.Holders();
  const auto term = world.cluster.term();
  const absl::Time cut = world.Now();
  for (const char* node : {"node1", "node2", "node3"}) world.wire.Cut(node, true);
  world.Run(absl::Milliseconds(2500));
  CHECK(world.Holders() == before);
  CHECK(world.cluster.term() > term);
  for (const char* node : {"node1", "node2", "node3"}) world.wire.Cut(node, false);
  world.Run(absl::Seconds(10));
  CHECK(world.Holders() == before);
  CHECK(world.GratuitousSince(cut) == 0);
}

TEST_CASE("what a node rejected before its controller started over is asked of it anew", "[system]") {
  World world;
  Prepare(world, 2, 6);
  agent::FakeKernel& kernel = world.NodeNamed("node2").kernel.fake();
  kernel.Fail(agent::FakeKernel::Call::kAddAddress, absl::ResourceExhaustedError("no memory"));
  REQUIRE(world.Leader().runner.DrainNode("node1").ok());
  world.Run(absl::Seconds(1));
  const auto held = [&] {
    const auto holders = world.Holders();
    return std::count_if(holders.begin(), holders.end(), [](const auto& h) { return h.second == "node1"; });
  };
  CHECK(held() > 0);  // node2 cannot
  kernel.Fail(agent::FakeKernel::Call::kAddAddress, absl::OkStatus());
  const auto term = world.cluster.term();
  for (const char* node : {"node1", "node2"}) world.wire.Cut(node, true);
  world.Run(absl::Seconds(2));
  CHECK(world.cluster.term() > term);
  for (const char* node : {"node1", "node2"}) world.wire.Cut(node, false);
  CHECK(world.RunUntil([&] { return held() == 0; }, absl::Seconds(15)));
}

}  // namespace
}  // namespace berth::system
