// SPDX-License-Identifier: Apache-2.0
#include "controller/kube/write/announced_writer.h"

#include <catch2/catch.hpp>
#include <nlohmann/json.hpp>
#include <string>

#include "controller/kube/objects/service_object.h"
#include "tests/fakes/kube/fake_api_server.h"
#include "tests/fakes/manual_event_loop.h"
#include "tests/fakes/process_loop.h"

namespace berth::kube {
namespace {

using nlohmann::json;
const model::ObjectId kWeb{"shop", "web"};

struct World {
  World() {
    server.store().Put({{"apiVersion", "v1"},
                        {"kind", "Service"},
                        {"metadata", {{"name", "web"}, {"namespace", "shop"}}},
                        {"spec", {{"type", "LoadBalancer"}, {"ports", {{{"port", 80}}}}}},
                        {"status", {{"conditions", {{{"type", "berth.io/Assigned"}, {"status", "True"}}}}}}});
    server.store().on_event = [this, before = server.store().on_event](const ApiStore::Event& event) {
      before(event);
      if (event.resource == "services") Show(*event.object);  // a watch
    };
    Show(Web());
  }
  json Web() { return *server.store().Find("services", {"shop", "web"}); }
  void Show(const json& object) {
    loop.Post([this, object] {
      const ServiceRest rest = ReadService(object)->rest;
      writer.Show(kWeb, rest.uid, rest.unannounced);
    });
  }
  void Want(const std::string& why) {
    model::UnannouncedServices services;
    if (!why.empty()) services[kWeb] = why;
    writer.Want(std::move(services));
    loop.Advance(absl::Seconds(5));
  }
  json Announced() {
    const json web = Web();
    for (const json& condition : web["status"]["conditions"]) {
      if (condition["type"] == kAnnouncedCondition) return condition;
    }
    return json();
  }

  ManualEventLoop loop;
  FakeApiServer server{loop};
  ProcessLoop process{loop};
  FakeApiClient client{server, "one", process};
  Writes writes{client, [] { return WriteWindow{absl::InfiniteFuture(), absl::InfiniteFuture()}; }};
  AnnouncedWriter writer{process, writes, [this](const json& object) { Show(object); }};
};

TEST_CASE("condition Announced is written when a Service is not announced and when that ends, else never", "[unit]") {
  World w;
  w.Want("");
  CHECK(w.server.writes() == 0);
  w.Want("no node can hold it");
  w.Want("no node can hold it");
  CHECK(w.server.writes() == 1);
  CHECK(w.Announced()["status"] == "False");
  CHECK(w.Announced()["message"] == "no node can hold it");
  CHECK(w.Web()["status"]["conditions"].size() == 2);  // the other one stays
  w.Want("");
  CHECK(w.server.writes() == 2);
  CHECK(w.Announced()["status"] == "True");
}

TEST_CASE("condition Announced keeps its time while only the reason changes", "[unit]") {
  World w;
  w.Want("one");
  const json since = w.Announced()["lastTransitionTime"];
  w.loop.Advance(absl::Minutes(1));
  w.Want("another");
  CHECK(w.Announced()["message"] == "another");
  CHECK(w.Announced()["lastTransitionTime"] == since);
  w.Want("");
  CHECK(w.Announced()["lastTransitionTime"] != since);
}

TEST_CASE("condition Announced that a former leader left is put right only once this one knows", "[unit]") {
  World w;
  w.Want("no node can hold it");
  w.writer.Forget();
  w.server.store().Patch("services", {"shop", "web"}, {{"metadata", {{"labels", {{"a", "b"}}}}}});
  w.loop.Advance(absl::Seconds(5));
  CHECK(w.Announced()["status"] == "False");
  w.Want("");
  CHECK(w.Announced()["status"] == "True");
}

TEST_CASE("condition Announced is tried again when the API server refuses it, and given up when the Service is gone",
          "[unit]") {
  World w;
  w.server.Forbid("patch", "services/status");
  w.Want("no node can hold it");
  CHECK(w.Announced().is_null());
  w.server.Permit("patch", "services/status");
  w.loop.Advance(absl::Seconds(2));
  CHECK(w.Announced()["status"] == "False");
  w.server.store().Delete("services", {"shop", "web"});
  const std::uint64_t before = w.server.writes();
  w.Want("something else");
  CHECK(w.server.writes() - before <= 1);
}

TEST_CASE("condition Announced of a Service is never written to another one of its name", "[unit]") {
  World w;
  const json web = w.Web();
  w.server.faults = [](const FakeApiServer::Seen&) { return FakeApiServer::Fault{.delay = absl::Milliseconds(500)}; };
  w.writer.Want({{kWeb, "no node can hold it"}});
  w.loop.Advance(absl::Milliseconds(100));
  w.server.store().Delete("services", {"shop", "web"});
  json again = web;
  for (const char* of_the_server : {"uid", "resourceVersion", "creationTimestamp"})
    again["metadata"].erase(of_the_server);
  w.server.store().Put(again);
  REQUIRE(w.Web()["metadata"]["uid"] != web["metadata"]["uid"]);
  w.loop.Advance(absl::ZeroDuration());
  w.writer.Want({});
  const std::uint64_t before = w.server.writes();
  w.loop.Advance(absl::Seconds(1));
  CHECK(w.server.writes() == before + 1);  // it has arrived
  CHECK(w.Announced().is_null());
  w.Want("still none");
  CHECK(w.Announced()["message"] == "still none");
}

}  // namespace
}  // namespace berth::kube
