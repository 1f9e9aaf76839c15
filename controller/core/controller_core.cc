// SPDX-License-Identifier: Apache-2.0
#include "controller/core/controller_core.h"

#include <algorithm>
#include <utility>

#include "absl/strings/str_cat.h"
#include "controller/plan/exclude.h"

namespace berth::core {
namespace {
constexpr absl::Duration kOutlives = absl::Minutes(5);  // a machine its Node object
}  // namespace

ControllerCore::ControllerCore(Options options)
    : ctx_(std::move(options)),
      agents_(ctx_),
      probes_(ctx_, agents_),
      holders_(ctx_, cluster_, agents_, probes_),
      unannounced_(ctx_, agents_, holders_),
      examination_(ctx_, agents_, holders_, probes_),
      pools_(ctx_,
             [this](const model::Pool& pool) {
               return pool.addresses.First() && !holders_.ProberFor(*pool.addresses.First(), pool.interface).empty();
             }),
      services_(ctx_, cluster_, agents_, probes_, holders_, pools_) {
  Agents::Observer agents;
  agents.on_contact = [this](Agent& a) { OnContact(a); };
  agents.on_lost = [this](Agent& a) { OnLost(a); };
  agents.on_acked = [this](Agent& a, const IpAddr& address, const sync::Rejection* r) {
    holders_.OnAcked(a, address, r);
    changes_.addresses.insert(address);
  };
  agents.on_interfaces = [this](Agent& a) {
    holders_.ForgetViews();
    changes_.agents.insert(a.node);
    Exclude();
    if (!ctx_.active) return;
    holders_.OnInterfaces(a);
    pools_.TouchAll();
    services_.Wake();
  };
  agents.on_announced = [this](Agent& a) {
    changes_.agents.insert(a.node);
    if (ctx_.active) holders_.OnAnnounced(a);
  };
  agents.on_conflicts = [this](Agent& a) {
    if (ctx_.active) holders_.OnConflicts(a);
  };
  agents.on_leaving = [this](Agent& a) {
    holders_.ForgetViews();
    changes_.agents.insert(a.node);
    if (ctx_.active) holders_.OnLeaving(a);
  };
  agents.on_steady = [this](Agent& a) {
    holders_.ForgetViews();  // what is decided from now on counts it in; nothing moves for that
    changes_.agents.insert(a.node);
  };
  agents.on_findings = [this](const Agent& a) { changes_.agents.insert(a.node); };
  agents.on_probe_result = [this](Agent& a, const sync::ProbeResult& result) { probes_.OnResult(a.node, result); };
  agents.on_higher_term = [this](std::uint64_t term) {
    // Somebody led in a later term than ours: whatever we decided, we decide anew above it.
    if (raising_ > term) return;
    raising_ = term + 1;
    ctx_.Warn("an agent has seen a higher term", {{"ours", absl::StrCat(ctx_.term)}, {"seen", absl::StrCat(term)}});
    CloseGate();
    ctx_.Emit(RaiseTerm{raising_});
  };
  agents.on_known_changed = [this](const Agent& a) {
    holders_.ForgetViews();
    changes_.agents.insert(a.node);
    if (leader_) ctx_.Emit(RememberAgents{agents_.Known()});
    Exclude();
  };
  agents_.SetObserver(std::move(agents));
  Holders::Observer holders;
  holders.on_changed = [this](const IpAddr& address) {
    changes_.addresses.insert(address);
    unannounced_.Note(address);
    for (const plan::Claim& c : ctx_.ledger.OwnersOf(address)) changes_.services.insert(c.service);
  };
  holders.on_unquarantined = [this](const IpAddr&) { services_.Wake(); };
  holders.on_quarantined = [this](const IpAddr& a) { services_.DecideAnew(a); };
  holders_.SetObserver(std::move(holders));
  services_.on_changed = [this](const model::ObjectId& id) {
    changes_.services.insert(id);
    for (const IpAddr& a : ctx_.ledger.AddressesOf(id)) {
      changes_.addresses.insert(a);
      if (const model::Pool* pool = ctx_.ledger.PoolOf(a)) changes_.pools.insert(pool->name);
    }
  };
}

Effects ControllerCore::Handle(const std::vector<Event>& events, absl::Time now) {
  Effects out;
  ctx_.out = &out;
  // A process that stood still itself must not blame its agents.
  const bool stood_still = last_event_ != absl::InfinitePast() && now - last_event_ > ctx_.options.agent_timeout / 2;
  ctx_.now = std::max(now, ctx_.now);
  last_event_ = ctx_.now;
  if (stood_still && agents_.connected_count() != 0 && ctx_.timers.Next() + ctx_.options.agent_timeout / 2 < ctx_.now) {
    agents_.ForgiveSilence();
  }
  for (const Event& event : events) {
    holders_.ForgetViews();
    std::visit([this](const auto& e) { On(e); }, event);
  }
  Decide();  // what is news to a decision comes before the timers that carry it out
  ctx_.timers.RunDue(ctx_.now);
  Settle();
  ctx_.Emit(WakeAt{ctx_.timers.Next()});
  ctx_.out = nullptr;
  return out;
}

void ControllerCore::Decide() {
  // Eips first: what has just been let go shall not be given anew out of a range that is about to change.
  do {
    if (pools_.Reconsider()) {
      services_.OnPoolsChanged();
      services_.Wake();
      holders_.OnNodesChanged();
    }
    services_.Settle();
  } while (pools_.reconsider());
}

void ControllerCore::Settle() {
  Decide();
  holders_.Settle();
  probes_.Flush();
  agents_.Flush();
}

void ControllerCore::On(const SourceChanged& e) {
  const bool pools = pools_.Apply(e.delta);
  for (const model::Pool& p : e.delta.pools) changes_.pools.insert(p.name);
  for (const std::string& p : e.delta.gone_pools) changes_.pools.insert(p);
  const Cluster::Changes changed = cluster_.Apply(e.delta);
  holders_.ForgetViews();
  services_.Apply(e.delta);
  if (pools) services_.OnPoolsChanged();
  if (pools) services_.Wake();
  if (changed.namespaces) services_.OnNamespacesChanged();
  for (const model::Node& node : e.delta.nodes) gone_.erase(node.name);
  for (const std::string& node : changed.gone_nodes) {
    holders_.OnNodeGone(node);
    Forget(node);
    awaited_.erase(node);
    ForgetLater(node);
  }
  if (!ctx_.active) return TryOpenGate();
  if (changed.nodes || pools) holders_.OnNodesChanged();
  for (const model::ObjectId& service : changed.endpoints) holders_.OnEndpointsChanged(service);
}

void ControllerCore::Forget(const std::string& node) {
  if (agents_.Forget(node) && leader_) ctx_.Emit(RememberAgents{agents_.Known()});
}

// A machine may go on for a while after its Node object: long after that, whoever has its MACs is a stranger.
void ControllerCore::ForgetLater(const std::string& node) {
  gone_[node] = ctx_.now;
  ctx_.After(kOutlives, [this, node, since = ctx_.now] {
    const auto it = gone_.find(node);
    if (it == gone_.end() || it->second != since) return;  // it is back, or went once more
    const Agent* agent = agents_.Find(node);
    if (agent != nullptr && (agent->connected() || agent->control_lost)) return ForgetLater(node);
    Forget(node);
    agents_.ForgetMacs(node);
    gone_.erase(it);
  });
}

void ControllerCore::On(const SourceSynced& e) {
  synced_ = true;
  // Known from before, so it makes sense to wait for them and no longer. In a new cluster nobody can tell who is
  // missing.
  if (ctx_.active) return RecallLate(e.known_agents);
  expecting_ = !e.known_agents.empty();
  agents_.Recall(e.known_agents);
  if (leader_ && !ctx_.active) CloseGate();  // now it is known whom to wait for
  TryOpenGate();
}

void ControllerCore::On(const Leadership& e) {
  leader_name_ = e.leader_name;
  if (!e.leader) {
    leader_ = false;
    CloseGate();
    agents_.EndTerm(e.leader_name);
    services_.Follow(true);
    holders_.Forget();
    return;
  }
  leader_ = true;
  expecting_ |= !e.known_agents.empty();
  agents_.Recall(e.known_agents);
  // Those that have come before we led, too.
  if (!agents_.Known().empty()) ctx_.Emit(RememberAgents{agents_.Known()});
  ctx_.term = e.term;
  ctx_.version = 0;
  if (e.term >= raising_) raising_ = 0;
  ctx_.Info("leading", {{"term", absl::StrCat(e.term)}});
  CloseGate();
  agents_.BeginTerm();
  TryOpenGate();
}

// From here on nothing is sent, allocated or moved until the agents known have spoken, or start_wait has passed.
void ControllerCore::CloseGate() {
  if (ctx_.active) {
    expecting_ = true;
    services_.Pause();
    holders_.Pause();
    unannounced_.End();
  }
  ctx_.active = false;
  examination_.Abandon();
  probes_.Forget();
  awaited_.clear();
  for (const auto& known : agents_.Known()) {
    const Agent* agent = agents_.Find(known.node);
    if (agent == nullptr || !agent->connected()) awaited_.insert(known.node);
  }
  gate_deadline_ = ctx_.now + ctx_.options.start_wait;
  ctx_.timers.Cancel(gate_timer_);
  gate_timer_ = ctx_.timers.At(gate_deadline_, [this] {
    gate_timer_ = 0;
    TryOpenGate();
  });
}

void ControllerCore::TryOpenGate() {
  if (ctx_.active || !leader_ || !synced_ || raising_ != 0) return;
  const bool everybody = awaited_.empty() && expecting_;
  if (!everybody && ctx_.now < gate_deadline_) return;
  ctx_.timers.Cancel(std::exchange(gate_timer_, 0));
  ctx_.active = true;
  ctx_.Info("started",
            {{"agents", absl::StrCat(agents_.connected_count())}, {"missing", absl::StrCat(awaited_.size())}});
  agents_.OnStarted();
  Exclude();
  services_.Follow(false);  // until now a write of whoever led before may have landed
  pools_.Restore(services_.PoolsOnRecord());
  services_.Claim();
  holders_.Adopt();
  services_.Begin();
  pools_.Begin();
  unannounced_.Begin();
}

void ControllerCore::OnContact(Agent& agent) {
  holders_.ForgetViews();
  changes_.agents.insert(agent.node);
  awaited_.erase(agent.node);
  Exclude();
  if (!ctx_.active) return TryOpenGate();
  holders_.OnContact(agent);
  pools_.TouchAll();
  services_.Wake();
}

void ControllerCore::OnLost(Agent& agent) {
  holders_.ForgetViews();
  changes_.agents.insert(agent.node);
  if (gone_.count(agent.node) != 0) ForgetLater(agent.node);
  if (!ctx_.active) return;
  holders_.OnLost(agent);
  pools_.TouchAll();
  if (agent.leaving) return;
  losses_.push_back(ctx_.now);
  while (losses_.front() + agents_.settings().agent_timeout < ctx_.now) losses_.pop_front();
  const std::size_t before = agents_.connected_count() + losses_.size();
  if (losses_.size() < 2 || losses_.size() * 2 <= before) return;
  // More likely we are the one cut off: nothing moves, and a new term starts by listening.
  ctx_.Log(LogLine::Level::kError, "lost more than half of the agents at once: nothing is moved, starting over",
           {{"lost", absl::StrCat(losses_.size())}, {"of", absl::StrCat(before)}});
  losses_.clear();
  raising_ = ctx_.term + 1;
  CloseGate();
  ctx_.Emit(RaiseTerm{raising_});
}

void ControllerCore::On(const ServiceWritten& e) { services_.OnWritten(e.write_id, e.status, e.revision); }
void ControllerCore::On(const SourceProblems& e) {
  problems_ = e.problems.texts;
  if (pools_.SetUnread(e.problems.pools)) services_.Wake();
}
void ControllerCore::On(const StreamOpened& e) { agents_.OnOpened(e.stream, e.peer); }
void ControllerCore::On(const FromAgent& e) { agents_.OnMessage(e.stream, e.message); }
void ControllerCore::On(const StreamClosed& e) { agents_.OnClosed(e.stream, e.reason); }

void ControllerCore::Exclude() {
  IpRangeSet excluded = plan::ExcludedAddresses(holders_.NodeViews());
  if (excluded == ctx_.ledger.excluded()) return;
  ctx_.ledger.SetExcluded(excluded);
  pools_.TouchAll();
  services_.OnExcluded();
}

}  // namespace berth::core
