// SPDX-License-Identifier: Apache-2.0
#include "controller/core/services.h"

#include <algorithm>
#include <tuple>
#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "controller/plan/wish.h"

namespace berth::core {
using model::Holds;

std::vector<ServiceRecord*> Services::InOrder(const Ids& ids) {
  std::vector<ServiceRecord*> out;
  for (const model::ObjectId& id : ids) {
    auto it = records_.find(id);
    if (it != records_.end()) out.push_back(&it->second);
  }
  std::stable_sort(out.begin(), out.end(), [](const ServiceRecord* a, const ServiceRecord* b) {
    return std::tie(a->object.created, a->object.id) < std::tie(b->object.created, b->object.id);
  });
  return out;
}

void Services::Apply(const model::ClusterDelta& delta) {
  for (const model::Service& object : delta.services) Update(object);
  for (const model::ObjectId& id : delta.gone_services) {
    if (const auto it = records_.find(id); it != records_.end()) Vanished(it->second);
  }
}

void Services::Vanished(ServiceRecord& r) {
  const model::ObjectId id = r.object.id;
  r.gone = true;
  r.stale = false;
  if (following_) {
    r.phase = Phase::kIdle;
    Unreserve(r);
    Adopt(r, {});
    dirty_.erase(id);
    return Erase(id);
  }
  const bool writing = r.phase == Phase::kWriting && (r.op().retry != 0 || writes_.count(r.op().write_id) != 0);
  if (writing && r.op().target.empty()) {
    // It lets go of everything, and there is nothing left that a write could change. The API server may answer much
    // later than it tells of the end: it gives node ports back first, one Service after the other.
    CallOff(r);
    return Finish(r);
  }
  if (writing) {
    r.again = true;
    return;
  }
  if (r.phase == Phase::kWriting) Abort(r);  // it was waiting to be read again
  dirty_.insert(id);
}

// What becomes of the write under way concerns nobody any more.
void Services::CallOff(ServiceRecord& r) {
  ctx_.timers.Cancel(std::exchange(r.operation->retry, 0));
  writes_.erase(r.operation->write_id);
}

void Services::Update(const model::Service& object) {
  auto [it, fresh] = records_.try_emplace(object.id);
  ServiceRecord& r = it->second;
  r.gone = r.stale = false;
  r.shown = object.allocations;
  if (!fresh && following_) {
    if (r.phase == Phase::kWriting && object.revision == r.op().write_revision) {
      r.again = true;  // a write of ours is on its way still
    } else {
      r.phase = Phase::kIdle;
      r.restore = false;
      Unreserve(r);
    }
    std::vector<model::Allocation> held = std::move(r.object.allocations);
    r.object = object;
    r.object.allocations = std::move(held);
    Adopt(r, object.allocations);
    dirty_.insert(object.id);
    return;
  }
  if (fresh) {
    r.object = object;
    r.waiting_since = ctx_.now;
    if (ctx_.active) UpdateClaims(r);
  } else {
    const std::vector<model::Allocation> held = std::move(r.object.allocations);
    r.object = object;
    r.object.allocations = held;
    // During a write either side of it may be shown; its answer tells.
    r.restore = r.phase != Phase::kWriting && object.allocations != held;
    if (r.phase == Phase::kWriting && r.unknown && object.revision != r.op().write_revision) {
      // A write of unknown outcome, and the object has been read again.
      CallOff(r);
      Reread(r);
    }
  }
  if (r.phase == Phase::kWriting) {
    r.again = true;
  } else {
    dirty_.insert(object.id);
  }
}

std::set<std::string> Services::PoolsOnRecord() const {
  std::set<std::string> pools;
  for (const auto& [id, r] : records_) {
    for (const model::Allocation& a : r.object.allocations) pools.insert(a.pool);
  }
  return pools;
}

void Services::Claim() {
  Ids ids;
  for (const auto& [id, r] : records_) ids.insert(id);
  for (ServiceRecord* r : InOrder(ids)) UpdateClaims(*r);
}

void Services::Follow(bool on) {
  if (std::exchange(following_, on) || !on) return;
  std::vector<model::ObjectId> gone;
  for (auto& [id, r] : records_) {
    if (r.gone) {
      Unreserve(r);
      Adopt(r, {});
      gone.push_back(id);
    } else if (r.phase != Phase::kWriting) {
      Adopt(r, r.shown);
    }
  }
  for (const model::ObjectId& id : gone) Erase(id);
}
void Services::Adopt(ServiceRecord& r, std::vector<model::Allocation> allocations) {
  const std::vector<model::Allocation> before = std::exchange(r.object.allocations, std::move(allocations));
  for (const model::Allocation& a : before) {
    if (Holds(r.object.allocations, a.address)) continue;
    Release(r.object.id, a.address);
    holders_.Refresh(a.address);
    pools_.TouchOf(a.address);
  }
}
void Services::Begin() {
  std::vector<model::ObjectId> ids;  // a Write may let go of a record for good
  for (const auto& [id, r] : records_) ids.push_back(id);
  for (const model::ObjectId& id : ids) {
    ServiceRecord& r = records_.at(id);
    dirty_.insert(id);
    if (r.phase != Phase::kWriting) continue;
    const bool called_off = writes_.count(r.op().write_id) == 0;  // its repeat
    if (called_off && r.object.revision != r.op().write_revision) {
      Adopt(r, r.shown);  // of an earlier term memory does not count
      Reread(r);
      continue;
    }
    for (const IpAddr& address : r.op().withdrawn)
      holders_.Withdraw(address, [] {});  // for as long as its write may land
    if (called_off) Write(r);
  }
}

void Services::Pause() {
  asked_ahead_ = 0;
  for (auto& [id, r] : records_) {
    if (r.phase == Phase::kProbing || r.phase == Phase::kWithdrawing) {
      r.phase = Phase::kIdle;
      Unreserve(r);
      r.operation.reset();
    }
    if (r.phase != Phase::kWriting) continue;
    ctx_.timers.Cancel(std::exchange(r.operation->retry, 0));
    r.again = true;
  }
}

void Services::Wake() {
  for (const model::ObjectId& id : waiting_) {
    auto it = records_.find(id);
    if (it != records_.end() && it->second.phase == Phase::kIdle) dirty_.insert(id);
  }
}

void Services::OnPoolsChanged() {
  // Forced deletion, adoption of orphans and a changed interface reach Services that wait for nothing.
  for (const auto& [id, r] : records_) {
    if (r.decision.ownership != plan::Ownership::kForeign) dirty_.insert(id);
  }
}

void Services::OnNamespacesChanged() {
  Wake();
  for (const auto& [id, r] : records_) {
    if (r.phase == Phase::kProbing || r.phase == Phase::kWithdrawing) dirty_.insert(id);
  }
}

void Services::DecideAnew(const IpAddr& address) {
  if (!ctx_.ledger.IsReserved(address)) return;
  for (const model::ObjectId& id : reserving_) {
    if (records_.at(id).op().reserved.count(address) != 0) dirty_.insert(id);
  }
}

void Services::OnExcluded() {
  Wake();
  for (const model::ObjectId& id : reserving_) {
    const ServiceRecord::Operation::Addresses& reserved = records_.at(id).op().reserved;
    const bool hit = std::any_of(reserved.begin(), reserved.end(),
                                 [this](const IpAddr& a) { return ctx_.ledger.excluded().Contains(a); });
    if (hit) dirty_.insert(id);
  }
}

void Services::Settle() {
  if (!ctx_.active) return quiet_.clear();
  if (conflict_timer_ == 0 && !ctx_.ledger.conflicted().empty()) {
    conflict_timer_ = ctx_.After(ctx_.options.conflict_recheck, [this] { RecheckConflicts(); });
  }
  while (!dirty_.empty()) {
    for (ServiceRecord* r : InOrder(std::exchange(dirty_, {}))) {
      if (r->stale) continue;
      if (r->phase == Phase::kWriting) {
        r->again = true;
        continue;
      }
      if (r->phase == Phase::kProbing && StillProbing(*r)) continue;
      if (r->phase != Phase::kIdle) Abort(*r);
      Decide(*r);
    }
  }
  quiet_.clear();
}

void Services::Decide(ServiceRecord& r) {
  const model::ObjectId id = r.object.id;
  model::Service& s = r.object;
  r.decision = plan::Decide(s, ctx_.ledger, cluster_.NamespaceLabels(s.id.ns), ctx_.options.rules);
  std::vector<model::Allocation> want = std::exchange(r.decision.want, {});
  const bool release = r.gone || s.deleting || r.decision.ownership == plan::Ownership::kRelease;
  if (release) {
    want.clear();
    r.decision.reason = {plan::reason::kReleasing, "its addresses are being released"};
  }
  const bool foreign = r.decision.ownership == plan::Ownership::kForeign;
  if (foreign && !s.touched()) {
    waiting_.erase(id);
    if (r.gone) return Erase(id);
    return on_changed(id);
  }
  if (!foreign && !release && (!r.decision.satisfied || !r.decision.reason.code.empty())) {
    waiting_.insert(id);
  } else {
    waiting_.erase(id);
  }
  if (Say(r)) TellOwners(r, want);
  const bool same = want == s.allocations;
  if (same) UpdateClaims(r);
  const bool let_go = release && s.touched() && s.allocations.empty();
  const bool relabel = !want.empty() && (r.decision.managed_by != s.managed_by || !s.marked);
  const bool untold = ctx_.options.record_reasons && !foreign && !release && ToRecord(r) != s.told;
  if (same && !r.restore && !let_go && !relabel && !untold) {
    if (r.gone) return Erase(id);
    return on_changed(id);
  }
  if (same && r.gone) return Erase(id);
  if (r.restore && !release) {  // the API server itself empties that of one that is no LoadBalancer any more
    ctx_.ServiceEvent(id, true, "UpdateServiceStatus", "somebody else changed the Service's ingress: restored");
  }
  Start(r, std::move(want));
}

void Services::Start(ServiceRecord& r, std::vector<model::Allocation> want) {
  const model::ObjectId id = r.object.id;
  r.operation = std::make_unique<ServiceRecord::Operation>();
  ServiceRecord::Operation& op = *r.operation;
  op.id = ++last_op_;
  op.target = std::move(want);
  r.phase = Phase::kProbing;
  for (const model::Allocation& a : op.target) {
    if (Holds(r.object.allocations, a.address)) continue;
    ctx_.ledger.MarkReserved(a.address, true);
    op.reserved.insert(a.address);
    if (!ctx_.ledger.OwnersOf(a.address).empty()) continue;  // shared: its holder announces it already
    if (a.protocol != model::Protocol::kLayer2) continue;
    if (const auto quiet = quiet_.find(a.address); quiet != quiet_.end() && quiet->second == a.interface) {
      op.verified.insert(a.address);
      continue;
    }
    const std::string prober = holders_.ProberFor(a.address, a.interface);
    if (prober.empty()) continue;  // its first holder asks before it announces
    op.probing.insert(a.address);
    probes_.Ask(prober, sync::ProbeKind::kNewAddress, a.address, a.interface,
                [this, id, op = op.id](const sync::ProbeAnswer& answer) { Probed(id, op, answer); });
  }
  if (!op.reserved.empty()) reserving_.insert(id);
  if (op.probing.empty()) Withdraw(r);
  on_changed(id);
}

void Services::Withdraw(ServiceRecord& r) {
  const model::ObjectId id = r.object.id;
  ServiceRecord::Operation& op = *r.operation;
  r.phase = Phase::kWithdrawing;
  for (const model::Allocation& a : r.object.allocations) {
    if (Holds(op.target, a.address)) continue;
    const auto& owners = ctx_.ledger.OwnersOf(a.address);
    const bool last = std::all_of(owners.begin(), owners.end(), [&](const plan::Claim& owner) {
      return owner.service == id || IsLeaving(owner.service, a.address);
    });
    if (owners.empty() || !last) continue;  // others go on using it
    op.withdrawing.insert(a.address);
  }
  const ServiceRecord::Operation::Addresses withdrawing = op.withdrawing;
  for (const IpAddr& address : withdrawing) {
    holders_.Withdraw(address, [this, id, op = op.id, address] {
      auto it = records_.find(id);
      if (it == records_.end() || it->second.op().id != op || it->second.phase != Phase::kWithdrawing) return;
      it->second.operation->withdrawing.erase(address);
      it->second.operation->withdrawn.insert(address);
      if (it->second.operation->withdrawing.empty()) Write(it->second);
    });
  }
  if (withdrawing.empty()) Write(r);
}

// Puts what the Service holds, and what it asks for on it, into the ledger.
void Services::UpdateClaims(ServiceRecord& r) {
  for (const model::Allocation& a : r.object.allocations) {
    const plan::Claim claim = plan::MakeClaim(r.object, a);
    const auto& owners = ctx_.ledger.OwnersOf(a.address);
    const auto mine = std::find_if(owners.begin(), owners.end(),
                                   [&](const plan::Claim& owner) { return owner.service == claim.service; });
    const bool had = mine != owners.end();
    // What one that is gone asked for last concerns nobody: it is about to let go.
    if (had && (r.gone || *mine == claim)) continue;
    // Who could not share it before may do so now.
    const bool another = had && [&](plan::Claim before) {
      before.allocation = claim.allocation;
      return before != claim;
    }(*mine);
    if (another && ctx_.active) {
      Wake();
      DecideAnew(a.address);  // who is about to share it
    }
    ctx_.ledger.Assign(claim);
    holders_.Refresh(a.address);
    pools_.TouchOf(a.address);
    if (!ctx_.active) continue;
    Wake();  // somebody may wait for just these ports
    // What one sharer asks for now may be another's conflict, or the end of one.
    for (const plan::Claim& other : ctx_.ledger.OwnersOf(a.address)) {
      if (other.service != r.object.id) dirty_.insert(other.service);
    }
  }
}

// True: it had something new to say, and has said it in an Event.
bool Services::Say(ServiceRecord& r) {
  if (r.decision.reason == r.told) return false;
  r.told = r.decision.reason;
  if (r.told.code.empty() || r.told.code == plan::reason::kReleasing) return false;
  ctx_.ServiceEvent(r.object.id, true, "AssignIPFailed", r.told.message);
  return true;
}

// Of two Services with one address that did not agree on sharing it, so by somebody's hand, the one that keeps it hears
// of the other.
void Services::TellOwners(const ServiceRecord& r, const std::vector<model::Allocation>& want) {
  if (r.told.code != plan::reason::kPortConflict) return;
  const absl::StatusOr<plan::Wish> wish = plan::ReadWish(r.object);
  for (const model::Allocation& a : r.object.allocations) {
    const auto& owners = ctx_.ledger.OwnersOf(a.address);
    if (Holds(want, a.address) || owners.empty() || owners.front().service == r.object.id) continue;
    const auto asks = [&a](const auto& wanted) { return wanted.second.address == a.address; };
    if (wish.ok() && std::any_of(wish->addresses.begin(), wish->addresses.end(), asks)) continue;
    ctx_.ServiceEvent(owners.front().service, true, "UpdateServiceStatus",
                      absl::StrCat(a.address.ToString(), " of this Service stood in the ingress of ",
                                   r.object.id.ToString(), " too, which did not ask for it: that is given another"));
  }
}

void Services::Erase(const model::ObjectId& id) {
  waiting_.erase(id);
  reserving_.erase(id);
  records_.erase(id);
  on_changed(id);
}

}  // namespace berth::core
