// SPDX-License-Identifier: Apache-2.0
// What CurlClient does beyond the contract: connections, credentials, limits, silence.
#include "controller/kube/client/curl_client.h"

#include <signal.h>

#include <catch2/catch.hpp>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "common/base/atomic_file.h"
#include "tests/contract/kube/api_stage.h"

namespace berth::kube {
namespace {

using nlohmann::json;

json Stats(CurlStage& stage) { return stage.server().Tell({{"stats", true}}); }
ApiRequest Raw(std::size_t size) { return {"get", "raw", Method::kGet, absl::StrCat("/raw?size=", size)}; }

TEST_CASE("a burst of requests shares one HTTP/2 connection, watches have another", "[contract]") {
  CurlStage stage;
  stage.Put("a", "1");
  WatchCall one(stage, ""), two(stage, "");
  REQUIRE(stage.RunUntil([&] { return one.begun == 1 && two.begun == 1; }));
  std::vector<std::unique_ptr<Call>> calls;
  for (int i = 0; i < 300; ++i) calls.push_back(std::make_unique<Call>(stage, PatchLabel("a", absl::StrCat(i))));
  for (const auto& call : calls) CHECK(call->status().ok());
  REQUIRE(one.AwaitLines(300));
  const json stats = Stats(stage);
  CHECK(stats["protocols"] == json({"h2"}));
  CHECK(stats["connections"] == 2);
  CHECK(stats["most_streams"] > 16);
  CHECK(stats["most_streams"] <= 64);
}

TEST_CASE("a server that speaks HTTP/1.1 only is served too, and its watches hold up no write", "[contract]") {
  CurlStage stage({"--http1"});
  stage.Put("a", "1");
  WatchCall watch(stage, "");
  REQUIRE(stage.RunUntil([&] { return watch.begun == 1; }));
  for (int i = 0; i < 20; ++i) CHECK(Call(stage, PatchLabel("a", absl::StrCat(i))).status().ok());
  CHECK(watch.AwaitLines(20));
  CHECK(Stats(stage)["protocols"] == json({"http/1.1"}));
  CHECK(Stats(stage)["connections"] == 2);
}

TEST_CASE("a write whose connection ends is not sent again, though libcurl would", "[contract]") {
  CurlStage stage({"--http1"});
  stage.Put("a", "1");
  CHECK(Call(stage, Get("a")).status().ok());
  stage.Fail(FakeApiServer::Fault::Kind::kLoseAnswer, "patch");
  CHECK(Call(stage, PatchLabel("a", "2")).status().code() == absl::StatusCode::kUnknown);
  CHECK(Stats(stage)["requests"] == 2);
  CHECK(Call(stage, Get("a")).Json()["metadata"]["labels"]["n"] == "2");
}

TEST_CASE("requests say who they are and what they take", "[contract]") {
  CurlStage stage;
  stage.Put("a", "1");
  KubeConfig config = stage.server().Config();
  config.token.text = " abc\n";
  stage.NewClient(config);
  REQUIRE(Call(stage, Get("a")).status().ok());
  const json headers = Stats(stage)["last_headers"];
  CHECK(headers["authorization"] == "Bearer abc");
  CHECK(absl::StartsWith(headers["user-agent"].get<std::string>(), "berth-controller/"));
  CHECK(headers["accept"] == "application/json");
  CHECK_FALSE(headers.contains("accept-encoding"));
}

TEST_CASE("a token that was refused is read anew", "[contract]") {
  CurlStage stage;
  stage.Put("a", "1");
  KubeConfig config = stage.server().Config();
  config.token.file = stage.server().folder() + "/token";
  REQUIRE(WriteFileAtomically(config.token.file, "old").ok());
  stage.NewClient(config);
  stage.server().Tell({{"token", "old"}});
  CHECK(Call(stage, Get("a")).status().ok());
  stage.server().Tell({{"token", "new"}});
  REQUIRE(WriteFileAtomically(config.token.file, "new").ok());
  // At most once a second is it read for a refusal.
  absl::Status status = absl::UnauthenticatedError("");
  const absl::Time deadline = absl::Now() + absl::Seconds(20);
  while (absl::IsUnauthenticated(status) && absl::Now() < deadline) status = Call(stage, Get("a")).status();
  CHECK(status.ok());
}

TEST_CASE("a server is believed by its certificate only", "[contract]") {
  CurlStage stage;
  stage.Put("a", "1");
  const auto fails = [&](const KubeConfig& config) {
    stage.NewClient(config);
    return Call(stage, Get("a")).status();
  };
  KubeConfig config = stage.server().Config();
  config.ca.text = stage.server().Pem("other.crt");
  const absl::Status unknown = fails(config);
  CHECK(unknown.code() == absl::StatusCode::kUnavailable);
  CHECK(absl::StrContains(unknown.message(), "certificate"));
  config.insecure = true;
  CHECK(fails(config).ok());
  config = stage.server().Config();
  config.tls_server_name = "api.test";
  CHECK(fails(config).ok());
  CHECK(absl::StrContains(Stats(stage)["last_headers"][":authority"].get<std::string>(), "127.0.0.1:"));
  config.tls_server_name = "another.test";
  CHECK(fails(config).code() == absl::StatusCode::kUnavailable);
  config = stage.server().Config();
  config.server = "https://localhost" + config.server.substr(config.server.rfind(':'));  // not in its certificate
  CHECK(fails(config).code() == absl::StatusCode::kUnavailable);
}

TEST_CASE("a server that wants a client's certificate gets it", "[contract]") {
  CurlStage stage({"--client-certificate"});
  stage.Put("a", "1");
  CHECK_FALSE(Call(stage, Get("a")).status().ok());
  KubeConfig config = stage.server().Config();
  config.certificate.file = stage.server().folder() + "/client.crt";
  config.key.text = stage.server().Pem("client.key");
  stage.NewClient(config);
  CHECK(Call(stage, Get("a")).status().ok());
}

TEST_CASE("Retry-After holds back whatever comes next, the Lease only when it was told itself", "[contract]") {
  CurlStage stage;
  stage.Put("a", "1");
  ApiRequest lease = Get("a");
  lease.urgency = Urgency::kLease;
  const bool told = GENERATE(false, true);
  CAPTURE(told);
  stage.Refuse(429, 1, "too many");
  CHECK(Call(stage, told ? lease : Get("a")).status().code() == absl::StatusCode::kResourceExhausted);
  const absl::Time start = stage.loop().Now();
  Call other(stage, Get("a")), urgent(stage, lease);
  CHECK(urgent.status().ok());
  if (told) {
    CHECK(stage.loop().Now() - start > absl::Milliseconds(900));
  } else {
    CHECK(other.times == 0);
  }
  CHECK(other.status().ok());
  CHECK(stage.loop().Now() - start > absl::Milliseconds(900));
}

TEST_CASE("at the rate limit the more urgent goes first, and what waits too long is not sent", "[contract]") {
  CurlClient::Options options;
  options.rate = {.qps = 10, .burst = 1};
  CurlStage stage({}, options);
  stage.Put("a", "1");
  Call first(stage, PatchLabel("a", "first"));  // takes the token
  ApiRequest urgent = PatchLabel("a", "urgent"), late = PatchLabel("a", "late"), event = PatchLabel("a", "event");
  event.urgency = Urgency::kEvent;
  urgent.urgency = Urgency::kLease;
  late.not_after = stage.loop().Now() + absl::Milliseconds(50);
  Call e(stage, event), l(stage, late), u(stage, urgent);
  CHECK(l.status().code() == absl::StatusCode::kCancelled);
  CHECK(u.status().ok());
  CHECK(e.times == 0);
  CHECK(e.Json()["metadata"]["labels"]["n"] == "event");
  CHECK(Stats(stage)["requests"] == 3);
}

TEST_CASE("a request that waited before it left is given up at its end all the same", "[contract]") {
  CurlClient::Options options;
  options.rate = {.qps = 5, .burst = 1};
  CurlStage stage({}, options);
  stage.Put("a", "1");
  stage.Hang("patch");
  Call first(stage, Get("a"));  // takes the token
  ApiRequest patch = PatchLabel("a", "2");
  const absl::Time start = stage.loop().Now();
  patch.end_by = start + absl::Milliseconds(400);
  Call late(stage, patch);
  CHECK(late.status().code() == absl::StatusCode::kUnknown);
  CHECK(stage.loop().Now() - start < absl::Seconds(10));  // and not after `timeout`
}

TEST_CASE("answers and lines have a largest size", "[contract]") {
  CurlClient::Options options;
  options.max_answer_bytes = 5'000'000;
  options.max_line_bytes = 2000;
  CurlStage stage({}, options);
  CHECK(Call(stage, Raw(5'000'000)).Await()->body.size() == 5'000'000);
  CHECK(Call(stage, Raw(5'000'001)).status() == absl::UnknownError("get raw: the answer has more than 5000000 bytes"));
  WatchCall watch(stage, "");
  stage.Put("a", std::string(1500, 'x'));
  REQUIRE(watch.AwaitLines(1));
  stage.Put("a", std::string(3000, 'x'));
  CHECK(watch.AwaitEnd() == absl::UnknownError("watch services: the answer has more than 2000 bytes in a line"));
  CHECK(watch.lines.size() == 1);
}

TEST_CASE("a connection on which nothing is answered is left for a new one", "[contract]") {
  CurlStage stage;
  stage.Put("a", "1");
  CHECK(Call(stage, Get("a")).status().ok());
  stage.server().Signal(SIGSTOP);
  const absl::Time start = stage.loop().Now();
  ApiRequest patch = PatchLabel("a", "2");
  patch.timeout = absl::Milliseconds(200);
  Call other(stage, PatchLabel("a", "3"));  // with more patience, and for nothing
  CHECK(Call(stage, patch).status().code() == absl::StatusCode::kUnknown);
  CHECK(other.status().code() == absl::StatusCode::kUnknown);
  CHECK(stage.loop().Now() - start < absl::Seconds(10));
  stage.server().Signal(SIGCONT);
  CHECK(Call(stage, Get("a")).status().ok());
  CHECK(Stats(stage)["connections"] == 2);
}

TEST_CASE("a connection on which something else is answered stays", "[contract]") {
  CurlStage stage;
  stage.Put("a", "1");
  CHECK(Call(stage, Get("a")).status().ok());
  stage.Hang("patch");
  ApiRequest patch = PatchLabel("a", "2");
  patch.timeout = absl::Milliseconds(200);
  Call slow(stage, patch);
  CHECK(Call(stage, Get("a")).status().ok());
  CHECK(slow.status().code() == absl::StatusCode::kUnknown);
  CHECK(Call(stage, Get("a")).status().ok());
  CHECK(Stats(stage)["connections"] == 1);
}

TEST_CASE("a watch that says nothing for longer than bookmarks take ends", "[contract]") {
  CurlClient::Options options;
  options.watch_silence = absl::Milliseconds(200);
  CurlStage stage({}, options);
  WatchCall watch(stage, "");
  REQUIRE(stage.RunUntil([&] { return watch.begun == 1; }));
  CHECK(watch.AwaitEnd() == absl::UnknownError("watch services: the server is silent"));
  options.watch_silence = absl::Seconds(90);
  stage.NewClient(stage.server().Config(), options);
  stage.server().Signal(SIGSTOP);
  ApiRequest request{"watch", "services", Method::kGet, "/api/v1/services?watch=true"};
  request.timeout = absl::Milliseconds(200);
  absl::Status end;
  stage.client().Watch(request, {[](absl::string_view) {},
                                 [&](const absl::Status& status) {
                                   end = status;
                                   stage.Changed();
                                 }});
  CHECK(stage.RunUntil([&] { return !end.ok(); }));
  CHECK(absl::IsUnavailable(end));  // it never had a connection
  stage.server().Signal(SIGCONT);
}

TEST_CASE("each request is counted with its code", "[contract]") {
  std::vector<std::string> seen;
  CurlClient::Options options;
  options.on_request = [&](const ApiRequest& request, int code, absl::Duration took) {
    CHECK(took > absl::ZeroDuration());
    seen.push_back(absl::StrCat(request.verb, " ", request.resource, " ", code));
  };
  CurlStage stage({}, options);
  stage.Put("a", "1");
  (void)Call(stage, Get("a")).Await();
  (void)Call(stage, Get("b")).Await();
  stage.Fail(FakeApiServer::Fault::Kind::kLoseRequest, "patch");
  (void)Call(stage, PatchLabel("a", "2")).Await();
  WatchCall watch(stage, "");
  REQUIRE(stage.RunUntil([&] { return watch.begun == 1; }));
  stage.EndWatches();
  CHECK(watch.AwaitEnd().ok());
  CHECK(seen ==
        std::vector<std::string>{"get services 200", "get services 404", "patch services 0", "watch services 200"});
}

}  // namespace
}  // namespace berth::kube
