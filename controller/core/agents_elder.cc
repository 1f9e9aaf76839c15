// SPDX-License-Identifier: Apache-2.0
// The part of Agents that sees to it that one agent speaks for a node, and that during an upgrade the newer one takes
// over beside the older: no address is without an answer in between, and none moves (docs/sync-protocol.md).
#include <algorithm>
#include <utility>

#include "absl/strings/str_cat.h"
#include "controller/core/agents.h"

namespace berth::core {
namespace {

constexpr absl::Duration kOneRow = absl::Minutes(1);

}  // namespace

Agents::Room Agents::MakeRoom(Agent& agent, StreamId stream, const sync::Hello& hello) {
  if (!agent.connected() || agent.stream == stream) return Room::kAlone;
  const bool same_boot = agent.hello.boot_id == hello.boot_id;
  // Within one boot the younger process wins, whichever dialled last; across boots the clock cannot tell, so the newer
  // stream does.
  if (same_boot && agent.hello.started_ns > hello.started_ns) {
    // Who does not lead has no right to silence anybody.
    if ((agent.taking_over || !leading_) && !agent.elder) {
      KeepElder(agent, stream, ByAddress(hello.announced));
      if (!leading_) ctx_.Emit(SendToAgent{stream, sync::NotLeader{ctx_.term, leader_}});
    } else {
      Supersede(stream, agent.node, agent.hello.instance_id);
    }
    return Room::kNone;
  }
  const bool same_instance = agent.hello.instance_id == hello.instance_id;
  if (!same_instance) EndElder(agent, hello.instance_id);
  if (same_instance) {  // it has dialled anew before we noticed
    ctx_.Emit(CloseStream{agent.stream, absl::AbortedError("this agent has dialled anew since")});
    streams_[agent.stream].superseded = true;
    return agent.elder ? Room::kBesideElder : Room::kAlone;
  }
  if (!same_boot) {
    Supersede(agent.stream, agent.node, hello.instance_id);
    return Room::kAlone;
  }
  KeepElder(agent, agent.stream, agent.announced);
  return Room::kBesideElder;
}

// The older agent goes on answering until its successor has what it shall have.
void Agents::KeepElder(Agent& agent, StreamId stream, std::map<IpAddr, sync::AnnouncedAddress> announced) {
  agent.elder.emplace();
  agent.elder->stream = stream;
  agent.elder->announced = std::move(announced);
  ctx_.Info("a newer agent of a node takes over beside the older one", {{"node", agent.node}});
}

bool Agents::ElderRetires(Agent& agent) {
  if (!agent.elder) return true;
  std::set<IpAddr> answer_on;
  for (const auto& [address, assignment] : agent.desired) {
    if (assignment.role == sync::Role::kAnnounce) answer_on.insert(address);
  }
  Agent::Elder& elder = *agent.elder;
  if (elder.told == answer_on) return elder.confirmed;
  ctx_.Emit(SendToAgent{elder.stream, sync::Retire{ctx_.term, {answer_on.begin(), answer_on.end()}}});
  elder.told = std::move(answer_on);
  elder.confirmed = false;
  if (elder.limit != 0) return false;
  elder.limit = ctx_.After(ctx_.options.retire_limit, [this, node = agent.node] {
    // It hears nothing, and its successor has waited long enough.
    if (Agent* late = Find(node); late != nullptr && late->elder) EndElder(*late, late->hello.instance_id);
  });
  return false;
}

void Agents::HearElder(Agent& agent, const sync::AgentMessage& message) {
  const auto* report = std::get_if<sync::Report>(&message);
  if (report == nullptr || !report->announced) return;
  Agent::Elder& elder = *agent.elder;
  elder.announced = ByAddress(*report->announced);
  const auto told_to = [&](const auto& a) { return elder.told->count(a.first) != 0; };
  if (!elder.told || !std::all_of(elder.announced.begin(), elder.announced.end(), told_to)) return;
  elder.confirmed = true;
  ctx_.timers.Cancel(std::exchange(elder.limit, 0));
}

void Agents::EndElder(Agent& agent, const std::string& by_instance) {
  agent.taking_over = false;
  if (!agent.elder) return;
  Supersede(agent.elder->stream, agent.node, by_instance);
  ForgetElder(agent);
}

// Its successor is lost before it could take over.
void Agents::RecallElder(Agent& agent) {
  agent.taking_over = false;
  if (!agent.elder) return;
  const StreamId stream = agent.elder->stream;
  ctx_.Emit(CloseStream{stream, absl::UnavailableError("the newer agent of this node is gone: dial again")});
  streams_[stream].superseded = true;
  ForgetElder(agent);
}

void Agents::ForgetElder(Agent& agent) {
  ctx_.timers.Cancel(agent.elder->limit);
  agent.elder.reset();
}

void Agents::Supersede(StreamId older, const std::string& node, const std::string& by_instance) {
  const std::string text = absl::StrCat("another instance of the agent of node ", node, " (", by_instance,
                                        ") is newer: only one agent may speak for a node");
  ctx_.Info("the older of two agents of one node is told to end", {{"node", node}, {"kept", by_instance}});
  ctx_.Emit(SendToAgent{older, sync::Superseded{ctx_.term, by_instance, text}});
  ctx_.Emit(CloseStream{older, absl::AlreadyExistsError(text)});
  streams_[older].superseded = true;
  Agent& agent = agents_[node];
  if (ctx_.now - agent.superseded_at > kOneRow) agent.supersedes = 0;
  ++agent.supersedes;
  agent.superseded_at = ctx_.now;
}

}  // namespace berth::core
