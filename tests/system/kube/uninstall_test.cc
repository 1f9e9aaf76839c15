// SPDX-License-Identifier: Apache-2.0
// Berth is taken off a cluster while its controllers still run.
#include "controller/kube/uninstall/uninstall.h"

#include <catch2/catch.hpp>

#include "tests/system/kube/kube_world.h"

namespace berth::system {
namespace {

struct Installed : KubeWorld {
  Installed() {
    AddEip("pool", "192.168.50.50-192.168.50.51");
    StartController("one");
    StartController("two");
    for (const char* name : {"a", "b", "c"}) AddService(name);
    Run(absl::Seconds(10));
    REQUIRE(ReasonOf("c") == "PoolExhausted");
  }
  // Runs it to its end and returns the outcome.
  absl::Status RunUninstall(bool keep) {
    kube::UninstallOptions options;
    options.ns = "openelb-system";
    options.identity = "uninstall-1";
    options.keep_addresses = keep;
    uninstall = std::make_unique<kube::Uninstall>(process, client, agents, options,
                                                  [this](const absl::Status& status) { outcome = status; });
    REQUIRE(uninstall->Start().ok());
    REQUIRE(RunUntil([&] { return outcome.has_value(); }, absl::Minutes(3)));
    return *outcome;
  }

  ProcessLoop process{loop};
  kube::FakeApiClient client{server, "uninstall", process};
  WireServer agents{wire, "uninstall", process};
  std::unique_ptr<kube::Uninstall> uninstall;
  std::optional<absl::Status> outcome;
};

TEST_CASE("an uninstallation leaves nothing of ours, and no controller that runs puts it back", "[system]") {
  const bool keep = GENERATE(false, true);
  Installed w;
  CHECK(w.RunUninstall(keep).ok());
  w.Run(absl::Minutes(1));
  for (const char* name : {"a", "b", "c"}) {
    const json service = w.Get("services", name);
    CHECK_FALSE(service["metadata"].contains("finalizers"));
    CHECK(kube::MapAt(service["metadata"], "labels").empty());
    CHECK_FALSE(service["metadata"]["annotations"].contains("berth.io/allocations"));
    CHECK(kube::ListAt(service["status"], "conditions").empty());
  }
  CHECK(w.IngressOf("a") == (keep ? "192.168.50.50" : ""));
  CHECK_FALSE(w.Get("eips", "pool")["metadata"].contains("finalizers"));
  w.Delete("eips", "pool");
  w.Delete("services", "a");
  CHECK(w.Get("eips", "pool").is_null());
  CHECK(w.Get("services", "a").is_null());
}

TEST_CASE("a controller that is started after an uninstallation works as on the first day", "[system]") {
  Installed w;
  CHECK(w.RunUninstall(false).ok());
  w.uninstall.reset();
  w.KillController("one");
  w.KillController("two");
  w.StartController("three");
  // Sooner than a Lease runs out: the uninstallation has let go of it.
  CHECK(w.RunUntil([&] { return w.IngressOf("a") == "192.168.50.50"; }, absl::Seconds(5)));
}

TEST_CASE("an uninstallation that cannot reach the API server says so in time", "[system]") {
  Installed w;
  w.server.SetSilent(true, "uninstall");
  const absl::Status status = w.RunUninstall(false);
  CHECK(absl::IsDeadlineExceeded(status));
  w.Run(absl::Seconds(5));
  CHECK(w.IngressOf("a") == "192.168.50.50");
}

}  // namespace
}  // namespace berth::system
