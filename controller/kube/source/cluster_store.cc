// SPDX-License-Identifier: Apache-2.0
#include "controller/kube/source/cluster_store.h"

#include <algorithm>
#include <nlohmann/json.hpp>
#include <utility>

#include "absl/strings/str_cat.h"
#include "controller/kube/objects/cluster_objects.h"
#include "controller/kube/objects/read_field.h"
#include "controller/kube/source/revision.h"

namespace berth::kube {
namespace {

using nlohmann::json;

// What is told of the objects of one kind: those that are there, and the names of those that are not any more.
template <typename Key, typename Object, typename Get>
void Tell(std::set<Key>& changed, std::set<Key>& told, const std::map<Key, Object>& there, Get get,
          std::vector<std::decay_t<decltype(get(there.begin()->second))>>& out, std::vector<Key>& gone) {
  for (const Key& key : std::exchange(changed, {})) {
    const auto it = there.find(key);
    if (it != there.end()) {
      told.insert(key);
      out.push_back(get(it->second));
    } else if (told.erase(key) != 0) {
      gone.push_back(key);
    }
  }
}

}  // namespace

// ---- Services

void ClusterStore::PutService(const json& object) {
  const model::ObjectId id = IdOf(object);
  absl::StatusOr<ServiceObject> read = ReadService(object);
  Problem(absl::StrCat("Service ", id.ToString()), read.ok() ? "" : std::string(read.status().message()));
  read = OrItsEnd(std::move(read), object);
  if (read.ok()) PutService(*std::move(read));
}

void ClusterStore::PutService(ServiceObject object) {
  model::Service& service = object.service;
  const model::ObjectId id = service.id;
  auto it = services_.find(id);
  if (it != services_.end() && it->second.rest.uid != object.rest.uid) {  // another one of the same name
    DropService(id);
    it = services_.end();
  }
  const bool ours = service.load_balancer || service.marked || !service.allocations.empty();
  // One that was told once stays told until it is gone: an operation on it may be under way.
  if (it == services_.end() && !ours) return;
  if (it != services_.end() && IsOlder(service.revision, it->second.revision)) return;
  if (it == services_.end()) it = services_.try_emplace(id).first;
  Kept& kept = it->second;
  kept.revision = service.revision;
  kept.rest = std::move(object.rest);
  const bool local = service.load_balancer && service.traffic_policy == model::TrafficPolicy::kLocal;
  if (local && !kept.local && listed_) fetches_.insert(id);
  if (!local) {
    ForgetSlicesOf(id);
    fetches_.erase(id);
  }
  kept.fetched = local && (kept.fetched || !listed_);
  kept.local = local;
  kept.to_tell = std::move(service);
  if (!local || kept.fetched) {
    changed_services_.insert(id);
  } else {
    changed_services_.erase(id);  // what changed before is told with it, once its endpoints are here
  }
}

void ClusterStore::PutWritten(ServiceObject object) {
  const auto it = services_.find(object.service.id);
  if (it == services_.end() || it->second.rest.uid != object.rest.uid) return;
  PutService(std::move(object));
}

void ClusterStore::DropService(const model::ObjectId& id) {
  Problem(absl::StrCat("Service ", id.ToString()), "");
  if (services_.erase(id) == 0) return;
  ForgetSlicesOf(id);
  fetches_.erase(id);
  changed_services_.erase(id);
  gone_services_.insert(id);
}

// Allocations that OpenELB made have no record of ours: the Eip that has the address tells the rest.
void ClusterStore::Complete(Kept& kept) const {
  if (!kept.rest.unrecorded) return;
  for (model::Allocation& a : kept.to_tell->allocations) {
    auto pool = pools_.find(a.pool);
    if (pool == pools_.end()) {
      pool = std::find_if(pools_.begin(), pools_.end(),
                          [&](const auto& p) { return p.second.pool.addresses.Contains(a.address); });
    }
    if (pool == pools_.end()) continue;
    a.pool = pool->first;
    a.protocol = pool->second.pool.protocol;
    a.interface = pool->second.pool.interface;
  }
}

const ServiceRest* ClusterStore::RestAt(const model::ObjectId& id, const std::string& revision) const {
  const auto it = services_.find(id);
  return it != services_.end() && it->second.revision == revision ? &it->second.rest : nullptr;
}

std::string ClusterStore::UnannouncedOf(const model::ObjectId& id) const {
  const auto it = services_.find(id);
  return it == services_.end() ? "" : it->second.rest.unannounced;
}

// ---- Eips

const PoolObject* ClusterStore::PutPool(const json& object) {
  const std::string name = IdOf(object).name;
  const json& metadata = MapAt(object, "metadata");
  if (const auto it = pools_.find(name); it != pools_.end()) {
    if (IsOlder(StringAt(metadata, "resourceVersion"), it->second.pool.revision)) return &it->second;
    if (it->second.uid != StringAt(metadata, "uid")) {  // another one of the same name
      pools_.erase(it);
      changed_pools_.insert(name);
    }
  }
  absl::StatusOr<PoolObject> read = ReadPool(object);
  const std::string wrong = read.ok() ? "" : std::string(read.status().message());
  Problem(absl::StrCat("Eip ", name), wrong, name);
  if (read.ok()) return KeepPool(*std::move(read));
  // Its content has no say in whether it goes.
  model::Pool content;
  content.name = name;
  content.address_text = StringAt(MapAt(object, "spec"), "address");
  const bool known = HasContent(name);
  PoolObject unread = ReadPoolMetadata(object, known ? pools_.at(name).pool : std::move(content));
  unread.unread = !known;
  if (known || unread.pool.deleting) return KeepPool(std::move(unread));
  if (pools_.erase(name) != 0) changed_pools_.insert(name);  // its deletion was told, and it is not any more
  return nullptr;
}

const PoolObject* ClusterStore::KeepPool(PoolObject object) {
  const std::string name = object.pool.name;
  const auto it = pools_.find(name);
  model::Pool before;
  if (it != pools_.end()) before = it->second.pool;
  before.revision = object.pool.revision;
  if (it == pools_.end() || before != object.pool) changed_pools_.insert(name);  // our own status is no news
  return &pools_.insert_or_assign(name, std::move(object)).first->second;
}

bool ClusterStore::HasContent(const std::string& pool) const {
  const auto it = pools_.find(pool);
  return it != pools_.end() && !it->second.unread;
}

void ClusterStore::DropPool(const std::string& name) {
  Problem(absl::StrCat("Eip ", name), "", name);
  if (pools_.erase(name) != 0) changed_pools_.insert(name);
}

// ---- the rest of the cluster

void ClusterStore::PutNode(const json& object) {
  const std::string name = IdOf(object).name;
  absl::StatusOr<model::Node> node = ReadNode(object);
  Problem(absl::StrCat("Node ", name), node.ok() ? "" : std::string(node.status().message()));
  if (!node.ok()) return;
  const auto [it, fresh] = nodes_.try_emplace(name);
  if (!fresh && it->second == *node) return;
  it->second = *std::move(node);
  changed_nodes_.insert(name);
}

void ClusterStore::DropNode(const std::string& name) {
  Problem(absl::StrCat("Node ", name), "");
  if (nodes_.erase(name) != 0) changed_nodes_.insert(name);
}

void ClusterStore::PutNamespace(const json& object) {
  const std::string name = IdOf(object).name;
  absl::StatusOr<model::Namespace> ns = ReadNamespace(object);
  Problem(absl::StrCat("Namespace ", name), ns.ok() ? "" : std::string(ns.status().message()));
  if (!ns.ok()) return;
  const auto [it, fresh] = namespaces_.try_emplace(name);
  if (!fresh && it->second == *ns) return;
  it->second = *std::move(ns);
  changed_namespaces_.insert(name);
}

void ClusterStore::DropNamespace(const std::string& name) {
  Problem(absl::StrCat("Namespace ", name), "");
  if (namespaces_.erase(name) != 0) changed_namespaces_.insert(name);
}

void ClusterStore::PutSlice(const json& object) {
  Hear(IdOf(object));
  KeepSlice(object);
}

void ClusterStore::Hear(const model::ObjectId& slice) {
  if (!fetching_.empty()) told_of_[slice] = ++slice_news_;
}

void ClusterStore::KeepSlice(const json& object) {
  const model::ObjectId id = IdOf(object);
  absl::StatusOr<std::optional<model::EndpointSlice>> read = ReadEndpointSlice(object);
  Problem(absl::StrCat("EndpointSlice ", id.ToString()), read.ok() ? "" : std::string(read.status().message()));
  if (!read.ok()) return;
  const auto service = read->has_value() ? services_.find((*read)->service) : services_.end();
  if (service == services_.end() || !service->second.local) return ForgetSlice(id);
  model::EndpointSlice& slice = **read;
  const auto [it, fresh] = slices_.try_emplace(id);
  if (!fresh && it->second == slice) return;
  if (!fresh) slices_of_[it->second.service].erase(id);
  slices_of_[slice.service].insert(id);
  it->second = std::move(slice);
  changed_slices_.insert(id);
}

void ClusterStore::DropSlice(const model::ObjectId& id) {
  Hear(id);
  ForgetSlice(id);
}

void ClusterStore::ForgetSlice(const model::ObjectId& id) {
  const auto it = slices_.find(id);
  if (it == slices_.end()) return;
  slices_of_[it->second.service].erase(id);
  slices_.erase(it);
  changed_slices_.insert(id);
}

void ClusterStore::ForgetSlicesOf(const model::ObjectId& service) {
  const auto of = slices_of_.find(service);
  if (of == slices_of_.end()) return;
  for (const model::ObjectId& id : of->second) {
    slices_.erase(id);
    changed_slices_.insert(id);
  }
  slices_of_.erase(of);
}

std::vector<model::ObjectId> ClusterStore::TakeFetches() {
  if (fetching_.empty()) told_of_.clear();
  std::vector<model::ObjectId> fetches;
  for (const model::ObjectId& service : std::exchange(fetches_, {})) {
    const auto [it, fresh] = fetching_.try_emplace(service, Fetch{slice_news_});
    if (fresh) fetches.push_back(service);
    it->second.again = !fresh;
  }
  return fetches;
}

void ClusterStore::PutFetched(const model::ObjectId& service, const json& list) {
  const auto asked = fetching_.extract(service);
  const auto it = services_.find(service);
  if (it == services_.end() || !it->second.local || it->second.fetched) return;
  if (asked.empty() || asked.mapped().again) {
    fetches_.insert(service);
    return;
  }
  for (const json& item : ListAt(list, "items")) {
    const auto told = told_of_.find(IdOf(item));
    if (told == told_of_.end() || told->second <= asked.mapped().since) KeepSlice(item);
  }
  it->second.fetched = true;
  changed_services_.insert(service);
}

// ---- what is told

bool ClusterStore::dirty() const {
  return !(changed_services_.empty() && gone_services_.empty() && changed_slices_.empty() && changed_pools_.empty() &&
           changed_nodes_.empty() && changed_namespaces_.empty());
}

model::ClusterDelta ClusterStore::TakeDelta(std::size_t max_services) {
  model::ClusterDelta delta;
  Tell(changed_pools_, told_pools_, pools_, [](const PoolObject& p) { return p.pool; }, delta.pools, delta.gone_pools);
  Tell(changed_nodes_, told_nodes_, nodes_, [](const model::Node& n) { return n; }, delta.nodes, delta.gone_nodes);
  Tell(
      changed_namespaces_, told_namespaces_, namespaces_, [](const model::Namespace& n) { return n; }, delta.namespaces,
      delta.gone_namespaces);
  Tell(
      changed_slices_, told_slices_, slices_, [](const model::EndpointSlice& s) { return s; }, delta.slices,
      delta.gone_slices);
  const std::set<model::ObjectId> gone = std::exchange(gone_services_, {});
  delta.gone_services.assign(gone.begin(), gone.end());
  for (auto it = changed_services_.begin(); it != changed_services_.end() && delta.services.size() < max_services;) {
    if (gone.count(*it) != 0) {  // a new one of its name: after the old one's end
      ++it;
      continue;
    }
    Kept& kept = services_.at(*it);
    Complete(kept);
    delta.services.push_back(*std::exchange(kept.to_tell, std::nullopt));
    it = changed_services_.erase(it);
  }
  return delta;
}

std::string ClusterStore::UidOf(const model::EventRecord& event) const {
  if (event.kind == model::EventRecord::Kind::kPool) {
    const auto it = pools_.find(event.object.name);
    return it == pools_.end() ? "" : it->second.uid;
  }
  return UidOf(event.object);
}

std::string ClusterStore::UidOf(const model::ObjectId& service) const {
  const auto it = services_.find(service);
  return it == services_.end() ? "" : it->second.rest.uid;
}

void ClusterStore::Problem(const std::string& key, const std::string& text, const std::string& pool) {
  const auto it = problem_of_.find(key);
  if (text.empty() ? it == problem_of_.end() : it != problem_of_.end() && it->second.first == text) return;
  if (text.empty()) {
    problem_of_.erase(it);
  } else {
    problem_of_[key] = {text, pool};
  }
  problems_ = {};
  for (const auto& [object, problem] : problem_of_) {
    problems_.texts.push_back(problem.first);
    if (!problem.second.empty() && !HasContent(problem.second)) problems_.pools[problem.second] = problem.first;
  }
}

}  // namespace berth::kube
