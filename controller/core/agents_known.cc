// SPDX-License-Identifier: Apache-2.0
// The part of Agents that outlives contact with them, and mostly the process: which nodes there are, by which MACs they
// speak, which of them are drained, and whose agent comes and goes.
#include <algorithm>
#include <iterator>
#include <utility>

#include "controller/core/agents.h"

namespace berth::core {

bool Agents::Forget(const std::string& node) {
  const Agent* agent = Find(node);
  if (agent != nullptr && (agent->connected() || agent->control_lost)) return false;
  agents_.erase(node);
  const bool was_drained = drained_.erase(node) != 0;
  return known_.erase(node) != 0 || was_drained;
}

void Agents::ForgetMacs(const std::string& node) {
  if (Knows(node)) return;
  for (auto it = node_of_mac_.begin(); it != node_of_mac_.end();) {
    it = it->second == node ? node_of_mac_.erase(it) : std::next(it);
  }
}

bool Agents::AnyOutOfContact() const {
  return std::any_of(agents_.begin(), agents_.end(), [](const auto& a) { return !a.second.connected(); });
}

bool Agents::AnyControlLost() const {
  return std::any_of(agents_.begin(), agents_.end(), [](const auto& a) { return a.second.control_lost; });
}

std::string Agents::NodeOfMac(const MacAddr& mac) const {
  auto it = node_of_mac_.find(mac);
  return it == node_of_mac_.end() ? std::string() : it->second;
}

void Agents::Remember(const std::vector<model::ClusterSource::KnownAgent>& known) {
  for (const auto& k : known) {
    if (!known_.try_emplace(k.node, k.macs).second) continue;  // what it told us itself is newer
    for (const MacAddr& mac : k.macs) node_of_mac_[mac] = k.node;
  }
}

std::vector<model::ClusterSource::KnownAgent> Agents::Known() const {
  std::vector<model::ClusterSource::KnownAgent> out;
  for (const auto& [node, macs] : known_) out.push_back({node, macs, drained_.count(node) != 0});
  return out;
}

void Agents::Recall(const std::vector<model::ClusterSource::KnownAgent>& known) {
  Remember(known);
  drained_.clear();
  for (const auto& k : known) {
    if (k.drained) drained_.insert(k.node);
  }
}

void Agents::SetDrained(const std::string& node, bool drained) {
  if (drained) {
    drained_.insert(node);
  } else {
    drained_.erase(node);
  }
}

void Agents::CountLoss(Agent& agent) {
  agent.losses.push_back(ctx_.now);
  if (agent.losses.size() > ctx_.options.unsteady_losses) agent.losses.erase(agent.losses.begin());
  if (!Unsteady(agent)) return;
  ctx_.timers.At(ctx_.now + ctx_.options.unsteady_time, [this, node = agent.node] {
    Agent* steady = Find(node);
    if (leading_ && steady != nullptr && !Unsteady(*steady)) observer_.on_steady(*steady);
  });
}

bool Agents::Unsteady(const Agent& agent) const {
  return agent.losses.size() >= ctx_.options.unsteady_losses &&
         agent.losses.back() - agent.losses.front() <= ctx_.options.unsteady_time &&
         ctx_.now - agent.losses.back() < ctx_.options.unsteady_time;
}

void Agents::LearnMacs(Agent& agent) {
  std::vector<MacAddr> macs = agent.Macs();
  std::sort(macs.begin(), macs.end());
  auto it = known_.find(agent.node);
  if (it != known_.end() && it->second == macs) return;
  if (it != known_.end()) {
    for (const MacAddr& mac : it->second) node_of_mac_.erase(mac);
  }
  for (const MacAddr& mac : macs) node_of_mac_[mac] = agent.node;
  known_[agent.node] = std::move(macs);
  observer_.on_known_changed(agent);
}

}  // namespace berth::core
