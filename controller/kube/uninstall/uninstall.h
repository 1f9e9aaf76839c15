// SPDX-License-Identifier: Apache-2.0
// controller/kube/uninstall/uninstall.h -- takes Berth off a cluster, once: nodes, Services, Eips.
//
//   Uninstall uninstall(loop, client, agents, options, [](const absl::Status& status) { ... });
//   uninstall.Start();
//
// Takes the Lease, so that no controller that runs decides anything any more; tells every agent to take everything off
// its node, those that dial and those that a leader has met before; takes our finalizers, labels, records and
// conditions off Services and Eips, and the addresses too unless they shall be kept; then ends. What could not be
// reached in time is named in the status, and the rest is done all the same. Loop thread only.
#ifndef BERTH_CONTROLLER_KUBE_UNINSTALL_UNINSTALL_H_
#define BERTH_CONTROLLER_KUBE_UNINSTALL_UNINSTALL_H_

#include <functional>
#include <map>
#include <memory>
#include <nlohmann/json_fwd.hpp>
#include <set>
#include <string>

#include "absl/status/status.h"
#include "absl/time/time.h"
#include "common/base/event_loop.h"
#include "controller/kube/client/api_client.h"
#include "controller/kube/lease/lease_election.h"
#include "controller/kube/source/agent_memory.h"
#include "controller/push/agent_port.h"

namespace berth::kube {

struct UninstallOptions {
  std::string ns, identity;
  bool keep_addresses = false;
  absl::Duration agents_limit = absl::Seconds(30);  // for all known agents to say that their node is clean
  absl::Duration limit = absl::Seconds(90);         // for everything
};

class Uninstall final : public push::AgentPort::Observer {
 public:
  Uninstall(EventLoop& loop, ApiClient& client, push::AgentPort& agents, UninstallOptions options,
            std::function<void(const absl::Status&)> done);
  ~Uninstall() override;
  Uninstall(const Uninstall&) = delete;
  Uninstall& operator=(const Uninstall&) = delete;

  absl::Status Start();  // errors: of the agents' port

  void OnStreamOpened(push::StreamId stream, const push::StreamPeer& peer) override;
  void OnAgentMessage(push::StreamId stream, sync::AgentMessage message) override;
  void OnStreamClosed(push::StreamId stream, const std::string& reason) override;

 private:
  // One kind of object that bears things of ours.
  struct Kind {
    const char* resource;
    const char* path;
  };

  void OnLeadership(const LeaseElection::Leadership& now);
  void CheckAgents();
  void AgentsDone();
  void List(const Kind& kind, const std::string& token);
  void OnPage(const Kind& kind, const absl::StatusOr<ApiResponse>& response);
  void Clean(const Kind& kind, const nlohmann::json& object);
  void Ended(const Kind& kind, const std::string& name, const absl::Status& status);
  void Again();
  void Finish();
  void Done(const absl::Status& status);

  EventLoop& loop_;
  ApiClient& client_;
  push::AgentPort& agents_;
  const UninstallOptions options_;
  std::function<void(const absl::Status&)> done_;
  AgentMemory memory_;
  LeaseElection election_;
  std::shared_ptr<bool> alive_ = std::make_shared<bool>(true);

  bool begun_ = false, agents_done_ = false, finished_ = false;
  std::map<push::StreamId, std::string> nodes_;  // by stream
  std::set<std::string> awaited_, clean_;        // nodes
  int running_ = 0;                              // requests
  int cleaned_ = 0;                              // objects in this pass
  bool failed_ = false;                          // something in this pass
  std::string problem_;
  absl::Time deadline_;
  TimerId agents_timer_ = 0, again_timer_ = 0, limit_timer_ = 0;
};

}  // namespace berth::kube

#endif  // BERTH_CONTROLLER_KUBE_UNINSTALL_UNINSTALL_H_
