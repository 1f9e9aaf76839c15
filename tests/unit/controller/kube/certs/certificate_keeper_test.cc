// SPDX-License-Identifier: Apache-2.0
#include "controller/kube/certs/certificate_keeper.h"

#include <stdlib.h>
#include <sys/stat.h>

#include <catch2/catch.hpp>
#include <filesystem>
#include <memory>

#include "absl/strings/escaping.h"
#include "common/base/atomic_file.h"
#include "controller/kube/certs/serving_files.h"
#include "controller/kube/certs/x509.h"
#include "tests/fakes/manual_event_loop.h"
#include "tests/unit/controller/kube/certs/small_store.h"
#include "tests/unit/controller/kube/scripted_api.h"

namespace berth::kube {
namespace {

namespace fs = std::filesystem;
using nlohmann::json;

constexpr char kSecret[] = "/api/v1/namespaces/openelb-system/secrets/berth-tls";
constexpr char kConfigMap[] = "/api/v1/namespaces/openelb-system/configmaps/berth-ca";
constexpr char kValidating[] = "/apis/admissionregistration.k8s.io/v1/validatingwebhookconfigurations/berth-controller";

struct Folder {
  Folder() {
    std::string name = (fs::temp_directory_path() / "berth-certs-XXXXXX").string();
    path = mkdtemp(name.data());
  }
  ~Folder() { fs::remove_all(path); }
  std::string path;
};

std::string Content(const std::string& path) { return ReadFile(path)->value_or("(absent)"); }

// One replica.
struct Replica {
  Replica(ManualEventLoop& loop, SmallStore& store, bool leader) : api(loop) { Begin(loop, store, leader); }
  // Also once more: as a process that was started again does, with the files of the one before.
  void Begin(ManualEventLoop& loop, SmallStore& store, bool leader) {
    keeper.reset();
    api.answer = [&store](const ApiRequest& request) { return store.Answer(request); };
    CertificateKeeper::Options options{.ns = "openelb-system",
                                       .folder = folder.path + "/tls",
                                       .policy = {.names = ControllerNames("openelb-system")},
                                       .publish = {.ns = "openelb-system", .validating = {"berth-controller"}}};
    keeper = std::make_unique<CertificateKeeper>(
        loop, api, options,
        CertificateKeeper::Hooks{
            .on_ready = [this] { ++ready; },
            .on_renewed = [this](const std::string& why) { renewed.push_back(why); },
            .on_expiry = [this](const std::string& name, absl::Time when) { expiry[name] = when; },
            .on_problem = [this](const absl::Status& status) { problems.push_back(status); },
            .on_publish_problem = [this](const absl::Status& status) { publish_problems.push_back(status); }});
    keeper->SetLeader(leader);
    keeper->Start();
  }
  std::string Serves(const std::string& file) const { return Content(keeper->File(file)); }

  Folder folder;
  ScriptedApi api;
  int ready = 0;
  std::vector<std::string> renewed;
  std::map<std::string, absl::Time> expiry;
  std::vector<absl::Status> problems, publish_problems;
  std::unique_ptr<CertificateKeeper> keeper;
};

std::string InSecret(const SmallStore& store, const char* key) {
  std::string bytes;
  absl::Base64Unescape(std::string(store.objects.at(kSecret)["data"][key]), &bytes);
  return bytes;
}

json Webhooks() {
  return {
      {"metadata", {{"name", "berth-controller"}}},
      {"webhooks",
       {{{"name", "validate.eip"}, {"clientConfig", {{"service", {{"name", "berth-webhook"}}}}}},
        {{"name", "by-url"}, {"clientConfig", {{"url", "https://elsewhere.example"}}}},
        {{"name", "delete.eip"}, {"clientConfig", {{"service", {{"name", "berth-webhook"}}}, {"caBundle", "b2xk"}}}}}}};
}

TEST_CASE("the first replica makes the Secret, the second takes it over, both serve the same", "[unit]") {
  ManualEventLoop loop;
  SmallStore store;
  Replica a(loop, store, false), b(loop, store, false);  // both look before either writes
  loop.Advance(absl::Seconds(1));
  CHECK(store.writes == std::vector<std::string>{"create /api/v1/namespaces/openelb-system/secrets"});
  CHECK(store.objects.at(kSecret)["type"] == "Opaque");
  CHECK(a.ready == 1);
  CHECK(b.ready == 1);
  for (const Replica* each : {&a, &b}) {
    CHECK(each->Serves("tls.crt") == InSecret(store, "tls.crt"));
    CHECK(each->Serves("tls.key") == InSecret(store, "tls.key"));
    CHECK(each->Serves("ca.crt") == InSecret(store, "ca.crt"));
    CHECK(each->Serves("ca.key") == "(absent)");
    CHECK(each->expiry.at("serving") == absl::FromUnixSeconds(1767323045) + absl::Hours(24 * 90));
    CHECK(each->expiry.size() == 2);
    CHECK(each->problems.empty());
  }
  CHECK(a.renewed.size() + b.renewed.size() == 1);
  CHECK_FALSE(store.objects.contains(kConfigMap));  // nobody leads
  loop.Advance(absl::Hours(1));
  CHECK(store.writes.size() == 1);  // a steady cluster makes no writes
}

TEST_CASE("a certificate that somebody made expire is never served and mended within a minute", "[unit]") {
  ManualEventLoop loop;
  SmallStore store;
  Replica a(loop, store, true), b(loop, store, false);
  loop.Advance(absl::Seconds(1));
  const std::string good = a.Serves("tls.crt");
  const KeyPair expired =
      *MakeServing({InSecret(store, "ca.crt"), InSecret(store, "ca.key")}, ControllerNames("openelb-system"),
                   loop.WallNow() - absl::Hours(2), loop.WallNow() - absl::Hours(1));
  json secret = store.objects.at(kSecret);
  secret["data"]["tls.crt"] = absl::Base64Escape(expired.cert);
  secret["data"]["tls.key"] = absl::Base64Escape(expired.key);
  secret["data"]["other"] = "a2VwdA==";
  store.Put(kSecret, secret);
  for (int i = 0; i < 60; ++i) {
    loop.Advance(absl::Seconds(1));
    CHECK(a.Serves("tls.crt") != expired.cert);
    CHECK(b.Serves("tls.crt") != expired.cert);
  }
  loop.Advance(absl::Seconds(60));
  CHECK(InSecret(store, "tls.crt") != expired.cert);
  CHECK(a.Serves("tls.crt") == InSecret(store, "tls.crt"));
  CHECK(b.Serves("tls.crt") == InSecret(store, "tls.crt"));
  CHECK(a.Serves("tls.crt") != good);
  CHECK(store.objects.at(kSecret)["data"]["other"] == "a2VwdA==");
}

TEST_CASE("an authority that somebody made expire is replaced, and nobody meets a certificate that he does not trust",
          "[unit]") {
  ManualEventLoop loop;
  SmallStore store;
  store.Put(kValidating, Webhooks());
  Replica a(loop, store, true), b(loop, store, false);
  loop.Advance(absl::Seconds(1));
  const std::string good = a.Serves("tls.crt"), trusted = a.Serves("ca.crt");
  const bool restarted = GENERATE(false, true);  // before it has looked
  const KeyPair authority = *MakeAuthority(loop.WallNow() - absl::Hours(3), loop.WallNow() - absl::Hours(1));
  const KeyPair serving = *MakeServing(authority, ControllerNames("openelb-system"), loop.WallNow() - absl::Hours(3),
                                       loop.WallNow() - absl::Hours(1));
  json secret = store.objects.at(kSecret);
  secret["data"] = {{"ca.crt", absl::Base64Escape(authority.cert)},
                    {"ca.key", absl::Base64Escape(authority.key)},
                    {"tls.crt", absl::Base64Escape(serving.cert)},
                    {"tls.key", absl::Base64Escape(serving.key)}};
  store.Put(kSecret, secret);
  if (restarted) a.Begin(loop, store, true);
  for (int i = 0; i < 60; ++i) {
    loop.Advance(absl::Seconds(1));
    CHECK(a.Serves("tls.crt") == good);
    CHECK(b.Serves("tls.crt") == good);
    CHECK(SplitBundle(store.objects.at(kConfigMap)["data"]["ca.crt"]).back() == trusted);
  }
  const std::vector<std::string> authorities = SplitBundle(InSecret(store, "ca.crt"));
  REQUIRE(authorities.size() == 2);
  CHECK(authorities.front() != authority.cert);
  CHECK(InSecret(store, "tls.crt") == good);
  CHECK(store.objects.at(kConfigMap)["data"]["ca.crt"] == InSecret(store, "ca.crt"));
  CHECK(store.objects.at(kValidating)["webhooks"][0]["clientConfig"]["caBundle"] ==
        absl::Base64Escape(InSecret(store, "ca.crt")));
}

TEST_CASE("a Secret that was deleted comes back as it was", "[unit]") {
  ManualEventLoop loop;
  SmallStore store;
  Replica a(loop, store, true);
  loop.Advance(absl::Seconds(1));
  const std::string ca = InSecret(store, "ca.crt");
  store.objects.erase(kSecret);
  loop.Advance(absl::Seconds(60));
  CHECK(InSecret(store, "ca.crt") == ca);
  CHECK(InSecret(store, "tls.crt") == a.Serves("tls.crt"));
}

TEST_CASE("only a leader tells whom to trust, and mends what others write over", "[unit]") {
  ManualEventLoop loop;
  SmallStore store;
  store.Put(kValidating, Webhooks());
  Replica a(loop, store, false);
  loop.Advance(absl::Minutes(10));
  CHECK(store.writes.size() == 1);
  a.keeper->SetLeader(true);
  loop.RunUntilIdle();
  const std::string bundle = a.Serves("ca.crt");
  CHECK(store.objects.at(kConfigMap)["data"]["ca.crt"] == bundle);
  const auto check_webhooks = [&] {
    const json& webhooks = store.objects.at(kValidating)["webhooks"];
    CHECK(webhooks.size() == 3);
    CHECK(webhooks[0]["clientConfig"]["caBundle"] == absl::Base64Escape(bundle));
    CHECK(webhooks[0]["name"] == "validate.eip");
    CHECK_FALSE(webhooks[1]["clientConfig"].contains("caBundle"));
    CHECK(webhooks[2]["clientConfig"]["caBundle"] == absl::Base64Escape(bundle));
  };
  check_webhooks();
  const std::size_t writes = store.writes.size();
  loop.Advance(absl::Hours(1));
  CHECK(store.writes.size() == writes);
  json config_map = store.objects.at(kConfigMap);
  config_map["data"] = {{"ca.crt", "wrong"}, {"note", "kept"}};
  store.Put(kConfigMap, config_map);
  store.Put(kValidating, Webhooks());  // helm upgrade
  loop.Advance(absl::Minutes(5));
  CHECK(store.objects.at(kConfigMap)["data"] == json({{"ca.crt", bundle}, {"note", "kept"}}));
  check_webhooks();
  CHECK(a.publish_problems.empty());
  a.keeper->SetLeader(false);
  store.objects.erase(kConfigMap);
  loop.Advance(absl::Hours(1));
  CHECK_FALSE(store.objects.contains(kConfigMap));
}

TEST_CASE("a new authority reaches agents and API server as soon as it is there", "[unit]") {
  ManualEventLoop loop;
  SmallStore store;
  store.Put(kValidating, Webhooks());
  Replica a(loop, store, true), b(loop, store, false);
  loop.Advance(absl::Seconds(1));
  json secret = store.objects.at(kSecret);
  secret["data"].erase("ca.key");
  store.Put(kSecret, secret);
  loop.Advance(absl::Minutes(2));
  const std::string bundle = InSecret(store, "ca.crt");
  CHECK(SplitBundle(bundle).size() == 2);
  CHECK(store.objects.at(kConfigMap)["data"]["ca.crt"] == bundle);
  CHECK(store.objects.at(kValidating)["webhooks"][0]["clientConfig"]["caBundle"] == absl::Base64Escape(bundle));
  CHECK(a.Serves("ca.crt") == bundle);
  CHECK(b.Serves("ca.crt") == bundle);
}

TEST_CASE("while no API server answers what there is goes on being served", "[unit]") {
  ManualEventLoop loop;
  SmallStore store;
  Replica a(loop, store, true);
  loop.Advance(absl::Seconds(1));
  const std::string serving = a.Serves("tls.crt");
  store.faults[absl::StrCat("get ", kSecret)] = absl::UnavailableError("connection refused");
  loop.Advance(absl::Minutes(10));
  REQUIRE(a.problems.size() == 1);
  CHECK(a.problems[0].message() == "Secret openelb-system/berth-tls: connection refused");
  CHECK(a.Serves("tls.crt") == serving);
  store.faults.clear();
  loop.Advance(absl::Seconds(5));
  REQUIRE(a.problems.size() == 2);
  CHECK(a.problems[1].ok());
}

TEST_CASE("a missing right is told once, and one place that fails holds up no other", "[unit]") {
  ManualEventLoop loop;
  SmallStore store;
  store.Put(kValidating, Webhooks());
  store.faults["create /api/v1/namespaces/openelb-system/configmaps"] = absl::PermissionDeniedError("cannot create");
  Replica a(loop, store, true);
  loop.Advance(absl::Minutes(1));
  REQUIRE(a.publish_problems.size() == 1);
  CHECK(a.publish_problems[0].message() == "configmaps berth-ca: cannot create");
  CHECK(store.objects.at(kValidating)["webhooks"][0]["clientConfig"].contains("caBundle"));
  store.faults.clear();
  loop.Advance(absl::Seconds(5));
  CHECK(store.objects.contains(kConfigMap));
  CHECK(a.publish_problems.back().ok());
}

TEST_CASE("a conflicting writer is read again", "[unit]") {
  ManualEventLoop loop;
  SmallStore store;
  store.Put(kSecret, {{"metadata", {{"name", "berth-tls"}}}, {"data", {{"tls.crt", "!"}}}});
  Replica a(loop, store, false);
  int conflicts = 0;
  a.api.answer = [&](const ApiRequest& request) -> absl::StatusOr<ApiResponse> {
    if (request.verb == "update" && conflicts++ == 0) store.Put(kSecret, store.objects.at(kSecret));
    return store.Answer(request);
  };
  loop.Advance(absl::Seconds(1));
  CHECK(conflicts == 2);
  CHECK(a.ready == 1);
  CHECK(a.problems.empty());
}

TEST_CASE("files change all at once and leave nothing behind", "[unit]") {
  Folder folder;
  const std::string path = folder.path + "/deep/tls";
  REQUIRE(WriteServingFiles(path, {"ca1", "secret", "cert1", "key1"}).ok());
  const std::string first = fs::read_symlink(path + "/..data");
  REQUIRE(WriteServingFiles(path, {"ca2", "secret", "cert2", "key2"}).ok());
  CHECK(Content(path + "/ca.crt") == "ca2");
  CHECK(Content(path + "/tls.crt") == "cert2");
  CHECK(Content(path + "/tls.key") == "key2");
  CHECK(fs::read_symlink(path + "/tls.key") == "..data/tls.key");
  CHECK(fs::read_symlink(path + "/..data") != first);
  CHECK_FALSE(fs::exists(path + "/" + first));
  std::size_t entries = 0;
  for ([[maybe_unused]] const auto& entry : fs::directory_iterator(path)) ++entries;
  CHECK(entries == 5);
  struct stat info{};
  REQUIRE(stat((path + "/tls.key").c_str(), &info) == 0);
  CHECK((info.st_mode & 0777) == 0600);
  CHECK_FALSE(WriteServingFiles(path + "/tls.key", {}).ok());
}

}  // namespace
}  // namespace berth::kube
