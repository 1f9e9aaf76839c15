// SPDX-License-Identifier: Apache-2.0
// tests/contract/admin_harness.h -- the real admin server on a real loop of its own thread, before a fake controller.
//
//   AdminStage stage([](FakeAdminBackend& b) { b.pools["edge"] = {...}; });
//   stage.stub().ListPools(...);                                            // over loopback
//   stage.OnLoop([&](FakeAdminBackend& b) { b.Announce(...); });            // waits until it has run
#ifndef BERTH_TESTS_CONTRACT_ADMIN_HARNESS_H_
#define BERTH_TESTS_CONTRACT_ADMIN_HARNESS_H_

#include <grpcpp/grpcpp.h>

#include <catch2/catch.hpp>
#include <chrono>
#include <functional>
#include <future>
#include <memory>
#include <string>
#include <thread>
#include <utility>

#include "absl/strings/str_cat.h"
#include "berth/admin/v1/admin.grpc.pb.h"
#include "common/base/real_event_loop.h"
#include "controller/admin/admin_server.h"
#include "tests/fakes/fake_admin_backend.h"

namespace berth {

namespace v1 = admin::v1;

inline IpAddr Ip(const std::string& text) { return *IpAddr::Parse(text); }

inline admin::AdminServer::Options LoopbackOptions(int port = 0, int max_watches = 64) {
  admin::AdminServer::Options options;
  options.listen.host = "127.0.0.1";
  options.listen.port = static_cast<std::uint16_t>(port);
  options.credentials = grpc::InsecureServerCredentials();
  options.max_watches = max_watches;
  return options;
}

class AdminStage {
 public:
  explicit AdminStage(const std::function<void(FakeAdminBackend&)>& fill = {}, int max_watches = 64)
      : loop_(*RealEventLoop::Create()), thread_([this] { loop_->Run(); }) {
    OnLoop([&](FakeAdminBackend& backend) {
      if (fill) fill(backend);
      server_ = std::make_unique<admin::AdminServer>(*loop_, backend, LoopbackOptions(0, max_watches));
      started_ = server_->Start();
      port_ = server_->port();
    });
    REQUIRE(started_.ok());
    channel_ = NewChannel();
    stub_ = v1::AdminService::NewStub(channel_);
  }
  ~AdminStage() {
    Shutdown();
    loop_->Stop();
    thread_.join();
  }

  int port() const { return port_; }
  std::string target() const { return absl::StrCat("127.0.0.1:", port_); }
  std::shared_ptr<grpc::Channel> channel() { return channel_; }
  std::shared_ptr<grpc::Channel> NewChannel() {
    grpc::ChannelArguments args;
    args.SetInt(GRPC_ARG_USE_LOCAL_SUBCHANNEL_POOL, 1);
    return grpc::CreateCustomChannel(target(), grpc::InsecureChannelCredentials(), args);
  }
  v1::AdminService::Stub& stub() { return *stub_; }
  RealEventLoop& loop() { return *loop_; }

  void OnLoop(const std::function<void(FakeAdminBackend&)>& task) {
    std::promise<void> done;
    loop_->Post([&] {
      task(backend_);
      done.set_value();
    });
    done.get_future().wait();
  }
  void Shutdown() {
    OnLoop([this](FakeAdminBackend&) { server_.reset(); });
  }

  // A call that hangs is a failure, not a hang.
  static std::unique_ptr<grpc::ClientContext> Context() {
    auto context = std::make_unique<grpc::ClientContext>();
    context->set_deadline(std::chrono::system_clock::now() + std::chrono::seconds(20));
    return context;
  }
  template <typename Request, typename Response>
  grpc::Status Call(grpc::Status (v1::AdminService::Stub::*method)(grpc::ClientContext*, const Request&, Response*),
                    const Request& request, Response& response) {
    return (stub_.get()->*method)(Context().get(), request, &response);
  }

 private:
  FakeAdminBackend backend_;  // of the loop thread
  std::unique_ptr<RealEventLoop> loop_;
  std::unique_ptr<admin::AdminServer> server_;
  absl::Status started_;
  int port_ = 0;
  std::thread thread_;
  std::shared_ptr<grpc::Channel> channel_;
  std::unique_ptr<v1::AdminService::Stub> stub_;
};

// A small cluster: one pool, two Services of which one waits, one address, two agents.
inline void FillSmallCluster(FakeAdminBackend& backend) {
  model::PoolView& pool = backend.pools["eip-pool"];
  pool.name = "eip-pool";
  pool.range = "192.168.50.50-192.168.50.60";
  pool.interface = "eth0";
  pool.used = AddressCount(1);
  pool.total = AddressCount(11);

  model::ServiceView& web = backend.services[{"default", "web"}];
  web.id = {"default", "web"};
  web.protocol = model::Protocol::kLayer2;
  web.pools = {"eip-pool"};
  web.addresses = {Ip("192.168.50.50")};
  web.state = model::ServiceState::kAssigned;
  web.ports = {"80/TCP"};
  model::ServiceView& waits = backend.services[{"default", "waits"}];
  waits.id = {"default", "waits"};
  waits.reason = "PoolNotFound";
  waits.message = "there is no Eip called \"lab\"; create it or change the annotation";

  model::AddressView& address = backend.addresses[Ip("192.168.50.50")];
  address.address = Ip("192.168.50.50");
  address.pool = "eip-pool";
  address.services = {{"default", "web"}};
  address.holder = "node1";
  address.candidates = {"node1"};
  address.state = model::AddressState::kAnnounced;
  address.since = absl::FromUnixSeconds(1767323045);
  address.refusals = {"node2: interface eth0 has no carrier"};

  for (const char* node : {"node1", "node2"}) {
    model::AgentView& agent = backend.agents[node];
    agent.node = node;
    agent.version = "0.1.0";
    agent.state = model::AgentState::kReady;
    agent.last_heartbeat = absl::FromUnixSeconds(1767323045);
  }
  backend.agents["node1"].announced = {Ip("192.168.50.50")};
  backend.status = {.leader = true,
                    .synced = true,
                    .started = true,
                    .leader_name = "ctl-1",
                    .term = 3,
                    .problems = {"web.yaml:12: unknown protocol \"bpg\""}};
}

}  // namespace berth

#endif  // BERTH_TESTS_CONTRACT_ADMIN_HARNESS_H_
