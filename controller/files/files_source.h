// SPDX-License-Identifier: Apache-2.0
// controller/files/files_source.h -- a cluster without Kubernetes: a folder of manifests says what shall be, a state
// folder remembers what was decided.
//
//   FilesSource source(loop, {"/etc/berth/manifests", "/var/lib/berth/controller"});
//   RETURN_IF_ERROR(source.Start(core));
//
// Manifests (*.yaml, *.yml, *.json; see manifest/manifest.h) are followed as they change. A file or object that is
// unreadable or wrong is a problem, and its last good version stays in force; a folder that vanishes keeps everything.
// Services get the API server's manners: a deleted one that holds addresses stays, `deleting`, until they are let go;
// a write is on disk before it is answered.
#ifndef BERTH_CONTROLLER_FILES_FILES_SOURCE_H_
#define BERTH_CONTROLLER_FILES_FILES_SOURCE_H_

#include <cstdint>
#include <map>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "absl/container/flat_hash_set.h"
#include "absl/container/node_hash_map.h"
#include "absl/status/status.h"
#include "common/base/event_loop.h"
#include "controller/files/folder_reader.h"
#include "controller/files/folder_watch.h"
#include "controller/files/manifest/catalog.h"
#include "controller/files/state_file.h"
#include "controller/files/worker.h"
#include "controller/model/source.h"

namespace berth::files {

// Loop thread only. It leads as long as it runs: only one process can hold the state folder.
class FilesSource final : public model::ClusterSource {
 public:
  struct Options {
    std::string folder;            // of the manifests; must be there at the start
    std::string state_folder;      // made where absent
    std::string leader_name = "";  // told in OnLeadership; empty means this host's name
  };

  FilesSource(EventLoop& loop, Options options);
  ~FilesSource() override { Stop(); }

  // Reads the state; the manifests follow. Errors: a folder that is missing or unusable, a state folder in use by
  // another controller, state of a newer version.
  absl::Status Start(Observer& observer) override;
  // Waits for writes already asked for. No callback comes after it.
  void Stop() override;
  void WriteService(const model::ServiceWrite& write) override;
  // Nothing: what it holds is derived, and the metrics and the admin API show it.
  void WritePoolStatus(const model::PoolStatus&) override {}
  // Nothing, likewise.
  void WriteUnannounced(const model::UnannouncedServices&) override {}
  void RecordEvent(const model::EventRecord& event) override;
  void RaiseTerm(std::uint64_t at_least) override;
  std::vector<KnownAgent> KnownAgents() const override { return agents_; }
  void RememberAgents(const std::vector<KnownAgent>& agents) override;
  void WhenRemembered(Remembered done) override;

 private:
  // What is known of a Service besides its manifest.
  struct Tracked {
    std::uint64_t revision = 1;
    RecordedService record;   // as it is on disk
    bool in_flight = false;   // a write is on its way to the disk
    bool spec_stale = false;  // the manifest changed meanwhile
    bool recorded() const { return !record.allocations.empty() || record.hold; }
  };

  void Seed();
  void RequestRead(FolderWatch::Changes changes);
  void ReadNow();
  void OnRead(FolderAnswer answer);
  void OnManifestChanged(const ObjectKey& key);
  absl::Status BeginWrite(const model::ServiceWrite& write);
  void OnRecorded(const model::ObjectId& id, std::uint64_t write_id, const RecordedService& record,
                  const absl::Status& status);
  void RefreshSpec(const model::ObjectId& id, Tracked& tracked);
  void OnStateWritten(const absl::Status& status);
  void WriteTerm();
  void TellLeadership();

  // The manifest in force, or null.
  std::shared_ptr<const model::Service> SpecOf(const model::ObjectId& id) const;
  std::optional<model::Service> Shown(const model::ObjectId& id) const;
  void Show(const ObjectKey& key);
  void Flush();
  void AddToDelta(const ObjectKey& key, model::ClusterDelta& delta);
  void ReportProblems();
  // Runs `task` on the loop, unless stopped by then.
  void PostAlive(std::function<void()> task);

  EventLoop& loop_;
  const std::string folder_;
  const std::string state_folder_;
  const std::string leader_name_;
  Observer* observer_ = nullptr;
  std::shared_ptr<bool> alive_;  // null while not running

  std::unique_ptr<StateFile> state_;
  std::unique_ptr<FolderWatch> watch_;
  std::unique_ptr<FolderReader> reader_;  // used on the reading thread only
  std::unique_ptr<Worker> reading_;

  FolderRequest wanted_;  // of the next read
  bool read_running_ = false;
  TimerId busy_timer_ = 0;
  bool folder_lost_ = false;
  std::string folder_problem_, state_problem_;

  Catalog catalog_;
  absl::node_hash_map<model::ObjectId, Tracked> services_;
  std::set<ObjectKey> dirty_;  // to be shown with the next delta
  absl::flat_hash_set<ObjectKey> shown_;
  bool flush_posted_ = false;
  bool first_read_done_ = false;
  bool synced_ = false;
  model::Problems problems_;
  std::set<std::string> other_kinds_told_;

  std::vector<KnownAgent> agents_;
  int agents_in_flight_ = 0;     // writes of them
  absl::Status agents_written_;  // how the last one ended
  std::vector<Remembered> awaiting_agents_;
  std::uint64_t term_ = 0;  // durable; 0 until the first is
  std::uint64_t want_term_ = 0;
  bool term_in_flight_ = false;
  TimerId term_timer_ = 0;
};

}  // namespace berth::files

#endif  // BERTH_CONTROLLER_FILES_FILES_SOURCE_H_
