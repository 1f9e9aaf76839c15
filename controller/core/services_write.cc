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

// Of more that wait it is not looked up who waits for what, each time an address is let go.
constexpr std::size_t kAskAheadFor = 64;
// The LAN's silence is good for so long. A host that asked for the address right after us needs longer until it uses it
// (RFC 5227, 2.1.1: three probes at least a second apart, and two seconds more).
constexpr absl::Duration kQuietFor = absl::Seconds(3);

// What the source is to say of why the Service has less than it should; null when there is nothing to say.
const plan::Reason* ReasonToRecord(const plan::Decision& decision) {
  const bool none =
      decision.satisfied || decision.reason.code.empty() || decision.reason.code == plan::reason::kReleasing;
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
  ServiceRecord::Operation& op = *r.operation;
  if (r.phase != Phase::kWriting) AskAhead(r);
  r.phase = Phase::kWriting;
  op.write_id = ++last_write_;
  op.write_revision = r.object.revision;
  writes_[op.write_id] = r.object.id;
  model::ServiceWrite write;
  write.write_id = op.write_id;
  write.id = r.object.id;
  write.revision = r.object.revision;
  write.allocations = op.target;
  write.managed_by = op.target.empty() ? "" : r.decision.managed_by;
  if (ReasonToRecord(r.decision) != nullptr) {
    write.condition_reason = r.decision.reason.code;
    write.condition_message = sync::WireMessage(r.decision.reason.message);
  }
  ctx_.Emit(WriteService{std::move(write)});
}

// An address that somebody waits for is asked about while its release is being written: the two take as long, and
// nobody answers for it any more. No more are asked about than there are that wait.
void Services::AskAhead(ServiceRecord& r) {
  if (waiting_.size() > kAskAheadFor) return;
  const auto waited_for = [this](const std::string& pool) {
    return std::any_of(waiting_.begin(), waiting_.end(), [&](const model::ObjectId& id) {
      const plan::Decision& decision = records_.at(id).decision;
      const std::vector<std::string>& pools = decision.candidate_pools;
      return decision.reason.code == plan::reason::kPoolExhausted &&
             std::find(pools.begin(), pools.end(), pool) != pools.end();
    });
  };
  for (const model::Allocation& a : r.object.allocations) {
    if (asked_ahead_ >= waiting_.size()) return;
    if (r.op().withdrawn.count(a.address) == 0 || !waited_for(a.pool)) continue;
    const std::string prober = holders_.ProberFor(a.address, a.interface);
    if (prober.empty()) continue;
    ++asked_ahead_;
    probes_.Ask(prober, sync::ProbeKind::kNewAddress, a.address, a.interface,
                [this, id = r.object.id, op = r.op().id,
                 asked = ServiceRecord::Operation::Quiet{a.interface, ctx_.now}](const sync::ProbeAnswer& answer) {
                  --asked_ahead_;
                  const auto it = records_.find(id);
                  if (it == records_.end() || it->second.op().id != op || !answer.probed || !answer.macs.empty())
                    return;
                  it->second.operation->quiet[answer.address] = asked;
                });
  }
}

void Services::OnWritten(std::uint64_t write_id, const absl::Status& status, const std::string& revision) {
  auto node = writes_.extract(write_id);
  if (node.empty()) return;
  auto it = records_.find(node.mapped());
  if (it == records_.end() || it->second.op().write_id != write_id) return;
  ServiceRecord& r = it->second;
  ServiceRecord::Operation& op = *r.operation;
  const std::string told = std::exchange(op.write_error, status.ok() ? "" : std::string(status.message()));
  const bool moved_on = r.object.revision != op.write_revision;
  // Refused because the object changed, after a try of unknown outcome: that try may have been the change. Its address
  // stays reserved until the object has been read again, which follows.
  if (absl::IsAborted(status) && r.unknown && !moved_on) return;
  if (following_) {
    if (!status.ok() && !absl::IsAborted(status) && !absl::IsNotFound(status)) return;  // reserved until read again
    r.phase = Phase::kIdle;
    Unreserve(r);
    const std::unique_ptr<ServiceRecord::Operation> over = std::move(r.operation);
    if (!status.ok() || moved_on) return Adopt(r, r.shown);
    r.object.revision = revision;
    r.shown = over->target;
    return Adopt(r, r.shown);
  }
  if (status.ok()) {
    if (!moved_on) {
      r.object.revision = revision;
      r.shown = op.target;  // the source says so, though it has not shown the object yet
    }
    const model::ObjectId id = r.object.id;
    const bool undone = r.shown != op.target;  // shown since: somebody else has changed it already
    Finish(r);
    if (auto left = records_.find(id); left != records_.end()) left->second.restore = undone;
    return;
  }
  if (absl::IsNotFound(status)) {
    r.gone = true;
    op.target.clear();
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
  if (told != op.write_error) {
    on_changed(r.object.id);
    ctx_.Warn("writing a Service failed: its address stays reserved, the write is repeated until it succeeds",
              {{"service", r.object.id.ToString()}, {"error", op.write_error}});
  }
  op.retry = ctx_.After(ctx_.options.write_retry, [this, id = r.object.id, op = op.id] {
    auto again = records_.find(id);
    if (again == records_.end() || again->second.op().id != op || again->second.phase != Phase::kWriting) return;
    again->second.operation->retry = 0;
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

// Whether a Service is about to let go of an address that it has.
bool Services::IsLeaving(const model::ObjectId& id, const IpAddr& address) const {
  const auto it = records_.find(id);
  if (it == records_.end()) return false;
  const ServiceRecord& r = it->second;
  return (r.phase == Phase::kWithdrawing || r.phase == Phase::kWriting) && !Holds(r.op().target, address);
}

// What one sharer has withdrawn is announced again for those that stay, and stays withdrawn where all are leaving.
void Services::HandOn(const IpAddr& address) {
  const auto& owners = ctx_.ledger.OwnersOf(address);
  const bool wanted = std::any_of(owners.begin(), owners.end(),
                                  [&](const plan::Claim& owner) { return !IsLeaving(owner.service, address); });
  if (owners.empty() || wanted) return holders_.Restore(address);
  for (const plan::Claim& owner : owners) records_.at(owner.service).operation->withdrawn.insert(address);
}

void Services::Finish(ServiceRecord& r) {
  const model::ObjectId id = r.object.id;
  ServiceRecord::Operation& op = *r.operation;
  const std::vector<model::Allocation> before = std::exchange(r.object.allocations, std::exchange(op.target, {}));
  const std::vector<model::Allocation>& now = r.object.allocations;
  const ServiceRecord::Operation::Addresses verified = std::exchange(op.verified, {});
  const auto quiet = std::exchange(op.quiet, {});
  r.object.managed_by = now.empty() ? "" : r.decision.managed_by;
  r.object.told = ToRecord(r);
  r.object.marked = !now.empty();
  r.restore = r.unknown = false;
  r.phase = Phase::kIdle;
  bool freed = false;
  for (const model::Allocation& a : before) {
    if (Holds(now, a.address)) continue;
    Release(id, a.address);
    const auto asked = quiet.find(a.address);
    if (asked != quiet.end() && ctx_.now - asked->second.asked <= kQuietFor)
      quiet_[a.address] = asked->second.interface;
    if (op.withdrawn.count(a.address) != 0) HandOn(a.address);
    holders_.Refresh(a.address);
    pools_.TouchOf(a.address);
    ctx_.ServiceEvent(id, false, "ReleaseIP", absl::StrCat("success to release ip: ", a.address.ToString()));
    freed = true;
  }
  Unreserve(r);
  r.operation.reset();
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
  for (const IpAddr& address : r.op().withdrawing) holders_.Restore(address);
  for (const IpAddr& address : r.op().withdrawn) holders_.Restore(address);
  Unreserve(r);
  r.operation.reset();
  r.unknown = false;
  r.phase = Phase::kIdle;
}

void Services::Unreserve(ServiceRecord& r) {
  if (r.operation == nullptr) return;
  ServiceRecord::Operation& op = *r.operation;
  const bool had = !op.reserved.empty();
  for (const IpAddr& address : op.reserved) {
    ctx_.ledger.MarkReserved(address, false);
    pools_.TouchOf(address);
  }
  op.reserved.clear();
  op.probing.clear();
  op.verified.clear();
  op.withdrawn.clear();
  reserving_.erase(r.object.id);
  if (had) Wake();  // somebody may wait for just that address
}

// What the source shows now is the outcome of the write: it made the revision that is shown, or came too late for it.
// So of what the write was about to give or to let go the source's word counts; what it was to keep is kept, whatever
// somebody else made of the Service meanwhile.
void Services::Reread(ServiceRecord& r) {
  const std::vector<model::Allocation> held = std::move(r.object.allocations);
  std::vector<model::Allocation>& now = r.object.allocations;
  now.clear();
  for (const model::Allocation& a : r.shown) {
    if (Holds(held, a.address) || Holds(r.op().target, a.address)) now.push_back(a);
  }
  for (const model::Allocation& a : held) {
    if (Holds(r.op().target, a.address) && !Holds(now, a.address)) now.push_back(a);
  }
  r.restore = now != r.shown;
  r.unknown = false;
  r.phase = Phase::kIdle;
  for (const model::Allocation& a : held) {
    if (Holds(r.object.allocations, a.address)) continue;
    Release(r.object.id, a.address);
  }
  for (const IpAddr& a : ServiceRecord::Operation::Addresses(r.op().withdrawn)) HandOn(a);
  for (const model::Allocation& a : held) {
    if (Holds(r.object.allocations, a.address)) continue;
    holders_.Refresh(a.address);
    pools_.TouchOf(a.address);
    Wake();
  }
  Unreserve(r);
  r.operation.reset();
  UpdateClaims(r);
}

}  // namespace berth::core
