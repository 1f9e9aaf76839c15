// SPDX-License-Identifier: Apache-2.0
// The stream between controller and agents when one of them, or somebody else, does not behave.
#include <netinet/in.h>
#include <sys/socket.h>
#include <unistd.h>

#include <catch2/catch.hpp>
#include <string>

#include "agent/link/controller_codec.h"
#include "berth/agent/v1/agent.grpc.pb.h"
#include "common/sync/wire.h"
#include "tests/contract/agent_stream_harness.h"

namespace berth {
namespace {

// A listener or a client with no idea of gRPC.
class TcpSocket {
 public:
  TcpSocket() : fd_(socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0)) { REQUIRE(fd_ >= 0); }
  ~TcpSocket() { close(fd_); }
  HostPort Listen() {
    sockaddr_in address = Loopback(0);
    socklen_t length = sizeof(address);
    REQUIRE(bind(fd_, reinterpret_cast<sockaddr*>(&address), length) == 0);
    REQUIRE(listen(fd_, 16) == 0);
    REQUIRE(getsockname(fd_, reinterpret_cast<sockaddr*>(&address), &length) == 0);
    return {"127.0.0.1", ntohs(address.sin_port)};
  }
  void Connect(int port) {
    const sockaddr_in address = Loopback(port);
    REQUIRE(connect(fd_, reinterpret_cast<const sockaddr*>(&address), sizeof(address)) == 0);
  }
  void Write(const std::string& bytes) { send(fd_, bytes.data(), bytes.size(), MSG_NOSIGNAL); }
  // Reads until the other side closes.
  void AwaitEnd() {
    char buffer[4096];
    while (recv(fd_, buffer, sizeof(buffer), 0) > 0) {
    }
  }

 private:
  static sockaddr_in Loopback(int port) {
    sockaddr_in address{};
    address.sin_family = AF_INET;
    address.sin_port = htons(static_cast<std::uint16_t>(port));
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    return address;
  }
  const int fd_;
};

std::string Bytes(const sync::AgentMessage& message) { return agent::ToProto(message).SerializeAsString(); }

sync::Hello SomeHello() {
  sync::Hello hello;
  hello.node = "raw";
  hello.instance_id = "raw-1";
  return hello;
}

// An agent that must notice nothing of what happens beside it.
struct Bystander {
  explicit Bystander(Stage& on_stage, Controller& on)
      : stage(on_stage), controller(on), agent(on_stage, "by", on.endpoint()) {
    REQUIRE(stage.Await([&] { return controller.said_hello() == 1; }));
    id = controller.streams.begin()->first;
  }
  void CheckUndisturbed() {
    controller.server.Send(id, sync::Cleanup{1});
    CHECK(stage.Await([&] { return agent.messages.size() == 1; }));
    CHECK(agent.downs.empty());
    CHECK_FALSE(controller.streams[id].closed.has_value());
  }
  Stage& stage;
  Controller& controller;
  Agent agent;
  push::StreamId id = 0;
};

TEST_CASE("bytes that are no gRPC leave the other streams alone", "[contract]") {
  Stage stage;
  Controller controller(stage);
  Bystander bystander(stage, controller);
  for (const std::string& bytes : {std::string(100'000, '\xff'), std::string("GET / HTTP/1.1\r\nHost: x\r\n\r\n"),
                                   std::string("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n") + std::string(5000, '\x01')}) {
    TcpSocket socket;
    socket.Connect(controller.server.port());
    socket.Write(bytes);
    socket.AwaitEnd();
  }
  bystander.CheckUndisturbed();
  CHECK(controller.streams.size() == 1);
}

TEST_CASE("a message that is none is refused by its number", "[contract]") {
  Stage stage;
  Controller controller(stage);
  Bystander bystander(stage, controller);
  RawClient raw(controller.endpoint());
  REQUIRE(raw.Write(Bytes(SomeHello())));
  REQUIRE(raw.Write("\xff\xff\xff garbage"));
  const grpc::Status status = raw.End();
  CHECK(status.error_code() == grpc::StatusCode::INVALID_ARGUMENT);
  CHECK(status.error_message() == "message 2 of the stream is no berth.agent.v1.AgentMessage");
  bystander.CheckUndisturbed();
  REQUIRE(stage.Await([&] { return controller.open() == 1; }));
  const Controller::Stream& stream = controller.streams.rbegin()->second;
  CHECK(stream.messages.size() == 1);  // what was right before it has arrived
  CHECK(stream.closed == status.error_message());
}

TEST_CASE("a broken field is named to the one who sent it", "[contract]") {
  Stage stage;
  Controller controller(stage);
  agent::v1::AgentMessage message = agent::ToProto(SomeHello());
  message.mutable_hello()->add_local("10.0.0.256");
  RawClient raw(controller.endpoint());
  REQUIRE(raw.Write(message.SerializeAsString()));
  const grpc::Status status = raw.End();
  CHECK(status.error_code() == grpc::StatusCode::INVALID_ARGUMENT);
  CHECK_THAT(status.error_message(), Catch::StartsWith("message 1 of the stream: hello.local[0]: \"10.0.0.256\""));
}

TEST_CASE("a stream begins with Hello and has no second one", "[contract]") {
  Stage stage;
  Controller controller(stage);
  RawClient early(controller.endpoint());
  REQUIRE(early.Write(Bytes(sync::Heartbeat{1})));
  const grpc::Status first = early.End();
  CHECK(first.error_code() == grpc::StatusCode::INVALID_ARGUMENT);
  CHECK(first.error_message() == "the first message of the stream must be a Hello");

  RawClient twice(controller.endpoint());
  REQUIRE(twice.Write(Bytes(SomeHello())));
  REQUIRE(twice.Write(Bytes(SomeHello())));
  const grpc::Status second = twice.End();
  CHECK(second.error_code() == grpc::StatusCode::INVALID_ARGUMENT);
  CHECK(second.error_message() == "message 2 of the stream is a Hello, which is only ever the first");
}

TEST_CASE("a message over the limit is refused with both numbers", "[contract]") {
  Stage stage;
  Controller controller(stage);
  Bystander bystander(stage, controller);
  RawClient raw(controller.endpoint());
  raw.Write(std::string(sync::kMaxAgentMessageBytes + 1, 'x'));
  const grpc::Status status = raw.End();
  CHECK(status.error_code() == grpc::StatusCode::RESOURCE_EXHAUSTED);
  CHECK_THAT(status.error_message(), Catch::Contains("8388609") && Catch::Contains("8388608"));
  bystander.CheckUndisturbed();
}

TEST_CASE("an agent drops the link rather than send a message over the limit", "[contract]") {
  Stage stage;
  Controller controller(stage);
  Agent agent(stage, "a", controller.endpoint());
  REQUIRE(stage.Await([&] { return controller.said_hello() == 1; }));
  sync::Rejected rejected;
  rejected.rejections.resize(10'000);
  for (sync::Rejection& rejection : rejected.rejections) rejection.message = std::string(1000, 'x');
  agent.link.Send(rejected);
  REQUIRE(stage.Await([&] { return !agent.downs.empty(); }));
  CHECK(agent.downs[0].code() == absl::StatusCode::kResourceExhausted);
  CHECK_THAT(std::string(agent.downs[0].message()), Catch::Contains("8388608"));
}

TEST_CASE("an agent that does not read is cut off at the bound", "[contract]") {
  Stage stage;
  push::AgentServer::Options options = Controller::Defaults();
  options.max_queued_bytes = std::size_t{1} << 20;
  Controller controller(stage, options);
  RawClient raw(controller.endpoint());
  REQUIRE(raw.Write(Bytes(SomeHello())));
  REQUIRE(stage.Await([&] { return controller.said_hello() == 1; }));
  const push::StreamId id = controller.streams.begin()->first;
  sync::Superseded big{1, "", std::string(1000, 'x')};
  for (int i = 0; i < 20'000; ++i) controller.server.Send(id, big);  // 20 MB: past what sockets and windows take
  REQUIRE(stage.Await([&] { return controller.open() == 0; }));
  CHECK_THAT(*controller.streams[id].closed, Catch::StartsWith("the agent reads too slowly"));
}

TEST_CASE("a stream that says nothing is ended", "[contract]") {
  Stage stage;
  push::AgentServer::Options options = Controller::Defaults();
  options.hello_timeout = absl::Milliseconds(20);
  Controller controller(stage, options);
  RawClient raw(controller.endpoint());
  REQUIRE(stage.Await([&] { return controller.streams.size() == 1 && controller.open() == 0; }));
  const grpc::Status status = raw.End();
  CHECK(status.error_code() == grpc::StatusCode::DEADLINE_EXCEEDED);
  CHECK(status.error_message() == "no Hello came within 20ms");
}

TEST_CASE("a stream over the allowed number is refused, and let in once there is room", "[contract]") {
  Stage stage;
  push::AgentServer::Options options = Controller::Defaults();
  options.max_streams = 1;
  Controller controller(stage, options);
  auto first = std::make_unique<Agent>(stage, "first", controller.endpoint());
  REQUIRE(stage.Await([&] { return controller.said_hello() == 1; }));
  Agent second(stage, "second", controller.endpoint());
  REQUIRE(stage.Await([&] { return !second.downs.empty(); }));
  CHECK(second.downs[0].code() == absl::StatusCode::kResourceExhausted);
  CHECK(second.ups == 0);
  first.reset();
  REQUIRE(stage.Await([&] { return controller.said_hello() == 2; }));
}

TEST_CASE("a port that is taken is named, with the reason", "[contract]") {
  Stage stage;
  Controller controller(stage);
  push::AgentServer second(stage.loop(), Controller::Defaults(controller.server.port()));
  const absl::Status status = second.Start(controller);
  CHECK(status.code() == absl::StatusCode::kUnavailable);
  CHECK(std::string(status.message()) ==
        "cannot listen for agents on " + controller.endpoint().ToString() + ": Address already in use");
  CHECK(second.port() == 0);
}

TEST_CASE("a listen address of another machine is named, with the reason", "[contract]") {
  Stage stage;
  Controller controller(stage);
  push::AgentServer::Options options = Controller::Defaults();
  options.listen = {"192.0.2.77", 7443};
  push::AgentServer elsewhere(stage.loop(), options);
  CHECK(std::string(elsewhere.Start(controller).message()) ==
        "cannot listen for agents on 192.0.2.77:7443: Cannot assign requested address");
}

TEST_CASE("a server that is no controller never counts as a link", "[contract]") {
  Stage stage;
  TcpSocket listener;
  agent::ControllerLink::Options options = Agent::Defaults({listener.Listen()});
  options.dial_timeout = absl::Milliseconds(50);
  Agent agent(stage, "a", options);
  REQUIRE(stage.Await([&] { return agent.downs.size() == 2; }));
  CHECK(agent.ups == 0);
  CHECK_THAT(std::string(agent.downs[0].message()), Catch::Contains(options.endpoints[0].ToString()));
}

TEST_CASE("an endpoint that nobody answers is passed over for the next", "[contract]") {
  Stage stage;
  Controller controller(stage);
  HostPort nobody;
  {
    TcpSocket listener;
    nobody = listener.Listen();
  }
  const std::uint64_t seed = GENERATE(0, 1, 2, 3);  // which one is dialled first
  agent::ControllerLink::Options options = Agent::Defaults({nobody, controller.endpoint()});
  options.jitter_seed = seed;
  Agent agent(stage, "a", options);
  REQUIRE(stage.Await([&] { return controller.said_hello() == 1; }));
  CHECK(agent.downs.size() <= 1);
}

TEST_CASE("a link without a controller to dial does not start", "[contract]") {
  Stage stage;
  Controller controller(stage);
  Agent observer(stage, "a", controller.endpoint());
  agent::ControllerLink none(stage.loop(), Agent::Defaults({}));
  CHECK(none.Start(observer).code() == absl::StatusCode::kInvalidArgument);
  agent::ControllerLink bad(stage.loop(), Agent::Defaults({{"host", 0}}));
  CHECK_THAT(std::string(bad.Start(observer).message()), Catch::Contains("\"host:0\""));
}

TEST_CASE("both ends may be destroyed in any state", "[contract]") {
  Stage stage;
  SECTION("never started") {
    const push::AgentServer server(stage.loop(), Controller::Defaults());
    const agent::ControllerLink link(stage.loop(), Agent::Defaults({{"127.0.0.1", 1}}));
  }
  SECTION("the link before its first dial, in the dial, and in a pause") {
    Controller controller(stage);
    {
      Agent agent(stage, "a", controller.endpoint());
    }
    {
      Agent agent(stage, "a", controller.endpoint());
      stage.Settle();
    }
    {
      Agent agent(stage, "a", HostPort{"127.0.0.1", 1});
      REQUIRE(stage.Await([&] { return agent.downs.size() == 3; }));
    }
    {
      Agent agent(stage, "a", controller.endpoint());
      REQUIRE(stage.Await([&] { return agent.up; }));
      agent.link.Redial();
      agent.link.Redial();
    }
    stage.Settle();
  }
  SECTION("the server with streams open, and things on their way both ways") {
    auto controller = std::make_unique<Controller>(stage);
    std::vector<std::unique_ptr<Agent>> agents;
    for (int i = 0; i < 20; ++i) agents.push_back(std::make_unique<Agent>(stage, "a", controller->endpoint()));
    REQUIRE(stage.Await([&] { return controller->said_hello() >= 5; }));
    for (const auto& [id, stream] : controller->streams) {
      for (int i = 0; i < 100; ++i) controller->server.Send(id, sync::Cleanup{1});
    }
    for (const auto& agent : agents) agent->link.Send(sync::Applied{1, 1});
    controller->server.Shutdown();
    controller.reset();
    REQUIRE(stage.Await([&] {
      for (const auto& agent : agents) {
        if (agent->downs.empty()) return false;
      }
      return true;
    }));
  }
}

}  // namespace
}  // namespace berth
