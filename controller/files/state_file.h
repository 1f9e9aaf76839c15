// SPDX-License-Identifier: Apache-2.0
// controller/files/state_file.h -- keeps StateData in a folder: state.json, written whole and atomically, and a lock so
// that two controllers never share it.
//
//   ASSIGN_OR_RETURN(std::unique_ptr<StateFile> state, StateFile::Open(loop, "/var/lib/berth/controller"));
//   state->PutService(id, record, [](absl::Status written) { ... });   // on disk when OK
//
// Changes made in one turn of the loop, or while a write is under way, become one write. The disk is touched by a
// thread of its own. After a failed write, memory of what is on disk is as before it, and the next write tries anew
// with its own changes only.
#ifndef BERTH_CONTROLLER_FILES_STATE_FILE_H_
#define BERTH_CONTROLLER_FILES_STATE_FILE_H_

#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <variant>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "common/base/event_loop.h"
#include "common/base/file_lock.h"
#include "controller/files/state_codec.h"
#include "controller/files/worker.h"

namespace berth::files {

// Loop thread only. Callbacks come in the order of the calls, never from inside one, and not after Finish.
class StateFile {
 public:
  using Done = std::function<void(const absl::Status&)>;
  using Agents = std::vector<model::ClusterSource::KnownAgent>;

  // Makes the folder where absent, locks it and reads the file; blocks on the disk. A file that is not readable as
  // state is moved aside and the state begins empty: see warning(). Errors: the folder cannot be made, read or is
  // locked, or the file is of another version; all name the folder.
  static absl::StatusOr<std::unique_ptr<StateFile>> Open(EventLoop& loop, const std::string& folder);
  ~StateFile() { Finish(); }
  StateFile(const StateFile&) = delete;
  StateFile& operator=(const StateFile&) = delete;

  const StateData& loaded() const { return loaded_; }      // as read by Open
  const std::string& warning() const { return warning_; }  // what happened to a corrupt file, or empty

  void PutTerm(std::uint64_t term, Done done);
  void PutAgents(Agents agents, Done done);
  void PutService(const model::ObjectId& id, std::optional<RecordedService> record, Done done);  // nullopt: forget it
  // Writes what was put and waits for it.
  void Finish();

 private:
  struct ServiceChange {
    model::ObjectId id;
    std::optional<RecordedService> record;
  };
  struct Change {
    std::variant<std::uint64_t, Agents, ServiceChange> what;
    Done done;
  };
  using Batch = std::vector<Change>;
  // What the file shall hold, Services as ready lines. Belongs to the writer thread.
  struct Image {
    std::uint64_t term = 0;
    Agents agents;
    RecordLines records;
  };

  StateFile(EventLoop& loop, std::string path, FileLock lock, StateData loaded, std::string warning);
  void Put(Change change);
  void WritePending();
  absl::Status WriteBatch(const Batch& batch);  // writer thread
  void OnWritten(const Batch& batch, const absl::Status& status);

  EventLoop& loop_;
  const std::string path_;
  FileLock lock_;
  const StateData loaded_;  // both threads read it
  const std::string warning_;
  Batch pending_;
  bool scheduled_ = false;
  bool writing_ = false;
  std::shared_ptr<bool> alive_ = std::make_shared<bool>(true);  // posted tasks look at it first
  Image image_;
  Worker writer_;  // last: its thread uses the others
};

}  // namespace berth::files

#endif  // BERTH_CONTROLLER_FILES_STATE_FILE_H_
