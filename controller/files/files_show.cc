// SPDX-License-Identifier: Apache-2.0
// What FilesSource tells its observer: deltas and problems.
#include <set>
#include <utility>

#include "absl/strings/str_cat.h"
#include "common/obs/log.h"
#include "controller/files/files_source.h"

namespace berth::files {
namespace {

// More are told in the turns that follow: agents are heard in between, and memory holds no second copy of all.
constexpr std::size_t kServicesOfOneTurn = 2000;

// Sorts `object` under the delta's member for its type.
struct Sorter {
  model::ClusterDelta& delta;
  void operator()(const model::Pool& o) const { delta.pools.push_back(o); }
  void operator()(const model::Service& o) const { delta.services.push_back(o); }
  void operator()(const model::Node& o) const { delta.nodes.push_back(o); }
  void operator()(const model::Namespace& o) const { delta.namespaces.push_back(o); }
  void operator()(const model::EndpointSlice& o) const { delta.slices.push_back(o); }
};

void AddGone(const ObjectKey& key, model::ClusterDelta& delta) {
  switch (key.kind) {
    case ObjectKind::kPool:
      delta.gone_pools.push_back(key.id.name);
      break;
    case ObjectKind::kService:
      delta.gone_services.push_back(key.id);
      break;
    case ObjectKind::kNode:
      delta.gone_nodes.push_back(key.id.name);
      break;
    case ObjectKind::kNamespace:
      delta.gone_namespaces.push_back(key.id.name);
      break;
    case ObjectKind::kEndpointSlice:
      delta.gone_slices.push_back(key.id);
      break;
  }
}

}  // namespace

void FilesSource::Show(const ObjectKey& key) {
  dirty_.insert(dirty_.end(), key);  // mostly they come in order
  if (std::exchange(flush_posted_, true)) return;
  PostAlive([this] { Flush(); });
}

std::optional<model::Service> FilesSource::Shown(const model::ObjectId& id) const {
  auto it = services_.find(id);
  if (it == services_.end()) return std::nullopt;
  const Tracked& tracked = it->second;
  const std::shared_ptr<const model::Service> spec = SpecOf(id);
  if (spec == nullptr && !tracked.recorded()) return std::nullopt;
  model::Service service;
  if (spec != nullptr) {
    service = *spec;
  } else {
    if (tracked.record.spec != nullptr) service = *tracked.record.spec;
    service.id = id;
    service.deleting = true;
  }
  service.revision = absl::StrCat(tracked.revision);
  service.marked = tracked.recorded();
  service.allocations = tracked.record.allocations;
  service.managed_by = tracked.record.managed_by;
  return service;
}

void FilesSource::AddToDelta(const ObjectKey& key, model::ClusterDelta& delta) {
  if (key.kind == ObjectKind::kService) {
    if (std::optional<model::Service> service = Shown(key.id)) {
      shown_.insert(key);
      delta.services.push_back(*std::move(service));
      return;
    }
  } else if (const std::shared_ptr<const ParsedObject> object = catalog_.Find(key)) {
    shown_.insert(key);
    std::visit(Sorter{delta}, object->value);
    return;
  }
  if (shown_.erase(key) != 0) AddGone(key, delta);
}

void FilesSource::Flush() {
  flush_posted_ = false;
  if (!first_read_done_) return;  // all at once, then
  model::ClusterDelta delta;
  std::size_t services = 0;
  for (auto it = dirty_.begin(); it != dirty_.end();) {
    if (it->kind == ObjectKind::kService && services++ == kServicesOfOneTurn) {
      it = dirty_.lower_bound({ObjectKind::kNode, {}});  // the kind that follows
      continue;
    }
    AddToDelta(*it, delta);
    it = dirty_.erase(it);
  }
  const std::weak_ptr<bool> alive = alive_;
  if (!delta.empty()) observer_->OnDelta(delta);
  if (alive.expired()) return;
  if (!dirty_.empty()) {
    if (!std::exchange(flush_posted_, true)) PostAlive([this] { Flush(); });
    return;
  }
  if (!std::exchange(synced_, true)) observer_->OnSynced();
}

void FilesSource::ReportProblems() {
  model::Problems problems{catalog_.Problems(), catalog_.PoolsNotInForce()};
  for (const std::string* other : {&folder_problem_, &state_problem_}) {
    if (!other->empty()) problems.texts.push_back(*other);
  }
  if (problems == problems_) return;
  const std::set<absl::string_view> old(problems_.texts.begin(), problems_.texts.end());
  for (const std::string& problem : problems.texts) {
    if (old.count(problem) == 0) {
      LogWarn("problem in the folders of the files source", {{"problem", problem}});
    }
  }
  problems_ = std::move(problems);
  observer_->OnProblems(problems_);
}

}  // namespace berth::files
