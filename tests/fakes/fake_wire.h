// SPDX-License-Identifier: Apache-2.0
// tests/fakes/fake_wire.h -- the streams between agents and controllers, in memory: latency, cuts, deaths and redials.
//
//   FakeWire wire(loop, /*seed=*/1);
//   WireServer server(wire, "a", controller_process);      // an AgentPort; agents dial all names in turn
//   WireLink link(wire, "node1", agent_process);           // a ControllerPort
//   wire.Cut("node1", true);                               // silently: messages vanish, both ends find out by waiting
//
// Destroying an end is the death of its process: the other end hears of it kDeath later. Shared loop's thread only.
#ifndef BERTH_TESTS_FAKES_FAKE_WIRE_H_
#define BERTH_TESTS_FAKES_FAKE_WIRE_H_

#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <random>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "agent/link/link.h"
#include "controller/push/agent_port.h"
#include "tests/fakes/process_loop.h"

namespace berth {

class WireLink;
class WireServer;

class FakeWire {
 public:
  static constexpr absl::Duration kLatency = absl::Milliseconds(1);
  static constexpr absl::Duration kDeath = absl::Milliseconds(2);          // until the other end sees a connection end
  static constexpr absl::Duration kKeepalive = absl::Milliseconds(1500);   // until an agent notices a silent cut
  static constexpr absl::Duration kDialTimeout = absl::Milliseconds(700);  // of a dial that nobody answers

  FakeWire(EventLoop& loop, std::uint64_t seed) : loop_(loop), random_(seed) {}

  // Whether messages of that node vanish. Streams that were cut once never work again; the agent notices and redials.
  void Cut(const std::string& node, bool on);
  bool IsCut(const std::string& node) const { return cut_.contains(node); }
  // Whether this agent has a working stream to that controller.
  bool Connected(const WireLink& link, const std::string& controller) const;
  // Both ends of that node's streams see them end, and dial or wait anew; what was on its way is lost.
  void Reset(const std::string& node);
  // The server's process was frozen just now: agents whose keepalives stay unanswered give their streams up.
  void Froze(WireServer& server);

  struct Message {
    enum class At : std::uint8_t { kSent, kDelivered };  // in the sender's process, in the receiver's
    At at = At::kSent;
    bool to_agent = false;
    const std::string& node;
    const std::string& controller;
    const WireLink* link = nullptr;  // the agent's end
    const sync::AgentMessage* up = nullptr;
    const sync::ControllerMessage* down = nullptr;
  };
  // Sees each message as it is sent and as it is delivered; false: it goes nowhere.
  std::function<bool(const Message&)> on_message;

  // Messages that controllers sent, by kind; heartbeats the other way are not counted.
  std::uint64_t pushes() const { return pushes_; }

 private:
  friend class WireLink;
  friend class WireServer;
  struct Stream {
    WireLink* link = nullptr;  // null once that end is gone or knows that the stream ended
    WireServer* server = nullptr;
    std::string node, controller;
    push::StreamId id = 0;
    bool up = false;    // the agent's end knows that it is established
    bool dead = false;  // cut: nothing passes any more
  };
  using StreamPtr = std::shared_ptr<Stream>;

  bool Passes(const Stream& stream, Message::At at, const sync::AgentMessage* up, const sync::ControllerMessage* down);

  void Dial(WireLink* link);
  void AgentEnds(const StreamPtr& stream, const std::string& reason, absl::Duration delay);
  void ServerEnds(const StreamPtr& stream, const absl::Status& why, absl::Duration delay);
  absl::Duration Jitter(absl::Duration least, absl::Duration most);

  EventLoop& loop_;
  std::mt19937_64 random_;
  std::vector<WireServer*> servers_;  // those that listen
  std::set<std::string> cut_;
  std::vector<std::weak_ptr<Stream>> streams_;
  std::uint64_t pushes_ = 0;
};

class WireServer final : public push::AgentPort {
 public:
  WireServer(FakeWire& wire, std::string name, ProcessLoop& process)
      : wire_(wire), name_(std::move(name)), process_(process) {}
  ~WireServer() override { Shutdown(); }

  absl::Status Start(Observer& observer) override;
  void Send(push::StreamId stream, const sync::ControllerMessage& message) override;
  void Close(push::StreamId stream, const absl::Status& status) override;
  void Shutdown() override;

 private:
  friend class FakeWire;
  friend class WireLink;

  FakeWire& wire_;
  const std::string name_;
  ProcessLoop& process_;
  Observer* observer_ = nullptr;
  push::StreamId last_ = 0;
  std::map<push::StreamId, FakeWire::StreamPtr> streams_;
};

class WireLink final : public agent::ControllerPort {
 public:
  WireLink(FakeWire& wire, std::string node, ProcessLoop& process)
      : wire_(wire), node_(std::move(node)), process_(process) {}
  ~WireLink() override { Stop(); }

  absl::Status Start(Observer& observer) override;
  void Send(const sync::AgentMessage& message) override;
  void Redial() override;
  void Stop() override;

 private:
  friend class FakeWire;
  friend class WireServer;
  void DialAfter(absl::Duration delay);
  void Down(const absl::Status& why, absl::Duration redial_after);

  FakeWire& wire_;
  const std::string node_;
  ProcessLoop& process_;
  Observer* observer_ = nullptr;
  FakeWire::StreamPtr stream_;
  TimerId dial_timer_ = 0;
  std::uint64_t attempt_ = 0;  // dials; each one's timeout belongs to it
  std::size_t next_ = 0;       // which controller is dialled next
  std::shared_ptr<int> alive_ = std::make_shared<int>(0);
};

}  // namespace berth

#endif  // BERTH_TESTS_FAKES_FAKE_WIRE_H_
