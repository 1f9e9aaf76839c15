// SPDX-License-Identifier: Apache-2.0
#include "controller/kube/write/pool_writer.h"

#include <catch2/catch.hpp>
#include <nlohmann/json.hpp>
#include <string>

#include "tests/fakes/kube/fake_api_server.h"
#include "tests/fakes/manual_event_loop.h"
#include "tests/fakes/process_loop.h"

namespace berth::kube {
namespace {

using nlohmann::json;

// Drops fields of a status on their way, as an API server does whose schema does not name them.
class Pruning final : public ApiClient {
 public:
  Pruning(ApiClient& inner, std::vector<std::string> dropped) : inner_(inner), dropped_(std::move(dropped)) {}
  RequestId Do(ApiRequest request, Done done) override {
    json body = json::parse(request.body);
    if (body.contains("status")) {
      for (const std::string& field : dropped_) body["status"].erase(field);
    }
    request.body = body.dump();
    return inner_.Do(std::move(request), std::move(done));
  }
  RequestId Watch(ApiRequest request, WatchHandler handler) override {
    return inner_.Watch(std::move(request), std::move(handler));
  }
  void Cancel(RequestId id) override { inner_.Cancel(id); }

 private:
  ApiClient& inner_;
  const std::vector<std::string> dropped_;
};

struct World {
  explicit World(std::vector<std::string> dropped = {}) : pruning(client, std::move(dropped)) {
    server.store().Put({{"apiVersion", "network.kubesphere.io/v1alpha2"},
                        {"kind", "Eip"},
                        {"metadata", {{"name", "pool"}}},
                        {"spec", {{"address", "10.0.0.1"}, {"protocol", "layer2"}, {"interface", "eth0"}}}});
    server.store().on_event = [this, before = server.store().on_event](const ApiStore::Event& event) {
      before(event);
      if (event.resource == "eips") Show(*event.object);  // a watch
    };
    Show(Eip());
  }
  json Eip() { return *server.store().Find("eips", {"", "pool"}); }
  void Show(const json& object) {
    loop.Post([this, object] { writer.Show(*ReadPool(object)); });
  }
  void Want(std::uint64_t used) {
    model::PoolStatus status;
    status.pool = "pool";
    status.first_ip = status.last_ip = "10.0.0.1";
    status.total = AddressCount(1);
    status.used = AddressCount(used);
    writer.Want(status);
  }

  ManualEventLoop loop;
  FakeApiServer server{loop};
  ProcessLoop process{loop};
  FakeApiClient client{server, "one", process};
  Pruning pruning;
  Writes writes{pruning, [] { return WriteWindow{absl::InfiniteFuture(), absl::InfiniteFuture()}; }};
  PoolWriter writer{process, writes, [this](const json& object) { writer.Show(*ReadPool(object)); }};
};

TEST_CASE("an Eip's status is written when it changes, once", "[unit]") {
  World w;
  w.Want(0);
  w.loop.Advance(absl::Seconds(30));
  CHECK(w.Eip()["status"]["usage"] == 0);
  CHECK(w.server.writes() == 2);  // and the finalizer
  w.Want(0);
  w.loop.Advance(absl::Seconds(30));
  CHECK(w.server.writes() == 2);
  w.Want(1);
  w.loop.Advance(absl::Seconds(30));
  CHECK(w.Eip()["status"]["usage"] == 1);
  CHECK(w.server.writes() == 3);
}

TEST_CASE("what somebody else does to an Eip's status is put right, at most once a second", "[unit]") {
  World w;
  w.Want(1);
  w.loop.Advance(absl::Seconds(5));
  for (int i = 0; i < 20; ++i) {
    w.server.store().Patch("eips", {"", "pool"}, {{"status", {{"usage", 7 + i}}}}, true);
    w.loop.Advance(absl::Milliseconds(100));
  }
  w.loop.Advance(absl::Seconds(5));
  CHECK(w.Eip()["status"]["usage"] == 1);
  CHECK(w.server.writes() <= 6);
  w.server.store().Patch("eips", {"", "pool"}, {{"metadata", {{"finalizers", nullptr}}}});
  w.loop.Advance(absl::Seconds(5));
  CHECK(w.Eip()["metadata"]["finalizers"].size() == 1);
}

TEST_CASE("a status that the CRD in force has no fields for is written once, not again and again", "[unit]") {
  World w({"conditions", "ready"});
  w.Want(1);
  w.loop.Advance(absl::Minutes(1));
  CHECK(w.Eip()["status"]["usage"] == 1);
  CHECK_FALSE(w.Eip()["status"].contains("conditions"));
  CHECK(w.server.writes() <= 3);
  w.Want(0);
  w.loop.Advance(absl::Minutes(1));
  CHECK(w.Eip()["status"]["usage"] == 0);
  CHECK(w.server.writes() <= 5);
}

}  // namespace
}  // namespace berth::kube
