// SPDX-License-Identifier: Apache-2.0
#include "controller/kube/identity/token_gate.h"

#include <catch2/catch.hpp>
#include <map>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "absl/strings/escaping.h"
#include "absl/strings/str_cat.h"
#include "tests/fakes/manual_event_loop.h"
#include "tests/unit/controller/kube/scripted_api.h"

namespace berth::kube {
namespace {

using nlohmann::json;
using push::StreamId;

// What stands for gRPC.
class Port final : public push::AgentPort {
 public:
  absl::Status Start(Observer& observer) override {
    agents = &observer;
    return absl::OkStatus();
  }
  void Send(StreamId stream, const sync::ControllerMessage&) override { sent.push_back(stream); }
  void Close(StreamId stream, const absl::Status& status) override { closed[stream] = status; }
  void Shutdown() override { agents = nullptr; }

  Observer* agents = nullptr;
  std::vector<StreamId> sent;
  std::map<StreamId, absl::Status> closed;
};

// What stands for the core: one word for each thing it hears.
class Core final : public push::AgentPort::Observer {
 public:
  void OnStreamOpened(StreamId stream, const push::StreamPeer& peer) override {
    heard.push_back(absl::StrCat(stream, " opened by ", peer.address, peer.token.empty() ? "" : " WITH ITS TOKEN"));
  }
  void OnAgentMessage(StreamId stream, sync::AgentMessage message) override {
    if (const auto* hello = std::get_if<sync::Hello>(&message)) {
      heard.push_back(absl::StrCat(stream, " hello ", hello->node));
    } else {
      heard.push_back(absl::StrCat(stream, " beat ", std::get<sync::Heartbeat>(message).sequence));
    }
  }
  void OnStreamClosed(StreamId stream, const std::string& reason) override {
    heard.push_back(absl::StrCat(stream, " closed: ", reason));
  }
  std::vector<std::string> heard;
};

// A token for `node` whose signature the fake API server takes; good for `life` from the start of the wall clock.
std::string Token(const std::string& node, absl::Duration life = absl::Hours(1)) {
  const std::int64_t now = 1767323045;
  return absl::StrCat(
      "e30.",
      absl::WebSafeBase64Escape(json({{"iat", now}, {"exp", now + absl::ToInt64Seconds(life)}, {"node", node}}).dump()),
      ".c2ln");
}

struct Fixture {
  explicit Fixture(TokenGate::Options o = {.agent = {.ns = "openelb-system"}}) : options(std::move(o)) {
    api.answer = [this](const ApiRequest& request) { return Answer(request); };
    REQUIRE(gate.Start(core).ok());
  }
  // Vouches for whatever Token made, as an API server would.
  absl::StatusOr<ApiResponse> Answer(const ApiRequest& request) {
    if (!outage.ok()) return outage;
    json review = json::parse(request.body);
    const std::string token = review["spec"]["token"];
    std::string claims;
    absl::WebSafeBase64Unescape(token.substr(4, token.size() - 9), &claims);
    const json read = json::parse(claims, nullptr, false);
    if (revoked || !read.is_object()) {
      review["status"] = {{"error", "token lookup failed"}};
    } else {
      review["status"] = {{"authenticated", true},
                          {"audiences", {"berth"}},
                          {"user",
                           {{"username", "system:serviceaccount:openelb-system:berth-agent"},
                            {"extra", {{kNodeNameExtra, {read["node"]}}}}}}};
    }
    return ApiResponse{201, review.dump()};
  }
  void Open(StreamId stream, const std::string& token) {
    port.agents->OnStreamOpened(stream, {.address = "192.0.2.1:4000", .token = token, .tls_names = {}});
  }
  void Hello(StreamId stream, const std::string& node) {
    sync::Hello hello;
    hello.node = node;
    port.agents->OnAgentMessage(stream, hello);
  }
  void Beat(StreamId stream, std::uint64_t n) { port.agents->OnAgentMessage(stream, sync::Heartbeat{n}); }
  // An agent that dials, and what comes of it at once.
  void Dial(StreamId stream, const std::string& token, const std::string& node) {
    Open(stream, token);
    Hello(stream, node);
    loop.RunUntilIdle();
  }
  bool Passed(StreamId stream) {
    const std::string opened = absl::StrCat(stream, " opened by 192.0.2.1:4000");
    return std::find(core.heard.begin(), core.heard.end(), opened) != core.heard.end();
  }

  ManualEventLoop loop;
  ScriptedApi api{loop};
  Port port;
  Core core;
  absl::Status outage;
  bool revoked = false;
  std::vector<std::string> refused;
  std::vector<absl::Status> problems;
  TokenGate::Options options;
  TokenGate gate{loop,
                 api,
                 port,
                 options,
                 {.on_refused =
                      [this](const push::StreamPeer& peer, const std::string& node, const absl::Status& why) {
                        CHECK(peer.token.empty());
                        refused.push_back(absl::StrCat(node, ": ", why.message()));
                      },
                  .on_problem = [this](const absl::Status& status) { problems.push_back(status); }}};
};

TEST_CASE("an agent with a token of its own node is shown to the core, in order and without the token", "[unit]") {
  Fixture f;
  f.api.hold = true;
  f.Open(1, Token("node-1"));
  f.Hello(1, "node-1");
  f.Beat(1, 1);
  f.Beat(1, 2);
  f.loop.RunUntilIdle();
  CHECK(f.core.heard.empty());  // nothing before the review
  f.api.Release();
  f.loop.RunUntilIdle();
  f.Beat(1, 3);
  CHECK(f.core.heard ==
        std::vector<std::string>{"1 opened by 192.0.2.1:4000", "1 hello node-1", "1 beat 1", "1 beat 2", "1 beat 3"});
  REQUIRE(f.api.seen.size() == 1);
  CHECK(f.api.seen[0].method == Method::kPost);
  CHECK(f.api.seen[0].path == kTokenReviewsPath);
  CHECK(f.api.seen[0].verb == "create");
  CHECK(json::parse(f.api.seen[0].body)["spec"]["audiences"] == json::array({"berth"}));
  f.gate.Send(1, sync::NotLeader{});
  f.port.agents->OnStreamClosed(1, "connection lost");
  CHECK(f.core.heard.back() == "1 closed: connection lost");
  CHECK(f.port.sent == std::vector<StreamId>{1});
  CHECK(f.port.closed.empty());
  CHECK(f.refused.empty());
}

TEST_CASE("a review may be done before the Hello comes", "[unit]") {
  Fixture f;
  f.Open(1, Token("node-1"));
  f.loop.RunUntilIdle();
  CHECK(f.core.heard.empty());
  f.Hello(1, "node-1");
  CHECK(f.Passed(1));
}

TEST_CASE("a stream without a token is refused without asking anybody", "[unit]") {
  Fixture f;
  f.Dial(1, "", "node-1");
  CHECK(absl::IsUnauthenticated(f.port.closed.at(1)));
  CHECK_THAT(std::string(f.port.closed.at(1).message()), Catch::Contains("--token-file"));
  CHECK(f.api.seen.empty());
  CHECK(f.core.heard.empty());
  f.Beat(1, 1);
  f.port.agents->OnStreamClosed(1, "closed");
  CHECK(f.core.heard.empty());
}

TEST_CASE("an agent may speak for its own node only", "[unit]") {
  Fixture f;
  f.Dial(1, Token("node-1"), "node-2");
  CHECK(absl::IsPermissionDenied(f.port.closed.at(1)));
  CHECK(f.refused == std::vector<std::string>{
                         "node-2: this agent says that it is of node \"node-2\", but its token is of a pod on node "
                         "\"node-1\""});
  f.Open(2, Token("node-1"));
  f.loop.RunUntilIdle();  // known already, Hello later
  f.Hello(2, "node-2");
  CHECK(absl::IsPermissionDenied(f.port.closed.at(2)));
  CHECK(f.core.heard.empty());
}

TEST_CASE("a bad token is refused, and for some seconds without asking again", "[unit]") {
  Fixture f;
  f.Dial(1, "no.such.token", "node-1");
  CHECK(absl::IsUnauthenticated(f.port.closed.at(1)));
  CHECK_THAT(f.refused.at(0), !Catch::Contains("no.such.token"));
  f.Dial(2, "no.such.token", "node-1");
  CHECK(absl::IsUnauthenticated(f.port.closed.at(2)));
  CHECK(f.api.seen.size() == 1);
  f.loop.Advance(absl::Seconds(10));
  f.Dial(3, "no.such.token", "node-1");
  CHECK(f.api.seen.size() == 2);
  CHECK(f.core.heard.empty());
}

TEST_CASE("a token is reviewed again after five minutes and not before", "[unit]") {
  Fixture f;
  const std::string token = Token("node-1");
  f.Dial(1, token, "node-1");
  f.port.agents->OnStreamClosed(1, "lost");
  f.loop.Advance(absl::Minutes(5) - absl::Nanoseconds(1));
  f.Dial(2, token, "node-1");
  CHECK(f.Passed(2));
  CHECK(f.api.seen.size() == 1);
  f.loop.Advance(absl::Nanoseconds(1));
  f.revoked = true;  // the pod is gone
  f.Dial(3, token, "node-1");
  CHECK_FALSE(f.Passed(3));
  CHECK(absl::IsUnauthenticated(f.port.closed.at(3)));
  CHECK(f.api.seen.size() == 2);
}

TEST_CASE("agents that share a token share its review", "[unit]") {
  Fixture f;
  f.api.hold = true;
  f.Open(1, Token("node-1"));
  f.Open(2, Token("node-1"));
  f.Hello(1, "node-1");
  f.Hello(2, "node-1");
  f.port.agents->OnStreamClosed(1, "lost");
  f.api.Release();
  f.loop.RunUntilIdle();
  CHECK(f.api.seen.size() == 1);
  CHECK(f.Passed(2));
  CHECK_FALSE(f.Passed(1));  // nothing is heard of it, not even its end
  CHECK(f.core.heard.size() == 2);
}

TEST_CASE("a known agent that dials while no API server answers is taken until its token expires", "[unit]") {
  Fixture f;
  const std::string token = Token("node-1");
  f.Dial(1, token, "node-1");
  f.port.agents->OnStreamClosed(1, "lost");
  f.loop.Advance(absl::Minutes(30));
  SECTION("and says so") { f.outage = absl::UnavailableError("connection refused"); }
  SECTION("and our own token is not taken either") { f.outage = absl::UnauthenticatedError("Unauthorized"); }
  SECTION("and is silent") { f.api.hold = true; }
  f.Dial(2, token, "node-1");
  f.loop.Advance(absl::Seconds(1));  // patience
  CHECK(f.Passed(2));
  CHECK(f.port.closed.empty());
  if (f.outage.ok()) return;
  f.loop.Advance(absl::Minutes(30));
  f.Dial(3, token, "node-1");
  f.loop.Advance(absl::Seconds(10));
  CHECK_FALSE(f.Passed(3));
  CHECK(absl::IsUnavailable(f.port.closed.at(3)));
}

TEST_CASE("an agent taken on memory is ended when the late answer is no", "[unit]") {
  Fixture f;
  const std::string token = Token("node-1");
  f.Dial(1, token, "node-1");
  f.loop.Advance(absl::Minutes(6));
  f.api.hold = true;
  f.Dial(2, token, "node-1");
  f.loop.Advance(absl::Seconds(1));
  CHECK(f.Passed(2));
  f.revoked = true;
  f.api.Release();
  f.loop.RunUntilIdle();
  CHECK(absl::IsUnauthenticated(f.port.closed.at(2)));
  CHECK_FALSE(f.port.closed.contains(1));  // was reviewed in its own time
}

TEST_CASE("an unknown agent is told to dial again after a few tries", "[unit]") {
  Fixture f;
  f.outage = absl::UnavailableError("connection refused");
  f.Dial(1, Token("node-1"), "node-1");
  CHECK(f.api.seen.size() == 1);
  CHECK(f.port.closed.empty());
  f.loop.Advance(absl::Milliseconds(250));
  CHECK(f.api.seen.size() == 2);
  f.loop.Advance(absl::Milliseconds(500));
  CHECK(f.api.seen.size() == 3);
  CHECK(absl::IsUnavailable(f.port.closed.at(1)));
  CHECK_THAT(std::string(f.port.closed.at(1).message()), Catch::Contains("connection refused"));
  REQUIRE(f.problems.size() == 1);
  f.outage = absl::OkStatus();
  f.Dial(2, Token("node-1"), "node-1");
  CHECK(f.Passed(2));
  CHECK(f.problems.back().ok());
}

TEST_CASE("a missing right is told at once and is not the agent's fault", "[unit]") {
  Fixture f;
  f.outage = absl::PermissionDeniedError("tokenreviews.authentication.k8s.io is forbidden: cannot create");
  f.Dial(1, Token("node-1"), "node-1");
  CHECK(f.api.seen.size() == 1);
  CHECK(absl::IsUnavailable(f.port.closed.at(1)));
  CHECK_THAT(std::string(f.problems.at(0).message()), Catch::Contains("cannot create"));
}

TEST_CASE("a token that cannot even be asked about is refused", "[unit]") {
  Fixture f;
  f.outage = absl::InvalidArgumentError("request entity too large");
  f.Dial(1, Token("node-1"), "node-1");
  CHECK(absl::IsUnauthenticated(f.port.closed.at(1)));
}

TEST_CASE("no more reviews run at a time than asked for, and each has its turn", "[unit]") {
  Fixture f;
  f.api.hold = true;
  for (StreamId stream = 1; stream <= 50; ++stream) {
    const std::string node = absl::StrCat("node-", stream);
    f.Open(stream, Token(node));
    f.Hello(stream, node);
  }
  CHECK(f.api.waiting() == 16);
  f.api.Release();
  f.loop.RunUntilIdle();
  CHECK(f.api.seen.size() == 50);
  CHECK(f.core.heard.size() == 100);
}

TEST_CASE("a stream that says too much before its review is done is ended", "[unit]") {
  Fixture f;
  f.api.hold = true;
  f.Open(1, Token("node-1"));
  f.Hello(1, "node-1");
  for (std::uint64_t i = 0; i < 63; ++i) f.Beat(1, i);
  CHECK(f.port.closed.empty());
  f.Beat(1, 64);
  CHECK(absl::IsUnavailable(f.port.closed.at(1)));
  f.api.Release();
  f.loop.RunUntilIdle();
  CHECK(f.core.heard.empty());
}

TEST_CASE("a wrong wall clock neither refuses a token nor keeps it longer than it was made for", "[unit]") {
  Fixture f;
  const std::string token = Token("node-1");
  SECTION("years ahead: taken, and reviewed each time") {
    f.loop.StepWallClock(absl::Hours(24 * 365));
    f.Dial(1, token, "node-1");
    f.Dial(2, token, "node-1");
    CHECK(f.Passed(2));
    CHECK(f.api.seen.size() == 2);
  }
  SECTION("years behind: forgotten after an hour") {
    f.loop.StepWallClock(-absl::Hours(24 * 365));
    f.Dial(1, token, "node-1");
    f.loop.Advance(absl::Hours(1));
    f.outage = absl::UnavailableError("down");
    f.Dial(2, token, "node-1");
    f.loop.Advance(absl::Seconds(10));
    CHECK_FALSE(f.Passed(2));
  }
}

TEST_CASE("nothing comes after Shutdown", "[unit]") {
  Fixture f;
  f.api.hold = true;
  f.Open(1, Token("node-1"));
  f.Hello(1, "node-1");
  f.gate.Shutdown();
  CHECK(f.api.waiting() == 0);
  f.loop.Advance(absl::Minutes(1));
  CHECK(f.core.heard.empty());
  CHECK(f.loop.pending_timers() == 0);
}

TEST_CASE("a review that nobody waits for any more and that has not begun is forgotten", "[unit]") {
  Fixture f({.agent = {.ns = "openelb-system"}, .max_in_flight = 1, .max_waiting = 3});
  f.api.hold = true;
  f.Open(1, Token("node1"));
  for (StreamId stream = 2; stream < 100; ++stream) {  // with ever new tokens, and away at once
    f.Open(stream, absl::StrCat("junk", stream));
    f.port.agents->OnStreamClosed(stream, "away");
  }
  f.api.Release();
  f.Dial(100, Token("node2"), "node2");
  CHECK(f.Passed(100));
  REQUIRE(f.api.seen.size() == 2);
  CHECK(f.api.seen[0].urgency == Urgency::kRead);  // writes that hang don't hold it up
}

TEST_CASE("of tokens that wait for their review there are no more than asked for", "[unit]") {
  Fixture f({.agent = {.ns = "openelb-system"}, .max_in_flight = 1, .max_waiting = 2});
  f.api.hold = true;
  for (StreamId stream = 1; stream <= 3; ++stream) f.Open(stream, Token(absl::StrCat("node", stream)));
  CHECK(f.port.closed.empty());
  f.Open(4, Token("node4"));
  CHECK(absl::IsUnavailable(f.port.closed[4]));
  f.Open(5, Token("node3"));  // whose review is waited for already
  CHECK(f.port.closed.size() == 1);
}

}  // namespace
}  // namespace berth::kube
