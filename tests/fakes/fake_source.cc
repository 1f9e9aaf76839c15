// SPDX-License-Identifier: Apache-2.0
#include "tests/fakes/fake_source.h"

#include <algorithm>
#include <utility>

#include "absl/strings/str_cat.h"

namespace berth {
namespace {

template <typename Key, typename Object>
void LookUp(const std::set<Key>& keys, const std::map<Key, Object>& store, std::vector<Object>& there,
            std::vector<Key>& gone) {
  for (const Key& key : keys) {
    auto it = store.find(key);
    if (it != store.end()) {
      there.push_back(it->second);
    } else {
      gone.push_back(key);
    }
  }
}

template <typename Key, typename Object>
void AddKeys(const std::map<Key, Object>& store, std::set<Key>& keys) {
  for (const auto& [key, object] : store) keys.insert(key);
}

}  // namespace

// ---- objects

template <typename Key>
void FakeCluster::Changed(std::set<Key> Dirty::* kind, const Key& key) {
  ++changes_;
  for (FakeSource* source : sources_) {
    (source->dirty_.*kind).insert(key);
    source->PostFlush();
  }
}

void FakeCluster::Put(model::Pool pool) {
  auto it = pools_.find(pool.name);
  if (it != pools_.end()) {
    pool.deleting = it->second.deleting;
    pool.has_finalizer = it->second.has_finalizer;
  }
  pool.revision = NextRevision();
  const std::string name = pool.name;
  pools_.insert_or_assign(name, std::move(pool));
  Changed(&Dirty::pools, name);
}

void FakeCluster::Put(model::Service service) {
  auto it = services_.find(service.id);
  if (it != services_.end()) {
    service.deleting = it->second.deleting;
    service.marked = it->second.marked;
    service.allocations = it->second.allocations;
    service.managed_by = it->second.managed_by;
    service.foreign_ingress = it->second.foreign_ingress;
    service.told = it->second.told;
  }
  service.revision = NextRevision();
  const model::ObjectId id = service.id;
  services_.insert_or_assign(id, std::move(service));
  Changed(&Dirty::services, id);
}

void FakeCluster::Put(model::Node node) {
  node.explicit_object = true;
  const std::string name = node.name;
  nodes_.insert_or_assign(name, std::move(node));
  Changed(&Dirty::nodes, name);
}

void FakeCluster::Put(model::Namespace ns) {
  const std::string name = ns.name;
  namespaces_.insert_or_assign(name, std::move(ns));
  Changed(&Dirty::namespaces, name);
}

void FakeCluster::Put(model::EndpointSlice slice) {
  const model::ObjectId id = slice.id;
  slices_.insert_or_assign(id, std::move(slice));
  Changed(&Dirty::slices, id);
}

void FakeCluster::DeletePool(const std::string& name) {
  auto it = pools_.find(name);
  if (it == pools_.end()) return;
  if (!it->second.has_finalizer) return VanishPool(name);
  it->second.deleting = true;
  it->second.revision = NextRevision();
  Changed(&Dirty::pools, name);
}

// By value: callers name it by the very object that goes.
void FakeCluster::VanishPool(std::string name) {
  if (pools_.erase(name) != 0) Changed(&Dirty::pools, name);
}

void FakeCluster::DeleteService(const model::ObjectId& id) {
  auto it = services_.find(id);
  if (it == services_.end()) return;
  if (it->second.marked) {
    it->second.deleting = true;
    it->second.revision = NextRevision();
  } else {
    services_.erase(it);
    conditions_.erase(id);
  }
  Changed(&Dirty::services, id);
}

void FakeCluster::DeleteNode(const std::string& name) {
  if (nodes_.erase(name) != 0) Changed(&Dirty::nodes, name);
}

void FakeCluster::DeleteNamespace(const std::string& name) {
  if (namespaces_.erase(name) != 0) Changed(&Dirty::namespaces, name);
}

void FakeCluster::DeleteSlice(const model::ObjectId& id) {
  if (slices_.erase(id) != 0) Changed(&Dirty::slices, id);
}

void FakeCluster::Tamper(const model::ObjectId& id, const std::function<void(model::Service&)>& edit) {
  model::Service& service = services_.at(id);
  edit(service);
  service.revision = NextRevision();
  Changed(&Dirty::services, id);
}

void FakeCluster::SetProblems(model::Problems problems) {
  problems_ = std::move(problems);
  for (FakeSource* source : sources_) {
    source->PostAlive([problems = problems_](auto& observer) { observer.OnProblems(problems); });
  }
}

FakeCluster::Dirty FakeCluster::Everything() const {
  Dirty all;
  AddKeys(pools_, all.pools);
  AddKeys(services_, all.services);
  AddKeys(nodes_, all.nodes);
  AddKeys(namespaces_, all.namespaces);
  AddKeys(slices_, all.slices);
  return all;
}

model::ClusterDelta FakeCluster::Look(const Dirty& dirty) const {
  model::ClusterDelta delta;
  LookUp(dirty.pools, pools_, delta.pools, delta.gone_pools);
  LookUp(dirty.services, services_, delta.services, delta.gone_services);
  LookUp(dirty.nodes, nodes_, delta.nodes, delta.gone_nodes);
  LookUp(dirty.namespaces, namespaces_, delta.namespaces, delta.gone_namespaces);
  LookUp(dirty.slices, slices_, delta.slices, delta.gone_slices);
  return delta;
}

// ---- what controllers write

void FakeCluster::FailWrites(int n, absl::Status status) {
  fail_writes_ = n;
  fail_status_ = std::move(status);
}

absl::Status FakeCluster::Apply(const model::ServiceWrite& write, std::string* revision) {
  if (fail_writes_ > 0) {
    --fail_writes_;
    return fail_status_;
  }
  auto it = services_.find(write.id);
  if (it == services_.end()) return absl::NotFoundError(absl::StrCat("Service ", write.id.ToString(), " is gone"));
  model::Service& service = it->second;
  if (service.revision != write.revision) {
    return absl::AbortedError(absl::StrCat("Service ", write.id.ToString(), " is at revision ", service.revision));
  }
  const bool marked = !write.allocations.empty() || write.hold;
  const std::string managed_by = marked ? write.managed_by : "";
  const Condition told{write.condition_reason, write.condition_message};
  Condition& condition = conditions_[write.id];
  if (service.allocations != write.allocations || service.marked != marked || service.managed_by != managed_by ||
      condition != told) {
    service.allocations = write.allocations;
    service.marked = marked;
    service.managed_by = managed_by;
    service.told = write.told();
    service.revision = NextRevision();
    condition = told;
    service_writes_.push_back(write);
    Changed(&Dirty::services, write.id);
  }
  *revision = service.revision;
  if (service.deleting && !marked) {
    services_.erase(it);
    conditions_.erase(write.id);
  }
  if (lose_answers_ == 0) return absl::OkStatus();
  --lose_answers_;
  return absl::DeadlineExceededError("no answer from the API server");
}

void FakeCluster::WritePoolStatus(const model::PoolStatus& status) {
  ++pool_status_writes_;
  pool_statuses_.insert_or_assign(status.pool, status);
  auto it = pools_.find(status.pool);
  if (it == pools_.end() || it->second.has_finalizer == status.hold) return;
  it->second.has_finalizer = status.hold;
  it->second.revision = NextRevision();
  if (it->second.deleting && !status.hold) pools_.erase(it);
  Changed(&Dirty::pools, status.pool);
}

std::optional<model::Service> FakeCluster::service(const model::ObjectId& id) const {
  auto it = services_.find(id);
  return it == services_.end() ? std::nullopt : std::make_optional(it->second);
}

FakeCluster::Condition FakeCluster::condition(const model::ObjectId& id) const {
  auto it = conditions_.find(id);
  return it == conditions_.end() ? Condition() : it->second;
}

std::optional<model::PoolStatus> FakeCluster::pool_status(const std::string& pool) const {
  auto it = pool_statuses_.find(pool);
  return it == pool_statuses_.end() ? std::nullopt : std::make_optional(it->second);
}

// ---- leadership

void FakeCluster::Grant(FakeSource& source) {
  ++term_;
  leader_ = &source;
  leading_since_ = loop_.Now();
  TellLeadership();
}

void FakeCluster::Revoke() {
  leader_ = nullptr;
  TellLeadership();
}

void FakeCluster::TellLeadership() {
  for (FakeSource* source : sources_) {
    if (source->connected_) source->TellLeadership();
  }
}

void FakeCluster::Attach(FakeSource* source) {
  sources_.push_back(source);
  source->dirty_ = Everything();
  if (problems_ != model::Problems()) {
    source->PostAlive([problems = problems_](auto& observer) { observer.OnProblems(problems); });
  }
  source->PostFlush();
  if (leader_ == nullptr && lead_automatically_) {
    Grant(*source);
  } else if (source->connected_) {
    source->TellLeadership();
  }
}

void FakeCluster::Detach(FakeSource* source) {
  sources_.erase(std::remove(sources_.begin(), sources_.end(), source), sources_.end());
  if (leader_ == source) leader_ = nullptr;
}

// ---- one connection

absl::Status FakeSource::Start(Observer& observer) {
  if (alive_ != nullptr) return absl::FailedPreconditionError(absl::StrCat("source ", name_, " was started already"));
  observer_ = &observer;
  alive_ = std::make_shared<bool>(true);
  synced_ = false;
  flush_posted_ = false;
  cluster_.Attach(this);
  return absl::OkStatus();
}

void FakeSource::Stop() {
  if (alive_ == nullptr) return;
  alive_.reset();
  observer_ = nullptr;
  cluster_.Detach(this);
}

void FakeSource::PostAlive(std::function<void(Observer&)> task) {
  cluster_.loop_.Post([this, alive = std::weak_ptr<bool>(alive_), task = std::move(task)] {
    if (!alive.expired()) task(*observer_);
  });
}

void FakeSource::TellLeadership() {
  const FakeSource* leader = cluster_.leader_;
  PostAlive([leads = leader == this, term = cluster_.term_, name = leader == nullptr ? "" : leader->name()](
                Observer& observer) { observer.OnLeadership(leads, term, name); });
}

void FakeSource::PostFlush() {
  if (!connected_ || std::exchange(flush_posted_, true)) return;
  PostAlive([this](Observer&) { Flush(); });
}

void FakeSource::Flush() {
  flush_posted_ = false;
  if (!connected_) return;
  const model::ClusterDelta delta = cluster_.Look(std::exchange(dirty_, {}));
  const std::weak_ptr<bool> alive = alive_;
  if (!delta.empty()) observer_->OnDelta(delta);
  if (alive.expired() || std::exchange(synced_, true)) return;
  observer_->OnSynced();
}

void FakeSource::SetConnected(bool connected) {
  if (std::exchange(connected_, connected) == connected || !connected || alive_ == nullptr) return;
  if (cluster_.leader_ == this) {
    if (raise_to_ > cluster_.term_) RaiseTerm(raise_to_);
  } else {
    TellLeadership();
  }
  raise_to_ = 0;
  for (const auto& [pool, status] : std::exchange(waiting_statuses_, {})) {
    if (cluster_.leader_ == this) cluster_.WritePoolStatus(status);
  }
  if (waiting_unannounced_ && cluster_.leader_ == this) cluster_.unannounced_ = *waiting_unannounced_;
  waiting_unannounced_.reset();
  if (waiting_agents_ && cluster_.leader_ == this) RememberAgents(*waiting_agents_);
  waiting_agents_.reset();
  PostFlush();
}

void FakeSource::WriteService(const model::ServiceWrite& write) {
  if (alive_ == nullptr) return;
  // The store does what has reached it, whether or not the writer still lives.
  auto answer = [this, alive = std::weak_ptr<bool>(alive_), cluster = &cluster_, connected = connected_, write] {
    std::string revision;
    const absl::Status status =
        connected ? cluster->Apply(write, &revision) : absl::UnavailableError("the API server cannot be reached");
    if (!alive.expired()) observer_->OnServiceWritten(write.write_id, status, status.ok() ? revision : "");
  };
  if (cluster_.write_delay_ > absl::ZeroDuration()) {
    cluster_.loop_.RunAfter(cluster_.write_delay_, std::move(answer));
  } else {
    cluster_.loop_.Post(std::move(answer));
  }
}

void FakeSource::WritePoolStatus(const model::PoolStatus& status) {
  if (alive_ == nullptr) return;
  if (connected_) return cluster_.WritePoolStatus(status);
  waiting_statuses_.insert_or_assign(status.pool, status);
}

void FakeSource::WriteUnannounced(const model::UnannouncedServices& services) {
  if (alive_ == nullptr) return;
  waiting_unannounced_ = services;
  if (connected_) cluster_.unannounced_ = *std::exchange(waiting_unannounced_, std::nullopt);
}

void FakeSource::RecordEvent(const model::EventRecord& event) {
  if (alive_ != nullptr && connected_) cluster_.events_.push_back({cluster_.loop_.WallNow(), name_, event});
}

void FakeSource::RaiseTerm(std::uint64_t at_least) {
  if (alive_ == nullptr || cluster_.leader_ != this) return;
  if (!connected_) {
    raise_to_ = at_least;
    return;
  }
  cluster_.term_ = std::max(cluster_.term_, at_least);
  cluster_.leading_since_ = cluster_.loop_.Now();
  TellLeadership();
}

void FakeSource::RememberAgents(const std::vector<KnownAgent>& agents) {
  if (alive_ == nullptr) return;
  if (!connected_) {
    waiting_agents_ = agents;
    return;
  }
  cluster_.agents_ = agents;
  std::sort(cluster_.agents_.begin(), cluster_.agents_.end(),
            [](const KnownAgent& a, const KnownAgent& b) { return a.node < b.node; });
}

}  // namespace berth
