// SPDX-License-Identifier: Apache-2.0
// controller/kube/identity/token_gate.h -- lets through only agents whose token an API server vouches for, each for its
// own node.
//
//   AgentServer server(loop, ...);
//   TokenGate gate(loop, client, server, {.agent = {.ns = "openelb-system"}}, hooks);
//   CoreRunner runner(options, source, gate, loop, sinks);
//
// Stands between the agents' port and the core: a stream is shown to the core once its token has been reviewed
// (TokenReview) and names the node that its Hello names; what came meanwhile follows in order. Other streams are ended
// with Unauthenticated or PermissionDenied and the reason, and the core never hears of them.
//
// A token is reviewed again only after `review_again`. While no API server can be asked, one that was good before is
// taken on memory until it expires, so that what runs goes on running; an agent unknown is told Unavailable and dials
// again. Tokens are kept as SHA-256 only, never logged, and not shown to the core. Loop thread only.
#ifndef BERTH_CONTROLLER_KUBE_IDENTITY_TOKEN_GATE_H_
#define BERTH_CONTROLLER_KUBE_IDENTITY_TOKEN_GATE_H_

#include <cstddef>
#include <deque>
#include <functional>
#include <map>
#include <set>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "common/base/event_loop.h"
#include "controller/kube/client/api_client.h"
#include "controller/kube/identity/token_memory.h"
#include "controller/kube/identity/token_review.h"
#include "controller/push/agent_port.h"

namespace berth::kube {

class TokenGate final : public push::AgentPort, private push::AgentPort::Observer {
 public:
  struct Options {
    ExpectedAgent agent;
    absl::Duration review_again = absl::Minutes(5);
    absl::Duration refusal_holds = absl::Seconds(10);  // a token refused is refused without asking for so long
    absl::Duration patience = absl::Seconds(1);        // a token known as good waits for its next review no longer
    absl::Duration timeout = absl::Seconds(2);         // of one request
    int tries = 3;                                     // of a review
    absl::Duration retry = absl::Milliseconds(250);    // before the second try; twice that before the third, ...
    std::size_t max_in_flight = 16;                    // reviews at a time; more wait
    std::size_t max_remembered = 4096;                 // tokens
    std::size_t max_waiting = 4096;                    // reviews that have not begun; with one more a stream is ended
    std::size_t max_held = 64;                         // messages of a stream that waits; with one more it is ended
  };
  struct Hooks {
    // A stream was ended. `node` is what its Hello said; empty when none had come.
    std::function<void(const push::StreamPeer& peer, const std::string& node, const absl::Status& why)> on_refused;
    // Why reviews fail, when that changes; OK once they work again.
    std::function<void(const absl::Status&)> on_problem;
  };

  // All are borrowed and must outlive the gate.
  TokenGate(EventLoop& loop, ApiClient& client, push::AgentPort& port, Options options, Hooks hooks);
  ~TokenGate() override;
  TokenGate(const TokenGate&) = delete;
  TokenGate& operator=(const TokenGate&) = delete;

  absl::Status Start(push::AgentPort::Observer& observer) override;
  void Send(push::StreamId stream, const sync::ControllerMessage& message) override;
  void Close(push::StreamId stream, const absl::Status& status) override;
  void Shutdown() override;

 private:
  using StreamId = push::StreamId;
  // A stream that the core has not seen yet.
  struct Waiting {
    push::StreamPeer peer;  // without its token
    std::string key;
    std::string node;  // of the token, once that is known as good
    bool good = false;
    std::deque<sync::AgentMessage> held;  // a Hello first
    TimerId patience = 0;
  };
  struct Review {
    std::string token;
    std::set<StreamId> streams;  // that wait for it
    std::set<StreamId> trusted;  // that were let through meanwhile, by what was known before
    int tried = 0;
    RequestId request = 0;
    TimerId retry = 0;
  };

  void OnStreamOpened(StreamId stream, const push::StreamPeer& peer) override;
  void OnAgentMessage(StreamId stream, sync::AgentMessage message) override;
  void OnStreamClosed(StreamId stream, const std::string& reason) override;

  void Leave(StreamId stream, const std::string& key);
  void Pump();
  void Try(const std::string& key);
  void OnReviewed(const std::string& key, const absl::StatusOr<ApiResponse>& response);
  Review Finish(const std::string& key);
  void Vouched(const std::string& key, const std::string& node);
  void Denied(const std::string& key, const absl::Status& why);
  void NotAnswered(const std::string& key, const absl::Status& why);
  void TrustMemory(StreamId stream);
  void Accept(StreamId stream, const std::string& node);
  void LetThrough(StreamId stream);
  void Refuse(StreamId stream, const absl::Status& why);
  void Problem(const absl::Status& status);
  void Clear();

  EventLoop& loop_;
  ApiClient& client_;
  push::AgentPort& port_;
  const Options options_;
  const Hooks hooks_;
  push::AgentPort::Observer* observer_ = nullptr;

  TokenMemory memory_;
  std::map<StreamId, Waiting> waiting_;
  std::map<StreamId, std::string> passed_;  // streams that the core knows, with their node
  std::map<std::string, Review> reviews_;   // by token key
  std::deque<std::string> queue_;           // reviews that have not begun
  std::size_t in_flight_ = 0;
  absl::Status problem_;
};

}  // namespace berth::kube

#endif  // BERTH_CONTROLLER_KUBE_IDENTITY_TOKEN_GATE_H_
