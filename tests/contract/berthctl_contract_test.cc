// SPDX-License-Identifier: Apache-2.0
// The berthctl binary against the real admin server: what it prints, where, and how it exits.
#include <sys/wait.h>

#include <algorithm>
#include <cstdio>
#include <nlohmann/json.hpp>

#include "absl/strings/match.h"
#include "absl/strings/str_split.h"
#include "common/base/build_info.h"
#include "tests/contract/admin_harness.h"
#include "tests/contract/run_berthctl.h"

namespace berth {
namespace {

using Json = nlohmann::json;

TEST_CASE("berthctl get prints tables on stdout and nothing on stderr", "[contract]") {
  AdminStage stage(FillSmallCluster);
  const Ran pools = RunOn(stage, "get pools");
  CHECK(pools.code == 0);
  CHECK(pools.out ==
        "NAME       CIDR                          USAGE   TOTAL\n"
        "eip-pool   192.168.50.50-192.168.50.60   1       11\n");
  CHECK(pools.err.empty());
  const Ran services = RunOn(stage, "get services");
  CHECK(services.code == 0);
  CHECK(services.out ==
        "NAMESPACE   NAME    STATE      EXTERNAL-IP     POOL       REASON\n"
        "default     waits   PENDING    <pending>       <none>     PoolNotFound\n"
        "default     web     ASSIGNED   192.168.50.50   eip-pool   <none>\n");
  const Ran wide = RunOn(stage, "get pools -o wide");
  CHECK(absl::StrContains(wide.out, "PROTOCOL   INTERFACE   DISABLED   CONFLICTED   MESSAGE"));
  CHECK(
      absl::StrContains(RunOn(stage, "get addresses").out, "192.168.50.50   eip-pool   layer2     ANNOUNCED   node1"));
  const Ran agent = RunOn(stage, "get agents node2");
  CHECK(absl::StrContains(agent.out, "node2"));
  CHECK_FALSE(absl::StrContains(agent.out, "node1"));
}

TEST_CASE("berthctl -o json prints the list message with every field", "[contract]") {
  AdminStage stage(FillSmallCluster);
  const Ran pools = RunOn(stage, "get pools -o json");
  CHECK(pools.code == 0);
  Json json = Json::parse(pools.out, nullptr, false);
  REQUIRE(json.is_object());
  REQUIRE(json["pools"].size() == 1);
  const Json& pool = json["pools"][0];
  CHECK(pool["name"] == "eip-pool");
  CHECK(pool["range"] == "192.168.50.50-192.168.50.60");
  CHECK(pool["protocol"] == "layer2");
  CHECK(pool["interface"] == "eth0");
  CHECK(pool["disabled"] == false);
  CHECK(pool["used"] == "1");
  CHECK(pool["total"] == "11");
  CHECK(pool["conflicted"] == Json::array());
  CHECK(pool["message"] == "");

  json = Json::parse(RunOn(stage, "-o json get services default/web").out, nullptr, false);
  REQUIRE(json["services"].size() == 1);
  CHECK(json["services"][0]["state"] == "ASSIGNED");
  CHECK(json["services"][0]["namespace"] == "default");
  CHECK(json["services"][0]["addresses"] == Json::array({"192.168.50.50"}));
  json = Json::parse(RunOn(stage, "get addresses -o json").out, nullptr, false);
  CHECK(json["addresses"][0]["state"] == "ANNOUNCED");
  CHECK(json["addresses"][0]["since"] == "2026-01-02T03:04:05Z");
  CHECK(json["addresses"][0]["services"] == Json::array({"default/web"}));
  json = Json::parse(RunOn(stage, "get agents -o json").out, nullptr, false);
  CHECK(json["agents"][0]["lastHeartbeat"] == "2026-01-02T03:04:05Z");
  CHECK(json["agents"][0]["announced"] == Json::array({"192.168.50.50"}));
  json = Json::parse(RunOn(stage, "dump").out, nullptr, false);
  CHECK(json["agents"].size() == 2);
  const Ran yaml = RunOn(stage, "get pools -o yaml");
  CHECK(absl::StartsWith(yaml.out, "pools:\n- name: eip-pool\n  range: \"192.168.50.50-192.168.50.60\"\n"));
}

TEST_CASE("berthctl explain says why, berthctl version who", "[contract]") {
  AdminStage stage(FillSmallCluster);
  const Ran service = RunOn(stage, "explain service default/waits");
  CHECK(service.code == 0);
  CHECK(absl::StrContains(service.out, "PENDING: PoolNotFound"));
  CHECK(absl::StrContains(service.out, "create it or change the annotation"));
  const Ran address = RunOn(stage, "explain address 192.168.50.50");
  CHECK(address.code == 0);
  CHECK(absl::StrContains(address.out, "ANNOUNCED by node1"));
  CHECK(absl::StrContains(address.out, "node2: interface eth0 has no carrier"));
  const Ran version = RunOn(stage, "version");
  CHECK(version.code == 0);
  CHECK(absl::StrContains(version.out, "berthctl:"));
  CHECK(absl::StrContains(version.out, "leader"));
}

TEST_CASE("berthctl exits with 1 and the server's words when it says no", "[contract]") {
  AdminStage stage(FillSmallCluster);
  const Ran service = RunOn(stage, "explain service default/nothing");
  CHECK(service.code == 1);
  CHECK(service.out.empty());
  CHECK(service.err == "berthctl: no Service default/nothing\n");
  CHECK(RunOn(stage, "explain address 10.9.9.9").code == 1);
  const Ran pool = RunOn(stage, "get pools nothing -o json");
  CHECK(pool.code == 1);
  CHECK(pool.out.empty());
  CHECK(absl::StrContains(pool.err, "nothing"));
}

TEST_CASE("berthctl doctor prints what is wrong and what to do, and exits with 1 for an error only", "[contract]") {
  AdminStage stage([](FakeAdminBackend& backend) {
    FillSmallCluster(backend);
    backend.services.clear();
    backend.status.problems.clear();
    for (auto& [node, agent] : backend.agents) agent.version = std::string(BuildVersion());
  });
  Ran ran = RunOn(stage, "doctor");
  CHECK(ran.code == 0);
  CHECK(ran.out.empty());
  CHECK(ran.err == "all is well\n");

  stage.OnLoop([](FakeAdminBackend& backend) {
    backend.agents.at("node2").findings = {{sync::NodeFinding::Severity::kWarning, "it is slow", "a faster one"}};
    backend.census.announced = 300;
    backend.census.asked = 256;
  });
  ran = RunOn(stage, "doctor");
  CHECK(ran.code == 0);
  CHECK(ran.out == "WARNING  agent node2: it is slow\n         -> a faster one\n");
  CHECK(absl::StartsWith(ran.err, "0 errors, 1 warning; the LAN was asked about 256 of 300 addresses"));

  stage.OnLoop([](FakeAdminBackend& backend) {
    backend.agents.at("node1").findings = {{sync::NodeFinding::Severity::kError, "it burns", "water"}};
  });
  ran = RunOn(stage, "doctor");
  CHECK(ran.code == 1);
  CHECK(absl::StartsWith(ran.out, "ERROR    agent node1: it burns\n         -> water\nWARNING  agent node2"));
  CHECK(absl::StartsWith(ran.err, "berthctl: 1 error, 1 warning"));
  ran = RunOn(stage, "doctor -o wide");
  CHECK(ran.out ==
        "SEVERITY   OBJECT        MESSAGE      CURE\n"
        "ERROR      agent node1   it burns     water\n"
        "WARNING    agent node2   it is slow   a faster one\n");
  ran = RunOn(stage, "doctor -o json");
  CHECK(ran.code == 1);
  const Json json = Json::parse(ran.out, nullptr, false);
  REQUIRE(json["findings"].size() == 2);
  CHECK(json["findings"][0]["severity"] == "ERROR");
  CHECK(json["findings"][0]["cure"] == "water");
  CHECK(json["asked"] == 256);
}

TEST_CASE("berthctl exits with 2 on bad usage, before it dials", "[contract]") {
  const auto arguments =
      GENERATE(as<std::string>(), "", "frobnicate", "get", "get nothing", "get pools a b", "get pools -o xml",
               "get pools --frob", "--server=nowhere get pools", "--server=192.0.2.1:7444 get pools", "explain service",
               "explain pool x", "move 10.0.0.1", "drain", "drain node1 --timeout=0", "rebalance node1",
               "completion tcsh", "--tls-ca=/nonexistent get pools");
  CAPTURE(arguments);
  const Ran ran = RunBerthctl(arguments);
  CHECK(ran.code == 2);
  CHECK(ran.out.empty());
  CHECK_FALSE(ran.err.empty());
}

TEST_CASE("berthctl exits with 3 when nobody listens, and says what to do", "[contract]") {
  std::string target;
  {
    AdminStage stage;
    target = stage.target();
  }
  const Ran ran = RunBerthctl(absl::StrCat("--server=", target, " get pools"));
  CHECK(ran.code == 3);
  CHECK(ran.out.empty());
  CHECK(absl::StrContains(ran.err, target));
  CHECK(absl::StrContains(ran.err, "--admin-listen"));
}

TEST_CASE("berthctl needs no server for help, its own version and completion", "[contract]") {
  const Ran help = RunBerthctl("--help");
  CHECK(help.code == 0);
  CHECK(help.err.empty());
  CHECK(help.out.find("Examples:") < help.out.find("Options:"));
  CHECK(RunBerthctl("--version").code == 0);
  CHECK(RunBerthctl("version --client").code == 0);
  for (const char* shell : {"bash", "zsh", "fish"}) {
    const Ran script = RunBerthctl(absl::StrCat("completion ", shell));
    CHECK(script.code == 0);
    CHECK(absl::StrContains(script.out, "rebalance"));
  }
}

TEST_CASE("berthctl fetches a list of many pages whole", "[contract]") {
  AdminStage stage([](FakeAdminBackend& backend) {
    for (std::uint32_t i = 0; i < 10000; ++i) {
      const IpAddr address = IpAddr::V4(0x0A000000 + i);
      backend.addresses[address].address = address;
    }
  });
  const Ran table = RunOn(stage, "get addresses");
  CHECK(table.code == 0);
  CHECK(std::count(table.out.begin(), table.out.end(), '\n') == 10001);
  const Json json = Json::parse(RunOn(stage, "get addresses -o json").out, nullptr, false);
  REQUIRE(json.is_object());
  CHECK(json.at("addresses").size() == 10000);
  CHECK(json.at("nextPageToken") == "");
}

TEST_CASE("berthctl watch prints a line a change until the server goes, then exits with 3", "[contract]") {
  AdminStage stage(FillSmallCluster);
  const std::string command = absl::StrCat(BERTHCTL_BINARY, " --server=", stage.target(), " watch -o json 2>/dev/null");
  FILE* pipe = popen(command.c_str(), "r");
  REQUIRE(pipe != nullptr);
  const auto next = [pipe] {
    char line[4096];
    return fgets(line, sizeof(line), pipe) == nullptr ? Json() : Json::parse(line, nullptr, false);
  };
  int added = 0;
  Json change = next();
  for (; change.is_object() && change["kind"] == "ADDED"; change = next()) ++added;
  CHECK(added == 6);
  CHECK(change["kind"] == "SYNCED");
  stage.OnLoop([](FakeAdminBackend& backend) {
    model::ChangeView view;
    view.pool = backend.pools["eip-pool"];
    view.pool->message = "changed";
    backend.Announce(view);
  });
  change = next();
  CHECK(change["kind"] == "CHANGED");
  CHECK(change["pool"]["message"] == "changed");
  stage.Shutdown();
  CHECK(next().is_null());
  const int status = pclose(pipe);
  REQUIRE(WIFEXITED(status));
  CHECK(WEXITSTATUS(status) == 3);
}

}  // namespace
}  // namespace berth
