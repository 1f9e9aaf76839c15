// SPDX-License-Identifier: Apache-2.0
// How often agents shall beat: as the options say, and more slowly where they are too many for that.
#include <catch2/catch.hpp>
#include <map>
#include <optional>
#include <set>
#include <variant>
#include <vector>

#include "absl/strings/str_cat.h"
#include "controller/core/controller_core.h"

namespace berth::core {
namespace {

constexpr absl::Duration kBeat = absl::Milliseconds(200), kTimeout = absl::Milliseconds(600);

// A leader that has started, and agents that acknowledge all they are told.
class Crowd {
 public:
  explicit Crowd(Options options = {}) : core_(std::move(options)) {
    Handle({SourceSynced{}, Leadership{true, 1, "me"}});
    Advance(absl::Seconds(5));  // nobody is awaited any more
  }

  // Until that many agents are in contact.
  void Grow(int to) {
    while (static_cast<int>(streams_.size()) < to) {
      const StreamId stream = ++last_;
      sync::Hello hello;
      hello.node = absl::StrCat("node", stream);
      hello.instance_id = "1";
      hello.boot_id = "boot";
      streams_.insert(stream);
      Handle({StreamOpened{stream, {}}, FromAgent{stream, hello}});
    }
  }
  // The streams of all but `to` end, one by one.
  void Shrink(int to) {
    while (static_cast<int>(streams_.size()) > to) {
      const StreamId stream = *streams_.begin();
      streams_.erase(stream);
      paces_.erase(stream);
      Handle({StreamClosed{stream, "gone"}});
    }
  }
  // All but `silent` beat at the pace that they were told, for so long.
  void Advance(absl::Duration by, std::optional<StreamId> silent = std::nullopt) {
    const absl::Time end = now_ + by;
    while (now_ < end) {
      const absl::Duration beat = paces_.empty() ? kBeat : paces_.begin()->second.heartbeat;
      absl::Time next = std::min(end, now_ + beat);
      for (; wake_ <= next; Handle({Tick{}})) now_ = std::max(now_, wake_);
      now_ = next;
      std::vector<Event> beats;
      for (const StreamId stream : streams_) {
        if (stream != silent) beats.push_back(FromAgent{stream, sync::Heartbeat{1}});
      }
      Handle(beats);
    }
  }

  // What every agent in contact was told last; nullopt where they were told different things.
  std::optional<sync::Settings> Pace() const {
    if (paces_.size() != streams_.size()) return std::nullopt;
    for (const auto& [stream, pace] : paces_) {
      if (pace != paces_.begin()->second) return std::nullopt;
    }
    return paces_.begin()->second;
  }
  StreamId last() const { return last_; }
  absl::Time now() const { return now_; }
  const std::map<StreamId, absl::Time>& lost() const { return lost_; }
  int updates() const { return updates_; }

 private:
  void Handle(const std::vector<Event>& first) {
    std::vector<Event> events = first;
    while (!events.empty()) {
      std::vector<Event> answers;
      for (const Effect& effect : core_.Handle(events, now_)) {
        if (const auto* wake = std::get_if<WakeAt>(&effect)) wake_ = wake->at;
        if (const auto* closed = std::get_if<CloseStream>(&effect)) Close(closed->stream);
        if (const auto* sent = std::get_if<SendToAgent>(&effect)) Take(*sent, answers);
      }
      events = std::move(answers);
    }
  }
  void Close(StreamId stream) {
    lost_.emplace(stream, now_);
    streams_.erase(stream);
    paces_.erase(stream);
  }
  void Take(const SendToAgent& sent, std::vector<Event>& answers) {
    if (const auto* snapshot = std::get_if<sync::Snapshot>(&sent.message)) {
      paces_[sent.stream] = snapshot->settings;
      answers.push_back(FromAgent{sent.stream, sync::Applied{snapshot->term, snapshot->version}});
    }
    if (const auto* update = std::get_if<sync::SettingsUpdate>(&sent.message)) {
      paces_[sent.stream] = update->settings;
      ++updates_;
    }
  }

  ControllerCore core_;
  absl::Time now_ = absl::UnixEpoch() + absl::Hours(1), wake_ = absl::InfiniteFuture();
  StreamId last_ = 0;
  std::set<StreamId> streams_;
  std::map<StreamId, sync::Settings> paces_;
  std::map<StreamId, absl::Time> lost_;  // whom the core closed, and when
  int updates_ = 0;
};

TEST_CASE("four hundred agents beat as often as the options say", "[unit]") {
  Crowd crowd;
  crowd.Grow(400);
  REQUIRE(crowd.Pace().has_value());
  CHECK(crowd.Pace()->heartbeat == kBeat);
  CHECK(crowd.Pace()->agent_timeout == kTimeout);
  CHECK(crowd.updates() == 0);
}

TEST_CASE("a thousand agents beat at most 2,000 times a second in all, and may be silent for as much longer",
          "[unit]") {
  Crowd crowd;
  crowd.Grow(1000);
  REQUIRE(crowd.Pace().has_value());
  const absl::Duration beat = crowd.Pace()->heartbeat;
  // A quarter more is not worth a message to everybody.
  CHECK(1000 / absl::ToDoubleSeconds(beat) <= 2000 * 1.25 + 1);
  CHECK(beat <= absl::Milliseconds(500));
  CHECK(crowd.Pace()->agent_timeout == 3 * beat);

  crowd.Advance(absl::Seconds(10));
  CHECK(crowd.lost().empty());
  const StreamId silent = crowd.last();
  const absl::Time from = crowd.now();
  crowd.Advance(absl::Seconds(5), silent);
  REQUIRE(crowd.lost().size() == 1);
  CHECK(crowd.lost().begin()->first == silent);
  CHECK(crowd.lost().begin()->second == from + 3 * beat);
}

TEST_CASE("as agents go the rest beat faster again, down to what the options say", "[unit]") {
  Crowd crowd;
  crowd.Grow(1000);
  const int grown = crowd.updates();
  crowd.Shrink(600);
  REQUIRE(crowd.Pace().has_value());
  CHECK(crowd.Pace()->heartbeat >= absl::Milliseconds(300));
  CHECK(crowd.Pace()->heartbeat <= absl::Milliseconds(375));
  crowd.Advance(absl::Seconds(10));
  crowd.Shrink(400);
  REQUIRE(crowd.Pace().has_value());
  CHECK(crowd.Pace()->heartbeat == kBeat);
  CHECK(crowd.Pace()->agent_timeout == kTimeout);
  // Each agent is told of a few steps, not of each that went.
  CHECK(crowd.updates() - grown <= 6 * 1000);
  CHECK(crowd.lost().empty());
}

TEST_CASE("other options are stretched alike, from where their own pace is too much", "[unit]") {
  Options options;
  options.heartbeat = absl::Milliseconds(100);
  options.agent_timeout = absl::Milliseconds(450);
  Crowd crowd(options);
  crowd.Grow(200);
  REQUIRE(crowd.Pace().has_value());
  CHECK(crowd.Pace()->heartbeat == absl::Milliseconds(100));
  CHECK(crowd.Pace()->agent_timeout == absl::Milliseconds(450));
  crowd.Grow(400);
  REQUIRE(crowd.Pace().has_value());
  CHECK(crowd.Pace()->heartbeat >= absl::Milliseconds(160));
  CHECK(crowd.Pace()->heartbeat <= absl::Milliseconds(200));
  CHECK(absl::FDivDuration(crowd.Pace()->agent_timeout, crowd.Pace()->heartbeat) == Approx(4.5));
}

}  // namespace
}  // namespace berth::core
