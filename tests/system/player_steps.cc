// SPDX-License-Identifier: Apache-2.0
#include <algorithm>

#include "absl/strings/str_cat.h"
#include "tests/system/player.h"

namespace berth::system {
namespace {

constexpr int kFirstOfPool[kPools] = {100, 120};  // last byte of its first address

bool IsHeartbeat(const FakeWire::Message& m) {
  return m.up != nullptr && std::holds_alternative<sync::Heartbeat>(*m.up);
}

}  // namespace

IpAddr Player::PoolAddress(int pool, int index) const {
  const int size = history_.pool_sizes[static_cast<std::size_t>(pool)];
  const int number = kFirstOfPool[pool] + index % size;
  if (pool == 1 && history_.ipv6) return Ip(absl::StrCat("fd00:50::", number));
  return Ip(absl::StrCat("192.168.50.", number));
}

IpAddr Player::AnyAddress(int index) const { return PoolAddress(index % kPools, index / kPools); }

void Player::Do(const Step& step) {
  if (step.op <= Op::kEndpoints) return DoObject(step);
  if (step.op <= Op::kRemoveNode) return DoNodeObject(step);
  if (step.op <= Op::kReboot) return DoProcess(step);
  if (step.op <= Op::kIsolateController) return DoController(step);
  if (step.op <= Op::kRebalance) return DoOrder(step);
  DoNetwork(step);
}

// ---- the cluster's objects

model::ObjectId Player::ServiceId(int number) const {
  for (const char* ns : {"default", "team"}) {
    const model::ObjectId id{ns, absl::StrCat("s", number)};
    if (world_.cluster.services().contains(id)) return id;
  }
  return {"default", absl::StrCat("s", number)};
}

model::Service Player::MakeService(const Step& step) const {
  model::Service s = World::MakeService(absl::StrCat("s", step.a));
  const auto kind = static_cast<ServiceKind>(step.b);
  if (kind == ServiceKind::kOtherNamespace || kind == ServiceKind::kWantedByKey) s.id.ns = "team";
  const bool wanted =
      kind == ServiceKind::kWanted || kind == ServiceKind::kWantedSamePort || kind == ServiceKind::kWantedByKey;
  if (wanted) {
    const IpAddr address = AnyAddress(step.c % 4);  // few, so that they meet
    s.load_balancer_ip = address.ToString();
    s.ip_families = {address.family()};
    s.annotations[model::kSharingKeyAnnotation] = step.c % 3 == 0 ? "" : "key";
    if (kind != ServiceKind::kWantedSamePort) s.ports.front().port = static_cast<std::uint16_t>(80 + step.a);
  } else {
    const int pool = step.c % kPools;
    s.annotations[model::kPoolAnnotation] = PoolName(pool);
    s.ip_families = {PoolAddress(pool, 0).family()};
  }
  if (kind == ServiceKind::kLocal) s.traffic_policy = model::TrafficPolicy::kLocal;
  s.created = world_.Now();
  return s;
}

void Player::PutPool(int number) {
  model::Pool pool;
  pool.name = PoolName(number);
  const int size = history_.pool_sizes[static_cast<std::size_t>(number)];
  pool.address_text = absl::StrCat(PoolAddress(number, 0).ToString(), "-", PoolAddress(number, size - 1).ToString());
  pool.addresses = *IpRangeSet::Parse(pool.address_text);
  pool.family = PoolAddress(number, 0).family();
  pool.protocol = model::Protocol::kLayer2;
  pool.interface = "eth0";
  world_.cluster.Put(std::move(pool));
}

void Player::DoPool(const Step& step) {
  const auto found = world_.cluster.pools().find(PoolName(step.a));
  if (step.op == Op::kPool) {
    if (found == world_.cluster.pools().end() || !found->second.deleting) PutPool(step.a);
    return;
  }
  if (found == world_.cluster.pools().end()) return;
  if (step.op == Op::kVanishPool) return world_.cluster.VanishPool(found->first);
  model::Pool pool = found->second;
  if (step.op == Op::kDisablePool) {
    pool.disable = !pool.disable;
    return world_.cluster.Put(pool);
  }
  if (step.b == 1) {
    pool.force_delete = true;
    world_.cluster.Put(pool);
  }
  world_.cluster.DeletePool(pool.name);
}

void Player::DoObject(const Step& step) {
  const model::ObjectId id = ServiceId(step.a);
  const auto existing = world_.cluster.service(id);
  switch (step.op) {
    case Op::kService: {
      model::Service s = MakeService(step);
      if (existing && existing->deleting) return;
      if (existing) {
        s.id = id;
        s.created = existing->created;
      }
      return world_.cluster.Put(std::move(s));
    }
    case Op::kDeleteService:
      return world_.cluster.DeleteService(id);
    case Op::kPorts: {
      if (!existing || existing->deleting) return;
      model::Service s = *existing;
      s.ports.front().port = static_cast<std::uint16_t>(80 + step.b);
      return world_.cluster.Put(std::move(s));
    }
    case Op::kEndpoints: {
      model::EndpointSlice slice;
      slice.id = {"default", absl::StrCat("slice", step.a)};
      slice.service = id;
      for (int i = 0; i < history_.nodes; ++i) {
        if ((step.b >> i & 1) != 0) slice.endpoints.push_back({.node = NodeName(1 + i)});
      }
      if (existing && !existing->allocations.empty()) {
        slice.family = existing->allocations.front().address.family();
      }
      return world_.cluster.Put(std::move(slice));
    }
    default:
      return DoPool(step);
  }
}

void Player::DoNodeObject(const Step& step) {
  const std::string name = NodeName(step.a);
  if (step.op == Op::kRemoveNode) {
    if (world_.cluster.nodes().contains(name)) {
      world_.KillAgent(name);
      world_.cluster.DeleteNode(name);
    } else {
      world_.cluster.Put(model::Node{.name = name, .labels = {}, .explicit_object = true});
      world_.StartAgent(name);
    }
    return;
  }
  const auto found = world_.cluster.nodes().find(name);
  if (found == world_.cluster.nodes().end()) return;
  model::Node node = found->second;
  if (step.op == Op::kLabelNode) {
    if (node.labels.erase(model::kExcludeNodeLabel) == 0) node.labels[model::kExcludeNodeLabel] = "";
  } else if (step.op == Op::kNodeReady) {
    node.ready = !node.ready;
  } else if (step.op == Op::kNodeNetwork) {
    node.network_unavailable = !node.network_unavailable;
  } else {
    node.unschedulable = !node.unschedulable;
  }
  world_.cluster.Put(std::move(node));
}

// ---- processes

void Player::DoProcess(const Step& step) {
  const std::string name = NodeName(step.a == 0 ? 1 : step.a);
  Node& node = world_.NodeNamed(name);
  if (!world_.cluster.nodes().contains(name)) return;  // switched off
  AgentProcess* agent = nullptr;
  for (const auto& a : node.agents) {
    if (agent == nullptr && a->alive()) agent = a.get();
  }
  switch (step.op) {
    case Op::kKillAgent:
      return world_.KillAgent(name);
    case Op::kStartAgent:
      if (agent == nullptr) world_.StartAgent(name);
      return;
    case Op::kSecondAgent:
      if (agent != nullptr && node.agents.size() < 2) world_.StartAgent(name);
      return;
    case Op::kEndAgent:
      if (agent != nullptr && !agent->process.frozen()) agent->runner.Terminate();
      return;
    case Op::kFreezeAgent:
      if (agent == nullptr) return;
      if (agent->process.frozen()) return agent->Thaw();
      return agent->Freeze();
    default:
      node.agents.clear();
      node.kernel.Reboot();
      ++node.boots;
      return world_.StartAgent(name);
  }
}

void Player::DoController(const Step& step) {
  const std::string name = ControllerName(step.a);
  const auto found = world_.controllers.find(name);
  if (found == world_.controllers.end()) {
    if (step.op == Op::kStartController) world_.StartController(name);
    return;
  }
  Controller& controller = *found->second;
  switch (step.op) {
    case Op::kKillController:
      return world_.KillController(name);
    case Op::kElect:
      if (controller.source.connected()) world_.cluster.Grant(controller.source);
      return;
    case Op::kFreezeController:
      if (controller.process.frozen()) return controller.process.Thaw();
      return world_.FreezeController(name);
    case Op::kIsolateController:
      return controller.source.SetConnected(!controller.source.connected());
    default:
      return;
  }
}

// ---- orders: those that cannot be followed are refused, which is an answer too

void Player::DoOrder(const Step& step) {
  const auto found = world_.controllers.find(ControllerName(step.c));
  if (found == world_.controllers.end() || found->second->process.frozen()) return;
  core::CoreRunner& controller = found->second->runner;
  const std::string node = NodeName(step.op == Op::kMove ? step.b : step.a);
  if (step.op == Op::kMove) {
    (void)controller.MoveAddress(AnyAddress(step.a), node);
  } else if (step.op == Op::kRebalance) {
    (void)controller.Rebalance(false);
  } else if (controller.core().agents().Drained(node)) {
    (void)controller.UndrainNode(node);
  } else {
    (void)controller.DrainNode(node);
  }
}

// ---- messages, frames, kernels, stores

void Player::DoNetwork(const Step& step) {
  Node& node = world_.NodeNamed(NodeName(std::clamp(step.a, 1, history_.nodes)));
  switch (step.op) {
    case Op::kCut:
      return world_.wire.Cut(node.name, !world_.wire.IsCut(node.name));
    case Op::kReset:
      return world_.wire.Reset(node.name);
    case Op::kFault:
      fault_ = step;
      return;
    case Op::kLoss:
      return world_.lan.SetLoss(step.a / 100.0);
    case Op::kCarrier:
      node.port->carrier = !node.port->carrier;
      return node.kernel.fake().SetCarrier(kEth0, node.port->carrier);
    case Op::kDropAll:
      node.port->drop_all = !node.port->drop_all;
      return;
    case Op::kPartition:
      for (int i = 0; i < history_.nodes; ++i) {
        world_.NodeNamed(NodeName(1 + i)).port->group = (step.a >> i & 1) != 0 ? 1 : 0;
      }
      return;
    case Op::kStranger:
      stranger_came_ = true;
      stranger_.port().carrier = !claimed_;
      if (claimed_) {
        stranger_.Disown(*std::exchange(claimed_, std::nullopt));
      } else {
        claimed_ = AnyAddress(step.a);
        stranger_.Own(*claimed_);
        stranger_.Announce(*claimed_);
      }
      return;
    case Op::kFlushRules:
      node.silence_due = world_.Now() + absl::Milliseconds(100);
      return node.kernel.fake().FlushRuleset();
    case Op::kUnlocal: {
      std::vector<std::pair<int, Cidr>> ours;
      for (const auto& [index, link] : node.kernel.fake().links()) {
        for (const agent::LinkAddress& a : link.addresses) {
          if (a.ours) ours.emplace_back(index, a.cidr);
        }
      }
      for (const auto& [index, cidr] : ours) node.kernel.fake().RemoveForeignAddress(index, cidr);
      return;
    }
    case Op::kFailWrites:
      return world_.cluster.FailWrites(step.a, absl::UnavailableError("the API server is down"));
    case Op::kLoseAnswers:
      return world_.cluster.LoseAnswers(step.a);
    default:
      return world_.cluster.DelayWrites(absl::Milliseconds(step.a));
  }
}

// ---- at any message

bool Player::OnMessage(const FakeWire::Message& message) {
  bool passes = true;
  if (fault_) {
    const auto fault = static_cast<Fault>(fault_->c % kFaults);
    const bool receiver = fault == Fault::kReceiverDiesBefore || fault == Fault::kReceiverDiesAfter;
    const bool here = (fault_->a == 0 || message.node == NodeName(fault_->a)) &&
                      message.to_agent == (fault_->c / kFaults == 0) && !IsHeartbeat(message) &&
                      (message.at == FakeWire::Message::At::kDelivered) == receiver;
    if (here && --fault_->b == 0) {
      fault_.reset();
      passes = Strike(fault, message);
    }
  }
  if (passes) watch_(message);
  return passes;
}

// Returns whether the message goes on.
bool Player::Strike(Fault fault, const FakeWire::Message& message) {
  const bool receiver = fault == Fault::kReceiverDiesBefore || fault == Fault::kReceiverDiesAfter;
  const auto die = [this, agent = message.to_agent == receiver, link = message.link, name = message.controller] {
    AgentProcess* process = agent ? world_.AgentWith(link) : nullptr;
    if (process != nullptr) world_.DieAgent(*process);
    if (!agent) world_.DieController(name);
  };
  switch (fault) {
    case Fault::kSenderDiesBefore:
    case Fault::kReceiverDiesBefore:
      die();
      return false;
    case Fault::kSenderDiesAfter:
      die();
      return true;
    case Fault::kReceiverDiesAfter:
      // The controller decides in a task posted when the message has come.
      world_.loop.Post([this, die] { world_.loop.Post(die); });
      return true;
    case Fault::kCut:
      world_.wire.Cut(message.node, true);
      return true;
    default:
      world_.wire.Reset(message.node);
      return true;
  }
}

}  // namespace berth::system
