// SPDX-License-Identifier: Apache-2.0
#include "controller/kube/source/agent_memory.h"

#include <catch2/catch.hpp>
#include <nlohmann/json.hpp>

#include "absl/strings/match.h"
#include "tests/fakes/manual_event_loop.h"
#include "tests/unit/controller/kube/scripted_api.h"

namespace berth::kube {
namespace {

using nlohmann::json;

const KnownAgents kAgents = {{"node1", {*MacAddr::Parse("02:00:00:00:00:01")}},
                             {"node2", {*MacAddr::Parse("02:00:00:00:00:02")}, true},
                             {"node3", {}, true}};

struct World {
  World() {
    api.answer = [this](const ApiRequest& r) -> absl::StatusOr<ApiResponse> {
      if (!trouble.ok()) return trouble;
      if (r.not_after < loop.Now()) return absl::CancelledError("too late");
      if (r.verb == "get") {
        if (text.empty()) return absl::NotFoundError("no such ConfigMap");
        return ApiResponse{200, json{{"data", {{"agents.json", text}}}}.dump()};
      }
      text = json::parse(r.body)["data"]["agents.json"].get<std::string>();
      ++writes;
      return ApiResponse{200, "{}"};
    };
  }
  void Load() {
    memory.Load([this] { ++done; }, [this] { ++late; });
  }
  void Run(absl::Duration d) {
    loop.RunUntilIdle();
    loop.Advance(d);
  }

  ManualEventLoop loop;
  ScriptedApi api{loop};
  std::string text;
  absl::Status trouble;
  absl::Status problem;
  int writes = 0, done = 0, late = 0;
  absl::Time lease_ends = absl::InfiniteFuture();
  Writes writing{api, [this] { return WriteWindow{lease_ends, lease_ends}; }};
  AgentMemory memory{loop, api, writing, "ns", [this](const absl::Status& status) { problem = status; }};
};

TEST_CASE("agents are written as they are read, drained ones too", "[unit]") {
  CHECK(DecodeAgents(EncodeAgents(kAgents)) == kAgents);
  CHECK(EncodeAgents({kAgents[0]}) == R"({"node1":["02:00:00:00:00:01"]})");
  CHECK(EncodeAgents({kAgents[1]}) == R"({"node2":{"drained":true,"macs":["02:00:00:00:00:02"]}})");
  for (const char* junk : {"", "[]", "7", "{", "{\"node1\":7}", "{\"node1\":{\"drained\":\"yes\"}}"}) {
    CAPTURE(junk);
    for (const auto& agent : DecodeAgents(junk)) {
      CHECK(agent.macs.empty());
      CHECK_FALSE(agent.drained);
    }
  }
}

TEST_CASE("a leader knows what the one before has written", "[unit]") {
  World w;
  w.Load();
  w.Run(absl::Milliseconds(10));
  CHECK(w.done == 1);
  w.memory.Remember(kAgents);
  w.Run(absl::Seconds(2));
  CHECK(w.writes == 1);
  World next;
  next.text = w.text;
  next.Load();
  next.Run(absl::Seconds(3));
  CHECK(next.memory.known() == kAgents);
  CHECK(next.done == 1);
  CHECK(next.late == 0);
  next.memory.Remember(kAgents);
  next.Run(absl::Seconds(3));
  CHECK(next.writes == 0);
}

TEST_CASE("what cannot be read is not written over, and told once it can be", "[unit]") {
  const bool silent = GENERATE(true, false);
  World w;
  w.text = EncodeAgents(kAgents);
  if (silent) {
    w.api.hold = true;
  } else {
    w.trouble = absl::UnavailableError("busy");
  }
  w.Load();
  w.Run(absl::Seconds(2));
  CHECK(w.done == 1);  // to lead knowing less is better than not to lead
  CHECK(w.memory.known().empty());
  w.memory.Remember({kAgents[0]});
  w.Run(absl::Seconds(5));
  CHECK(w.writes == 0);
  CHECK(w.problem.ok() == silent);
  w.trouble = absl::OkStatus();
  if (silent) w.api.Release();
  w.Run(absl::Seconds(2));
  CHECK(w.done == 1);
  CHECK(w.late == 1);
  CHECK(w.problem.ok());
  CHECK(w.memory.known() == kAgents);
  w.memory.Remember(kAgents);
  w.Run(absl::Seconds(2));
  CHECK(w.text == EncodeAgents(kAgents));
}

TEST_CASE("who waits for agents to be written hears of it then, or why they are not", "[unit]") {
  World w;
  w.Load();
  w.Run(absl::Milliseconds(10));
  std::vector<absl::Status> heard;
  const auto hear = [&](const absl::Status& status) { heard.push_back(status); };
  w.memory.WhenWritten(hear);  // nothing is to be written
  REQUIRE(heard.size() == 1);
  w.memory.Remember({kAgents[0]});
  w.memory.WhenWritten(hear);
  w.memory.Remember(kAgents);  // while the first is on its way: the second is waited for, too
  CHECK(heard.size() == 1);
  w.Run(absl::Seconds(2));
  REQUIRE(heard.size() == 2);
  CHECK(heard[1].ok());
  CHECK(w.writes == 2);
  CHECK(w.text == EncodeAgents(kAgents));
  w.trouble = absl::UnavailableError("busy");
  w.memory.Remember({kAgents[1]});
  w.memory.WhenWritten(hear);
  w.Run(absl::Seconds(2));
  REQUIRE(heard.size() == 3);
  CHECK(heard[2].message() == "busy");
  w.trouble = absl::OkStatus();
  w.memory.WhenWritten(hear);
  w.Run(absl::Seconds(2));
  REQUIRE(heard.size() == 4);
  CHECK(heard[3].ok());
}

TEST_CASE("who leads no more writes nothing over what the next leader has written", "[unit]") {
  const bool frozen = GENERATE(false, true);  // it hears of the next one only after a write of its own was due
  World w;
  w.Load();
  w.Run(absl::Milliseconds(10));
  w.trouble = absl::UnavailableError("busy");
  w.memory.Remember({kAgents[0]});
  w.Run(absl::Milliseconds(500));
  std::vector<absl::Status> heard;
  w.memory.WhenWritten([&](const absl::Status& status) { heard.push_back(status); });
  w.text = EncodeAgents(kAgents);  // the next one's
  w.trouble = absl::OkStatus();
  if (frozen) w.lease_ends = w.loop.Now();
  if (!frozen) w.memory.Forget();
  w.Run(absl::Seconds(5));
  CHECK(w.text == EncodeAgents(kAgents));
  if (frozen) w.memory.Forget();
  REQUIRE(heard.size() == 1);
  CHECK_FALSE(heard[0].ok());
  CHECK(w.problem.ok());
  SECTION("and leading again it knows that") {
    w.lease_ends = absl::InfiniteFuture();
    w.Load();
    w.Run(absl::Seconds(2));
    CHECK(w.memory.known() == kAgents);
    w.memory.Remember({kAgents[1]});
    w.memory.WhenWritten([&](const absl::Status& status) { heard.push_back(status); });
    w.Run(absl::Seconds(2));
    REQUIRE(heard.size() == 2);
    CHECK(heard[1].ok());
    CHECK(w.text == EncodeAgents({kAgents[1]}));
  }
}

TEST_CASE("what was not written when leading ended is written when the same one leads again", "[unit]") {
  World w;
  w.Load();
  w.Run(absl::Milliseconds(10));
  w.trouble = absl::UnavailableError("busy");
  w.memory.Remember(kAgents);
  w.Run(absl::Milliseconds(10));
  w.memory.Forget();
  w.trouble = absl::OkStatus();
  w.Load();
  w.Run(absl::Seconds(2));  // nobody has written any
  w.memory.Remember(kAgents);
  w.Run(absl::Seconds(2));
  CHECK(w.text == EncodeAgents(kAgents));
  CHECK(w.writes == 1);
  w.memory.Remember(kAgents);
  w.Run(absl::Seconds(2));
  CHECK(w.writes == 1);
}

TEST_CASE("a write of an earlier term that is answered late holds up nobody", "[unit]") {
  World w;
  w.Load();
  w.Run(absl::Milliseconds(10));
  w.api.hold = true;
  w.memory.Remember({kAgents[0]});
  w.Run(absl::Milliseconds(10));
  w.memory.Forget();
  std::vector<absl::Status> heard;
  w.memory.WhenWritten([&](const absl::Status& status) { heard.push_back(status); });
  const bool more = GENERATE(false, true);
  if (more) w.memory.Remember(kAgents);
  w.api.Release();
  w.Run(absl::Seconds(3));
  REQUIRE(heard.size() == 1);
  CHECK(heard[0].ok());
  CHECK(w.text == EncodeAgents(more ? kAgents : KnownAgents{kAgents[0]}));
}

}  // namespace
}  // namespace berth::kube
