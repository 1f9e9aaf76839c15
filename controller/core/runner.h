// SPDX-License-Identifier: Apache-2.0
// controller/core/runner.h -- carries the core's effects out on its seams, and brings what happens back as events.
//
//   CoreRunner runner(options, source, agent_port, loop);
//   RETURN_IF_ERROR(runner.Start());
//
// Used with the real seams by the app and with fakes by the whole-cluster tests. Loop thread only.
#ifndef BERTH_CONTROLLER_CORE_RUNNER_H_
#define BERTH_CONTROLLER_CORE_RUNNER_H_

#include <functional>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "common/base/event_loop.h"
#include "controller/core/controller_core.h"
#include "controller/model/source.h"
#include "controller/model/views.h"
#include "controller/push/agent_port.h"

namespace berth::core {

class CoreRunner : public model::ClusterSource::Observer, public push::AgentPort::Observer, public model::AdminBackend {
 public:
  // What the core does not do itself; both may be empty.
  struct Sinks {
    std::function<void(const LogLine&)> log;
    std::function<void(const Observe&)> observe;
  };
  // The seams are borrowed and must outlive the runner.
  CoreRunner(Options options, model::ClusterSource& source, push::AgentPort& agents, EventLoop& loop, Sinks sinks);
  ~CoreRunner() override;

  // Starts the agent port, then the source. Errors: theirs.
  absl::Status Start();
  void Stop();
  const ControllerCore& core() const { return core_; }

  // ClusterSource::Observer
  void OnDelta(const model::ClusterDelta& delta) override;
  void OnSynced() override;
  void OnLeadership(bool leader, std::uint64_t term, const std::string& leader_name) override;
  void OnServiceWritten(std::uint64_t write_id, const absl::Status& status, const std::string& revision) override;
  void OnProblems(const model::Problems& problems) override;
  // AgentPort::Observer
  void OnStreamOpened(StreamId stream, const StreamPeer& peer) override;
  void OnAgentMessage(StreamId stream, sync::AgentMessage message) override;
  void OnStreamClosed(StreamId stream, const std::string& reason) override;
  // AdminBackend
  std::vector<model::PoolView> Pools() const override { return core_.PoolViews(); }
  std::vector<model::ServiceView> Services() const override { return core_.ServiceViews(); }
  std::vector<model::AddressView> Addresses() const override { return core_.AddressViews(WallOffset()); }
  std::vector<model::AgentView> Agents() const override { return core_.AgentViews(WallOffset()); }
  absl::StatusOr<model::ServiceView> ExplainService(const model::ObjectId& id) const override {
    return core_.ServiceViewOf(id);
  }
  absl::StatusOr<model::AddressView> ExplainAddress(const IpAddr& address) const override {
    return core_.AddressViewOf(address, WallOffset());
  }
  model::StatusView Status() const override { return core_.Status(); }
  absl::StatusOr<model::DrainView> DrainNode(const std::string& node) override;
  absl::StatusOr<model::AgentView> UndrainNode(const std::string& node) override;
  void WhenDrainsRecorded(Recorded done) override { source_.WhenRemembered(std::move(done)); }
  absl::StatusOr<model::AddressView> MoveAddress(const IpAddr& address, const std::string& node) override;
  absl::StatusOr<std::vector<model::MoveView>> Rebalance(bool dry_run) override;
  void Examine(Examined done) override;
  std::uint64_t Subscribe(std::function<void(const std::vector<model::ChangeView>&)> on_change) override;
  void Unsubscribe(std::uint64_t id) override { subscribers_.erase(id); }

 private:
  void Queue(Event event);
  void PostDrain();
  void Drain();
  void CatchUp();  // what has happened before an order is decided about first
  void Handle(std::vector<Event> events);
  void Do(const Effect& effect);
  void Wake(absl::Time at);
  void Publish();
  absl::Duration WallOffset() const { return loop_.WallNow() - loop_.Now(); }

  ControllerCore core_;
  model::ClusterSource& source_;
  push::AgentPort& agents_;
  EventLoop& loop_;
  Sinks sinks_;
  TimerId timer_ = 0;
  absl::Time wake_at_ = absl::InfiniteFuture();
  std::uint64_t last_subscriber_ = 0;
  std::map<std::uint64_t, std::function<void(const std::vector<model::ChangeView>&)>> subscribers_;
  std::vector<Examined> examining_;  // who waits for the examination under way
  std::vector<Event> queue_;         // of this turn of the loop: decided together
  bool publishing_ = false;
  std::shared_ptr<bool> alive_ = std::make_shared<bool>(true);  // posted tasks outlive nobody
};

}  // namespace berth::core

#endif  // BERTH_CONTROLLER_CORE_RUNNER_H_
