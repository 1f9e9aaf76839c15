// SPDX-License-Identifier: Apache-2.0
// The part of Holders that moves addresses from one living node to another: by order or because its node leaves, and
// always make before break.
#include <utility>

#include "absl/strings/str_cat.h"
#include "controller/core/holders.h"

namespace berth::core {
namespace {
using Phase = Holding::Phase;
}  // namespace

bool Holders::CanSpeakFor(const Holding& h, const std::string& node) const {
  const auto view = NodeViews().find(node);
  return view != NodeViews().end() && plan::CanSpeakFor(ViewOf(h), view->second);
}

// Whether the holder keeps an address for now though placement would have it elsewhere, or nowhere: it changed hands
// only just, and nothing is lost by waiting. Endpoints that come and go many times a second take it along once a
// second.
bool Holders::HeldBack(const Holding& h, const plan::Placement& placement) {
  if (h.holder.empty() || placement.holder == h.holder) return false;
  if (h.InMove() && placement.holder == h.next) return false;           // on its way
  if (h.moving != nullptr && !h.moving->ordered.empty()) return false;  // people may be as quick as they like
  const absl::Time due = h.turned + ctx_.options.change_interval;
  if (ctx_.now >= due) return false;
  for (const std::string& node : {h.holder, h.next}) {
    if (node.empty()) continue;
    const auto view = NodeViews().find(node);
    const bool stays = view != NodeViews().end() && !view->second.leaving && !view->second.drained;
    if (!stays || !CanSpeakFor(h, node)) return false;
  }
  if (held_back_.insert(h.address).second) {
    ctx_.timers.At(due, [this, address = h.address] {
      held_back_.erase(address);
      Dirty(address);
    });
  }
  return true;
}

void Holders::StartMove(Holding& h, const std::string& next) {
  h.next = next;
  h.turned = ctx_.now;
  Holding::Move& move = h.move();
  move.from = h.holder;
  if (move.started == absl::InfinitePast()) move.started = ctx_.now;
  if (move.reason.empty()) {
    const Agent* holder = agents_.Find(h.holder);
    const bool ending = holder != nullptr && holder->leaving;
    move.reason = ending ? "agent ending" : agents_.Drained(h.holder) ? "node drained" : Holding::Move::kUnable;
  }
  Changed(h, Phase::kPreparing);
  agents_.SetRole(next, MakeAssignment(h, sync::Role::kPrepare));
}

void Holders::CancelMove(Holding& h) {
  const Phase was = h.phase;
  const bool moved = h.InMove();
  if (!h.next.empty()) agents_.Drop(h.next, h.address);
  h.next.clear();
  h.probe = 0;
  Count(h);
  if (was == Phase::kVerifying || moved) Changed(h, h.holder.empty() ? Phase::kUnheld : Phase::kHeld);
  if (moved) {
    // The holder may have fallen silent for the successor already: say it anew.
    agents_.SetRole(h.holder, MakeAssignment(h, sync::Role::kAnnounce), was != Phase::kPreparing);
  }
}

void Holders::FinishMove(Holding& h) {
  const std::string from = std::exchange(h.holder, std::exchange(h.next, ""));
  SetRival(h, std::nullopt);
  h.message.clear();
  Mute(h, from);
  Changed(h, Phase::kHeld);
}

// What was to be decided once `move` had ended.
void Holders::DecideAnew(Holding& h, const Holding::Move& move) {
  if (!move.ordered.empty() && move.ordered != h.holder) {  // an order that came meanwhile
    h.move().ordered = move.ordered;
    h.move().reason = move.reason;
  }
  Dirty(h.address);
}

void Holders::OnDrained(const std::string& node) {
  for (const auto& [address, h] : holdings_) {
    if (Responsible(h, node)) Dirty(address);
  }
}

absl::Status Holders::CheckMove(const IpAddr& address, const std::string& node) const {
  const auto no = [&](const auto&... why) {
    return absl::FailedPreconditionError(absl::StrCat(address.ToString(), " cannot move to ", node, ": ", why...));
  };
  const Holding* h = Find(address);
  if (h == nullptr) return no("it is not a layer 2 address of this cluster's nodes");
  if (h->withdrawing) return no("it is being released");
  const Agent* holder = h->holder.empty() ? nullptr : agents_.Find(h->holder);
  if (holder != nullptr && holder->control_lost && h->holder != node) {
    return no("its holder ", h->holder, " is out of contact but answers on the LAN, so nothing can be taken from it");
  }
  const auto& nodes = NodeViews();
  const auto view = nodes.find(node);
  if (view == nodes.end()) return no("its agent has not connected yet");
  if (const absl::Status can = plan::CanHold(ViewOf(*h), view->second, ctx_.options.rules); !can.ok()) {
    return no(can.message());
  }
  if (h->barred.count(node) != 0) return no("it rejected the address a moment ago");
  if (!view->second.preferred) {
    // Placement would take it away again.
    for (const std::string& other : plan::Rank(ViewOf(*h), nodes, ctx_.options.rules).nodes) {
      if (!nodes.at(other).preferred) break;
      return no("the node is cordoned or not Ready, and ", other, " is neither");
    }
  }
  return absl::OkStatus();
}

void Holders::Move(const IpAddr& address, const std::string& node, const std::string& reason) {
  Holding& h = holdings_.at(address);
  if (h.holder == node && h.phase == Phase::kHeld) return;
  h.move().ordered = node;
  h.move().reason = reason;
  Dirty(address);
  observer_.on_changed(address);
}

// That node cannot hold it any more; the refusals say why.
void Holders::ForgetOrder(Holding& h) {
  ctx_.Warn("an order to move an address is forgotten, since the node cannot hold it",
            {{"address", h.address.ToString()}, {"node", h.moving->ordered}});
  h.moving->ordered.clear();
  if (!h.holder.empty()) h.moving->reason.clear();  // else it says why nobody has it
  observer_.on_changed(h.address);
}

std::vector<plan::Shift> Holders::PlanRebalance() const {
  std::vector<plan::AddressView> movable;
  for (const auto& [address, h] : holdings_) {
    const Agent* holder = h.holder.empty() ? nullptr : agents_.Find(h.holder);
    const bool at_rest = h.phase == Phase::kHeld && !h.withdrawing && h.barred.empty();
    if (at_rest && holder != nullptr && holder->connected()) movable.push_back(ViewOf(h));
  }
  return plan::Rebalance(movable, NodeViews(), ctx_.options.rules, load_);
}

void Holders::Rebalance(std::vector<plan::Shift> plan) {
  rebalance_.assign(std::make_move_iterator(plan.begin()), std::make_move_iterator(plan.end()));
  if (rebalance_timer_ == 0) NextOfRebalance();
}

void Holders::NextOfRebalance() {
  rebalance_timer_ = 0;
  while (!rebalance_.empty()) {
    const plan::Shift next = std::move(rebalance_.front());
    rebalance_.pop_front();
    const Holding* h = Find(next.address);
    // What has changed since it was planned is left alone.
    if (h == nullptr || h->holder != next.from || h->phase != Phase::kHeld) continue;
    if (!CheckMove(next.address, next.to).ok()) continue;
    Move(next.address, next.to, "rebalanced");
    break;
  }
  if (rebalance_.empty()) return;
  rebalance_timer_ = ctx_.After(ctx_.options.rebalance_interval, [this] { NextOfRebalance(); });
}

void Holders::ForgetOrders() {
  rebalance_.clear();
  ctx_.timers.Cancel(std::exchange(rebalance_timer_, 0));
  for (auto& [address, h] : holdings_) {
    if (h.moving == nullptr || h.moving->ordered.empty()) continue;
    h.moving->ordered.clear();
    h.moving->reason.clear();
  }
}

}  // namespace berth::core
