// SPDX-License-Identifier: Apache-2.0
#include <atomic>
#include <nlohmann/json.hpp>
#include <vector>

#include "tests/contract/kube/webhook_stage.h"
#include "tests/unit/controller/admission/admission_testing.h"

namespace berth::admission {
namespace {

using nlohmann::json;

constexpr char kEipPath[] = "/validate-network-kubesphere-io-v1alpha2-eip";

struct Fixture {
  Fixture() { view.Add(plan::MakePool("edge", "192.0.2.10-192.0.2.20")); }
  ~Fixture() { Stop(); }
  void Start(WebhookServer::Options options = {}) {
    options.listen = {"127.0.0.1", 0};
    options.cert_file = folder.File("tls.crt");
    options.key_file = folder.File("tls.key");
    loop.On([&] {
      server = std::make_unique<WebhookServer>(loop.loop(), view, options, [this](const std::string& op, bool allowed) {
        counted.push_back(absl::StrCat(op, allowed ? " yes" : " no"));
      });
      started = server->Start();
      port = server->port();
    });
    REQUIRE(started.ok());
  }
  void Stop() {
    loop.On([this] { server.reset(); });
  }
  std::vector<std::string> Counted() {
    std::vector<std::string> out;
    loop.On([&] { out = counted; });
    return out;
  }

  LoopThread loop;
  CertFolder folder;
  FakeView view;
  std::vector<std::string> counted;
  std::unique_ptr<WebhookServer> server;
  absl::Status started;
  int port = 0;
};

json ResponseOf(const Reply& reply) {
  CAPTURE(reply.body);
  REQUIRE(reply.curl == CURLE_OK);
  REQUIRE(reply.status == 200);
  return json::parse(reply.body)["response"];
}

TEST_CASE("an API server that trusts our authority gets its answers, many over one connection", "[contract]") {
  Fixture f;
  const kube::TlsMaterial tls = f.folder.Renew();
  f.Start();
  Caller caller(f.port, tls.ca_bundle);
  const Reply first = caller.Post(kEipPath, ReviewBody("CREATE", "eips", Eip("203.0.113.1", "new")));
  CHECK(ResponseOf(first)["allowed"] == true);
  CHECK(first.connects == 1);
  for (int i = 0; i < 20; ++i) {
    const Reply next = caller.Post(kEipPath, ReviewBody("CREATE", "eips", Eip("192.0.2.0/24", "new")));
    const json response = ResponseOf(next);
    CHECK(response["allowed"] == false);
    CHECK_THAT(response["status"]["message"].get<std::string>(), Catch::StartsWith("eip address overlap with edge"));
    CHECK(next.connects == 0);
  }
  const std::vector<std::string> counted = f.Counted();
  CHECK(counted.size() == 21);
  CHECK(counted.front() == "CREATE yes");
  CHECK(counted.back() == "CREATE no");
}

TEST_CASE("what is no review is refused, and the server goes on", "[contract]") {
  Fixture f;
  const kube::TlsMaterial tls = f.folder.Renew();
  f.Start();
  const std::string good = ReviewBody("CREATE", "eips", Eip("203.0.113.1", "new"));
  const auto status = [&](const std::string& path, const std::string& body) {
    return Caller(f.port, tls.ca_bundle).Post(path, body).status;
  };
  CHECK(status(kEipPath, "nonsense") == 400);
  CHECK(status(kEipPath, std::string(1000000, '[')) == 400);
  CHECK(status(kEipPath, std::string((std::size_t{3} << 20) + 1, ' ')) == 413);
  CHECK(status("/elsewhere", good) == 404);
  CHECK(status(kEipPath, good) == 200);
  CHECK(f.Counted() == std::vector<std::string>{"CREATE yes"});
}

TEST_CASE("a certificate that is replaced serves the next connection and leaves those that are open alone",
          "[contract]") {
  Fixture f;
  f.Start();
  const std::string body = ReviewBody("CREATE", "eips", Eip("203.0.113.1", "new"));
  CHECK(Caller(f.port, "").Post(kEipPath, body).curl != CURLE_OK);  // none yet
  const kube::TlsMaterial first = f.folder.Renew();
  Caller kept(f.port, first.ca_bundle);
  CHECK(kept.Post(kEipPath, body).status == 200);
  const kube::TlsMaterial second = f.folder.Renew();
  CHECK(kept.Post(kEipPath, body).connects == 0);
  CHECK(Caller(f.port, second.ca_bundle).Post(kEipPath, body).status == 200);
  CHECK(Caller(f.port, first.ca_bundle).Post(kEipPath, body).curl == CURLE_PEER_FAILED_VERIFICATION);
  // A key that does not fit changes nothing.
  REQUIRE(kube::WriteServingFiles(f.folder.File(""), {first.ca_bundle, "", first.cert, second.key}).ok());
  CHECK(Caller(f.port, second.ca_bundle).Post(kEipPath, body).status == 200);
}

TEST_CASE("a loop that is too busy makes an honest error, and answers the next", "[contract]") {
  Fixture f;
  const kube::TlsMaterial tls = f.folder.Renew();
  f.Start({.decide_timeout = absl::Milliseconds(50)});
  const std::string body = ReviewBody("CREATE", "eips", Eip("203.0.113.1", "new"));
  Caller caller(f.port, tls.ca_bundle);
  std::promise<void> released;
  f.loop.loop().Post([&] { released.get_future().wait(); });
  const json response = ResponseOf(caller.Post(kEipPath, body));
  released.set_value();
  CHECK(response["allowed"] == false);
  CHECK(response["status"]["code"] == 503);
  CHECK_THAT(response["status"]["message"].get<std::string>(), Catch::Contains("too busy for 50ms"));
  CHECK(f.Counted() == std::vector<std::string>{"CREATE no"});
}

TEST_CASE("many connections at a time are all answered", "[contract]") {
  Fixture f;
  const kube::TlsMaterial tls = f.folder.Renew();
  f.Start();
  std::atomic<int> good = 0, worst = 0;  // curl's code of what failed
  std::vector<std::thread> callers;
  for (int i = 0; i < 16; ++i) {
    callers.emplace_back([&] {
      Caller caller(f.port, tls.ca_bundle);
      for (int n = 0; n < 5; ++n) {
        const Reply reply = caller.Post(kEipPath, ReviewBody("CREATE", "eips", Eip("203.0.113.1", "new")));
        if (reply.curl == CURLE_OK && reply.status == 200) ++good;
        worst = std::max(worst.load(), static_cast<int>(reply.curl));
      }
    });
  }
  for (std::thread& caller : callers) caller.join();
  CAPTURE(worst.load());
  CHECK(good == 80);
}

TEST_CASE("a server that ends answers who waits and lets nobody hold it up", "[contract]") {
  Fixture f;
  const kube::TlsMaterial tls = f.folder.Renew();
  f.Start({.decide_timeout = absl::Seconds(60)});
  const std::string body = ReviewBody("CREATE", "eips", Eip("203.0.113.1", "new"));
  Caller idle(f.port, tls.ca_bundle), asking(f.port, tls.ca_bundle);
  CHECK(idle.Post(kEipPath, body).status == 200);
  std::promise<void> released;
  f.loop.loop().Post([&] { released.get_future().wait(); });
  f.loop.loop().Post([&] { f.server.reset(); });  // before the question, which comes after it
  std::future<Reply> answer = std::async(std::launch::async, [&] { return asking.Post(kEipPath, body); });
  released.set_value();
  const Reply reply = answer.get();
  CAPTURE(reply.status, reply.body);
  // Asked in time or too late: in either case told so, and not left waiting.
  if (reply.curl == CURLE_OK) CHECK(json::parse(reply.body)["response"]["status"]["code"] == 503);
  f.Stop();
  CHECK(Caller(f.port, tls.ca_bundle).Post(kEipPath, body).curl == CURLE_COULDNT_CONNECT);
}

TEST_CASE("a server ends also when it has hardly begun", "[contract]") {
  Fixture f;
  f.folder.Renew();
  for (int i = 0; i < 100; ++i) {
    f.Start();
    f.Stop();
  }
}

TEST_CASE("a port that is taken is told", "[contract]") {
  Fixture f;
  f.folder.Renew();
  f.Start();
  f.loop.On([&] {
    WebhookServer second(f.loop.loop(), f.view, {.listen = {"127.0.0.1", static_cast<std::uint16_t>(f.port)}}, {});
    const absl::Status status = second.Start();
    CHECK(absl::IsUnavailable(status));
    CHECK_THAT(std::string(status.message()), Catch::Contains("in use"));
  });
}

}  // namespace
}  // namespace berth::admission
