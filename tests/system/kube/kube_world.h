// SPDX-License-Identifier: Apache-2.0
// tests/system/kube/kube_world.h -- controllers on an API server, in one process on virtual time: what kubectl would
// see.
//
//   KubeWorld w;
//   w.AddEip("pool", "192.168.50.50-192.168.50.60");
//   w.StartController("one");
//   w.AddService("web");
//   w.RunUntil([&] { return w.IngressOf("web") == "192.168.50.50"; });
//
// The same parts as in the program but the HTTP client and the gRPC server; there are no agents, so what is given out
// is probed by nobody. After each step the objects themselves are checked: no address has two owners that did not ask
// to share it.
#ifndef BERTH_TESTS_SYSTEM_KUBE_KUBE_WORLD_H_
#define BERTH_TESTS_SYSTEM_KUBE_KUBE_WORLD_H_

#include <functional>
#include <map>
#include <memory>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "controller/core/runner.h"
#include "controller/kube/objects/read_field.h"
#include "controller/kube/source/kube_source.h"
#include "tests/fakes/fake_wire.h"
#include "tests/fakes/kube/fake_api_server.h"
#include "tests/fakes/manual_event_loop.h"
#include "tests/fakes/process_loop.h"

namespace berth::system {

using nlohmann::json;

struct KubeController {
  KubeController(ManualEventLoop& loop, kube::FakeApiServer& server, FakeWire& wire, const std::string& name);
  ~KubeController();
  ProcessLoop process;
  kube::FakeApiClient client;
  kube::KubeSource source;
  WireServer agents;
  core::CoreRunner runner;
};

class KubeWorld {
 public:
  KubeWorld();
  ~KubeWorld();

  // ---- what people do
  void AddEip(const std::string& name, const std::string& address, const json& spec = json::object());
  // default/NAME, opted in, port 80/TCP.
  static json MakeService(const std::string& name);
  void AddService(const std::string& name) { Apply(MakeService(name)); }
  void Apply(const json& object);  // as `kubectl apply`: what is there is merged with it
  void Edit(const std::string& resource, const std::string& name, const json& merge_patch, bool status = false);
  void Delete(const std::string& resource, const std::string& name);
  json Get(const std::string& resource, const std::string& name) const;          // null when absent
  const json& Look(const std::string& resource, const std::string& name) const;  // the same, good until it changes

  // ---- processes
  void StartController(const std::string& name);
  void KillController(const std::string& name) { controllers.erase(name); }
  KubeController& Leader();

  // ---- time
  void Run(absl::Duration d);
  bool RunUntil(const std::function<bool()>& done, absl::Duration limit = absl::Seconds(30));

  // ---- what is so
  std::string IngressOf(const std::string& service) const;             // "a, b"; empty without
  std::string ReasonOf(const std::string& service) const;              // of its condition berth.io/Assigned
  std::vector<std::string> EventsOf(const std::string& object) const;  // "AssignIP: success to ... (2)"
  bool Assigned(const std::string& service) const { return !IngressOf(service).empty(); }
  std::uint64_t LeaseWrites() const { return lease_writes_; }
  // Writes but those of the Lease.
  std::uint64_t Writes() const { return server.writes() - lease_writes_; }

  ManualEventLoop loop;
  kube::FakeApiServer server;
  FakeWire wire;
  std::map<std::string, std::unique_ptr<KubeController>> controllers;
  std::vector<std::string> violations;

 private:
  void Check();
  std::uint64_t lease_writes_ = 0;
  std::uint64_t checked_ = 0;  // revision
};

}  // namespace berth::system

#endif  // BERTH_TESTS_SYSTEM_KUBE_KUBE_WORLD_H_
