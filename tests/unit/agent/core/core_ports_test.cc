// SPDX-License-Identifier: Apache-2.0
// Which ports an agent has the kernel keep open, and what it does where the kernel cannot keep the others shut.
#include <netinet/in.h>

#include <catch2/catch.hpp>

#include "tests/unit/agent/core/core_harness.h"

namespace berth::agent {
namespace {

using sync::Role;

sync::Assignment With(sync::Assignment assignment, std::vector<sync::PortRef> ports) {
  assignment.services.push_back({"default", "web", std::move(ports)});
  return assignment;
}

std::vector<IpAddr> Ips(std::vector<std::string> texts) {
  std::vector<IpAddr> all;
  for (const std::string& text : texts) all.push_back(Ip(text));
  return all;
}

std::size_t Said(const CoreHarness& agent, absl::string_view sentence) {
  return static_cast<std::size_t>(std::count_if(agent.history.begin(), agent.history.end(), [&](const Effect& e) {
    const auto* log = std::get_if<Log>(&e);
    return log != nullptr && log->sentence == sentence;
  }));
}

TEST_CASE("the ports of an address's Services are open in every role, and follow them", "[unit]") {
  const Role role = GENERATE(Role::kAnnounce, Role::kPrepare, Role::kMute);
  CoreHarness agent;
  agent.Connect();
  agent.Controller(CoreHarness::SnapshotOf(1, {With(Assign("192.0.2.10", role), {{"TCP", 80}, {"UDP", 53}}),
                                               With(Assign("192.0.2.11", role), {{"SCTP", 7}})}));
  CHECK(agent.silence.guarded == Ips({"192.0.2.10", "192.0.2.11"}));
  CHECK(agent.silence.open == std::vector<OpenPort>{{Ip("192.0.2.10"), IPPROTO_TCP, 80},
                                                    {Ip("192.0.2.10"), IPPROTO_UDP, 53},
                                                    {Ip("192.0.2.11"), IPPROTO_SCTP, 7}});
  agent.Controller(CoreHarness::DeltaOf(1, {With(Assign("192.0.2.10", role), {{"TCP", 443}})}));
  CHECK(agent.silence.open ==
        std::vector<OpenPort>{{Ip("192.0.2.10"), IPPROTO_TCP, 443}, {Ip("192.0.2.11"), IPPROTO_SCTP, 7}});
  agent.Controller(CoreHarness::DeltaOf(2, {}, {{Ip("192.0.2.10"), true}}));
  CHECK(agent.silence.guarded == Ips({"192.0.2.11"}));
  CHECK(agent.silence.open == std::vector<OpenPort>{{Ip("192.0.2.11"), IPPROTO_SCTP, 7}});
}

TEST_CASE("ports are open before the address that they are on is local", "[unit]") {
  CoreHarness agent;
  agent.hold_silence = true;
  agent.Connect();
  agent.Controller(CoreHarness::SnapshotOf(1, {With(Announce("192.0.2.10"), {{"TCP", 80}})}));
  while (!agent.held.empty() && !agent.Local("192.0.2.10")) {
    const Event answer = agent.held.front();
    agent.held.pop_front();
    agent.Feed(answer);
  }
  CHECK(agent.Local("192.0.2.10"));
  CHECK(agent.silence.open.size() == 1);
}

TEST_CASE("addresses that no assignment names, or names without a Service, are not guarded", "[unit]") {
  CoreHarness agent;
  agent.vip = "kube-ipvs0";
  Link kube;
  kube.index = kKube;
  kube.name = "kube-ipvs0";
  kube.addresses = {Own("192.0.2.10/32"), Own("192.0.2.77/32"), Own("192.0.2.11/32")};
  agent.kernel.links.push_back(kube);
  agent.Connect();
  agent.Controller(CoreHarness::SnapshotOf(1, {With(Announce("192.0.2.10"), {{"TCP", 80}}), Announce("192.0.2.11")}));
  CHECK(agent.silence.addresses.contains(Ip("192.0.2.77")));
  CHECK(agent.silence.guarded == Ips({"192.0.2.10"}));
}

TEST_CASE("where nothing is to be made local nothing is guarded", "[unit]") {
  AgentConfig config = CoreHarness::Config();
  config.vip_interface = "none";
  CoreHarness agent({}, config);
  agent.vip.clear();
  agent.Connect();
  agent.Controller(CoreHarness::SnapshotOf(1, {With(Announce("192.0.2.10"), {{"TCP", 80}})}));
  CHECK(agent.silence.guarded.empty());
}

TEST_CASE("an agent that starts without a controller opens the ports it knows from its disk", "[unit]") {
  StoredState stored;
  stored.boot_id = "boot-1";
  stored.highest_term = 1;
  stored.state = {1, 1};
  stored.assignments = {With(Announce("192.0.2.10"), {{"TCP", 80}})};
  CoreHarness agent(stored);
  agent.Start();
  agent.Advance(absl::Seconds(30));
  CHECK(agent.silence.open == std::vector<OpenPort>{{Ip("192.0.2.10"), IPPROTO_TCP, 80}});
}

TEST_CASE("a kernel that cannot shut ports is told of once, and addresses are announced all the same", "[unit]") {
  CoreHarness agent;
  agent.host_ports_status = absl::UnimplementedError("no inet family");
  agent.Connect();
  agent.Controller(CoreHarness::SnapshotOf(1, {With(Announce("192.0.2.10"), {{"TCP", 80}})}));
  agent.Advance(absl::Seconds(12));
  CHECK(agent.Answers("192.0.2.10"));
  CHECK(Said(agent, "the node's own ports can be reached through addresses of Services") == 1);
  CHECK(agent.core().status().unready.empty());
  agent.Forget();
  agent.Advance(absl::Minutes(5));
  CHECK(agent.Effected<ApplySilence>() == 0);
}

TEST_CASE("ports that could not be shut are tried again each second", "[unit]") {
  CoreHarness agent;
  agent.host_ports_status = absl::ResourceExhaustedError("no memory");
  agent.Connect();
  agent.Controller(CoreHarness::SnapshotOf(1, {With(Announce("192.0.2.10"), {{"TCP", 80}})}));
  agent.Advance(absl::Seconds(12));
  CHECK(agent.Answers("192.0.2.10"));
  agent.Forget();
  agent.Advance(absl::Seconds(10));
  CHECK(agent.Effected<ApplySilence>() == 10);
  agent.host_ports_status = absl::OkStatus();
  agent.Advance(absl::Seconds(2));
  CHECK(Said(agent, "the node's own ports cannot be reached through addresses of Services any more") == 1);
  agent.Forget();
  agent.Advance(absl::Seconds(10));
  CHECK(agent.Effected<ApplySilence>() == 0);
}

}  // namespace
}  // namespace berth::agent
