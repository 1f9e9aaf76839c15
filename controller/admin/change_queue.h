// SPDX-License-Identifier: Apache-2.0
// controller/admin/change_queue.h -- what one watcher has still to be told: at most one change per object. Pure.
//
// A watcher that reads slowly gets the newest state of each object, so the queue is never longer than the cluster has
// objects (and had, for what is gone). The queue also knows what the watcher knows, which tells ADDED from CHANGED.
#ifndef BERTH_CONTROLLER_ADMIN_CHANGE_QUEUE_H_
#define BERTH_CONTROLLER_ADMIN_CHANGE_QUEUE_H_

#include <list>
#include <optional>
#include <string>
#include <unordered_map>
#include <unordered_set>
#include <utility>

#include "berth/admin/v1/admin.pb.h"
#include "controller/model/views.h"

namespace berth::admin {

class ChangeQueue {
 public:
  // The watcher knows of `view` already, or counts as if it did.
  void Know(const model::ChangeView& view);
  void Push(const model::ChangeView& view);
  // Behind what is queued now comes SYNCED.
  void PushSynced();
  // The next to be told, in the order in which the objects were first pushed; nullopt when all is told.
  std::optional<v1::Change> Pop();

 private:
  using Pending = std::list<std::pair<std::string, v1::Change>>;  // key of the object, what to tell
  void Append(std::string key, v1::Change change);

  std::unordered_set<std::string> known_;  // by the watcher, once the queue is told
  Pending pending_;
  std::unordered_map<std::string, Pending::iterator> places_;  // of each key in pending_
};

}  // namespace berth::admin

#endif  // BERTH_CONTROLLER_ADMIN_CHANGE_QUEUE_H_
