// SPDX-License-Identifier: Apache-2.0
// controller/core/controller_core.h -- the controller as a state machine: Handle(event, now) -> effects.
//
//   source ──► Cluster, Pools, Services ──► Ledger ──► Holders ──► Agents ──► streams
//                                  ▲                     │  ▲         │
//                                  └────── Probes ◄──────┘  └─────────┘ acknowledgements, reports
//
// Deterministic: same events at the same times, same effects. Loop thread only.
#ifndef BERTH_CONTROLLER_CORE_CONTROLLER_CORE_H_
#define BERTH_CONTROLLER_CORE_CONTROLLER_CORE_H_

#include <deque>
#include <set>
#include <string>
#include <vector>

#include "controller/core/agents.h"
#include "controller/core/cluster.h"
#include "controller/core/context.h"
#include "controller/core/events.h"
#include "controller/core/examination.h"
#include "controller/core/holders.h"
#include "controller/core/pools.h"
#include "controller/core/probes.h"
#include "controller/core/services.h"
#include "controller/core/unannounced.h"
#include "controller/model/views.h"

namespace berth::core {

class ControllerCore {
 public:
  explicit ControllerCore(Options options);
  ControllerCore(const ControllerCore&) = delete;
  ControllerCore& operator=(const ControllerCore&) = delete;

  // Events of one moment, in their order; what follows from them is decided once, after the last.
  Effects Handle(const std::vector<Event>& events, absl::Time now);

  // Views, as of the last event. `wall_offset` turns monotonic times into wall times: wall = monotonic + offset.
  std::vector<model::PoolView> PoolViews() const;
  std::vector<model::ServiceView> ServiceViews() const;
  std::vector<model::AddressView> AddressViews(absl::Duration wall_offset) const;
  std::vector<model::AgentView> AgentViews(absl::Duration wall_offset) const;
  absl::StatusOr<model::ServiceView> ServiceViewOf(const model::ObjectId& id) const;
  absl::StatusOr<model::AddressView> AddressViewOf(const IpAddr& address, absl::Duration wall_offset) const;
  model::StatusView Status() const;

  // ---- orders (orders.cc)
  // Whether this controller takes orders now. Errors: FailedPrecondition, which names the leader where that is another.
  absl::Status CheckOrder() const;
  // Of DrainOrder and MoveOrder. Errors: those of CheckOrder; NotFound for a node or an address that is not known;
  // FailedPrecondition where the node cannot hold the address.
  absl::Status CheckDrain(const std::string& node) const;
  absl::Status CheckMove(const IpAddr& address, const std::string& node) const;
  // An agent that has not connected to this process counts as lost.
  model::AgentView AgentViewOf(const std::string& node, absl::Duration wall_offset) const;
  model::DrainView DrainViewOf(const std::string& node, absl::Duration wall_offset) const;
  // What RebalanceOrder would move now.
  std::vector<model::MoveView> RebalanceView() const;

  // What changed since the last call, for `watch`: names only.
  struct Changes {
    std::set<std::string> pools, agents;
    std::set<model::ObjectId> services;
    std::set<IpAddr> addresses;
    bool empty() const { return pools.empty() && agents.empty() && services.empty() && addresses.empty(); }
  };
  Changes TakeChanges() { return std::exchange(changes_, {}); }
  const plan::Ledger& ledger() const { return ctx_.ledger; }
  const Agents& agents() const { return agents_; }
  const Holders& holders() const { return holders_; }
  const Pools& pools() const { return pools_; }
  const Services& services() const { return services_; }
  const Cluster& cluster() const { return cluster_; }
  const plan::Rules& rules() const { return ctx_.options.rules; }

 private:
  void On(const SourceChanged& e);
  void On(const SourceSynced& e);
  void On(const Leadership& e);
  void On(const ServiceWritten& e);
  void On(const SourceProblems& e);
  void On(const StreamOpened& e);
  void On(const FromAgent& e);
  void On(const StreamClosed& e);
  void On(const DrainOrder& e);
  void On(const MoveOrder& e);
  void On(const RebalanceOrder& e);
  void On(const ExamineOrder&) { examination_.Begin(); }
  void On(const Tick&) {}

  void OnContact(Agent& agent);
  void OnLost(Agent& agent);
  void RecallLate(const std::vector<model::ClusterSource::KnownAgent>& known);
  void Forget(const std::string& node);  // of an agent: all but its MACs
  void ForgetLater(const std::string& node);
  void CloseGate();
  void TryOpenGate();
  void Exclude();
  void Decide();
  void Settle();
  model::ServiceView View(const ServiceRecord& r) const;
  model::AddressView View(const IpAddr& address, absl::Duration wall_offset) const;
  model::AgentView View(const Agent& agent, absl::Duration wall_offset) const;
  model::PoolView View(const model::Pool& pool) const;

  Context ctx_;
  Cluster cluster_;
  Agents agents_;
  Probes probes_;
  Holders holders_;
  Unannounced unannounced_;
  Examination examination_;
  Pools pools_;
  Services services_;

  bool leader_ = false, synced_ = false;
  std::string leader_name_;
  std::uint64_t raising_ = 0;  // a term asked for and not granted yet
  absl::Time gate_deadline_ = absl::InfiniteFuture();
  TimerQueue::Id gate_timer_ = 0;
  bool expecting_ = false;         // it is known which agents there should be
  std::set<std::string> awaited_;  // known agents that have not said Hello in this term
  // Nodes whose object is gone and whose agents' MACs are remembered still, and since when both the object is gone and
  // the agent is.
  std::map<std::string, absl::Time> gone_;
  std::deque<absl::Time> losses_;
  absl::Time last_event_ = absl::InfinitePast();
  std::vector<std::string> problems_;
  Changes changes_;
};

}  // namespace berth::core

#endif  // BERTH_CONTROLLER_CORE_CONTROLLER_CORE_H_
