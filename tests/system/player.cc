// SPDX-License-Identifier: Apache-2.0
#include "tests/system/player.h"

#include <algorithm>
#include <cstdio>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "tests/system/invariants.h"
#include "tests/system/rest.h"

namespace berth::system {
namespace {

// An agent that was leaving when peace came has ended by then.
constexpr absl::Duration kFarewell = absl::Seconds(6);
// Redials, a start gate, probes: with all that everything has its holder, also where a node was barred for half a
// minute, and whoever held it before forwards no more.
constexpr absl::Duration kHoldersSettle = absl::Seconds(75);
// A stranger that is gone is asked about once a minute.
constexpr absl::Duration kStrangerForgotten = absl::Seconds(35);
constexpr absl::Duration kSteady = absl::Seconds(30);

core::Options OptionsOf(const History& history) {
  core::Options options;
  options.heartbeat = history.heartbeat;
  options.agent_timeout = 3 * history.heartbeat;
  options.absent_endpoints_are_ready = history.absent_endpoints_are_ready;
  options.record_reasons = !history.absent_endpoints_are_ready;  // as a cluster of Kubernetes does
  // Probes cost more than all else in a history; half of them show as much.
  if (history.seed % 2 == 1) options.make_peer_key = [] { return std::string(); };
  return options;
}

std::uint64_t Mix(std::uint64_t digest, std::uint64_t value) {
  return (digest ^ value) * 0x100000001b3ULL + (digest >> 29);
}

std::uint64_t DigestOf(const World& world) {
  std::uint64_t digest = world.wire.pushes();
  for (const VirtualLan::Captured& c : world.lan.captured()) {
    digest = Mix(digest, static_cast<std::uint64_t>(absl::ToUnixNanos(c.at)));
    for (const char byte : c.from) digest = Mix(digest, static_cast<std::uint64_t>(byte));
    for (const char byte : c.arp.target_ip.ToBytes()) digest = Mix(digest, static_cast<std::uint64_t>(byte));
  }
  for (const model::ServiceWrite& write : world.cluster.service_writes()) {
    for (const char byte : write.id.name) digest = Mix(digest, static_cast<std::uint64_t>(byte));
    for (const model::Allocation& a : write.allocations) {
      for (const char byte : a.address.ToBytes()) digest = Mix(digest, static_cast<std::uint64_t>(byte));
    }
  }
  return digest;
}

}  // namespace

Player::Player(const History& history)
    : history_(history),
      world_(history.seed, OptionsOf(history)),
      stranger_(world_.loop, world_.lan, "stranger", MacAddr({0x02, 0, 0, 0, 0, 0xee}), Ip("192.168.50.250")) {
  stranger_.port().carrier = false;

  watch_ = std::exchange(world_.wire.on_message, [this](const FakeWire::Message& m) { return OnMessage(m); });
  world_.cluster.Put(model::Namespace{.name = "team", .labels = {}});
  world_.AddNodes(history.nodes);
  for (int i = 0; i < kPools; ++i) PutPool(i);
  for (int i = 0; i < history.controllers; ++i) world_.StartController(ControllerName(i));
  for (const auto& [name, node] : world_.nodes) world_.StartAgent(name);
}

Outcome Player::Play() {
  const absl::Time start = world_.Now();
  for (const Step& step : history_.steps) {
    outcome_.told.push_back(absl::StrCat(absl::FormatDuration(world_.Now() - start), " ", Text(step)));
    if (Verbose()) std::fprintf(stderr, "STEP %s\n", outcome_.told.back().c_str());
    if (step.op == Op::kRest) {
      Rest(static_cast<Restart>(step.a));
    } else {
      if (step.then > absl::Seconds(1)) ElectSomebody();
      Do(step);
    }
    if (!failed()) world_.Advance(step.then);
    if (failed()) break;
  }
  if (!failed()) {
    outcome_.told.push_back(absl::StrCat(absl::FormatDuration(world_.Now() - start), " the last rest"));
    Rest(Restart::kNone);
  }
  outcome_.violations = world_.violations;
  outcome_.simulated = world_.Now() - start;
  outcome_.digest = DigestOf(world_);
  return std::move(outcome_);
}

void Player::Complain(const std::vector<std::string>& wrong, const std::string& when) {
  for (const std::string& line : wrong) world_.Violation(absl::StrCat(when, ": ", line));
}
void Player::Complain(const std::string& wrong, const std::string& when) {
  if (!wrong.empty()) Complain(std::vector<std::string>{wrong}, when);
}

// As a Lease does once its holder has not renewed it.
void Player::ElectSomebody() {
  if (world_.cluster.leader() != nullptr) return;
  for (const auto& [name, controller] : world_.controllers) {
    if (controller->source.connected() && !controller->process.frozen())
      return world_.cluster.Grant(controller->source);
  }
}

void Player::Rest(Restart restart) {
  Heal();
  world_.Advance(kFarewell);
  Populate();
  world_.Advance(kHoldersSettle);
  if (std::exchange(stranger_came_, false)) world_.Advance(kStrangerForgotten);
  if (failed()) return;
  Complain(WrongAtRest(world_), "at rest");
  if (failed()) return;
  Complain(WrongHolders(world_), "at rest");
  if (failed()) return;
  const auto writes = world_.cluster.service_writes().size();
  const auto statuses = world_.cluster.pool_status_writes();
  const auto pushes = world_.wire.pushes();
  const absl::Time from = world_.Now();
  world_.Advance(kSteady);
  if (writes != world_.cluster.service_writes().size()) Complain("a Service is written", "steady");
  if (statuses != world_.cluster.pool_status_writes()) Complain("an Eip's status is written", "steady");
  if (pushes != world_.wire.pushes()) Complain("an agent is told something", "steady");
  if (world_.GratuitousSince(from) != 0) Complain("a gratuitous frame is sent", "steady");
  if (!failed() && restart == Restart::kControllers) RestartControllers();
  if (!failed() && restart == Restart::kAgents) RestartAgents();
}

// Every fault ends. What users asked for stays as it is.
void Player::Heal() {
  fault_.reset();
  world_.cluster.LoseAnswers(0);
  world_.cluster.FailWrites(0, absl::OkStatus());
  world_.cluster.DelayWrites(absl::ZeroDuration());
  world_.lan.SetLoss(0);
  if (claimed_) DoNetwork({.op = Op::kStranger, .a = 0, .b = 0, .c = 0, .then = {}});
  for (const auto& [name, controller] : world_.controllers) {
    controller->source.SetConnected(true);
    controller->process.Thaw();
  }
  for (int i = 0; i < history_.controllers; ++i) {
    if (!world_.controllers.contains(ControllerName(i))) world_.StartController(ControllerName(i));
  }
  ElectSomebody();
  for (const auto& [name, node] : world_.nodes) {
    world_.wire.Cut(name, false);
    node->port->carrier = true;
    node->port->drop_all = false;
    node->port->group = 0;
    node->kernel.fake().SetCarrier(kEth0, true);
    for (const auto& a : node->agents) {
      if (a->alive() && a->process.frozen()) a->Thaw();
    }
  }
}

// Each node has its object and one agent.
void Player::Populate() {
  for (const auto& [name, node] : world_.nodes) {
    if (!world_.cluster.nodes().contains(name)) {
      world_.cluster.Put(model::Node{.name = name, .labels = {}, .explicit_object = true});
    }
    std::erase_if(node->agents, [](const auto& a) { return !a->alive(); });
    if (node->agents.empty()) world_.StartAgent(name);
  }
}

namespace {

std::map<model::ObjectId, std::vector<model::Allocation>> Allocations(const World& world) {
  std::map<model::ObjectId, std::vector<model::Allocation>> all;
  for (const auto& [id, service] : world.cluster.services()) all[id] = service.allocations;
  return all;
}

}  // namespace

// Nobody on the LAN notices, and nothing is allocated anew.
void Player::RestartControllers() {
  const auto allocations = Allocations(world_);
  const auto holders = world_.Holders();
  const absl::Time from = world_.Now();
  for (int i = 0; i < history_.controllers; ++i) world_.KillController(ControllerName(i));
  world_.Advance(absl::Milliseconds(static_cast<int>(history_.seed % 3000)));
  for (int i = 0; i < history_.controllers; ++i) world_.StartController(ControllerName(i));
  world_.Advance(absl::Seconds(10));
  if (allocations != Allocations(world_)) Complain("allocations are others", "after a restart of the controllers");
  if (holders != world_.Holders()) Complain("addresses have moved", "after a restart of the controllers");
  if (world_.GratuitousSince(from) != 0) Complain("gratuitous frames were sent", "after a restart of the controllers");
}

void Player::RestartAgents() {
  const auto allocations = Allocations(world_);
  for (const auto& [name, node] : world_.nodes) {
    world_.KillAgent(name);
    world_.StartAgent(name);
    world_.Advance(absl::Milliseconds(static_cast<int>(history_.seed % 700)));
  }
  world_.Advance(absl::Seconds(10));
  if (allocations != Allocations(world_)) Complain("allocations are others", "after a restart of the agents");
  Complain(WrongHolders(world_), "after a restart of the agents");
}

}  // namespace berth::system
