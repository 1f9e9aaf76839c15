// SPDX-License-Identifier: Apache-2.0
// The admin API as a client over loopback finds it.
#include <condition_variable>
#include <mutex>
#include <vector>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "common/base/build_info.h"
#include "tests/contract/admin_harness.h"

namespace berth {
namespace {

using Stub = v1::AdminService::Stub;

// Says `request`, in protobuf's bytes, to a method whose messages this program has no code for; returns the bytes of
// the first answer.
std::string Ask(AdminStage& stage, const char* method, const std::string& request) {
  using Stream = grpc::ClientReaderWriter<grpc::ByteBuffer, grpc::ByteBuffer>;
  const auto context = AdminStage::Context();
  const grpc::internal::RpcMethod rpc(method, grpc::internal::RpcMethod::BIDI_STREAMING);
  const auto channel = stage.channel();
  const std::unique_ptr<Stream> stream(
      grpc::internal::ClientReaderWriterFactory<grpc::ByteBuffer, grpc::ByteBuffer>::Create(channel.get(), rpc,
                                                                                            context.get()));
  const grpc::Slice slice(request);
  stream->WriteLast(grpc::ByteBuffer(&slice, 1), grpc::WriteOptions());
  grpc::ByteBuffer answer;
  if (!stream->Read(&answer)) return absl::StrCat("no answer: ", stream->Finish().error_message());
  (void)stream->Finish();
  grpc::Slice whole;
  (void)answer.DumpToSingleSlice(&whole);
  return {reinterpret_cast<const char*>(whole.begin()), whole.size()};
}

// A field of length-delimited type with a number below 16 and less than 128 bytes.
std::string Field(int number, const std::string& value) {
  std::string bytes(1, static_cast<char>(number << 3 | 2));
  bytes.push_back(static_cast<char>(value.size()));
  return bytes.append(value);
}

// A loop that runs nothing: what is posted to it waits for ever.
class DeafLoop final : public EventLoop {
 public:
  void AwaitPosted(std::size_t count) {
    std::unique_lock lock(mutex_);
    changed_.wait(lock, [&] { return posted_.size() >= count; });
  }
  absl::Time Now() const override { return absl::UnixEpoch(); }
  absl::Time WallNow() const override { return absl::UnixEpoch(); }
  void Post(std::function<void()> task) override {
    const std::lock_guard lock(mutex_);
    posted_.push_back(std::move(task));
    changed_.notify_all();
  }
  TimerId RunAt(absl::Time, std::function<void()>) override { return 1; }
  void Cancel(TimerId) override {}
  absl::Status WatchFd(int, std::uint32_t, std::function<void(std::uint32_t)>) override {
    return absl::UnimplementedError("runs nothing");
  }
  void UnwatchFd(int) override {}

 private:
  std::mutex mutex_;
  std::condition_variable changed_;
  std::vector<std::function<void()>> posted_;
};

TEST_CASE("lists answer what the controller knows", "[contract]") {
  AdminStage stage(FillSmallCluster);
  v1::ListPoolsResponse pools;
  REQUIRE(stage.Call(&Stub::ListPools, v1::ListPoolsRequest(), pools).ok());
  REQUIRE(pools.pools_size() == 1);
  CHECK(pools.pools(0).name() == "eip-pool");
  CHECK(pools.pools(0).used() == "1");
  CHECK(pools.pools(0).total() == "11");
  CHECK(pools.next_page_token().empty());

  v1::ListServicesResponse services;
  REQUIRE(stage.Call(&Stub::ListServices, v1::ListServicesRequest(), services).ok());
  REQUIRE(services.services_size() == 2);
  CHECK(services.services(0).name() == "waits");
  CHECK(services.services(0).state() == v1::Service::PENDING);
  CHECK(services.services(1).addresses(0) == "192.168.50.50");

  v1::ListAddressesResponse addresses;
  REQUIRE(stage.Call(&Stub::ListAddresses, v1::ListAddressesRequest(), addresses).ok());
  REQUIRE(addresses.addresses_size() == 1);
  CHECK(addresses.addresses(0).holder() == "node1");
  CHECK(addresses.addresses(0).since().seconds() == 1767323045);

  v1::ListAgentsResponse agents;
  REQUIRE(stage.Call(&Stub::ListAgents, v1::ListAgentsRequest(), agents).ok());
  REQUIRE(agents.agents_size() == 2);
  CHECK(agents.agents(0).state() == v1::Agent::READY);
}

TEST_CASE("explanations bring the other half along", "[contract]") {
  AdminStage stage(FillSmallCluster);
  v1::ExplainServiceRequest about_service;
  about_service.set_namespace_("default");
  about_service.set_name("web");
  v1::ExplainServiceResponse service;
  REQUIRE(stage.Call(&Stub::ExplainService, about_service, service).ok());
  CHECK(service.service().state() == v1::Service::ASSIGNED);
  REQUIRE(service.addresses_size() == 1);
  CHECK(service.addresses(0).refusals(0) == "node2: interface eth0 has no carrier");

  v1::ExplainAddressRequest about_address;
  about_address.set_address("192.168.50.50");
  v1::ExplainAddressResponse address;
  REQUIRE(stage.Call(&Stub::ExplainAddress, about_address, address).ok());
  CHECK(address.address().holder() == "node1");
  REQUIRE(address.services_size() == 1);
  CHECK(address.services(0).name() == "web");
}

TEST_CASE("version and dump tell what the controller is doing", "[contract]") {
  AdminStage stage(FillSmallCluster);
  v1::GetVersionResponse version;
  REQUIRE(stage.Call(&Stub::GetVersion, v1::GetVersionRequest(), version).ok());
  CHECK_FALSE(version.version().empty());
  CHECK_FALSE(version.commit().empty());
  CHECK(version.status().leader());
  CHECK(version.status().term() == 3);
  CHECK(version.status().problems(0) == "web.yaml:12: unknown protocol \"bpg\"");

  v1::DumpResponse dump;
  REQUIRE(stage.Call(&Stub::Dump, v1::DumpRequest(), dump).ok());
  CHECK(dump.time().seconds() > 1700000000);
  CHECK(dump.services_size() == 2);
  CHECK(dump.agents_size() == 2);
}

TEST_CASE("errors have the code and name the object", "[contract]") {
  AdminStage stage(FillSmallCluster);
  v1::ExplainServiceRequest service;
  service.set_namespace_("default");
  service.set_name("nothing");
  v1::ExplainServiceResponse explained;
  grpc::Status status = stage.Call(&Stub::ExplainService, service, explained);
  CHECK(status.error_code() == grpc::StatusCode::NOT_FOUND);
  CHECK(absl::StrContains(status.error_message(), "default/nothing"));
  service.set_name("No Name");
  status = stage.Call(&Stub::ExplainService, service, explained);
  CHECK(status.error_code() == grpc::StatusCode::INVALID_ARGUMENT);
  CHECK(absl::StrContains(status.error_message(), "No Name"));

  v1::ExplainAddressRequest address;
  v1::ExplainAddressResponse explained_address;
  address.set_address("192.168.50.51");
  CHECK(stage.Call(&Stub::ExplainAddress, address, explained_address).error_code() == grpc::StatusCode::NOT_FOUND);
  address.set_address("192.168.50");
  status = stage.Call(&Stub::ExplainAddress, address, explained_address);
  CHECK(status.error_code() == grpc::StatusCode::INVALID_ARGUMENT);
  CHECK(absl::StrContains(status.error_message(), "192.168.50"));

  v1::ListPoolsRequest list;
  v1::ListPoolsResponse pools;
  list.set_page_size(-1);
  CHECK(stage.Call(&Stub::ListPools, list, pools).error_code() == grpc::StatusCode::INVALID_ARGUMENT);
  list.set_page_size(0);
  list.set_page_token("made-up");
  CHECK(stage.Call(&Stub::ListPools, list, pools).error_code() == grpc::StatusCode::INVALID_ARGUMENT);
}

TEST_CASE("orders that this controller cannot follow are declined in words", "[contract]") {
  AdminStage stage(FillSmallCluster);
  v1::MoveAddressRequest move;
  move.set_address("192.168.50.50");
  v1::MoveAddressResponse moved;
  CHECK(stage.Call(&Stub::MoveAddress, move, moved).error_code() == grpc::StatusCode::INVALID_ARGUMENT);
  stage.OnLoop([](FakeAdminBackend& backend) {
    backend.refuse = absl::FailedPreconditionError("this controller is a standby: b leads");
  });
  v1::DrainNodeRequest drain;
  drain.set_node("node1");
  v1::DrainNodeResponse drained;
  const grpc::Status status = stage.Call(&Stub::DrainNode, drain, drained);
  CHECK(status.error_code() == grpc::StatusCode::FAILED_PRECONDITION);
  CHECK(status.error_message() == "this controller is a standby: b leads");
}

// A doctor was called, and waits for its examination.
struct HeldDoctor {
  HeldDoctor() {
    stage.OnLoop([](FakeAdminBackend& backend) { backend.hold_examinations = true; });
    stage.stub().async()->Doctor(context.get(), &request, &found,
                                 [this](grpc::Status status) { answered.set_value(std::move(status)); });
  }
  // Outlive the stage, which ends the call.
  std::promise<grpc::Status> answered;
  const decltype(AdminStage::Context()) context = AdminStage::Context();
  const v1::DoctorRequest request;
  v1::DoctorResponse found;
  AdminStage stage{FillSmallCluster};
};

TEST_CASE("the doctor answers when the examination is done, and judges by what is so then", "[contract]") {
  HeldDoctor held;
  AdminStage& stage = held.stage;
  for (bool begun = false; !begun;) {
    v1::GetVersionResponse version;  // other calls are answered meanwhile
    REQUIRE(stage.Call(&Stub::GetVersion, v1::GetVersionRequest(), version).ok());
    stage.OnLoop([&](FakeAdminBackend& backend) { begun = !backend.examining.empty(); });
  }
  stage.OnLoop([](FakeAdminBackend& backend) {
    backend.services.clear();
    backend.status.problems.clear();
    backend.agents.at("node1").version = backend.agents.at("node2").version = std::string(BuildVersion());
    backend.agents.at("node2").findings = {{sync::NodeFinding::Severity::kWarning, "it is slow", "a faster one"}};
    backend.census.announced = 300;
    backend.census.asked = 256;
    backend.census.addresses = {{Ip("192.168.50.50"), "node1", {{"node2", true, {}, ""}}}};
    backend.AnswerExaminations();
  });
  REQUIRE(held.answered.get_future().get().ok());
  const v1::DoctorResponse& found = held.found;
  CHECK(found.announced() == 300);
  CHECK(found.asked() == 256);
  REQUIRE(found.findings_size() == 2);
  CHECK(found.findings(0).severity() == v1::DoctorResponse::Finding::ERROR);
  CHECK(found.findings(0).object() == "agent node1");
  CHECK(absl::StrContains(found.findings(0).message(), "hears no answer"));
  CHECK(found.findings(1).severity() == v1::DoctorResponse::Finding::WARNING);
  CHECK(found.findings(1).object() == "agent node2");
  CHECK(found.findings(1).message() == "it is slow");
  CHECK(found.findings(1).cure() == "a faster one");
}

TEST_CASE("a doctor that waits for its examination is ended by the shutdown", "[contract]") {
  HeldDoctor held;
  AdminStage& stage = held.stage;
  for (bool begun = false; !begun;) {
    stage.OnLoop([&](FakeAdminBackend& backend) { begun = !backend.examining.empty(); });
  }
  stage.Shutdown();
  CHECK(held.answered.get_future().get().error_code() == grpc::StatusCode::UNAVAILABLE);
  stage.OnLoop([](FakeAdminBackend& backend) { backend.AnswerExaminations(); });  // too late, and no harm
}

TEST_CASE("orders reach the controller, and come back with what they do", "[contract]") {
  AdminStage stage(FillSmallCluster);
  v1::DrainNodeRequest drain;
  drain.set_node("node1");
  v1::DrainNodeResponse drained;
  REQUIRE(stage.Call(&Stub::DrainNode, drain, drained).ok());
  CHECK(drained.agent().node() == "node1");
  CHECK(drained.staying_size() == 1);
  v1::UndrainNodeRequest undrain;
  undrain.set_node("node1");
  v1::UndrainNodeResponse undrained;
  REQUIRE(stage.Call(&Stub::UndrainNode, undrain, undrained).ok());
  v1::MoveAddressRequest move;
  move.set_address("192.168.50.50");
  move.set_node("node2");
  v1::MoveAddressResponse moved;
  REQUIRE(stage.Call(&Stub::MoveAddress, move, moved).ok());
  CHECK(moved.address().holder() == "node1");
  v1::RebalanceRequest rebalance;
  rebalance.set_dry_run(true);
  v1::RebalanceResponse planned;
  REQUIRE(stage.Call(&Stub::Rebalance, rebalance, planned).ok());
  stage.OnLoop([](FakeAdminBackend& backend) {
    CHECK(backend.orders ==
          std::vector<std::string>{"drain node1", "undrain node1", "move 192.168.50.50 node2", "rebalance --dry-run"});
  });
}

TEST_CASE("ten thousand addresses come in pages, in order, each once", "[contract]") {
  constexpr std::uint32_t kFirst = 0x0A000000;
  constexpr std::uint32_t kCount = 10000;
  AdminStage stage([](FakeAdminBackend& backend) {
    for (std::uint32_t i = 0; i < kCount; ++i) {
      const IpAddr address = IpAddr::V4(kFirst + i);
      model::AddressView& view = backend.addresses[address];
      view.address = address;
      view.services = {{"default", absl::StrCat("web-", i)}};
    }
  });
  v1::ListAddressesRequest request;
  request.set_page_size(3000);
  std::uint32_t seen = 0;
  int pages = 0;
  do {
    v1::ListAddressesResponse page;
    REQUIRE(stage.Call(&Stub::ListAddresses, request, page).ok());
    for (const v1::Address& address : page.addresses()) {
      REQUIRE(address.address() == IpAddr::V4(kFirst + seen).ToString());
      ++seen;
    }
    request.set_page_token(page.next_page_token());
    ++pages;
  } while (!request.page_token().empty());
  CHECK(seen == kCount);
  CHECK(pages == 4);
}

TEST_CASE("reflection lists the admin service and hands out its description", "[contract]") {
  AdminStage stage;
  constexpr char kMethod[] = "/grpc.reflection.v1alpha.ServerReflection/ServerReflectionInfo";
  const std::string services = Ask(stage, kMethod, Field(7, "*"));  // list_services
  CHECK(absl::StrContains(services, "berth.admin.v1.AdminService"));
  CHECK(absl::StrContains(services, "grpc.health.v1.Health"));
  const std::string file = Ask(stage, kMethod, Field(4, "berth.admin.v1.AdminService"));  // file_containing_symbol
  CHECK(absl::StrContains(file, "berth/admin/v1/admin.proto"));
  CHECK(absl::StrContains(file, "ExplainService"));
}

TEST_CASE("the health service says SERVING, for the server and for the admin service", "[contract]") {
  AdminStage stage;
  constexpr char kMethod[] = "/grpc.health.v1.Health/Check";
  const std::string kServing("\x08\x01");  // field 1, status: SERVING
  CHECK(Ask(stage, kMethod, "") == kServing);
  CHECK(Ask(stage, kMethod, Field(1, "berth.admin.v1.AdminService")) == kServing);
  CHECK(Ask(stage, kMethod, Field(1, "berth.admin.v1.Other")) != kServing);
}

TEST_CASE("a second controller on the port is told why it cannot listen", "[contract]") {
  AdminStage stage;
  absl::Status second;
  stage.OnLoop([&](FakeAdminBackend& backend) {
    admin::AdminServer server(stage.loop(), backend, LoopbackOptions(stage.port()));
    second = server.Start();
    CHECK(server.port() == 0);
  });
  CHECK(second.code() == absl::StatusCode::kUnavailable);
  CHECK(absl::StrContains(second.message(), stage.target()));
  CHECK(absl::StrContains(second.message(), "Address already in use"));
  // The first one is none the worse for it.
  v1::GetVersionResponse version;
  CHECK(stage.Call(&Stub::GetVersion, v1::GetVersionRequest(), version).ok());
}

TEST_CASE("a request that is too large is refused, and the server goes on", "[contract]") {
  AdminStage stage(FillSmallCluster);
  v1::ExplainServiceRequest huge;
  huge.set_name(std::string(1 << 20, 'a'));
  v1::ExplainServiceResponse response;
  CHECK(stage.Call(&Stub::ExplainService, huge, response).error_code() == grpc::StatusCode::RESOURCE_EXHAUSTED);
  v1::GetVersionResponse version;
  CHECK(stage.Call(&Stub::GetVersion, v1::GetVersionRequest(), version).ok());
}

TEST_CASE("calls that the loop has not answered are ended by the shutdown", "[contract]") {
  DeafLoop loop;
  FakeAdminBackend backend;
  admin::AdminServer server(loop, backend, LoopbackOptions());
  REQUIRE(server.Start().ok());
  const auto stub = v1::AdminService::NewStub(
      grpc::CreateChannel(absl::StrCat("127.0.0.1:", server.port()), grpc::InsecureChannelCredentials()));
  const auto watch_context = AdminStage::Context();
  const auto watch = stub->Watch(watch_context.get(), v1::WatchRequest());
  std::promise<grpc::Status> answered;
  const auto context = AdminStage::Context();
  v1::GetVersionRequest request;
  v1::GetVersionResponse response;
  stub->async()->GetVersion(context.get(), &request, &response,
                            [&](grpc::Status status) { answered.set_value(std::move(status)); });
  loop.AwaitPosted(2);
  server.Shutdown();
  CHECK(answered.get_future().get().error_code() == grpc::StatusCode::UNAVAILABLE);
  v1::Change change;
  CHECK_FALSE(watch->Read(&change));
  CHECK(watch->Finish().error_code() == grpc::StatusCode::UNAVAILABLE);
}

}  // namespace
}  // namespace berth
