// SPDX-License-Identifier: Apache-2.0
#include "controller/admin/change_queue.h"

#include <iterator>
#include <utility>

#include "absl/strings/str_cat.h"
#include "controller/admin/convert.h"

namespace berth::admin {
namespace {

// Object names are never empty, so no object has this key.
constexpr char kSyncedKey[] = "";

std::string KeyOf(const model::ChangeView& view) {
  if (view.pool) return absl::StrCat("pool ", view.pool->name);
  if (view.service) return absl::StrCat("service ", view.service->id.ToString());
  if (view.address) return absl::StrCat("address ", view.address->address.ToString());
  return view.agent ? absl::StrCat("agent ", view.agent->node) : kSyncedKey;
}

v1::Change ToChange(v1::Change::Kind kind, const model::ChangeView& view) {
  v1::Change change;
  change.set_kind(kind);
  if (view.pool) *change.mutable_pool() = ToProto(*view.pool);
  if (view.service) *change.mutable_service() = ToProto(*view.service);
  if (view.address) *change.mutable_address() = ToProto(*view.address);
  if (view.agent) *change.mutable_agent() = ToProto(*view.agent);
  return change;
}

}  // namespace

void ChangeQueue::Know(const model::ChangeView& view) { known_.insert(KeyOf(view)); }

void ChangeQueue::Push(const model::ChangeView& view) {
  std::string key = KeyOf(view);
  if (key == kSyncedKey) return;
  const bool knew = known_.count(key) > 0;
  if (view.gone && !knew) return;
  if (view.gone) {
    known_.erase(key);
  } else {
    known_.insert(key);
  }
  const auto place = places_.find(key);
  if (place == places_.end()) {
    Append(std::move(key), ToChange(view.gone ? v1::Change::GONE
                                    : knew    ? v1::Change::CHANGED
                                              : v1::Change::ADDED,
                                    view));
    return;
  }
  // What was told last decides: what came untold may go untold, and what went untold and is back has only changed.
  const bool untold = place->second->second.kind() == v1::Change::ADDED;
  if (view.gone && untold) {
    pending_.erase(place->second);
    places_.erase(place);
    return;
  }
  place->second->second = ToChange(view.gone ? v1::Change::GONE
                                   : untold  ? v1::Change::ADDED
                                             : v1::Change::CHANGED,
                                   view);
}

void ChangeQueue::PushSynced() {
  v1::Change synced;
  synced.set_kind(v1::Change::SYNCED);
  if (places_.count(kSyncedKey) == 0) Append(kSyncedKey, std::move(synced));
}

void ChangeQueue::Append(std::string key, v1::Change change) {
  pending_.emplace_back(key, std::move(change));
  places_.emplace(std::move(key), std::prev(pending_.end()));
}

std::optional<v1::Change> ChangeQueue::Pop() {
  if (pending_.empty()) return std::nullopt;
  v1::Change change = std::move(pending_.front().second);
  places_.erase(pending_.front().first);
  pending_.pop_front();
  return change;
}

}  // namespace berth::admin
