// SPDX-License-Identifier: Apache-2.0
// controller/kube/source/agent_memory.h -- the agents that a leader has met, for the one after it: ConfigMap
// berth-agents, key agents.json. With it a new leader knows whom to wait for, and which nodes are drained. Loop thread
// only.
#ifndef BERTH_CONTROLLER_KUBE_SOURCE_AGENT_MEMORY_H_
#define BERTH_CONTROLLER_KUBE_SOURCE_AGENT_MEMORY_H_

#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "absl/strings/string_view.h"
#include "common/base/event_loop.h"
#include "controller/kube/client/api_client.h"
#include "controller/kube/write/writes.h"
#include "controller/model/source.h"

namespace berth::kube {

using KnownAgents = std::vector<model::ClusterSource::KnownAgent>;

// Pure. What cannot be read counts as absent.
std::string EncodeAgents(const KnownAgents& agents);
KnownAgents DecodeAgents(const std::string& text);

class AgentMemory {
 public:
  // `on_problem` hears why it cannot be read or written, and OK once it can again.
  AgentMemory(
      EventLoop& loop, ApiClient& client, Writes& writes, std::string ns,
      std::function<void(const absl::Status&)> on_problem = [](const absl::Status&) {});
  ~AgentMemory();
  AgentMemory(const AgentMemory&) = delete;
  AgentMemory& operator=(const AgentMemory&) = delete;

  // Reads it, then calls `done`, in a turn of its own; after a second without an answer, or when it cannot be read,
  // with what was known before. In that case it is read until it can be, then `on_late` hears of it, and nothing is
  // written before.
  void Load(std::function<void()> done, std::function<void()> on_late = [] {});
  const KnownAgents& known() const { return known_; }
  // Writes it, at most once a second, and again until that has succeeded.
  void Remember(KnownAgents agents);
  // Somebody else leads, or may: what is not written yet is theirs to say, and never is.
  void Forget();
  // `done` is called once all that Remember was told is written, or with why the next attempt failed. Perhaps at once.
  void WhenWritten(model::ClusterSource::Remembered done);

 private:
  void Read();
  void OnRead(const absl::StatusOr<ApiResponse>& response);
  void Proceed();
  void Write();
  void OnWritten(const absl::Status& status);
  void Tell(const absl::Status& status);

  EventLoop& loop_;
  ApiClient& client_;
  Writes& writes_;
  const std::string ns_;
  const std::function<void(const absl::Status&)> on_problem_;
  KnownAgents known_;
  bool exists_ = false, changed_ = false, busy_ = false;
  bool forgotten_ = false;  // the write under way is of an earlier term
  bool unsaved_ = false;    // what is known may not be on record
  bool read_ = true;        // since the last Load
  std::function<void()> done_, on_late_;
  std::vector<model::ClusterSource::Remembered> awaiting_;
  RequestId load_ = 0;
  TimerId load_timer_ = 0, again_timer_ = 0, write_timer_ = 0;
  std::shared_ptr<bool> alive_ = std::make_shared<bool>(true);
};

}  // namespace berth::kube

#endif  // BERTH_CONTROLLER_KUBE_SOURCE_AGENT_MEMORY_H_
