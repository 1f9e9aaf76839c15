// SPDX-License-Identifier: Apache-2.0
#include "controller/doctor/doctor.h"

#include <catch2/catch.hpp>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"

namespace berth::doctor {
namespace {

using Catch::Contains;
using model::FindingView;
using Severity = FindingView::Severity;

IpAddr Ip(const std::string& text) { return *IpAddr::Parse(text); }
MacAddr MacOf(const std::string& node) { return MacAddr({2, 0, 0, 0, 0, static_cast<std::uint8_t>(node.back())}); }

model::AgentView Agent(const std::string& node) {
  model::AgentView a;
  a.node = node;
  a.state = model::AgentState::kReady;
  a.version = "1.0.0";
  a.clock_ahead = absl::Milliseconds(3);
  return a;
}

model::AddressView Address(const std::string& address, const std::string& holder) {
  model::AddressView a;
  a.address = Ip(address);
  a.holder = holder;
  a.state = model::AddressState::kAnnounced;
  a.since = absl::FromUnixSeconds(1000);
  return a;
}

model::LanAnswer Hears(const std::string& asker, const std::vector<std::string>& nodes) {
  model::LanAnswer answer;
  answer.asker = asker;
  for (const std::string& node : nodes) answer.heard.push_back({MacOf(node), node == "stranger" ? "" : node});
  return answer;
}

// Three agents, an address each of IPv4 and IPv6, and a LAN that says what it should.
Patient Well() {
  Patient p;
  p.version = "1.0.0";
  p.wall_now = absl::FromUnixSeconds(2000);
  p.status = {.leader = true, .synced = true, .started = true, .leader_name = "ctl-1", .term = 3, .problems = {}};
  p.agents = {Agent("node1"), Agent("node2"), Agent("node3")};
  p.addresses = {Address("192.0.2.10", "node1"), Address("2001:db8::10", "node2")};
  p.census.announced = p.census.asked = 2;
  p.census.addresses = {{Ip("192.0.2.10"), "node1", {Hears("node2", {"node1"}), Hears("node3", {"node1"})}},
                        {Ip("2001:db8::10"), "node2", {Hears("node1", {"node2"}), Hears("node3", {"node2"})}}};
  model::ServiceView s;
  s.id = {"default", "web"};
  s.state = model::ServiceState::kAssigned;
  p.services = {s};
  model::PoolView pool;
  pool.name = "edge";
  pool.used = AddressCount(2);
  pool.total = AddressCount(10);
  p.pools = {pool};
  return p;
}

FindingView Only(const Patient& patient) {
  const std::vector<FindingView> found = Diagnose(patient);
  for (const FindingView& f : found) UNSCOPED_INFO(f.object << ": " << f.message);
  REQUIRE(found.size() == 1);
  CHECK_FALSE(found[0].cure.empty());
  return found[0];
}

TEST_CASE("nothing is found in a cluster that is well", "[unit]") { CHECK(Diagnose(Well()).empty()); }

TEST_CASE("a kernel that answers beside the holder is told by its node, with what silences it", "[unit]") {
  Patient p = Well();
  for (model::LanAnswer& answer : p.census.addresses[1].answers) answer.heard.push_back({MacOf("node3"), "node3"});
  const FindingView found = Only(p);
  CHECK(found.severity == Severity::kError);
  CHECK(found.object == "agent node3");
  CHECK_THAT(found.message, Contains("2001:db8::10") && Contains(MacOf("node3").ToString()));
  CHECK_THAT(found.cure, Contains("nft list table arp berth"));
}

TEST_CASE("one kernel is one finding, whatever the number of addresses", "[unit]") {
  Patient p = Well();
  p.census.addresses.clear();
  for (int i = 0; i < 100; ++i) {
    p.census.addresses.push_back(
        {Ip(absl::StrCat("192.0.2.", i)), "node1", {Hears("node2", {"node1"}), Hears("node1", {"node1", "node2"})}});
  }
  CHECK_THAT(Only(p).message, Contains("100 addresses (192.0.2.0, ") && Contains("and 95 more"));
}

TEST_CASE("a stranger that answers is told by its MAC", "[unit]") {
  Patient p = Well();
  p.census.addresses[0].answers[1] = Hears("node3", {"node1", "stranger"});
  const FindingView found = Only(p);
  CHECK(found.severity == Severity::kError);
  CHECK(found.object == "address 192.0.2.10");
  CHECK_THAT(found.message, Contains(MacOf("stranger").ToString()));
}

TEST_CASE("no answer at all is an error, none that one of two hears a warning of that one", "[unit]") {
  Patient p = Well();
  p.census.addresses[0].answers[0] = Hears("node2", {});
  FindingView found = Only(p);
  CHECK(found.severity == Severity::kWarning);
  CHECK(found.object == "agent node2");
  CHECK_THAT(found.message, Contains("node1") && Contains("192.0.2.10"));
  p.census.addresses[0].answers[1] = Hears("node3", {});
  found = Only(p);
  CHECK(found.severity == Severity::kError);
  CHECK(found.object == "agent node1");
  SECTION("what the holder itself says of its own answer proves nothing") {
    p.census.addresses[0].answers[1] = Hears("node1", {"node1"});
    CHECK(Only(p).severity == Severity::kError);
    p.census.addresses[0].answers = {Hears("node1", {"node1"})};
    CHECK(Diagnose(p).empty());
  }
  SECTION("nor does who has the address, too") {
    p.census.addresses[0].answers = {Hears("node2", {"node2"}), Hears("node3", {"node1"})};
    found = Only(p);
    CHECK(found.object == "agent node2");
    CHECK(found.severity == Severity::kError);
  }
  SECTION("who could not ask has heard nothing") {
    for (model::LanAnswer& answer : p.census.addresses[0].answers) {
      answer.asked = false;
      answer.message = "interface eth0 is down";
    }
    const std::vector<FindingView> unasked = Diagnose(p);
    REQUIRE(unasked.size() == 2);
    for (const FindingView& f : unasked) {
      CHECK(f.severity == Severity::kWarning);
      CHECK_THAT(f.message, Contains("interface eth0 is down"));
    }
  }
}

TEST_CASE("agents that are lost, out of contact, drained, missing or late are told", "[unit]") {
  Patient p = Well();
  p.agents[0].state = model::AgentState::kLost;
  p.agents[0].message = "no heartbeat for 600ms";
  CHECK(Only(p).severity == Severity::kWarning);
  CHECK_THAT(Only(p).message, Contains("no heartbeat for 600ms"));
  p.agents[0].state = model::AgentState::kControlLost;
  CHECK_THAT(Only(p).cure, Contains("7443"));
  p = Well();
  p.agents[1].state = model::AgentState::kDraining;
  CHECK(Diagnose(p).empty());  // it ends, and another comes
  p.agents[1].drained = true;
  CHECK(Only(p).cure == "berthctl undrain node2, once its node may serve again");
  p = Well();
  p.status.missing = {"node4"};
  CHECK(Only(p).object == "agent node4");
  p = Well();
  p.census.unheard = {"node2"};
  CHECK_THAT(Only(p).message, Contains("within a second"));
}

TEST_CASE("no agent in contact is an error of the whole", "[unit]") {
  Patient p = Well();
  for (model::AgentView& a : p.agents) a.state = model::AgentState::kLost;
  p.addresses.clear();
  p.census = {};
  const std::vector<FindingView> found = Diagnose(p);
  REQUIRE(found.size() == 4);
  CHECK(found[0].severity == Severity::kError);
  CHECK(found[0].object == "controller");
  p.agents.clear();
  CHECK(Only(p).object == "controller");
}

TEST_CASE("agents that send each other away are told, an upgrade is not", "[unit]") {
  Patient p = Well();
  p.agents[2].supersedes = 1;
  CHECK(Diagnose(p).empty());
  p.agents[2].supersedes = 4;
  CHECK(Only(p).severity == Severity::kError);
  CHECK_THAT(Only(p).message, Contains("4 times"));
}

TEST_CASE("what agents find wrong with their nodes is handed on, and what they rejected", "[unit]") {
  Patient p = Well();
  p.agents[1].findings = {{sync::NodeFinding::Severity::kWarning, "rp_filter is strict", "sysctl -w it"}};
  CHECK(Only(p) == FindingView{Severity::kWarning, "agent node2", "rp_filter is strict", "sysctl -w it"});
  p.agents[1].findings.clear();
  p.agents[1].rejected = 2;
  p.agents[1].message = "2 addresses rejected, the first: no interface";
  CHECK(Only(p).severity == Severity::kError);
  CHECK_THAT(Only(p).message, Contains("no interface"));
}

TEST_CASE("clocks more than a second apart are told, and ours where most are off", "[unit]") {
  Patient p = Well();
  p.agents[1].clock_ahead = -absl::Milliseconds(1000);
  CHECK(Diagnose(p).empty());
  p.agents[1].clock_ahead = -absl::Milliseconds(2500);
  FindingView found = Only(p);
  CHECK(found.severity == Severity::kWarning);
  CHECK(found.object == "agent node2");
  CHECK_THAT(found.message, Contains("2.5s behind"));
  p.agents[2].clock_ahead = absl::Hours(1);
  found = Only(p);
  CHECK(found.object == "controller");
  CHECK_THAT(found.message, Contains("2 of 3 nodes") && Contains("node2, node3"));
  p.agents[1].clock_ahead = p.agents[2].clock_ahead = std::nullopt;
  CHECK(Diagnose(p).empty());
}

TEST_CASE("agents of another version are counted, those that are gone are not", "[unit]") {
  Patient p = Well();
  p.agents[0].version = p.agents[1].version = "0.9.0";
  CHECK_THAT(Only(p).message, Contains("2 agents are of version 0.9.0") && Contains("node1, node2"));
  p = Well();
  p.agents[0].version = "0.9.0";
  p.agents[0].state = model::AgentState::kLost;
  CHECK_FALSE(absl::StrContains(Only(p).message, "0.9.0"));
}

TEST_CASE("a Service without an address is an error with its reason, unless that passes by itself", "[unit]") {
  Patient p = Well();
  p.services[0].state = model::ServiceState::kPending;
  p.services[0].reason = "PoolNotFound";
  p.services[0].message = "there is no Eip called \"lab\"";
  CHECK(Only(p).severity == Severity::kError);
  CHECK(Only(p).object == "service default/web");
  CHECK_THAT(Only(p).message, Contains("PoolNotFound") && Contains("there is no Eip called"));
  p.services.resize(25, p.services[0]);
  const std::vector<FindingView> many = Diagnose(p);
  REQUIRE(many.size() == 11);
  CHECK_THAT(many.back().message, Contains("15 more: PoolNotFound"));
  p.services.resize(1);
  for (const char* passing : {"Probing", "Starting", "Writing", "Releasing"}) {
    p.services[0].reason = passing;
    CHECK(Diagnose(p).empty());
  }
  p.services[0].reason = "NotOurs";
  p.services[0].state = model::ServiceState::kIgnored;
  CHECK(Diagnose(p).empty());
}

TEST_CASE("an address that nobody announces is an error once it has lasted, a stranger's at once", "[unit]") {
  Patient p = Well();
  p.addresses[0].state = model::AddressState::kUnheld;
  p.addresses[0].refusals = {"node1: interface eth0 has no carrier"};
  CHECK(Only(p).severity == Severity::kError);
  CHECK_THAT(Only(p).message, Contains("no carrier"));
  p.addresses[0].since = p.wall_now - absl::Seconds(1);
  CHECK(Diagnose(p).empty());
  p.addresses[0].state = model::AddressState::kConflict;
  p.addresses[0].message = "02:00:00:00:00:ee claims it too";
  CHECK_THAT(Only(p).message, Contains("02:00:00:00:00:ee"));
}

TEST_CASE("Eips in trouble, used up or conflicted are warnings", "[unit]") {
  Patient p = Well();
  p.pools[0].message = "not given out, being addresses of nodes";
  CHECK(Diagnose(p).empty());  // good to know
  p.pools[0].trouble = true;
  CHECK(Only(p) == FindingView{Severity::kWarning, "pool edge", "not given out, being addresses of nodes",
                               "mend the Eip: kubectl edit eip edge"});
  p.pools[0].trouble = false;
  p.pools[0].used = AddressCount(10);
  CHECK_THAT(Only(p).message, Contains("all 10 addresses"));
  p.pools[0].disabled = true;
  CHECK(Diagnose(p).empty());
  p.pools[0].disabled = false;
  p.pools[0].used = p.pools[0].total = AddressCount(1);
  CHECK(Diagnose(p).empty());  // meant for one Service
  p.pools[0].conflicted = {Ip("192.0.2.10")};
  CHECK_THAT(Only(p).message, Contains("192.0.2.10"));
}

TEST_CASE("a standby says who leads and judges nothing else; without a leader that is the error", "[unit]") {
  Patient p = Well();
  p.addresses[0].state = model::AddressState::kUnheld;
  p.agents[0].state = model::AgentState::kLost;
  p.status.leader = false;
  CHECK(Only(p).severity == Severity::kWarning);
  CHECK_THAT(Only(p).cure, Contains("exec ctl-1 -- berthctl doctor"));
  p.status.leader_name = "";
  CHECK(Only(p).severity == Severity::kError);
  p = Well();
  p.status.started = false;
  CHECK_THAT(Only(p).message, Contains("just begun to lead"));
  p.status.synced = false;
  CHECK_THAT(Only(p).message, Contains("its source"));
}

TEST_CASE("what the source cannot read is a warning, and errors come first", "[unit]") {
  Patient p = Well();
  p.status.problems = {"web.yaml:12: unknown protocol"};
  CHECK(Only(p).object == "source");
  p.agents[1].rejected = 1;
  const std::vector<FindingView> found = Diagnose(p);
  REQUIRE(found.size() == 2);
  CHECK(found[0].severity == Severity::kError);
  CHECK(found[1].object == "source");
}

}  // namespace
}  // namespace berth::doctor
