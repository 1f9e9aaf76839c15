// SPDX-License-Identifier: Apache-2.0
// agent/desired/file_store.h -- the state in one file, replaced atomically by a thread of its own.
//
// Two agents of one node may share the folder (an upgrade that starts the new one first): each replaces the file as a
// whole, and the newest write stays. The folder's lock tells the younger one that the older one lives. The loop never
// waits for the disk, but in Load, Remove and the destructor.
#ifndef BERTH_AGENT_DESIRED_FILE_STORE_H_
#define BERTH_AGENT_DESIRED_FILE_STORE_H_

#include <condition_variable>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <thread>
#include <vector>

#include "agent/desired/disk_store.h"
#include "common/base/event_loop.h"
#include "common/base/file_lock.h"

namespace berth::agent {

class FileStore final : public DiskStore {
 public:
  static constexpr char kFileName[] = "agent-state";

  // Keeps the state in `folder`, which is made when absent. `loop` is borrowed.
  FileStore(EventLoop& loop, std::string folder);
  ~FileStore() override;  // writes what still waits; no `done` is called afterwards

  absl::StatusOr<std::optional<StoredState>> Load() override;
  void Save(StoredState state, Done done) override;
  bool Sole() override;
  absl::Status Remove() override;
  // This agent is none any more, though its process lives: another one is sole.
  void Release() { sole_.reset(); }

 private:
  void RunWriter();
  absl::Status Write(const StoredState& state) const;

  EventLoop& loop_;
  const std::string folder_, path_;
  std::optional<FileLock> sole_;  // loop thread
  std::mutex mutex_;              // guards the next five
  std::condition_variable changed_;
  std::optional<StoredState> waiting_;
  std::vector<Done> done_;
  bool writing_ = false, stop_ = false;
  // This agent has just become the sole one: what one that was killed has left goes before the next write. A younger
  // agent that writes at that moment loses its temporary, and writes again.
  bool sweep_ = false;
  std::shared_ptr<bool> alive_ = std::make_shared<bool>(true);  // loop thread
  std::thread writer_;
};

}  // namespace berth::agent

#endif  // BERTH_AGENT_DESIRED_FILE_STORE_H_
