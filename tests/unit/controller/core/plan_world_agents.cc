// SPDX-License-Identifier: Apache-2.0
// The world's agents and their LAN.
#include <utility>

#include "absl/strings/str_cat.h"
#include "tests/unit/controller/core/plan_world.h"

namespace berth::core {
namespace {

MacAddr MacOf(int node) { return MacAddr({2, 0, 0, 0, 0, static_cast<std::uint8_t>(node + 1)}); }
const MacAddr kStrangersMac({2, 0, 0, 0, 0xff, 1});

}  // namespace

void PlanWorld::StartAgents() {
  for (int i = 0; i < kNodes; ++i) {
    sync::Hello& hello = agents_[static_cast<std::size_t>(i)].hello;
    hello.instance_id = "1";
    hello.boot_id = "boot";
    sync::InterfaceInfo eth0;
    eth0.name = "eth0";
    eth0.mac = MacOf(i);
    eth0.up = true;
    eth0.prefixes = {*Cidr::Make(IpAddr::V4(0xc0a80001U + static_cast<std::uint32_t>(i)), 24)};
    hello.interfaces = {eth0};
  }
}

void PlanWorld::Connect(int node) {
  TestAgent& agent = agents_[static_cast<std::size_t>(node)];
  if (!setup_.agents || agent.stream != 0) return;
  agent.hello.node = absl::StrCat("node", node);
  agent.wanted = true;
  agent.stream = ++last_stream_;
  node_of_stream_[agent.stream] = agent.hello.node;
  agent.hello.announced.clear();
  agent.hello.local.clear();
  for (const auto& [address, assignment] : agent.has) {
    agent.hello.local.push_back(address);
    if (assignment.role == sync::Role::kAnnounce) {
      agent.hello.announced.push_back({address, {"eth0"}, assignment.since, 0});
    }
  }
  queue_.push_back(StreamOpened{agent.stream, {"192.168.0.1:1", "", {}}});
  Say(agent, agent.hello);
  Drain();
}

void PlanWorld::Cut(int node) {
  TestAgent& agent = agents_[static_cast<std::size_t>(node)];
  agent.wanted = false;
  if (agent.stream == 0) return;
  agent.inbox.clear();
  queue_.push_back(StreamClosed{std::exchange(agent.stream, 0), "connection lost"});
  if (std::exchange(agent.leaving, false)) {
    // The process has ended, and its node tells nobody of these addresses.
    agent.has.clear();
    agent.hello.instance_id += "1";
    ++agent.hello.started_ns;
    agent.hello.state = {};
  }
  Drain();
}

void PlanWorld::Leave(int node) {
  TestAgent& agent = agents_[static_cast<std::size_t>(node)];
  if (agent.stream == 0 || std::exchange(agent.leaving, true)) return;
  sync::Report report;
  report.leaving = true;
  Say(agent, report);
  Drain();
}

void PlanWorld::Interfaces(int node, std::vector<sync::InterfaceInfo> interfaces) {
  TestAgent& agent = agents_[static_cast<std::size_t>(node)];
  for (sync::InterfaceInfo& i : interfaces) i.mac = MacOf(node);
  agent.hello.interfaces = std::move(interfaces);
  if (agent.stream == 0) return;
  sync::Report report;
  report.interfaces = agent.hello.interfaces;
  Say(agent, report);
  Drain();
}

void PlanWorld::Slow(int node, bool slow) {
  TestAgent& agent = agents_[static_cast<std::size_t>(node)];
  agent.slow = slow;
  if (slow) return;
  for (const sync::ControllerMessage& message : std::exchange(agent.inbox, {})) Take(agent, message);
  Drain();
}

void PlanWorld::Stranger(const IpAddr& address, bool there) {
  if (there) {
    strangers_.insert(address);
  } else {
    strangers_.erase(address);
  }
}

void PlanWorld::EndLeaving() {
  for (int node = 0; node < kNodes; ++node) {
    Slow(node, false);
    if (!agents_[static_cast<std::size_t>(node)].leaving) continue;
    Advance(absl::Seconds(3));  // time to hand over
    Cut(node);
  }
}

void PlanWorld::Redial() {
  for (const int node : std::exchange(redial_, {})) {
    if (agents_[static_cast<std::size_t>(node)].wanted) Connect(node);
  }
}

// What the core is told of the nodes' networks.
void PlanWorld::Hear(const FromAgent& event) {
  const std::string& node = node_of_stream_.at(event.stream);
  if (const auto* hello = std::get_if<sync::Hello>(&event.message)) heard_interfaces_[node] = hello->interfaces;
  const auto* report = std::get_if<sync::Report>(&event.message);
  if (report != nullptr && report->interfaces) heard_interfaces_[node] = *report->interfaces;
}

void PlanWorld::Say(const TestAgent& agent, sync::AgentMessage message) {
  queue_.push_back(FromAgent{agent.stream, std::move(message)});
}

void PlanWorld::Carry(const CloseStream& e) {
  for (int node = 0; node < kNodes; ++node) {
    TestAgent& agent = agents_[static_cast<std::size_t>(node)];
    if (agent.stream != e.stream || e.stream == 0) continue;
    agent.inbox.clear();
    queue_.push_back(StreamClosed{std::exchange(agent.stream, 0), "closed by the controller"});
    redial_.insert(node);
  }
}

void PlanWorld::Carry(const SendToAgent& e) {
  for (TestAgent& agent : agents_) {
    if (agent.stream != e.stream || e.stream == 0) continue;
    if (agent.slow) {
      agent.inbox.push_back(e.message);
    } else {
      Take(agent, e.message);
    }
  }
}

void PlanWorld::Take(TestAgent& agent, const sync::ControllerMessage& message) {
  const std::uint64_t term = sync::TermOf(message);
  if (term < agent.hello.highest_term) {
    sync::Rejection stale;
    stale.code = sync::RejectCode::kStaleTerm;
    return Say(agent, sync::Rejected{term, 0, agent.hello.highest_term, {stale}});
  }
  agent.hello.highest_term = term;
  if (const auto* request = std::get_if<sync::ProbeRequest>(&message)) return Say(agent, Probe(agent, *request));
  if (const auto* snapshot = std::get_if<sync::Snapshot>(&message)) {
    agent.has.clear();
    for (const sync::Assignment& a : snapshot->assignments) agent.has[a.address] = a;
    return Apply(agent, term, snapshot->version);
  }
  const auto* delta = std::get_if<sync::Delta>(&message);
  if (delta == nullptr) return;
  if (agent.hello.state != sync::Stamp{term, delta->base_version}) {
    sync::Rejection whole;
    whole.code = sync::RejectCode::kBadBaseVersion;
    return Say(agent, sync::Rejected{term, delta->version, 0, {whole}});
  }
  for (const sync::Assignment& a : delta->upserts) agent.has[a.address] = a;
  for (const sync::Removal& r : delta->removals) agent.has.erase(r.address);
  Apply(agent, term, delta->version);
}

void PlanWorld::Apply(TestAgent& agent, std::uint64_t term, std::uint64_t version) {
  agent.hello.state = {term, version};
  sync::Report report;
  report.announced.emplace();
  for (auto& [address, assignment] : agent.has) {
    if (assignment.role != sync::Role::kAnnounce) continue;
    report.announced->push_back({address, {"eth0"}, assignment.since, 0});
    if (agent.announces.insert(address).second) ++changes_;
    if (!assignment.yield_to.empty()) continue;
    // A holder that was told to yield falls silent on hearing this one.
    for (TestAgent& other : agents_) {
      auto it = other.has.find(address);
      if (&other == &agent || it == other.has.end() || it->second.yield_to.empty()) continue;
      it->second.role = sync::Role::kMute;
    }
  }
  changes_ += std::erase_if(agent.announces, [&](const IpAddr& a) { return agent.has.count(a) == 0; });
  Say(agent, report);
  Say(agent, sync::Applied{term, version});
}

sync::ProbeResult PlanWorld::Probe(const TestAgent& agent, const sync::ProbeRequest& request) const {
  sync::ProbeResult result{request.term, request.id, {}};
  for (const sync::ProbeTarget& target : request.targets) {
    sync::ProbeAnswer answer;
    answer.address = target.address;
    if (strangers_.count(target.address) != 0) answer.macs.push_back(kStrangersMac);
    for (int node = 0; node < kNodes; ++node) {
      const TestAgent& other = agents_[static_cast<std::size_t>(node)];
      auto it = other.has.find(target.address);
      const bool answers = it != other.has.end() && it->second.role == sync::Role::kAnnounce;
      if (&other != &agent && answers) answer.macs.push_back(MacOf(node));
    }
    result.answers.push_back(std::move(answer));
  }
  return result;
}

}  // namespace berth::core
