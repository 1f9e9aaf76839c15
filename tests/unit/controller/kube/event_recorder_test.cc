// SPDX-License-Identifier: Apache-2.0
#include "controller/kube/write/event_recorder.h"

#include <algorithm>
#include <catch2/catch.hpp>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "tests/fakes/manual_event_loop.h"
#include "tests/unit/controller/kube/scripted_api.h"

namespace berth::kube {
namespace {

using nlohmann::json;
using Event = model::EventRecord;

struct Recorder {
  Recorder() { api.answer = Fine; }
  static absl::StatusOr<ApiResponse> Fine(const ApiRequest&) { return ApiResponse{201, "{}"}; }
  void Tell(const std::string& message, const std::string& name = "web", const std::string& uid = "u-1") {
    Event event;
    event.kind = Event::Kind::kService;
    event.object = {"shop", name};
    event.warning = true;
    event.reason = "AssignIPFailed";
    event.message = message;
    recorder.Record(event, uid);
    loop.Advance(absl::ZeroDuration());
  }
  std::size_t Count(const std::string& verb) const {
    return static_cast<std::size_t>(
        std::count_if(api.seen.begin(), api.seen.end(), [&](const ApiRequest& r) { return r.verb == verb; }));
  }
  json LastBody() const { return json::parse(api.seen.back().body); }

  ManualEventLoop loop;
  ScriptedApi api{loop};
  std::vector<absl::Status> problems;
  EventRecorder recorder{loop, api, "pod-1", [this](const absl::Status& status) { problems.push_back(status); }};
};

TEST_CASE("an Event names its object and us; the same words again only make its count grow", "[unit]") {
  Recorder r;
  r.Tell("none is free");
  REQUIRE(r.api.seen.size() == 1);
  CHECK(r.api.seen[0].path == "/api/v1/namespaces/shop/events");
  const json made = r.LastBody();
  CHECK(made["involvedObject"] ==
        json({{"apiVersion", "v1"}, {"kind", "Service"}, {"name", "web"}, {"namespace", "shop"}, {"uid", "u-1"}}));
  CHECK(made["type"] == "Warning");
  CHECK(made["reason"] == "AssignIPFailed");
  CHECK(made["message"] == "none is free");
  CHECK(made["reportingInstance"] == "pod-1");
  r.Tell("none is free");
  REQUIRE(r.api.seen.size() == 2);
  CHECK(r.api.seen[1].verb == "patch");
  CHECK(r.api.seen[1].path == absl::StrCat(r.api.seen[0].path, "/", made["metadata"]["name"].get<std::string>()));
  CHECK(r.LastBody()["count"] == 2);
  // Another object of that name is another one, and so is what is said again after a long time.
  r.Tell("none is free", "web", "u-2");
  CHECK(r.Count("create") == 2);
  r.loop.Advance(absl::Minutes(11));
  r.Tell("none is free");
  CHECK(r.Count("create") == 3);
}

TEST_CASE("what is said while an Event is on its way is told by one patch after it", "[unit]") {
  Recorder r;
  r.api.hold = true;
  for (int i = 0; i < 50; ++i) r.Tell("none is free");
  CHECK(r.api.seen.size() == 1);
  r.api.Release();
  r.loop.Advance(absl::ZeroDuration());
  CHECK(r.api.seen.size() == 2);
  CHECK(r.LastBody()["count"] == 50);
}

TEST_CASE("new words about one object make no flood: 25 at once, then one in 30 s; other objects are none the worse",
          "[unit]") {
  Recorder r;
  for (int i = 0; i < 100; ++i) r.Tell(absl::StrCat("reason ", i));
  CHECK(r.Count("create") == 25);
  r.Tell("reason 0", "other");
  CHECK(r.Count("create") == 26);
  r.loop.Advance(absl::Seconds(29));
  r.Tell("early");
  CHECK(r.Count("create") == 26);
  r.loop.Advance(absl::Seconds(1));
  r.Tell("in time");
  r.Tell("one too many");
  CHECK(r.Count("create") == 27);
  CHECK(r.LastBody()["message"] == "in time");
}

TEST_CASE(
    "an Event is tried again while the API server is away, with the count of by then, and given up after a minute",
    "[unit]") {
  Recorder r;
  r.api.answer = [](const ApiRequest&) { return absl::UnavailableError("away"); };
  r.Tell("none is free");
  r.loop.Advance(absl::Seconds(12));
  CHECK(r.Count("create") == 3);
  r.Tell("none is free");
  r.api.answer = Recorder::Fine;
  r.loop.Advance(absl::Seconds(5));
  CHECK(r.Count("create") == 4);
  CHECK(r.LastBody()["count"] == 2);
  r.loop.Advance(absl::Minutes(5));
  CHECK(r.api.seen.size() == 4);

  r.api.answer = [](const ApiRequest&) { return absl::UnavailableError("away"); };
  r.Tell("something else");
  r.loop.Advance(absl::Minutes(5));
  CHECK(r.Count("create") == 4 + 12);
}

TEST_CASE("a right that is missing is a problem until it is there; a namespace that goes is none", "[unit]") {
  Recorder r;
  r.api.answer = [](const ApiRequest&) { return absl::PermissionDeniedError("cannot create resource \"events\""); };
  r.Tell("one");
  REQUIRE(r.problems.size() == 1);
  CHECK(absl::IsPermissionDenied(r.problems[0]));
  r.api.answer = [](const ApiRequest&) { return absl::PermissionDeniedError("namespace shop is being terminated"); };
  r.Tell("two");
  CHECK(r.problems.size() == 1);
  r.api.answer = Recorder::Fine;
  r.Tell("three");
  REQUIRE(r.problems.size() == 2);
  CHECK(r.problems[1].ok());
}

TEST_CASE("a create whose answer was lost is done: its next words are a patch", "[unit]") {
  Recorder r;
  r.api.answer = [](const ApiRequest&) { return absl::AlreadyExistsError("events \"web.1\" already exists"); };
  r.Tell("none is free");
  r.api.answer = Recorder::Fine;
  r.Tell("none is free");
  CHECK(r.Count("create") == 1);
  CHECK(r.Count("patch") == 1);
}

}  // namespace
}  // namespace berth::kube
