// SPDX-License-Identifier: Apache-2.0
// controller/kube/uninstall/uninstall.h -- takes Berth off a cluster, once: nodes, Services, Eips,
// BgpConfs and BgpPeers.
//
//   Uninstall uninstall(loop, client, agents, options, [](const absl::Status& status) { ... });
//   uninstall.Start();
//
// What can fail comes first, while what came before can still be taken back:
//   kRehearsal  every write is tried as a dry run, while the controllers still lead: what is not allowed fails here
//   kObjects    takes the Lease, so that no controller that runs decides anything any more; takes our finalizers,
//               labels, records and conditions off objects, whether OpenELB or we put them there, and the addresses
//               too unless they shall be kept. Agents go on with what they hold: nobody gives an address to anybody
//               else meanwhile
//   kNodes      tells every agent to take everything off its node and to end, those that dial and those that a leader
//               has met before. One that is not heard of in time is named in the log, and is no failure
//   kRest       looks for objects once more, then leaves the Lease, marked
// One that fails, or is told to end, takes its mark off the Lease: controllers that run lead again, give addresses to
// Services that have lost theirs, and assign them to agents, which the kubelet has started again by then if they had
// been told to end. Loop thread only.
#ifndef BERTH_CONTROLLER_KUBE_UNINSTALL_UNINSTALL_H_
#define BERTH_CONTROLLER_KUBE_UNINSTALL_UNINSTALL_H_

#include <cstdint>
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
  // For everything; a third of it at most is for agents to say that their nodes are clean, and theirs alone. Time in
  // which this process stood still is not taken from them, as far as there is any.
  absl::Duration limit = absl::Seconds(90);
};

class Uninstall final : public push::AgentPort::Observer {
 public:
  Uninstall(EventLoop& loop, ApiClient& client, push::AgentPort& agents, UninstallOptions options,
            std::function<void(const absl::Status&)> done);
  ~Uninstall() override;
  Uninstall(const Uninstall&) = delete;
  Uninstall& operator=(const Uninstall&) = delete;

  absl::Status Start();  // errors: of the agents' port
  // Fails now. `done` follows within a second.
  void GiveUp();

  void OnStreamOpened(push::StreamId stream, const push::StreamPeer& peer) override;
  void OnAgentMessage(push::StreamId stream, sync::AgentMessage message) override;
  void OnStreamClosed(push::StreamId stream, const std::string& reason) override;

 private:
  // One kind of object that bears things of ours.
  struct Kind {
    const char* resource;
    const char* path;
    const char* finalizer;  // all that there is of ours; null: a Service, which bears more
  };

  enum class Phase : std::uint8_t { kRehearsal, kObjects, kNodes, kRest };

  bool CleansNodes() const { return phase_ >= Phase::kNodes && leading_; }
  absl::Duration AgentsLimit() const;
  void AwaitAgents(absl::Duration left);
  void LimitAt(absl::Time at);
  std::string Why() const;
  void OnLeadership(const LeaseElection::Leadership& now);
  void BeginNodes();
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
  Writes no_writes_;  // the agents known are read, and what is known of them stays as it is
  AgentMemory memory_;
  LeaseElection election_;
  std::shared_ptr<bool> alive_ = std::make_shared<bool>(true);

  Phase phase_ = Phase::kRehearsal;
  bool leading_ = false, finished_ = false;
  std::map<push::StreamId, std::string> nodes_;  // by stream
  std::set<std::string> awaited_, clean_;        // nodes
  int running_ = 0;                              // requests
  int cleaned_ = 0;                              // objects in this pass
  bool failed_ = false;                          // something in this pass
  std::string problem_;
  absl::Time began_;
  TimerId agents_timer_ = 0, again_timer_ = 0, limit_timer_ = 0;
};

}  // namespace berth::kube

#endif  // BERTH_CONTROLLER_KUBE_UNINSTALL_UNINSTALL_H_
