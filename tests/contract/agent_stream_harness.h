// SPDX-License-Identifier: Apache-2.0
// tests/contract/agent_stream_harness.h -- the real server and real clients over loopback, on one real loop.
//
// Nothing here waits for time to pass: Await runs the loop until what is awaited has been told, and gives up loudly.
#ifndef BERTH_TESTS_CONTRACT_AGENT_STREAM_HARNESS_H_
#define BERTH_TESTS_CONTRACT_AGENT_STREAM_HARNESS_H_

#include <grpcpp/grpcpp.h>
#include <grpcpp/support/sync_stream.h>

#include <catch2/catch.hpp>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "agent/link/controller_link.h"
#include "common/base/real_event_loop.h"
#include "controller/push/agent_server.h"

namespace berth {

class Stage {
 public:
  Stage() : loop_(std::move(*RealEventLoop::Create())) {}
  EventLoop& loop() { return *loop_; }

  // Runs the loop until `reached`; false after 20 s.
  bool Await(const std::function<bool()>& reached) {
    bool expired = false;
    const TimerId timer = loop_->RunAfter(absl::Seconds(20), [&] {
      expired = true;
      loop_->Stop();
    });
    awaited_ = reached;
    while (!reached() && !expired) loop_->Run();
    awaited_ = nullptr;
    loop_->Cancel(timer);
    return reached();
  }
  // Observers call it after each event.
  void Noted() {
    if (awaited_ && awaited_()) loop_->Stop();
  }
  // Runs everything that is posted by now.
  void Settle() {
    loop_->Post([this] { loop_->Stop(); });
    loop_->Run();
  }

 private:
  std::unique_ptr<RealEventLoop> loop_;
  std::function<bool()> awaited_;
};

// A controller that only remembers.
class Controller final : public push::AgentPort::Observer {
 public:
  struct Stream {
    push::StreamPeer peer;
    std::vector<sync::AgentMessage> messages;
    std::optional<std::string> closed;  // the reason
  };

  static push::AgentServer::Options Defaults(int port = 0) {
    push::AgentServer::Options options;
    options.listen = {"127.0.0.1", static_cast<std::uint16_t>(port)};
    options.credentials = grpc::InsecureServerCredentials();
    return options;
  }
  explicit Controller(Stage& stage, push::AgentServer::Options options = Defaults())
      : stage_(stage), server(stage.loop(), std::move(options)) {
    const absl::Status started = server.Start(*this);
    INFO(started.ToString());
    REQUIRE(started.ok());
  }

  HostPort endpoint() const { return {"127.0.0.1", static_cast<std::uint16_t>(server.port())}; }
  std::size_t open() const {
    std::size_t count = 0;
    for (const auto& [id, stream] : streams) count += stream.closed.has_value() ? 0 : 1;
    return count;
  }
  std::size_t said_hello() const {
    std::size_t count = 0;
    for (const auto& [id, stream] : streams) count += stream.messages.empty() ? 0 : 1;
    return count;
  }

  void OnStreamOpened(push::StreamId id, const push::StreamPeer& peer) override {
    CHECK(streams.count(id) == 0);
    streams[id].peer = peer;
    stage_.Noted();
  }
  void OnAgentMessage(push::StreamId id, sync::AgentMessage message) override {
    REQUIRE(streams.count(id) == 1);
    CHECK_FALSE(streams[id].closed.has_value());
    streams[id].messages.push_back(std::move(message));
    if (on_message) on_message(id, streams[id].messages.back());
    stage_.Noted();
  }
  void OnStreamClosed(push::StreamId id, const std::string& reason) override {
    REQUIRE(streams.count(id) == 1);
    CHECK_FALSE(streams[id].closed.has_value());
    streams[id].closed = reason;
    stage_.Noted();
  }

 private:
  Stage& stage_;

 public:
  std::map<push::StreamId, Stream> streams;
  std::function<void(push::StreamId, const sync::AgentMessage&)> on_message;
  push::AgentServer server;
};

// An agent that says Hello, answers what `on_message` says, and else only remembers.
class Agent final : public agent::ControllerPort::Observer {
 public:
  static agent::ControllerLink::Options Defaults(std::vector<HostPort> endpoints) {
    agent::ControllerLink::Options options;
    options.endpoints = std::move(endpoints);
    options.credentials = grpc::InsecureChannelCredentials();
    return options;
  }
  Agent(Stage& stage, const std::string& node, agent::ControllerLink::Options options)
      : stage_(stage), link(stage.loop(), std::move(options)) {
    hello.node = node;
    hello.instance_id = node + "-1";
    REQUIRE(link.Start(*this).ok());
  }
  Agent(Stage& stage, const std::string& node, const HostPort& endpoint) : Agent(stage, node, Defaults({endpoint})) {}

  void OnLinkUp() override {
    CHECK_FALSE(up);
    up = true;
    ++ups;
    link.Send(hello);
    stage_.Noted();
  }
  void OnControllerMessage(sync::ControllerMessage message) override {
    CHECK(up);
    messages.push_back(std::move(message));
    if (on_message) on_message(messages.back());
    stage_.Noted();
  }
  void OnLinkDown(const absl::Status& why) override {
    CHECK_FALSE(why.ok());
    up = false;
    downs.push_back(why);
    stage_.Noted();
  }

 private:
  Stage& stage_;

 public:
  bool up = false;
  int ups = 0;
  std::vector<absl::Status> downs;
  std::vector<sync::ControllerMessage> messages;
  std::function<void(const sync::ControllerMessage&)> on_message;
  sync::Hello hello;
  agent::ControllerLink link;
};

// A client that sends any bytes, and blocks.
class RawClient {
 public:
  explicit RawClient(const HostPort& endpoint) {
    grpc::ChannelArguments arguments;
    arguments.SetInt(GRPC_ARG_USE_LOCAL_SUBCHANNEL_POOL, 1);
    arguments.SetInt(GRPC_ARG_ENABLE_HTTP_PROXY, 0);
    channel_ = grpc::CreateCustomChannel(endpoint.ToString(), grpc::InsecureChannelCredentials(), arguments);
    stream_.reset(grpc::internal::ClientReaderWriterFactory<grpc::ByteBuffer, grpc::ByteBuffer>::Create(
        channel_.get(), method_, &context_));
    stream_->WaitForInitialMetadata();
  }
  ~RawClient() {
    context_.TryCancel();
    if (!finished_) stream_->Finish();
  }
  bool Write(const std::string& bytes) {
    const grpc::Slice slice(bytes);
    return stream_->Write(grpc::ByteBuffer(&slice, 1));
  }
  // What the server had to say about it.
  grpc::Status End() {
    finished_ = true;
    grpc::ByteBuffer ignored;
    while (stream_->Read(&ignored)) {
    }
    return stream_->Finish();
  }

 private:
  const grpc::internal::RpcMethod method_{"/berth.agent.v1.AgentService/Connect",
                                          grpc::internal::RpcMethod::BIDI_STREAMING};
  std::shared_ptr<grpc::Channel> channel_;
  grpc::ClientContext context_;
  std::unique_ptr<grpc::ClientReaderWriter<grpc::ByteBuffer, grpc::ByteBuffer>> stream_;
  bool finished_ = false;
};

}  // namespace berth

#endif  // BERTH_TESTS_CONTRACT_AGENT_STREAM_HARNESS_H_
