// SPDX-License-Identifier: Apache-2.0
#include "controller/core/pools.h"

#include <algorithm>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "absl/strings/strip.h"
#include "controller/plan/validate.h"

namespace berth::core {
namespace {
constexpr absl::Duration kStatusInterval = absl::Seconds(1);
constexpr double kUsersInOne = 1000;  // entries of status.used that are worth a write each kStatusInterval
constexpr char kRefused[] = "refused: ";
constexpr char kWaits[] = "deletion waits for its users: ";
constexpr char kRefusedEvent[] = "add/update eip";  // OpenELB's word
constexpr std::size_t kUsedListLimit = 4096;        // entries of status.used
constexpr std::size_t kNamedUsers = 20;             // in a sentence

// Since the last one, for a status that tells of nothing but users that came and went. With thousands of them it is
// hundreds of kilobytes, to the API server, to etcd, and to everybody who watches Eips.
absl::Duration IntervalOf(const model::PoolStatus& status) {
  return kStatusInterval * std::max(1.0, static_cast<double>(status.used_list.size()) / kUsersInOne);
}

// Both are as they were afterwards: their thousands of users are set aside, not copied.
bool SameButForUsers(model::PoolStatus& before, model::PoolStatus& now) {
  const AddressCount used = std::exchange(before.used, now.used);
  auto list_before = std::exchange(before.used_list, {});
  auto list_now = std::exchange(now.used_list, {});
  const bool same = before == now;
  before.used = used;
  before.used_list = std::move(list_before);
  now.used_list = std::move(list_now);
  return same;
}
}  // namespace

bool Pools::Apply(const model::ClusterDelta& delta) {
  bool changed = false;
  for (const std::string& name : delta.gone_pools) {
    shown_.erase(name);
    written_.erase(name);
    refused_.erase(name);
    if (ctx_.ledger.FindPool(name) == nullptr) continue;
    const auto orphans = ctx_.ledger.UsedCount(name);
    if (orphans != 0) {
      Tell(name, "Orphaned",
           absl::StrCat("Eip \"", name, "\" is gone while ", orphans,
                        " of its addresses are in use: they are kept and served"));
    }
    waits_.erase(name);
    ctx_.ledger.RemovePool(name);
    changed = true;
  }
  for (const model::Pool& pool : delta.pools) shown_[pool.name] = pool;
  for (const model::Pool& pool : delta.pools) {
    changed |= Accept(pool, true);
    TellDeletion(pool.name);
  }
  // What was refused for the sake of another pool may be right now.
  if (changed) ReconsiderAll();
  changed |= TellRefused();
  // Its finalizer is to be there before somebody has an address of it; and somebody may be waiting for its end.
  const bool urgent = std::any_of(delta.pools.begin(), delta.pools.end(),
                                  [this](const auto& p) { return p.deleting || written_.count(p.name) == 0; });
  if (urgent && ctx_.active) Write();
  return changed;
}

bool Pools::ReconsiderAll() {
  // One that comes into force may make room for another.
  bool changed = false;
  for (bool again = true; again;) {
    again = false;
    const auto refused = refused_;
    for (const auto& [name, why] : refused) again |= Accept(shown_.at(name), false);
    changed |= again;
  }
  return changed;
}

bool Pools::SetUnread(std::map<std::string, std::string> unread) {
  unread_ = std::move(unread);
  return TellRefused();
}

// For the reasons of Services that wait for one of them.
bool Pools::TellRefused() {
  std::map<std::string, std::string> refused = unread_;
  for (const auto& [name, why] : refused_) refused[name] = std::string(absl::StripPrefix(why, kRefused));
  std::erase_if(refused, [this](const auto& pool) { return ctx_.ledger.FindPool(pool.first) != nullptr; });
  return ctx_.ledger.SetRefused(std::move(refused));
}

bool Pools::Reconsider() {
  if (!std::exchange(reconsider_, false) || !ctx_.active) return false;
  const bool changed = ReconsiderAll();
  return TellRefused() || changed;
}

void Pools::Restore(const std::set<std::string>& on_record) {
  for (const std::string& name : on_record) {
    auto it = shown_.find(name);
    if (it == shown_.end() || ctx_.ledger.FindPool(name) != nullptr || !plan::ValidatePool(it->second).ok()) continue;
    std::vector<std::string> in_the_way;
    for (const auto& [other, pool] : ctx_.ledger.pools()) {
      const bool rival = pool.addresses.Overlaps(it->second.addresses) || (pool.is_default && it->second.is_default);
      if (rival) in_the_way.push_back(other);
    }
    const bool theirs = std::any_of(in_the_way.begin(), in_the_way.end(),
                                    [&](const std::string& other) { return on_record.count(other) != 0; });
    if (theirs) continue;  // no right is better than the other
    for (const std::string& other : in_the_way) ctx_.ledger.RemovePool(other);
    Accept(it->second, false);
    for (const std::string& other : in_the_way) Accept(shown_.at(other), false);
  }
  TellRefused();
}

// What is asked of the pool as an object counts even where its spec is refused: that it goes, and how.
bool Pools::KeepButFor(model::Pool kept, const model::Pool& shown) {
  const bool same = kept.deleting == shown.deleting && kept.force_delete == shown.force_delete;
  kept.deleting = shown.deleting;
  kept.force_delete = shown.force_delete;
  kept.has_finalizer = shown.has_finalizer;
  ctx_.ledger.UpsertPool(kept);
  return !same;
}

bool Pools::Accept(const model::Pool& pool, bool news) {
  const model::Pool* before = ctx_.ledger.FindPool(pool.name);
  absl::Status status = plan::ValidatePool(pool);
  // One that the source shows for its deletion alone, without content.
  const auto unread = status.ok() ? unread_.end() : unread_.find(pool.name);
  if (unread != unread_.end()) status = absl::InvalidArgumentError(unread->second);
  if (status.ok()) status = plan::ValidateAgainst(pool, ctx_.ledger.pools());
  if (status.ok() && before != nullptr) status = plan::ValidateUpdate(*before, pool, ctx_.ledger);
  Touch(pool.name);
  if (!status.ok()) {
    std::string why =
        absl::StrCat(kRefused, status.message(), before != nullptr ? "; its last good content stays in force" : "");
    auto [it, first] = refused_.try_emplace(pool.name);
    if (first || (news && it->second != why)) Tell(pool.name, kRefusedEvent, why);
    it->second = std::move(why);
    return before != nullptr && KeepButFor(*before, pool);
  }
  refused_.erase(pool.name);
  ctx_.ledger.UpsertPool(pool);
  return true;
}

void Pools::Touch(const std::string& pool) {
  touched_.insert(pool);
  if (!ctx_.active || timer_ != 0) return;
  timer_ = ctx_.After(kStatusInterval, [this] { Write(); });
}

void Pools::TouchOf(const IpAddr& address) {
  reconsider_ = !refused_.empty();
  if (const model::Pool* pool = ctx_.ledger.PoolOf(address); pool != nullptr) Touch(pool->name);
}

void Pools::TouchAll() {
  for (const auto& [name, pool] : shown_) Touch(name);
}

void Pools::Begin() {
  reconsider_ = !refused_.empty();  // whatever was let go while somebody else led
  written_.clear();
  waits_.clear();
  for (const auto& [name, why] : refused_) Tell(name, kRefusedEvent, why);
  for (const auto& [name, pool] : shown_) TellDeletion(name);
  TouchAll();
  Write();
}

void Pools::Write() {
  ctx_.timers.Cancel(std::exchange(timer_, 0));
  for (const std::string& name : std::exchange(touched_, {})) {
    if (shown_.count(name) == 0) continue;
    model::PoolStatus status = StatusOf(name);
    auto [it, first] = written_.try_emplace(name);
    Written& last = it->second;
    if (!first && last.status == status) continue;  // a steady cluster makes no writes
    if (!first && ctx_.now < last.at + IntervalOf(status) && SameButForUsers(last.status, status)) {
      Touch(name);  // looked at again
      continue;
    }
    last = {status, ctx_.now};
    ctx_.Emit(WritePoolStatus{std::move(status)});
  }
}

// Why a pool that is being deleted is still there; empty when nobody has an address of it, or it goes by force.
std::string Pools::DeletionOf(const model::Pool& pool) const {
  if (!pool.deleting || pool.force_delete) return "";
  std::vector<std::string> users;
  for (const IpAddr& a : ctx_.ledger.UsedIn(pool.name)) {
    for (const plan::Claim& c : ctx_.ledger.OwnersOf(a)) {
      if (users.size() == kNamedUsers) return absl::StrCat(kWaits, absl::StrJoin(users, ", "), " and others");
      users.push_back(c.service.ToString());
    }
  }
  return users.empty() ? "" : absl::StrCat(kWaits, absl::StrJoin(users, ", "));
}

void Pools::TellDeletion(const std::string& name) {
  const model::Pool* pool = ctx_.ledger.FindPool(name);
  const std::string waits = pool == nullptr ? "" : DeletionOf(*pool);
  if (!waits.empty() && ctx_.active && waits_.insert(name).second) Tell(name, "DeletionWaits", waits);
}

// Who does not lead says nothing: the leader sees the same.
void Pools::Tell(const std::string& name, const char* reason, std::string message) {
  if (ctx_.active) ctx_.PoolEvent(name, true, reason, std::move(message));
}

std::string Pools::MessageOf(const std::string& name) const {
  std::string trouble = TroubleOf(name);
  const model::Pool* pool = ctx_.ledger.FindPool(name);
  if (!trouble.empty() || pool == nullptr) return trouble;
  const std::vector<std::string> excluded = ExcludedOf(*pool);
  if (excluded.empty()) return "";
  return absl::StrCat("not given out, being addresses of nodes, gateways or networks: ", absl::StrJoin(excluded, ", "));
}

std::string Pools::TroubleOf(const std::string& name) const {
  if (auto it = refused_.find(name); it != refused_.end()) return it->second;
  const model::Pool* pool = ctx_.ledger.FindPool(name);
  if (pool == nullptr) return "";
  if (std::string waits = DeletionOf(*pool); !waits.empty()) return waits;
  if (pool->protocol != model::Protocol::kLayer2) {
    return absl::StrCat("protocol ", std::string(model::ProtocolName(pool->protocol)),
                        " is allocated but not announced by this version: only layer2 is");
  }
  if (!usable_(*pool)) {
    return absl::StrCat("no connected agent has interface ", pool->interface, " up: its addresses cannot be announced");
  }
  return "";
}

std::vector<std::string> Pools::ExcludedOf(const model::Pool& pool) const {
  std::vector<std::string> excluded;
  for (const IpRange& r : ctx_.ledger.excluded().ranges()) {
    for (const IpRange& p : pool.addresses.ranges()) {
      if (r.Overlaps(p)) excluded.push_back(r.ToString());
    }
  }
  return excluded;
}

model::PoolStatus Pools::StatusOf(const std::string& name) const {
  model::PoolStatus status;
  status.pool = name;
  status.message = MessageOf(name);
  // Said of one that is not being deleted it would be believed of one that is since then, whoever came meanwhile.
  const auto shown = shown_.find(name);
  status.hold = shown == shown_.end() || !shown->second.deleting || ctx_.ledger.UsedCount(name) != 0 ||
                ctx_.ledger.HasReserved(name);
  const model::Pool* pool = ctx_.ledger.FindPool(name);
  if (pool == nullptr) return status;
  status.first_ip = pool->addresses.First() ? pool->addresses.First()->ToString() : "";
  status.last_ip = pool->addresses.Last() ? pool->addresses.Last()->ToString() : "";
  status.total = ctx_.ledger.Capacity(name);
  status.used = AddressCount(ctx_.ledger.UsedCount(name));
  status.ready = pool->protocol == model::Protocol::kLayer2 && usable_(*pool);
  for (const IpAddr& a : ctx_.ledger.UsedIn(name)) {
    if (status.used_list.size() >= kUsedListLimit) break;
    model::PoolStatus::Used used{a, {}};
    for (const plan::Claim& c : ctx_.ledger.OwnersOf(a)) used.services.push_back(c.service);
    status.used_list.push_back(std::move(used));
  }
  for (const IpAddr& a : ctx_.ledger.conflicted()) {
    if (!pool->addresses.Contains(a)) continue;
    const auto by = ctx_.strangers.find(a);
    status.conflicted.push_back({a.ToString(), by == ctx_.strangers.end() ? "" : by->second.ToString()});
  }
  status.excluded = ExcludedOf(*pool);
  status.deletion = DeletionOf(*pool);
  return status;
}

}  // namespace berth::core
