// SPDX-License-Identifier: Apache-2.0
// controller/core/context.h -- what the parts of the controller's core share: options, the time of the event in hand,
// the term, the deadlines, and where effects go. Loop thread only; owned by ControllerCore.
#ifndef BERTH_CONTROLLER_CORE_CONTEXT_H_
#define BERTH_CONTROLLER_CORE_CONTEXT_H_

#include <cstdint>
#include <map>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "absl/time/time.h"
#include "controller/core/events.h"
#include "controller/core/timer_queue.h"
#include "controller/plan/ledger.h"
#include "controller/plan/rules.h"

namespace berth::core {

struct Options {
  plan::Rules rules;
  absl::Duration heartbeat = absl::Milliseconds(200);
  absl::Duration agent_timeout = absl::Milliseconds(600);
  // A source without EndpointSlices of its own (manifests in a folder) counts a Service without any as served
  // everywhere.
  bool absent_endpoints_are_ready = false;
  // Whether the source keeps the reason for which a Service has no address (condition berth.io/Assigned): then each new
  // one is written.
  bool record_reasons = false;
  // Makes a secret of 32 random bytes for the probes among agents; without one they do not probe each other.
  std::function<std::string()> make_peer_key = nullptr;
  absl::Duration peer_key_life = absl::Hours(24);
  absl::Duration start_wait = absl::Seconds(3);    // the start gate opens then at the latest
  absl::Duration release_wait = absl::Seconds(2);  // an agent that has not acknowledged by then is left behind
  absl::Duration new_address_probe = absl::Milliseconds(200);
  absl::Duration takeover_probe = absl::Milliseconds(30);
  absl::Duration change_interval = absl::Seconds(1);  // an address changes hands no oftener, unless its holder fails
  absl::Duration census_probe = absl::Milliseconds(300);
  absl::Duration forward_after_move = absl::Seconds(30);        // the former holder goes on forwarding
  absl::Duration rebalance_interval = absl::Milliseconds(100);  // from one address to the next
  absl::Duration unannounced_after = absl::Seconds(5);  // nobody announces an address for so long: its Service says so
  absl::Duration bar_time = absl::Seconds(30);          // a node that rejected an address is not asked again before
  // An agent that was lost so often within that time is unsteady until it has stayed for as long.
  std::size_t unsteady_losses = 3;
  absl::Duration unsteady_time = absl::Minutes(5);
  absl::Duration recheck = absl::Milliseconds(250);  // of agents that answer on the LAN but not to us
  absl::Duration quarantine_recheck = absl::Seconds(5);
  absl::Duration conflict_recheck = absl::Seconds(60);
  absl::Duration write_retry = absl::Seconds(1);
  absl::Duration retire_limit = absl::Milliseconds(500);  // for an older agent of a node to make room
  absl::Duration ack_limit = absl::Seconds(15);           // an agent that acknowledges nothing for so long is redialled
};

class Context {
 public:
  explicit Context(Options opts) : options(std::move(opts)) {}

  const Options options;
  absl::Time now = absl::UnixEpoch();  // of the event in hand, monotonic
  Effects* out = nullptr;              // of the event in hand
  TimerQueue timers;
  plan::Ledger ledger;
  std::uint64_t term = 0;
  std::uint64_t version = 0;   // counts up within a term: messages and decisions alike
  std::set<IpAddr> releasing;  // withdrawn, though the ledger still names their Service until the write has landed
  std::map<IpAddr, MacAddr> strangers;  // who answers for which of the ledger's conflicted addresses, as last heard
  bool active = false;                  // leader, caches complete, start gate open

  std::uint64_t NextVersion() { return ++version; }
  template <typename T>
  void Emit(T effect) {
    out->emplace_back(std::in_place_type<T>, std::move(effect));
  }
  TimerQueue::Id After(absl::Duration delay, std::function<void()> task) {
    return timers.At(now + delay, std::move(task));
  }
  using Fields = std::vector<std::pair<std::string, std::string>>;
  void Info(std::string sentence, Fields fields = {}) { Log(LogLine::Level::kInfo, std::move(sentence), fields); }
  void Warn(std::string sentence, Fields fields = {}) { Log(LogLine::Level::kWarn, std::move(sentence), fields); }
  void Debug(std::string sentence, Fields fields = {}) { Log(LogLine::Level::kDebug, std::move(sentence), fields); }
  void Log(LogLine::Level level, std::string sentence, Fields fields) {
    Emit(LogLine{level, std::move(sentence), std::move(fields)});
  }
  void ServiceEvent(const model::ObjectId& id, bool warning, std::string reason, std::string message) {
    Emit(RecordEvent{{model::EventRecord::Kind::kService, id, warning, std::move(reason), std::move(message)}});
  }
  void PoolEvent(const std::string& pool, bool warning, std::string reason, std::string message) {
    Emit(RecordEvent{
        {model::EventRecord::Kind::kPool, model::ObjectId{"", pool}, warning, std::move(reason), std::move(message)}});
  }
  void Count(Observe::What what, double value, std::string label = "") { Emit(Observe{what, value, std::move(label)}); }
};

}  // namespace berth::core

#endif  // BERTH_CONTROLLER_CORE_CONTEXT_H_
