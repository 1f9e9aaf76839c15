// SPDX-License-Identifier: Apache-2.0
// tests/system/world.h -- a whole cluster in one process on virtual time: API, controllers, nodes with agents, a LAN.
//
//   World world;
//   world.AddNodes(3);                        // node1 .. node3: 192.168.50.11 .. .13 on eth0
//   world.AddPool("edge", "192.168.50.100-192.168.50.110");
//   world.StartAll();                         // controller "a" and every node's agent
//   world.AddService("web");
//   world.Run(absl::Seconds(2));              // every invariant is checked after each step
//   world.HolderOf(world.AddressOf("web"));   // "node2"
//
// The same parts as in the programs: CoreRunner and AgentRunner with their cores and the answering logic; only the
// seams are fakes. Violations of an invariant are collected in `violations`; Run reports each as a failed check.
#ifndef BERTH_TESTS_SYSTEM_WORLD_H_
#define BERTH_TESTS_SYSTEM_WORLD_H_

#include <cstdint>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "agent/core/runner.h"
#include "controller/core/runner.h"
#include "tests/fakes/fake_node_reader.h"
#include "tests/fakes/fake_source.h"
#include "tests/fakes/fake_wire.h"
#include "tests/fakes/lan_peer_port.h"
#include "tests/fakes/lan_port.h"
#include "tests/fakes/manual_event_loop.h"
#include "tests/fakes/process_loop.h"
#include "tests/fakes/shared_kernel.h"
#include "tests/fakes/virtual_lan.h"
#include "tests/system/lan_host.h"

namespace berth::system {

inline IpAddr Ip(const std::string& text) { return *IpAddr::Parse(text); }
inline constexpr int kEth0 = 2;
// BERTH_TEST_LOG=1 shows what happens, and what the controllers say; agents log as always.
bool Verbose();

struct Controller {
  Controller(ManualEventLoop& loop, FakeCluster& cluster, FakeWire& wire, std::string name, core::Options options);
  ~Controller();
  const std::string name;
  ProcessLoop process;
  FakeSource source;
  WireServer server;
  core::CoreRunner runner;
};

struct Node;

// What the invariants have noted of a process (invariants.h).
struct AgentNotes {
  std::shared_ptr<const agent::AnswerTable> table;
  bool speaking = false;
  std::map<IpAddr, absl::Time> since;   // what it answers for, and since when
  std::map<IpAddr, absl::Time> paused;  // the same, when it last ceased to speak
  absl::Time paused_at = absl::InfinitePast();
  std::uint64_t acked_term = 0;                       // newest term of which it acknowledged a state
  bool heard = false;                                 // it acknowledged a state of the present leader on this stream
  absl::Time contact_since = absl::InfiniteFuture();  // with the leader, whose state it has
  absl::Time apart_since = absl::InfinitePast();      // from every controller; InfiniteFuture while connected
};

struct AgentProcess;

// Saves nothing any more once its process is dead.
class AgentDisk final : public agent::DiskStore {
 public:
  // `sole`: of all agents of the node, that which has its lock.
  AgentDisk(agent::MemoryStore& disk, const AgentProcess& agent, const AgentProcess*& sole)
      : disk_(disk), agent_(agent), sole_(sole) {}
  ~AgentDisk() override {
    if (sole_ == &agent_) sole_ = nullptr;
  }
  absl::StatusOr<std::optional<agent::StoredState>> Load() override { return disk_.Load(); }
  void Save(agent::StoredState state, Done done) override;
  bool Sole() override;
  absl::Status Remove() override { return disk_.Remove(); }

 private:
  agent::MemoryStore& disk_;
  const AgentProcess& agent_;
  const AgentProcess*& sole_;
};

struct AgentProcess {
  // `number`: of no other process.
  AgentProcess(ManualEventLoop& loop, FakeWire& wire, VirtualLan& lan, Node& node, std::string instance, int number,
               std::function<std::optional<MacAddr>(const IpAddr&)> resolve);
  ~AgentProcess();
  void Freeze() { process.Freeze(); }
  void Thaw();
  bool alive() const { return !exit_code && !process.dead(); }
  std::string instance;
  ProcessLoop process;
  agent::SharedKernelView kernel;
  agent::LanPort frames;
  agent::LanPeerPort peers;
  WireLink link;
  AgentDisk disk;
  std::optional<int> exit_code;
  agent::AgentRunner runner;
  AgentNotes notes;
};

struct Node {
  Node(ManualEventLoop& loop, VirtualLan& lan, std::string name, int number);
  void Receive(const std::string& frame);
  const std::string name;
  VirtualLan& lan;
  MacAddr mac;
  IpAddr ip;
  agent::SharedKernel kernel;
  agent::FakeNodeReader settings;
  bool layer2 = true;      // its agents started from now on answer for addresses
  bool tells_time = true;  // its agents started from now on read its settings, and so its clock
  VirtualLan::Port* port = nullptr;
  agent::MemoryStore disk;
  const AgentProcess* sole = nullptr;  // see AgentDisk
  int boots = 1;
  std::vector<std::unique_ptr<AgentProcess>> agents;  // normally one, the youngest first
  absl::Time whole_since = absl::InfinitePast();  // every frame between it and the LAN arrives; InfiniteFuture: not so
  std::map<IpAddr, absl::Time> spoke;             // addresses its agents answered for, and when last that changed
  std::map<IpAddr, absl::Time> gratuitous;        // when it last sent such a frame
  std::uint64_t kernel_seen = 0;                  // its version at the last check
  absl::Time silence_due = absl::InfinitePast();  // somebody removed it: to be repaired by then
};

class Invariants;

class World {
 public:
  explicit World(std::uint64_t seed = 1, core::Options options = {});
  ~World();

  // ---- the cluster's objects
  void AddNodes(int count);
  void AddPool(const std::string& name, const std::string& range);
  static model::Service MakeService(const std::string& name);  // default/NAME, opted in, port 80/TCP
  static model::EndpointSlice MakeSlice(const std::string& service, std::vector<model::Endpoint> endpoints);
  void AddService(const std::string& name) { cluster.Put(MakeService(name)); }
  void AddService(model::Service service) { cluster.Put(std::move(service)); }
  void DeleteService(const std::string& name) { cluster.DeleteService({"default", name}); }

  // ---- processes
  void StartController(const std::string& name);
  void KillController(const std::string& name);
  void StartAgent(const std::string& node);
  void KillAgent(const std::string& node);
  // From within a task of the process itself: it dies on the spot, see ProcessLoop::Die.
  void DieController(const std::string& name);
  void DieAgent(AgentProcess& process);
  AgentProcess* AgentWith(const WireLink* link);  // nullptr when there is none any more
  void FreezeController(const std::string& name);
  void StartAll();  // controller "a", all agents, and until the start is over
  AgentProcess& AgentOf(const std::string& node) { return *NodeNamed(node).agents.front(); }
  Node& NodeNamed(const std::string& name) { return *nodes.at(name); }
  Controller& Leader() { return *controllers.at(cluster.leader()->name()); }

  // ---- time
  void Run(absl::Duration d);
  void Advance(absl::Duration d);  // the same, but only collects violations
  // Runs in steps of 1 ms until `done`, at most `limit`; false when it never was.
  bool RunUntil(const std::function<bool()>& done, absl::Duration limit);
  absl::Time Now() const { return loop.Now(); }

  // ---- what is so
  std::vector<IpAddr> AddressesOf(const std::string& service) const;
  IpAddr AddressOf(const std::string& service) const;  // its first; unspecified when it has none
  // Why it is as it is, as `berthctl explain` says it.
  model::ServiceView ExplainService(const std::string& service);
  std::string ReasonOf(const std::string& service) { return ExplainService(service).reason; }
  // The nodes whose agent would answer for `address` now.
  std::vector<std::string> Announcers(const IpAddr& address) const;
  // Its only announcer; empty when nobody or several are.
  std::string HolderOf(const IpAddr& address) const;
  std::map<IpAddr, std::string> Holders() const;  // of all addresses given out
  std::map<model::ObjectId, std::vector<IpAddr>> Allocations() const;
  model::AgentState AgentState(const std::string& node);
  model::AddressView Explain(const IpAddr& address);
  std::size_t GratuitousSince(absl::Time from, const IpAddr& address = {}) const;
  bool HasEvent(const std::string& reason, const std::string& part) const;
  // Runs for `d` and returns what a steady cluster must not do, empty when it did nothing of the kind.
  std::string WhatMoved(absl::Duration d);
  // Services that are ours, have no address, and no reason in `explain` or no Event.
  std::vector<std::string> Unexplained();

  void Violation(const std::string& text);

  ManualEventLoop loop;
  FakeCluster cluster;
  VirtualLan lan;
  FakeWire wire;
  core::Options options;
  std::map<std::string, std::unique_ptr<Controller>> controllers;
  std::map<std::string, std::unique_ptr<Node>> nodes;
  LanHost client, gateway;
  // Two announcers in contact with the leader are no violation while this is set: the LAN itself is broken.
  bool lan_is_broken = false;
  std::vector<std::string> violations;
  Invariants& invariants() { return *invariants_; }

 private:
  int instances_ = 0, peer_keys_ = 0;
  std::unique_ptr<Invariants> invariants_;
};

}  // namespace berth::system

#endif  // BERTH_TESTS_SYSTEM_WORLD_H_
