// SPDX-License-Identifier: Apache-2.0
// controller/kube/write/pool_writer.h -- keeps the status and the finalizer of each Eip as the leader wants them.
//
// Level-triggered: what is wanted is compared with the object as last seen, and a difference makes one patch at a time
// for each Eip, at most one status a second. So a restart writes nothing when nothing changed, and what somebody else
// changed is put right. Our finalizer is there from the beginning, and goes when the Eip is deleted and nobody has an
// address of it. Loop thread only.
#ifndef BERTH_CONTROLLER_KUBE_WRITE_POOL_WRITER_H_
#define BERTH_CONTROLLER_KUBE_WRITE_POOL_WRITER_H_

#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <string>

#include "absl/time/time.h"
#include "common/base/event_loop.h"
#include "controller/kube/objects/pool_object.h"
#include "controller/kube/write/writes.h"
#include "controller/model/source.h"

namespace berth::kube {

class PoolWriter {
 public:
  // `on_written` hears of the object as it is after each of our writes.
  PoolWriter(EventLoop& loop, Writes& writes, std::function<void(const nlohmann::json&)> on_written);
  ~PoolWriter();
  PoolWriter(const PoolWriter&) = delete;
  PoolWriter& operator=(const PoolWriter&) = delete;

  // An Eip as the API server has it now, or that it is gone.
  void Show(const PoolObject& object);
  void Gone(const std::string& name);
  // What the leader wants of it from now on.
  void Want(const model::PoolStatus& status);
  // We lead no more: nothing is wanted.
  void Forget();

 private:
  struct Entry {
    std::optional<PoolObject> object;
    std::optional<model::PoolStatus> wanted;
    bool busy = false;
    bool failing = false;
    absl::Time next = absl::InfinitePast();  // no status before
    std::string wrote;                       // the last status patch that was done
    std::string told;                        // the status that it made, as far as we are concerned
    std::string futile;                      // a status patch that changes nothing: the CRD in force has no such fields
    TimerId timer = 0;
  };

  void Sync(const std::string& name);
  void Patch(const std::string& name, bool status, std::string body);
  void SyncAt(const std::string& name, absl::Time at);

  EventLoop& loop_;
  Writes& writes_;
  const std::function<void(const nlohmann::json&)> on_written_;
  std::map<std::string, Entry> entries_;
  std::shared_ptr<bool> alive_ = std::make_shared<bool>(true);
};

}  // namespace berth::kube

#endif  // BERTH_CONTROLLER_KUBE_WRITE_POOL_WRITER_H_
