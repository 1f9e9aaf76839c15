// SPDX-License-Identifier: Apache-2.0
// agent/core/events.h -- everything that can happen to an agent, as values.
#ifndef BERTH_AGENT_CORE_EVENTS_H_
#define BERTH_AGENT_CORE_EVENTS_H_

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <variant>
#include <vector>

#include "absl/status/status.h"
#include "agent/desired/stored_state.h"
#include "agent/effect/kernel/kernel.h"
#include "agent/effect/l2/frame_port.h"
#include "agent/health/node_facts.h"
#include "agent/peer/peer_port.h"
#include "common/sync/messages.h"

namespace berth::agent {

struct Started {  // always the first event
  std::optional<StoredState> stored;
  bool elder = false;  // another agent of this node lives, and announces what is stored
};
struct ElderGone {};  // it does not any more
// ---- from the controller's link
struct LinkUp {};
struct LinkDown {
  std::string reason;
};
struct FromController {
  sync::ControllerMessage message;
};
// ---- from the kernel
struct KernelChanged {  // first one before or right after Started
  std::shared_ptr<const KernelState> state;
};
struct SilenceDisturbed {};
struct VipInterfaceDone {  // outcome of EnsureVipInterface
  absl::Status status;
  std::optional<VipInterface> interface;  // absent on an error, and for --vip-interface=none
};
struct AddressResult {
  int ifindex = 0;
  IpAddr address;
  bool added = false;  // else removed
  absl::Status status;
};
// Outcomes of AddAddress and RemoveAddress, some at a time; those of one address in the order asked for.
struct AddressesDone {
  std::vector<AddressResult> results;
};
struct SilenceDone {  // outcome of the oldest ApplySilence not answered yet
  absl::Status status;
  absl::Status host_ports{};  // Kernel::host_ports_status
};
struct CleanupDone {  // outcome of RemoveEverything
  absl::Status status;
};
// ---- from the wire
struct Seen {
  Sighting sighting;
};
struct PortError {
  int ifindex = 0;
  absl::Status status;
};
struct PortOpened {
  int ifindex = 0;
};
struct PeerReceived {
  PeerPacket packet;
};
// ---- from the node, the disk, the clock and the people
struct NodeRead {  // outcome of ReadNode
  NodeFacts facts;
};
struct Stored {  // outcome of the Store with this number, or of a newer one that overtook it
  std::uint64_t number = 0;
  absl::Status status;
};
struct Timer {};      // the time asked for by the last WakeAt has come
struct Terminate {};  // SIGTERM; the second one ends at once

using Event = std::variant<Started, ElderGone, LinkUp, LinkDown, FromController, KernelChanged, SilenceDisturbed,
                           VipInterfaceDone, AddressesDone, SilenceDone, CleanupDone, Seen, PortError, PortOpened,
                           PeerReceived, NodeRead, Stored, Timer, Terminate>;

}  // namespace berth::agent

#endif  // BERTH_AGENT_CORE_EVENTS_H_
