// SPDX-License-Identifier: Apache-2.0
// tests/system/stories.h -- how most stories begin.
#ifndef BERTH_TESTS_SYSTEM_STORIES_H_
#define BERTH_TESTS_SYSTEM_STORIES_H_

#include <algorithm>
#include <catch2/catch.hpp>
#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "tests/system/world.h"

namespace berth::system {

inline std::string Text(const std::vector<std::string>& lines) { return absl::StrJoin(lines, "\n"); }

// Nodes node1.., a pool of 21 addresses from .100, Services svc1.. with one address each, all announced and at rest.
inline void Prepare(World& world, int nodes, int services) {
  world.AddNodes(nodes);
  world.AddPool("edge", "192.168.50.100-192.168.50.120");
  world.StartAll();
  for (int i = 1; i <= services; ++i) {
    world.AddService(absl::StrCat("svc", i));
    world.Run(absl::Milliseconds(10));
  }
  world.Run(absl::Seconds(12));  // the gratuitous frames are over
  for (const auto& [address, holder] : world.Holders()) REQUIRE(holder != "");
  REQUIRE(world.Holders().size() == static_cast<std::size_t>(services));
}

// A Service that asks for `vip` and shares it with those that do likewise.
inline model::Service Sharing(const std::string& name, const IpAddr& vip, std::uint16_t port) {
  model::Service service = World::MakeService(name);
  service.annotations.emplace(model::kSharingKeyAnnotation, "k");
  service.load_balancer_ip = vip.ToString();
  service.ports[0].port = port;
  return service;
}

// Events about a Service since `from`: "reason: message".
inline std::vector<std::string> EventsOf(const World& world, const std::string& service,
                                         absl::Time from = absl::InfinitePast()) {
  std::vector<std::string> found;
  const absl::Time wall_from = from + (world.loop.WallNow() - world.Now());
  for (const FakeCluster::Event& e : world.cluster.events()) {
    if (e.at < wall_from || e.record.object != model::ObjectId{"default", service}) continue;
    found.push_back(absl::StrCat(e.record.reason, ": ", e.record.message));
  }
  return found;
}

}  // namespace berth::system

#endif  // BERTH_TESTS_SYSTEM_STORIES_H_
