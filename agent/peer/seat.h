// SPDX-License-Identifier: Apache-2.0
// agent/peer/seat.h -- one agent's part in one address while no leader is heard: a state machine. Pure.
//
//   Seat seat = Seat::Watching(0);                       // candidate 0 holds it, as the leader said last
//   if (seat.Step(scene, timing, now)) AskLan(address);  // it is silent, and it is our turn
//   if (seat.Answered({.silent = true}, scene, timing, now) == Seat::Act::kSpeak) Announce(address);
//
// docs/candidates-chain.md has the table of states, and tests/unit/agent/peer/chain_search_test.cc looks through all
// histories of three agents. The one promise on which the rest stands: a silent agent presumes another to be the holder
// only where that one was just found to speak, or to be about to, or where the leader said so. So presumptions never go
// round in a circle, and whoever is at their end speaks.
#ifndef BERTH_AGENT_PEER_SEAT_H_
#define BERTH_AGENT_PEER_SEAT_H_

#include <cstddef>
#include <cstdint>

#include "absl/time/time.h"
#include "common/sync/messages.h"

namespace berth::agent::peer {

struct Timing {
  absl::Duration patience =
      absl::Milliseconds(400);                       // that each better candidate has, before the next one asks the LAN
  absl::Duration contest = absl::Milliseconds(300);  // for a rival's answer
  absl::Duration ask_again = absl::Seconds(5);       // about an address of somebody who answers the LAN, but no probes
  absl::Duration ask_soon = absl::Seconds(1);        // when the LAN could not be asked
};

// How an agent stands among the candidates of an address. Candidates are known by their place in the list, below
// kMostCandidates.
inline constexpr std::size_t kMostCandidates = 32;
struct Scene {
  std::uint32_t rank = 0;   // our own place
  std::uint32_t heard = 0;  // bit i: candidate i answers our probes, and has a state to act on
  bool led = false;         // one of those hears a leader: it is given time to act
  bool Hears(int candidate) const {
    return candidate >= 0 && candidate < static_cast<int>(kMostCandidates) && (heard >> candidate & 1U) != 0;
  }
  int Better() const;  // candidates before us that are heard
};

// What an agent says of an address, to rivals.
struct Claim {
  bool held = false;  // it speaks for the address, or is silent only until the contest is decided
  bool led = false;   // by a leader's word of this moment
  sync::Stamp stamp;  // of the state in which it came to hold it
  std::uint32_t rank = 0;
  friend bool operator==(const Claim&, const Claim&) = default;
};
// Whether `a` is to be heard rather than `b`: held, then term, then a leader behind it, then version, then the lower
// rank. Of two that are alike in all, `a_first` decides; both sides must agree on that.
bool Beats(const Claim& a, const Claim& b, bool a_first);

class Seat {
 public:
  enum class State : std::uint8_t {
    kWatching,    // the holder is heard
    kWaiting,     // it is silent; better candidates that are heard come first, and a leader that others hear
    kPausing,     // until the LAN may be asked again
    kAsking,      // the LAN is being asked
    kContesting,  // spoke, and heard a rival: silent until that is decided
    kSpeaking,
  };
  enum class Act : std::uint8_t { kNone, kAsk, kSpeak, kHush };
  struct Finding {         // of the LAN
    bool asked = true;     // false: it could not be, or we may be cut off from it
    bool silent = false;   // nobody answers for the address
    int answered_by = -1;  // the candidate that answers; -1 for somebody else
  };

  static Seat Watching(int holder) { return Seat(State::kWatching, holder, absl::InfinitePast()); }
  static Seat Pausing(absl::Time until, int holder = -1) { return Seat(State::kPausing, holder, until); }
  static Seat Speaking() { return Seat(State::kSpeaking, -1, absl::InfinitePast()); }
  Seat() = default;  // of who knows nothing yet: asks the LAN in its turn

  // Time has passed or the scene has changed. True: the LAN is to be asked now.
  bool Step(const Scene& scene, const Timing& timing, absl::Time now);
  // What the LAN said. kSpeak: the address is ours now. kAsk: ask once more.
  Act Answered(const Finding& finding, const Scene& scene, const Timing& timing, absl::Time now);
  // We speak, and candidate `of` may do so too: it came back, or asks us for our claim. It is to be asked for its own.
  void Doubt(int of);
  // We speak, and `rival` was heard to do so as well: we fall silent until its claim is known.
  void RivalSpoke(int rival, const Scene& scene, const Timing& timing, absl::Time now);
  // A fresh claim of candidate `of`; `beats` ours. kSpeak: speak (again), so that the LAN and the other one hear it.
  Act Told(int of, const Claim& claim, bool beats);

  State state() const { return state_; }
  // Candidates to be asked for their claims, until Told; bit i is candidate i.
  std::uint32_t doubts() const { return Holds() ? doubts_ : 0; }
  int holder() const { return holder_; }  // presumed; -1 when unknown
  bool sure() const { return sure_; }     // kAsking: silence counts although the holder is heard
  // When Step is to be called although nothing changed; InfiniteFuture when not at all.
  absl::Time Next() const;
  // Whether its own claim counts: it speaks or is about to.
  bool Holds() const { return state_ == State::kSpeaking || state_ == State::kContesting; }

 private:
  Seat(State state, int holder, absl::Time until)
      : until_(until), state_(state), holder_(static_cast<std::int8_t>(holder)) {}
  bool Ask(bool sure);
  Act Speak();
  void Presume(int holder, const Scene& scene, const Timing& timing, absl::Time now);

  absl::Time until_ = absl::InfinitePast();
  std::uint32_t doubts_ = 0;
  State state_ = State::kPausing;
  std::int8_t holder_ = -1;
  bool sure_ = false;
};

}  // namespace berth::agent::peer

#endif  // BERTH_AGENT_PEER_SEAT_H_
