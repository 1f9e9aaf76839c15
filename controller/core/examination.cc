// SPDX-License-Identifier: Apache-2.0
#include "controller/core/examination.h"

#include <algorithm>
#include <utility>

namespace berth::core {
namespace {

constexpr absl::Duration kSettle = absl::Milliseconds(100);
constexpr absl::Duration kDeadline = absl::Seconds(1);
constexpr std::size_t kAskers = 2;

// An agent that tells the time knows what a census is; an older one would take it for nonsense, and hang up.
bool MayAsk(const Agent& agent) { return agent.connected() && agent.wall_ns != 0; }

}  // namespace

bool Examination::AtRest(const Holding& h) const {
  if (h.phase != Holding::Phase::kHeld || h.withdrawing || h.rival.has_value()) return false;
  const Agent* holder = agents_.Find(h.holder);
  return holder != nullptr && holder->connected() && !holder->leaving && holder->Settled(h.address) &&
         agents_.RoleOf(h.holder, h.address) != nullptr;
}

// At most kMost of those at rest: the next ones behind `cursor_`, and from the beginning again.
std::vector<const Holding*> Examination::Choose() {
  std::vector<const Holding*> resting;
  for (const auto& [address, h] : holders_.all()) {
    if (AtRest(h)) resting.push_back(&h);
  }
  announced_ = resting.size();
  if (resting.size() <= kMost) return resting;
  const auto by_address = [](const Holding* a, const Holding* b) { return a->address < b->address; };
  std::sort(resting.begin(), resting.end(), by_address);
  const auto next =
      std::partition_point(resting.begin(), resting.end(), [this](const Holding* h) { return h->address <= cursor_; });
  std::rotate(resting.begin(), next, resting.end());
  resting.resize(kMost);
  cursor_ = resting.back()->address;
  return resting;
}

std::vector<std::string> Examination::AskersFor(const IpAddr& address, const std::string& interface,
                                                const std::string& holder) const {
  std::vector<std::string> askers;
  const auto rule = sync::InterfaceRule::Parse(interface);
  if (!rule.ok()) return askers;
  for (const auto& [name, view] : holders_.NodeViews()) {
    const Agent* agent = agents_.Find(name);
    if (agent == nullptr || !MayAsk(*agent)) continue;
    const auto found = plan::ResolveInterface(*rule, address, view);
    if (found.ok() && (*found)->up) askers.push_back(name);
  }
  // The holder knows its own answer without hearing it, so it asks only where nobody else does.
  const auto before = [&](const std::string& a, const std::string& b) {
    if ((a == holder) != (b == holder)) return b == holder;
    return plan::Weight(a, address) > plan::Weight(b, address);
  };
  std::sort(askers.begin(), askers.end(), before);
  if (askers.size() > kAskers) askers.resize(kAskers);
  return askers;
}

void Examination::Begin() {
  if (running_) return;
  running_ = true;
  settled_ = false;
  announced_ = 0;
  asked_.clear();
  awaited_.clear();
  if (!ctx_.active) return Finish();
  std::map<std::string, std::vector<sync::ProbeTarget>> targets;
  for (const auto& [node, agent] : agents_.all()) {
    if (MayAsk(agent)) targets[node];
  }
  for (const Holding* h : Choose()) {
    const std::string& interface = agents_.RoleOf(h->holder, h->address)->interface;
    asked_[h->address] = {h->holder, h->since, {}};
    for (const std::string& node : AskersFor(h->address, interface, h->holder)) {
      targets[node].push_back({h->address, interface});
    }
  }
  for (auto& [node, of_node] : targets) {
    awaited_.insert(node);
    probes_.AskTogether(
        node, sync::ProbeKind::kCensus, std::move(of_node),
        [this, name = node](const std::vector<sync::ProbeAnswer>& answers) { OnAnswers(name, answers); });
  }
  settle_timer_ = ctx_.After(kSettle, [this] {
    settle_timer_ = 0;
    settled_ = true;
    FinishIfDone();
  });
  deadline_timer_ = ctx_.After(kDeadline, [this] {
    deadline_timer_ = 0;
    Finish();
  });
}

void Examination::OnAnswers(const std::string& node, const std::vector<sync::ProbeAnswer>& answers) {
  if (!running_ || awaited_.erase(node) == 0) return;
  for (const sync::ProbeAnswer& answer : answers) {
    const auto it = asked_.find(answer.address);
    if (it == asked_.end()) continue;
    model::LanAnswer& told = it->second.answers.emplace_back();
    told.asker = node;
    told.asked = answer.probed;
    told.message = answer.message;
    for (const MacAddr& mac : answer.macs) told.heard.push_back({mac, agents_.NodeOfMac(mac)});
  }
  FinishIfDone();
}

void Examination::FinishIfDone() {
  if (running_ && settled_ && awaited_.empty()) Finish();
}

void Examination::Abandon() {
  if (running_) Finish();
}

void Examination::Finish() {
  running_ = false;
  ctx_.timers.Cancel(std::exchange(settle_timer_, 0));
  ctx_.timers.Cancel(std::exchange(deadline_timer_, 0));
  model::LanCensus census;
  census.announced = announced_;
  census.asked = asked_.size();
  if (ctx_.active) census.unheard.assign(awaited_.begin(), awaited_.end());
  for (auto& [address, asked] : std::exchange(asked_, {})) {
    // Who should have answered is known only of those that stayed where they were.
    const Holding* h = holders_.Find(address);
    if (h == nullptr || !AtRest(*h) || h->holder != asked.holder || h->since != asked.since) continue;
    census.addresses.push_back({address, asked.holder, std::move(asked.answers)});
  }
  ctx_.Emit(Examined{std::move(census)});
}

}  // namespace berth::core
