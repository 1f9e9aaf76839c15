// SPDX-License-Identifier: Apache-2.0
// The stream between controller and agents when both behave: AgentServer and ControllerLink over loopback.
#include <spawn.h>
#include <stdlib.h>
#include <sys/wait.h>

#include <catch2/catch.hpp>
#include <csignal>
#include <filesystem>
#include <fstream>
#include <string>
#include <variant>
#include <vector>

#include "tests/contract/agent_stream_harness.h"

extern char** environ;

namespace berth {
namespace {

sync::Snapshot SomeState(std::uint64_t version) {
  sync::Snapshot snapshot;
  snapshot.term = 3;
  snapshot.version = version;
  snapshot.assignments.emplace_back().address = IpAddr::V4(0xc0a83232);
  return snapshot;
}

TEST_CASE("hello, snapshot, applied: each arrives whole and in order", "[contract]") {
  Stage stage;
  Controller controller(stage);
  controller.on_message = [&](push::StreamId id, const sync::AgentMessage& message) {
    if (std::holds_alternative<sync::Hello>(message)) controller.server.Send(id, SomeState(7));
  };
  Agent agent(stage, "node-a", controller.endpoint());
  agent.hello.interfaces.emplace_back().name = "eth0";
  agent.on_message = [&](const sync::ControllerMessage&) { agent.link.Send(sync::Applied{3, 7}); };

  REQUIRE(
      stage.Await([&] { return controller.open() == 1 && controller.streams.begin()->second.messages.size() == 2; }));
  const Controller::Stream& stream = controller.streams.begin()->second;
  CHECK(std::get<sync::Hello>(stream.messages[0]) == agent.hello);
  CHECK(std::get<sync::Applied>(stream.messages[1]) == sync::Applied{3, 7});
  CHECK(std::get<sync::Snapshot>(agent.messages.at(0)) == SomeState(7));
  CHECK_THAT(stream.peer.address, Catch::StartsWith("127.0.0.1:"));
  CHECK(stream.peer.token.empty());
  CHECK(stream.peer.tls_names.empty());
}

TEST_CASE("two agents hear only what is said to them", "[contract]") {
  Stage stage;
  Controller controller(stage);
  Agent a(stage, "a", controller.endpoint());
  Agent b(stage, "b", controller.endpoint());
  REQUIRE(stage.Await([&] { return controller.said_hello() == 2; }));
  for (const auto& [id, stream] : controller.streams) {
    const std::uint64_t version = std::get<sync::Hello>(stream.messages[0]).node == "a" ? 1 : 2;
    controller.server.Send(id, SomeState(version));
  }
  REQUIRE(stage.Await([&] { return a.messages.size() == 1 && b.messages.size() == 1; }));
  CHECK(std::get<sync::Snapshot>(a.messages[0]).version == 1);
  CHECK(std::get<sync::Snapshot>(b.messages[0]).version == 2);
}

TEST_CASE("two hundred agents are served at once", "[contract]") {
  Stage stage;
  Controller controller(stage);
  controller.on_message = [&](push::StreamId id, const sync::AgentMessage&) {
    controller.server.Send(id, SomeState(id));
  };
  std::vector<std::unique_ptr<Agent>> agents;
  for (int i = 0; i < 200; ++i) {
    agents.push_back(std::make_unique<Agent>(stage, "node-" + std::to_string(i), controller.endpoint()));
  }
  const auto served = [&] {
    for (const auto& agent : agents) {
      if (agent->messages.empty()) return false;
    }
    return true;
  };
  REQUIRE(stage.Await(served));
  CHECK(controller.open() == 200);
  agents.resize(100);
  REQUIRE(stage.Await([&] { return controller.open() == 100; }));
}

TEST_CASE("many messages keep their order both ways", "[contract]") {
  Stage stage;
  Controller controller(stage);
  Agent agent(stage, "a", controller.endpoint());
  REQUIRE(stage.Await([&] { return controller.said_hello() == 1; }));
  const push::StreamId id = controller.streams.begin()->first;
  for (std::uint64_t i = 1; i <= 500; ++i) {
    controller.server.Send(id, SomeState(i));
    agent.link.Send(sync::Applied{3, i});
  }
  const auto& heard = controller.streams[id].messages;
  REQUIRE(stage.Await([&] { return agent.messages.size() == 500 && heard.size() == 501; }));
  for (std::uint64_t i = 1; i <= 500; ++i) {
    CHECK(std::get<sync::Snapshot>(agent.messages[i - 1]).version == i);
    CHECK(std::get<sync::Applied>(heard[i]).version == i);
  }
}

TEST_CASE("heartbeats that wait are replaced by the newest", "[contract]") {
  Stage stage;
  Controller controller(stage);
  Agent agent(stage, "a", controller.endpoint());
  REQUIRE(stage.Await([&] { return controller.said_hello() == 1; }));
  for (std::uint64_t i = 1; i <= 20000; ++i) agent.link.Send(sync::Heartbeat{i});
  agent.link.Send(sync::Applied{1, 1});
  const auto& heard = controller.streams.begin()->second.messages;
  REQUIRE(stage.Await([&] { return std::holds_alternative<sync::Applied>(heard.back()); }));
  CHECK(std::get<sync::Heartbeat>(heard.at(heard.size() - 2)).sequence == 20000);
  CHECK(heard.size() < 20002);
}

TEST_CASE("a link that stops leaves its last words", "[contract]") {
  Stage stage;
  Controller controller(stage);
  Agent agent(stage, "a", controller.endpoint());
  REQUIRE(stage.Await([&] { return controller.said_hello() == 1; }));
  sync::Report report;
  report.leaving = true;
  agent.link.Send(report);
  agent.link.Stop();
  REQUIRE(stage.Await([&] { return controller.open() == 0; }));
  const auto& heard = controller.streams.begin()->second.messages;
  REQUIRE(heard.size() == 2);
  CHECK(std::get<sync::Report>(heard[1]).leaving);
  CHECK(agent.downs.empty());  // Stop is not told to the one who asked for it
}

TEST_CASE("a stream that is closed ends after what was sent before, with the words given", "[contract]") {
  Stage stage;
  Controller controller(stage);
  Agent agent(stage, "a", controller.endpoint());
  REQUIRE(stage.Await([&] { return controller.said_hello() == 1; }));
  const push::StreamId id = controller.streams.begin()->first;
  controller.server.Send(id, sync::Superseded{1, "a-2", "a newer agent is here"});
  controller.server.Close(id, absl::AlreadyExistsError("node a has a newer agent"));
  controller.server.Send(id, SomeState(1));  // too late: ignored
  REQUIRE(stage.Await([&] { return !agent.downs.empty() && controller.streams[id].closed.has_value(); }));
  REQUIRE(agent.messages.size() == 1);
  CHECK(std::holds_alternative<sync::Superseded>(agent.messages[0]));
  CHECK(agent.downs[0].code() == absl::StatusCode::kAlreadyExists);
  CHECK_THAT(std::string(agent.downs[0].message()), Catch::EndsWith("node a has a newer agent"));
  CHECK(controller.streams[id].closed == "node a has a newer agent");
}

TEST_CASE("a dial again leaves for the next controller", "[contract]") {
  Stage stage;
  Controller first(stage);
  Controller second(stage);
  Agent agent(stage, "a", Agent::Defaults({first.endpoint(), second.endpoint()}));
  REQUIRE(stage.Await([&] { return first.said_hello() + second.said_hello() == 1; }));
  Controller& left = first.said_hello() == 1 ? first : second;
  Controller& joined = first.said_hello() == 1 ? second : first;
  agent.link.Redial();
  CHECK(agent.up);  // told in a turn of its own, never from within the call
  REQUIRE(stage.Await([&] { return joined.said_hello() == 1 && left.open() == 0; }));
  CHECK(agent.downs.size() == 1);
  CHECK(agent.ups == 2);
}

TEST_CASE("each dial shows the token that the file holds then", "[contract]") {
  Stage stage;
  Controller controller(stage);
  char folder[] = "/tmp/berth-token-XXXXXX";
  REQUIRE(mkdtemp(folder) != nullptr);
  const std::string path = std::string(folder) + "/token";
  std::ofstream(path) << "first-token\n";
  agent::ControllerLink::Options options = Agent::Defaults({controller.endpoint()});
  options.token_file = path;
  Agent agent(stage, "a", options);
  REQUIRE(stage.Await([&] { return controller.said_hello() == 1; }));
  std::ofstream(path) << "second-token\n";
  agent.link.Redial();
  REQUIRE(stage.Await([&] { return controller.said_hello() == 2; }));
  CHECK(controller.streams.begin()->second.peer.token == "first-token");
  CHECK(controller.streams.rbegin()->second.peer.token == "second-token");
  std::filesystem::remove(path);
  agent.link.Redial();
  REQUIRE(stage.Await([&] { return agent.downs.size() >= 3; }));
  CHECK(agent.downs.back().code() == absl::StatusCode::kNotFound);
  CHECK_THAT(std::string(agent.downs.back().message()), Catch::Contains(path));
  std::filesystem::remove_all(folder);
}

TEST_CASE("a controller that comes back on its port is dialled again", "[contract]") {
  Stage stage;
  auto controller = std::make_unique<Controller>(stage);
  const int port = controller->server.port();
  Agent agent(stage, "a", controller->endpoint());
  REQUIRE(stage.Await([&] { return controller->said_hello() == 1; }));
  controller.reset();
  REQUIRE(stage.Await([&] { return agent.downs.size() >= 2; }));  // the loss, and a dial that nobody answered
  CHECK(agent.downs[0].code() == absl::StatusCode::kUnavailable);
  controller = std::make_unique<Controller>(stage, Controller::Defaults(port));
  REQUIRE(stage.Await([&] { return controller->said_hello() == 1; }));
  CHECK(agent.ups == 2);
}

// The agent process of the next case: says Hello and lives until it is killed.
TEST_CASE("agent process", "[.agent-process]") {
  Stage stage;
  Agent agent(stage, "killed", *ParseTarget(getenv("BERTH_TEST_CONTROLLER")));
  stage.Await([] { return false; });
}

TEST_CASE("the end of a killed agent process is told at once", "[contract]") {
  Stage stage;
  Controller controller(stage);
  Agent other(stage, "other", controller.endpoint());
  REQUIRE(stage.Await([&] { return controller.said_hello() == 1; }));

  const std::string target = controller.endpoint().ToString();
  REQUIRE(setenv("BERTH_TEST_CONTROLLER", target.c_str(), 1) == 0);
  std::string program = "agent_stream_test";
  std::string tag = "[.agent-process]";
  char* arguments[] = {program.data(), tag.data(), nullptr};
  pid_t child = 0;
  REQUIRE(posix_spawn(&child, "/proc/self/exe", nullptr, nullptr, arguments, environ) == 0);
  const bool connected = stage.Await([&] { return controller.said_hello() == 2; });
  kill(child, SIGKILL);
  const absl::Time killed = absl::Now();
  const bool told = connected && stage.Await([&] { return controller.open() == 1; });
  const absl::Duration after = absl::Now() - killed;
  waitpid(child, nullptr, 0);
  REQUIRE(told);
  // Keepalive alone would need a second and more.
  CHECK(after < absl::Milliseconds(900));
  CHECK(other.up);
  CHECK(std::get<sync::Hello>(controller.streams.rbegin()->second.messages.at(0)).node == "killed");
}

}  // namespace
}  // namespace berth
