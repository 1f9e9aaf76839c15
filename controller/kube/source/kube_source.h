// SPDX-License-Identifier: Apache-2.0
// controller/kube/source/kube_source.h -- a Kubernetes cluster: what its API server says shall be, and what was decided
// written back there.
//
//   CurlClient client(...);
//   KubeSource source(loop, client, options);
//   RETURN_IF_ERROR(source.Start(core));
//
// Lists and watches Services, EndpointSlices, Nodes, Namespaces and Eips; tells nothing before all of them have been
// read once. Follows BgpConfs and BgpPeers beside them, of which it says what is wrong: a problem, and an Event on the
// object; and which it lets go when they are deleted, though OpenELB's finalizer is on them: no announcement of Berth's
// depends on them. While the API server cannot be reached, or a kind of object is not there (the CRDs are missing) or
// not allowed (RBAC), what is known stays in force and the reason is among the problems. Loop thread only.
#ifndef BERTH_CONTROLLER_KUBE_SOURCE_KUBE_SOURCE_H_
#define BERTH_CONTROLLER_KUBE_SOURCE_KUBE_SOURCE_H_

#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <set>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "common/base/event_loop.h"
#include "controller/kube/client/api_client.h"
#include "controller/kube/client/reflector.h"
#include "controller/kube/lease/lease_election.h"
#include "controller/kube/source/agent_memory.h"
#include "controller/kube/source/bgp_objects.h"
#include "controller/kube/source/cluster_store.h"
#include "controller/kube/source/crd_check.h"
#include "controller/kube/write/announced_writer.h"
#include "controller/kube/write/event_recorder.h"
#include "controller/kube/write/pool_writer.h"
#include "controller/kube/write/release_writer.h"
#include "controller/kube/write/service_writer.h"
#include "controller/kube/write/writes.h"
#include "controller/model/source.h"

namespace berth::kube {

struct KubeSourceOptions {
  LeaseOptions lease;              // its namespace is the controller's own
  std::function<double()> random;  // evenly from [0, 1): jitter of waits between tries
  std::function<void(const std::string& resource)> on_watch_restart = [](const std::string&) {};
  std::function<void(bool leader)> on_leadership = [](bool) {};  // whenever that changes
};

class KubeSource final : public model::ClusterSource {
 public:
  // `client` is borrowed and must outlive the source.
  KubeSource(EventLoop& loop, ApiClient& client, KubeSourceOptions options);
  ~KubeSource() override { Stop(); }

  absl::Status Start(Observer& observer) override;  // always OK: what is wrong is a problem that may pass
  void Stop() override;
  void WriteService(const model::ServiceWrite& write) override;
  void WritePoolStatus(const model::PoolStatus& status) override;
  void WriteUnannounced(const model::UnannouncedServices& services) override;
  void RecordEvent(const model::EventRecord& event) override;
  void RaiseTerm(std::uint64_t at_least) override;
  // Of those on record, once all Nodes are known the ones whose Node is there still.
  std::vector<KnownAgent> KnownAgents() const override;
  void RememberAgents(const std::vector<KnownAgent>& agents) override;
  void WhenRemembered(Remembered done) override { memory_.WhenWritten(std::move(done)); }

  // Ends well: leads no more, lets what is being written end, leaves the Lease to others; then `done`, after two
  // seconds at most.
  void Resign(std::function<void()> done);

 private:
  enum class Kind : std::uint8_t { kServices, kSlices, kNodes, kNamespaces, kPools, kBgpConfs, kBgpPeers };
  // Follows the objects of one kind.
  class Follower final : public Reflector::Observer {
   public:
    Follower(KubeSource& source, Kind kind);
    void OnObject(const nlohmann::json& object) override { source_.OnObject(kind_, object); }
    void OnVanished(const model::ObjectId& id) override { source_.OnDeleted(kind_, id); }
    void OnListed() override { source_.OnListed(kind_); }
    void OnEvent(Reflector::Change change, const nlohmann::json& object) override;
    void OnProblem(const absl::Status& status) override;

   private:
    KubeSource& source_;
    const Kind kind_;
    Reflector reflector_;
  };
  struct Collection;
  static const std::map<Kind, Collection>& Collections();
  static const Collection& CollectionOf(Kind kind);
  bool AllListed() const;

  void Watch(Kind kind);
  void OnObject(Kind kind, const nlohmann::json& object);
  void OnDeleted(Kind kind, const model::ObjectId& id);
  void OnListed(Kind kind);
  void JudgeBgp(Kind kind, const std::string& name, const nlohmann::json* object);  // null: it is gone
  void OnLeadership(const LeaseElection::Leadership& now);
  void TellLeadership();
  WriteWindow Window() const;
  void OnWritten(std::uint64_t write_id, absl::StatusOr<ServiceObject> written);
  void Record(const model::EventRecord& event, const std::string& uid);
  void Changed();
  void Fetch(const model::ObjectId& service);
  void Flush();
  void Problem(const std::string& what, const absl::Status& status);
  void ReportProblems();
  void PostAlive(std::function<void()> task);

  EventLoop& loop_;
  ApiClient& client_;
  const KubeSourceOptions options_;
  Observer* observer_ = nullptr;
  std::shared_ptr<bool> alive_;  // null while not running

  ClusterStore store_;
  BgpObjects bgp_;
  LeaseElection election_;
  EventRecorder events_;
  Writes writes_;
  AgentMemory memory_;
  ServiceWriter services_;
  PoolWriter pools_;
  AnnouncedWriter announced_;
  ReleaseWriter releases_;
  CrdCheck crds_;
  std::map<Kind, std::unique_ptr<Follower>> followers_;

  std::set<Kind> listed_;
  bool flush_posted_ = false, synced_ = false;
  bool led_ = false;                                    // as last told
  std::map<std::string, std::string> source_problems_;  // of the source as a whole, by what they are about
  model::Problems problems_;
  TimerId resign_timer_ = 0;
};

}  // namespace berth::kube

#endif  // BERTH_CONTROLLER_KUBE_SOURCE_KUBE_SOURCE_H_
