// SPDX-License-Identifier: Apache-2.0
// controller/plan/ledger.h -- who has which address, and which addresses are free: the index that allocation reads.
//
// A value: no clock, no I/O. Everything is O(log n) in what is used; the size of a pool costs nothing. Pools may come
// and go independently of the addresses in use: an address whose pool is gone (or shrank) is an orphan and stays in
// use; a pool that contains it later adopts it.
#ifndef BERTH_CONTROLLER_PLAN_LEDGER_H_
#define BERTH_CONTROLLER_PLAN_LEDGER_H_

#include <map>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "absl/container/flat_hash_map.h"
#include "common/base/indexed_map.h"
#include "common/net/ip_range.h"
#include "controller/model/objects.h"

namespace berth::plan {

// What one user of an address brings: enough to decide whether another may share it.
struct Claim {
  model::ObjectId service;
  model::Allocation allocation;
  std::vector<model::ServicePort> ports;
  std::string sharing_key;
  model::TrafficPolicy traffic_policy = model::TrafficPolicy::kCluster;
  model::Labels selector;
  friend bool operator==(const Claim&, const Claim&) = default;
};
// The claim `service` would make with `allocation`.
Claim MakeClaim(const model::Service& service, const model::Allocation& allocation);

class Ledger {
 public:
  // Pools that are in force (already validated, so no two overlap). Upsert replaces; it costs O(used in the pool) when
  // the range changes and nothing much when it does not.
  void UpsertPool(const model::Pool& pool);
  void RemovePool(const std::string& name);
  const std::map<std::string, model::Pool>& pools() const { return pools_; }
  const model::Pool* FindPool(const std::string& name) const;
  // The pool whose range contains `address` now, or nullptr. O(log pools).
  const model::Pool* PoolOf(const IpAddr& address) const;

  // Eips that exist and are not in force, so none of pools(), with what is wrong: for reasons only. Returns whether
  // that is news.
  bool SetRefused(std::map<std::string, std::string> refused);
  const std::map<std::string, std::string>& refused() const { return refused_; }

  // Records (or replaces) the claim of a Service on an address. The first claimant of an address is its first owner;
  // the order of later ones is the order of their coming.
  void Assign(const Claim& claim);
  void Release(const model::ObjectId& service, const IpAddr& address);
  // Owners of an address, first owner first; empty when unused.
  const std::vector<Claim>& OwnersOf(const IpAddr& address) const;
  std::vector<IpAddr> AddressesOf(const model::ObjectId& service) const;
  // All addresses in use, in order; and those within one pool's present range.
  std::vector<IpAddr> Used() const;
  std::vector<IpAddr> UsedIn(const std::string& pool) const;   // O(used in pool)
  std::uint64_t UsedCount(const std::string& pool) const;      // O(log n)
  std::vector<IpAddr> UsedWithin(const IpRange& range) const;  // whatever pool, if any, contains it

  // Addresses that must not be given out, for four reasons. Each call replaces or edits one of them.
  void SetExcluded(const IpRangeSet& excluded);  // node addresses, gateways, network and broadcast
  const IpRangeSet& excluded() const { return excluded_; }
  void MarkConflicted(const IpAddr& address, bool conflicted);    // a stranger answers for it
  void MarkQuarantined(const IpAddr& address, bool quarantined);  // an agent may still answer for it
  void MarkReserved(const IpAddr& address, bool reserved);  // being probed or written for somebody, or outcome unknown
  bool IsConflicted(const IpAddr& a) const { return conflicted_.count(a) != 0; }
  bool IsQuarantined(const IpAddr& a) const { return quarantined_.count(a) != 0; }
  bool IsReserved(const IpAddr& a) const { return reserved_.count(a) != 0; }
  bool HasReserved(const std::string& pool) const;  // whether any address of it is
  const std::set<IpAddr>& conflicted() const { return conflicted_; }
  // In use, or blocked for any of the four reasons.
  bool IsBlocked(const IpAddr& address) const;

  // The lowest address of the pool that may be given out now. O(log n).
  std::optional<IpAddr> LowestFree(const std::string& pool) const;
  // The exact number of addresses of the pool that can be given out at all, used ones included (avoid-buggy-ips left
  // out; excluded and conflicted ones counted, as OpenELB's poolSize counts them).
  AddressCount Capacity(const std::string& pool) const;

 private:
  // Takes an address out of its pool's free set; puts it back unless something else still blocks it.
  void Block(const IpAddr& address);
  void Unblock(const IpAddr& address);
  void BlockRange(const IpRange& range);
  // Puts back all of a range that lies in pools, less what is blocked in it. O(blocked in the range).
  void RestoreRange(const IpRange& range);
  void Mark(std::set<IpAddr>& marks, const IpAddr& address, bool on);

  std::map<std::string, model::Pool> pools_;
  std::map<std::string, std::string> refused_;
  std::map<IpAddr, std::pair<IpAddr, std::string>> pool_ranges_;  // first -> (last, pool)
  // Per pool: its range less everything blocked. In a pool with avoid_buggy_ips the .0 and .255 stay in as long as they
  // touch a useful address (so a /8 needs no carving), and no run of it consists of such addresses alone.
  std::map<std::string, IpRangeSet> free_;
  IndexedMap<IpAddr, std::vector<Claim>> owners_;
  absl::flat_hash_map<model::ObjectId, std::vector<IpAddr>> by_service_;  // in order; never an empty list
  std::map<std::string, std::uint64_t> used_count_;
  IpRangeSet excluded_;
  std::set<IpAddr> conflicted_, quarantined_, reserved_;
};

// Whether an address ends in .0 or .255, which some old clients take for a network or broadcast address.
bool IsBuggy(const IpAddr& address);

}  // namespace berth::plan

#endif  // BERTH_CONTROLLER_PLAN_LEDGER_H_
