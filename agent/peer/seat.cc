// SPDX-License-Identifier: Apache-2.0
#include "agent/peer/seat.h"

#include <bit>
#include <tuple>

namespace berth::agent::peer {

int Scene::Better() const {
  const std::uint32_t before = rank >= kMostCandidates ? heard : heard & ((std::uint32_t{1} << rank) - 1);
  return std::popcount(before);
}

bool Beats(const Claim& a, const Claim& b, bool a_first) {
  const auto weight = [](const Claim& c) { return std::tuple(c.held, c.stamp.term, c.led, c.stamp.version); };
  if (weight(a) != weight(b)) return weight(a) > weight(b);
  if (a.rank != b.rank) return a.rank < b.rank;
  return a_first;
}

bool Seat::Ask(bool sure) {
  state_ = State::kAsking;
  sure_ = sure;
  return true;
}

Seat::Act Seat::Speak() {
  state_ = State::kSpeaking;
  holder_ = -1;
  return Act::kSpeak;
}

void Seat::Doubt(int of) {
  if (Holds() && of >= 0 && of < static_cast<int>(kMostCandidates)) doubts_ |= std::uint32_t{1} << of;
}

bool Seat::Step(const Scene& scene, const Timing& timing, absl::Time now) {
  const bool holder_heard = scene.Hears(holder_);
  switch (state_) {
    case State::kWatching:
      if (holder_heard) return false;
      state_ = State::kWaiting;
      until_ = now + timing.patience * (scene.Better() + (scene.led ? 2 : 0));
      [[fallthrough]];
    case State::kWaiting:
      if (holder_heard) {
        state_ = State::kWatching;
        return false;
      }
      return ((scene.Better() == 0 && !scene.led) || now >= until_) && Ask(false);
    case State::kPausing:
      if (holder_heard) {
        state_ = State::kWatching;
        return false;
      }
      return now >= until_ && Ask(false);
    case State::kContesting:
      // No answer came. The rival may be as silent as we are, so that silence on the LAN is to be believed.
      return now >= until_ && Ask(true);
    case State::kSpeaking:
      doubts_ &= scene.heard;  // whoever is gone is asked when it comes back
      return false;
    case State::kAsking:
      return false;
  }
  return false;
}

void Seat::Presume(int holder, const Scene& scene, const Timing& timing, absl::Time now) {
  holder_ = static_cast<std::int8_t>(holder < static_cast<int>(kMostCandidates) ? holder : -1);
  state_ = scene.Hears(holder_) ? State::kWatching : State::kPausing;
  until_ = now + timing.ask_again;
}

Seat::Act Seat::Answered(const Finding& finding, const Scene& scene, const Timing& timing, absl::Time now) {
  if (state_ != State::kAsking) return Act::kNone;
  if (!finding.asked) {
    state_ = State::kPausing;
    until_ = now + timing.ask_soon;
    return Act::kNone;
  }
  if (!finding.silent) {
    Presume(finding.answered_by, scene, timing, now);
    return Act::kNone;
  }
  if (scene.Hears(holder_) && !sure_) {
    // It came back meanwhile, perhaps too late to hear the question.
    Ask(true);
    return Act::kAsk;
  }
  doubts_ = scene.heard;  // another one may have come to the same end in the same moment
  return Speak();
}

void Seat::RivalSpoke(int rival, const Scene& scene, const Timing& timing, absl::Time now) {
  if (!Holds()) return;
  Doubt(rival);
  holder_ = static_cast<std::int8_t>(rival);
  state_ = State::kContesting;
  // Should neither hear the other's answer, the better one asks the LAN first.
  until_ = now + timing.contest + (rival < static_cast<int>(scene.rank) ? timing.patience : absl::ZeroDuration());
}

Seat::Act Seat::Told(int of, const Claim& claim, bool beats) {
  if (of >= 0 && of < static_cast<int>(kMostCandidates)) doubts_ &= ~(std::uint32_t{1} << of);
  switch (state_) {
    case State::kSpeaking:
    case State::kContesting:
      if (!claim.held) {
        return state_ == State::kContesting && of == holder_ ? Speak() : Act::kNone;
      }
      if (beats) {
        holder_ = static_cast<std::int8_t>(of);
        state_ = State::kWatching;
        return Act::kHush;
      }
      return state_ == State::kSpeaking || of == holder_ ? Speak() : Act::kNone;
    case State::kWatching:
    case State::kWaiting:
    case State::kPausing:
      if (claim.held) {
        holder_ = static_cast<std::int8_t>(of);
        state_ = State::kWatching;
      }
      return Act::kNone;
    case State::kAsking:
      return Act::kNone;
  }
  return Act::kNone;
}

absl::Time Seat::Next() const {
  const bool timed = state_ == State::kWaiting || state_ == State::kPausing || state_ == State::kContesting;
  return timed ? until_ : absl::InfiniteFuture();
}

}  // namespace berth::agent::peer
