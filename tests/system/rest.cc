// SPDX-License-Identifier: Apache-2.0
#include "tests/system/rest.h"

#include <algorithm>
#include <set>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"

namespace berth::system {
namespace {

std::set<std::string> EndpointNodes(World& world, const model::Service& service, Family family) {
  std::set<std::string> nodes;
  bool any = false;
  for (const auto& [id, slice] : world.cluster.slices()) {
    if (slice.service != service.id) continue;
    any = true;
    if (slice.family != family) continue;
    for (const model::Endpoint& e : slice.endpoints) nodes.insert(e.node);
  }
  if (!any && world.options.absent_endpoints_are_ready) {
    for (const auto& [name, node] : world.nodes) nodes.insert(name);
  }
  return nodes;
}

std::vector<const model::Service*> OwnersOf(World& world, const IpAddr& address) {
  std::vector<const model::Service*> owners;
  for (const auto& [id, service] : world.cluster.services()) {
    if (std::any_of(service.allocations.begin(), service.allocations.end(),
                    [&](const model::Allocation& a) { return a.address == address; })) {
      owners.push_back(&service);
    }
  }
  return owners;
}

std::set<IpAddr> Used(World& world) {
  std::set<IpAddr> used;
  for (const auto& [id, service] : world.cluster.services()) {
    for (const model::Allocation& a : service.allocations) used.insert(a.address);
  }
  return used;
}

const model::Pool* PoolThatGives(World& world, const IpAddr& address) {
  for (const auto& [name, pool] : world.cluster.pools()) {
    if (pool.addresses.Contains(address)) return pool.disable || pool.deleting ? nullptr : &pool;
  }
  return nullptr;
}

std::string Annotation(const model::Service& service, const char* key) {
  const auto found = service.annotations.find(key);
  return found == service.annotations.end() ? "" : found->second;
}

bool Agree(const model::Service& a, const model::Service& b) {
  const std::string key = Annotation(a, model::kSharingKeyAnnotation);
  const bool same_tenant = a.id.ns == b.id.ns || (!key.empty() && key == Annotation(b, model::kSharingKeyAnnotation));
  const bool clash = std::any_of(a.ports.begin(), a.ports.end(), [&](const model::ServicePort& p) {
    return std::any_of(b.ports.begin(), b.ports.end(), [&](const model::ServicePort& q) { return p.port == q.port; });
  });
  return same_tenant && !clash && a.traffic_policy == b.traffic_policy && a.selector == b.selector;
}

// Whether a Service without an address could have one.
bool CouldHaveOne(World& world, const model::Service& service) {
  if (!service.load_balancer_ip.empty()) {
    const IpAddr wanted = Ip(service.load_balancer_ip);
    if (PoolThatGives(world, wanted) == nullptr) return false;
    const auto owners = OwnersOf(world, wanted);
    return std::all_of(owners.begin(), owners.end(), [&](const model::Service* o) { return Agree(service, *o); });
  }
  const auto pool = world.cluster.pools().find(Annotation(service, model::kPoolAnnotation));
  if (pool == world.cluster.pools().end() || pool->second.disable || pool->second.deleting) return false;
  const std::set<IpAddr> used = Used(world);
  const auto taken = static_cast<std::uint64_t>(
      std::count_if(used.begin(), used.end(), [&](const IpAddr& a) { return pool->second.addresses.Contains(a); }));
  return AddressCount(taken) < pool->second.addresses.size();
}

std::string WhyUnheld(World& world, const IpAddr& address) {
  const auto view = world.Leader().runner.ExplainAddress(address);
  return view.ok() ? view->message : std::string(view.status().message());
}

}  // namespace

bool CanHold(World& world, const Node& node, const IpAddr& address) {
  if (node.agents.empty() || !node.agents.front()->alive() || !node.port->carrier) return false;
  const auto object = world.cluster.nodes().find(node.name);
  if (object != world.cluster.nodes().end()) {
    if (object->second.network_unavailable || object->second.labels.contains(model::kExcludeNodeLabel)) return false;
  }
  for (const model::Service* owner : OwnersOf(world, address)) {
    if (owner->traffic_policy == model::TrafficPolicy::kLocal &&
        !EndpointNodes(world, *owner, address.family()).contains(node.name)) {
      return false;
    }
  }
  return true;
}

// Drained nodes may keep what no other can hold, and need not take it: `able` is without them where others are.
static bool OnlyDrained(World& world, std::vector<std::string>& able) {
  std::vector<std::string> others;
  for (const auto& agent : world.cluster.agents()) {
    if (!agent.drained && std::count(able.begin(), able.end(), agent.node) != 0) others.push_back(agent.node);
  }
  if (others.empty()) return !able.empty();
  able = std::move(others);
  return false;
}

std::vector<std::string> WrongHolders(World& world) {
  std::vector<std::string> wrong;
  const std::set<IpAddr> used = Used(world);
  for (const IpAddr& address : used) world.client.Ask(address);
  world.Advance(absl::Milliseconds(5));
  for (const IpAddr& address : used) {
    const std::string text = address.ToString();
    std::vector<std::string> able;
    for (const auto& [name, node] : world.nodes) {
      if (CanHold(world, *node, address)) able.push_back(name);
    }
    const bool only_drained = OnlyDrained(world, able);
    const auto announcers = world.Announcers(address);
    const auto& answers = world.client.queries(address).back().answers;
    if (able.empty() || (only_drained && announcers.empty())) {
      if (!announcers.empty()) {
        wrong.push_back(
            absl::StrCat(text, " is announced by ", absl::StrJoin(announcers, ", "), ", who cannot hold it"));
      } else if (WhyUnheld(world, address).empty()) {
        wrong.push_back(absl::StrCat(text, " is held by nobody, without a reason"));
      }
    } else if (announcers.size() != 1) {
      wrong.push_back(absl::StrCat(text, " is announced by ", announcers.size(), " of ", absl::StrJoin(able, ", "),
                                   ": ", WhyUnheld(world, address)));
    } else if (std::find(able.begin(), able.end(), announcers.front()) == able.end()) {
      wrong.push_back(absl::StrCat(text, " is announced by ", announcers.front(), ", who cannot hold it"));
    } else if (!world.NodeNamed(announcers.front()).kernel.fake().IsLocal(address)) {
      wrong.push_back(absl::StrCat(text, " is announced by ", announcers.front(), ", where it is not local"));
    } else if (answers.size() != 1 || answers.front().second != world.NodeNamed(announcers.front()).mac) {
      wrong.push_back(absl::StrCat(text, " is announced by ", announcers.front(), ", but a client gets ",
                                   answers.size(), " answers"));
    }
  }
  return wrong;
}

std::vector<std::string> WrongAtRest(World& world) {
  std::vector<std::string> wrong;
  if (world.cluster.leader() == nullptr || !world.Leader().runner.Status().started) {
    return {"no controller leads and decides"};
  }
  const std::set<IpAddr> used = Used(world);
  for (const auto& agent : world.cluster.agents()) {
    if (agent.drained == world.Leader().runner.core().agents().Drained(agent.node)) continue;
    wrong.push_back(absl::StrCat(agent.node, " is on record as ", agent.drained ? "" : "not ", "drained"));
  }
  for (const auto& [name, node] : world.nodes) {
    const auto alive =
        std::count_if(node->agents.begin(), node->agents.end(), [](const auto& a) { return a->alive(); });
    if (alive != 1) wrong.push_back(absl::StrCat(name, " has ", alive, " agents"));
    for (const auto& [index, link] : node->kernel.fake().links()) {
      for (const agent::LinkAddress& a : link.addresses) {
        const IpAddr& address = a.cidr.address();
        if (!a.ours) continue;
        if (node->kernel.fake().WouldAnswer(kEth0, address)) {
          wrong.push_back(absl::StrCat("the kernel of ", name, " answers for ", address.ToString()));
        }
        if (world.HolderOf(address) != name) {
          wrong.push_back(absl::StrCat(address.ToString(), " is left over on ", name));
        }
      }
    }
  }
  for (const auto& [id, service] : world.cluster.services()) {
    if (service.deleting) wrong.push_back(absl::StrCat(id.ToString(), " is still being deleted"));
    for (const model::Allocation& a : service.allocations) {
      for (const model::Service* other : OwnersOf(world, a.address)) {
        if (other != &service && std::any_of(other->ports.begin(), other->ports.end(),
                                             [&](const auto& p) { return p.port == service.ports.front().port; })) {
          wrong.push_back(absl::StrCat(id.ToString(), " and ", other->id.ToString(), " have one port on one address"));
        }
      }
    }
    if (!service.allocations.empty()) continue;
    const auto view = world.Leader().runner.ExplainService(id);
    const std::string reason = view.ok() ? view->reason : "";
    if (reason.empty()) wrong.push_back(absl::StrCat(id.ToString(), " has no address and no reason"));
    if (CouldHaveOne(world, service)) {
      wrong.push_back(absl::StrCat(id.ToString(), " could have an address, but: ", view.ok() ? view->message : ""));
    }
  }
  for (const auto& [name, pool] : world.cluster.pools()) {
    const bool in_use =
        std::any_of(used.begin(), used.end(), [&](const IpAddr& a) { return pool.addresses.Contains(a); });
    if (pool.deleting && !in_use) wrong.push_back(absl::StrCat("Eip ", name, " is still being deleted"));
  }
  return wrong;
}

}  // namespace berth::system
