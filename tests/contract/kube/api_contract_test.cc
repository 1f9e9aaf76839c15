// SPDX-License-Identifier: Apache-2.0
// What api_client.h promises, kept by the fake client and by the real one.
#include <catch2/catch.hpp>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "controller/kube/client/url.h"
#include "tests/contract/kube/api_stage.h"

namespace berth::kube {
namespace {

using nlohmann::json;
using Fault = FakeApiServer::Fault;

std::unique_ptr<ApiStage> EachStage() {
  const bool real = GENERATE(false, true);
  CAPTURE(real);
  return real ? MakeCurlStage() : MakeFakeStage();
}

std::string Label(ApiStage& stage, const std::string& name) {
  return Call(stage, Get(name)).Json()["metadata"]["labels"]["n"];
}

TEST_CASE("requests do what they say, and conflicts are told apart", "[contract]") {
  const auto stage = EachStage();
  const std::string path = "/api/v1/namespaces/default/services";
  const json web = {{"kind", "Service"}, {"metadata", {{"name", "web"}, {"labels", {{"n", "1"}}}}}};
  const ApiRequest create{"create", "services", Method::kPost, path, kJson, web.dump()};
  const auto created = Call(*stage, create).Await();
  REQUIRE(created.ok());
  CHECK(created->code == 201);
  const std::string version = json::parse(created->body)["metadata"]["resourceVersion"];
  CHECK(Call(*stage, create).status() == absl::AlreadyExistsError("create services: services \"web\" already exists"));
  CHECK(Call(*stage, PatchLabel("web", "2", version)).Json()["metadata"]["labels"]["n"] == "2");
  const absl::Status stale = Call(*stage, PatchLabel("web", "3", version)).status();
  CHECK(stale.code() == absl::StatusCode::kAborted);
  CHECK(absl::StartsWith(stale.message(), "patch services: Operation cannot be fulfilled on services \"web\": "));
  json whole = Call(*stage, Get("web")).Json();
  whole["metadata"]["labels"]["n"] = "4";
  CHECK(Call(*stage, {"update", "services", Method::kPut, path + "/web", kJson, whole.dump()}).status().ok());
  CHECK(Label(*stage, "web") == "4");
  CHECK(Call(*stage, {"patch", "services", Method::kPatch, path + "/web", kJson, "{}"}).status().code() ==
        absl::StatusCode::kInvalidArgument);
  CHECK(Call(*stage, {"delete", "services", Method::kDelete, path + "/web"}).status().ok());
  CHECK(Call(*stage, Get("web")).status() == absl::NotFoundError("get services: services \"web\" not found"));
}

TEST_CASE("a list comes in pages, with tokens that must be escaped and may expire", "[contract]") {
  const auto stage = EachStage();
  for (const char* name : {"a", "b", "c"}) stage->Put(name, "1");
  const auto page = [](const std::string& token) {
    return ApiRequest{"list", "services", Method::kGet,
                      "/api/v1/services?limit=2" + (token.empty() ? "" : "&continue=" + EscapeQuery(token))};
  };
  const json first = Call(*stage, page("")).Json();
  REQUIRE(first["items"].size() == 2);
  const json second = Call(*stage, page(first["metadata"]["continue"])).Json();
  CHECK(second["items"][0]["metadata"]["name"] == "c");
  CHECK_FALSE(second["metadata"].contains("continue"));
  stage->Compact();
  CHECK(Call(*stage, page(first["metadata"]["continue"])).status().code() == absl::StatusCode::kOutOfRange);
}

TEST_CASE("a watch tells events in order, whole lines only, and ends in its own time with OK", "[contract]") {
  const auto stage = EachStage();
  stage->Put("a", "1");
  const std::string version = Call(*stage, Get("a")).Json()["metadata"]["resourceVersion"];
  stage->Put("a", "2");
  WatchCall watch(*stage, version);
  REQUIRE(watch.AwaitLines(1));
  CHECK(watch.begun == 1);
  stage->Put("b", "1");
  stage->Delete("a");
  REQUIRE(watch.AwaitLines(3));
  CHECK(watch.lines[0]["type"] == "MODIFIED");
  CHECK(watch.lines[1]["type"] == "ADDED");
  CHECK(watch.lines[2]["type"] == "DELETED");
  stage->EndWatches();
  CHECK(watch.AwaitEnd().ok());
  CHECK(watch.lines.size() == 3);
}

TEST_CASE("a watch from a version that is forgotten gets a line that says so", "[contract]") {
  const auto stage = EachStage();
  stage->Put("a", "1");
  stage->Put("b", "1");
  stage->Compact();
  WatchCall watch(*stage, "1");
  CHECK(watch.AwaitEnd().ok());
  REQUIRE(watch.lines.size() == 1);
  CHECK(watch.lines[0]["type"] == "ERROR");
  CHECK(watch.lines[0]["object"]["code"] == 410);
}

TEST_CASE("a watch cut within a line ends with an error, and that line is dropped", "[contract]") {
  const auto stage = EachStage();
  const std::string version =
      Call(*stage, {"list", "services", Method::kGet, "/api/v1/services"}).Json()["metadata"]["resourceVersion"];
  WatchCall watch(*stage, version);
  REQUIRE(stage->RunUntil([&] { return watch.begun == 1; }));
  stage->Put("a", "1");
  REQUIRE(watch.AwaitLines(1));
  stage->CutWatches();
  CHECK(watch.AwaitEnd().code() == absl::StatusCode::kUnknown);
  CHECK(watch.lines.size() == 1);
  CHECK(Call(*stage, Get("a")).status().ok());
}

TEST_CASE("what is cancelled calls nobody back, and others go on", "[contract]") {
  const auto stage = EachStage();
  stage->Put("a", "1");
  const std::string version = Call(*stage, Get("a")).Json()["metadata"]["resourceVersion"];
  WatchCall watch(*stage, version), other(*stage, version);
  REQUIRE(stage->RunUntil([&] { return watch.begun == 1 && other.begun == 1; }));
  stage->Hang("get");
  Call hanging(*stage, Get("a"));
  Call second(*stage, {"list", "services", Method::kGet, "/api/v1/services"});
  REQUIRE(second.status().ok());
  stage->client().Cancel(watch.id);
  stage->client().Cancel(hanging.id);
  stage->client().Cancel(hanging.id);
  stage->client().Cancel(4711);
  stage->Put("b", "1");
  REQUIRE(other.AwaitLines(1));
  CHECK(Call(*stage, Get("b")).status().ok());
  CHECK(watch.lines.empty());
  CHECK(watch.ended == 0);
  CHECK(hanging.times == 0);
  const std::function<void()> look = [&] {
    stage->Changed();
    stage->loop().RunAfter(absl::Milliseconds(5), look);
  };
  look();
  CHECK(stage->RunUntil([&] { return stage->watches() == 1; }));  // the server notices in its own time
  CHECK(other.ended == 0);
}

TEST_CASE("an end of the client is no answer", "[contract]") {
  const auto stage = EachStage();
  stage->Put("a", "1");
  WatchCall watch(*stage, "");
  Call call(*stage, Get("a"));
  stage->EndClient();
  bool later = false;
  stage->loop().RunAfter(absl::Milliseconds(50), [&] {
    later = true;
    stage->Changed();
  });
  CHECK(stage->RunUntil([&] { return later; }));
  CHECK(call.times == 0);
  CHECK(watch.ended == 0);
}

TEST_CASE("a request whose time is over is not sent", "[contract]") {
  const auto stage = EachStage();
  stage->Put("a", "1");
  ApiRequest request = PatchLabel("a", "2");
  request.not_after = stage->loop().Now() - absl::Nanoseconds(1);
  CHECK(Call(*stage, request).status().code() == absl::StatusCode::kCancelled);
  CHECK(Label(*stage, "a") == "1");
  request.not_after = stage->loop().Now() + absl::Seconds(15);
  CHECK(Call(*stage, request).status().ok());
}

TEST_CASE("a write that got lost, before or after it was done, is unknown, and was sent once", "[contract]") {
  const auto stage = EachStage();
  stage->Put("a", "1");
  CHECK(Label(*stage, "a") == "1");  // there is a connection now
  stage->Fail(Fault::Kind::kLoseRequest, "patch");
  CHECK(Call(*stage, PatchLabel("a", "2")).status().code() == absl::StatusCode::kUnknown);
  CHECK(Label(*stage, "a") == "1");
  stage->Fail(Fault::Kind::kLoseAnswer, "patch");
  const absl::Status lost = Call(*stage, PatchLabel("a", "3")).status();
  CHECK(lost.code() == absl::StatusCode::kUnknown);
  CHECK(absl::StartsWith(lost.message(), "patch services: "));
  CHECK(Label(*stage, "a") == "3");
}

TEST_CASE("no answer in time is unknown", "[contract]") {
  const auto stage = EachStage();
  stage->Put("a", "1");
  stage->Hang("patch");
  ApiRequest request = PatchLabel("a", "2");
  request.timeout = absl::Milliseconds(200);
  const absl::Time start = stage->loop().Now();
  CHECK(Call(*stage, request).status().code() == absl::StatusCode::kUnknown);
  CHECK(stage->loop().Now() - start >= absl::Milliseconds(200));
  CHECK(Label(*stage, "a") == "1");
}

TEST_CASE("a server that is down is unavailable; what watched it knows nothing, and it can come back", "[contract]") {
  const auto stage = EachStage();
  stage->Put("a", "1");
  WatchCall watch(*stage, "");
  REQUIRE(stage->RunUntil([&] { return watch.begun == 1; }));
  stage->SetDown(true);
  CHECK(watch.AwaitEnd().code() == absl::StatusCode::kUnknown);
  CHECK(Call(*stage, PatchLabel("a", "2")).status().code() == absl::StatusCode::kUnavailable);
  stage->SetDown(false);
  CHECK(Label(*stage, "a") == "1");
}

TEST_CASE("each refusal has its error, with verb, resource and the server's words", "[contract]") {
  struct Case {
    int code;
    std::optional<int> retry_after;
    absl::StatusCode status;
  };
  const auto stage = EachStage();
  stage->Put("a", "1");
  for (const Case& c : {Case{400, {}, absl::StatusCode::kInvalidArgument},
                        {401, {}, absl::StatusCode::kUnauthenticated},
                        {403, {}, absl::StatusCode::kPermissionDenied},
                        {404, {}, absl::StatusCode::kNotFound},
                        {409, {}, absl::StatusCode::kAborted},
                        {410, {}, absl::StatusCode::kOutOfRange},
                        {413, {}, absl::StatusCode::kInvalidArgument},
                        {422, {}, absl::StatusCode::kInvalidArgument},
                        {429, 0, absl::StatusCode::kResourceExhausted},
                        {500, {}, absl::StatusCode::kUnknown},
                        {503, {}, absl::StatusCode::kUnknown},
                        {503, 0, absl::StatusCode::kUnavailable},
                        {504, {}, absl::StatusCode::kUnknown}}) {
    CAPTURE(c.code, c.retry_after.has_value());
    stage->Refuse(c.code, c.retry_after, "no way");
    const absl::Status status = Call(*stage, PatchLabel("a", "2")).status();
    CHECK(status.code() == c.status);
    CHECK(absl::StartsWith(status.message(), "patch services: no way"));
  }
  stage->Refuse(403, {}, "not you");
  WatchCall watch(*stage, "");
  CHECK(watch.AwaitEnd() == absl::PermissionDeniedError("watch services: not you (HTTP status 403)"));
  CHECK(watch.begun == 0);
  CHECK(Label(*stage, "a") == "1");
}

}  // namespace
}  // namespace berth::kube
