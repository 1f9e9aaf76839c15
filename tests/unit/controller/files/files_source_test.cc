// SPDX-License-Identifier: Apache-2.0
// What is the files source's own; what every source promises is in tests/contract/cluster_source_contract_test.cc.
#include "controller/files/files_source.h"

#include <map>
#include <utility>

#include "absl/strings/match.h"
#include "common/obs/log.h"
#include "tests/unit/controller/files/folder_testing.h"
#include "tests/unit/controller/files/manifest_testing.h"

namespace berth::files {
namespace {

namespace fs = std::filesystem;

const model::ObjectId kWeb{"default", "web"};
constexpr char kService[] = "{type: LoadBalancer, ports: [{port: 80}]}";

struct Mirror : model::ClusterSource::Observer {
  std::map<std::string, model::Pool> pools;
  std::map<model::ObjectId, model::Service> services;
  std::map<std::uint64_t, absl::Status> answers;
  std::vector<std::uint64_t> terms;
  std::vector<std::string> problems;
  std::map<std::string, std::string> refused_pools;
  bool synced = false;
  std::size_t services_when_synced = 0, largest_delta = 0;

  void OnDelta(const model::ClusterDelta& delta) override {
    largest_delta = std::max(largest_delta, delta.services.size());
    for (const auto& pool : delta.pools) pools[pool.name] = pool;
    for (const auto& name : delta.gone_pools) pools.erase(name);
    for (const auto& service : delta.services) services[service.id] = service;
    for (const auto& id : delta.gone_services) services.erase(id);
  }
  void OnSynced() override {
    synced = true;
    services_when_synced = services.size();
  }
  void OnLeadership(bool, std::uint64_t term, const std::string&) override { terms.push_back(term); }
  void OnServiceWritten(std::uint64_t id, const absl::Status& status, const std::string&) override {
    answers[id] = status;
  }
  void OnProblems(const model::Problems& now) override {
    problems = now.texts;
    refused_pools = now.pools;
  }
  bool HasProblem(const std::string& part) const {
    for (const std::string& problem : problems) {
      if (absl::StrContains(problem, part)) return true;
    }
    return false;
  }
};

// A manifest folder, a state folder and the source on them, restartable.
struct Site {
  Site() { fs::create_directory(folder / "m"); }
  ~Site() { Stop(); }

  absl::Status Start() {
    mirror = std::make_unique<Mirror>();
    source = std::make_unique<FilesSource>(runner.loop(), FilesSource::Options{folder / "m", folder / "state"});
    return source->Start(*mirror);
  }
  void StartAndSync() {
    REQUIRE(Start().ok());
    runner.Await([&] { return mirror->synced && !mirror->terms.empty(); });
  }
  void Stop() { source.reset(); }
  void Put(const std::string& file, const std::string& text) { WriteText(folder / ("m/" + file), text); }
  std::uint64_t Write(const std::string& address) {
    model::ServiceWrite write;
    write.write_id = ++last_id;
    write.id = kWeb;
    write.revision = mirror->services.at(kWeb).revision;
    if (!address.empty()) {
      write.allocations = {{*IpAddr::Parse(address), "a", model::Protocol::kLayer2, "eth0"}};
      write.managed_by = "annotation";
    }
    source->WriteService(write);
    return last_id;
  }
  absl::Status AwaitAnswer(std::uint64_t id) {
    runner.Await([&] { return mirror->answers.count(id) != 0; });
    return mirror->answers.at(id);
  }
  // A site whose Service web holds 10.0.0.1.
  void StartHolding() {
    Put("pool.yaml", Eip("{address: 10.0.0.1-10.0.0.9}"));
    Put("web.yaml", Web(kService));
    StartAndSync();
    REQUIRE(AwaitAnswer(Write("10.0.0.1")).ok());
    runner.Await([&] { return web().marked; });
  }
  const model::Service& web() const { return mirror->services.at(kWeb); }
  bool Holds() const { return web().allocations.size() == 1 && web().marked && !web().deleting; }

  TempFolder folder;
  LoopRunner runner;
  std::unique_ptr<Mirror> mirror;
  std::unique_ptr<FilesSource> source;
  std::uint64_t last_id = 0;
};

}  // namespace

TEST_CASE("the files source does not start without its folder, and lets go of the state folder then", "[unit]") {
  Site site;
  fs::remove(site.folder / "m");
  const absl::Status missing = site.Start();
  CHECK(absl::IsNotFound(missing));
  CHECK(absl::StrContains(missing.message(), "manifest folder \"" + (site.folder / "m") + "\""));
  fs::create_directory(site.folder / "m");
  site.Stop();
  site.StartAndSync();
  CHECK(site.mirror->problems.empty());
}

TEST_CASE("two files sources cannot share a state folder", "[unit]") {
  Site site;
  site.StartAndSync();
  Mirror other;
  FilesSource second(site.runner.loop(), {site.folder / "m", site.folder / "state"});
  const absl::Status status = second.Start(other);
  CHECK(absl::IsFailedPrecondition(status));
  CHECK(absl::StrContains(status.message(), site.folder / "state"));
}

TEST_CASE("a Service stays what it was while its file is broken", "[unit]") {
  Site site;
  site.StartHolding();
  site.Put("web.yaml", "apiVersion: v1\nkind: Service\nmetadata: {name: web");
  site.runner.Await([&] { return site.mirror->HasProblem("web.yaml:"); });
  CHECK(site.Holds());
  CHECK(site.web().load_balancer);

  SECTION("also over a restart, and follows the file once that is right again") {
    site.Stop();
    site.StartAndSync();
    CHECK(site.mirror->HasProblem("web.yaml:"));
    REQUIRE(site.mirror->services.count(kWeb) == 1);
    CHECK(site.Holds());
    CHECK(site.web().ports.at(0).port == 80);
    site.Put("web.yaml", Web("{type: LoadBalancer, ports: [{port: 81}]}"));
    site.runner.Await([&] { return site.web().ports.at(0).port == 81; });
    CHECK(site.Holds());
    CHECK(site.mirror->problems.empty());
  }
  SECTION("and is deleted with its file") {
    fs::remove(site.folder / "m/web.yaml");
    site.runner.Await([&] { return site.web().deleting; });
    CHECK(site.mirror->problems.empty());
  }
}

TEST_CASE("thousands of Services are told a part at a time, and all of them before the source is in sync", "[unit]") {
  Site site;
  std::string text;
  for (int i = 0; i < 4500; ++i) {
    absl::StrAppend(&text, "---\napiVersion: v1\nkind: Service\nmetadata: {name: web-", i, "}\nspec: {}\n");
  }
  site.Put("many.yaml", text);
  site.StartAndSync();
  CHECK(site.mirror->services_when_synced == 4500);
  CHECK(site.mirror->largest_delta <= 2000);
}

TEST_CASE("an Eip whose manifest is wrong is told by name until it is right", "[unit]") {
  Site site;
  site.StartAndSync();
  site.Put("pool.yaml", Eip("{address: 10.0.0.300}"));
  site.runner.Await([&] { return site.mirror->refused_pools.count("a") != 0; });
  CHECK(site.mirror->refused_pools.at("a").rfind("pool.yaml:4: Eip \"a\": spec.address: \"10.0.0.300\"", 0) == 0);
  site.Put("pool.yaml", Eip("{address: 10.0.0.30}"));
  site.runner.Await([&] { return site.mirror->pools.count("a") != 0; });
  CHECK(site.mirror->refused_pools.empty());
}

TEST_CASE("the newest manifest of a Service that holds an address is remembered", "[unit]") {
  Site site;
  site.StartHolding();
  site.Put("web.yaml", Web("{type: LoadBalancer, ports: [{port: 443}]}"));
  site.runner.Await([&] { return site.web().ports.at(0).port == 443; });
  site.Stop();
  site.Put("web.yaml", "{");
  site.StartAndSync();
  CHECK(site.Holds());
  CHECK(site.web().ports.at(0).port == 443);
}

TEST_CASE("a folder that vanishes deletes nothing, and is followed again when it returns", "[unit]") {
  Site site;
  site.StartHolding();
  fs::rename(site.folder / "m", site.folder / "away");
  site.runner.Await([&] { return site.mirror->HasProblem("manifest folder"); });
  CHECK(site.Holds());
  CHECK(site.mirror->pools.size() == 1);

  fs::create_directory(site.folder / "m");  // empty: a mount point without its mount
  site.runner.Await([&] { return site.mirror->HasProblem("has no manifest"); });
  CHECK(site.Holds());
  CHECK(site.mirror->pools.size() == 1);

  site.Put("pool.yaml", Eip("{address: 10.0.0.1-10.0.0.20}"));
  site.runner.Await([&] { return site.mirror->problems.empty(); });
  site.runner.Await([&] { return site.web().deleting; });
  CHECK(site.mirror->pools.at("a").address_text == "10.0.0.1-10.0.0.20");
}

TEST_CASE("a start with an empty folder keeps what the state remembers", "[unit]") {
  Site site;
  site.StartHolding();
  site.Stop();
  fs::remove(site.folder / "m/web.yaml");
  fs::remove(site.folder / "m/pool.yaml");
  site.StartAndSync();
  CHECK(site.mirror->HasProblem("has no manifest, which it had before"));
  CHECK(site.Holds());
  site.Put("other.yaml", "# filled\n");
  site.runner.Await([&] { return site.web().deleting; });
  CHECK(site.mirror->problems.empty());
}

TEST_CASE("a write that does not reach the disk is answered so and is not shown", "[unit]") {
  Site site;
  site.Put("web.yaml", Web(kService));
  site.StartAndSync();
  fs::rename(site.folder / "state", site.folder / "away");
  const absl::Status status = site.AwaitAnswer(site.Write("10.0.0.1"));
  CHECK_FALSE(status.ok());
  CHECK_FALSE(absl::IsAborted(status));
  site.runner.Await([&] { return site.mirror->HasProblem("state folder"); });
  CHECK_FALSE(site.web().marked);

  fs::rename(site.folder / "away", site.folder / "state");
  CHECK(site.AwaitAnswer(site.Write("10.0.0.1")).ok());
  site.runner.Await([&] { return site.web().marked && site.mirror->problems.empty(); });
}

TEST_CASE("the files source leads only once its term is on disk", "[unit]") {
  Site site;
  site.Put("web.yaml", Web(kService));
  REQUIRE(site.Start().ok());
  fs::rename(site.folder / "state", site.folder / "away");  // before the loop had a turn
  site.runner.Await([&] { return site.mirror->synced && site.mirror->HasProblem("state folder"); });
  CHECK(site.mirror->terms.empty());
  fs::rename(site.folder / "away", site.folder / "state");
  site.runner.Await([&] { return !site.mirror->terms.empty(); });
  CHECK(site.mirror->terms == std::vector<std::uint64_t>{1});
  CHECK(absl::StrContains(ReadText(site.folder / "state/state.json"), "\"term\": 1,"));
}

TEST_CASE("a corrupt state is a problem that stays told", "[unit]") {
  Site site;
  site.StartHolding();
  site.Stop();
  WriteText(site.folder / "state/state.json", "{\"format\": \"berth-state/1\", \"term\"");
  site.StartAndSync();
  CHECK(site.mirror->HasProblem("state.json.corrupt-1"));
  CHECK_FALSE(site.web().marked);
  CHECK(site.AwaitAnswer(site.Write("10.0.0.1")).ok());
  CHECK(site.mirror->HasProblem("state.json.corrupt-1"));
}

TEST_CASE("a manifest that goes while its Service is being written leaves the address to be released", "[unit]") {
  Site site;
  site.Put("web.yaml", Web(kService));
  site.StartAndSync();
  const std::uint64_t id = site.Write("10.0.0.1");
  fs::remove(site.folder / "m/web.yaml");
  CHECK(site.AwaitAnswer(id).ok());
  site.runner.Await([&] { return site.mirror->services.count(kWeb) == 1 && site.web().deleting; });
  CHECK(site.web().allocations.size() == 1);
  CHECK(site.AwaitAnswer(site.Write("")).ok());
  site.runner.Await([&] { return site.mirror->services.empty(); });
}

TEST_CASE("a write decided on an older manifest is aborted", "[unit]") {
  Site site;
  site.StartHolding();
  model::ServiceWrite write;
  write.write_id = 77;
  write.id = kWeb;
  write.revision = site.web().revision;
  site.Put("web.yaml", Web("{type: ClusterIP, ports: [{port: 80}]}"));
  site.runner.Await([&] { return !site.web().load_balancer; });
  site.source->WriteService(write);
  CHECK(absl::IsAborted(site.AwaitAnswer(77)));
}

TEST_CASE("Events are lines of the log, and kinds without use are told once", "[unit]") {
  std::vector<std::string> lines;
  Site site;
  site.Put("a.yaml", "{apiVersion: apps/v1, kind: Deployment}\n---\n{apiVersion: apps/v1, kind: Deployment}\n");
  LogToForTest([&](absl::string_view line) { lines.emplace_back(line); });
  site.StartAndSync();
  model::EventRecord event;
  event.object = kWeb;
  event.warning = true;
  event.reason = "AssignIPFailed";
  event.message = "pool is full";
  site.source->RecordEvent(event);
  site.Stop();
  LogToForTest(nullptr);
  REQUIRE(lines.size() == 2);
  CHECK(absl::StrContains(lines[0], "apps/v1 Deployment"));
  CHECK(absl::StrContains(lines[1], "pool is full"));
  CHECK(absl::StrContains(lines[1], "AssignIPFailed"));
  CHECK(absl::StrContains(lines[1], "default/web"));
  CHECK(absl::StrContains(lines[1], "warn"));
}

TEST_CASE("the walkthrough's example is a pool and a Service that asks for it", "[unit]") {
  const fs::path example = fs::path(BERTH_SOURCE_DIR) / "examples/layer2";
  const auto pool = Only<model::Pool>(ReadText(example / "eip.yaml"));
  CHECK(pool.name == "eip-pool");
  CHECK(pool.addresses == *IpRangeSet::Parse("192.168.50.50-192.168.50.60"));
  CHECK(pool.protocol == model::Protocol::kLayer2);
  CHECK(pool.interface == "eth0");
  const auto service = Only<model::Service>(ReadText(example / "nginx-service.yaml"));
  CHECK(service.id == model::ObjectId{"default", "nginx"});
  CHECK(service.load_balancer);
  CHECK(service.ports.at(0).port == 80);
  CHECK(service.annotations == model::Labels{{model::kOptInAnnotation, "openelb"},
                                             {model::kProtocolAnnotation, "layer2"},
                                             {model::kPoolAnnotation, "eip-pool"}});
}

}  // namespace berth::files
