// SPDX-License-Identifier: Apache-2.0
// The part of Holders that listens: to agents, to nodes, and to what a release needs from them; and what it then tells.
#include <algorithm>
#include <utility>

#include "absl/strings/str_cat.h"
#include "controller/core/holders.h"

namespace berth::core {
namespace {
using Phase = Holding::Phase;
// Whether the holder has the address to itself: its successor, if there is one, has not been let in yet.
bool Keeps(Phase phase) { return phase == Phase::kHeld || phase == Phase::kPreparing; }
constexpr std::size_t kRecheckSample = 4;  // addresses asked of each lost agent at a time, in turn
}  // namespace

void Holders::Adopt() {
  for (const IpAddr& address : ctx_.ledger.Used()) Refresh(address);
  struct Best {
    std::string node;
    sync::AnnouncedAddress report;
  };
  std::map<IpAddr, Best> best;
  for (const auto& [node, agent] : agents_.all()) {
    if (!agent.connected()) continue;
    const auto hear = [&, &name = node](const std::map<IpAddr, sync::AnnouncedAddress>& announced) {
      for (const auto& [address, report] : announced) {
        auto [it, first] = best.try_emplace(address, Best{name, report});
        if (first) continue;
        const auto& other = it->second.report;
        const bool better = report.since > other.since || (report.since == other.since && report.rank < other.rank);
        if (better) it->second = {name, report};
      }
    };
    hear(agent.announced);
    if (agent.elder) hear(agent.elder->announced);
  }
  const bool in_doubt = agents_.AnyOutOfContact();
  for (auto& [address, h] : holdings_) {
    h.doubtful |= h.holder.empty() && in_doubt;
    auto it = best.find(address);
    if (it != best.end()) {
      h.holder = it->second.node;
      h.verified = true;
      ForgetTrouble(h);
      h.candidates = {h.holder};
      agents_.SetRole(h.holder, MakeAssignment(h, sync::Role::kAnnounce));
      Changed(h, Phase::kHeld);
    } else if (const Agent* holder = agents_.Find(h.holder); holder != nullptr && holder->connected()) {
      Announce(h, h.holder);  // it was told before and does not say so any more: tell it again
    }
  }
  for (auto& [node, agent] : agents_.all()) {
    if (!agent.connected()) continue;
    AdoptFrom(agent);
    OnConflicts(agent);  // what it told before somebody led
  }
  DirtyAll();
}

// What an agent says to announce and nobody gave it: adopted where the address has no holder, else quarantined or
// dropped by the Snapshot that it gets.
void Holders::AdoptFrom(Agent& agent) {
  AdoptFrom(agent, agent.announced);
  if (agent.elder) AdoptFrom(agent, agent.elder->announced);
}

void Holders::AdoptFrom(Agent& agent, const std::map<IpAddr, sync::AnnouncedAddress>& announced) {
  for (const auto& [address, report] : announced) {
    auto it = holdings_.find(address);
    if (it == holdings_.end()) {
      if (ctx_.ledger.OwnersOf(address).empty()) Quarantine(address, agent.node);
      continue;
    }
    Holding& h = it->second;
    if (h.holder == agent.node || h.withdrawing) continue;
    const Agent* holder = h.holder.empty() ? nullptr : agents_.Find(h.holder);
    const bool vacant = holder == nullptr || (!holder->connected() && !holder->control_lost);
    if (!vacant || h.phase == Phase::kAnnouncing) continue;
    CancelMove(h);
    if (!h.holder.empty()) agents_.Drop(h.holder, address);
    Keep(h, agent.node);
  }
}

void Holders::Pause() {
  probes_.Forget();
  ForgetOrders();
  for (auto& [address, h] : holdings_) {
    for (const auto& [node, timer] : h.muted) ctx_.timers.Cancel(timer);
    h.muted.clear();
    h.barred.clear();  // whoever comes back while nothing is decided may have been cured
    h.next.clear();
    h.probe = 0;
    h.withdrawing = false;
    h.phase = h.holder.empty() ? Phase::kUnheld : Phase::kHeld;
    Count(h);
  }
  for (auto& [address, release] : releases_) ctx_.timers.Cancel(release.limit);
  releases_.clear();
  ctx_.releasing.clear();
  dirty_.clear();
  standby_due_.clear();
}

void Holders::OnContact(Agent& agent) {
  probes_.OnAgentGone(agent.node, "its agent connected anew");
  agents_.ForgetStandbys(agent);  // what it stood by for before; it is told anew
  AdoptFrom(agent);
  for (auto& [address, h] : holdings_) {
    h.barred.erase(agent.node);
    if (h.holder == agent.node) ForgetTrouble(h);
  }
  DirtyAll();
}

void Holders::OnLost(Agent& agent) {
  probes_.OnAgentGone(agent.node, "its agent is lost");
  for (auto& [address, h] : holdings_) {
    if (auto it = h.muted.find(agent.node); it != h.muted.end()) {
      ctx_.timers.Cancel(it->second);
      h.muted.erase(it);
      agents_.Drop(agent.node, address);
    }
    if (h.next == agent.node) {
      CancelMove(h);
      h.turned = absl::InfinitePast();  // it has not changed hands, and whoever is next need not wait
      Dirty(address);
    }
    h.doubtful |= h.holder.empty();
    if (h.holder != agent.node) continue;
    h.move().reason = "agent lost";
    h.move().started = agent.last_heard;
    if (h.phase == Phase::kTakingOver) {
      Announce(h, h.next);  // its successor is announcing already
    } else {
      CancelMove(h);
      Dirty(address);
    }
  }
}

void Holders::OnAcked(Agent& agent, const IpAddr& address, const sync::Rejection* rejection) {
  const sync::Assignment* role = agents_.RoleOf(agent.node, address);
  if (role == nullptr) {
    if (auto it = releases_.find(address); it != releases_.end()) {
      it->second.waiting.erase(agent.node);
      if (it->second.waiting.empty()) FinishRelease(address);
    }
  }
  Unquarantine(address, agent.node);  // whatever it had, it has what it shall have now
  auto it = holdings_.find(address);
  if (it == holdings_.end() || role == nullptr || it->second.withdrawing) return;
  Holding& h = it->second;
  if (rejection != nullptr) {
    if (!Responsible(h, agent.node)) return;
    ctx_.Warn("agent rejected an address",
              {{"node", agent.node}, {"address", address.ToString()}, {"message", rejection->message}});
    const bool holds = h.holder == agent.node;
    Bar(h, agent.node);
    if (holds) {
      if (Keeps(h.phase)) {
        h.move().from = agent.node;
        if (h.move().started == absl::InfinitePast()) h.move().started = ctx_.now;
      }
      // A successor that is taking over announces already.
      h.phase == Phase::kTakingOver ? Announce(h, h.next) : Unhold(h, rejection->message);
    } else {
      CancelMove(h);
      h.turned = absl::InfinitePast();
      h.message = rejection->message;
    }
    return Dirty(address);
  }
  if (h.phase == Phase::kAnnouncing && agent.node == h.holder) {
    Changed(h, Phase::kHeld);
  } else if (h.phase == Phase::kPreparing && agent.node == h.next) {
    sync::Assignment yielding = MakeAssignment(h, sync::Role::kAnnounce);
    yielding.yield_to = agent.Macs();
    agents_.SetRole(h.holder, std::move(yielding));
    Changed(h, Phase::kYielding);
  } else if (h.phase == Phase::kYielding && agent.node == h.holder && !role->yield_to.empty()) {
    agents_.SetRole(h.next, MakeAssignment(h, sync::Role::kAnnounce));
    Changed(h, Phase::kTakingOver);
  } else if (h.phase == Phase::kTakingOver && agent.node == h.next) {
    FinishMove(h);
  }
  if (Keeps(h.phase) && agent.node == h.holder && agent.announced.count(address) == 0) {
    // It has the role and yet is silent, since a rival spoke meanwhile: the address is its own still.
    agents_.SetRole(agent.node, MakeAssignment(h, sync::Role::kAnnounce), true);
  }
}

void Holders::OnInterfaces(Agent& agent) {
  for (auto& [address, h] : holdings_) h.barred.erase(agent.node);
  DirtyAll();
}

void Holders::OnAnnounced(Agent& agent) {
  for (auto& [address, h] : holdings_) {
    if (h.holder != agent.node || !Keeps(h.phase) || h.withdrawing) continue;
    const sync::Assignment* role = agents_.RoleOf(agent.node, address);
    if (role == nullptr || role->role != sync::Role::kAnnounce || agent.announced.count(address) != 0) continue;
    // It fell silent because a rival spoke, and asks: the address is its own still.
    if (agent.Settled(address)) agents_.SetRole(agent.node, MakeAssignment(h, sync::Role::kAnnounce), true);
  }
}

void Holders::OnConflicts(Agent& agent) {
  std::map<IpAddr, std::vector<sync::Conflict>> claimed;
  for (const sync::Conflict& c : agent.conflicts) claimed[c.address].push_back(c);
  for (auto& [address, h] : holdings_) {
    if (h.holder != agent.node) continue;
    auto it = claimed.find(address);
    if (it == claimed.end()) {
      if (h.rival) {
        SetRival(h, std::nullopt);
        MoveEvents(h, absl::StrCat("address ", address.ToString(), ": nobody else claims it any more"));
        observer_.on_changed(address);
      }
      continue;
    }
    const auto known = claims_.find(address);
    const std::vector<sync::Conflict> before = known == claims_.end() ? std::vector<sync::Conflict>() : known->second;
    if (before == it->second) continue;
    SetRival(h, it->second.front().mac);
    for (const sync::Conflict& c : it->second) {
      if (std::find(before.begin(), before.end(), c) != before.end()) continue;
      MoveEvents(h, absl::StrCat("address ", address.ToString(), ": ", c.mac.ToString(), " on interface ", c.interface,
                                 " of node ", agent.node, " claims it too; it is being defended"));
    }
    claims_[address] = std::move(it->second);
    observer_.on_changed(address);
  }
}

void Holders::OnLeaving(Agent& agent) {
  for (const auto& [address, h] : holdings_) {
    if (Responsible(h, agent.node)) Dirty(address);
  }
}

void Holders::OnNodesChanged() { DirtyAll(); }

void Holders::OnEndpointsChanged(const model::ObjectId& service) {
  for (const IpAddr& address : ctx_.ledger.AddressesOf(service)) Dirty(address);
}

void Holders::OnNodeGone(const std::string& node) {
  std::vector<IpAddr> addresses;
  for (const auto& [address, nodes] : quarantine_) {
    if (nodes.count(node) != 0) addresses.push_back(address);
  }
  for (const IpAddr& address : addresses) Unquarantine(address, node);
}

std::string Holders::ProberFor(const IpAddr& address, const std::string& interface, const std::string& except) const {
  std::string best;
  std::uint64_t best_weight = 0;
  const auto rule = sync::InterfaceRule::Parse(interface);
  if (!rule.ok()) return best;
  for (const auto& [name, view] : NodeViews()) {
    if (!view.connected || view.leaving || view.layer2_off || name == except) continue;
    auto found = plan::ResolveInterface(*rule, address, view);
    if (!found.ok() || !(*found)->up) continue;
    const std::uint64_t weight = plan::Weight(name, address);
    if (best.empty() || weight > best_weight) {
      best = name;
      best_weight = weight;
    }
  }
  return best;
}

void Holders::Recheck() {
  recheck_timer_ = 0;
  if (!ctx_.active) {
    recheck_timer_ = ctx_.After(ctx_.options.recheck, [this] { Recheck(); });
    return;
  }
  for (auto& [node, agent] : agents_.all()) {
    if (!agent.control_lost) continue;
    std::vector<IpAddr> held;
    for (const auto& [address, h] : holdings_) {
      if (h.holder == node && !h.withdrawing) held.push_back(address);
    }
    if (held.empty()) {
      agent.control_lost = false;
      continue;
    }
    recheck_timer_ = recheck_timer_ != 0 ? recheck_timer_ : ctx_.After(ctx_.options.recheck, [this] { Recheck(); });
    auto from = std::upper_bound(held.begin(), held.end(), recheck_cursor_[node]);
    for (std::size_t i = 0; i < std::min(kRecheckSample, held.size()); ++i) {
      if (from == held.end()) from = held.begin();
      const IpAddr address = recheck_cursor_[node] = *from++;
      const std::string interface = ViewOf(holdings_.at(address)).interface;
      const std::string prober = ProberFor(address, interface, node);
      if (prober.empty()) continue;
      // Patiently: it is known to answer, so one answer that comes late is no news.
      probes_.Ask(
          prober, sync::ProbeKind::kNewAddress, address, interface, [this, name = node](const sync::ProbeAnswer& a) {
            Agent* lost = agents_.Find(name);
            if (lost == nullptr || !lost->control_lost || !a.probed || !a.macs.empty()) return;
            lost->control_lost = false;  // each of its addresses is asked about now, by the node that would have it
            lost->message = "no contact, and silent on the LAN";
            OnLost(*lost);
          });
    }
  }
}

void Holders::Withdraw(const IpAddr& address, std::function<void()> done) {
  ctx_.releasing.insert(address);
  Release& release = releases_[address];
  release.done = std::move(done);
  auto it = holdings_.find(address);
  if (it != holdings_.end()) it->second.withdrawing = true;
  for (auto& [node, agent] : agents_.all()) {
    if (!agent.connected() && StandsBy(node, address)) {
      // Out of contact, it may come to announce what it stood by for; that it lets go is not waited for.
      agent.desired.erase(address);
      Quarantine(address, node);
      continue;
    }
    if (agent.MayHave(address)) release.waiting.insert(node);
  }
  if (it != holdings_.end()) Unhold(it->second, "being released");
  for (const std::string& node : release.waiting) {
    // Told nothing of it before, yet it announces it: a removal must reach it all the same.
    Agent& agent = agents_.all()[node];
    agents_.Drop(node, address);
    agent.dirty.insert(address);
  }
  const absl::Duration wait = release.waiting.empty() ? absl::ZeroDuration() : ctx_.options.release_wait;
  release.limit = ctx_.After(wait, [this, address] { FinishRelease(address); });
}

void Holders::Restore(const IpAddr& address) {
  ctx_.releasing.erase(address);
  auto release = releases_.find(address);
  if (release != releases_.end()) {
    ctx_.timers.Cancel(release->second.limit);
    releases_.erase(release);
  }
  auto it = holdings_.find(address);
  if (it == holdings_.end()) return;
  it->second.withdrawing = false;
  it->second.message.clear();
  Dirty(address);
}

void Holders::FinishRelease(const IpAddr& address) {
  auto node = releases_.extract(address);
  if (node.empty()) return;
  Release release = std::move(node.mapped());
  ctx_.timers.Cancel(release.limit);
  for (const std::string& n : release.waiting) {
    ctx_.Warn("address quarantined: an agent has not let go of it", {{"address", address.ToString()}, {"node", n}});
    Quarantine(address, n);
  }
  release.done();
}

void Holders::Quarantine(const IpAddr& address, const std::string& node) {
  quarantine_[address].insert(node);
  ctx_.ledger.MarkQuarantined(address, true);
  observer_.on_quarantined(address);
  if (quarantine_timer_ == 0) {
    quarantine_timer_ = ctx_.After(ctx_.options.quarantine_recheck, [this] { RecheckQuarantined(); });
  }
}

void Holders::Unquarantine(const IpAddr& address, const std::string& node) {
  auto it = quarantine_.find(address);
  if (it == quarantine_.end() || it->second.erase(node) == 0 || !it->second.empty()) return;
  quarantine_.erase(it);
  ctx_.ledger.MarkQuarantined(address, false);
  observer_.on_unquarantined(address);
}

void Holders::RecheckQuarantined() {
  quarantine_timer_ = 0;
  if (quarantine_.empty()) return;
  quarantine_timer_ = ctx_.After(ctx_.options.quarantine_recheck, [this] { RecheckQuarantined(); });
  if (!ctx_.active) return;
  for (const auto& [address, nodes] : quarantine_) {
    const model::Pool* pool = ctx_.ledger.PoolOf(address);
    if (pool == nullptr || !ctx_.ledger.OwnersOf(address).empty()) continue;  // in use: its holder would answer
    const std::string prober = ProberFor(address, pool->interface);
    if (prober.empty()) continue;
    probes_.Ask(prober, sync::ProbeKind::kNewAddress, address, pool->interface,
                [this, a = address](const sync::ProbeAnswer& answer) {
                  auto it = quarantine_.find(a);
                  if (it == quarantine_.end() || !answer.probed || !answer.macs.empty()) return;
                  for (const std::string& n : std::set<std::string>(it->second)) Unquarantine(a, n);
                });
  }
}

}  // namespace berth::core
