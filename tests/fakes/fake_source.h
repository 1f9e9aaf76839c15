// SPDX-License-Identifier: Apache-2.0
// tests/fakes/fake_source.h -- the API server of tests: objects in memory, seen by one or several controllers.
//
//   ManualEventLoop loop;
//   FakeCluster cluster(loop);                  // outlives controllers, as etcd does
//   FakeSource a(cluster, "a"), b(cluster, "b");   // one for each controller; the first to start leads
//   cluster.Put(pool);
//   cluster.FailWrites(1, absl::UnavailableError("down"));
//   cluster.Grant(b);                           // a hears that it leads no more, b has the next term
//
// Everything reaches controllers as tasks of the loop, changes of one turn as one delta. A source that is disconnected
// hears nothing until it is connected again, and then of what changed meanwhile. Loop thread only.
#ifndef BERTH_TESTS_FAKES_FAKE_SOURCE_H_
#define BERTH_TESTS_FAKES_FAKE_SOURCE_H_

#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/time/time.h"
#include "common/base/event_loop.h"
#include "controller/model/source.h"

namespace berth {

class FakeSource;

class FakeCluster {
 public:
  struct Condition {
    std::string reason, message;
    friend bool operator==(const Condition&, const Condition&) = default;
  };
  struct Event {
    absl::Time at;
    std::string by;  // the source's name
    model::EventRecord record;
  };

  explicit FakeCluster(EventLoop& loop) : loop_(loop) {}

  // Creates or replaces. Of a Service that exists, what was recorded about it stays, and so does `deleting`.
  void Put(model::Pool pool);
  void Put(model::Service service);
  void Put(model::Node node);
  void Put(model::Namespace ns);
  void Put(model::EndpointSlice slice);
  // As `kubectl delete`: what bears our finalizer stays, deleting, until a controller lets go of it.
  void DeletePool(const std::string& name);
  void DeleteService(const model::ObjectId& id);
  void DeleteNode(const std::string& name);
  void DeleteNamespace(const std::string& name);
  void DeleteSlice(const model::ObjectId& id);
  // Gone at once, finalizer or not.
  void VanishPool(std::string name);
  // A foreign writer: `edit` changes the Service, which must exist, in any way.
  void Tamper(const model::ObjectId& id, const std::function<void(model::Service&)>& edit);
  void SetProblems(model::Problems problems);

  // The next `n` Service writes change nothing and are answered by `status`.
  void FailWrites(int n, absl::Status status);
  // The next `n` Service writes are done, but answered by DeadlineExceeded: the outcome is unknown to the writer.
  void LoseAnswers(int n) { lose_answers_ = n; }
  // Time from a write to its effect and answer, from now on.
  void DelayWrites(absl::Duration delay) { write_delay_ = delay; }

  // The source, which must have been started, leads under a new term; whoever led before hears so.
  void Grant(FakeSource& source);
  // Nobody leads.
  void Revoke();
  // Whether the first source to start without a leader leads at once (the default).
  void LeadAutomatically(bool on) { lead_automatically_ = on; }
  std::uint64_t term() const { return term_; }
  void SetTerm(std::uint64_t term) { term_ = term; }
  const FakeSource* leader() const { return leader_; }
  absl::Time leading_since() const { return leading_since_; }  // of the present term

  // What is stored now, and how often that changed.
  std::uint64_t changes() const { return changes_; }
  const std::map<model::ObjectId, model::Service>& services() const { return services_; }
  const std::map<std::string, model::Pool>& pools() const { return pools_; }
  const std::map<std::string, model::Node>& nodes() const { return nodes_; }
  const std::map<model::ObjectId, model::EndpointSlice>& slices() const { return slices_; }
  std::optional<model::Service> service(const model::ObjectId& id) const;
  Condition condition(const model::ObjectId& id) const;
  std::optional<model::PoolStatus> pool_status(const std::string& pool) const;
  const model::UnannouncedServices& unannounced() const { return unannounced_; }  // as last said
  const std::vector<Event>& events() const { return events_; }
  const std::vector<model::ClusterSource::KnownAgent>& agents() const { return agents_; }
  // Writes that changed something, since the beginning.
  const std::vector<model::ServiceWrite>& service_writes() const { return service_writes_; }
  std::size_t pool_status_writes() const { return pool_status_writes_; }

 private:
  friend class FakeSource;
  // Names of what changed, for one source.
  struct Dirty {
    std::set<std::string> pools, nodes, namespaces;
    std::set<model::ObjectId> services, slices;
  };

  void Attach(FakeSource* source);
  void Detach(FakeSource* source);
  template <typename Key>
  void Changed(std::set<Key> Dirty::* kind, const Key& key);
  Dirty Everything() const;
  model::ClusterDelta Look(const Dirty& dirty) const;
  absl::Status Apply(const model::ServiceWrite& write, std::string* revision);
  void WritePoolStatus(const model::PoolStatus& status);
  void TellLeadership();
  std::string NextRevision() { return std::to_string(++revision_); }

  EventLoop& loop_;
  std::map<std::string, model::Pool> pools_;
  std::map<model::ObjectId, model::Service> services_;
  std::map<std::string, model::Node> nodes_;
  std::map<std::string, model::Namespace> namespaces_;
  std::map<model::ObjectId, model::EndpointSlice> slices_;
  std::map<model::ObjectId, Condition> conditions_;
  std::map<std::string, model::PoolStatus> pool_statuses_;
  model::UnannouncedServices unannounced_;
  std::vector<Event> events_;
  std::vector<model::ClusterSource::KnownAgent> agents_;
  std::vector<model::ServiceWrite> service_writes_;
  model::Problems problems_;
  std::size_t pool_status_writes_ = 0;
  std::uint64_t revision_ = 0, changes_ = 0;
  std::uint64_t term_ = 0;
  FakeSource* leader_ = nullptr;
  absl::Time leading_since_;
  bool lead_automatically_ = true;
  int fail_writes_ = 0, lose_answers_ = 0;
  absl::Status fail_status_;
  absl::Duration write_delay_;
  std::vector<FakeSource*> sources_;  // in the order of their start: the same in every run
};

// One controller's connection. May be destroyed before or after its observer, not after the cluster.
class FakeSource final : public model::ClusterSource {
 public:
  FakeSource(FakeCluster& cluster, std::string name) : cluster_(cluster), name_(std::move(name)) {}
  ~FakeSource() override { Stop(); }

  // Cuts the controller off from the API: no deltas, no word of who leads, and writes fail with Unavailable. Once it is
  // connected again it hears of all that.
  void SetConnected(bool connected);
  bool connected() const { return connected_; }
  const std::string& name() const { return name_; }

  absl::Status Start(Observer& observer) override;
  void Stop() override;
  void WriteService(const model::ServiceWrite& write) override;
  void WritePoolStatus(const model::PoolStatus& status) override;
  void WriteUnannounced(const model::UnannouncedServices& services) override;
  void RecordEvent(const model::EventRecord& event) override;
  void RaiseTerm(std::uint64_t at_least) override;
  std::vector<KnownAgent> KnownAgents() const override { return cluster_.agents_; }
  void RememberAgents(const std::vector<KnownAgent>& agents) override;
  void WhenRemembered(Remembered done) override {
    done(connected_ ? absl::OkStatus() : absl::UnavailableError("the API server cannot be reached"));
  }

 private:
  friend class FakeCluster;
  void PostAlive(std::function<void(Observer&)> task);
  void PostFlush();
  void Flush();
  void TellLeadership();

  FakeCluster& cluster_;
  const std::string name_;
  Observer* observer_ = nullptr;
  std::shared_ptr<bool> alive_;  // null while not started
  bool connected_ = true;
  bool synced_ = false;
  bool flush_posted_ = false;
  // Asked for while disconnected: done once it is connected again and leads still.
  std::uint64_t raise_to_ = 0;
  std::map<std::string, model::PoolStatus> waiting_statuses_;
  std::optional<model::UnannouncedServices> waiting_unannounced_;
  std::optional<std::vector<KnownAgent>> waiting_agents_;
  FakeCluster::Dirty dirty_;
};

}  // namespace berth

#endif  // BERTH_TESTS_FAKES_FAKE_SOURCE_H_
