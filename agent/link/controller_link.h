// SPDX-License-Identifier: Apache-2.0
// agent/link/controller_link.h -- the agent's gRPC client: one stream to one controller, dialled for ever.
//
//   ControllerLink link(loop, {.endpoints = *ParseTargets("berth-controller.openelb-system:7443"), .credentials =
//   creds}); RETURN_IF_ERROR(link.Start(core));
//   ...
//   link.Stop();   // also by the destructor
//
// A name is resolved to all its addresses; each dial takes the next of them that answers, and after the last endpoint
// comes the first again. The addresses last known are kept while a name does not resolve. Names are resolved anew when
// a connection fails, and at every third Redial.
#ifndef BERTH_AGENT_LINK_CONTROLLER_LINK_H_
#define BERTH_AGENT_LINK_CONTROLLER_LINK_H_

#include <grpcpp/channel.h>
#include <grpcpp/security/credentials.h>
#include <grpcpp/support/channel_arguments.h>

#include <cstddef>
#include <cstdint>
#include <memory>
#include <random>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "agent/link/link.h"
#include "common/base/event_loop.h"
#include "common/base/host_port.h"

namespace berth::agent {

class LinkStream;
class Latch;

class ControllerLink final : public ControllerPort {
 public:
  struct Options {
    std::vector<HostPort> endpoints;  // at least one
    std::shared_ptr<grpc::ChannelCredentials> credentials;
    grpc::ChannelArguments channel_arguments;  // what the credentials want of a channel, such as the TLS name
    std::string token_file;  // its content is shown as a bearer token, read anew for each dial; empty: none
    absl::Duration keepalive_time = absl::Milliseconds(500);
    absl::Duration keepalive_timeout = absl::Seconds(1);
    absl::Duration dial_timeout = absl::Seconds(2);  // until the controller has answered
    std::uint64_t jitter_seed = 0;                   // of the pauses between dials; should differ from agent to agent
  };

  // `loop` must outlive the link. The loop thread owns the link, destructor included.
  ControllerLink(EventLoop& loop, Options options);
  ~ControllerLink() override;
  ControllerLink(const ControllerLink&) = delete;
  ControllerLink& operator=(const ControllerLink&) = delete;

  absl::Status Start(Observer& observer) override;
  void Send(const sync::AgentMessage& message) override;
  void Redial() override;
  // Waits for what was queued to be written, at most half a second, and for gRPC's threads to let go of the stream.
  void Stop() override;

 private:
  class Hub;

  void Dial();
  void HandleEstablished(std::uint64_t dial);
  void HandleMessage(std::uint64_t dial, sync::ControllerMessage message);
  void HandleEnded(std::uint64_t dial, const absl::Status& why);
  void HandleRedial();
  void DropStream();            // forgets the stream under way; its end is only waited for in Stop
  void Lost(absl::Status why);  // plans the next dial, tells the observer
  absl::Duration Pause();       // before the next dial
  absl::StatusOr<std::string> Token() const;
  const std::shared_ptr<grpc::Channel>& ChannelOf(std::size_t endpoint);

  EventLoop& loop_;
  const Options options_;
  const std::shared_ptr<Hub> hub_;
  Observer* observer_ = nullptr;                          // between Start and Stop
  std::vector<std::shared_ptr<grpc::Channel>> channels_;  // by endpoint, made when first dialled
  std::size_t endpoint_ = 0;                              // dialled now or next
  std::uint64_t dial_ = 0;                                // counts up; events of older dials are ignored
  std::shared_ptr<LinkStream> stream_;
  bool up_ = false;
  std::uint64_t redials_ = 0;
  bool redial_posted_ = false;
  bool redial_tells_ = false;                    // a stream was dropped for it
  std::vector<std::shared_ptr<Latch>> leaving_;  // dropped streams that gRPC may still hold
  std::size_t failures_ = 0;                     // dials since a controller last said something
  TimerId timer_ = 0;                            // of the dial's timeout, or of the pause
  std::mt19937_64 random_;
};

}  // namespace berth::agent

#endif  // BERTH_AGENT_LINK_CONTROLLER_LINK_H_
