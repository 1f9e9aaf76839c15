// SPDX-License-Identifier: Apache-2.0
#include <netinet/in.h>

#include <catch2/catch.hpp>

#include "absl/strings/match.h"
#include "agent/effect/kernel/linux_kernel.h"
#include "tests/net/kernel/lab.h"
#include "tests/net/kernel/wire.h"

namespace berth::agent {
namespace {

const IpAddr kOwn = Ip("10.9.0.2");
const Silence kSilence{.addresses = {Ip("10.9.0.50"), Ip("fd00::50")},
                       .rewrite = {{"eth0", Ip("10.9.0.2")}},
                       .rewrite6 = {{"eth0", Ip("fd00::2")}},
                       .guarded = {Ip("10.9.0.50"), Ip("fd00::50")},
                       .open = {{Ip("10.9.0.50"), IPPROTO_TCP, 80}, {Ip("fd00::50"), IPPROTO_UDP, 53}}};

// Two agents of one node, the older of which has silenced what is to be silent.
struct TwoAgents {
  Lab lab;
  LinuxKernel old_agent{lab.loop()}, new_agent{lab.loop()};
  RecordingObserver other;  // of the new one; the lab's is the old one's
  TwoAgents() {
    REQUIRE(old_agent.Start(lab.observer()).ok());
    REQUIRE(new_agent.Start(other).ok());
    REQUIRE(old_agent.ApplySilence(kSilence).ok());
  }
};

std::string Ruleset(Lab& lab) {
  return lab.Read("for family in arp ip6 inet; do nft -s list table $family berth; done");
}

}  // namespace

TEST_CASE("whatever somebody does to our tables is noticed at once, and repaired by applying again", "[net]") {
  const std::string deed = GENERATE(as<std::string>{}, "nft flush ruleset",     //
                                    "nft delete table arp berth",               //
                                    "nft delete table ip6 berth",               //
                                    "nft delete table inet berth",              //
                                    "nft flush chain inet berth input",         //
                                    "nft insert rule inet berth input accept",  //
                                    "nft flush set inet berth guarded4",        //
                                    "nft add element inet berth open6 '{ fd00::50 . tcp . 22 }'",
                                    "nft flush chain arp berth input",                         //
                                    "nft flush chain ip6 berth input",                         //
                                    "nft flush chain ip6 berth output",                        //
                                    "nft add rule arp berth output drop",                      //
                                    "nft insert rule arp berth input accept",                  //
                                    "nft delete element arp berth addresses '{ 10.9.0.50 }'",  //
                                    "nft add element arp berth addresses '{ 10.9.0.2 }'",      //
                                    "nft flush set ip6 berth addresses",                       //
                                    "nft add chain arp berth more",                            //
                                    "nft 'add table arp berth { flags dormant; }'",            //
                                    "nft add chain arp berth input '{ policy drop; }'");
  CAPTURE(deed);
  Lab lab;
  LinuxKernel kernel(lab.loop());
  REQUIRE(kernel.Start(lab.observer()).ok());
  REQUIRE(kernel.ApplySilence(kSilence).ok());
  const std::string wanted = Ruleset(lab);
  lab.Settle();
  REQUIRE(lab.observer().disturbed == 0);

  lab.Node(deed);
  REQUIRE(lab.Await([&] { return lab.observer().disturbed > 0; }));
  CHECK(Ruleset(lab) != wanted);
  REQUIRE(kernel.ApplySilence(kSilence).ok());
  CHECK(Ruleset(lab) == wanted);
  lab.Settle();
  CHECK(lab.observer().disturbed == 1);
}

TEST_CASE("a flushed ruleset is repaired before the next question is answered", "[net]") {
  Lab lab;
  LinuxKernel kernel(lab.loop());
  Wire wire(lab);
  REQUIRE(kernel.Start(lab.observer()).ok());
  REQUIRE(kernel.ApplySilence(kSilence).ok());
  REQUIRE(kernel.AddAddress((*kernel.EnsureVipInterface("auto"))->index, Ip("10.9.0.50")).ok());
  lab.observer().on_disturbed = [&] { CHECK(kernel.ApplySilence(kSilence).ok()); };
  lab.Node("nft flush ruleset");
  REQUIRE(lab.Await([&] { return lab.observer().disturbed > 0; }));
  CHECK_FALSE(wire.AnswersArp(Ip("10.9.0.50"), kOwn));
}

TEST_CASE("our own changes and other people's tables do not count as disturbance", "[net]") {
  Lab lab;
  LinuxKernel kernel(lab.loop());
  REQUIRE(kernel.Start(lab.observer()).ok());
  Silence silence = kSilence;
  REQUIRE(kernel.ApplySilence(silence).ok());
  silence.addresses.insert(Ip("10.9.0.60"));
  REQUIRE(kernel.ApplySilence(silence).ok());
  silence.rewrite["eth7"] = Ip("10.9.7.2");
  REQUIRE(kernel.ApplySilence(silence).ok());
  silence = {};
  REQUIRE(kernel.ApplySilence(silence).ok());
  lab.Node(
      "nft add table arp other && nft add table ip berth && nft add table inet other && nft delete table arp other");
  lab.Settle();
  CHECK(lab.observer().disturbed == 0);
  // The next one is: so the above was heard and judged.
  lab.Node("nft delete table arp berth");
  CHECK(lab.Await([&] { return lab.observer().disturbed == 1; }));
}

TEST_CASE("two agents of one node that want the same do not disturb each other", "[net]") {
  TwoAgents node;
  auto& [lab, old_agent, new_agent, other] = node;
  const std::string handles = lab.Read("nft -a list ruleset");
  REQUIRE(new_agent.ApplySilence(kSilence).ok());
  CHECK(lab.Read("nft -a list ruleset") == handles);  // not even touched

  // One of them learns of a new address first. The other is told, comes to want the same, and all is quiet.
  Silence more = kSilence;
  more.addresses.insert(Ip("10.9.0.60"));
  more.guarded.insert(more.guarded.begin() + 1, Ip("10.9.0.60"));
  lab.observer().on_disturbed = [&] { CHECK(old_agent.ApplySilence(more).ok()); };
  REQUIRE(new_agent.ApplySilence(more).ok());
  CHECK(lab.Await([&] { return lab.observer().disturbed == 1; }));
  lab.Settle();
  CHECK(lab.observer().disturbed == 1);
  CHECK(other.disturbed == 0);
}

TEST_CASE("an agent that does not know all yet adds to what another of its node has put there", "[net]") {
  TwoAgents node;
  auto& [lab, old_agent, new_agent, other] = node;
  const std::string handles = lab.Read("nft -a list ruleset");
  Silence part{
      .addresses = {Ip("10.9.0.50")}, .rewrite = kSilence.rewrite, .rewrite6 = kSilence.rewrite6, .keep_others = true};
  REQUIRE(new_agent.ApplySilence(part).ok());
  CHECK(lab.Read("nft -a list ruleset") == handles);

  // The older one learns of another address: the newer one is told, and takes it along.
  Silence more = kSilence;
  more.addresses.insert(Ip("10.9.0.60"));
  other.on_disturbed = [&] { CHECK(new_agent.ApplySilence(part).ok()); };
  REQUIRE(old_agent.ApplySilence(more).ok());
  CHECK(lab.Await([&] { return other.disturbed == 1; }));
  part.addresses.insert(Ip("10.9.0.61"));
  REQUIRE(new_agent.ApplySilence(part).ok());
  const std::string rules = Ruleset(lab);
  for (const char* address : {"10.9.0.50", "10.9.0.60", "10.9.0.61", "fd00::50", "tcp . 80"}) {
    CAPTURE(address);
    CHECK(absl::StrContains(rules, address));
  }

  // Now it knows all.
  REQUIRE(new_agent.ApplySilence(kSilence).ok());
  CHECK_FALSE(absl::StrContains(Ruleset(lab), "10.9.0.6"));
}

TEST_CASE("lost events make us look, and looking finds what was done", "[net]") {
  Lab lab;
  LinuxKernel kernel(lab.loop(), {.event_buffer_bytes = 2304});
  REQUIRE(kernel.Start(lab.observer()).ok());
  REQUIRE(kernel.ApplySilence(kSilence).ok());
  // Enough of somebody else's events to fill the buffer; ours is lost behind them.
  lab.Node("for i in 1 2 3 4 5 6 7 8 9; do nft add table ip other$i; done");
  SECTION("nothing was done") {
    lab.Settle();
    CHECK(lab.observer().disturbed == 0);
  }
  SECTION("our table was deleted") {
    lab.Node("nft delete table arp berth");
    CHECK(lab.Await([&] { return lab.observer().disturbed == 1; }));
  }
}

TEST_CASE("a table of somebody else's making is replaced", "[net]") {
  Lab lab;
  lab.Node("nft 'table arp berth { set addresses { type ether_addr; }; chain input { }; }'");
  LinuxKernel kernel(lab.loop());
  REQUIRE(kernel.Start(lab.observer()).ok());
  REQUIRE(kernel.ApplySilence(kSilence).ok());
  CHECK(lab.Read("nft list table arp berth").find("type ipv4_addr") != std::string::npos);
}

}  // namespace berth::agent
