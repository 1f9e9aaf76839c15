// SPDX-License-Identifier: Apache-2.0
// What a test asks a World: who has which address, and what was said and written.
#include <algorithm>
#include <catch2/catch.hpp>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "tests/system/world.h"

namespace berth::system {

std::vector<IpAddr> World::AddressesOf(const std::string& service) const {
  std::vector<IpAddr> addresses;
  const auto found = cluster.service({"default", service});
  if (!found) return addresses;
  for (const model::Allocation& a : found->allocations) addresses.push_back(a.address);
  return addresses;
}

IpAddr World::AddressOf(const std::string& service) const {
  const auto addresses = AddressesOf(service);
  return addresses.empty() ? IpAddr() : addresses.front();
}

std::vector<std::string> World::Announcers(const IpAddr& address) const {
  std::vector<std::string> found;
  for (const auto& [name, node] : nodes) {
    for (const auto& a : node->agents) {
      if (a->alive() && a->frames.Answers(address)) found.push_back(name);
    }
  }
  return found;
}

std::string World::HolderOf(const IpAddr& address) const {
  const auto all = Announcers(address);
  return all.size() == 1 ? all.front() : std::string();
}

std::map<IpAddr, std::string> World::Holders() const {
  std::map<IpAddr, std::string> holders;
  for (const auto& [id, service] : cluster.services()) {
    for (const model::Allocation& a : service.allocations) holders[a.address] = HolderOf(a.address);
  }
  return holders;
}

std::map<model::ObjectId, std::vector<IpAddr>> World::Allocations() const {
  std::map<model::ObjectId, std::vector<IpAddr>> all;
  for (const auto& [id, service] : cluster.services()) all[id] = AddressesOf(id.name);
  return all;
}

model::AgentState World::AgentState(const std::string& node) {
  for (const model::AgentView& view : Leader().runner.Agents()) {
    if (view.node == node) return view.state;
  }
  FAIL("the controller knows no agent of " << node);
  return model::AgentState::kLost;
}

model::AddressView World::Explain(const IpAddr& address) {
  const auto view = Leader().runner.ExplainAddress(address);
  REQUIRE(view.ok());
  return *view;
}

std::size_t World::GratuitousSince(absl::Time from, const IpAddr& address) const {
  const auto& all = lan.captured();
  return static_cast<std::size_t>(std::count_if(all.begin(), all.end(), [&](const VirtualLan::Captured& c) {
    return c.at >= from && c.arp.gratuitous() && (address == IpAddr() || c.arp.sender_ip == address);
  }));
}

bool World::HasEvent(const std::string& reason, const std::string& part) const {
  return std::any_of(cluster.events().begin(), cluster.events().end(), [&](const FakeCluster::Event& e) {
    return e.record.reason == reason && e.record.message.find(part) != std::string::npos;
  });
}

std::string World::WhatMoved(absl::Duration d) {
  const auto writes = cluster.service_writes().size();
  const auto statuses = cluster.pool_status_writes();
  const auto pushes = wire.pushes();
  const absl::Time from = Now();
  Run(d);
  std::vector<std::string> moved;
  const auto tell = [&](std::size_t n, const char* what) {
    if (n != 0) moved.push_back(absl::StrCat(n, " ", what));
  };
  tell(cluster.service_writes().size() - writes, "Service writes");
  tell(cluster.pool_status_writes() - statuses, "pool status writes");
  tell(wire.pushes() - pushes, "messages to agents");
  tell(GratuitousSince(from), "gratuitous frames");
  return absl::StrJoin(moved, ", ");
}

model::ServiceView World::ExplainService(const std::string& service) {
  const auto view = Leader().runner.ExplainService({"default", service});
  REQUIRE(view.ok());
  return *view;
}

std::vector<std::string> World::Unexplained() {
  std::vector<std::string> found;
  for (const auto& [id, service] : cluster.services()) {
    if (!service.load_balancer || !service.annotations.contains(model::kOptInAnnotation)) continue;
    if (!service.allocations.empty()) continue;
    const bool told = std::any_of(cluster.events().begin(), cluster.events().end(),
                                  [&, &of = id](const FakeCluster::Event& e) { return e.record.object == of; });
    if (!told || ReasonOf(id.name).empty()) found.push_back(id.ToString());
  }
  return found;
}

}  // namespace berth::system
