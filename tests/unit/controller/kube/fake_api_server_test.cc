// SPDX-License-Identifier: Apache-2.0
// The fake API server keeps the promises that tests rely on; each was seen on a real one.
#include "tests/fakes/kube/fake_api_server.h"

#include <catch2/catch.hpp>

#include "absl/strings/match.h"
#include "tests/fakes/manual_event_loop.h"
#include "tests/fakes/process_loop.h"

namespace berth::kube {
namespace {

using nlohmann::json;

const json kWeb = {{"apiVersion", "v1"},
                   {"kind", "Service"},
                   {"metadata", {{"namespace", "shop"}, {"name", "web"}, {"labels", {{"app", "web"}}}}},
                   {"spec", {{"type", "LoadBalancer"}, {"ports", {{{"port", 80}}}}}}};

struct Bench {
  ManualEventLoop loop;
  FakeApiServer server{loop};
  ProcessLoop process{loop};
  FakeApiClient client{server, "me", process};

  absl::StatusOr<json> Do(const std::string& verb, const std::string& resource, Method method, const std::string& path,
                          const json& body = {}) {
    std::optional<absl::StatusOr<ApiResponse>> result;
    ApiRequest request{verb, resource, method, path};
    if (!body.is_null()) {
      request.content_type = method == Method::kPatch ? kMergePatch : kJson;
      request.body = body.dump();
    }
    client.Do(request, [&](absl::StatusOr<ApiResponse> r) { result = std::move(r); });
    loop.Advance(absl::Seconds(31));
    REQUIRE(result);
    if (!result->ok()) return result->status();
    return json::parse((*result)->body);
  }
  absl::StatusOr<json> PatchStatus(const json& patch) {
    return Do("patch", "services", Method::kPatch, "/api/v1/namespaces/shop/services/web/status", patch);
  }
  struct Watched {
    RequestId id = 0;
    std::vector<json> lines;
    std::optional<absl::Status> end;
    std::string Types() const {
      std::string types;
      for (const json& line : lines) absl::StrAppend(&types, types.empty() ? "" : " ", line["type"].get<std::string>());
      return types;
    }
  };
  void Watch(Watched& into, const std::string& resource, const std::string& path) {
    into.id = client.Watch({"watch", resource, Method::kGet, path},
                           {[&](absl::string_view line) { into.lines.push_back(json::parse(std::string(line))); },
                            [&](const absl::Status& status) { into.end = status; }});
    loop.Advance(absl::Milliseconds(10));
  }
};

TEST_CASE("a status patch of a Service writes finalizer, label and status at once, and a stale one nothing", "[unit]") {
  Bench b;
  b.server.store().Put(kWeb);
  const json before = *b.server.store().Find("services", {"shop", "web"});
  const json patch = {
      {"metadata",
       {{"resourceVersion", before["metadata"]["resourceVersion"]}, {"finalizers", {"f"}}, {"labels", {{"x", "y"}}}}},
      {"spec", {{"type", "ClusterIP"}}},
      {"status", {{"loadBalancer", {{"ingress", {{{"ip", "192.0.2.1"}}}}}}}}};
  const auto after = b.PatchStatus(patch);
  REQUIRE(after.ok());
  CHECK((*after)["metadata"]["finalizers"] == json({"f"}));
  CHECK((*after)["metadata"]["labels"] == json({{"app", "web"}, {"x", "y"}}));
  CHECK((*after)["status"]["loadBalancer"]["ingress"][0]["ip"] == "192.0.2.1");
  CHECK((*after)["spec"]["type"] == "LoadBalancer");
  CHECK(b.PatchStatus(patch).status().code() == absl::StatusCode::kAborted);
  const std::uint64_t revision = b.server.store().revision();
  CHECK(b.PatchStatus({{"status", (*after)["status"]}}).ok());
  CHECK(b.server.store().revision() == revision);  // it changed nothing
}

TEST_CASE("a deletion waits for the last finalizer, which a status patch may take away", "[unit]") {
  Bench b;
  json web = kWeb;
  web["metadata"]["finalizers"] = {"f"};
  b.server.store().Put(web);
  REQUIRE(b.Do("delete", "services", Method::kDelete, "/api/v1/namespaces/shop/services/web").ok());
  const ObjectPtr leaving = b.server.store().Find("services", {"shop", "web"});
  REQUIRE(leaving != nullptr);
  CHECK((*leaving)["metadata"].contains("deletionTimestamp"));
  CHECK(b.PatchStatus({{"metadata", {{"finalizers", {"f", "g"}}}}}).status().code() ==
        absl::StatusCode::kInvalidArgument);
  CHECK(b.PatchStatus({{"metadata", {{"finalizers", nullptr}}}}).ok());
  CHECK(b.server.store().Find("services", {"shop", "web"}) == nullptr);
  CHECK(b.PatchStatus({{"metadata", {{"labels", {{"a", "b"}}}}}}).status().code() == absl::StatusCode::kNotFound);
}

TEST_CASE("a status patch of a custom object leaves its metadata alone", "[unit]") {
  Bench b;
  b.server.store().Put({{"kind", "Eip"}, {"metadata", {{"name", "e"}}}, {"spec", {{"address", "192.0.2.0/24"}}}});
  const std::string path = "/apis/network.kubesphere.io/v1alpha2/eips/e";
  auto after = b.Do("patch", "eips", Method::kPatch, path + "/status",
                    {{"metadata", {{"finalizers", {"f"}}}}, {"status", {{"usage", 1}}}});
  REQUIRE(after.ok());
  CHECK_FALSE((*after)["metadata"].contains("finalizers"));
  CHECK((*after)["status"]["usage"] == 1);
  CHECK((*after)["metadata"]["generation"] == 1);
  after = b.Do("patch", "eips", Method::kPatch, path,
               {{"metadata", {{"finalizers", {"f"}}}}, {"spec", {{"disable", true}}}, {"status", {{"usage", 2}}}});
  REQUIRE(after.ok());
  CHECK((*after)["metadata"]["finalizers"] == json({"f"}));
  CHECK((*after)["metadata"]["generation"] == 2);
  CHECK((*after)["status"]["usage"] == 1);
}

TEST_CASE("pages of a list show one moment; tokens expire by compaction", "[unit]") {
  Bench b;
  for (const char* name : {"a", "b", "c"}) {
    json web = kWeb;
    web["metadata"]["name"] = name;
    b.server.store().Put(web);
  }
  const auto first = b.Do("list", "services", Method::kGet, "/api/v1/services?limit=2");
  REQUIRE(first.ok());
  REQUIRE((*first)["items"].size() == 2);
  CHECK_FALSE((*first)["items"][0].contains("kind"));
  b.server.store().Delete("services", {"shop", "c"});
  const std::string more = "/api/v1/services?limit=2&continue=" + (*first)["metadata"]["continue"].get<std::string>();
  const auto second = b.Do("list", "services", Method::kGet, more);
  REQUIRE(second.ok());
  CHECK((*second)["items"][0]["metadata"]["name"] == "c");
  CHECK((*second)["metadata"]["resourceVersion"] == (*first)["metadata"]["resourceVersion"]);
  CHECK_FALSE((*second)["metadata"].contains("continue"));
  CHECK(b.Do("list", "services", Method::kGet, "/api/v1/services?continue=bogus").status().code() ==
        absl::StatusCode::kInvalidArgument);
  b.server.Compact();
  CHECK(b.Do("list", "services", Method::kGet, more).status().code() == absl::StatusCode::kOutOfRange);
}

TEST_CASE("a watch tells what happened since, in order, with a selector's view of it, and bookmarks", "[unit]") {
  Bench b;
  const std::string from = absl::StrCat(b.server.store().revision());
  b.server.store().Put(kWeb);
  Bench::Watched all, some;
  b.Watch(all, "services", "/api/v1/services?watch=true&resourceVersion=" + from + "&timeoutSeconds=90");
  b.Watch(some, "services",
          "/api/v1/namespaces/shop/services?watch=1&labelSelector=app%3Dweb&allowWatchBookmarks=true"
          "&timeoutSeconds=90&resourceVersion=" +
              from);
  CHECK(all.Types() == "ADDED");
  const json off = {{"metadata", {{"labels", {{"app", nullptr}}}}}};
  b.server.store().Patch("services", {"shop", "web"}, off);
  b.server.store().Delete("services", {"shop", "web"});
  b.loop.Advance(absl::Milliseconds(5));
  CHECK(all.Types() == "ADDED MODIFIED DELETED");
  CHECK(some.Types() == "ADDED DELETED");
  CHECK(some.lines[1]["object"]["metadata"]["resourceVersion"] ==
        all.lines[1]["object"]["metadata"]["resourceVersion"]);
  b.loop.Advance(absl::Seconds(91));
  CHECK(some.Types() == "ADDED DELETED BOOKMARK BOOKMARK");
  REQUIRE(some.end);
  CHECK(some.end->ok());
  CHECK(b.server.watches() == 0);
}

TEST_CASE("a watch from before a compaction says 410 in a line", "[unit]") {
  Bench b;
  b.server.store().Put(kWeb);
  b.server.Compact();
  Bench::Watched old;
  b.Watch(old, "services", "/api/v1/services?watch=true&resourceVersion=1");
  REQUIRE(old.Types() == "ERROR");
  CHECK(old.lines[0]["object"]["code"] == 410);
  REQUIRE(old.end);
  CHECK(old.end->ok());
}

TEST_CASE("faults: lost requests and answers, refusals, outages and silence", "[unit]") {
  Bench b;
  b.server.store().Put(kWeb);
  const auto usage = [&] {
    return b.server.store().Find("services", {"shop", "web"})->at("metadata").at("labels").value("n", "");
  };
  const auto patch = [&](const char* n) { return b.PatchStatus({{"metadata", {{"labels", {{"n", n}}}}}}).status(); };
  using Fault = FakeApiServer::Fault;
  Fault fault;
  b.server.faults = [&](const FakeApiServer::Seen& seen) {
    CHECK(seen.verb == "patch");
    CHECK(seen.resource == "services/status");
    return fault;
  };
  fault.kind = Fault::Kind::kLoseRequest;
  CHECK(patch("1").code() == absl::StatusCode::kUnknown);
  CHECK(usage().empty());
  fault.kind = Fault::Kind::kLoseAnswer;
  CHECK(patch("2").code() == absl::StatusCode::kUnknown);
  CHECK(usage() == "2");
  fault = {Fault::Kind::kRefuse, 503, "ServiceUnavailable", "starting", absl::ZeroDuration(), true};
  CHECK(patch("3") == absl::UnavailableError("patch services: starting"));
  fault = {.delay = absl::Seconds(60)};
  CHECK(patch("4").code() == absl::StatusCode::kUnknown);  // after 30 s
  CHECK(usage() == "2");
  b.loop.Advance(absl::Seconds(30));
  CHECK(usage() == "4");
  b.server.faults = nullptr;
  b.server.Forbid("patch", "services/status");
  CHECK(patch("5") ==
        absl::PermissionDeniedError("patch services: services/status \"web\" is forbidden: User \"me\" cannot patch "
                                    "resource \"services/status\" in API group \"\" in the namespace \"shop\""));
  b.server.Permit("patch", "services/status");
  b.server.RejectTokens(true);
  CHECK(patch("6").code() == absl::StatusCode::kUnauthenticated);
  b.server.RejectTokens(false);
  b.server.SetDown(true);
  CHECK(patch("7").code() == absl::StatusCode::kUnavailable);
  b.server.SetDown(false);
  b.server.SetSilent(true, "me");
  CHECK(patch("8").code() == absl::StatusCode::kUnknown);
  b.server.SetSilent(false, "me");
  b.loop.Advance(absl::Seconds(1));
  CHECK(usage() == "4");
}

TEST_CASE("what a process sent before it died arrives; what it decided and did not send in time does not", "[unit]") {
  Bench b;
  b.server.store().Put(kWeb);
  const auto send = [&](FakeApiClient& client, absl::Time not_after) {
    ApiRequest request{"patch",        "services",
                       Method::kPatch, "/api/v1/namespaces/shop/services/web",
                       kMergePatch,    R"({"metadata":{"labels":{"n":"1"}}})"};
    request.not_after = not_after;
    client.Do(request, [](const absl::StatusOr<ApiResponse>&) {});
  };
  const auto label = [&] {
    return b.server.store().Find("services", {"shop", "web"})->at("metadata").at("labels").value("n", "");
  };
  b.process.Freeze();
  send(b.client, b.loop.Now() + absl::Seconds(1));
  b.loop.Advance(absl::Seconds(2));
  b.process.Thaw();
  b.loop.Advance(absl::Seconds(2));
  CHECK(label().empty());
  {
    FakeApiClient other(b.server, "other", b.process);
    send(other, absl::InfiniteFuture());
    b.loop.RunUntilIdle();
  }
  b.loop.Advance(absl::Milliseconds(2));
  CHECK(label() == "1");
}

TEST_CASE("a namespace goes with its last object; a type with its definition", "[unit]") {
  Bench b;
  json web = kWeb;
  web["metadata"]["finalizers"] = {"f"};
  b.server.store().Put(web);
  b.server.store().Put({{"kind", "Eip"}, {"metadata", {{"name", "e"}}}});
  ApiStore& store = b.server.store();
  REQUIRE(store.Delete("namespaces", {"", "shop"}).ok());
  CHECK(store.Create("services", "shop", {{"metadata", {{"name", "new"}}}}).code == 403);
  REQUIRE(store.Find("services", {"shop", "web"}) != nullptr);
  CHECK(store.Patch("services", {"shop", "web"}, {{"metadata", {{"finalizers", nullptr}}}}).ok());
  CHECK(store.Find("namespaces", {"", "shop"}) == nullptr);

  Bench::Watched eips;
  b.Watch(eips, "eips", "/apis/network.kubesphere.io/v1alpha2/eips?watch=true");
  const ResourceType type = *store.FindType("eips");
  store.RemoveType("eips");
  b.loop.Advance(absl::Milliseconds(5));
  CHECK(eips.Types() == "ADDED DELETED");
  CHECK(eips.end);
  CHECK(b.Do("list", "eips", Method::kGet, "/apis/network.kubesphere.io/v1alpha2/eips").status().code() ==
        absl::StatusCode::kNotFound);
  store.AddType(type);
  CHECK(b.Do("list", "eips", Method::kGet, "/apis/network.kubesphere.io/v1alpha2/eips").ok());
}

}  // namespace
}  // namespace berth::kube
