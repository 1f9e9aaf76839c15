// SPDX-License-Identifier: Apache-2.0
// controller/core/holders.h -- one holder for each announced address, and how it changes hands.
//
//   kUnheld -> kVerifying -> kAnnouncing -> kHeld          (gaining; verifying asks the LAN first)
//   kHeld -> kVerifying -> ...                             (the holder is lost: does anybody still answer?)
//   kHeld -> kPreparing -> kYielding -> kTakingOver -> kHeld   (planned: make before break)
//
// docs/sync-protocol.md has the table of states. An address is announced by the node in `holder`; `next` is the one
// being prepared. Decisions are gathered as "dirty" addresses and taken together in Settle. Loop thread only.
#ifndef BERTH_CONTROLLER_CORE_HOLDERS_H_
#define BERTH_CONTROLLER_CORE_HOLDERS_H_

#include <deque>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "absl/container/btree_map.h"
#include "absl/container/btree_set.h"
#include "absl/status/statusor.h"
#include "common/base/indexed_map.h"
#include "common/sync/candidate_pool.h"
#include "common/sync/interface_rule.h"
#include "controller/core/agents.h"
#include "controller/core/cluster.h"
#include "controller/core/context.h"
#include "controller/core/probes.h"
#include "controller/plan/place.h"
#include "controller/plan/rebalance.h"

namespace berth::core {

struct Holding {
  enum class Phase : std::uint8_t { kUnheld, kVerifying, kAnnouncing, kHeld, kPreparing, kYielding, kTakingOver };
  IpAddr address;
  Phase phase = Phase::kUnheld;
  std::string holder, next;
  std::string counted;                                 // the node whose load it is part of
  absl::btree_map<std::string, TimerQueue::Id> muted;  // former holders that still forward
  absl::btree_set<std::string> barred;                 // rejected it not long ago
  bool verified = false;  // nobody on the LAN was found to answer for it when it was given out
  // Nobody of ours held it while an agent was out of contact, which may have taken it over: the LAN is asked first.
  bool doubtful = false;
  bool Doubted() const { return holder.empty() && verified && doubtful; }
  bool withdrawing = false;
  std::uint64_t probe = 0;  // of the answers waited for; older ones are ignored
  std::vector<std::string> candidates;
  std::vector<plan::Refusal> refusals;
  bool told_unheld = false;      // its Services were told that no node can hold it, and nobody has held it since
  std::optional<MacAddr> rival;  // a stranger that claims it; of several see Holders::ClaimsText
  std::string message;
  absl::Time since;                          // monotonic: last change of holder or phase kHeld
  absl::Time turned = absl::InfinitePast();  // the same clock: last that a change of holder began or ended
  // Of the move under way, for the Event and the metric. Few addresses are on the move, and there are many.
  struct Move {
    static constexpr char kUnable[] = "node can hold it no longer";
    std::string from, reason;
    std::string ordered;       // the node that shall have it by order; empty when that is placement's business
    bool decide_anew = false;  // when it has ended
    absl::Time started = absl::InfinitePast();
    void Restart() {  // why it was under way is over, and what is ordered is not
      reason.clear();
      started = absl::InfinitePast();
    }
  };
  std::unique_ptr<Move> moving;
  bool InMove() const { return phase == Phase::kPreparing || phase == Phase::kYielding || phase == Phase::kTakingOver; }
  Move& move() {
    if (moving == nullptr) moving = std::make_unique<Move>();
    return *moving;
  }
};

// Why which node cannot hold it, the first ten: "node1: interface eth0 is down or has no carrier; node2: ...".
std::string RefusalsText(const Holding& h);

class Holders {
 public:
  struct Observer {
    std::function<void(const IpAddr&)> on_changed;        // its view is another now
    std::function<void(const IpAddr&)> on_quarantined;    // whoever is about to be given it must not be
    std::function<void(const IpAddr&)> on_unquarantined;  // may be given out again
  };
  Holders(Context& context, Cluster& cluster, Agents& agents, Probes& probes)
      : ctx_(context), cluster_(cluster), agents_(agents), probes_(probes) {}
  void SetObserver(Observer observer) { observer_ = std::move(observer); }

  // The ledger's owners of `address`, or what they ask for, changed. `verified`: the LAN was asked and nobody answered.
  void Refresh(const IpAddr& address, bool verified = false);
  // The gate opened: takes over what agents report to hold.
  void Adopt();
  // Leadership ended, or begins anew: forgets moves and probes under way, keeps who holds what.
  void Pause();
  // Somebody else leads: who holds what is for agents to say when it is our turn again. After Pause.
  void Forget() {
    ForgetOrders();
    holdings_.clear();
    load_.clear();
  }
  void Settle();

  // Takes `address` from every agent. `done` is called in a later turn with the nodes that have not acknowledged within
  // release_wait; those are quarantining it.
  void Withdraw(const IpAddr& address, std::function<void()> done);
  // The release was called off before it ended: announce again.
  void Restore(const IpAddr& address);
  void Quarantine(const IpAddr& address, const std::string& node);

  void OnContact(Agent& agent);
  void OnLost(Agent& agent);
  void OnAcked(Agent& agent, const IpAddr& address, const sync::Rejection* rejection);
  void OnInterfaces(Agent& agent);
  void OnAnnounced(Agent& agent);
  void OnConflicts(Agent& agent);
  void OnLeaving(Agent& agent);
  void OnDrained(const std::string& node);
  void OnNodesChanged();
  void OnEndpointsChanged(const model::ObjectId& service);
  void OnNodeGone(const std::string& node);

  // ---- orders (holders_moves.cc)
  // Whether `address` can be moved to `node`. Errors: FailedPrecondition with the reason.
  absl::Status CheckMove(const IpAddr& address, const std::string& node) const;
  // After CheckMove. The order stands until it is carried out, or until that node can hold the address no longer.
  void Move(const IpAddr& address, const std::string& node, const std::string& reason = "by order");
  std::vector<plan::Shift> PlanRebalance() const;
  // Carries such a plan out, one address each rebalance_interval; takes the place of one under way. What cannot move
  // when its turn comes stays.
  void Rebalance(std::vector<plan::Shift> plan);

  const IndexedMap<IpAddr, Holding>& all() const { return holdings_; }
  const Holding* Find(const IpAddr& address) const;
  // Whether its holder answers for it, as far as anybody knows.
  bool IsAnnounced(const Holding& h) const;
  // Which strangers claim it: "02:.. on interface eth0, 02:.. on interface eth1"; empty when there is no rival.
  std::string ClaimsText(const Holding& h) const;
  // A connected agent that could ask the LAN about an address of a pool with this interface rule, or empty. `except` is
  // not asked.
  std::string ProberFor(const IpAddr& address, const std::string& interface, const std::string& except = "") const;
  // The nodes as placement sees them, kept until ForgetViews: agents or Nodes may have changed.
  const std::map<std::string, plan::NodeView>& NodeViews() const;
  void ForgetViews() { views_.reset(); }

 private:
  struct Release {
    std::set<std::string> waiting;
    TimerQueue::Id limit = 0;
    std::function<void()> done;
  };
  plan::AddressView ViewOf(const Holding& h) const;
  std::optional<std::set<std::string>> LocalNodes(const IpAddr& address) const;
  sync::Assignment MakeAssignment(const Holding& h, sync::Role role) const;
  std::string ProbeEndpoint(const Agent& agent, const absl::StatusOr<sync::InterfaceRule>& rule,
                            const IpAddr& address) const;
  bool StandsBy(const std::string& node, const IpAddr& address) const;
  void DismissStandbys(const Holding& h, const std::vector<std::string>& except);
  void WantStandbys(const Holding& h);
  void TellDueStandbys();
  void TellStandbys(const Holding& h);
  void Act(Holding& h, const plan::Placement& placement);
  // `patient`: asks oftener and waits longer, as for a new address.
  void Verify(Holding& h, const std::string& node, bool patient = false);
  void OnVerified(const IpAddr& address, std::uint64_t probe, bool patient, const sync::ProbeAnswer& answer);
  bool ElsewhereAnnounced(const IpAddr& address, const std::string& node) const;
  void Announce(Holding& h, std::string node);
  bool CanSpeakFor(const Holding& h, const std::string& node) const;
  bool HeldBack(const Holding& h, const plan::Placement& placement);
  void StartMove(Holding& h, const std::string& next);
  void CancelMove(Holding& h);
  void FinishMove(Holding& h);
  void DecideAnew(Holding& h, const Holding::Move& move);
  void ForgetOrder(Holding& h);
  void ForgetOrders();
  void NextOfRebalance();
  void SetRival(Holding& h, std::optional<MacAddr> mac);
  void Keep(Holding& h, const std::string& node);
  void ForgetTrouble(Holding& h);
  void TellWhetherItStays(Holding& h);
  void TellWhenOutside(const Holding& h);
  void LoseHolder(Holding& h);
  void Unhold(Holding& h, const std::string& why);
  void Mute(Holding& h, const std::string& node);
  void DropMuted(Holding& h);
  void Bar(Holding& h, const std::string& node);
  void AdoptFrom(Agent& agent);
  void AdoptFrom(Agent& agent, const std::map<IpAddr, sync::AnnouncedAddress>& announced);
  void Recheck();
  void RecheckQuarantined();
  void FinishRelease(const IpAddr& address);
  void Unquarantine(const IpAddr& address, const std::string& node);
  void Dirty(const IpAddr& address) { dirty_.insert(address); }
  void DirtyAll();
  void Count(Holding& h);
  void Changed(Holding& h, Holding::Phase phase);
  void TellUnheld(Holding& h);
  void MoveEvents(const Holding& h, const std::string& text);
  bool MayLeaveUnpreferred() const;
  bool Responsible(const Holding& h, const std::string& node) const { return h.holder == node || h.next == node; }

  Context& ctx_;
  Cluster& cluster_;
  Agents& agents_;
  Probes& probes_;
  Observer observer_;
  IndexedMap<IpAddr, Holding> holdings_;
  std::map<std::string, std::size_t> load_;  // addresses that each node holds or will; kept by Changed
  std::set<IpAddr> dirty_;
  std::set<IpAddr> held_back_;          // to be decided anew when they may change hands again
  std::set<std::string> told_outside_;  // Eips as they are, some address of which is in no subnet of its interface
  std::map<IpAddr, Release> releases_;
  std::map<IpAddr, std::set<std::string>> quarantine_;
  std::map<IpAddr, std::vector<sync::Conflict>> claims_;  // of strangers, by address, as its holder last told
  std::map<std::string, IpAddr> recheck_cursor_;
  std::deque<plan::Shift> rebalance_;  // what waits for its turn
  TimerQueue::Id rebalance_timer_ = 0;
  TimerQueue::Id recheck_timer_ = 0, quarantine_timer_ = 0, standby_timer_ = 0;
  std::set<IpAddr> standby_due_;  // whose standbys may be others now
  mutable sync::CandidatePool lists_;
  std::uint64_t last_probe_ = 0;
  mutable std::optional<std::map<std::string, plan::NodeView>> views_;
};

}  // namespace berth::core

#endif  // BERTH_CONTROLLER_CORE_HOLDERS_H_
