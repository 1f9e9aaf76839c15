// SPDX-License-Identifier: Apache-2.0
// agent/core/effects.h -- everything an agent does to the world, as values, to be carried out in the order given.
//
// Those marked "-> X" are answered by event X; the core counts on each answer coming exactly once.
#ifndef BERTH_AGENT_CORE_EFFECTS_H_
#define BERTH_AGENT_CORE_EFFECTS_H_

#include <cstdint>
#include <memory>
#include <string>
#include <utility>
#include <variant>
#include <vector>

#include "absl/time/time.h"
#include "agent/desired/stored_state.h"
#include "agent/effect/kernel/kernel.h"
#include "agent/effect/l2/frame_port.h"
#include "agent/peer/peer_port.h"
#include "common/sync/messages.h"

namespace berth::agent {

// ---- the kernel
struct EnsureVipInterface {};  // by the rule of AgentConfig -> VipInterfaceDone
struct AddAddress {            // -> AddressesDone
  int ifindex = 0;
  IpAddr address;
};
struct RemoveAddress {  // -> AddressesDone
  int ifindex = 0;
  IpAddr address;
};
struct ApplySilence {  // -> SilenceDone
  Silence silence;
};
struct RemoveEverything {};  // and what is on disk -> CleanupDone
// ---- the wire
struct SetInterfaces {
  std::vector<PortInterface> interfaces;
};
struct Publish {
  std::shared_ptr<const AnswerTable> table;
};
struct AnswerUntil {
  absl::Time until;
};
struct SendFrame {
  int ifindex = 0;
  std::string frame;
};
// ---- other agents
struct SetPeerInterfaces {
  std::vector<PeerInterface> interfaces;
};
struct SendPeer {
  PeerPacket packet;
};
// ---- the controller
struct ToController {
  sync::AgentMessage message;
};
struct Redial {};
// ---- the node, the disk, the clock, the people
struct ReadNode {  // -> NodeRead
  std::vector<std::string> interfaces;
};
struct Store {  // -> Stored
  std::uint64_t number = 0;
  StoredState state;
};
struct WakeAt {  // replaces the last one -> Timer
  absl::Time time;
};
struct Log {
  enum class Level : std::uint8_t { kDebug, kInfo, kWarn, kError };
  Level level = Level::kInfo;
  std::string sentence;
  std::vector<std::pair<std::string, std::string>> fields;  // at most 4
};
struct Count {
  enum class What : std::uint8_t { kConflict, kDriftRepair, kTakeOver };
  What what = What::kConflict;
};
struct Exit {  // nothing follows it; what was sent to the controller before shall still reach it
  int code = 0;
};

using Effect = std::variant<EnsureVipInterface, AddAddress, RemoveAddress, ApplySilence, RemoveEverything,
                            SetInterfaces, Publish, AnswerUntil, SendFrame, SetPeerInterfaces, SendPeer, ToController,
                            Redial, ReadNode, Store, WakeAt, Log, Count, Exit>;
using Effects = std::vector<Effect>;

// Exit codes of berth-agent beyond 0 (done) and 2 (bad flags).
inline constexpr int kExitFailed = 1;
inline constexpr int kExitSuperseded = 3;  // a newer agent of this node is connected

}  // namespace berth::agent

#endif  // BERTH_AGENT_CORE_EFFECTS_H_
