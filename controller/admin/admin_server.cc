// SPDX-License-Identifier: Apache-2.0
#include "controller/admin/admin_server.h"

#include <grpcpp/ext/proto_server_reflection_plugin.h>
#include <grpcpp/grpcpp.h>
#include <grpcpp/health_check_service_interface.h>

#include <chrono>
#include <functional>
#include <map>
#include <mutex>
#include <set>
#include <string>
#include <utility>

#include "absl/strings/str_cat.h"
#include "berth/admin/v1/admin.grpc.pb.h"
#include "common/base/listen_error.h"
#include "controller/admin/admin_calls.h"
#include "controller/admin/watch_stream.h"

namespace berth::admin {
namespace {

// Requests hold a few names; a dump of the largest cluster stays below this by far.
constexpr int kMaxRequestBytes = 64 << 10;
constexpr int kMaxResponseBytes = 64 << 20;
constexpr int kMaxCallsPerConnection = 256;
// How long calls that were told to end may take before they are broken.
constexpr std::chrono::milliseconds kLinger(200);
// How long an answer waits until the order is on record; a disk or an API server that takes longer is in trouble.
constexpr absl::Duration kRecordWait = absl::Seconds(2);

grpc::Status ToGrpc(const absl::Status& status) {
  if (status.ok()) return grpc::Status::OK;
  return {static_cast<grpc::StatusCode>(status.code()), std::string(status.message())};
}

std::string UnrecordedText(const absl::Status& why) {
  return absl::StrCat("the order is obeyed, but not on record yet, and forgotten if the controller ends before: ",
                      why.message());
}

grpc::Status GoingDown() {
  return {grpc::StatusCode::UNAVAILABLE, "the controller is shutting down; ask again, or another one"};
}

}  // namespace

// Carries calls from gRPC's threads to the loop. Tasks that are still posted when the server is gone keep the hub alive
// and find that their call was ended.
class AdminServer::Hub final : public std::enable_shared_from_this<Hub> {
 public:
  using AnswerCall = std::function<absl::Status(const CallContext&)>;

  Hub(EventLoop& loop, model::AdminBackend& backend, int max_watches)
      : loop_(loop), backend_(backend), max_watches_(max_watches) {}

  // gRPC's threads.
  void Call(grpc::ServerUnaryReactor* reactor, AnswerCall answer) {
    Take(reactor, [this, reactor, answer = std::move(answer)] { Run(reactor, answer); });
  }
  // Answered once the order is on record; `unrecorded` says in the answer why it is not, when that takes too long.
  using Unrecorded = std::function<void(const absl::Status&)>;
  void Order(grpc::ServerUnaryReactor* reactor, AnswerCall answer, Unrecorded unrecorded) {
    Take(reactor, [this, reactor, answer = std::move(answer), unrecorded = std::move(unrecorded)] {
      RunOrder(reactor, answer, unrecorded);
    });
  }
  using AnswerExamined = std::function<void(const CallContext&, const model::LanCensus&)>;
  void Examine(grpc::ServerUnaryReactor* reactor, AnswerExamined answer) {
    Take(reactor, [this, reactor, answer = std::move(answer)] { BeginExamine(reactor, answer); });
  }
  grpc::ServerWriteReactor<v1::Change>* Watch(bool send_initial) {
    const std::shared_ptr<WatchStream> stream = WatchStream::Open();
    const grpc::Status refusal = Admit(stream);
    if (!refusal.ok()) {
      stream->End(refusal);
      return stream.get();
    }
    WatchStream* const raw = stream.get();
    stream->set_on_gone([hub = shared_from_this(), raw] { hub->loop_.Post([hub, raw] { hub->Forget(raw); }); });
    loop_.Post([hub = shared_from_this(), stream, send_initial] { hub->Begin(stream, send_initial); });
    return raw;
  }

  // Loop thread. Calls that come later are turned away, and those that wait are ended.
  void Close() {
    std::set<grpc::ServerUnaryReactor*> calls;
    std::map<WatchStream*, Watcher> watchers;
    {
      const std::lock_guard lock(mutex_);
      closed_ = true;
      calls.swap(calls_);
      watchers.swap(watchers_);
    }
    for (grpc::ServerUnaryReactor* reactor : calls) reactor->Finish(GoingDown());
    for (auto& [raw, watcher] : watchers) {
      if (watcher.subscribed) backend_.Unsubscribe(watcher.subscription);
      watcher.stream->End(GoingDown());
    }
  }

 private:
  struct Watcher {
    std::shared_ptr<WatchStream> stream;
    bool subscribed = false;
    std::uint64_t subscription = 0;
  };

  bool Admit(grpc::ServerUnaryReactor* reactor) {
    const std::lock_guard lock(mutex_);
    return !closed_ && calls_.insert(reactor).second;
  }
  // Has the loop do `task`, which ends the call or sees to it; unless the server is closed.
  void Take(grpc::ServerUnaryReactor* reactor, std::function<void()> task) {
    if (!Admit(reactor)) return reactor->Finish(GoingDown());
    loop_.Post([hub = shared_from_this(), task = std::move(task)] { task(); });
  }
  grpc::Status Admit(const std::shared_ptr<WatchStream>& stream) {
    const std::lock_guard lock(mutex_);
    if (closed_) return GoingDown();
    if (watchers_.size() >= static_cast<std::size_t>(max_watches_)) {
      return {grpc::StatusCode::RESOURCE_EXHAUSTED,
              absl::StrCat("this controller has ", max_watches_, " watches already, its limit; end one of them")};
    }
    watchers_[stream.get()].stream = stream;
    return grpc::Status::OK;
  }

  bool Listed(grpc::ServerUnaryReactor* reactor) {
    const std::lock_guard lock(mutex_);
    return calls_.contains(reactor);
  }
  bool Unlist(grpc::ServerUnaryReactor* reactor) {
    const std::lock_guard lock(mutex_);
    return calls_.erase(reactor) != 0;
  }

  void Run(grpc::ServerUnaryReactor* reactor, const AnswerCall& answer) {
    if (Unlist(reactor)) reactor->Finish(ToGrpc(answer({backend_, loop_.WallNow()})));
  }

  // Calls stay listed until the backend has their answer: a shutdown meanwhile ends them like any other.
  void RunOrder(grpc::ServerUnaryReactor* reactor, const AnswerCall& answer, const Unrecorded& unrecorded) {
    if (!Listed(reactor)) return;
    const absl::Status status = answer({backend_, loop_.WallNow()});
    if (!status.ok()) return Run(reactor, [&](const CallContext&) { return status; });
    const auto finish = [hub = shared_from_this(), reactor, unrecorded,
                         open = std::make_shared<bool>(true)](const absl::Status& recorded) {
      if (!std::exchange(*open, false)) return;  // there may be another call at that place by now
      hub->Run(reactor, [&](const CallContext&) {
        if (!recorded.ok()) unrecorded(recorded);
        return absl::OkStatus();
      });
    };
    loop_.RunAfter(kRecordWait, [finish] { finish(absl::DeadlineExceededError("it takes long")); });
    backend_.WhenDrainsRecorded(finish);
  }
  void BeginExamine(grpc::ServerUnaryReactor* reactor, const AnswerExamined& answer) {
    if (!Listed(reactor)) return;
    backend_.Examine([hub = shared_from_this(), reactor, answer](const model::LanCensus& census) {
      hub->Run(reactor, [&](const CallContext& call) {
        answer(call, census);
        return absl::OkStatus();
      });
    });
  }

  void Begin(const std::shared_ptr<WatchStream>& stream, bool send_initial) {
    {
      const std::lock_guard lock(mutex_);
      if (watchers_.count(stream.get()) == 0) return;
    }
    stream->Begin(Everything(backend_), send_initial);
    const std::uint64_t subscription =
        backend_.Subscribe([stream](const std::vector<model::ChangeView>& changes) { stream->Tell(changes); });
    const std::lock_guard lock(mutex_);
    Watcher& watcher = watchers_[stream.get()];
    watcher.subscribed = true;
    watcher.subscription = subscription;
  }

  void Forget(WatchStream* raw) {
    Watcher watcher;
    {
      const std::lock_guard lock(mutex_);
      const auto found = watchers_.find(raw);
      if (found == watchers_.end()) return;
      watcher = std::move(found->second);
      watchers_.erase(found);
    }
    if (watcher.subscribed) backend_.Unsubscribe(watcher.subscription);
  }

  EventLoop& loop_;
  model::AdminBackend& backend_;  // only while a call or watcher is listed below
  const int max_watches_;

  std::mutex mutex_;  // guards what follows; entries leave on the loop thread only
  bool closed_ = false;
  std::set<grpc::ServerUnaryReactor*> calls_;  // not answered yet
  std::map<WatchStream*, Watcher> watchers_;
};

class AdminServer::Service final : public v1::AdminService::CallbackService {
 public:
  explicit Service(std::shared_ptr<Hub> hub) : hub_(std::move(hub)) {}

  using Context = grpc::CallbackServerContext;
  using Reactor = grpc::ServerUnaryReactor;
  Reactor* ListPools(Context* c, const v1::ListPoolsRequest* q, v1::ListPoolsResponse* r) override {
    return Handle(c, q, r);
  }
  Reactor* ListServices(Context* c, const v1::ListServicesRequest* q, v1::ListServicesResponse* r) override {
    return Handle(c, q, r);
  }
  Reactor* ListAddresses(Context* c, const v1::ListAddressesRequest* q, v1::ListAddressesResponse* r) override {
    return Handle(c, q, r);
  }
  Reactor* ListAgents(Context* c, const v1::ListAgentsRequest* q, v1::ListAgentsResponse* r) override {
    return Handle(c, q, r);
  }
  Reactor* ExplainService(Context* c, const v1::ExplainServiceRequest* q, v1::ExplainServiceResponse* r) override {
    return Handle(c, q, r);
  }
  Reactor* ExplainAddress(Context* c, const v1::ExplainAddressRequest* q, v1::ExplainAddressResponse* r) override {
    return Handle(c, q, r);
  }
  Reactor* DrainNode(Context* c, const v1::DrainNodeRequest* q, v1::DrainNodeResponse* r) override {
    return HandleOrder(c, q, r);
  }
  Reactor* UndrainNode(Context* c, const v1::UndrainNodeRequest* q, v1::UndrainNodeResponse* r) override {
    return HandleOrder(c, q, r);
  }
  Reactor* MoveAddress(Context* c, const v1::MoveAddressRequest* q, v1::MoveAddressResponse* r) override {
    return Handle(c, q, r);
  }
  Reactor* Rebalance(Context* c, const v1::RebalanceRequest* q, v1::RebalanceResponse* r) override {
    return Handle(c, q, r);
  }
  Reactor* Doctor(Context* c, const v1::DoctorRequest*, v1::DoctorResponse* r) override {
    Reactor* reactor = c->DefaultReactor();
    hub_->Examine(reactor,
                  [r](const CallContext& call, const model::LanCensus& census) { Diagnose(call, census, *r); });
    return reactor;
  }
  Reactor* Dump(Context* c, const v1::DumpRequest* q, v1::DumpResponse* r) override { return Handle(c, q, r); }
  Reactor* GetVersion(Context* c, const v1::GetVersionRequest* q, v1::GetVersionResponse* r) override {
    return Handle(c, q, r);
  }
  grpc::ServerWriteReactor<v1::Change>* Watch(Context*, const v1::WatchRequest* request) override {
    return hub_->Watch(request->send_initial());
  }

 private:
  // Request and response live until the reactor has finished.
  template <typename Request, typename Response>
  Reactor* Handle(Context* context, const Request* request, Response* response) {
    Reactor* reactor = context->DefaultReactor();
    hub_->Call(reactor, [request, response](const CallContext& call) { return Answer(call, *request, *response); });
    return reactor;
  }
  template <typename Request, typename Response>
  Reactor* HandleOrder(Context* context, const Request* request, Response* response) {
    Reactor* reactor = context->DefaultReactor();
    hub_->Order(
        reactor, [request, response](const CallContext& call) { return Answer(call, *request, *response); },
        [response](const absl::Status& why) { response->set_warning(UnrecordedText(why)); });
    return reactor;
  }

  const std::shared_ptr<Hub> hub_;
};

struct AdminServer::Running {
  explicit Running(std::shared_ptr<Hub> hub) : service(std::move(hub)) {}
  Service service;  // outlives the server
  std::unique_ptr<grpc::Server> server;
  int port = 0;
};

AdminServer::AdminServer(EventLoop& loop, model::AdminBackend& backend, Options options)
    : options_(std::move(options)), hub_(std::make_shared<Hub>(loop, backend, options_.max_watches)) {}

AdminServer::~AdminServer() { Shutdown(); }

absl::Status AdminServer::Start() {
  auto running = std::make_unique<Running>(hub_);
  // Both work through the builder that is made next.
  grpc::EnableDefaultHealthCheckService(true);
  grpc::reflection::InitProtoReflectionServerBuilderPlugin();
  grpc::ServerBuilder builder;
  builder.SetMaxReceiveMessageSize(kMaxRequestBytes);
  builder.SetMaxSendMessageSize(kMaxResponseBytes);
  builder.AddChannelArgument(GRPC_ARG_MAX_CONCURRENT_STREAMS, kMaxCallsPerConnection);
  // A second controller on the port must fail, not share it.
  builder.AddChannelArgument(GRPC_ARG_ALLOW_REUSEPORT, 0);
  // Reflection is the only service that needs threads of its own; a few do.
  builder.SetSyncServerOption(grpc::ServerBuilder::NUM_CQS, 1);
  builder.SetSyncServerOption(grpc::ServerBuilder::MAX_POLLERS, 2);
  builder.AddListeningPort(options_.listen.ToGrpcListen(), options_.credentials, &running->port);
  builder.RegisterService(&running->service);
  running->server = builder.BuildAndStart();
  if (running->server == nullptr || running->port == 0) return ListenError(options_.listen, "admin calls");
  if (grpc::HealthCheckServiceInterface* health = running->server->GetHealthCheckService()) {
    health->SetServingStatus(v1::AdminService::service_full_name(), true);
  }
  running_ = std::move(running);
  return absl::OkStatus();
}

int AdminServer::port() const { return running_ == nullptr ? 0 : running_->port; }

void AdminServer::Shutdown() {
  if (running_ == nullptr) return;
  hub_->Close();
  running_->server->Shutdown(std::chrono::system_clock::now() + kLinger);
  running_->server->Wait();
  running_.reset();
}

}  // namespace berth::admin
