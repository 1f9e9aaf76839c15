// SPDX-License-Identifier: Apache-2.0
// controller/push/agent_port.h -- the seam between the controller's core and the agents' streams.
//
// Two implementations: AgentServer (agent_server.h: gRPC) and the wire of the whole-cluster tests (tests/fakes). Every
// method and every Observer call belongs to the loop thread.
//
//   OnStreamOpened(7, peer) -> OnAgentMessage(7, Hello) -> OnAgentMessage(7, ...) ... -> OnStreamClosed(7, reason)
//
// The first message of a stream is always a Hello; the port sees to it and ends any other stream itself.
#ifndef BERTH_CONTROLLER_PUSH_AGENT_PORT_H_
#define BERTH_CONTROLLER_PUSH_AGENT_PORT_H_

#include <cstdint>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "common/sync/messages.h"

namespace berth::push {

using StreamId = std::uint64_t;  // counts up from 1 within a process, never used again; 0 is never a stream

// Who opened a stream, as far as the transport knows. What it is worth is for the core to judge.
struct StreamPeer {
  std::string address;                 // for logs: "192.168.50.11:41922", "[2001:db8::1]:41922"
  std::string token;                   // of "authorization: Bearer ..."; empty when none came. A secret: never logged
  std::vector<std::string> tls_names;  // verified subject alternative and common names of its certificate; may be empty
};

class AgentPort {
 public:
  class Observer {
   public:
    virtual ~Observer() = default;
    virtual void OnStreamOpened(StreamId stream, const StreamPeer& peer) = 0;
    virtual void OnAgentMessage(StreamId stream, sync::AgentMessage message) = 0;
    // Exactly once for each stream opened, whoever ended it; nothing comes for `stream` afterwards. `reason` is for
    // people: "connection lost", "closed by the agent", the words given to Close, ...
    virtual void OnStreamClosed(StreamId stream, const std::string& reason) = 0;
  };
  virtual ~AgentPort() = default;

  // Begins to accept streams. `observer` must outlive the port, or Shutdown. Errors: Unavailable when the listen
  // address is taken or not ours, InvalidArgument when it is no address.
  virtual absl::Status Start(Observer& observer) = 0;
  // Queues `message` for the stream, in the order sent; never blocks. A stream that is gone or closing is ignored; one
  // whose agent reads too slowly to keep the queue within its bound is ended (OnStreamClosed tells).
  virtual void Send(StreamId stream, const sync::ControllerMessage& message) = 0;
  // Ends the stream with `status`, which the agent sees, after what was queued before. OnStreamClosed follows.
  virtual void Close(StreamId stream, const absl::Status& status) = 0;
  // Ends every stream and stops accepting. No Observer call comes after it has returned.
  virtual void Shutdown() = 0;
};

}  // namespace berth::push

#endif  // BERTH_CONTROLLER_PUSH_AGENT_PORT_H_
