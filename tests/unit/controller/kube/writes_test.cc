// SPDX-License-Identifier: Apache-2.0
// What a leader writes to one Service is never two patches at a time, whoever of its parts writes them.
#include "controller/kube/write/writes.h"

#include <catch2/catch.hpp>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "absl/strings/match.h"
#include "controller/kube/write/announced_writer.h"
#include "controller/kube/write/service_writer.h"
#include "tests/fakes/manual_event_loop.h"
#include "tests/unit/controller/kube/scripted_api.h"

namespace berth::kube {
namespace {

using nlohmann::json;
const model::ObjectId kWeb{"shop", "web"}, kOther{"shop", "other"};

struct World {
  World() {
    api.answer = [](const ApiRequest&) { return ApiResponse{200, "{}"}; };
    api.hold = true;
    writes.on_idle = [this] { ++idle; };
    announced.Show(kWeb, "uid-1", "");
  }
  void WriteService(const model::ObjectId& id) {
    model::ServiceWrite write;
    write.id = id;
    services.Write(write,
                   [this](const absl::StatusOr<ServiceObject>& written) { outcomes.push_back(written.status()); });
    loop.Advance(absl::ZeroDuration());
  }
  void WantUnannounced() {
    announced.Want({{kWeb, "no node can hold it"}});
    loop.Advance(absl::ZeroDuration());
  }
  // Answers what waits, and holds what comes then.
  void Answer() {
    api.Release();
    api.hold = true;
    loop.Advance(absl::ZeroDuration());
  }
  static bool IsAnnounced(const ApiRequest& request) { return absl::StrContains(request.body, kAnnouncedCondition); }

  ManualEventLoop loop;
  ScriptedApi api{loop};
  Writes writes{api, [] { return WriteWindow{absl::InfiniteFuture(), absl::InfiniteFuture()}; }};
  ServiceRest rest;
  bool changed = false;
  ServiceWriter services{loop, writes,
                         [this](const model::ObjectId&, const std::string&) { return changed ? nullptr : &rest; }};
  AnnouncedWriter announced{loop, writes, [](const json&) {}};
  std::vector<absl::Status> outcomes;
  int idle = 0;
};

TEST_CASE("a condition waits for the write of its Service that is under way, and others do not", "[unit]") {
  World w;
  w.WriteService(kWeb);
  w.WantUnannounced();
  w.WriteService(kOther);
  REQUIRE(w.api.seen.size() == 2);
  CHECK_FALSE((World::IsAnnounced(w.api.seen[0]) || World::IsAnnounced(w.api.seen[1])));
  CHECK(w.idle == 0);
  w.Answer();
  REQUIRE(w.api.seen.size() == 3);
  CHECK(World::IsAnnounced(w.api.seen[2]));
  CHECK(w.idle == 0);
  CHECK(w.writes.in_flight() == 1);
  w.Answer();
  CHECK(w.idle == 1);
  CHECK(w.writes.in_flight() == 0);
}

TEST_CASE("a condition that is not wanted any more when its turn comes is not written", "[unit]") {
  World w;
  w.WriteService(kWeb);
  w.WantUnannounced();
  w.announced.Want({});
  w.Answer();
  CHECK(w.api.seen.size() == 1);
  CHECK(w.idle == 1);
  w.WantUnannounced();
  CHECK(w.api.seen.size() == 2);
}

TEST_CASE("a write of a Service waits for its condition, and is not sent when the Service has changed with that",
          "[unit]") {
  World w;
  w.changed = GENERATE(false, true);
  CAPTURE(w.changed);
  w.WantUnannounced();
  w.WriteService(kWeb);
  CHECK(w.api.seen.size() == 1);
  CHECK(w.outcomes.empty());
  w.Answer();
  CHECK(w.api.seen.size() == (w.changed ? 1 : 2));
  w.Answer();
  REQUIRE(w.outcomes.size() == 1);
  CHECK(absl::IsAborted(w.outcomes[0]) == w.changed);
  CHECK(w.writes.in_flight() == 0);
}

}  // namespace
}  // namespace berth::kube
