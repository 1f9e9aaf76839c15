// SPDX-License-Identifier: Apache-2.0
#include "tests/unit/controller/core/plan_ops.h"

#include <algorithm>
#include <array>

#include "absl/strings/str_cat.h"

namespace berth::core {
namespace {

using model::Pool;
using model::Service;

constexpr int kPools = 5;
constexpr std::array<const char*, 21> kNames = {
    "Pool",  "Service",    "DeletePool", "VanishPool", "DeleteService", "VanishService", "Tamper",
    "Label", "WriteFault", "HoldWrites", "HoldWatch",  "Advance",       "Rest",          "Connect",
    "Cut",   "Leave",      "Interfaces", "Slow",       "Stranger",      "Restart",       "StepDown"};

std::string PoolName(int i) { return absl::StrCat("p", i % kPools); }
model::ObjectId ServiceId(int i) { return {i % 2 == 0 ? "a" : "b", absl::StrCat("s", i)}; }
const IpAddr& AddressAt(int i) { return Universe()[static_cast<std::size_t>(i) % Universe().size()]; }

template <std::size_t N>
const char* Pick(const std::array<const char*, N>& words, int i) {
  return words[static_cast<std::size_t>(i) % N];
}

// Eips 0 to 2 lie in IPv4, four addresses apart, and 3 and 4 in IPv6; some reach into their neighbours.
void SetRange(Pool& pool, int who, int value) {
  const bool v6 = who % kPools >= 3;
  const std::size_t begin =
      v6 ? 12 + 4 * static_cast<std::size_t>(who % kPools - 3) : 4 * static_cast<std::size_t>(who % kPools);
  const std::size_t end = v6 ? 20 : 12;
  const std::size_t first = std::min(begin + static_cast<std::size_t>(value) % 3, end - 1);
  const std::size_t last = std::min(first + static_cast<std::size_t>(value) / 3 % 5, end - 1);
  pool.addresses = IpRangeSet();
  pool.addresses.Add(*IpRange::Make(Universe()[first], Universe()[last]));
  if (value % 7 == 6 && last > first + 1) pool.addresses.Remove(Universe()[first + 1]);
  pool.family = v6 ? Family::kIpv6 : Family::kIpv4;
  pool.address_text = pool.addresses.ToString();
}

void EditPool(Pool& pool, const Op& op) {
  if (pool.addresses.empty()) {
    SetRange(pool, op.who, 9);  // the whole of its four
    pool.protocol = model::Protocol::kLayer2;
    pool.interface = "eth0";
  }
  constexpr model::Protocol kProtocols[] = {model::Protocol::kLayer2, model::Protocol::kBgp, model::Protocol::kVip};
  switch (op.what) {
    case 0:
    case 1:
    case 2:
      return SetRange(pool, op.who, op.value);
    case 3:
      pool.disable = op.value % 2 == 0;
      return;
    case 4:
      pool.is_default = op.value % 2 == 0;
      return;
    case 5:
      pool.namespaces.clear();
      if (op.value % 4 != 0) pool.namespaces.push_back(op.value % 2 == 0 ? "a" : "b");
      if (op.value % 4 == 3) pool.namespaces.push_back("a");
      return;
    case 6:
      pool.namespace_selector.reset();
      if (op.value % 3 != 0) pool.namespace_selector = model::Labels{{"team", op.value % 3 == 1 ? "x" : "y"}};
      return;
    case 7:
      pool.priority = op.value % 3;
      return;
    case 8:
      pool.protocol = kProtocols[op.value % 3];
      return;
    case 9:
      pool.avoid_buggy_ips = op.value % 2 == 0;
      return;
    case 10:
      pool.interface = Pick(std::array{"eth0", "eth1", ""}, op.value);
      return;
    default:
      return;  // as it is, or made anew
  }
}

void Annotate(Service& service, const char* key, const std::string& value) {
  if (value.empty()) {
    service.annotations.erase(key);
  } else {
    service.annotations[key] = value;
  }
}

std::string WantedText(int value) {
  if (value == 0) return "";
  if (value == 21) return "10.9.9.9";
  if (value == 22) return "nonsense";
  if (value == 23) return absl::StrCat(AddressAt(1).ToString(), ",", AddressAt(13).ToString());
  return AddressAt(value - 1).ToString();
}

void EditFamilies(Service& service, int value) {
  using Policy = model::IpFamilyPolicy;
  constexpr Policy kPolicies[] = {Policy::kSingleStack, Policy::kPreferDualStack, Policy::kRequireDualStack};
  const std::vector<Family> kFamilies[] = {
      {Family::kIpv4}, {Family::kIpv6}, {Family::kIpv4, Family::kIpv6}, {Family::kIpv6, Family::kIpv4}, {}};
  service.ip_family_policy = kPolicies[value % 3];
  service.ip_families = kFamilies[value / 3 % 5];
}

void EditPorts(Service& service, int value) {
  const model::ServicePort http{"", "TCP", 80}, https{"", "TCP", 443}, dns{"", "UDP", 80};
  const std::vector<model::ServicePort> kPorts[] = {{http}, {https}, {dns}, {http, https}, {https, dns}, {}};
  service.ports = kPorts[value % 6];
}

void EditService(Service& service, const Op& op) {
  if (service.ports.empty() && service.annotations.empty()) {
    service.load_balancer = true;
    service.annotations[model::kOptInAnnotation] = "openelb";
    EditPorts(service, op.who % 3);
  }
  switch (op.what) {
    case 0:
    case 1:
    case 2:
      return Annotate(service, model::kAddressAnnotation, WantedText(op.value));
    case 3:
      service.load_balancer_ip = WantedText(op.value % 22);
      return;
    case 4:
    case 5: {
      constexpr std::array kNamed = {"", "p0", "p1", "p2", "p3", "p4", "p0,p3", "p4,p1", "p1,p2", "px"};
      return Annotate(service, model::kPoolAnnotation, Pick(kNamed, op.value));
    }
    case 6:
      return Annotate(service, model::kProtocolAnnotation,
                      Pick(std::array{"", "layer2", "bgp", "vip", "odd"}, op.value));
    case 7:
      return Annotate(service, model::kSharingKeyAnnotation, Pick(std::array{"", "k", "l"}, op.value));
    case 8:
    case 9:
      return EditPorts(service, op.value);
    case 10:
      service.traffic_policy = op.value % 3 == 0 ? model::TrafficPolicy::kCluster : model::TrafficPolicy::kLocal;
      service.selector = {{"app", op.value % 3 == 1 ? "x" : "y"}};
      return;
    case 11:
    case 12:
      return EditFamilies(service, op.value);
    case 13:
      service.load_balancer = op.value % 3 != 0;
      return;
    case 14: {
      service.load_balancer_class.reset();
      if (op.value % 4 == 1) service.load_balancer_class = model::kDefaultClass;
      if (op.value % 4 == 2) service.load_balancer_class = "foreign";
      return Annotate(service, model::kOptInAnnotation, Pick(std::array{"openelb", "porter", "no", ""}, op.value / 4));
    }
    default:
      service.headless = op.value % 3 == 1;
      return Annotate(service, model::kNodeProxyAnnotation, op.value % 3 == 2 ? "daemonset" : "");
  }
}

// Nodes have addresses of their own, in the middle of the Eips or elsewhere.
std::vector<sync::InterfaceInfo> Network(int node, int value) {
  sync::InterfaceInfo eth;
  eth.name = value % 8 == 7 ? "eth1" : "eth0";
  eth.up = value % 4 != 3;
  const IpAddr inside = AddressAt(value / 4 % 12);
  const IpAddr outside = IpAddr::V4(0xc0a80001U + static_cast<std::uint32_t>(node));
  eth.prefixes = {*Cidr::Make(value % 4 == 1 ? inside : outside, 24)};
  if (value % 4 == 2) eth.gateways = {AddressAt(value)};
  if (value == 22) eth.prefixes.push_back(*Cidr::Make(AddressAt(14), 64));
  return {eth};
}

plan::Rules OtherFlags(plan::Rules rules, int value) {
  if (value % 3 == 1) rules.manage_unclassed = !rules.manage_unclassed;
  if (value % 6 == 5) rules.load_balancer_class = rules.load_balancer_class == "mine" ? model::kDefaultClass : "mine";
  return rules;
}

bool Includes(const std::vector<model::Allocation>& has, const std::vector<model::Allocation>& had) {
  return std::all_of(had.begin(), had.end(), [&](const model::Allocation& a) {
    return std::any_of(has.begin(), has.end(), [&](const model::Allocation& b) { return a.address == b.address; });
  });
}

// At rest already, so nothing may change: not what anybody has, nor why.
void Again(PlanWorld& world, const std::function<void()>& begin_anew, bool same_flags) {
  world.Rest();
  const auto had = world.Allocations();
  const auto words = world.Words();
  std::set<model::ObjectId> unmet = world.Unmet();
  const bool refuses = world.Refuses();
  const bool same = same_flags && !refuses && !world.HasMemory();
  const int writes = world.writes();
  begin_anew();
  world.Rest();
  const auto has = world.Allocations();
  unmet.merge(world.Unmet());
  for (const auto& [id, allocations] : had) {
    if (allocations.empty() || has.at(id) == allocations) continue;
    // An Eip whose edit was refused is in force as it is written now, and what follows from that was judged already.
    if (refuses) continue;
    // What was known only to the old process may have stood between somebody and what it asks for.
    if (same || (unmet.count(id) == 0 && !Includes(has.at(id), allocations))) {
      throw Broken(absl::StrCat(id.ToString(), " lost or changed its addresses in a restart"));
    }
  }
  if (!same) return;  // those who waited may wait no longer
  if (has != had) throw Broken("a restart gave somebody an address");
  if (world.writes() != writes) throw Broken("a restart wrote though nothing had changed");
  if (world.Words() != words) throw Broken("a process that begins anew comes to other reasons");
}

void Restart(PlanWorld& world, int value) {
  const plan::Rules rules = OtherFlags(world.rules(), value / 2);
  if (value % 2 == 1) return world.Restart(rules, value % 4 == 1);
  const bool same_flags = value / 2 % 3 != 1 && value / 2 % 6 != 5;
  Again(world, [&] { world.Restart(rules, true); }, same_flags);
}

}  // namespace

std::ostream& operator<<(std::ostream& out, const Op& op) {
  return out << kNames[static_cast<std::size_t>(op.kind)] << "(" << op.who << ", " << op.what << ", " << op.value
             << ")";
}

void Do(PlanWorld& world, const Op& op) {
  const int node = op.who % kNodes;
  switch (op.kind) {
    case OpKind::kPool:
      return world.EditPool(PoolName(op.who), [&](Pool& pool) { EditPool(pool, op); });
    case OpKind::kService:
      return world.EditService(ServiceId(op.who), [&](Service& service) { EditService(service, op); });
    case OpKind::kDeletePool:
      return world.DeletePool(PoolName(op.who), op.value % 2 == 1);
    case OpKind::kVanishPool:
      return world.VanishPool(PoolName(op.who));
    case OpKind::kDeleteService:
      return world.DeleteService(ServiceId(op.who));
    case OpKind::kVanishService:
      return world.VanishService(ServiceId(op.who));
    case OpKind::kTamper:
      return world.Tamper(ServiceId(op.who));
    case OpKind::kLabel:
      return world.Label(op.who % 2 == 0 ? "a" : "b", {{"team", Pick(std::array{"x", "y", "z"}, op.value)}});
    case OpKind::kWriteFault:
      return world.NextWrite(op.value % 2 == 0 ? PlanWorld::Fault::kAnswerLost : PlanWorld::Fault::kNotDone);
    case OpKind::kHoldWrites:
      return world.HoldWrites(op.value % 3 != 0);
    case OpKind::kHoldWatch:
      return world.HoldWatch(op.value % 3 != 0);
    case OpKind::kAdvance:
      return world.Advance(absl::Milliseconds(100 + 400 * op.value));
    case OpKind::kRest:
      return world.Rest();
    case OpKind::kConnect:
      return world.Connect(node);
    case OpKind::kCut:
      return world.Cut(node);
    case OpKind::kLeave:
      return world.Leave(node);
    case OpKind::kInterfaces:
      return world.Interfaces(node, Network(node, op.value));
    case OpKind::kSlow:
      return world.Slow(node, op.value % 3 != 0);
    case OpKind::kStranger:
      return world.Stranger(AddressAt(op.value), op.who % 3 != 0);
    case OpKind::kRestart:
      return Restart(world, op.value);
    case OpKind::kStepDown:
      if (op.value % 2 == 1) return world.StepDown();
      return Again(world, [&] { world.StepDown(); }, true);
  }
}

void RunAll(const std::vector<Op>& ops, Theme theme, bool lax_rules) {
  PlanWorld::Setup setup;
  setup.agents = theme == Theme::kAgents || theme == Theme::kRestarts;
  if (lax_rules) setup.rules = {.manage_unclassed = true, .open_sharing = true, .advisory_namespace_binding = true};
  PlanWorld world(setup);
  for (const Op& op : ops) Do(world, op);
  Again(world, [&] { world.Restart(world.rules(), true); }, true);
}

}  // namespace berth::core
