// SPDX-License-Identifier: Apache-2.0
// agent/core/agent_core.h -- what an agent decides: a state machine from events to effects.
//
//   Effects effects;
//   core.Handle(FromController{snapshot}, now, effects);   // effects: ApplySilence, then after its answer AddAddress,
//   ...
//
// Deterministic: no clock, socket, thread, log or random source inside. AgentRunner joins it to the world.
//
// The way of an address that is gained: silence it -> make it local -> answer for it and send gratuitous frames -> say
// so to the leader. The way back: stop answering -> take it off the interface -> shrink the silence. An address whose
// assignment did not change costs nothing on the LAN, whoever sends it again.
//
// The agent answers only while it is told to, or has reason to go on: it mutes an address that another candidate
// claims, and every address when its own loop stood still for longer than the agent timeout, and then waits for the
// leader's word, or, without one, until a probe of the address has stayed unanswered.
#ifndef BERTH_AGENT_CORE_AGENT_CORE_H_
#define BERTH_AGENT_CORE_AGENT_CORE_H_

#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "absl/time/time.h"
#include "agent/core/effects.h"
#include "agent/core/events.h"
#include "agent/peer/peers.h"

namespace berth::agent {

struct AgentConfig {
  std::string node;
  std::string instance_id;         // unique per process
  std::string boot_id;             // of the node's kernel
  std::int64_t started_ns = 0;     // CLOCK_BOOTTIME at process start
  std::string version;             // software
  std::string probe_endpoint;      // --peer-listen: HOST:PORT, ":PORT", or empty for no probes among agents
  std::uint64_t peer_process = 0;  // random, tells this process from others in probes
  std::string peer_seed;           // random bytes, kept secret: nonces are made from them
  std::string vip_interface = "auto";
  bool layer2 = true;       // --enable-layer2: answers for addresses by ARP and NDP
  bool reads_node = false;  // ReadNode is answered
};

// How things stand, for /readyz, metrics and tests.
struct AgentStatus {
  bool link_up = false;       // a stream to a controller is established
  bool leader_heard = false;  // and its leader has sent the whole state on it
  bool passive = false;       // superseded, cleaned up or ended: this agent does nothing any more
  std::size_t announced = 0;  // addresses answered for (layer 2)
  sync::Stamp state;          // newest state held
  std::uint64_t highest_term = 0;
  std::size_t standbys = 0;  // addresses that others hold, watched
  peer::PeerCounts peers;
  std::vector<std::string> unready;         // what keeps the agent from being ready, one phrase each
  std::vector<sync::NodeFinding> findings;  // what is wrong with the node, the worst first
};

class AgentCore {
 public:
  explicit AgentCore(AgentConfig config);
  ~AgentCore();
  AgentCore(const AgentCore&) = delete;
  AgentCore& operator=(const AgentCore&) = delete;

  // Takes one event at monotonic time `now` (never earlier than the last one) and appends what is to be done to `out`.
  void Handle(const Event& event, absl::Time now, Effects& out);

  AgentStatus status() const;
  std::vector<sync::AnnouncedAddress> announced() const;  // sorted by address

 private:
  class Impl;
  std::unique_ptr<Impl> impl_;
};

}  // namespace berth::agent

#endif  // BERTH_AGENT_CORE_AGENT_CORE_H_
