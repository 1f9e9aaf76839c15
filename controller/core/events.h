// SPDX-License-Identifier: Apache-2.0
// controller/core/events.h -- what goes into the controller's core and what comes out of it.
//
// The core is a state machine, Handle(event, now) -> effects: no clock, socket, thread or random source inside, so that
// a test can run a whole cluster in virtual time. CoreRunner (runner.h) carries effects out on the real or fake seams.
#ifndef BERTH_CONTROLLER_CORE_EVENTS_H_
#define BERTH_CONTROLLER_CORE_EVENTS_H_

#include <cstdint>
#include <string>
#include <utility>
#include <variant>
#include <vector>

#include "absl/status/status.h"
#include "absl/time/time.h"
#include "common/sync/messages.h"
#include "controller/model/source.h"
#include "controller/model/views.h"
#include "controller/push/agent_port.h"

namespace berth::core {

using push::StreamId;
using push::StreamPeer;

// ---- events
// -----------------------------------------------------------------------------------------------------------

struct SourceChanged {
  model::ClusterDelta delta;
};
struct SourceSynced {
  std::vector<model::ClusterSource::KnownAgent> known_agents;
};
struct Leadership {
  bool leader = false;
  std::uint64_t term = 0;
  std::string leader_name;
  // As the source has them now: whoever led meanwhile has met agents that we have not.
  std::vector<model::ClusterSource::KnownAgent> known_agents = {};
};
struct ServiceWritten {
  std::uint64_t write_id = 0;
  absl::Status status;
  std::string revision;
};
struct SourceProblems {
  model::Problems problems;
};
struct StreamOpened {
  StreamId stream = 0;
  StreamPeer peer;
};
struct FromAgent {
  StreamId stream = 0;
  sync::AgentMessage message;
};
struct StreamClosed {
  StreamId stream = 0;
  std::string reason;
};
// Orders of people, each found sound by ControllerCore before.
struct DrainOrder {
  std::string node;
  bool drained = false;  // or not any more
};
struct MoveOrder {
  IpAddr address;
  std::string node;
};
struct RebalanceOrder {};
struct ExamineOrder {};  // -> Examined, within a second
struct Tick {};          // the time asked for by WakeAt has come

using Event = std::variant<SourceChanged, SourceSynced, Leadership, ServiceWritten, SourceProblems, StreamOpened,
                           FromAgent, StreamClosed, DrainOrder, MoveOrder, RebalanceOrder, ExamineOrder, Tick>;

// ---- effects
// ----------------------------------------------------------------------------------------------------------

struct SendToAgent {
  StreamId stream = 0;
  sync::ControllerMessage message;
};
struct CloseStream {
  StreamId stream = 0;
  absl::Status status;
};
struct WriteService {
  model::ServiceWrite write;
};
struct WritePoolStatus {
  model::PoolStatus status;
};
struct RecordEvent {
  model::EventRecord event;
};
struct RaiseTerm {
  std::uint64_t at_least = 0;
};
struct RememberAgents {
  std::vector<model::ClusterSource::KnownAgent> agents;
};
struct SayUnannounced {
  model::UnannouncedServices services;
};
struct Examined {
  model::LanCensus census;
};
struct WakeAt {
  absl::Time at;
};  // replaces an earlier one; InfiniteFuture: none needed
struct LogLine {
  enum class Level : std::uint8_t { kDebug, kInfo, kWarn, kError };
  Level level = Level::kInfo;
  std::string sentence;
  std::vector<std::pair<std::string, std::string>> fields;
};
// One observation for the metrics (docs/metrics.md); gauges are read from the core when scraped.
struct Observe {
  enum class What : std::uint8_t { kAllocationSeconds, kPushAckSeconds, kFailoverSeconds, kFailover };
  What what = What::kFailover;
  double value = 0;
  std::string label;  // kFailover: the reason
};

using Effect = std::variant<SendToAgent, CloseStream, WriteService, WritePoolStatus, RecordEvent, RaiseTerm,
                            RememberAgents, SayUnannounced, Examined, WakeAt, LogLine, Observe>;
using Effects = std::vector<Effect>;

}  // namespace berth::core

#endif  // BERTH_CONTROLLER_CORE_EVENTS_H_
