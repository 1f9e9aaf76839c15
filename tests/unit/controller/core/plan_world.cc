// SPDX-License-Identifier: Apache-2.0
// The world's source and its judge.
#include "tests/unit/controller/core/plan_world.h"

#include <algorithm>
#include <utility>

#include "absl/strings/str_cat.h"

namespace berth::core {
namespace {

constexpr int kTooMany = 3000;  // events without an end: the core does not come to rest

Options MakeOptions(const plan::Rules& rules) {
  Options options;
  options.rules = rules;
  options.absent_endpoints_are_ready = true;
  options.agent_timeout = absl::Seconds(10);  // heartbeats are not what is tried here
  options.recheck = absl::Seconds(2);
  options.record_reasons = true;
  return options;
}

}  // namespace

PlanWorld::PlanWorld(Setup setup) : setup_(std::move(setup)) {
  if (setup_.agents) StartAgents();
  Start();
  Rest();
}

// ---- people

void PlanWorld::Changed(const model::ObjectId& id) {
  auto it = services_.find(id);
  if (it != services_.end()) it->second.revision = absl::StrCat(++revision_);
  dirty_services_.insert(id);
}

void PlanWorld::EditPool(const std::string& name, const std::function<void(model::Pool&)>& edit) {
  model::Pool& pool = pools_[name];
  pool.name = name;
  edit(pool);
  dirty_pools_.insert(name);
  Drain();
}

void PlanWorld::DeletePool(const std::string& name, bool force) {
  auto it = pools_.find(name);
  if (it == pools_.end()) return;
  it->second.force_delete |= force;
  if (!it->second.has_finalizer) return VanishPool(name);
  it->second.deleting = true;
  dirty_pools_.insert(name);
  Drain();
}

void PlanWorld::VanishPool(const std::string& name) {
  if (pools_.erase(name) == 0) return;
  dirty_pools_.insert(name);
  Drain();
}

void PlanWorld::EditService(const model::ObjectId& id, const std::function<void(model::Service&)>& edit) {
  auto [it, fresh] = services_.try_emplace(id);
  if (fresh) {
    it->second.id = id;
    it->second.created = now_ + absl::Nanoseconds(++revision_);
  }
  if (it->second.deleting) return;  // the API server would take it, and nobody do it
  edit(it->second);
  Changed(id);
  Drain();
}

void PlanWorld::DeleteService(const model::ObjectId& id) {
  auto it = services_.find(id);
  if (it == services_.end()) return;
  if (!it->second.marked) return VanishService(id);
  it->second.deleting = true;
  Changed(id);
  Drain();
}

void PlanWorld::VanishService(const model::ObjectId& id) {
  if (services_.erase(id) == 0) return;
  Changed(id);
  Drain();
}

void PlanWorld::Tamper(const model::ObjectId& id) {
  auto it = services_.find(id);
  if (it == services_.end() || it->second.allocations.empty()) return;
  it->second.allocations.clear();
  Changed(id);
  Drain();
}

void PlanWorld::Label(const std::string& ns, model::Labels labels) {
  namespaces_[ns] = std::move(labels);
  dirty_namespaces_.insert(ns);
  Drain();
}

const model::Service* PlanWorld::Find(const model::ObjectId& id) const {
  auto it = services_.find(id);
  return it == services_.end() ? nullptr : &it->second;
}

// ---- time and order

void PlanWorld::HoldWrites(bool hold) {
  hold_writes_ = hold;
  if (!hold) LandAll();
}

void PlanWorld::HoldWatch(bool hold) {
  hold_watch_ = hold;
  Drain();
}

void PlanWorld::Advance(absl::Duration by) {
  const absl::Time end = now_ + by;
  for (int i = 0; wake_ <= end; ++i) {
    if (i > kTooMany) throw Broken("timers without an end");
    now_ = std::max(now_, wake_);
    std::vector<Event> events;
    for (const TestAgent& agent : agents_) {
      if (agent.stream != 0) events.push_back(FromAgent{agent.stream, sync::Heartbeat{1}});
    }
    events.push_back(Tick{});
    Feed(events);
    Drain();
  }
  now_ = end;
}

void PlanWorld::Start() {
  core_ = std::make_unique<ControllerCore>(MakeOptions(setup_.rules));
  queue_.clear();
  wake_ = absl::InfiniteFuture();
  heard_interfaces_.clear();
  shown_.clear();
  repeated_.clear();
  sent_.clear();
  for (const auto& [id, service] : services_) dirty_services_.insert(id);
  for (const auto& [name, pool] : pools_) dirty_pools_.insert(name);
  shown_namespaces_.clear();
  for (const auto& [name, labels] : namespaces_) dirty_namespaces_.insert(name);
  Flush();
  queue_.push_back(SourceSynced{known_agents_});
  queue_.push_back(Leadership{true, ++term_, "me"});
  Drain();
}

void PlanWorld::Restart(plan::Rules rules, bool pending_writes_land) {
  setup_.rules = std::move(rules);
  for (const Pending& p : std::exchange(pending_, {})) {
    std::string revision;
    if (pending_writes_land) static_cast<void>(Land(p, Fault::kNone, &revision));
  }
  for (TestAgent& agent : agents_) {
    agent.stream = 0;
    agent.inbox.clear();
  }
  Start();
  for (int node = 0; node < kNodes; ++node) {
    if (agents_[static_cast<std::size_t>(node)].wanted) Connect(node);
  }
}

void PlanWorld::StepDown() {
  Flush();
  Drain();
  queue_.push_back(Leadership{false, term_, "another"});
  Drain();
  queue_.push_back(Leadership{true, ++term_, "me"});
  Drain();
}

void PlanWorld::Drain() {
  if (!hold_watch_) Flush();
  for (int i = 0; !queue_.empty(); ++i) {
    if (i > kTooMany) throw Broken("the core does not come to rest: events without an end");
    const Event event = std::move(queue_.front());
    queue_.pop_front();
    Feed({event});
    if (!hold_watch_) Flush();
    if (queue_.empty()) Redial();
  }
}

// What changed in the source since it was shown last.
void PlanWorld::Flush() {
  model::ClusterDelta delta;
  for (const std::string& name : std::exchange(dirty_pools_, {})) {
    auto it = pools_.find(name);
    if (it == pools_.end()) {
      delta.gone_pools.push_back(name);
    } else {
      delta.pools.push_back(it->second);
    }
  }
  for (const model::ObjectId& id : std::exchange(dirty_services_, {})) {
    auto it = services_.find(id);
    if (it == services_.end()) {
      delta.gone_services.push_back(id);
    } else {
      delta.services.push_back(it->second);
    }
  }
  for (const std::string& name : std::exchange(dirty_namespaces_, {})) {
    delta.namespaces.push_back({name, namespaces_[name]});
  }
  if (!delta.empty()) queue_.push_back(SourceChanged{std::move(delta)});
}

void PlanWorld::Feed(const std::vector<Event>& events) {
  for (const Event& event : events) {
    if (const auto* from = std::get_if<FromAgent>(&event)) Hear(*from);
    if (const auto* written = std::get_if<ServiceWritten>(&event)) {
      const absl::Status& s = written->status;
      const model::ServiceWrite write = sent_.extract(written->write_id).mapped();
      repeated_.erase(write.id);
      if (!s.ok() && !absl::IsAborted(s) && !absl::IsNotFound(s)) repeated_[write.id] = write.allocations;
      if (absl::IsNotFound(s)) shown_.erase(write.id);
    }
    const auto* changed = std::get_if<SourceChanged>(&event);
    if (changed == nullptr) continue;
    for (const model::Service& s : changed->delta.services) {
      shown_[s.id] = s;
      repeated_.erase(s.id);  // what is shown is the outcome
    }
    for (const model::ObjectId& id : changed->delta.gone_services) shown_.erase(id);
    for (const model::Namespace& n : changed->delta.namespaces) shown_namespaces_[n.name] = n.labels;
  }
  before_ = core_->ledger().pools();
  claims_before_ = ClaimsNow();
  blocked_before_ = Blocked();
  const Effects effects = core_->Handle(events, now_);
  for (const Effect& effect : effects) {
    std::visit([this](const auto& e) { Carry(e); }, effect);
  }
  CheckWords();
}

// ---- what the core asks of the source

void PlanWorld::Carry(const WriteService& e) {
  ++writes_;
  CheckWrite(e.write);
  pending_.push_back({e.write, std::exchange(fault_, Fault::kNone), ClaimsNow(), claims_before_});
  if (!hold_writes_) LandAll();
}

void PlanWorld::LandAll() {
  for (const Pending& p : std::exchange(pending_, {})) {
    std::string revision;
    const absl::Status status = Land(p, p.fault, &revision);
    sent_[p.write.write_id] = p.write;
    queue_.push_back(ServiceWritten{p.write.write_id, status, revision});
  }
}

absl::Status PlanWorld::Land(const Pending& pending, Fault fault, std::string* revision) {
  const model::ServiceWrite& write = pending.write;
  if (fault == Fault::kNotDone) return absl::UnavailableError("the source cannot be reached");
  auto it = services_.find(write.id);
  if (it == services_.end()) return absl::NotFoundError("no such Service");
  model::Service& service = it->second;
  if (service.revision != write.revision) return absl::AbortedError("it changed meanwhile");
  CheckLanding(pending, service.allocations);
  const bool marked = !write.allocations.empty() || write.hold;
  service.allocations = write.allocations;
  service.managed_by = marked ? write.managed_by : "";
  service.marked = marked;
  service.told = write.told();
  Changed(write.id);
  *revision = service.revision;
  if (service.deleting && !marked) services_.erase(it);
  if (fault == Fault::kAnswerLost) return absl::DeadlineExceededError("no answer in time");
  return absl::OkStatus();
}

void PlanWorld::Carry(const WritePoolStatus& e) {
  auto it = pools_.find(e.status.pool);
  if (it == pools_.end() || it->second.has_finalizer == e.status.hold) return;
  it->second.has_finalizer = e.status.hold;
  if (it->second.deleting && !e.status.hold) pools_.erase(it);
  dirty_pools_.insert(e.status.pool);
}

void PlanWorld::Carry(const RaiseTerm& e) {
  term_ = std::max(term_, e.at_least);
  queue_.push_back(Leadership{true, term_, "me"});
}

// ---- rest

void PlanWorld::Rest() {
  hold_writes_ = hold_watch_ = false;
  fault_ = Fault::kNone;
  EndLeaving();
  LandAll();
  Drain();
  for (int round = 0;; ++round) {
    const int writes = writes_;
    const std::size_t changes = changes_;
    Advance(absl::Seconds(6));  // longer than the start gate and a release together
    if (writes_ == writes && changes_ == changes && core_->Status().started) break;
    if (round == 20) throw Broken("no rest within two minutes");
  }
  CheckRecords();
  CheckAtRest(TheFacts());
}

std::map<model::ObjectId, std::vector<model::Allocation>> PlanWorld::Allocations() const {
  std::map<model::ObjectId, std::vector<model::Allocation>> out;
  for (const auto& [id, service] : services_) out[id] = service.allocations;
  return out;
}

std::set<model::ObjectId> PlanWorld::Unmet() const {
  std::set<model::ObjectId> out;
  const Facts facts = TheFacts();
  for (const auto& [id, service] : facts.services) {
    for (const model::Allocation& a : service.allocations) {
      if (AsksForAnother(facts, service, a)) out.insert(id);
    }
  }
  return out;
}

std::map<model::ObjectId, std::string> PlanWorld::Words() const {
  std::map<model::ObjectId, std::string> out;
  for (const model::ServiceView& view : core_->ServiceViews()) {
    out[view.id] = absl::StrCat(static_cast<int>(view.state), " ", view.reason);
  }
  return out;
}

bool PlanWorld::Refuses() const {
  return std::any_of(pools_.begin(), pools_.end(), [this](const auto& pool) {
    const model::Pool* in_force = core_->ledger().FindPool(pool.first);
    return in_force == nullptr || *in_force != pool.second;
  });
}

bool PlanWorld::HasMemory() const {
  for (const IpAddr& a : Universe()) {
    if (core_->ledger().IsConflicted(a) || core_->ledger().IsQuarantined(a)) return true;
  }
  return std::any_of(agents_.begin(), agents_.end(),
                     [](const TestAgent& a) { return a.stream == 0 && !a.hello.node.empty(); });
}

}  // namespace berth::core
