// SPDX-License-Identifier: Apache-2.0
// agent/desired/disk_store.h -- the seam to where the newest desired state is kept.
//
// Two implementations: FileStore (file_store.h) and MemoryStore (below, for tests). All methods are for the loop
// thread.
#ifndef BERTH_AGENT_DESIRED_DISK_STORE_H_
#define BERTH_AGENT_DESIRED_DISK_STORE_H_

#include <functional>
#include <optional>
#include <utility>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "agent/desired/stored_state.h"

namespace berth::agent {

class DiskStore {
 public:
  using Done = std::function<void(const absl::Status&)>;
  virtual ~DiskStore() = default;

  // What was saved last, or nullopt. Blocks on the disk: for the start only. A file that cannot be read as state is
  // moved aside; the error (DataLoss) says where to, and the store is empty then.
  virtual absl::StatusOr<std::optional<StoredState>> Load() = 0;
  // Saves without blocking; `done` is called on the loop thread, once the state is durable or the attempt failed. A
  // newer state may overtake one that still waits: both are told the outcome of the newer.
  virtual void Save(StoredState state, Done done) = 0;
  // Whether no other agent works with this store, as far as can be known. Once true it stays so, and others are told
  // false for as long as this one lives. Never waits.
  virtual bool Sole() = 0;
  // Removes what was saved (cleanup). OK when there is nothing.
  virtual absl::Status Remove() = 0;
};

// Keeps the state in memory, so that a test can restart an agent with it. `done` is called before Save returns.
class MemoryStore final : public DiskStore {
 public:
  absl::StatusOr<std::optional<StoredState>> Load() override {
    if (!load_status.ok()) return load_status;
    return state;
  }
  void Save(StoredState saved, Done done) override {
    ++saves;
    if (save_status.ok()) state = std::move(saved);
    if (done) done(save_status);
  }
  bool Sole() override { return true; }
  absl::Status Remove() override {
    state.reset();
    return absl::OkStatus();
  }

  std::optional<StoredState> state;
  absl::Status load_status, save_status;  // faults to inject
  int saves = 0;
};

}  // namespace berth::agent

#endif  // BERTH_AGENT_DESIRED_DISK_STORE_H_
