// SPDX-License-Identifier: Apache-2.0
// tests/unit/agent/peer/chain_model.h -- three agents and one address without a leader, small enough to look through
// all their histories. The agents decide by the real Seat; the LAN, the probes and the claims are the model's.
//
// Time goes in ticks of 200 ms. In each one something may befall the cluster (a Fault); then probes go round, and each
// agent has its turn. Everything that happens in a tick is one state's successor, so that a search can enumerate all.
#ifndef BERTH_TESTS_UNIT_AGENT_PEER_CHAIN_MODEL_H_
#define BERTH_TESTS_UNIT_AGENT_PEER_CHAIN_MODEL_H_

#include <algorithm>
#include <array>
#include <cstdint>
#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "agent/peer/seat.h"

namespace berth::agent::peer {

inline constexpr int kAgents = 3;
inline constexpr int kGateway = kAgents;  // its place in a partition
inline constexpr int kTimeout = 3;        // ticks without an answer: silent
inline const absl::Duration kTick = absl::Milliseconds(200);

enum class Life : std::uint8_t { kUp, kFrozen, kDead, kBlank };  // kBlank: the node was restarted, it has no state

struct Member {
  Life life = Life::kUp;
  Seat seat;
  std::array<std::uint8_t, kAgents> age{};  // ticks since each other one answered, at most kTimeout
  std::uint8_t version = 1;                 // of its claim
  std::uint8_t clock = 1;                   // the highest version it has heard of
  std::uint8_t asked = 0;                   // agents that answered for the address when it asked, a bit each
  bool saved = false;                       // its disk has it as the holder
  std::uint8_t asleep = 0;                  // ticks frozen
};

// What befalls the cluster in one tick.
struct Fault {
  enum class Kind : std::uint8_t {
    kNone,
    kPartition,   // a: index of a partition
    kKill,        // a: mask of agents that die together
    kStart,       // a: starts again, from its disk
    kFreeze,      // a
    kThaw,        // a
    kBlank,       // a: the node restarts, and has no state
    kLoseProbes,  // a: mask of agents that hear no probe answer in this tick
    kLoseArp,     // a: mask of agents that nobody hears on the LAN in this tick
    kLoseClaims,  // all claims of this tick
    kUnsaved,     // a: dies before its disk has its last take-over, and starts again
  };
  Kind kind = Kind::kNone;
  int a = 0;
};

// Which of the agents and the gateway reach each other: a group for each.
using Partition = std::array<std::uint8_t, kAgents + 1>;

inline std::vector<Partition> AllPartitions() {
  std::vector<Partition> all;
  for (std::uint8_t b = 0; b <= 1; ++b) {
    for (std::uint8_t c = 0; c <= b + 1; ++c) {
      for (std::uint8_t d = 0; d <= std::max<int>(b, c) + 1; ++d) all.push_back({0, b, c, d});
    }
  }
  return all;
}

class Model {
 public:
  Model() {
    members[0].seat = Seat::Speaking();
    for (int i = 1; i < kAgents; ++i) members[static_cast<std::size_t>(i)].seat = Seat::Watching(0);
    members[0].saved = true;
  }

  std::array<Member, kAgents> members;
  Partition partition{};
  bool gateway_known = true;
  bool deaf = false;       // a bug: nobody hears anybody's claim
  bool backwards = false;  // in which order the agents have their turns
  absl::Time now = absl::UnixEpoch();

  Member& at(int i) { return members[static_cast<std::size_t>(i)]; }
  const Member& at(int i) const { return members[static_cast<std::size_t>(i)]; }
  bool Joined(int i, int j) const {
    return partition[static_cast<std::size_t>(i)] == partition[static_cast<std::size_t>(j)];
  }
  bool Speaks(int i) const { return at(i).life == Life::kUp && at(i).seat.state() == Seat::State::kSpeaking; }
  // Agents of that group of the partition that speak.
  int Speakers(std::uint8_t group) const {
    int n = 0;
    for (int i = 0; i < kAgents; ++i) n += partition[static_cast<std::size_t>(i)] == group && Speaks(i) ? 1 : 0;
    return n;
  }
  // Whether somebody must speak there in the end: an agent with a state that has proof of not being alone.
  bool Able(std::uint8_t group) const {
    int with_state = 0, up = 0;
    for (int i = 0; i < kAgents; ++i) {
      if (partition[static_cast<std::size_t>(i)] != group) continue;
      with_state += at(i).life == Life::kUp ? 1 : 0;
      up += at(i).life == Life::kUp || at(i).life == Life::kBlank ? 1 : 0;
    }
    return with_state > 0 && (up > 1 || !gateway_known || partition[kGateway] == group);
  }
  bool Settled() const {
    for (std::uint8_t group = 0; group <= kAgents; ++group) {
      const int speakers = Speakers(group);
      if (speakers > 1 || (speakers == 0 && Able(group))) return false;
    }
    return true;
  }

  void Befall(const Fault& fault, const std::vector<Partition>& partitions);
  void Tick(const Fault& fault);
  std::string Key() const;
  std::string Text() const;

 private:
  Scene SceneOf(int i) const;
  bool HearsAnybody(int i) const;
  Claim ClaimOf(int i) const;
  void Probe(const Fault& fault);
  void Exchange(const Fault& fault);
  void Turn(int i, const Fault& fault);
  void StartAnew(int i);
  void Spoke(int i, const Fault& fault);
  std::uint8_t Answering(int i, const Fault& fault) const;

  Timing timing_;
};

}  // namespace berth::agent::peer

#endif  // BERTH_TESTS_UNIT_AGENT_PEER_CHAIN_MODEL_H_
