// SPDX-License-Identifier: Apache-2.0
// tests/system/history.h -- a random history: what befalls a cluster, in which order and when. A value made from a
// seed.
//
//   const History history = MakeHistory(17);
//   for (const Step& step : history.steps) std::puts(Text(step).c_str());
//
// What a step cannot do when its turn comes (a node that is not there, a process that does not run) it leaves out, so
// that any part of a history is a history too. tests/system/play.h plays it.
#ifndef BERTH_TESTS_SYSTEM_HISTORY_H_
#define BERTH_TESTS_SYSTEM_HISTORY_H_

#include <cstdint>
#include <string>
#include <vector>

#include "absl/time/time.h"

namespace berth::system {

// What `a`, `b` and `c` of a step mean is said behind each.
enum class Op : std::uint8_t {
  // ---- the cluster's objects; Services are s0 .. s7
  kService,        // a: which, b: ServiceKind, c: pool or wanted address. Created, or edited to be that
  kDeleteService,  // a
  kPorts,          // a, b: its port is 80 + b now
  kPool,           // a: which. Created again, enabled
  kDisablePool,    // a
  kDeletePool,     // a, b: by force when 1
  kVanishPool,     // a: gone, finalizers or not
  kEndpoints,      // a: of which Service, b: on which nodes, a bit each
  kLabelNode,      // a: excluded from load balancing, or not any more
  kNodeReady,      // a: condition Ready turns
  kNodeNetwork,    // a: condition NetworkUnavailable turns
  kCordon,         // a: spec.unschedulable turns
  kRemoveNode,     // a: switched off, and its object deleted; or it is back
  // ---- processes
  kKillAgent,          // a
  kStartAgent,         // a, when there is none
  kSecondAgent,        // a: a younger one beside the one there
  kEndAgent,           // a: SIGTERM
  kFreezeAgent,        // a: or goes on
  kReboot,             // a: the node's kernel starts anew, and an agent
  kKillController,     // a
  kStartController,    // a
  kElect,              // a leads from now on; whoever led is told
  kFreezeController,   // a: or goes on
  kIsolateController,  // a: hears nothing of the API server, not even that another leads; or is joined again
  // ---- orders, to controller c
  kDrain,      // a: the node is drained; or undrained
  kMove,       // a: which address, b: to which node
  kRebalance,  // the load is evened out
  // ---- messages and frames
  kCut,        // a: the node's streams lose everything; or the way is free again
  kReset,      // a: the node's streams end
  kFault,      // a: node, or 0 for any, b: at the how manieth message from now, c: Fault and direction
  kLoss,       // a: of frames, in percent
  kCarrier,    // a: turns
  kDropAll,    // a: the switch drops all of the node's frames; or no more
  kPartition,  // a: the nodes of this bit mask on a LAN of their own
  kStranger,   // a: which address it claims; or it leaves
  // ---- kernels and stores
  kFlushRules,   // a: nft flush ruleset
  kUnlocal,      // a: somebody takes Berth's addresses off the interface
  kFailWrites,   // a: so many writes fail
  kLoseAnswers,  // a: so many writes happen without an answer
  kDelayWrites,  // a: milliseconds for each write
  // ---- peace
  kRest,  // everything works again, until it must be at rest; then all is checked. a: Restart
};
inline constexpr int kOps = static_cast<int>(Op::kRest) + 1;

enum class ServiceKind : std::uint8_t { kPlain, kWanted, kWantedSamePort, kLocal, kOtherNamespace, kWantedByKey };
inline constexpr int kServiceKinds = 6;

// What happens at a message, beside its being sent or delivered.
enum class Fault : std::uint8_t {
  kSenderDiesBefore,
  kSenderDiesAfter,
  kReceiverDiesBefore,
  kReceiverDiesAfter,
  kCut,
  kReset,
};
inline constexpr int kFaults = 6;

// After a rest has been checked: what must change nothing.
enum class Restart : std::uint8_t { kNone, kControllers, kAgents };

struct Step {
  Op op = Op::kRest;
  int a = 0, b = 0, c = 0;
  absl::Duration then;  // time until the next step
};
std::string Text(const Step& step);

inline constexpr int kMostServices = 8;
inline constexpr int kPools = 2;

struct History {
  std::uint64_t seed = 0;
  int nodes = 1, controllers = 1;
  std::vector<int> pool_sizes;  // addresses of pool 0, 1, ...
  bool ipv6 = false;            // those of pool 1 are IPv6
  absl::Duration heartbeat;     // agent-timeout is three times that
  bool absent_endpoints_are_ready = false;
  std::vector<Step> steps;
};
History MakeHistory(std::uint64_t seed);
std::string Text(const History& history);  // without its steps

}  // namespace berth::system

#endif  // BERTH_TESTS_SYSTEM_HISTORY_H_
