// SPDX-License-Identifier: Apache-2.0
// How often agents shall beat: as the options say, and more slowly where they are too many for that.
#include <algorithm>
#include <catch2/catch.hpp>
#include <map>
#include <optional>
#include <variant>
#include <vector>

#include "absl/strings/str_cat.h"
#include "controller/core/controller_core.h"
#include "tests/sanitized.h"

namespace berth::core {
namespace {

constexpr absl::Duration kBeat = absl::Milliseconds(200), kTimeout = absl::Milliseconds(600);

// A leader, and agents that acknowledge all they are told and beat at the pace that they were told last.
class Crowd {
 public:
  // `known`: so many agents have been there before.
  explicit Crowd(Options options = {}, int known = 0) : core_(std::move(options)) {
    SourceSynced synced;
    for (int i = 1; i <= known; ++i) synced.known_agents.push_back({absl::StrCat("node", i), {}, false});
    Handle({synced, Leadership{true, 1, "me"}});
    if (known == 0) Advance(absl::Seconds(5));  // nobody is awaited any more
  }

  // Until that many agents are in contact. Until they are told more they beat as `pace` says.
  void Grow(int to, const sync::Settings& pace = {}) {
    while (static_cast<int>(agents_.size()) < to) {
      const StreamId stream = ++last_;
      sync::Hello hello;
      hello.node = absl::StrCat("node", stream);
      hello.instance_id = "1";
      hello.boot_id = "boot";
      agents_[stream] = {pace, false, now_ + pace.heartbeat};
      Handle({StreamOpened{stream, {}}, FromAgent{stream, hello}});
    }
  }
  // The streams of all but `to` end, one by one.
  void Shrink(int to) {
    while (static_cast<int>(agents_.size()) > to) {
      const StreamId stream = agents_.begin()->first;
      agents_.erase(stream);
      Handle({StreamClosed{stream, "gone"}});
    }
  }
  void Advance(absl::Duration by, std::optional<StreamId> silent = std::nullopt) {
    const absl::Time end = now_ + by;
    for (; now_ < end; now_ = std::min(end, now_ + absl::Milliseconds(1))) {
      std::vector<Event> events;
      for (auto& [stream, agent] : agents_) {
        if (agent.next > now_) continue;
        agent.next = now_ + agent.pace.heartbeat;
        if (stream != silent) events.push_back(FromAgent{stream, sync::Heartbeat{1}});
      }
      if (wake_ <= now_) events.push_back(Tick{});
      if (!events.empty()) Handle(events);
    }
  }

  // What every agent in contact was told last; nullopt where they were told different things.
  std::optional<sync::Settings> Pace() const {
    if (agents_.empty()) return std::nullopt;
    for (const auto& [stream, agent] : agents_) {
      if (!agent.told || agent.pace != agents_.begin()->second.pace) return std::nullopt;
    }
    return agents_.begin()->second.pace;
  }
  StreamId last() const { return last_; }
  absl::Time now() const { return now_; }
  const std::map<StreamId, absl::Time>& lost() const { return lost_; }
  int updates() const { return updates_; }

 private:
  struct Agent {
    sync::Settings pace;
    bool told = false;
    absl::Time next;
  };
  void Handle(const std::vector<Event>& first) {
    std::vector<Event> events = first;
    while (!events.empty()) {
      std::vector<Event> answers;
      for (const Effect& effect : core_.Handle(events, now_)) {
        if (const auto* wake = std::get_if<WakeAt>(&effect)) wake_ = wake->at;
        if (const auto* closed = std::get_if<CloseStream>(&effect)) {
          lost_.emplace(closed->stream, now_);
          agents_.erase(closed->stream);
        }
        if (const auto* raise = std::get_if<RaiseTerm>(&effect)) {
          answers.emplace_back(Leadership{true, raise->at_least, "me"});
        }
        if (const auto* sent = std::get_if<SendToAgent>(&effect)) Take(*sent, answers);
      }
      events = std::move(answers);
    }
  }
  void Take(const SendToAgent& sent, std::vector<Event>& answers) {
    const auto agent = agents_.find(sent.stream);
    if (agent == agents_.end()) return;
    if (const auto* snapshot = std::get_if<sync::Snapshot>(&sent.message)) {
      Tell(agent->second, snapshot->settings);
      answers.emplace_back(FromAgent{sent.stream, sync::Applied{snapshot->term, snapshot->version}});
    }
    if (const auto* update = std::get_if<sync::SettingsUpdate>(&sent.message)) {
      Tell(agent->second, update->settings);
      ++updates_;
    }
  }
  void Tell(Agent& agent, const sync::Settings& pace) const {
    agent.pace = pace;
    agent.told = true;
    agent.next = std::min(agent.next, now_ + pace.heartbeat);
  }

  ControllerCore core_;
  absl::Time now_ = absl::UnixEpoch() + absl::Hours(1), wake_ = absl::InfiniteFuture();
  StreamId last_ = 0;
  std::map<StreamId, Agent> agents_;     // in contact
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
  const absl::Duration took = crowd.lost().begin()->second - from;
  CHECK(took >= 2 * beat);  // it was heard at most a beat before
  CHECK(took <= 3 * beat);
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

// Of two thousand agents: a second, and three of silence.
const sync::Settings kSlow{absl::Seconds(1), absl::Seconds(3), {}};

TEST_CASE("a new leader waits for the heartbeats of agents that come one by one and beat as they were told before it",
          "[unit]") {
  Crowd crowd({}, 2000);
  for (int agents = 20; agents <= 2000; agents += 20) {
    crowd.Grow(agents, kSlow);
    crowd.Advance(absl::Milliseconds(29));
  }
  crowd.Advance(absl::Seconds(5));
  CHECK(crowd.lost().empty());
  REQUIRE(crowd.Pace().has_value());
  CHECK(crowd.Pace()->heartbeat >= absl::Milliseconds(800));
}

TEST_CASE("few that are left of many are not blamed for the pace of many", "[unit]") {
  Crowd crowd({}, 2000);
  crowd.Grow(2000, kSlow);
  crowd.Advance(absl::Seconds(10));
  REQUIRE(crowd.lost().empty());
  const int left = kSanitized ? 300 : GENERATE(1900, 1100, 300);
  crowd.Shrink(left);
  crowd.Advance(absl::Seconds(20));
  CHECK(crowd.lost().empty());
  REQUIRE(crowd.Pace().has_value());
  CHECK(crowd.Pace()->heartbeat <= std::max(kBeat, 1.25 * left / 2000 * absl::Seconds(1)));
}

}  // namespace
}  // namespace berth::core
