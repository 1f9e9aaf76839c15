// SPDX-License-Identifier: Apache-2.0
#include "controller/plan/ledger.h"

#include <algorithm>
#include <iterator>
#include <utility>

namespace berth::plan {
namespace {

// Removes the run of free addresses around `edge` when it holds none but buggy ones. Such runs are at most two long
// (.255 and the .0 behind it), so this looks at four addresses at most.
void DropUselessRun(IpRangeSet& free, const IpAddr& edge) {
  IpAddr first = edge;
  IpAddr last = edge;
  if (!free.Contains(edge)) return;
  for (std::optional<IpAddr> a = edge; a && free.Contains(*a); a = a->Prev()) {
    if (!IsBuggy(*a)) return;
    first = *a;
  }
  for (std::optional<IpAddr> a = edge; a && free.Contains(*a); a = a->Next()) {
    if (!IsBuggy(*a)) return;
    last = *a;
  }
  free.Remove(*IpRange::Make(first, last));
}

void Take(IpRangeSet& free, const IpRange& range, bool avoid_buggy) {
  free.Remove(range);
  if (!avoid_buggy) return;
  if (const auto before = range.first().Prev()) DropUselessRun(free, *before);
  if (const auto after = range.last().Next()) DropUselessRun(free, *after);
}

// Calls fn(key) for each key of an ordered container of addresses that lies in `range`.
template <typename Container, typename KeyOf, typename Fn>
void EachWithin(const Container& container, const IpRange& range, KeyOf key_of, Fn fn) {
  for (auto it = container.lower_bound(range.first()); it != container.end() && key_of(*it) <= range.last(); ++it) {
    fn(key_of(*it));
  }
}

constexpr auto kMapKey = [](const auto& entry) -> const IpAddr& { return entry.first; };
constexpr auto kSetKey = [](const IpAddr& a) -> const IpAddr& { return a; };

IpRange Intersection(const IpRange& a, const IpRange& b) {
  return *IpRange::Make(std::max(a.first(), b.first()), std::min(a.last(), b.last()));
}

// Calls fn(piece, pool name) for each part of `range` that lies in a pool.
template <typename PoolRanges, typename Fn>
void EachPiece(const PoolRanges& pool_ranges, const IpRange& range, Fn fn) {
  auto it = pool_ranges.upper_bound(range.first());
  if (it != pool_ranges.begin()) --it;
  for (; it != pool_ranges.end() && it->first <= range.last(); ++it) {
    const IpRange of_pool = *IpRange::Make(it->first, it->second.first);
    if (of_pool.Overlaps(range)) fn(Intersection(of_pool, range), it->second.second);
  }
}

}  // namespace

bool IsBuggy(const IpAddr& address) {
  if (!address.is_v4()) return false;
  const std::uint8_t last = address.V4Bytes()[3];
  return last == 0 || last == 255;
}

Claim MakeClaim(const model::Service& service, const model::Allocation& allocation) {
  const auto key = service.annotations.find(model::kSharingKeyAnnotation);
  return Claim{.service = service.id,
               .allocation = allocation,
               .ports = service.ports,
               .sharing_key = key == service.annotations.end() ? std::string() : key->second,
               .traffic_policy = service.traffic_policy,
               .selector = service.selector};
}

void Ledger::UpsertPool(const model::Pool& pool) {
  const auto old = pools_.find(pool.name);
  if (old != pools_.end() && old->second.addresses == pool.addresses &&
      old->second.avoid_buggy_ips == pool.avoid_buggy_ips) {
    old->second = pool;
    return;
  }
  RemovePool(pool.name);
  pools_.emplace(pool.name, pool);
  free_[pool.name];
  std::uint64_t& used = used_count_[pool.name];
  for (const IpRange& range : pool.addresses.ranges()) {
    pool_ranges_.insert_or_assign(range.first(), std::make_pair(range.last(), pool.name));
    EachWithin(owners_, range, kMapKey, [&used](const IpAddr&) { ++used; });
    RestoreRange(range);
  }
}

void Ledger::RemovePool(const std::string& name) {
  const auto it = pools_.find(name);
  if (it == pools_.end()) return;
  for (const IpRange& range : it->second.addresses.ranges()) {
    const auto entry = pool_ranges_.find(range.first());
    if (entry != pool_ranges_.end() && entry->second.second == name) pool_ranges_.erase(entry);
  }
  free_.erase(name);
  used_count_.erase(name);
  pools_.erase(it);
}

const model::Pool* Ledger::FindPool(const std::string& name) const {
  const auto it = pools_.find(name);
  return it == pools_.end() ? nullptr : &it->second;
}

bool Ledger::SetRefused(std::map<std::string, std::string> refused) {
  const bool news = refused != refused_;
  refused_ = std::move(refused);
  return news;
}

const model::Pool* Ledger::PoolOf(const IpAddr& address) const {
  const auto after = pool_ranges_.upper_bound(address);
  if (after == pool_ranges_.begin()) return nullptr;
  const auto& [last, name] = std::prev(after)->second;
  return address <= last ? FindPool(name) : nullptr;
}

void Ledger::Assign(const Claim& claim) {
  const IpAddr& address = claim.allocation.address;
  std::vector<IpAddr>& held = by_service_[claim.service];
  const auto place = std::lower_bound(held.begin(), held.end(), address);
  if (place == held.end() || *place != address) held.insert(place, address);
  std::vector<Claim>& owners = owners_[address];
  const auto mine =
      std::find_if(owners.begin(), owners.end(), [&](const Claim& other) { return other.service == claim.service; });
  if (mine != owners.end()) {
    *mine = claim;
    return;
  }
  owners.push_back(claim);
  if (owners.size() > 1) return;
  if (const model::Pool* pool = PoolOf(address)) ++used_count_[pool->name];
  Block(address);
}

void Ledger::Release(const model::ObjectId& service, const IpAddr& address) {
  const auto entry = owners_.find(address);
  if (entry == owners_.end()) return;
  std::vector<Claim>& owners = entry->second;
  const auto mine =
      std::find_if(owners.begin(), owners.end(), [&](const Claim& claim) { return claim.service == service; });
  if (mine == owners.end()) return;
  owners.erase(mine);
  const auto held = by_service_.find(service);
  std::erase(held->second, address);
  if (held->second.empty()) by_service_.erase(held);
  if (!owners.empty()) return;
  owners_.erase(entry);
  if (const model::Pool* pool = PoolOf(address)) --used_count_[pool->name];
  Unblock(address);
}

const std::vector<Claim>& Ledger::OwnersOf(const IpAddr& address) const {
  static const std::vector<Claim> kNone;
  const auto it = owners_.find(address);
  return it == owners_.end() ? kNone : it->second;
}

std::vector<IpAddr> Ledger::AddressesOf(const model::ObjectId& service) const {
  const auto it = by_service_.find(service);
  return it == by_service_.end() ? std::vector<IpAddr>() : it->second;
}

std::vector<IpAddr> Ledger::Used() const {
  std::vector<IpAddr> out;
  out.reserve(owners_.size());
  for (const auto& [address, owners] : owners_) out.push_back(address);
  return out;
}

std::vector<IpAddr> Ledger::UsedWithin(const IpRange& range) const {
  std::vector<IpAddr> out;
  EachWithin(owners_, range, kMapKey, [&out](const IpAddr& a) { out.push_back(a); });
  return out;
}

std::vector<IpAddr> Ledger::UsedIn(const std::string& pool) const {
  std::vector<IpAddr> out;
  const model::Pool* found = FindPool(pool);
  if (found == nullptr) return out;
  for (const IpRange& range : found->addresses.ranges()) {
    EachWithin(owners_, range, kMapKey, [&out](const IpAddr& a) { out.push_back(a); });
  }
  return out;
}

std::uint64_t Ledger::UsedCount(const std::string& pool) const {
  const auto it = used_count_.find(pool);
  return it == used_count_.end() ? 0 : it->second;
}

bool Ledger::HasReserved(const std::string& pool) const {
  const model::Pool* found = FindPool(pool);
  if (found == nullptr) return false;
  for (const IpRange& range : found->addresses.ranges()) {
    const auto it = reserved_.lower_bound(range.first());
    if (it != reserved_.end() && *it <= range.last()) return true;
  }
  return false;
}

void Ledger::SetExcluded(const IpRangeSet& excluded) {
  if (excluded == excluded_) return;
  IpRangeSet gone = excluded_;
  gone.Remove(excluded);
  IpRangeSet added = excluded;
  added.Remove(excluded_);
  excluded_ = excluded;
  for (const IpRange& range : added.ranges()) BlockRange(range);
  for (const IpRange& range : gone.ranges()) RestoreRange(range);
}

void Ledger::MarkConflicted(const IpAddr& address, bool conflicted) { Mark(conflicted_, address, conflicted); }
void Ledger::MarkQuarantined(const IpAddr& address, bool quarantined) { Mark(quarantined_, address, quarantined); }
void Ledger::MarkReserved(const IpAddr& address, bool reserved) { Mark(reserved_, address, reserved); }

void Ledger::Mark(std::set<IpAddr>& marks, const IpAddr& address, bool on) {
  if (on) {
    if (marks.insert(address).second) Block(address);
  } else if (marks.erase(address) != 0) {
    Unblock(address);
  }
}

bool Ledger::IsBlocked(const IpAddr& address) const {
  return owners_.count(address) != 0 || IsConflicted(address) || IsQuarantined(address) || IsReserved(address) ||
         excluded_.Contains(address);
}

void Ledger::Block(const IpAddr& address) {
  const model::Pool* pool = PoolOf(address);
  if (pool != nullptr) Take(free_[pool->name], IpRange::Of(address), pool->avoid_buggy_ips);
}

void Ledger::Unblock(const IpAddr& address) {
  const model::Pool* pool = PoolOf(address);
  if (pool == nullptr || IsBlocked(address)) return;
  if (pool->avoid_buggy_ips && IsBuggy(address)) return;
  free_[pool->name].Add(address);
}

void Ledger::BlockRange(const IpRange& range) {
  EachPiece(pool_ranges_, range, [this](const IpRange& piece, const std::string& name) {
    Take(free_[name], piece, pools_.at(name).avoid_buggy_ips);
  });
}

void Ledger::RestoreRange(const IpRange& range) {
  EachPiece(pool_ranges_, range, [this](const IpRange& piece, const std::string& name) {
    IpRangeSet& free = free_[name];
    const bool avoid = pools_.at(name).avoid_buggy_ips;
    free.Add(piece);
    const auto take = [&](const IpAddr& a) { Take(free, IpRange::Of(a), avoid); };
    EachWithin(owners_, piece, kMapKey, take);
    EachWithin(conflicted_, piece, kSetKey, take);
    EachWithin(quarantined_, piece, kSetKey, take);
    EachWithin(reserved_, piece, kSetKey, take);
    for (const IpRange& e : excluded_.ranges()) {
      if (e.Overlaps(piece)) Take(free, Intersection(e, piece), avoid);
    }
    if (!avoid) return;
    DropUselessRun(free, piece.first());
    DropUselessRun(free, piece.last());
  });
}

std::optional<IpAddr> Ledger::LowestFree(const std::string& pool) const {
  const model::Pool* found = FindPool(pool);
  if (found == nullptr) return std::nullopt;
  const IpRangeSet& free = free_.at(pool);
  std::optional<IpAddr> lowest = free.First();
  while (found->avoid_buggy_ips && lowest && IsBuggy(*lowest)) {
    lowest = lowest->Next();
    if (lowest) lowest = free.NextAtOrAfter(*lowest);
  }
  return lowest;
}

AddressCount Ledger::Capacity(const std::string& pool) const {
  const model::Pool* found = FindPool(pool);
  if (found == nullptr) return AddressCount();
  AddressCount total = found->addresses.size();
  if (!found->avoid_buggy_ips || found->family != Family::kIpv4) return total;
  for (const IpRange& range : found->addresses.ranges()) {
    const std::uint64_t first = absl::Uint128Low64(range.first().number());
    const std::uint64_t last = absl::Uint128Low64(range.last().number());
    const std::uint64_t zeros = last / 256 + 1 - (first + 255) / 256;
    const std::uint64_t broadcasts = (last + 1) / 256 - first / 256;
    total -= AddressCount(zeros + broadcasts);
  }
  return total;
}

}  // namespace berth::plan
