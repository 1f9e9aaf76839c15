// SPDX-License-Identifier: Apache-2.0
#include "controller/push/agent_server.h"

#include <grpcpp/grpcpp.h>
#include <sys/resource.h>

#include <atomic>
#include <chrono>
#include <map>
#include <string>
#include <utility>

#include "absl/strings/str_cat.h"
#include "berth/agent/v1/agent.grpc.pb.h"
#include "common/base/listen_error.h"
#include "common/sync/wire.h"
#include "controller/push/agent_stream.h"

namespace berth::push {
namespace {

// How long an ended stream may go on flushing to a peer before it is broken.
constexpr absl::Duration kLinger = absl::Seconds(1);

// One descriptor an agent: at the usual soft limit of 1,024 gRPC would leave further agents waiting without a word.
void RaiseFileLimit() {
  rlimit limit{};
  if (getrlimit(RLIMIT_NOFILE, &limit) != 0 || limit.rlim_cur >= limit.rlim_max) return;
  limit.rlim_cur = limit.rlim_max;
  setrlimit(RLIMIT_NOFILE, &limit);
}

// Says why, and is gone.
class RefusedStream final : public grpc::ServerBidiReactor<grpc::ByteBuffer, grpc::ByteBuffer> {
 public:
  explicit RefusedStream(const grpc::Status& why) { Finish(why); }
  void OnDone() override { delete this; }
};

int Milliseconds(absl::Duration duration) { return static_cast<int>(absl::ToInt64Milliseconds(duration)); }

}  // namespace

// Carries events from gRPC's threads to the loop. Tasks that are still posted when the server is gone keep the hub
// alive and find nobody to tell.
class AgentServer::Hub final : public AgentStream::Sink, public std::enable_shared_from_this<Hub> {
 public:
  Hub(EventLoop& loop, absl::Duration hello_timeout) : loop_(loop), hello_timeout_(hello_timeout) {}

  // gRPC's threads.
  void Opened(std::shared_ptr<AgentStream> stream, StreamPeer peer) override {
    loop_.Post([hub = shared_from_this(), stream = std::move(stream), peer = std::move(peer)] {
      hub->TellOpened(stream, peer);
    });
  }
  void Received(StreamId stream, sync::AgentMessage message) override {
    // std::function must be copyable, and a Hello is dear to copy.
    loop_.Post([hub = shared_from_this(), stream, message = std::make_shared<sync::AgentMessage>(std::move(message))] {
      hub->TellReceived(stream, *message);
    });
  }
  void Ended(StreamId stream, std::string reason) override {
    loop_.Post([hub = shared_from_this(), stream, reason = std::move(reason)] { hub->TellEnded(stream, reason); });
  }
  void Gone() override { --open_; }
  // True when there is room for one more stream, which then counts until Gone.
  bool Admit(int max) {
    if (++open_ <= max) return true;
    --open_;
    return false;
  }
  StreamId NextId() { return ++last_id_; }

  // Loop thread.
  void set_observer(Observer* observer) { observer_ = observer; }
  AgentStream* Find(StreamId stream) {
    const auto it = streams_.find(stream);
    return it == streams_.end() || it->second.closing ? nullptr : it->second.stream.get();
  }
  void Close(StreamId id, const absl::Status& why) {
    AgentStream* stream = Find(id);
    if (stream == nullptr) return;
    streams_[id].closing = true;
    stream->CloseAfterQueue(why);
  }
  void DropAll(const absl::Status& why) {
    observer_ = nullptr;
    for (auto& [id, entry] : streams_) entry.stream->CloseNow(why);
    streams_.clear();
  }

 private:
  struct Entry {
    std::shared_ptr<AgentStream> stream;
    bool hello = false;
    bool closing = false;  // by us: what it still says is not wanted
  };

  void TellOpened(const std::shared_ptr<AgentStream>& stream, const StreamPeer& peer) {
    if (observer_ == nullptr) return;
    const StreamId id = stream->id();
    streams_[id].stream = stream;
    loop_.RunAfter(hello_timeout_, [hub = shared_from_this(), id] {
      const auto it = hub->streams_.find(id);
      if (it == hub->streams_.end() || it->second.hello) return;
      hub->Close(id, absl::DeadlineExceededError(
                         absl::StrCat("no Hello came within ", absl::FormatDuration(hub->hello_timeout_))));
    });
    observer_->OnStreamOpened(id, peer);
  }

  void TellReceived(StreamId id, sync::AgentMessage& message) {
    const auto it = streams_.find(id);
    if (it == streams_.end() || it->second.closing) return;
    const std::shared_ptr<AgentStream> stream = it->second.stream;
    it->second.hello = true;
    observer_->OnAgentMessage(id, std::move(message));
    stream->Handled();
  }

  void TellEnded(StreamId id, const std::string& reason) {
    const auto it = streams_.find(id);
    if (it == streams_.end()) return;
    loop_.RunAfter(kLinger, [stream = std::move(it->second.stream)] { stream->Cancel(); });
    streams_.erase(it);
    observer_->OnStreamClosed(id, reason);
  }

  EventLoop& loop_;
  const absl::Duration hello_timeout_;
  std::atomic<int> open_{0};
  std::atomic<StreamId> last_id_{0};
  // Loop thread only. Streams are there only while there is an observer.
  Observer* observer_ = nullptr;
  std::map<StreamId, Entry> streams_;
};

// The raw form of the method: AgentStream parses, so that it can say what is wrong.
class AgentServer::Service final
    : public agent::v1::AgentService::WithRawCallbackMethod_Connect<agent::v1::AgentService::Service> {
 public:
  Service(std::shared_ptr<Hub> hub, const Options& options) : hub_(std::move(hub)), max_(options.max_streams) {
    limits_ = {.queued_messages = options.max_queued_messages,
               .queued_bytes = options.max_queued_bytes,
               .backlog = options.max_backlog};
  }
  grpc::ServerBidiReactor<grpc::ByteBuffer, grpc::ByteBuffer>* Connect(grpc::CallbackServerContext* context) override {
    if (!hub_->Admit(max_)) {
      return new RefusedStream({grpc::StatusCode::RESOURCE_EXHAUSTED,
                                absl::StrCat("this controller has ", max_, " agents already, its limit")});
    }
    return AgentStream::Open(hub_, hub_->NextId(), limits_, context);
  }

 private:
  const std::shared_ptr<Hub> hub_;
  const int max_;
  StreamLimits limits_;
};

struct AgentServer::Running {
  Running(std::shared_ptr<Hub> hub, const Options& options) : service(std::move(hub), options) {}
  Service service;  // outlives the server
  std::unique_ptr<grpc::Server> server;
  int port = 0;
};

AgentServer::AgentServer(EventLoop& loop, Options options)
    : options_(std::move(options)), hub_(std::make_shared<Hub>(loop, options_.hello_timeout)) {}

AgentServer::~AgentServer() { Shutdown(); }

absl::Status AgentServer::Start(Observer& observer) {
  RaiseFileLimit();
  auto running = std::make_unique<Running>(hub_, options_);
  grpc::ServerBuilder builder;
  builder.SetMaxReceiveMessageSize(static_cast<int>(sync::kMaxAgentMessageBytes));
  // A second controller on the port must fail, not share it.
  builder.AddChannelArgument(GRPC_ARG_ALLOW_REUSEPORT, 0);
  builder.AddChannelArgument(GRPC_ARG_KEEPALIVE_TIME_MS, Milliseconds(options_.keepalive_time));
  builder.AddChannelArgument(GRPC_ARG_KEEPALIVE_TIMEOUT_MS, Milliseconds(options_.keepalive_timeout));
  builder.AddChannelArgument(GRPC_ARG_KEEPALIVE_PERMIT_WITHOUT_CALLS, 1);
  builder.AddChannelArgument(GRPC_ARG_HTTP2_MAX_PINGS_WITHOUT_DATA, 0);
  // Agents ping several times a second; gRPC's default takes that for an attack.
  builder.AddChannelArgument(GRPC_ARG_HTTP2_MIN_RECV_PING_INTERVAL_WITHOUT_DATA_MS, 100);
  builder.AddChannelArgument(GRPC_ARG_HTTP2_MAX_PING_STRIKES, 0);
  // The bound on a message's size must hold for what it becomes, so nothing compressed is taken.
  builder.SetCompressionAlgorithmSupportStatus(GRPC_COMPRESS_DEFLATE, false);
  builder.SetCompressionAlgorithmSupportStatus(GRPC_COMPRESS_GZIP, false);
  builder.AddListeningPort(options_.listen.ToGrpcListen(), options_.credentials, &running->port);
  builder.RegisterService(&running->service);
  hub_->set_observer(&observer);
  running->server = builder.BuildAndStart();
  if (running->server == nullptr || running->port == 0) {
    hub_->set_observer(nullptr);
    return ListenError(options_.listen, "agents");  // gRPC only logs why
  }
  running_ = std::move(running);
  return absl::OkStatus();
}

int AgentServer::port() const { return running_ == nullptr ? 0 : running_->port; }

void AgentServer::Send(StreamId stream, const sync::ControllerMessage& message) {
  if (AgentStream* found = hub_->Find(stream)) found->Send(message);
}

void AgentServer::Close(StreamId stream, const absl::Status& status) { hub_->Close(stream, status); }

void AgentServer::Shutdown() {
  if (running_ == nullptr) return;
  hub_->DropAll(absl::UnavailableError("the controller is shutting down"));
  running_->server->Shutdown(std::chrono::system_clock::now() + std::chrono::milliseconds(200));
  running_->server->Wait();
  running_.reset();
}

}  // namespace berth::push
