// SPDX-License-Identifier: Apache-2.0
// agent/link/link.h -- the seam between the agent's core and its controller.
//
// Two implementations: ControllerLink (controller_link.h: gRPC) and the wire of the whole-cluster tests (tests/fakes).
// Every method and every Observer call belongs to the loop thread.
//
//   Start(core) .. OnLinkUp() -> [core: Send(Hello)] -> OnControllerMessage(..) .. -> OnLinkDown(why) .. OnLinkUp() ..
//
// The port dials for ever, within 1 s of each loss, until Stop; the core has no timer for it.
#ifndef BERTH_AGENT_LINK_LINK_H_
#define BERTH_AGENT_LINK_LINK_H_

#include "absl/status/status.h"
#include "common/sync/messages.h"

namespace berth::agent {

class ControllerPort {
 public:
  class Observer {
   public:
    virtual ~Observer() = default;
    // A stream is established (the controller has answered); the core sends its Hello now.
    virtual void OnLinkUp() = 0;
    virtual void OnControllerMessage(sync::ControllerMessage message) = 0;
    // The stream is gone, or a dial failed. Called once for each OnLinkUp, and once for each dial that never came up,
    // so it may follow another OnLinkDown. `why` is never OK.
    virtual void OnLinkDown(const absl::Status& why) = 0;
  };
  virtual ~ControllerPort() = default;

  // Begins to dial. `observer` must outlive the port, or Stop. Errors: InvalidArgument when an endpoint is malformed.
  virtual absl::Status Start(Observer& observer) = 0;
  // Queues `message`, in the order sent; never blocks. While the link is down it is dropped: the next Hello says all
  // that matters. A Heartbeat replaces one that still waits.
  virtual void Send(const sync::AgentMessage& message) = 0;
  // Drops the stream or the dial under way now and dials the next endpoint at once. OnLinkDown comes first.
  virtual void Redial() = 0;
  // Ends the stream after what was queued before, and dials no more. No Observer call comes after it has returned.
  virtual void Stop() = 0;
};

}  // namespace berth::agent

#endif  // BERTH_AGENT_LINK_LINK_H_
