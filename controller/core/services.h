// SPDX-License-Identifier: Apache-2.0
// controller/core/services.h -- what each Service has, and how it gets there without ever giving one address to two.
//
//   decide -> probe the LAN about new addresses -> withdraw those let go -> one write -> claims change, address
//   announced
//
// One operation for each Service at a time; new addresses stay reserved until the outcome of the write is known. While
// running, memory wins over what the source shows. Loop thread only.
#ifndef BERTH_CONTROLLER_CORE_SERVICES_H_
#define BERTH_CONTROLLER_CORE_SERVICES_H_

#include <map>
#include <memory>
#include <set>
#include <string>
#include <vector>

#include "absl/container/btree_map.h"
#include "absl/container/btree_set.h"
#include "absl/container/flat_hash_map.h"
#include "absl/container/flat_hash_set.h"
#include "common/base/indexed_map.h"
#include "controller/core/agents.h"
#include "controller/core/cluster.h"
#include "controller/core/context.h"
#include "controller/core/holders.h"
#include "controller/core/pools.h"
#include "controller/core/probes.h"
#include "controller/plan/allocate.h"

namespace berth::core {

struct ServiceRecord {
  enum class Phase : std::uint8_t { kIdle, kProbing, kWithdrawing, kWriting };
  // An operation. Most Services have none under way, and there are many.
  struct Operation {
    using Addresses = absl::btree_set<IpAddr>;
    std::uint64_t id = 0;
    std::vector<model::Allocation> target;
    Addresses probing, withdrawing, withdrawn, reserved, verified;
    std::uint64_t write_id = 0;
    std::string write_revision;
    TimerQueue::Id retry = 0;
    // Those let go for which nobody on the LAN answered while the write is under way; and when and where it was asked.
    struct Quiet {
      std::string interface;
      absl::Time asked;
    };
    absl::btree_map<IpAddr, Quiet> quiet;
    // Why its last write failed; empty when it did not.
    std::string write_error;
  };
  model::Service object;  // `allocations` is what it holds by our memory
  Phase phase = Phase::kIdle;
  std::vector<model::Allocation> shown;  // by the source, last
  plan::Decision decision;
  plan::Reason told;  // the last reason that made an Event
  // There is one unless the phase is kIdle; then, too, while the answer to a write that counts no more is awaited.
  std::unique_ptr<Operation> operation;
  const Operation& op() const {
    static const Operation kNone;
    return operation == nullptr ? kNone : *operation;
  }
  bool stale = false;    // the source has a newer object, which it is about to show: nothing is decided before
  bool unknown = false;  // whether a try of the write under way was done
  bool again = false;    // changed while its write is under way
  bool gone = false;     // no object any more: let go without a write
  bool restore = false;  // the source shows other allocations than we hold
  absl::Time waiting_since = absl::InfinitePast();
};

class Services {
 public:
  Services(Context& context, Cluster& cluster, Agents& agents, Probes& probes, Holders& holders, Pools& pools)
      : ctx_(context), cluster_(cluster), agents_(agents), probes_(probes), holders_(holders), pools_(pools) {}
  std::function<void(const model::ObjectId&)> on_changed = [](const model::ObjectId&) {};

  void Apply(const model::ClusterDelta& delta);
  void OnWritten(std::uint64_t write_id, const absl::Status& status, const std::string& revision);
  // The Eips that addresses on record were given from.
  std::set<std::string> PoolsOnRecord() const;
  // The gate opened: claims of all records enter the ledger, oldest Service first.
  void Claim();
  void Begin();
  void Pause();
  // While somebody else leads, or may, the source's word counts and not our memory of an earlier term.
  void Follow(bool on);
  // Something was freed, added or changed that those waiting may be waiting for.
  void Wake();
  void OnPoolsChanged();
  void OnNamespacesChanged();
  // Of the operations under way those that would give `address` out.
  void DecideAnew(const IpAddr& address);
  void OnExcluded();  // other addresses are never given out now
  void Settle();
  const IndexedMap<model::ObjectId, ServiceRecord>& all() const { return records_; }

 private:
  using Phase = ServiceRecord::Phase;
  void Update(const model::Service& object);
  void Vanished(ServiceRecord& r);
  void CallOff(ServiceRecord& r);
  void Decide(ServiceRecord& r);
  bool StillProbing(ServiceRecord& r);
  void Start(ServiceRecord& r, std::vector<model::Allocation> want);
  void Probed(const model::ObjectId& id, std::uint64_t op, const sync::ProbeAnswer& answer);
  void Withdraw(ServiceRecord& r);
  bool IsLeaving(const model::ObjectId& id, const IpAddr& address) const;
  void Write(ServiceRecord& r);
  void AskAhead(ServiceRecord& r);
  std::uint64_t ToRecord(const ServiceRecord& r) const;  // as model::Service::told
  void Release(const model::ObjectId& id, const IpAddr& address);
  void HandOn(const IpAddr& address);
  void Finish(ServiceRecord& r);
  void Abort(ServiceRecord& r);
  void Unreserve(ServiceRecord& r);
  void Reread(ServiceRecord& r);
  void Adopt(ServiceRecord& r, std::vector<model::Allocation> allocations);
  bool Say(ServiceRecord& r);
  void TellOwners(const ServiceRecord& r, const std::vector<model::Allocation>& want);
  void UpdateClaims(ServiceRecord& r);
  void RecheckConflicts();
  void Erase(const model::ObjectId& id);
  using Ids = absl::flat_hash_set<model::ObjectId>;
  // Those of them that there are, oldest first.
  std::vector<ServiceRecord*> InOrder(const Ids& ids);

  Context& ctx_;
  Cluster& cluster_;
  Agents& agents_;
  Probes& probes_;
  Holders& holders_;
  Pools& pools_;
  IndexedMap<model::ObjectId, ServiceRecord> records_;
  absl::flat_hash_map<std::uint64_t, model::ObjectId> writes_;
  Ids dirty_, waiting_;
  Ids reserving_;  // those whose operation has addresses reserved
  // Freed by this very event, after nobody on the LAN of these interfaces answered for them: who gets them now needs
  // not ask again.
  absl::btree_map<IpAddr, std::string> quiet_;
  std::size_t asked_ahead_ = 0;  // questions about addresses on their way to being free that are not answered yet
  bool following_ = true;
  std::uint64_t last_op_ = 0, last_write_ = 0;
  TimerQueue::Id conflict_timer_ = 0;
};

}  // namespace berth::core

#endif  // BERTH_CONTROLLER_CORE_SERVICES_H_
