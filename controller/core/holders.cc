// SPDX-License-Identifier: Apache-2.0
#include "controller/core/holders.h"

#include <algorithm>
#include <utility>

#include "absl/strings/str_cat.h"

namespace berth::core {
namespace {

using Phase = Holding::Phase;
// As many candidates as an agent needs to know: for rank, and to tell a rival from a stranger.
constexpr std::size_t kCandidates = 4;

}  // namespace

const Holding* Holders::Find(const IpAddr& address) const {
  auto it = holdings_.find(address);
  return it == holdings_.end() ? nullptr : &it->second;
}

void Holders::Refresh(const IpAddr& address, bool verified) {
  const auto& owners = ctx_.ledger.OwnersOf(address);
  const model::Pool* pool = ctx_.ledger.PoolOf(address);  // as it is now; without one, as it was recorded
  const bool layer2 = !owners.empty() && (pool != nullptr ? pool->protocol : owners.front().allocation.protocol) ==
                                             model::Protocol::kLayer2;
  if (layer2) {
    Holding& h = holdings_[address];
    if (h.address != address) {
      h.address = address;
      h.since = ctx_.now;
    }
    h.verified |= verified;
  }
  if (owners.empty()) {
    // Freed without having been withdrawn first (sharers that left together): nobody gets it before its holder let go.
    for (const auto& [node, agent] : agents_.all()) {
      if (agent.desired.count(address) != 0) Quarantine(address, node);
    }
  }
  Dirty(address);
}

const std::map<std::string, plan::NodeView>& Holders::NodeViews() const {
  if (views_) return *views_;
  auto& views = views_.emplace();
  for (const auto& [name, agent] : agents_.all()) {
    plan::NodeView& v = views[name];
    v.name = name;
    v.connected = agent.connected();
    v.leaving = agent.leaving;
    v.drained = agents_.Drained(name);
    v.layer2_off = agent.hello.layer2_off;
    v.unsteady = agents_.Unsteady(agent);
    v.interfaces = agent.hello.interfaces;
    v.node.name = name;
    auto it = cluster_.nodes.find(name);
    if (it != cluster_.nodes.end()) v.node = it->second;
    v.preferred = v.node.ready && !v.node.unschedulable;
  }
  return views;
}

std::optional<std::set<std::string>> Holders::LocalNodes(const IpAddr& address) const {
  std::optional<std::set<std::string>> out;
  for (const plan::Claim& claim : ctx_.ledger.OwnersOf(address)) {
    if (claim.traffic_policy != model::TrafficPolicy::kLocal) continue;
    auto nodes = cluster_.EndpointNodes(claim.service, address.family());
    if (!nodes && ctx_.options.absent_endpoints_are_ready) continue;
    std::set<std::string> of = nodes.value_or(std::set<std::string>{});
    if (!out) {
      out = std::move(of);
    } else {
      std::erase_if(*out, [&](const std::string& n) { return of.count(n) == 0; });
    }
  }
  return out;
}

plan::AddressView Holders::ViewOf(const Holding& h) const {
  plan::AddressView view;
  view.address = h.address;
  const auto& owners = ctx_.ledger.OwnersOf(h.address);
  if (!owners.empty()) view.interface = owners.front().allocation.interface;
  if (const model::Pool* pool = ctx_.ledger.PoolOf(h.address); pool != nullptr) {
    view.interface = pool->interface;
    view.node_selector = pool->node_selector;
  }
  view.endpoint_nodes = LocalNodes(h.address);
  if (!h.holder.empty()) view.holder = h.holder;
  if (h.moving != nullptr) view.ordered = h.moving->ordered;
  return view;
}

void Holders::DirtyAll() {
  for (const auto& [address, h] : holdings_) dirty_.insert(address);
}

bool Holders::MayLeaveUnpreferred() const {
  std::size_t unready = 0;
  for (const auto& [name, agent] : agents_.all()) {
    auto it = cluster_.nodes.find(name);
    if (it != cluster_.nodes.end() && !it->second.ready) ++unready;
  }
  return unready * 2 <= agents_.all().size();
}

void Holders::Settle() {
  if (!ctx_.active || dirty_.empty()) return;
  const std::set<IpAddr> dirty = std::exchange(dirty_, {});
  const auto& nodes = NodeViews();
  std::map<std::string, std::size_t> load = load_;  // of what stays as it is
  std::vector<plan::AddressView> together, alone;
  for (const IpAddr& address : dirty) {
    auto it = holdings_.find(address);
    if (it == holdings_.end()) continue;
    Holding& h = it->second;
    if (ctx_.ledger.OwnersOf(address).empty() && !h.withdrawing) {
      Unhold(h, "");
      observer_.on_changed(address);
      holdings_.erase(it);
      continue;
    }
    const Agent* holder = h.holder.empty() ? nullptr : agents_.Find(h.holder);
    // An agent that answers on the LAN though not to us keeps what it has until the LAN says otherwise.
    if (h.withdrawing || (holder != nullptr && holder->control_lost)) continue;
    (h.barred.empty() ? together : alone).push_back(ViewOf(h));
    if (!h.counted.empty()) --load[h.counted];
  }
  const bool may_leave = MayLeaveUnpreferred();
  auto act = [&](const std::map<IpAddr, plan::Placement>& placements) {
    for (const auto& [address, placement] : placements) Act(holdings_.at(address), placement);
  };
  act(plan::Place(together, nodes, ctx_.options.rules, load, may_leave));
  for (const plan::AddressView& view : alone) {
    auto others = nodes;
    for (const std::string& node : holdings_.at(view.address).barred) others.erase(node);
    act(plan::Place({view}, others, ctx_.options.rules, load, may_leave));
  }
}

void Holders::Act(Holding& h, const plan::Placement& placement) {
  if (h.phase == Phase::kTakingOver && placement.holder != h.next && CanSpeakFor(h, h.next)) {
    h.move().decide_anew = true;  // its successor announces by now: calling that back would be a second move
    return;
  }
  if (h.moving != nullptr && !h.moving->ordered.empty() && placement.holder != h.moving->ordered) ForgetOrder(h);
  h.refusals = placement.refusals;
  for (const std::string& node : h.barred) h.refusals.push_back({node, "it rejected the address a moment ago"});
  std::vector<std::string> candidates = placement.candidates;
  if (candidates.size() > kCandidates) candidates.resize(kCandidates);
  DismissStandbys(h, candidates);
  h.candidates = std::move(candidates);
  // The holder that is being left stays known, last, so that its successor tells it from a stranger.
  if (!h.holder.empty() && std::find(h.candidates.begin(), h.candidates.end(), h.holder) == h.candidates.end()) {
    h.candidates.push_back(h.holder);
  }
  const Agent* holder = h.holder.empty() ? nullptr : agents_.Find(h.holder);
  const bool in_contact = holder != nullptr && holder->connected();
  const bool held_back = HeldBack(h, placement);
  if (!placement.holder && !held_back) {
    if (h.holder.empty() || in_contact) {
      Unhold(h, h.refusals.empty() ? "no agent is connected" : "no node can hold it");
      TellUnheld(h);
    } else {
      CancelMove(h);
      h.message = absl::StrCat("its holder ", h.holder, " is lost and no other node can hold it");
    }
    return observer_.on_changed(h.address);
  }
  const std::string target = held_back ? h.holder : *placement.holder;
  if (h.holder.empty()) {
    if (h.phase == Phase::kVerifying && h.next == target) return;  // already being asked about
    if (!h.next.empty() && h.next != target) agents_.Drop(h.next, h.address);
    const bool ours = h.verified && !h.doubtful && !ElsewhereAnnounced(h.address, target);
    return ours ? Announce(h, target) : Verify(h, target);
  }
  if (target == h.holder) {
    if (h.InMove() || h.phase == Phase::kVerifying) CancelMove(h);
    if (h.phase == Phase::kHeld) h.moving.reset();
    TellWhetherItStays(h);
    agents_.SetRole(h.holder, MakeAssignment(h, sync::Role::kAnnounce));
    return WantStandbys(h);
  }
  if (h.next == target && (h.InMove() || h.phase == Phase::kVerifying)) return;
  if (!h.next.empty()) CancelMove(h);
  return in_contact ? StartMove(h, target) : Verify(h, target);
}

// Whether another agent announced it when it spoke last: it was told to let go, and has not said that it did.
bool Holders::ElsewhereAnnounced(const IpAddr& address, const std::string& node) const {
  return std::any_of(agents_.all().begin(), agents_.all().end(), [&](const auto& entry) {
    return entry.first != node && entry.second.announced.count(address) != 0;
  });
}

void Holders::Verify(Holding& h, const std::string& node, bool patient) {
  const bool take_over = !h.holder.empty() || (h.Doubted() && !ElsewhereAnnounced(h.address, node));
  const auto kind = take_over && !patient ? sync::ProbeKind::kTakeOver : sync::ProbeKind::kNewAddress;
  h.next = node;
  Changed(h, Phase::kVerifying);
  h.probe = ++last_probe_;
  agents_.SetRole(node, MakeAssignment(h, sync::Role::kPrepare));
  probes_.Ask(node, kind, h.address, ViewOf(h).interface,
              [this, address = h.address, probe = h.probe, patient](const sync::ProbeAnswer& answer) {
                OnVerified(address, probe, patient, answer);
              });
}

void Holders::OnVerified(const IpAddr& address, std::uint64_t probe, bool patient, const sync::ProbeAnswer& answer) {
  auto it = holdings_.find(address);
  if (it == holdings_.end() || it->second.probe != probe || it->second.phase != Phase::kVerifying) return;
  Holding& h = it->second;
  const std::string next = h.next;
  const bool doubted = h.Doubted();
  if (!answer.probed) {
    h.message = answer.message;
    Bar(h, next);
    CancelMove(h);
    return Dirty(address);
  }
  std::optional<MacAddr> stranger;
  for (const MacAddr& mac : answer.macs) {
    const std::string node = agents_.NodeOfMac(mac);
    if (node == next) continue;
    if (node.empty()) {
      stranger = mac;
      continue;
    }
    Agent& answering = agents_.all()[node];
    answering.node = node;
    // Not one of those that are in doubt, and nobody's address: somebody put it there by hand.
    if (answering.connected() && doubted && answering.announced.count(address) == 0) continue;
    if (answering.connected()) {
      // It has not heard yet that the address went elsewhere; ask again when it has.
      CancelMove(h);
      ctx_.After(ctx_.options.recheck, [this, address] { Dirty(address); });
      return;
    }
    if (!answering.control_lost) {
      answering.control_lost = true;
      answering.message = "no contact, yet it answers on the LAN: nothing is moved";
      ctx_.Warn("agent out of contact still answers", {{"node", node}, {"address", address.ToString()}});
    }
    CancelMove(h);
    if (h.holder != node) agents_.Drop(h.holder, address);
    Keep(h, node);
    if (recheck_timer_ == 0) recheck_timer_ = ctx_.After(ctx_.options.recheck, [this] { Recheck(); });
    return;
  }
  SetRival(h, stranger);
  if (stranger && h.holder.empty() && !h.verified) {
    h.message = absl::StrCat(stranger->ToString(), " on the LAN answers for it: not announced until that ends");
    MoveEvents(h, absl::StrCat("address ", address.ToString(), ": ", h.message));
    CancelMove(h);
    observer_.on_changed(address);
    ctx_.After(ctx_.options.quarantine_recheck, [this, address] { Dirty(address); });
    return;
  }
  const Agent* holder = h.holder.empty() ? nullptr : agents_.Find(h.holder);
  // It answers for other addresses, so it is alive.
  const bool perhaps_slow = holder != nullptr ? holder->control_lost : doubted && agents_.AnyControlLost();
  const bool perhaps_unheard =
      (holder != nullptr || doubted) && stranger;  // a take-over's probe ends with the first answer
  if ((perhaps_slow || perhaps_unheard) && !patient) return Verify(h, next, true);
  h.verified = true;
  Announce(h, next);
}

// By a node that announces it already.
void Holders::Keep(Holding& h, const std::string& node) {
  h.holder = node;
  h.verified = true;
  ForgetTrouble(h);
  if (h.moving != nullptr) h.moving->Restart();
  agents_.SetRole(node, MakeAssignment(h, sync::Role::kAnnounce));
  Changed(h, Phase::kHeld);
}

void Holders::Announce(Holding& h, std::string node) {
  if (!h.holder.empty() && h.holder != node) {
    h.move().from = h.holder;
    agents_.Drop(h.holder, h.address);
  }
  h.holder = node;
  h.next.clear();
  h.message.clear();
  SetRival(h, std::nullopt);  // whoever claims it from now on is reported by the new holder
  h.turned = ctx_.now;
  Changed(h, Phase::kAnnouncing);
  agents_.SetRole(node, MakeAssignment(h, sync::Role::kAnnounce));
}

void Holders::Mute(Holding& h, const std::string& node) {
  const Agent* agent = agents_.Find(node);
  if (agent == nullptr || !agent->connected()) return agents_.Drop(node, h.address);
  agents_.SetRole(node, MakeAssignment(h, sync::Role::kMute));
  h.muted[node] = ctx_.After(ctx_.options.forward_after_move, [this, node, address = h.address] {
    auto it = holdings_.find(address);
    if (it == holdings_.end() || it->second.muted.erase(node) == 0) return;
    if (!Responsible(it->second, node)) agents_.Drop(node, address);
    WantStandbys(it->second);
  });
}

void Holders::DropMuted(Holding& h) {
  for (const auto& [node, timer] : h.muted) {
    ctx_.timers.Cancel(timer);
    agents_.Drop(node, h.address);
  }
  h.muted.clear();
}

void Holders::Bar(Holding& h, const std::string& node) {
  h.barred.insert(node);
  ctx_.After(ctx_.options.bar_time, [this, node, address = h.address] {
    auto it = holdings_.find(address);
    if (it != holdings_.end() && it->second.barred.erase(node) != 0) Dirty(address);
  });
}

// Nobody holds it from now on.
void Holders::Unhold(Holding& h, const std::string& why) {
  DropMuted(h);
  DismissStandbys(h, {});
  for (const std::string& node : {h.next, h.holder}) {
    if (!node.empty()) agents_.Drop(node, h.address);
  }
  h.next.clear();
  h.holder.clear();
  h.doubtful |= agents_.AnyOutOfContact();
  h.probe = 0;
  h.message = why;
  if (h.moving != nullptr && h.moving->from.empty()) h.moving.reset();
  if (h.moving != nullptr) {  // whoever has it next has it from the same one, and for the same reason but for an order
    Holding::Move& move = *h.moving;
    if (move.reason.empty() || !move.ordered.empty()) move.reason = Holding::Move::kUnable;
    move.decide_anew = false;  // an order stands: the node that it names may hold the address still
  }
  Changed(h, Phase::kUnheld);
}

// An address is a load of the node that will hold it.
void Holders::Count(Holding& h) {
  const std::string& node = h.next.empty() ? h.holder : h.next;
  if (node == h.counted) return;
  if (auto it = load_.find(h.counted); it != load_.end() && --it->second == 0) load_.erase(it);
  if (!node.empty()) ++load_[node];
  h.counted = node;
}

void Holders::Changed(Holding& h, Phase phase) {
  Count(h);
  const Phase was = std::exchange(h.phase, phase);
  if (phase != was && (phase == Phase::kHeld || phase == Phase::kUnheld)) h.since = ctx_.now;
  if (phase == Phase::kHeld) h.told_unheld = h.doubtful = false;
  if (phase == Phase::kHeld && was != phase) WantStandbys(h);
  if (phase == Phase::kHeld && (was == Phase::kAnnouncing || was == Phase::kTakingOver)) {
    h.turned = ctx_.now;
    const std::unique_ptr<Holding::Move> move = std::move(h.moving);
    TellWhenOutside(h);
    if (move == nullptr || move->from.empty() || move->from == h.holder) {
      MoveEvents(h, absl::StrCat("success to add nexthops [", h.holder, "] for ", h.address.ToString()));
    } else {
      const absl::Duration took =
          move->started == absl::InfinitePast() ? absl::ZeroDuration() : ctx_.now - move->started;
      MoveEvents(h,
                 absl::StrCat("address ", h.address.ToString(), " moved from ", move->from, " to ", h.holder, ": ",
                              move->reason, "; took ", absl::FormatDuration(absl::Trunc(took, absl::Milliseconds(1)))));
      ctx_.Count(Observe::What::kFailover, 1, move->reason);
      if (move->reason == "agent lost") ctx_.Count(Observe::What::kFailoverSeconds, absl::ToDoubleSeconds(took));
    }
    if (move != nullptr && move->decide_anew) DecideAnew(h, *move);
  }
  observer_.on_changed(h.address);
}

void Holders::MoveEvents(const Holding& h, const std::string& text) {
  for (const plan::Claim& claim : ctx_.ledger.OwnersOf(h.address)) {
    ctx_.ServiceEvent(claim.service, h.rival.has_value(), "SetBalancer", text);
  }
}

}  // namespace berth::core
