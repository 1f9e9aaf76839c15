// SPDX-License-Identifier: Apache-2.0
#include "controller/kube/client/reflector.h"

#include <catch2/catch.hpp>

#include "tests/fakes/kube/fake_api_server.h"
#include "tests/fakes/manual_event_loop.h"
#include "tests/fakes/process_loop.h"

namespace berth::kube {
namespace {

using nlohmann::json;
using Fault = FakeApiServer::Fault;

// Keeps what it is told, as a cache would.
struct Cache final : Reflector::Observer {
  void OnObject(const json& object) override { Put(object); }
  void OnVanished(const model::ObjectId& id) override {
    vanished.push_back(id.name);
    objects.erase(id.name);
  }
  void OnListed() override { ++lists; }
  void OnEvent(Reflector::Change change, const json& object) override {
    ++events;
    if (change == Reflector::Change::kDeleted) {
      objects.erase(object["metadata"]["name"]);
    } else {
      Put(object);
    }
  }
  void OnProblem(const absl::Status& status) override { problems.push_back(status); }
  void Put(const json& object) {
    objects[object["metadata"]["name"]] = object["metadata"]["resourceVersion"];
    if (on_object) on_object();
  }
  std::map<std::string, std::string> objects;  // name -> version
  std::vector<std::string> vanished;
  std::vector<absl::Status> problems;
  int lists = 0, events = 0;
  std::function<void()> on_object;
};

struct Bench {
  explicit Bench(int page = 2) : page_(page) { Restart(); }
  void Restart() {
    reflector = std::make_unique<Reflector>(process_loop, client,
                                            Reflector::Options{.resource = "services",
                                                               .path = "/api/v1/services",
                                                               .label_selector = selector,
                                                               .random = [] { return 0.5; },
                                                               .page = page_,
                                                               .on_restart = [this] { ++restarts; }},
                                            cache);
  }
  ApiStore& store() { return server.store(); }
  void Put(const std::string& name, const std::string& label = "1") {
    store().Put({{"kind", "Service"},
                 {"metadata", {{"name", name}, {"labels", {{"n", label}}}}},
                 {"spec", {{"ports", json::array()}}}});
  }
  void Delete(const std::string& name) { store().Delete("services", {"default", name}); }
  // When the next list has had its first page, an object that is on it goes, and the list cannot be continued.
  void FailListAfterFirstPage(const std::string& goes) {
    server.on_answered = [this, goes](const FakeApiServer::Seen& seen, int) {
      if (seen.verb != "list" || ++pages != 1) return;
      loop.Post([this, goes] {
        Delete(goes);
        server.Compact();
      });
    };
  }
  void Run(absl::Duration d = absl::Milliseconds(50)) { loop.Advance(d); }
  // What the cache should have.
  std::map<std::string, std::string> Truth() {
    std::map<std::string, std::string> truth;
    for (const ObjectPtr& object : store().List("services")) {
      truth[(*object)["metadata"]["name"]] = (*object)["metadata"]["resourceVersion"];
    }
    return truth;
  }

  int page_;
  std::string selector;
  int restarts = 0, pages = 0;
  ManualEventLoop loop;
  FakeApiServer server{loop};
  ProcessLoop process_loop{loop};
  FakeApiClient client{server, "me", process_loop};
  Cache cache;
  std::unique_ptr<Reflector> reflector;
};

TEST_CASE("a reflector lists page by page, then follows what changes", "[unit]") {
  Bench b;
  for (const char* name : {"a", "b", "c", "d", "e"}) b.Put(name);
  b.reflector->Start();
  b.Run();
  CHECK(b.cache.lists == 1);
  CHECK(b.cache.objects == b.Truth());
  CHECK(b.server.reads() == 4);  // three pages and a watch
  b.Put("f");
  b.Put("a", "2");
  b.Delete("b");
  b.Run();
  CHECK(b.cache.events == 3);
  CHECK(b.cache.objects == b.Truth());
  CHECK(b.reflector->keys().size() == 5);
  CHECK(b.server.reads() == 4);
  CHECK(b.cache.problems.empty());
}

TEST_CASE("a change between list and watch is not missed", "[unit]") {
  Bench b;
  b.Put("a");
  bool once = false;
  b.cache.on_object = [&] {
    if (std::exchange(once, true)) return;
    b.Delete("a");
    b.Put("b");
  };
  b.reflector->Start();
  b.Run();
  CHECK(b.cache.objects == b.Truth());
  CHECK(b.cache.vanished.empty());
}

TEST_CASE("a watch that ends in its own time begins again at once and where it was, without a list", "[unit]") {
  Bench b;
  b.reflector->Start();
  b.Run(absl::Minutes(10));
  b.Put("a");
  b.server.EndWatches();
  b.Put("b");
  b.Run(absl::Milliseconds(10));
  CHECK(b.cache.objects == b.Truth());
  CHECK(b.cache.lists == 1);
  CHECK(b.restarts == 0);
  CHECK(b.cache.problems.empty());
}

TEST_CASE("a server that ends every watch at once is not asked in a tight loop", "[unit]") {
  Bench b;
  b.reflector->Start();
  b.server.on_answered = [&](const FakeApiServer::Seen& seen, int) {
    if (seen.verb == "watch") b.loop.Post([&] { b.server.EndWatches(); });
  };
  b.Run(absl::Seconds(60));
  CHECK(b.server.reads() < 20);
}

TEST_CASE("a watch cut within a line goes on from the last whole one", "[unit]") {
  Bench b;
  b.reflector->Start();
  b.Run();
  b.Put("a");
  b.Run();
  b.Put("b");
  b.server.CutWatches();  // the event of b was on its way
  b.Run(absl::Seconds(1));
  CHECK(b.cache.objects == b.Truth());
  CHECK(b.cache.lists == 1);
  CHECK(b.restarts == 1);
  REQUIRE(b.cache.problems.size() == 2);
  CHECK(b.cache.problems[0].code() == absl::StatusCode::kUnknown);
  CHECK(b.cache.problems[1].ok());
}

TEST_CASE("an outage looks like none: nothing vanishes, and what happened meanwhile is caught up with", "[unit]") {
  Bench b;
  b.Put("a");
  b.Put("b");
  b.reflector->Start();
  b.Run();
  b.server.SetDown(true);
  b.Run(absl::Seconds(60));
  CHECK(b.cache.objects.size() == 2);
  b.Put("c");
  b.Delete("a");
  b.server.SetDown(false);
  b.Run(absl::Seconds(2));  // soon, however long it was away
  CHECK(b.cache.objects == b.Truth());
  CHECK(b.cache.lists == 1);
  CHECK(b.cache.vanished.empty());
  CHECK(b.cache.problems.back().ok());
  CHECK(b.restarts > 20);
  CHECK(b.restarts < 50);  // backs off
}

TEST_CASE("a server that refuses while it starts is asked again soon after an outage", "[unit]") {
  Bench b;
  b.Put("a");
  b.reflector->Start();
  b.Run();
  b.server.SetDown(true);
  b.Run(absl::Seconds(60));
  b.Put("c");
  b.server.Forbid("watch", "services");
  b.server.SetDown(false);
  b.Run(absl::Seconds(2));
  REQUIRE(b.cache.problems.back().code() == absl::StatusCode::kPermissionDenied);
  b.server.Permit("watch", "services");
  b.Run(absl::Seconds(1));
  CHECK(b.cache.objects == b.Truth());
  CHECK(b.cache.problems.back().ok());
}

TEST_CASE("after a compaction the list is diffed: what vanished is told, and what is there anew", "[unit]") {
  Bench b;
  for (const char* name : {"a", "b", "c"}) b.Put(name);
  b.reflector->Start();
  b.Run();
  b.server.SetDown(true);
  b.Delete("a");
  b.Delete("c");
  b.Put("d");
  b.Put("c");  // another one
  b.server.Compact();
  b.server.SetDown(false);
  b.Run(absl::Seconds(11));
  CHECK(b.cache.objects == b.Truth());
  CHECK(b.cache.vanished == std::vector<std::string>{"a"});
  CHECK(b.cache.lists == 2);
}

TEST_CASE("bookmarks keep a quiet watch young enough to survive a compaction", "[unit]") {
  Bench b;
  b.reflector->Start();
  b.Run();
  b.store().Put({{"kind", "Node"}, {"metadata", {{"name", "n"}}}});  // moves the revision, and is none of ours
  b.Run(absl::Minutes(2));
  b.server.Compact();
  b.server.CutWatches();
  b.Run(absl::Seconds(1));
  CHECK(b.cache.lists == 1);
}

TEST_CASE("a list whose token expires begins anew, and tells nothing twice as gone", "[unit]") {
  Bench b;
  for (const char* name : {"a", "b", "c"}) b.Put(name);
  int pages = 0;
  b.server.on_answered = [&](const FakeApiServer::Seen& seen, int) {
    if (seen.verb == "list" && ++pages == 1) b.loop.Post([&] { b.server.Compact(); });
  };
  b.reflector->Start();
  b.Run();
  CHECK(pages == 4);  // one, an expired one, and both again
  CHECK(b.cache.lists == 1);
  CHECK(b.cache.objects == b.Truth());
}

TEST_CASE("what the pages of a list that failed had, and the whole one has not, has vanished", "[unit]") {
  Bench b;
  for (const char* name : {"a", "b", "c"}) b.Put(name);
  b.reflector->Start();
  b.Run();
  b.FailListAfterFirstPage("a");
  b.server.SetDown(true);
  b.Put("d");
  b.server.Compact();
  b.server.SetDown(false);
  b.Run(absl::Seconds(5));
  CHECK(b.pages == 4);
  CHECK(b.cache.vanished == std::vector<std::string>{"a"});
  CHECK(b.cache.objects == b.Truth());
}

TEST_CASE("so it is with the very first list: what was told of it is known, and can vanish", "[unit]") {
  Bench b;
  for (const char* name : {"a", "b", "c"}) b.Put(name);
  b.FailListAfterFirstPage("a");
  b.reflector->Start();
  b.Run(absl::Seconds(5));
  CHECK(b.pages > 2);
  CHECK(b.cache.vanished == std::vector<std::string>{"a"});
  CHECK(b.cache.objects == b.Truth());
}

TEST_CASE("where tokens always expire, it asks for everything at once", "[unit]") {
  Bench b;
  for (const char* name : {"a", "b", "c"}) b.Put(name);
  b.server.on_answered = [&](const FakeApiServer::Seen&, int) { b.loop.Post([&] { b.server.Compact(); }); };
  b.reflector->Start();
  b.Run(absl::Seconds(5));
  CHECK(b.cache.lists >= 1);
  CHECK(b.cache.objects == b.Truth());
}

TEST_CASE("a missing verb is told once, by name, and forgotten once it is granted", "[unit]") {
  Bench b;
  const std::string verb = GENERATE("list", "watch");
  b.Put("a");
  b.server.Forbid(verb, "services");
  b.reflector->Start();
  b.Run(absl::Seconds(30));
  REQUIRE(b.cache.problems.size() == 1);
  CHECK(b.cache.problems[0] ==
        absl::PermissionDeniedError(absl::StrCat(verb, " services: services is forbidden: User \"me\" cannot ", verb,
                                                 " resource \"services\" in API group \"\" at the cluster scope")));
  b.server.Permit(verb, "services");
  b.Run(absl::Seconds(11));
  CHECK(b.cache.problems.size() == 2);
  CHECK(b.reflector->problem().ok());
  CHECK(b.cache.objects == b.Truth());
}

TEST_CASE("a resource that is defined later is found then; one whose definition goes is no deletion", "[unit]") {
  ManualEventLoop loop;
  FakeApiServer server(loop);
  FakeApiClient client(server, "me", loop);
  const ResourceType eips = *server.store().FindType("eips");
  server.store().RemoveType("eips");
  Cache cache;
  Reflector reflector(
      loop, client,
      {.resource = "eips", .path = "/apis/network.kubesphere.io/v1alpha2/eips", .random = [] { return 0.5; }}, cache);
  reflector.Start();
  loop.Advance(absl::Seconds(30));
  REQUIRE(cache.problems.size() == 1);
  CHECK(cache.problems[0].code() == absl::StatusCode::kNotFound);
  server.store().AddType(eips);
  server.store().Put({{"kind", "Eip"}, {"metadata", {{"name", "e"}}}});
  loop.Advance(absl::Seconds(11));
  CHECK(cache.objects.size() == 1);
  CHECK(cache.problems.back().ok());
  server.store().RemoveType("eips");
  loop.Advance(absl::Seconds(30));
  CHECK(cache.objects.empty());  // by its own event
  CHECK(cache.vanished.empty());
  CHECK(cache.problems.back().code() == absl::StatusCode::kNotFound);
}

TEST_CASE("a silent server is left, and followed again when it speaks", "[unit]") {
  Bench b;
  b.reflector->Start();
  b.Run();
  b.server.SetSilent(true);
  b.Put("a");
  b.Run(absl::Seconds(30));
  CHECK(b.cache.objects.empty());
  CHECK_FALSE(b.reflector->problem().ok());
  b.server.SetSilent(false);
  b.Run(absl::Seconds(11));
  CHECK(b.cache.objects == b.Truth());
  CHECK(b.reflector->problem().ok());
}

TEST_CASE("a selector's view is followed", "[unit]") {
  Bench b;
  b.selector = "n in (1,2)";
  b.Restart();
  b.Put("a");
  b.Put("b", "3");
  b.reflector->Start();
  b.Run();
  CHECK(b.cache.objects.contains("a"));
  CHECK(b.cache.objects.size() == 1);
  b.Put("b", "2");
  b.Put("a", "3");
  b.Run();
  CHECK(b.cache.objects.contains("b"));
  CHECK(b.cache.objects.size() == 1);
}

TEST_CASE("an observer may end its reflector from within a call, and nothing comes after", "[unit]") {
  Bench b;
  b.Put("a");
  b.Put("b");
  int objects = 0;
  b.cache.on_object = [&] {
    ++objects;
    b.reflector.reset();
  };
  b.reflector->Start();
  b.Run(absl::Minutes(1));
  CHECK(objects == 1);
  CHECK(b.cache.lists == 0);
  CHECK(b.client.in_flight() == 0);
}

}  // namespace
}  // namespace berth::kube
