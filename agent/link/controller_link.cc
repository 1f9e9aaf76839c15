// SPDX-License-Identifier: Apache-2.0
#include "agent/link/controller_link.h"

#include <grpcpp/create_channel.h>

#include <algorithm>
#include <cerrno>
#include <fstream>
#include <iterator>
#include <utility>

#include "absl/strings/ascii.h"
#include "absl/strings/str_cat.h"
#include "agent/link/link_stream.h"
#include "common/base/errno_status.h"
#include "common/base/status_macros.h"
#include "common/sync/wire.h"

namespace berth::agent {
namespace {

// How long Stop waits for the last messages to leave.
constexpr absl::Duration kLastWords = absl::Milliseconds(500);
// Longest token taken from a file; a projected service-account token has 1 to 2 KiB.
constexpr std::size_t kMaxTokenBytes = 6144;

int Milliseconds(absl::Duration duration) { return static_cast<int>(absl::ToInt64Milliseconds(duration)); }

grpc::ChannelArguments ArgumentsFor(const ControllerLink::Options& options) {
  grpc::ChannelArguments arguments = options.channel_arguments;
  // Every address of a name gets its connection and each new stream goes over the next: how a dial leaves a standby.
  arguments.SetLoadBalancingPolicyName("round_robin");
  arguments.SetMaxReceiveMessageSize(static_cast<int>(sync::kMaxControllerMessageBytes));
  arguments.SetInt(GRPC_ARG_KEEPALIVE_TIME_MS, Milliseconds(options.keepalive_time));
  arguments.SetInt(GRPC_ARG_KEEPALIVE_TIMEOUT_MS, Milliseconds(options.keepalive_timeout));
  arguments.SetInt(GRPC_ARG_KEEPALIVE_PERMIT_WITHOUT_CALLS, 1);
  arguments.SetInt(GRPC_ARG_HTTP2_MAX_PINGS_WITHOUT_DATA, 0);
  // A controller that comes back is to be found within a second, at its new address too.
  arguments.SetInt(GRPC_ARG_INITIAL_RECONNECT_BACKOFF_MS, 100);
  arguments.SetInt(GRPC_ARG_MIN_RECONNECT_BACKOFF_MS, Milliseconds(options.dial_timeout));
  arguments.SetInt(GRPC_ARG_MAX_RECONNECT_BACKOFF_MS, 500);
  arguments.SetInt(GRPC_ARG_DNS_MIN_TIME_BETWEEN_RESOLUTIONS_MS, 1000);
  arguments.SetInt(GRPC_ARG_ENABLE_RETRIES, 0);
  arguments.SetInt(GRPC_ARG_ENABLE_HTTP_PROXY, 0);  // a controller is dialled directly whatever the environment says
  arguments.SetInt(GRPC_ARG_USE_LOCAL_SUBCHANNEL_POOL, 1);  // links of one process share nothing
  return arguments;
}

constexpr std::uint64_t kRedialsOfOneResolution = 3;

}  // namespace

// Carries events from gRPC's threads to the loop. Tasks that are still posted when the link is stopped keep the hub
// alive and find nobody to tell.
class ControllerLink::Hub final : public LinkStream::Sink, public std::enable_shared_from_this<Hub> {
 public:
  Hub(EventLoop& loop, ControllerLink* link) : loop_(loop), link_(link) {}
  void Detach() { link_ = nullptr; }  // loop thread

  void Established(std::uint64_t dial) override {
    loop_.Post([hub = shared_from_this(), dial] {
      if (hub->link_ != nullptr) hub->link_->HandleEstablished(dial);
    });
  }
  void Received(std::uint64_t dial, sync::ControllerMessage message) override {
    // std::function must be copyable, and a Snapshot is dear to copy.
    auto shared = std::make_shared<sync::ControllerMessage>(std::move(message));
    loop_.Post([hub = shared_from_this(), dial, shared = std::move(shared)] {
      if (hub->link_ != nullptr) hub->link_->HandleMessage(dial, std::move(*shared));
    });
  }
  void Ended(std::uint64_t dial, absl::Status why, std::shared_ptr<LinkStream> stream) override {
    // `stream` comes along only to be let go there.
    loop_.Post([hub = shared_from_this(), dial, why = std::move(why), stream = std::move(stream)] {
      if (hub->link_ != nullptr) hub->link_->HandleEnded(dial, why);
    });
  }
  void PostRedial() {
    loop_.Post([hub = shared_from_this()] {
      if (hub->link_ != nullptr) hub->link_->HandleRedial();
    });
  }

 private:
  EventLoop& loop_;
  ControllerLink* link_;  // loop thread only
};

ControllerLink::ControllerLink(EventLoop& loop, Options options)
    : loop_(loop),
      options_(std::move(options)),
      hub_(std::make_shared<Hub>(loop, this)),
      channels_(options_.endpoints.size()),
      random_(options_.jitter_seed) {}

ControllerLink::~ControllerLink() {
  Stop();
  hub_->Detach();
}

absl::Status ControllerLink::Start(Observer& observer) {
  if (options_.endpoints.empty()) return absl::InvalidArgumentError("no controller to dial is named");
  for (const HostPort& endpoint : options_.endpoints) {
    if (endpoint.host.empty() || endpoint.port == 0) {
      return absl::InvalidArgumentError(
          absl::StrCat("controller \"", endpoint.ToString(), "\" must have a host and a port"));
    }
  }
  observer_ = &observer;
  // Agents that are started together should not all dial the same controller first.
  endpoint_ = random_() % options_.endpoints.size();
  Redial();
  return absl::OkStatus();
}

void ControllerLink::Send(const sync::AgentMessage& message) {
  if (up_) stream_->Send(message);
}

void ControllerLink::Redial() {
  if (observer_ == nullptr) return;
  if (stream_ != nullptr) {
    redial_tells_ = true;
    DropStream();
    endpoint_ = (endpoint_ + 1) % options_.endpoints.size();
  }
  // While its connections are well a channel never asks for a name's addresses again, and the leader may have a new
  // one.
  if (++redials_ % kRedialsOfOneResolution == 0) channels_[endpoint_] = nullptr;
  loop_.Cancel(timer_);
  // Posted, so that the observer is never called from within its own call.
  if (!redial_posted_) hub_->PostRedial();
  redial_posted_ = true;
}

void ControllerLink::HandleRedial() {
  redial_posted_ = false;
  if (observer_ == nullptr) return;
  if (redial_tells_) {
    redial_tells_ = false;
    observer_->OnLinkDown(absl::CancelledError("dropped in order to dial again"));
  }
  if (observer_ != nullptr && !redial_posted_ && stream_ == nullptr) Dial();
}

void ControllerLink::Stop() {
  if (observer_ == nullptr) return;
  observer_ = nullptr;
  loop_.Cancel(timer_);
  if (stream_ != nullptr && up_) {
    stream_->EndAfterQueue();
    stream_->gone()->WaitFor(kLastWords);
  }
  if (stream_ != nullptr) DropStream();
  for (const std::shared_ptr<Latch>& gone : leaving_) gone->Wait();
  leaving_.clear();
  channels_.assign(channels_.size(), nullptr);
}

void ControllerLink::Dial() {
  ++dial_;
  const absl::StatusOr<std::string> token = Token();
  if (!token.ok()) return Lost(token.status());
  stream_ = LinkStream::Open(hub_, dial_, LinkLimits{}, ChannelOf(endpoint_), *token);
  timer_ = loop_.RunAfter(options_.dial_timeout, [this] {
    stream_->Cancel(absl::DeadlineExceededError(
        absl::StrCat("no answer of a Berth controller within ", absl::FormatDuration(options_.dial_timeout))));
  });
}

void ControllerLink::HandleEstablished(std::uint64_t dial) {
  if (observer_ == nullptr || dial != dial_ || stream_ == nullptr) return;
  loop_.Cancel(timer_);
  up_ = true;
  observer_->OnLinkUp();
}

void ControllerLink::HandleMessage(std::uint64_t dial, sync::ControllerMessage message) {
  if (observer_ == nullptr || dial != dial_ || stream_ == nullptr) return;
  const std::shared_ptr<LinkStream> stream = stream_;
  failures_ = 0;
  observer_->OnControllerMessage(std::move(message));
  stream->Handled();
}

void ControllerLink::HandleEnded(std::uint64_t dial, const absl::Status& why) {
  if (observer_ == nullptr || dial != dial_ || stream_ == nullptr) return;
  loop_.Cancel(timer_);
  stream_.reset();
  Lost(why);
}

void ControllerLink::DropStream() {
  leaving_.erase(std::remove_if(leaving_.begin(), leaving_.end(), [](const auto& gone) { return gone->IsSet(); }),
                 leaving_.end());
  leaving_.push_back(stream_->gone());
  stream_->Cancel(absl::CancelledError("dropped by this agent"));
  stream_.reset();
  up_ = false;
}

void ControllerLink::Lost(absl::Status why) {
  why = Annotate(why, absl::StrCat("controller ", options_.endpoints[endpoint_].ToString()));
  up_ = false;
  endpoint_ = (endpoint_ + 1) % options_.endpoints.size();
  timer_ = loop_.RunAfter(Pause(), [this] { Dial(); });
  observer_->OnLinkDown(why);
}

absl::Duration ControllerLink::Pause() {
  // Quick while there is an endpoint that was not tried since a controller last spoke: most often it has only
  // restarted, or another one leads now.
  const bool quick = failures_ < options_.endpoints.size();
  ++failures_;
  std::uniform_int_distribution<int> milliseconds =
      quick ? std::uniform_int_distribution<int>(50, 100) : std::uniform_int_distribution<int>(200, 1000);
  return absl::Milliseconds(milliseconds(random_));
}

absl::StatusOr<std::string> ControllerLink::Token() const {
  if (options_.token_file.empty()) return std::string();
  std::ifstream file(options_.token_file, std::ios::binary);
  if (!file) return ErrnoStatus(errno, absl::StrCat("cannot read --token-file ", options_.token_file));
  std::string token((std::istreambuf_iterator<char>(file)), std::istreambuf_iterator<char>());
  absl::StripAsciiWhitespace(&token);
  const bool printable = std::all_of(token.begin(), token.end(), [](char c) { return absl::ascii_isgraph(c); });
  if (token.empty() || token.size() > kMaxTokenBytes || !printable) {
    return absl::InvalidArgumentError(absl::StrCat("--token-file ", options_.token_file,
                                                   " must hold one token of 1 to ", kMaxTokenBytes,
                                                   " printable characters"));
  }
  return token;
}

const std::shared_ptr<grpc::Channel>& ControllerLink::ChannelOf(std::size_t endpoint) {
  std::shared_ptr<grpc::Channel>& channel = channels_[endpoint];
  if (channel == nullptr) {
    channel = grpc::CreateCustomChannel(absl::StrCat("dns:///", options_.endpoints[endpoint].ToString()),
                                        options_.credentials, ArgumentsFor(options_));
  }
  return channel;
}

}  // namespace berth::agent
