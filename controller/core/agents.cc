// SPDX-License-Identifier: Apache-2.0
#include "controller/core/agents.h"

#include <algorithm>
#include <utility>

#include "absl/strings/str_cat.h"

namespace berth::core {
namespace {

bool SameDecision(const sync::Assignment& a, const sync::Assignment& b) {
  sync::Assignment c = a;
  c.since = b.since;
  return c == b;
}

}  // namespace

std::map<IpAddr, sync::AnnouncedAddress> ByAddress(const std::vector<sync::AnnouncedAddress>& announced) {
  std::map<IpAddr, sync::AnnouncedAddress> all;
  for (const sync::AnnouncedAddress& a : announced) all[a.address] = a;
  return all;
}

std::vector<MacAddr> Agent::Macs() const {
  std::vector<MacAddr> macs;
  for (const sync::InterfaceInfo& i : hello.interfaces) macs.push_back(i.mac);
  return macs;
}

bool Agent::Settled(const IpAddr& address) const {
  if (!connected() || fresh || dirty.count(address) != 0) return false;
  return !in_flight ||
         std::find(in_flight->addresses.begin(), in_flight->addresses.end(), address) == in_flight->addresses.end();
}

bool Agent::MayHave(const IpAddr& address) const {
  if (desired.count(address) != 0 || dirty.count(address) != 0 || announced.count(address) != 0) return true;
  if (elder && elder->announced.count(address) != 0) return true;
  if (connected() && !Settled(address)) return true;
  // One that stood still says that it announces nothing, and announces again what it finds unanswered once it is alone.
  return fresh && std::find(hello.local.begin(), hello.local.end(), address) != hello.local.end();
}

void Agents::OnOpened(StreamId stream, const StreamPeer& peer) { streams_[stream].peer = peer.address; }

void Agents::OnMessage(StreamId stream, const sync::AgentMessage& message) {
  auto it = streams_.find(stream);
  if (it == streams_.end() || it->second.superseded) return;
  if (const auto* hello = std::get_if<sync::Hello>(&message)) return OnHello(stream, *hello);
  Agent* agent = Find(it->second.node);
  if (agent == nullptr) return;
  if (agent->elder && agent->elder->stream == stream) return HearElder(*agent, message);
  if (agent->stream != stream) return;
  agent->last_heard = ctx_.now;
  if (const auto* report = std::get_if<sync::Report>(&message)) {
    OnReport(*agent, *report);
  } else if (const auto* applied = std::get_if<sync::Applied>(&message)) {
    OnAnswered(*agent, applied->term, applied->version, nullptr);
  } else if (const auto* rejected = std::get_if<sync::Rejected>(&message)) {
    if (rejected->seen_term > ctx_.term) return observer_.on_higher_term(rejected->seen_term);
    OnAnswered(*agent, rejected->term, rejected->version, rejected);
  } else if (const auto* result = std::get_if<sync::ProbeResult>(&message)) {
    if (result->term == ctx_.term) observer_.on_probe_result(*agent, *result);
  }
}

void Agents::OnHello(StreamId stream, const sync::Hello& hello) {
  if (hello.node.empty() || hello.node.size() > 253) {
    ctx_.Emit(
        CloseStream{stream, absl::InvalidArgumentError("hello.node: a node name of 1 to 253 characters is needed")});
    return;
  }
  Agent& agent = agents_[hello.node];
  agent.node = hello.node;
  streams_[stream].node = hello.node;
  const bool same_instance = agent.hello.instance_id == hello.instance_id;
  const Room room = MakeRoom(agent, stream, hello);
  if (room == Room::kNone) return;
  agent.taking_over = room == Room::kBesideElder;
  agent.stream = stream;
  agent.hello = hello;
  agent.last_heard = ctx_.now;
  agent.control_lost = false;
  agent.message.clear();
  agent.conflicts.clear();
  agent.peers.clear();
  agent.findings.clear();
  agent.wall_ns = hello.wall_ns;
  agent.wall_heard = ctx_.now;
  if (!same_instance) agent.leaving = false;
  agent.announced = ByAddress(hello.announced);
  agent.fresh = true;
  if (agent.in_flight) ctx_.timers.Cancel(agent.in_flight->limit);
  agent.in_flight.reset();
  LearnMacs(agent);
  ctx_.Info("agent connected", {{"node", hello.node},
                                {"instance", hello.instance_id},
                                {"version", hello.version},
                                {"announced", absl::StrCat(hello.announced.size())}});
  if (!leading_) {
    ctx_.Emit(SendToAgent{stream, sync::NotLeader{ctx_.term, leader_}});
    return;
  }
  Stretch();
  if (heartbeat_timer_ == 0) CheckHeartbeats();
  if (hello.highest_term > ctx_.term) observer_.on_higher_term(hello.highest_term);
  observer_.on_contact(agent);
}

void Agents::OnReport(Agent& agent, const sync::Report& report) {
  if (report.interfaces && *report.interfaces != agent.hello.interfaces) {
    agent.hello.interfaces = *report.interfaces;
    LearnMacs(agent);
    if (leading_) observer_.on_interfaces(agent);
  }
  if (report.announced) {
    agent.announced = ByAddress(*report.announced);
    if (leading_) observer_.on_announced(agent);
  }
  if (report.conflicts) {
    agent.conflicts = *report.conflicts;
    if (leading_) observer_.on_conflicts(agent);
  }
  if (report.peers) agent.peers = *report.peers;
  if (report.findings && *report.findings != agent.findings) {
    agent.findings = *report.findings;
    observer_.on_findings(agent);
  }
  if (report.wall_ns != 0) {
    agent.wall_ns = report.wall_ns;
    agent.wall_heard = ctx_.now;
  }
  if (report.leaving && !agent.leaving) {
    agent.leaving = true;
    agent.message = "the agent is ending and hands its addresses over";
    if (leading_) observer_.on_leaving(agent);
  }
}

void Agents::OnAnswered(Agent& agent, std::uint64_t term, std::uint64_t version, const sync::Rejected* rejected) {
  if (term != ctx_.term || !agent.in_flight || agent.in_flight->version != version) return;
  const Agent::InFlight done = *std::exchange(agent.in_flight, std::nullopt);
  ctx_.timers.Cancel(done.limit);
  ctx_.Count(Observe::What::kPushAckSeconds, absl::ToDoubleSeconds(ctx_.now - done.sent));
  std::map<IpAddr, const sync::Rejection*> no;
  if (rejected != nullptr) {
    for (const sync::Rejection& r : rejected->rejections) {
      if (r.address) {
        no[*r.address] = &r;
        continue;
      }
      // The version as a whole was not understood: only a Snapshot can help.
      ctx_.Warn("agent refused a state", {{"node", agent.node}, {"message", r.message}});
      agent.fresh = true;
      return;
    }
  }
  agent.acked = version;
  EndElder(agent, agent.hello.instance_id);
  const std::set<IpAddr> settled(done.addresses.begin(), done.addresses.end());
  std::erase_if(agent.hello.local,
                [&](const IpAddr& a) { return settled.count(a) != 0 && agent.desired.count(a) == 0; });
  for (const IpAddr& address : done.addresses) {
    auto it = no.find(address);
    const sync::Rejection* rejection = it == no.end() ? nullptr : it->second;
    if (rejection != nullptr) {
      agent.rejections[address] = *rejection;
    } else {
      agent.rejections.erase(address);
    }
    // A decision that has been overtaken meanwhile is acknowledged with its successor.
    if (agent.dirty.count(address) == 0) observer_.on_acked(agent, address, rejection);
  }
}

void Agents::OnClosed(StreamId stream, const std::string& reason) {
  auto it = streams_.find(stream);
  if (it == streams_.end()) return;
  const std::string node = it->second.node;
  streams_.erase(it);
  Agent* agent = Find(node);
  if (agent != nullptr && agent->elder && agent->elder->stream == stream) ForgetElder(*agent);
  if (agent != nullptr && agent->stream == stream) Lose(*agent, reason);
}

void Agents::Lose(Agent& agent, const std::string& why) {
  agent.stream = 0;
  if (const auto lost = std::exchange(agent.in_flight, std::nullopt)) {
    ctx_.timers.Cancel(lost->limit);
    for (const IpAddr& address : lost->addresses) {  // perhaps it has not heard
      const sync::Assignment* role = RoleOf(agent.node, address);
      if (role == nullptr || role->role != sync::Role::kStandby) agent.dirty.insert(address);
    }
  }
  agent.fresh = true;
  agent.message = why;
  RecallElder(agent);
  ctx_.Warn("agent lost", {{"node", agent.node}, {"reason", why}});
  if (leading_ && !agent.leaving) CountLoss(agent);
  Stretch();
  if (leading_) observer_.on_lost(agent);
}

void Agents::BeginTerm() {
  leading_ = true;
  leader_.clear();
  for (auto& [node, agent] : agents_) {
    agent.fresh = true;
    agent.acked = 0;
    agent.rejections.clear();
    agent.desired.clear();  // decided anew, from what agents report
    agent.dirty.clear();
    if (agent.in_flight) ctx_.timers.Cancel(agent.in_flight->limit);
    agent.in_flight.reset();
    if (agent.connected()) agent.last_heard = std::max(agent.last_heard, ctx_.now);
  }
  NewPeerKey();
  Stretch();
  CheckHeartbeats();
}

void Agents::EndTerm(const std::string& leader) {
  leading_ = false;
  ctx_.timers.Cancel(std::exchange(key_timer_, 0));
  leader_ = leader;
  for (auto& [node, agent] : agents_) {
    agent.desired.clear();
    agent.dirty.clear();
    if (agent.connected()) ctx_.Emit(SendToAgent{agent.stream, sync::NotLeader{ctx_.term, leader}});
    if (agent.elder) {
      // An agent like others again, until somebody leads.
      ctx_.Emit(SendToAgent{agent.elder->stream, sync::NotLeader{ctx_.term, leader}});
      ctx_.timers.Cancel(std::exchange(agent.elder->limit, 0));
      agent.elder->told.reset();
      agent.elder->confirmed = false;
    }
  }
}

void Agents::SetRole(const std::string& node, sync::Assignment assignment, bool renew) {
  Agent& agent = agents_[node];
  agent.node = node;
  auto it = agent.desired.find(assignment.address);
  if (it != agent.desired.end() && !renew) {
    if (SameDecision(it->second, assignment)) return;
    // The role stands: its age counts between rivals, so it is not renewed by new candidates or ports.
    if (it->second.role == assignment.role) assignment.since = it->second.since;
  }
  if (assignment.since == sync::Stamp{}) assignment.since = {ctx_.term, ctx_.NextVersion()};
  agent.dirty.insert(assignment.address);
  agent.desired[assignment.address] = std::move(assignment);
}

void Agents::Drop(const std::string& node, const IpAddr& address) {
  Agent* agent = Find(node);
  if (agent == nullptr || agent->desired.erase(address) == 0) return;
  agent->rejections.erase(address);
  agent->dirty.insert(address);
}

void Agents::ForgetStandbys(Agent& agent) {
  std::erase_if(agent.desired, [](const auto& d) { return d.second.role == sync::Role::kStandby; });
}

const sync::Assignment* Agents::RoleOf(const std::string& node, const IpAddr& address) const {
  const Agent* agent = Find(node);
  if (agent == nullptr) return nullptr;
  auto it = agent->desired.find(address);
  return it == agent->desired.end() ? nullptr : &it->second;
}

void Agents::Flush() {
  if (!ctx_.active) return;
  for (auto& [node, agent] : agents_) FlushOne(agent);
}

void Agents::FlushOne(Agent& agent) {
  if (!agent.connected() || agent.in_flight || (!agent.fresh && agent.dirty.empty())) return;
  if (agent.fresh && !ElderRetires(agent)) return;
  Agent::InFlight flight;
  flight.version = ctx_.NextVersion();
  flight.sent = ctx_.now;
  auto removal = [&](const IpAddr& a) {
    return sync::Removal{a, ctx_.ledger.OwnersOf(a).empty() || ctx_.releasing.count(a) != 0};
  };
  if (agent.fresh) {
    sync::Snapshot snapshot{ctx_.term, flight.version, settings_, {}, {}, {}};
    std::set<IpAddr> gone(agent.hello.local.begin(), agent.hello.local.end());
    for (const auto& [address, unused] : agent.announced) gone.insert(address);
    if (agent.elder) {
      for (const auto& [address, unused] : agent.elder->announced) gone.insert(address);
    }
    gone.insert(agent.dirty.begin(), agent.dirty.end());
    for (const auto& [address, assignment] : agent.desired) {
      snapshot.assignments.push_back(assignment);
      flight.addresses.push_back(address);
      gone.erase(address);
      if (agent.elder && assignment.role == sync::Role::kAnnounce) {
        // One whose first frames are still being repeated, since some may be lost, gets all of them once more.
        const auto announced = agent.elder->announced.find(address);
        const bool settled = announced != agent.elder->announced.end() && !announced->second.repeating;
        if (settled) snapshot.continued.push_back(address);
      }
    }
    for (const IpAddr& address : gone) {
      snapshot.removals.push_back(removal(address));
      flight.addresses.push_back(address);
    }
    ctx_.Emit(SendToAgent{agent.stream, std::move(snapshot)});
  } else {
    sync::Delta delta{ctx_.term, agent.acked, flight.version, {}, {}};
    for (const IpAddr& address : agent.dirty) {
      auto it = agent.desired.find(address);
      if (it != agent.desired.end()) {
        delta.upserts.push_back(it->second);
      } else {
        delta.removals.push_back(removal(address));
      }
      flight.addresses.push_back(address);
    }
    ctx_.Emit(SendToAgent{agent.stream, std::move(delta)});
  }
  agent.fresh = false;
  agent.dirty.clear();
  const StreamId stream = agent.stream;
  const std::string node = agent.node;
  flight.limit = ctx_.After(ctx_.options.ack_limit, [this, stream, node] {
    ctx_.Warn("agent acknowledges nothing", {{"node", node}});
    ctx_.Emit(CloseStream{stream, absl::DeadlineExceededError("no state was acknowledged in time: dial again")});
  });
  agent.in_flight = std::move(flight);
}

void Agents::CheckHeartbeats() {
  ctx_.timers.Cancel(heartbeat_timer_);
  heartbeat_timer_ = 0;
  if (!leading_) return;
  std::vector<std::string> silent;
  for (auto& [node, agent] : agents_) {
    if (agent.connected() && agent.last_heard + settings_.agent_timeout <= ctx_.now) silent.push_back(node);
  }
  for (const std::string& node : silent) {
    Agent& agent = agents_[node];
    const StreamId stream = agent.stream;
    ctx_.Emit(CloseStream{stream, absl::DeadlineExceededError("no heartbeat arrived in time: dial again")});
    streams_[stream].superseded = true;  // nothing more is taken from it
    Lose(agent, absl::StrCat("no heartbeat for ", absl::FormatDuration(ctx_.now - agent.last_heard)));
  }
  absl::Time next = absl::InfiniteFuture();
  for (const auto& [node, agent] : agents_) {
    if (agent.connected()) next = std::min(next, agent.last_heard + settings_.agent_timeout);
  }
  if (next != absl::InfiniteFuture())
    heartbeat_timer_ = ctx_.timers.At(next, [this] {
      heartbeat_timer_ = 0;
      CheckHeartbeats();
    });
}

void Agents::ForgiveSilence() {
  for (auto& [node, agent] : agents_) {
    if (agent.connected()) agent.last_heard = ctx_.now;
  }
  CheckHeartbeats();
}

Agent* Agents::Find(const std::string& node) {
  auto it = agents_.find(node);
  return it == agents_.end() ? nullptr : &it->second;
}
const Agent* Agents::Find(const std::string& node) const {
  auto it = agents_.find(node);
  return it == agents_.end() ? nullptr : &it->second;
}

std::size_t Agents::connected_count() const {
  return static_cast<std::size_t>(
      std::count_if(agents_.begin(), agents_.end(), [](const auto& a) { return a.second.connected(); }));
}

std::vector<std::string> Agents::HearersOf(const std::string& node) const {
  std::vector<std::string> hearers;
  for (const auto& [name, agent] : agents_) {
    const bool hears = agent.connected() && std::any_of(agent.peers.begin(), agent.peers.end(),
                                                        [&](const auto& p) { return p.node == node && p.heard; });
    if (hears) hearers.push_back(name);
  }
  return hearers;
}

}  // namespace berth::core
