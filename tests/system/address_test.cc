// SPDX-License-Identifier: Apache-2.0
// The life of an address: given, moved, shared, released, quarantined, contested.
#include <catch2/catch.hpp>
#include <set>

#include "tests/system/stories.h"

namespace berth::system {
namespace {

MacAddr StrangerMac() { return MacAddr({0x02, 0, 0, 0, 0, 0xee}); }

// It is the one address of the Eip that the status says a stranger answers for.
void CheckConflicted(const World& world, const IpAddr& address) {
  const auto status = world.cluster.pool_status("edge");
  REQUIRE(status);
  REQUIRE(status->conflicted.size() == 1);
  CHECK(status->conflicted[0].address == address.ToString());
  CHECK_FALSE(status->conflicted[0].mac.empty());
}

TEST_CASE("F10 a Service that is deleted leaves a silent address, and the next one gets it", "[system]") {
  World world;
  Prepare(world, 3, 2);
  const IpAddr vip = world.AddressOf("svc1");
  const std::string holder = world.HolderOf(vip);
  world.DeleteService("svc1");
  REQUIRE(world.RunUntil([&] { return !world.cluster.service({"default", "svc1"}); }, absl::Seconds(1)));
  world.Run(absl::Milliseconds(100));
  CHECK(world.Announcers(vip).empty());
  CHECK_FALSE(world.NodeNamed(holder).kernel.fake().IsLocal(vip));
  world.client.Ask(vip);
  world.Run(absl::Milliseconds(50));
  CHECK(world.client.queries(vip).back().answers.empty());
  world.AddService("next");
  world.Run(absl::Seconds(2));
  CHECK(world.AddressOf("next") == vip);
  CHECK(world.HolderOf(vip) != "");
}

TEST_CASE("an address let go of while its agent is out of reach is given to nobody before that agent lets go too",
          "[system]") {
  World world;
  world.AddNodes(3);
  world.AddPool("single", "192.168.50.100");
  world.StartAll();
  world.AddService("old");
  world.Run(absl::Seconds(12));
  const IpAddr vip = Ip("192.168.50.100");
  const std::string holder = world.HolderOf(vip);
  REQUIRE(holder != "");
  world.wire.Cut(holder, true);
  world.Run(absl::Seconds(3));
  world.DeleteService("old");
  REQUIRE(world.RunUntil([&] { return !world.cluster.service({"default", "old"}); }, absl::Seconds(4)));
  world.AddService("new");
  world.Run(absl::Seconds(20));
  CHECK(world.AddressesOf("new").empty());
  CHECK(world.HolderOf(vip) == holder);
  CHECK(world.Unexplained().empty());

  SECTION("which it does once it is back") { world.wire.Cut(holder, false); }
  SECTION("or falls silent") { world.KillAgent(holder); }
  REQUIRE(world.RunUntil([&] { return world.AddressOf("new") == vip; }, absl::Seconds(12)));
  CHECK(world.RunUntil([&] { return world.HolderOf(vip) != ""; }, absl::Seconds(2)));
}

TEST_CASE("an address that a Service waits for is asked about while its release is written", "[system]") {
  World world;
  LanHost stranger(world.loop, world.lan, "stranger", StrangerMac(), Ip("192.168.50.222"));
  world.AddNodes(2);
  world.AddPool("edge", "192.168.50.100");
  world.StartAll();
  world.AddService("web");
  world.Run(absl::Seconds(1));
  const IpAddr vip = Ip("192.168.50.100");
  REQUIRE(world.HolderOf(vip) != "");
  world.AddService("next");
  world.Run(absl::Seconds(1));
  world.cluster.DelayWrites(absl::Milliseconds(500));
  world.cluster.DeleteService({"default", "web"});
  const auto gone = [&] { return !world.cluster.service({"default", "web"}); };
  const auto given = [&] { return world.AddressOf("next") == vip; };
  SECTION("and given away as soon as it is free") {
    REQUIRE(world.RunUntil(gone, absl::Seconds(1)));
    REQUIRE(world.RunUntil(given, absl::Milliseconds(510)));
    CHECK(world.RunUntil([&] { return world.HolderOf(vip) != ""; }, absl::Milliseconds(50)));
  }
  SECTION("and not at all where a stranger has taken it") {
    world.Run(absl::Milliseconds(100));
    stranger.Own(vip);
    REQUIRE(world.RunUntil(gone, absl::Seconds(1)));
    world.Run(absl::Seconds(3));
    CHECK_FALSE(given());
    CheckConflicted(world, vip);
  }
  SECTION("and again where that is long ago") {
    world.cluster.DelayWrites(absl::Seconds(4));
    world.Run(absl::Milliseconds(500));
    stranger.Own(vip);
    REQUIRE(world.RunUntil(gone, absl::Seconds(5)));
    world.Run(absl::Seconds(3));
    CHECK_FALSE(given());
    CheckConflicted(world, vip);
  }
}

TEST_CASE("an address that a stranger answers for is skipped and told of", "[system]") {
  World world;
  LanHost stranger(world.loop, world.lan, "stranger", StrangerMac(), Ip("192.168.50.100"));
  world.AddNodes(2);
  world.AddPool("edge", "192.168.50.100-192.168.50.110");
  world.StartAll();
  world.AddService("web");
  world.Run(absl::Seconds(5));
  CHECK(world.AddressOf("web") == Ip("192.168.50.101"));
  CheckConflicted(world, Ip("192.168.50.100"));
  CHECK(world.Announcers(Ip("192.168.50.100")).empty());
}

TEST_CASE("an address that a stranger had is asked about each minute, and given to the next Service once it is free",
          "[system]") {
  const bool six = GENERATE(false, true);
  World world;
  LanHost stranger(world.loop, world.lan, "stranger", StrangerMac(), Ip("192.168.50.222"));
  const IpAddr first = Ip(six ? "fd00:50::100" : "192.168.50.100");
  const IpAddr second = Ip(six ? "fd00:50::101" : "192.168.50.101");
  stranger.Own(first);
  world.AddNodes(2);
  world.AddPool("edge", six ? "fd00:50::100-fd00:50::10f" : "192.168.50.100-192.168.50.110");
  const auto add = [&](const std::string& name) {
    model::Service service = World::MakeService(name);
    service.ip_families = {six ? Family::kIpv6 : Family::kIpv4};
    world.AddService(service);
  };
  const auto conflicted = [&] {
    const auto status = world.cluster.pool_status("edge");
    return status && status->conflicted.size() == 1 && status->conflicted[0].address == first.ToString();
  };
  world.StartAll();
  add("web");
  world.Run(absl::Seconds(2));
  CHECK(world.AddressOf("web") == second);
  CHECK(conflicted());
  const absl::Time from = world.Now();
  world.Run(absl::Minutes(3));  // it stays, whatever else happens
  CHECK(conflicted());
  std::set<absl::Time> asked;
  for (const VirtualLan::Captured& c : world.lan.captured()) {
    if (c.at >= from && c.arp.target_ip == first && c.arp.sender_ip.is_unspecified()) {
      asked.insert(absl::UnixEpoch() + absl::Floor(c.at - from, absl::Minutes(1)));
    }
  }
  CHECK(asked.size() == 3);

  stranger.Disown(first);
  REQUIRE(world.RunUntil([&] { return !conflicted(); }, absl::Seconds(62)));
  CHECK(world.cluster.pool_status("edge")->conflicted.empty());
  CHECK(world.AddressOf("web") == second);
  add("next");
  REQUIRE(world.RunUntil([&] { return world.HolderOf(first) != ""; }, absl::Seconds(2)));
  CHECK(world.AddressOf("next") == first);
}

TEST_CASE("a machine whose Node has been gone for long is known no more, and a stranger where it answers", "[system]") {
  const bool in_contact = GENERATE(false, true);  // when its object goes
  World world;
  const IpAddr first = Ip("192.168.50.100");
  world.AddNodes(3);
  for (const auto& [name, node] : world.nodes) {
    world.cluster.Put(model::Node{.name = name, .labels = {}, .explicit_object = true});
  }
  world.AddPool("edge", "192.168.50.100-192.168.50.110");
  world.StartAll();
  const auto on_record = [&] {
    return std::any_of(world.cluster.agents().begin(), world.cluster.agents().end(),
                       [](const auto& known) { return known.node == "node3"; });
  };
  REQUIRE(on_record());
  if (!in_contact) world.KillAgent("node3");
  world.Run(absl::Seconds(3));
  world.cluster.DeleteNode("node3");
  world.Run(absl::Seconds(1));
  CHECK(on_record() == in_contact);
  if (in_contact) world.KillAgent("node3");
  world.Run(absl::Minutes(6));
  CHECK_FALSE(on_record());

  LanHost reused(world.loop, world.lan, "reused", world.NodeNamed("node3").mac, first);
  world.AddService("web");
  world.Run(absl::Seconds(5));
  CHECK(world.AddressOf("web") == Ip("192.168.50.101"));
  CheckConflicted(world, first);
  CHECK(world.HasEvent("AddressConflict", first.ToString()));
}

TEST_CASE("T128 a stranger that claims an address later is reported, and defended against once in 10 s at most",
          "[system]") {
  World world;
  LanHost stranger(world.loop, world.lan, "stranger", StrangerMac(), Ip("192.168.50.222"));
  Prepare(world, 3, 1);
  const IpAddr vip = world.AddressOf("svc1");
  const std::string holder = world.HolderOf(vip);
  const absl::Time from = world.Now();
  for (int i = 0; i < 60; ++i) {
    stranger.Announce(vip);
    world.Run(absl::Milliseconds(500));
  }
  CHECK(world.HolderOf(vip) == holder);
  CHECK(world.Explain(vip).state == model::AddressState::kConflict);
  const auto& all = world.lan.captured();
  std::set<absl::Time> defences;
  for (const VirtualLan::Captured& c : all) {
    if (c.at >= from && c.from == holder && c.arp.gratuitous()) defences.insert(c.at);
  }
  CHECK(!defences.empty());
  CHECK(defences.size() <= 3);
  CHECK(world.HasEvent("SetBalancer", StrangerMac().ToString()));
  world.Run(absl::Seconds(40));
  CHECK(world.Explain(vip).state == model::AddressState::kAnnounced);
}

TEST_CASE("T128 a claim that ends while its holder is out of contact ends for the controller too", "[system]") {
  World world;
  LanHost stranger(world.loop, world.lan, "stranger", StrangerMac(), Ip("192.168.50.222"));
  Prepare(world, 3, 1);
  const IpAddr vip = world.AddressOf("svc1");
  const std::string holder = world.HolderOf(vip);
  stranger.Announce(vip);
  world.Run(absl::Milliseconds(100));
  REQUIRE(world.Explain(vip).state == model::AddressState::kConflict);
  world.wire.Cut(holder, true);
  world.Run(absl::Seconds(60));
  REQUIRE(world.HolderOf(vip) == holder);
  world.wire.Cut(holder, false);
  world.Run(absl::Seconds(3));
  CHECK(world.Explain(vip).state == model::AddressState::kAnnounced);
  CHECK(world.Explain(vip).message.empty());
}

TEST_CASE("T128 each of two strangers that claim an address is told of, with MAC and interface", "[system]") {
  World world;
  const MacAddr other({0x02, 0, 0, 0, 0, 0x01});
  LanHost stranger(world.loop, world.lan, "stranger", StrangerMac(), Ip("192.168.50.222"));
  LanHost second(world.loop, world.lan, "second", other, Ip("192.168.50.223"));
  Prepare(world, 3, 1);
  const IpAddr vip = world.AddressOf("svc1");
  stranger.Announce(vip);
  world.Run(absl::Milliseconds(100));
  second.Announce(vip);
  world.Run(absl::Milliseconds(100));
  for (const MacAddr& mac : {StrangerMac(), other}) {
    const std::string who = absl::StrCat(mac.ToString(), " on interface eth0");
    CHECK(world.HasEvent("SetBalancer", who));
    CHECK(world.Explain(vip).message.find(who) != std::string::npos);
  }
}

TEST_CASE("when a partition of the LAN heals, soon only one of two holders answers", "[system]") {
  World world;
  Prepare(world, 3, 1);
  const IpAddr vip = world.AddressOf("svc1");
  const std::string holder = world.HolderOf(vip);
  world.lan_is_broken = true;
  world.NodeNamed(holder).port->group = 1;
  world.wire.Cut(holder, true);
  world.Run(absl::Seconds(15));
  CHECK(world.Announcers(vip).size() == 2);
  const absl::Time healed = world.Now();
  world.NodeNamed(holder).port->group = 0;
  absl::Duration within = absl::Seconds(1);
  SECTION("with the controller in reach of both") {
    world.wire.Cut(holder, false);
    within = absl::Seconds(2);  // a dial that goes nowhere is given up first
  }
  SECTION("and one announces, its port having been down, though out of the controller's reach still") {
    Node& node = world.NodeNamed(holder);
    node.port->carrier = false;
    node.kernel.fake().SetCarrier(kEth0, false);
    world.Run(absl::Milliseconds(20));
    node.port->carrier = true;
    node.kernel.fake().SetCarrier(kEth0, true);
  }
  world.client.AskEvery(vip, absl::Milliseconds(10));
  world.Run(absl::Seconds(4));
  std::vector<std::string> wrong;
  const auto queries = world.client.queries(vip);
  for (const LanHost::Query& q : queries) {
    if (q.at < healed + within || q.at > world.Now() - absl::Milliseconds(5) || q.answers.size() == 1) continue;
    wrong.push_back(absl::StrCat(absl::FormatDuration(q.at - healed), ": ", q.answers.size(), " answers"));
  }
  CHECK(Text(wrong) == "");
}

TEST_CASE("an Eip that vanishes leaves its addresses with their Services, announced", "[system]") {
  World world;
  Prepare(world, 3, 3);
  const auto allocations = world.Allocations();
  const auto holders = world.Holders();
  world.cluster.VanishPool("edge");
  world.Run(absl::Seconds(10));
  CHECK(world.Allocations() == allocations);
  CHECK(world.Holders() == holders);
  const std::string victim = holders.begin()->second;
  world.KillAgent(victim);
  world.Run(absl::Seconds(3));
  for (const auto& [address, holder] : world.Holders()) {
    CHECK(holder != "");
    CHECK(holder != victim);
  }
  world.StartController("a");  // even one that knows of no Eip from the start
  world.Run(absl::Seconds(8));
  CHECK(world.Allocations() == allocations);
  for (const auto& [address, holder] : world.Holders()) CHECK(holder != "");
}

TEST_CASE("an Eip over the nodes' own network gives out no node, gateway, network or broadcast address", "[system]") {
  World world;
  world.AddNodes(3);
  world.AddPool("low", "192.168.50.0-192.168.50.15");
  world.AddPool("high", "192.168.50.254-192.168.50.255");
  world.StartAll();
  for (int i = 1; i <= 16; ++i) world.AddService(absl::StrCat("svc", i));
  model::Service last = World::MakeService("last");
  last.annotations[model::kPoolAnnotation] = "high";
  world.AddService(last);
  last = World::MakeService("too-many");
  last.annotations[model::kPoolAnnotation] = "high";
  world.AddService(last);
  world.Run(absl::Seconds(10));
  std::set<IpAddr> given;
  for (const auto& [address, holder] : world.Holders()) given.insert(address);
  CHECK(given.size() == 12);  // of 18: without .0, .1, .11, .12, .13 and .255
  for (const char* never :
       {"192.168.50.0", "192.168.50.1", "192.168.50.11", "192.168.50.12", "192.168.50.13", "192.168.50.255"}) {
    CHECK(given.count(Ip(never)) == 0);
  }
  CHECK(world.Unexplained().empty());
}

TEST_CASE("T126: with every address on every node's kube-ipvs0 a client hears one MAC only", "[system]") {
  World world;
  world.AddNodes(3);
  for (const auto& [name, node] : world.nodes) {
    node->kernel.fake().SetLink({.index = 3, .name = "kube-ipvs0", .mac = node->mac, .up = true, .ethernet = false});
  }
  world.AddPool("edge", "192.168.50.100-192.168.50.110");
  world.StartAll();
  const IpAddr vip = Ip("192.168.50.100");
  world.AddService("web");
  REQUIRE(world.RunUntil([&] { return world.AddressOf("web") == vip; }, absl::Seconds(2)));
  for (const auto& [name, node] : world.nodes) {
    node->kernel.fake().AddForeignAddress(3, *Cidr::Make(vip, 32));
    world.Run(absl::Milliseconds(5));
  }
  world.Run(absl::Seconds(2));
  world.client.AskEvery(vip, absl::Milliseconds(10));
  world.Run(absl::Seconds(1));
  const std::string holder = world.HolderOf(vip);
  REQUIRE(holder != "");
  CHECK(Text(world.client.double_answers()) == "");
  world.KillAgent(holder);  // its kernel keeps silent all the same
  world.Run(absl::Seconds(2));
  CHECK(world.HolderOf(vip) != "");
  CHECK(world.HolderOf(vip) != holder);
  CHECK(Text(world.client.double_answers()) == "");
}

}  // namespace
}  // namespace berth::system
