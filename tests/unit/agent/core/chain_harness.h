// SPDX-License-Identifier: Apache-2.0
// tests/unit/agent/core/chain_harness.h -- another agent beside an AgentCore, in the chain of one address's candidates.
//
//   CoreHarness agent;
//   Other holder(agent);                          // node-b, which answers probes
//   agent.Controller(WithKeys({StandBy(kVip)}));
//   holder.Run(absl::Seconds(1), /*alive=*/true);
#ifndef BERTH_TESTS_UNIT_AGENT_CORE_CHAIN_HARNESS_H_
#define BERTH_TESTS_UNIT_AGENT_CORE_CHAIN_HARNESS_H_

#include <string>
#include <utility>
#include <vector>

#include "agent/peer/peers.h"
#include "tests/unit/agent/core/core_harness.h"

namespace berth::agent {

inline const std::vector<sync::PeerKey> kKeys = {{.id = 5, .secret = std::string(32, 'k')}};
inline constexpr const char* kVip = "192.0.2.100";
inline constexpr peer::Self kHolder{.led = false, .has_state = true};

// node-b is the holder, this node the first to follow.
inline sync::Assignment StandBy(const std::string& address) {
  sync::Assignment a = Assign(address, sync::Role::kStandby);
  a.candidates = {{"node-b", {kMacB}, "192.0.2.11:7445"}, {"node-a", {kOurMac}, "192.0.2.10:7445"}};
  return a;
}

inline sync::Snapshot WithKeys(std::vector<sync::Assignment> assignments) {
  sync::Snapshot s = CoreHarness::SnapshotOf(1, std::move(assignments));
  s.settings.peer_keys = kKeys;
  return s;
}

// Another agent, which answers probes while it lives.
class Other {
 public:
  explicit Other(CoreHarness& agent, const std::string& node = "node-b") : agent_(agent), peers_(node, 1, "seed") {
    peers_.SetKeys(kKeys, agent.now);
  }
  void Run(absl::Duration d, bool alive) {
    const absl::Time until = agent_.now + d;
    while (agent_.now < until) {
      agent_.Advance(absl::Milliseconds(10));
      std::vector<PeerPacket> sent;
      sent.swap(agent_.peer_packets);
      if (alive) Answer(sent);
    }
  }
  void Answer(const std::vector<PeerPacket>& sent) {
    for (PeerPacket packet : sent) {
      packet.question = false;
      std::vector<PeerPacket> answers;
      const peer::Incoming in = peers_.Receive(packet, kHolder, agent_.now, answers);
      if (in.what == peer::Incoming::What::kAsked) {
        std::vector<peer::AddressClaim> claims = in.claims;
        for (peer::AddressClaim& c : claims) c.claim = claim;
        peers_.Tell(in, std::move(claims), kHolder, answers);
      }
      for (PeerPacket& answer : answers) {
        answer.question = true;
        agent_.Feed(PeerReceived{answer});
      }
    }
  }
  peer::Claim claim;

 private:
  CoreHarness& agent_;
  peer::Peers peers_;
};

}  // namespace berth::agent

#endif  // BERTH_TESTS_UNIT_AGENT_CORE_CHAIN_HARNESS_H_
