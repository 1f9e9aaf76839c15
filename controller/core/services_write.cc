// SPDX-License-Identifier: Apache-2.0
// The write that ends each operation on a Service: what it carries, what its outcome means, and what is undone without
// one.
#include <algorithm>
#include <utility>

#include "absl/strings/str_cat.h"
#include "common/sync/wire.h"
#include "controller/core/services.h"

namespace berth::core {
using model::Holds;
namespace {

// What the source is to say of why the Service has less than it should; null when there is nothing to say.
const plan::Reason* ReasonToRecord(const plan::Decision& decision) {
  const bool none = decision.satisfied || decision.reason.code.empty() || decision.reason.code == plan::reason::kReleasing;
  return none ? nullptr : &decision.reason;
}

}  // namespace

std::uint64_t Services::ToRecord(const ServiceRecord& r) const {
  const plan::Reason* reason = ctx_.options.record_reasons ? ReasonToRecord(r.decision) : nullptr;
  return reason == nullptr ? 0 : model::Fingerprint(reason->code, sync::WireMessage(reason->message));
}

void Services::Write(ServiceRecord& r) {
  // News of this very moment that nobody has looked at yet: what was decided before it must not be written after it.
  if (r.phase == Phase::kWithdrawing && dirty_.count(r.object.id) != 0) return Abort(r);
  if (r.gone) return Finish(r);  // there is nothing left to write to
  r.phase = Phase::kWriting;
  r.write_id = ++last_write_;
  r.write_revision = r.object.revision;
  writes_[r.write_id] = r.object.id;
  model::ServiceWrite write;
  write.write_id = r.write_id;
  write.id = r.object.id;
  write.revision = r.object.revision;
  write.allocations = r.target;
  write.managed_by = r.target.empty() ? "" : r.decision.managed_by;
  if (ReasonToRecord(r.decision) != nullptr) {
    write.condition_reason = r.decision.reason.code;
    write.condition_message = sync::WireMessage(r.decision.reason.message);
  }
  ctx_.Emit(WriteService{std::move(write)});
}

void Services::OnWritten(std::uint64_t write_id, const absl::Status& status, const std::string& revision) {
  auto node = writes_.extract(write_id);
  if (node.empty()) return;
  auto it = records_.find(node.mapped());
  if (it == records_.end() || it->second.write_id != write_id) return;
  ServiceRecord& r = it->second;
  const std::string told = std::exchange(r.write_error, status.ok() ? "" : std::string(status.message()));
  const bool moved_on = r.object.revision != r.write_revision;
  // Refused because the object changed, after a try of unknown outcome: that try may have been the change. Its address
  // stays reserved until the object has been read again, which follows.
  if (absl::IsAborted(status) && r.unknown && !moved_on) return;
  if (following_) {
    if (!status.ok() && !absl::IsAborted(status) && !absl::IsNotFound(status)) return;  // reserved until read again
    r.phase = Phase::kIdle;
    Unreserve(r);
    if (!status.ok() || moved_on) return Adopt(r, r.shown);
    r.object.revision = revision;
    r.shown = r.target;
    return Adopt(r, r.target);
  }
  if (status.ok()) {
    if (!moved_on) {
      r.object.revision = revision;
      r.shown = r.target;  // the source says so, though it has not shown the object yet
    }
    const model::ObjectId id = r.object.id;
    const bool undone = r.shown != r.target;  // shown since: somebody else has changed it already
    Finish(r);
    if (auto left = records_.find(id); left != records_.end()) left->second.restore = undone;
    return;
  }
  if (absl::IsNotFound(status)) {
    r.gone = true;
    r.target.clear();
    return Finish(r);
  }
  if (absl::IsAborted(status) && !r.unknown) {
    // Decided on an old object. What was withdrawn is announced again until the new decision.
    Abort(r);
    r.stale = !moved_on;
    if (moved_on) r.restore = r.shown != r.object.allocations;
    if (moved_on || r.again) dirty_.insert(r.object.id);
    r.again = false;
    return;
  }
  r.unknown = true;
  if (moved_on) {
    Reread(r);
    dirty_.insert(r.object.id);
    r.again = false;
    return;
  }
  if (told != r.write_error) on_changed(r.object.id);
  ctx_.Warn("writing a Service failed: its address stays reserved, the write is repeated",
            {{"service", r.object.id.ToString()}, {"error", std::string(status.message())}});
  r.retry = ctx_.After(ctx_.options.write_retry, [this, id = r.object.id, op = r.op] {
    auto again = records_.find(id);
    if (again == records_.end() || again->second.op != op || again->second.phase != Phase::kWriting) return;
    again->second.retry = 0;
    Write(again->second);
  });
}

// Who was about to leave because its ports clash with those of `id` may stay, if it has not been written yet.
void Services::Release(const model::ObjectId& id, const IpAddr& address) {
  ctx_.ledger.Release(id, address);
  for (const plan::Claim& owner : ctx_.ledger.OwnersOf(address)) {
    const ServiceRecord& other = records_.at(owner.service);
    if (!other.gone && !other.object.deleting) dirty_.insert(owner.service);
  }
}

// What one sharer has withdrawn is announced again for those that stay, and stays withdrawn where all are leaving.
void Services::HandOn(const IpAddr& address) {
  const auto& owners = ctx_.ledger.OwnersOf(address);
  const bool wanted = std::any_of(owners.begin(), owners.end(),
                                  [&](const plan::Claim& owner) { return !IsLeaving(owner.service, address); });
  if (owners.empty() || wanted) return holders_.Restore(address);
  for (const plan::Claim& owner : owners) records_.at(owner.service).withdrawn.insert(address);
}

void Services::Finish(ServiceRecord& r) {
  const model::ObjectId id = r.object.id;
  const std::vector<model::Allocation> before = std::exchange(r.object.allocations, std::exchange(r.target, {}));
  const std::vector<model::Allocation>& now = r.object.allocations;
  const ServiceRecord::Addresses verified = std::exchange(r.verified, {});
  r.object.managed_by = now.empty() ? "" : r.decision.managed_by;
  r.object.told = ToRecord(r);
  r.object.marked = !now.empty();
  r.restore = r.unknown = false;
  r.phase = Phase::kIdle;
  bool freed = false;
  for (const model::Allocation& a : before) {
    if (Holds(now, a.address)) continue;
    Release(id, a.address);
    if (r.withdrawn.count(a.address) != 0) HandOn(a.address);
    holders_.Refresh(a.address);
    pools_.TouchOf(a.address);
    ctx_.ServiceEvent(id, false, "ReleaseIP", absl::StrCat("success to release ip: ", a.address.ToString()));
    freed = true;
  }
  Unreserve(r);
  UpdateClaims(r);
  for (const model::Allocation& a : now) {
    if (Holds(before, a.address)) continue;
    holders_.Refresh(a.address, verified.count(a.address) != 0);
    pools_.TouchOf(a.address);
    ctx_.ServiceEvent(id, false, "AssignIP", absl::StrCat("success to assign ip: ", a.address.ToString()));
    ctx_.Count(Observe::What::kAllocationSeconds, absl::ToDoubleSeconds(ctx_.now - r.waiting_since));
  }
  r.waiting_since = ctx_.now;
  if (freed) Wake();
  r.again = false;
  if (r.gone && now.empty()) return Erase(id);
  dirty_.insert(id);
  on_changed(id);
}

// Undoes an operation that has not been written: nothing of it may be left.
void Services::Abort(ServiceRecord& r) {
  for (const auto& set : {r.withdrawing, r.withdrawn}) {
    for (const IpAddr& address : set) holders_.Restore(address);
  }
  r.withdrawing.clear();
  r.withdrawn.clear();
  Unreserve(r);
  r.unknown = false;
  r.phase = Phase::kIdle;
  r.op = 0;
}

void Services::Unreserve(ServiceRecord& r) {
  const bool had = !r.reserved.empty();
  for (const IpAddr& address : r.reserved) ctx_.ledger.MarkReserved(address, false);
  r.reserved.clear();
  r.probing.clear();
  r.verified.clear();
  r.withdrawn.clear();
  if (had) Wake();  // somebody may wait for just that address
}

// What the source shows now is the outcome of the write: it made the revision that is shown, or came too late for it.
void Services::Reread(ServiceRecord& r) {
  const std::vector<model::Allocation> held = std::exchange(r.object.allocations, r.shown);
  r.restore = r.unknown = false;
  r.phase = Phase::kIdle;
  for (const model::Allocation& a : held) {
    if (Holds(r.object.allocations, a.address)) continue;
    Release(r.object.id, a.address);
  }
  for (const IpAddr& a : ServiceRecord::Addresses(r.withdrawn)) HandOn(a);
  for (const model::Allocation& a : held) {
    if (Holds(r.object.allocations, a.address)) continue;
    holders_.Refresh(a.address);
    pools_.TouchOf(a.address);
    Wake();
  }
  Unreserve(r);
  UpdateClaims(r);
}

}  // namespace berth::core
