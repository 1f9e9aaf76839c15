// SPDX-License-Identifier: Apache-2.0
// What every ClusterSource promises (controller/model/source.h), asked of the files source and of the fake alike.
#include <algorithm>
#include <catch2/catch.hpp>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <functional>
#include <map>
#include <memory>
#include <sstream>
#include <string>
#include <variant>
#include <vector>

#include "common/base/real_event_loop.h"
#include "controller/files/files_source.h"
#include "tests/fakes/fake_source.h"
#include "tests/fakes/manual_event_loop.h"

namespace berth {
namespace {

using model::ObjectId;

const ObjectId kNginx{"default", "nginx"};

constexpr char kPool[] = R"(apiVersion: network.kubesphere.io/v1alpha2
kind: Eip
metadata: {name: eip-pool}
spec: {address: 192.168.50.50-192.168.50.60, protocol: layer2, interface: eth0}
)";

std::string ServiceManifest(const std::string& name, int port) {
  return "apiVersion: v1\nkind: Service\nmetadata: {name: " + name +
         ", annotations: {lb.kubesphere.io/v1alpha1: openelb}}\nspec: {type: LoadBalancer, ports: [{port: " +
         std::to_string(port) + "}]}\n";
}

// An observer that keeps what it was shown.
struct Mirror : model::ClusterSource::Observer {
  std::map<std::string, model::Pool> pools;
  std::map<ObjectId, model::Service> services;
  std::map<std::uint64_t, absl::Status> answers;
  std::map<std::uint64_t, std::string> revisions;
  std::vector<std::pair<bool, std::uint64_t>> leadership;
  int synced = 0;
  bool inside_method = false;  // set by the test around calls into the source

  void OnDelta(const model::ClusterDelta& delta) override {
    CHECK_FALSE(inside_method);
    CHECK_FALSE(delta.empty());
    for (const auto& pool : delta.pools) pools[pool.name] = pool;
    for (const auto& name : delta.gone_pools) CHECK(pools.erase(name) == 1);
    for (const auto& service : delta.services) services[service.id] = service;
    for (const auto& id : delta.gone_services) CHECK(services.erase(id) == 1);
  }
  void OnSynced() override { ++synced; }
  void OnLeadership(bool leader, std::uint64_t term, const std::string&) override {
    CHECK_FALSE(inside_method);
    leadership.emplace_back(leader, term);
  }
  void OnServiceWritten(std::uint64_t id, const absl::Status& status, const std::string& revision) override {
    CHECK_FALSE(inside_method);
    CHECK(answers.emplace(id, status).second);
    revisions[id] = revision;
  }
  void OnProblems(const model::Problems&) override {}
};

// A cluster that the test fills by manifests, and a source that comes and goes.
class World {
 public:
  virtual ~World() = default;
  virtual std::unique_ptr<model::ClusterSource> MakeSource() = 0;
  virtual void Write(const std::string& file, const std::string& text) = 0;
  virtual void Remove(const std::string& file) = 0;
  // Lets things happen until `done`, or fails the test.
  virtual void Await(const std::function<bool()>& done) = 0;
  // Lets everything happen that is under way.
  virtual void Settle() = 0;
  // Whether that word is where it would outlive the process.
  virtual bool OnRecord(const std::string& word) = 0;
};

class FilesWorld : public World {
 public:
  FilesWorld() : loop_(*RealEventLoop::Create()) {
    std::string name = (std::filesystem::temp_directory_path() / "berth-contract-XXXXXX").string();
    REQUIRE(mkdtemp(name.data()) != nullptr);
    root_ = name;
    std::filesystem::create_directory(root_ / "manifests");
  }
  ~FilesWorld() override { std::filesystem::remove_all(root_); }
  std::unique_ptr<model::ClusterSource> MakeSource() override {
    return std::make_unique<files::FilesSource>(
        *loop_, files::FilesSource::Options{root_ / "manifests", root_ / "state", "files"});
  }
  void Write(const std::string& file, const std::string& text) override {
    std::ofstream(root_ / "manifests" / file) << text;
  }
  void Remove(const std::string& file) override { std::filesystem::remove(root_ / "manifests" / file); }
  void Await(const std::function<bool()>& done) override {
    bool late = false;
    const TimerId limit = loop_->RunAfter(absl::Seconds(20), [&] {
      late = true;
      loop_->Stop();
    });
    // Looks again after every turn in which something was posted, and every few milliseconds.
    std::function<void()> look = [&] {
      if (done()) return loop_->Stop();
      loop_->RunAfter(absl::Milliseconds(2), look);
    };
    look();
    loop_->Run();
    loop_->Cancel(limit);
    REQUIRE_FALSE(late);
  }
  // The source has nothing that tells it is idle: what was asked for before is done once a later question is answered.
  void Settle() override {
    int turns = 0;
    Await([&] { return ++turns > 3; });
  }
  bool OnRecord(const std::string& word) override {
    for (const auto& file : std::filesystem::directory_iterator(root_ / "state")) {
      std::stringstream text;
      text << std::ifstream(file.path()).rdbuf();
      if (text.str().find(word) != std::string::npos) return true;
    }
    return false;
  }

 private:
  std::unique_ptr<RealEventLoop> loop_;
  std::filesystem::path root_;
};

class FakeWorld : public World {
 public:
  FakeWorld() : cluster_(loop_) {}
  std::unique_ptr<model::ClusterSource> MakeSource() override { return std::make_unique<FakeSource>(cluster_, "fake"); }
  void Write(const std::string& file, const std::string& text) override {
    files::ParsedFile parsed = files::ParseManifest(file, text);
    REQUIRE(parsed.problems.empty());
    for (const auto& object : parsed.objects) std::visit([this](const auto& o) { cluster_.Put(o); }, object.value);
    contents_[file] = std::move(parsed);
  }
  void Remove(const std::string& file) override {
    for (const auto& object : contents_.at(file).objects) {
      if (object.key.kind == files::ObjectKind::kPool) cluster_.DeletePool(object.key.id.name);
      if (object.key.kind == files::ObjectKind::kService) cluster_.DeleteService(object.key.id);
    }
    contents_.erase(file);
  }
  void Await(const std::function<bool()>& done) override {
    loop_.RunUntilIdle();
    REQUIRE(done());
  }
  void Settle() override { loop_.RunUntilIdle(); }
  bool OnRecord(const std::string& word) override {
    const auto& known = cluster_.agents();
    return std::any_of(known.begin(), known.end(), [&](const auto& agent) { return agent.node == word; });
  }

 private:
  ManualEventLoop loop_;
  FakeCluster cluster_;
  std::map<std::string, files::ParsedFile> contents_;
};

// A source at work with its mirror.
struct Life {
  Life(World& w, bool await = true) : world(w), source(w.MakeSource()) {
    mirror.inside_method = true;
    REQUIRE(source->Start(mirror).ok());
    mirror.inside_method = false;
    if (await) world.Await([this] { return mirror.synced == 1 && !mirror.leadership.empty(); });
  }
  ~Life() { source->Stop(); }

  model::ServiceWrite WriteFor(const ObjectId& id, std::vector<std::string> addresses) {
    model::ServiceWrite write;
    write.write_id = next_id++;
    write.id = id;
    write.revision = mirror.services.count(id) != 0 ? mirror.services.at(id).revision : "none";
    for (const std::string& text : addresses) {
      write.allocations.push_back({*IpAddr::Parse(text), "eip-pool", model::Protocol::kLayer2, "eth0"});
    }
    write.managed_by = addresses.empty() ? "" : "annotation";
    return write;
  }
  absl::Status Do(const model::ServiceWrite& write) {
    mirror.inside_method = true;
    source->WriteService(write);
    mirror.inside_method = false;
    world.Await([&] { return mirror.answers.count(write.write_id) != 0; });
    return mirror.answers.at(write.write_id);
  }

  World& world;
  Mirror mirror;
  std::unique_ptr<model::ClusterSource> source;
  std::uint64_t next_id = 1;
};

std::unique_ptr<World> MakeWorld(const std::string& kind) {
  if (kind == "files") return std::make_unique<FilesWorld>();
  return std::make_unique<FakeWorld>();
}

}  // namespace

TEST_CASE("a cluster source shows everything once before it says so, and leads with a term", "[contract]") {
  auto world = MakeWorld(GENERATE("files", "fake"));
  world->Write("pool.yaml", kPool);
  world->Write("web.yaml", ServiceManifest("nginx", 80));
  Life life(*world);
  CHECK(life.mirror.pools.count("eip-pool") == 1);
  REQUIRE(life.mirror.services.count(kNginx) == 1);
  const model::Service& nginx = life.mirror.services.at(kNginx);
  CHECK(nginx.load_balancer);
  CHECK(nginx.allocations.empty());
  CHECK_FALSE(nginx.marked);
  CHECK_FALSE(nginx.deleting);
  CHECK_FALSE(nginx.revision.empty());
  CHECK(life.mirror.leadership == std::vector<std::pair<bool, std::uint64_t>>{{true, 1}});
}

TEST_CASE("a cluster source follows objects as they come, change and go", "[contract]") {
  auto world = MakeWorld(GENERATE("files", "fake"));
  world->Write("pool.yaml", kPool);
  Life life(*world);
  world->Write("web.yaml", ServiceManifest("nginx", 80));
  world->Await([&] { return life.mirror.services.count(kNginx) == 1; });
  const std::string first_revision = life.mirror.services.at(kNginx).revision;
  world->Write("web.yaml", ServiceManifest("nginx", 81));
  world->Await([&] { return life.mirror.services.at(kNginx).ports.at(0).port == 81; });
  CHECK(life.mirror.services.at(kNginx).revision != first_revision);
  world->Remove("web.yaml");
  world->Await([&] { return life.mirror.services.empty(); });
  world->Remove("pool.yaml");
  world->Await([&] { return life.mirror.pools.empty(); });
  CHECK(life.mirror.synced == 1);
}

TEST_CASE("a write to a cluster source is answered and shown, with all that it recorded", "[contract]") {
  auto world = MakeWorld(GENERATE("files", "fake"));
  world->Write("web.yaml", ServiceManifest("nginx", 80));
  Life life(*world);
  const model::ServiceWrite write = life.WriteFor(kNginx, {"192.168.50.50", "192.168.50.51"});
  REQUIRE(life.Do(write).ok());
  const std::string revision = life.mirror.revisions.at(write.write_id);
  CHECK(revision != write.revision);
  world->Await([&] { return life.mirror.services.at(kNginx).revision == revision; });
  const model::Service& nginx = life.mirror.services.at(kNginx);
  CHECK(nginx.allocations == write.allocations);
  CHECK(nginx.managed_by == "annotation");
  CHECK(nginx.marked);
  CHECK(nginx.load_balancer);

  REQUIRE(life.Do(life.WriteFor(kNginx, {})).ok());
  world->Await([&] { return life.mirror.services.at(kNginx).allocations.empty(); });
  CHECK_FALSE(life.mirror.services.at(kNginx).marked);
  CHECK(life.mirror.services.at(kNginx).managed_by.empty());
}

TEST_CASE("a write to a cluster source that changes nothing is answered with the same revision", "[contract]") {
  auto world = MakeWorld(GENERATE("files", "fake"));
  world->Write("web.yaml", ServiceManifest("nginx", 80));
  Life life(*world);
  REQUIRE(life.Do(life.WriteFor(kNginx, {"192.168.50.50"})).ok());
  world->Await([&] { return life.mirror.services.at(kNginx).marked; });
  const model::ServiceWrite again = life.WriteFor(kNginx, {"192.168.50.50"});
  REQUIRE(life.Do(again).ok());
  CHECK(life.mirror.revisions.at(again.write_id) == again.revision);
}

TEST_CASE("a write to a cluster source based on an old object is aborted and changes nothing", "[contract]") {
  auto world = MakeWorld(GENERATE("files", "fake"));
  world->Write("web.yaml", ServiceManifest("nginx", 80));
  Life life(*world);
  model::ServiceWrite stale = life.WriteFor(kNginx, {"192.168.50.51"});
  REQUIRE(life.Do(life.WriteFor(kNginx, {"192.168.50.50"})).ok());
  CHECK(absl::IsAborted(life.Do(stale)));
  CHECK(life.mirror.revisions.at(stale.write_id).empty());
  world->Await([&] { return life.mirror.services.at(kNginx).marked; });
  CHECK(life.mirror.services.at(kNginx).allocations.at(0).address == *IpAddr::Parse("192.168.50.50"));
}

TEST_CASE("a write to a cluster source for a Service that is gone says so", "[contract]") {
  auto world = MakeWorld(GENERATE("files", "fake"));
  world->Write("pool.yaml", kPool);
  Life life(*world);
  CHECK(absl::IsNotFound(life.Do(life.WriteFor(kNginx, {"192.168.50.50"}))));
}

TEST_CASE("a deleted Service that holds an address stays in a cluster source until it is let go", "[contract]") {
  auto world = MakeWorld(GENERATE("files", "fake"));
  world->Write("pool.yaml", kPool);
  world->Write("web.yaml", ServiceManifest("nginx", 80));
  Life life(*world);
  REQUIRE(life.Do(life.WriteFor(kNginx, {"192.168.50.50"})).ok());
  world->Await([&] { return life.mirror.services.at(kNginx).marked; });
  world->Remove("web.yaml");
  world->Await([&] { return life.mirror.services.at(kNginx).deleting; });
  CHECK(life.mirror.services.at(kNginx).allocations.size() == 1);
  CHECK(life.mirror.services.at(kNginx).load_balancer);

  // Not free to go while the release is unfinished.
  model::ServiceWrite held = life.WriteFor(kNginx, {});
  held.hold = true;
  REQUIRE(life.Do(held).ok());
  world->Await([&] { return life.mirror.services.at(kNginx).allocations.empty(); });
  CHECK(life.mirror.services.at(kNginx).marked);
  CHECK(life.mirror.services.at(kNginx).deleting);

  REQUIRE(life.Do(life.WriteFor(kNginx, {})).ok());
  world->Await([&] { return life.mirror.services.empty(); });
}

TEST_CASE("what a cluster source was told to write survives the controller", "[contract]") {
  auto world = MakeWorld(GENERATE("files", "fake"));
  world->Write("pool.yaml", kPool);
  world->Write("web.yaml", ServiceManifest("nginx", 80));
  world->Write("api.yaml", ServiceManifest("api", 443));
  const ObjectId api{"default", "api"};
  const std::vector<model::ClusterSource::KnownAgent> agents = {{"node1", {*MacAddr::Parse("02:00:00:00:00:01")}},
                                                                {"node2", {}, true}};
  std::vector<model::Allocation> allocations;
  {
    Life life(*world);
    const model::ServiceWrite write = life.WriteFor(kNginx, {"192.168.50.50", "fd00::50"});
    allocations = write.allocations;
    REQUIRE(life.Do(write).ok());
    REQUIRE(life.Do(life.WriteFor(api, {"192.168.50.51"})).ok());
    life.source->RememberAgents({agents[1], agents[0]});
    CHECK(life.source->KnownAgents() == agents);
  }
  world->Remove("api.yaml");  // while no controller runs
  Life life(*world);
  const model::Service& nginx = life.mirror.services.at(kNginx);
  CHECK(nginx.allocations == allocations);
  CHECK(nginx.managed_by == "annotation");
  CHECK(nginx.marked);
  CHECK_FALSE(nginx.deleting);
  REQUIRE(life.mirror.services.count(api) == 1);
  CHECK(life.mirror.services.at(api).deleting);
  CHECK(life.mirror.services.at(api).allocations.size() == 1);
  CHECK(life.source->KnownAgents() == agents);
}

TEST_CASE("a cluster source tells when what it was told to remember is on record", "[contract]") {
  auto world = MakeWorld(GENERATE("files", "fake"));
  world->Write("pool.yaml", kPool);
  Life life(*world);
  for (const char* node : {"node-one", "node-two"}) {
    life.source->RememberAgents({{node, {}, true}});
    bool there = false;
    life.source->WhenRemembered([&](const absl::Status& status) {
      CHECK(status.ok());
      CHECK(world->OnRecord(node));
      there = true;
    });
    world->Await([&] { return there; });
  }
}

TEST_CASE("each leadership of a cluster source has a higher term than any before", "[contract]") {
  auto world = MakeWorld(GENERATE("files", "fake"));
  world->Write("pool.yaml", kPool);
  std::uint64_t before = 0;
  for (int round = 0; round < 3; ++round) {
    Life life(*world);
    REQUIRE(life.mirror.leadership.size() == 1);
    CHECK(life.mirror.leadership[0].first);
    CHECK(life.mirror.leadership[0].second > before);
    life.source->RaiseTerm(life.mirror.leadership[0].second + 10);
    world->Await([&] { return life.mirror.leadership.size() == 2; });
    CHECK(life.mirror.leadership[1].second >= life.mirror.leadership[0].second + 10);
    before = life.mirror.leadership[1].second;
    life.source->RaiseTerm(1);  // there already
    world->Await([&] { return life.mirror.leadership.size() == 3; });
    CHECK(life.mirror.leadership[2] == std::make_pair(true, before));
  }
}

TEST_CASE("a stopped cluster source is silent", "[contract]") {
  auto world = MakeWorld(GENERATE("files", "fake"));
  world->Write("web.yaml", ServiceManifest("nginx", 80));
  Life life(*world);
  const model::ServiceWrite write = life.WriteFor(kNginx, {"192.168.50.50"});
  life.source->WriteService(write);
  life.source->Stop();
  world->Write("more.yaml", ServiceManifest("more", 80));
  world->Settle();
  CHECK(life.mirror.answers.empty());
  CHECK(life.mirror.services.size() == 1);
}

}  // namespace berth
