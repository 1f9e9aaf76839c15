// SPDX-License-Identifier: Apache-2.0
#include "tests/fakes/fake_wire.h"

#include <algorithm>

#include "absl/strings/str_cat.h"

namespace berth {
namespace {

constexpr absl::Duration kLeastRedial = absl::Milliseconds(50);
constexpr absl::Duration kMostRedial = absl::Milliseconds(900);

}  // namespace

absl::Duration FakeWire::Jitter(absl::Duration least, absl::Duration most) {
  return least + (most - least) * std::uniform_real_distribution<double>(0, 1)(random_);
}

void FakeWire::Cut(const std::string& node, bool on) {
  if (!on) {
    cut_.erase(node);
    return;
  }
  cut_.insert(node);
  std::erase_if(streams_, [](const auto& s) { return s.expired(); });
  for (const auto& weak : streams_) {
    const StreamPtr stream = weak.lock();
    if (stream->node != node || stream->dead) continue;
    stream->dead = true;
    loop_.RunAfter(kKeepalive, [stream, jitter = Jitter(kLeastRedial, kMostRedial)] {
      WireLink* link = stream->link;
      if (link == nullptr || link->stream_ != stream) return;
      link->process_.Post([stream, jitter] {
        if (stream->link != nullptr && stream->link->stream_ == stream) {
          stream->link->Down(absl::UnavailableError("keepalive was not answered"), jitter);
        }
      });
    });
  }
}

void FakeWire::Reset(const std::string& node) {
  std::erase_if(streams_, [](const auto& s) { return s.expired(); });
  for (const auto& weak : streams_) {
    const StreamPtr stream = weak.lock();
    if (stream->node != node || stream->dead) continue;
    stream->dead = true;
    loop_.RunAfter(kLatency, [stream, jitter = Jitter(kLeastRedial, kMostRedial)] {
      if (WireServer* server = stream->server; server != nullptr) {
        server->process_.Post([stream] {
          WireServer* s = std::exchange(stream->server, nullptr);
          if (s == nullptr || s->streams_.erase(stream->id) == 0) return;
          s->observer_->OnStreamClosed(stream->id, "connection reset");
        });
      }
      WireLink* link = stream->link;
      if (link == nullptr || link->stream_ != stream) return;
      link->process_.Post([stream, jitter] {
        if (stream->link == nullptr || stream->link->stream_ != stream) return;
        stream->link->Down(absl::UnavailableError("connection reset"), jitter);
      });
    });
  }
}

void FakeWire::Froze(WireServer& server) {
  loop_.RunAfter(kKeepalive, [this, name = server.name_, of = &server, freezes = server.process_.freezes()] {
    if (std::find(servers_.begin(), servers_.end(), of) == servers_.end()) return;
    if (!of->process_.frozen() || of->process_.freezes() != freezes) return;
    for (const auto& weak : streams_) {
      const StreamPtr stream = weak.lock();
      if (stream == nullptr || stream->dead || stream->server != of || stream->link == nullptr) continue;
      stream->link->process_.Post([stream, jitter = Jitter(kLeastRedial, kMostRedial)] {
        WireLink* link = stream->link;
        if (link == nullptr || link->stream_ != stream) return;
        link->Down(absl::UnavailableError("keepalive was not answered"), jitter);
      });
    }
  });
}

bool FakeWire::Passes(const Stream& stream, Message::At at, const sync::AgentMessage* up,
                      const sync::ControllerMessage* down) {
  if (!on_message) return true;
  return on_message({at, down != nullptr, stream.node, stream.controller, stream.link, up, down});
}

bool FakeWire::Connected(const WireLink& link, const std::string& controller) const {
  const StreamPtr& stream = link.stream_;
  return stream != nullptr && stream->up && !stream->dead && stream->server != nullptr &&
         stream->controller == controller;
}

void FakeWire::Dial(WireLink* link) {
  const auto refuse = [this, link](const std::string& why) {
    loop_.RunAfter(2 * kLatency, [this, link, why, alive = std::weak_ptr<int>(link->alive_), attempt = link->attempt_] {
      if (alive.expired()) return;
      link->process_.Post([this, link, why, alive, attempt] {
        if (alive.expired() || link->attempt_ != attempt) return;
        link->Down(absl::UnavailableError(why), Jitter(kLeastRedial, kMostRedial));
      });
    });
  };
  if (servers_.empty()) return refuse("connection refused");
  WireServer* server = servers_[link->next_++ % servers_.size()];
  link->dial_timer_ = link->process_.RunAfter(kDialTimeout, [this, link] {
    link->dial_timer_ = 0;
    link->Down(absl::DeadlineExceededError("nobody answered in time"), Jitter(kLeastRedial, kMostRedial));
  });
  if (cut_.contains(link->node_)) return;
  auto stream = std::make_shared<Stream>();
  stream->link = link;
  stream->server = server;
  stream->node = link->node_;
  stream->controller = server->name_;
  link->stream_ = stream;
  streams_.push_back(stream);
  const auto greet = [this, stream] {  // in the controller's process
    if (stream->server == nullptr) return;
    stream->id = ++stream->server->last_;
    stream->server->streams_[stream->id] = stream;
    stream->server->observer_->OnStreamOpened(stream->id, {.address = stream->node, .token = {}, .tls_names = {}});
    loop_.RunAfter(kLatency, [stream] {
      if (stream->dead || stream->link == nullptr || stream->link->stream_ != stream) return;
      stream->link->process_.Post([stream] {
        WireLink* l = stream->link;
        if (l == nullptr || l->stream_ != stream || stream->dead) return;
        l->process_.Cancel(std::exchange(l->dial_timer_, 0));
        stream->up = true;
        l->observer_->OnLinkUp();
      });
    });
  };
  loop_.RunAfter(kLatency, [stream, greet] {
    if (!stream->dead && stream->server != nullptr) stream->server->process_.Post(greet);
  });
}

// The agent's end is gone; the controller hears of it unless the stream is cut.
void FakeWire::AgentEnds(const StreamPtr& stream, const std::string& reason, absl::Duration delay) {
  stream->link = nullptr;
  loop_.RunAfter(delay, [stream, reason] {
    if (stream->dead || stream->server == nullptr) return;
    stream->server->process_.Post([stream, reason] {
      WireServer* server = std::exchange(stream->server, nullptr);
      if (server != nullptr && server->streams_.erase(stream->id) != 0) {
        server->observer_->OnStreamClosed(stream->id, reason);
      }
    });
  });
}

// The controller's end is gone.
void FakeWire::ServerEnds(const StreamPtr& stream, const absl::Status& why, absl::Duration delay) {
  stream->server = nullptr;
  loop_.RunAfter(delay, [this, stream, why] {
    if (stream->dead || stream->link == nullptr) return;
    stream->link->process_.Post([this, stream, why] {
      WireLink* link = stream->link;
      if (link != nullptr && link->stream_ == stream) link->Down(why, Jitter(kLeastRedial, kMostRedial));
    });
  });
}

// ---- the controller's end

absl::Status WireServer::Start(Observer& observer) {
  observer_ = &observer;
  wire_.servers_.push_back(this);
  return absl::OkStatus();
}

void WireServer::Send(push::StreamId id, const sync::ControllerMessage& message) {
  const auto found = streams_.find(id);
  if (process_.dead() || found == streams_.end()) return;
  const FakeWire::StreamPtr to = found->second;
  if (!wire_.Passes(*to, FakeWire::Message::At::kSent, nullptr, &message)) return;
  ++wire_.pushes_;
  wire_.loop_.RunAfter(FakeWire::kLatency, [wire = &wire_, stream = to, message] {
    if (stream->dead || stream->link == nullptr) return;
    stream->link->process_.Post([wire, stream, message] {
      WireLink* link = stream->link;
      if (link == nullptr || link->stream_ != stream || !stream->up) return;
      if (!wire->Passes(*stream, FakeWire::Message::At::kDelivered, nullptr, &message)) return;
      link->observer_->OnControllerMessage(message);
    });
  });
}

void WireServer::Close(push::StreamId id, const absl::Status& status) {
  const auto found = streams_.find(id);
  if (found == streams_.end()) return;
  const FakeWire::StreamPtr stream = found->second;
  streams_.erase(found);
  wire_.ServerEnds(stream, status, FakeWire::kLatency);
  process_.Post([this, id, reason = std::string(status.message())] {
    if (observer_ != nullptr) observer_->OnStreamClosed(id, reason);
  });
}

void WireServer::Shutdown() {
  std::erase(wire_.servers_, this);
  for (const auto& [id, stream] : std::exchange(streams_, {})) {
    wire_.ServerEnds(stream, absl::UnavailableError("connection lost"), FakeWire::kDeath);
  }
  // Dials on their way here find nobody.
  for (const auto& weak : wire_.streams_) {
    const FakeWire::StreamPtr stream = weak.lock();
    if (stream != nullptr && stream->server == this) {
      wire_.ServerEnds(stream, absl::UnavailableError("connection refused"), FakeWire::kDeath);
    }
  }
  observer_ = nullptr;
}

// ---- the agent's end

absl::Status WireLink::Start(Observer& observer) {
  observer_ = &observer;
  next_ = wire_.random_() % 16;
  DialAfter(absl::ZeroDuration());
  return absl::OkStatus();
}

void WireLink::DialAfter(absl::Duration delay) {
  ++attempt_;
  process_.Cancel(std::exchange(dial_timer_, 0));
  dial_timer_ = process_.RunAfter(delay, [this] {
    dial_timer_ = 0;
    wire_.Dial(this);
  });
}

void WireLink::Send(const sync::AgentMessage& message) {
  if (process_.dead() || stream_ == nullptr || !stream_->up) return;
  if (!wire_.Passes(*stream_, FakeWire::Message::At::kSent, &message, nullptr)) return;
  wire_.loop_.RunAfter(FakeWire::kLatency, [wire = &wire_, stream = stream_, message] {
    if (stream->dead || stream->server == nullptr) return;
    stream->server->process_.Post([wire, stream, message] {
      if (stream->server == nullptr) return;
      if (!wire->Passes(*stream, FakeWire::Message::At::kDelivered, &message, nullptr)) return;
      stream->server->observer_->OnAgentMessage(stream->id, message);
    });
  });
}

void WireLink::Down(const absl::Status& why, absl::Duration redial_after) {
  if (const auto stream = std::exchange(stream_, nullptr))
    wire_.AgentEnds(stream, "connection lost", FakeWire::kLatency);
  DialAfter(redial_after);
  observer_->OnLinkDown(why);
}

void WireLink::Redial() {
  process_.Post([this, alive = std::weak_ptr<int>(alive_)] {
    if (!alive.expired() && observer_ != nullptr) Down(absl::CancelledError("dialling anew"), absl::ZeroDuration());
  });
}

void WireLink::Stop() {
  alive_ = std::make_shared<int>(0);
  observer_ = nullptr;
  ++attempt_;
  process_.Cancel(std::exchange(dial_timer_, 0));
  if (const auto stream = std::exchange(stream_, nullptr)) wire_.AgentEnds(stream, "connection lost", FakeWire::kDeath);
}

}  // namespace berth
