// SPDX-License-Identifier: Apache-2.0
#include "tests/system/world.h"

#include <catch2/catch.hpp>
#include <cstdio>
#include <cstdlib>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "common/obs/log.h"
#include "tests/fakes/neighbour_frame.h"
#include "tests/system/invariants.h"

namespace berth::system {
namespace {

MacAddr NodeMac(int number) { return MacAddr({0x02, 0, 0, 0, 0x50, static_cast<std::uint8_t>(10 + number)}); }

core::CoreRunner::Sinks SinksOf(const ManualEventLoop& loop, const std::string& name) {
  if (!Verbose()) return {};
  const absl::Time start = loop.Now();
  return {[&loop, name, start](const core::LogLine& line) {
            std::string text = absl::StrCat(absl::FormatDuration(loop.Now() - start), " [", name, "] ", line.sentence);
            for (const auto& [key, value] : line.fields) absl::StrAppend(&text, " ", key, "=", value);
            std::fprintf(stderr, "%s\n", text.c_str());
          },
          {}};
}

}  // namespace

bool Verbose() { return std::getenv("BERTH_TEST_LOG") != nullptr; }

Controller::Controller(ManualEventLoop& loop, FakeCluster& cluster, FakeWire& wire, std::string n,
                       core::Options options)
    : name(std::move(n)),
      process(loop),
      source(cluster, name),
      server(wire, name, process),
      runner(std::move(options), source, server, process, SinksOf(loop, name)) {}

Controller::~Controller() {
  source.Stop();
  server.Shutdown();
  process.Kill();
}

AgentProcess::AgentProcess(ManualEventLoop& loop, FakeWire& wire, VirtualLan& lan, Node& node, std::string id,
                           int number, std::function<std::optional<MacAddr>(const IpAddr&)> resolve)
    : instance(std::move(id)),
      process(loop),
      kernel(node.kernel, process),
      frames(process,
             [&lan, &node](int ifindex, const std::string& frame) {
               if (ifindex != kEth0) return false;
               lan.Send(*node.port, frame);
               return true;
             }),
      peers(process,
            {.ifindex = kEth0,
             .mac = node.mac,
             .ip = node.ip,
             .resolve = std::move(resolve),
             .send = [&lan, &node](const std::string& frame) { lan.Send(*node.port, frame); }},
            static_cast<std::uint16_t>(40000 + number % 20000)),
      link(wire, node.name, process),
      disk(node.disk, *this, node.sole),
      runner({.node = node.name,
              .instance_id = instance,
              .boot_id = absl::StrCat(node.name, "-boot-", node.boots),
              .started_ns = absl::ToUnixNanos(loop.Now()),
              .version = "test",
              .probe_endpoint = absl::StrCat(":", agent::LanPeerPort::kKnownPort),
              .peer_process = static_cast<std::uint64_t>(number),
              .peer_seed = instance,
              .vip_interface = "auto",
              .layer2 = node.layer2},
             {process, kernel, frames, link, disk, &peers, node.tells_time ? &node.settings : nullptr},
             [this](int code) { exit_code = code; }) {}

void AgentDisk::Save(agent::StoredState state, Done done) {
  if (!agent_.process.dead()) disk_.Save(std::move(state), std::move(done));
}

bool AgentDisk::Sole() {
  if (sole_ == nullptr || !sole_->alive()) sole_ = &agent_;
  return sole_ == &agent_;
}

AgentProcess::~AgentProcess() {
  link.Stop();
  process.Kill();
}

void AgentProcess::Thaw() {
  frames.CatchUp();
  process.Thaw();
}

Node::Node(ManualEventLoop& loop, VirtualLan& l, std::string n, int number)
    : name(std::move(n)),
      lan(l),
      mac(NodeMac(number)),
      ip(Ip(absl::StrCat("192.168.50.", 10 + number))),
      kernel(loop),
      settings(loop) {
  port = &lan.AddPort(name, mac, [this](const std::string& frame) { Receive(frame); });
  kernel.fake().SetLink({.index = kEth0,
                         .name = "eth0",
                         .mac = mac,
                         .up = true,
                         .carrier = true,
                         .addresses = {{*Cidr::Parse(absl::StrCat(ip.ToString(), "/24"))}},
                         .gateways = {Ip("192.168.50.1")}});
}

// The kernel answers for itself, whatever becomes of the agents.
void Node::Receive(const std::string& frame) {
  if (agent::LanPeerPort::IsPeerFrame(frame)) {
    for (const auto& a : agents) {
      if (a->alive() && a->peers.Receive(frame)) return;
    }
    return;
  }
  const std::optional<agent::ArpPacket> told = ReadNeighbourFrame(frame);
  if (told.has_value() && told->op == agent::ArpOp::kRequest && !told->gratuitous() &&
      kernel.fake().WouldAnswer(kEth0, told->target_ip)) {
    lan.Send(*port, WriteNeighbourFrame(agent::ArpReplyTo(*told, mac)));
  }
  for (const auto& a : agents) {
    if (a->alive()) a->frames.Receive(kEth0, frame);
  }
}

World::World(std::uint64_t seed, core::Options opts)
    : cluster(loop),
      lan(loop, seed),
      wire(loop, seed + 1),
      options(std::move(opts)),
      client(loop, lan, "client", MacAddr({0x02, 0, 0, 0, 0, 0xc1}), Ip("192.168.50.200")),
      gateway(loop, lan, "gateway", MacAddr({0x02, 0, 0, 0, 0, 0x01}), Ip("192.168.50.1")) {
  loop.on_runaway = [this] { Violation("tasks go on posting tasks without time moving"); };
  if (!options.make_peer_key) {
    options.make_peer_key = [this] { return absl::StrFormat("%032d", ++peer_keys_); };
  }
  LogInit(Verbose() ? LogLevel::kDebug : LogLevel::kError, LogFormat::kText);
  cluster.Put(model::Namespace{.name = "default", .labels = {}});
  invariants_ = std::make_unique<Invariants>(*this);
}

World::~World() {
  for (const auto& [name, node] : nodes) node->agents.clear();
  controllers.clear();
}

void World::AddNodes(int count) {
  for (int i = 0; i < count; ++i) {
    const int number = static_cast<int>(nodes.size()) + 1;
    const std::string name = absl::StrCat("node", number);
    nodes[name] = std::make_unique<Node>(loop, lan, name, number);
    cluster.Put(model::Node{.name = name, .labels = {}, .explicit_object = true});
  }
}

void World::AddPool(const std::string& name, const std::string& range) {
  model::Pool pool;
  pool.name = name;
  pool.address_text = range;
  pool.addresses = *IpRangeSet::Parse(range);
  pool.family = pool.addresses.First()->family();
  pool.protocol = model::Protocol::kLayer2;
  pool.interface = "eth0";
  pool.is_default = cluster.pools().empty();
  cluster.Put(std::move(pool));
}

model::Service World::MakeService(const std::string& name) {
  model::Service service;
  service.id = {"default", name};
  service.load_balancer = true;
  service.annotations = {{model::kOptInAnnotation, "openelb"}, {model::kProtocolAnnotation, "layer2"}};
  service.ip_families = {Family::kIpv4};
  service.ports = {{.name = "http", .protocol = "TCP", .port = 80}};
  return service;
}

model::EndpointSlice World::MakeSlice(const std::string& service, std::vector<model::Endpoint> endpoints) {
  model::EndpointSlice slice;
  slice.id = {"default", service + "-1"};
  slice.service = {"default", service};
  slice.endpoints = std::move(endpoints);
  return slice;
}

void World::StartController(const std::string& name) {
  controllers[name] = std::make_unique<Controller>(loop, cluster, wire, name, options);
  REQUIRE(controllers[name]->runner.Start().ok());
}

void World::KillController(const std::string& name) { controllers.erase(name); }

void World::StartAgent(const std::string& name) {
  Node& node = NodeNamed(name);
  ++instances_;
  const auto resolve = [this](const IpAddr& ip) -> std::optional<MacAddr> {
    for (const auto& [other, n] : nodes) {
      if (n->ip == ip) return n->mac;
    }
    return std::nullopt;
  };
  node.agents.insert(
      node.agents.begin(),
      std::make_unique<AgentProcess>(loop, wire, lan, node, absl::StrCat(name, "-", instances_), instances_, resolve));
  REQUIRE(node.agents.front()->runner.Start().ok());
}

void World::KillAgent(const std::string& name) { NodeNamed(name).agents.clear(); }

void World::DieController(const std::string& name) {
  const auto found = controllers.find(name);
  if (found == controllers.end() || found->second->process.dead()) return;
  found->second->process.Die();
  found->second->source.Stop();
  loop.Post([this, name, dying = found->second.get()] {
    const auto it = controllers.find(name);
    if (it != controllers.end() && it->second.get() == dying) controllers.erase(it);
  });
}

void World::DieAgent(AgentProcess& process) {
  process.process.Die();
  loop.Post([this, dying = &process] {
    for (const auto& [name, node] : nodes) {
      std::erase_if(node->agents, [&](const auto& a) { return a.get() == dying && a->process.dead(); });
    }
  });
}

AgentProcess* World::AgentWith(const WireLink* link) {
  for (const auto& [name, node] : nodes) {
    for (const auto& a : node->agents) {
      if (&a->link == link && a->alive()) return a.get();
    }
  }
  return nullptr;
}

void World::FreezeController(const std::string& name) {
  Controller& controller = *controllers.at(name);
  controller.process.Freeze();
  wire.Froze(controller.server);
}

void World::StartAll() {
  StartController("a");
  for (const auto& [name, node] : nodes) StartAgent(name);
  Run(absl::Seconds(4));
}

void World::Advance(absl::Duration d) {
  const absl::Time end = Now() + d;
  loop.RunUntilIdle();
  invariants_->Check();
  while (loop.NextDeadline() && *loop.NextDeadline() <= end) {
    loop.AdvanceTo(*loop.NextDeadline());
    invariants_->Check();
  }
  loop.AdvanceTo(end);
}

void World::Run(absl::Duration d) {
  const std::size_t before = violations.size();
  Advance(d);
  for (std::size_t i = before; i < violations.size(); ++i) {
    UNSCOPED_INFO(violations[i]);
  }
  CHECK(violations.size() == before);
}

bool World::RunUntil(const std::function<bool()>& done, absl::Duration limit) {
  const absl::Time end = Now() + limit;
  loop.RunUntilIdle();
  while (!done()) {
    if (Now() >= end) return false;
    Run(absl::Milliseconds(1));
  }
  return true;
}

void World::Violation(const std::string& text) {
  const std::string line = absl::StrCat(absl::FormatTime("%H:%M:%E6S", Now(), absl::UTCTimeZone()), " ", text);
  if (Verbose()) std::fprintf(stderr, "VIOLATION %s\n", line.c_str());
  if (violations.size() < 20) violations.push_back(line);
}

}  // namespace berth::system
