// SPDX-License-Identifier: Apache-2.0
// The part of Agents that all agents are told alike: their pace, and the keys of the probes among them.
#include <algorithm>
#include <utility>

#include "controller/core/agents.h"

namespace berth::core {
namespace {

// Heartbeats of all agents together stay within this budget; with more agents each beats more slowly.
constexpr double kHeartbeatsPerSecond = 2000;

}  // namespace

void Agents::Stretch() {
  // Behind the start gate agents are told nothing, and beat as all that were there before were told.
  const std::size_t count = ctx_.active ? connected_count() : known_.size();
  const double agents = static_cast<double>(count);
  const absl::Duration wanted = std::max(ctx_.options.heartbeat, absl::Seconds(agents / kHeartbeatsPerSecond));
  const absl::Duration base = ctx_.options.heartbeat;
  // Small changes are not worth a message to everybody, but the way back to the base is.
  const bool small = wanted <= settings_.heartbeat * 1.25 && settings_.heartbeat <= wanted * 1.25;
  if (wanted == settings_.heartbeat || (small && wanted != base)) return;
  const bool sooner = wanted < settings_.heartbeat;
  const absl::Duration timeout =
      std::exchange(settings_.agent_timeout, ctx_.options.agent_timeout * absl::FDivDuration(wanted, base));
  settings_.heartbeat = wanted;
  SendSettings();
  if (!sooner) return;
  // Until they hear of it they beat as they were told before.
  for (auto& [node, agent] : agents_) {
    if (agent.connected() && agent.last_heard + timeout > ctx_.now) agent.last_heard = ctx_.now;
  }
  if (heartbeat_timer_ != 0) CheckHeartbeats();  // else it is what calls this
}

void Agents::SendSettings() {
  if (!ctx_.active) return;
  for (auto& [node, agent] : agents_) {
    if (agent.connected() && !agent.fresh)
      ctx_.Emit(SendToAgent{agent.stream, sync::SettingsUpdate{ctx_.term, settings_}});
  }
}

// At the start of each term, since keys of former leaders are not known here, and every peer_key_life. Agents keep the
// older ones themselves for as long as some of them may not have the new one.
void Agents::NewPeerKey() {
  constexpr std::uint64_t kKeysOfTerm = std::uint64_t{1} << 20;
  ctx_.timers.Cancel(std::exchange(key_timer_, 0));
  if (!ctx_.options.make_peer_key) return;
  const std::string secret = ctx_.options.make_peer_key();
  if (secret.empty()) return;
  auto& keys = settings_.peer_keys;
  const std::uint64_t first = ctx_.term * kKeysOfTerm;
  const std::uint64_t id = keys.empty() ? first : std::max(first, keys.front().id + 1);
  keys.insert(keys.begin(), {.id = std::max<std::uint64_t>(id, 1), .secret = secret});
  if (keys.size() > 2) keys.resize(2);
  SendSettings();
  key_timer_ = ctx_.After(ctx_.options.peer_key_life, [this] {
    key_timer_ = 0;
    NewPeerKey();
  });
}

}  // namespace berth::core
