// SPDX-License-Identifier: Apache-2.0
// How a Service gets its address, and that a cluster at rest is at rest.
#include <catch2/catch.hpp>

#include "tests/system/world.h"

namespace berth::system {
namespace {

TEST_CASE("a Service gets the lowest free address, and exactly one node answers for it", "[system]") {
  World world;
  world.AddNodes(3);
  world.AddPool("edge", "192.168.50.100-192.168.50.110");
  world.StartAll();
  world.AddService("web");
  REQUIRE(world.RunUntil([&] { return !world.AddressesOf("web").empty(); }, absl::Seconds(2)));
  const IpAddr vip = Ip("192.168.50.100");
  CHECK(world.AddressOf("web") == vip);
  REQUIRE(world.RunUntil([&] { return !world.HolderOf(vip).empty(); }, absl::Seconds(1)));
  const std::string holder = world.HolderOf(vip);
  world.client.Ask(vip);
  world.Run(absl::Milliseconds(10));
  REQUIRE(world.client.queries(vip).back().answers.size() == 1);
  CHECK(world.client.queries(vip).back().answers.front().second == world.NodeNamed(holder).mac);
  CHECK(world.NodeNamed(holder).kernel.fake().IsLocal(vip));
  CHECK(world.GratuitousSince(absl::InfinitePast(), vip) >= 2);
}

TEST_CASE("a cluster at rest writes nothing, pushes nothing and announces nothing for a minute", "[system]") {
  World world;
  world.AddNodes(3);
  world.AddPool("edge", "192.168.50.100-192.168.50.110");
  world.StartAll();
  for (const char* name : {"a", "b", "c"}) world.AddService(name);
  world.Run(absl::Seconds(15));
  CHECK(world.Allocations().size() == 3);
  CHECK(world.WhatMoved(absl::Seconds(60)) == "");
}

}  // namespace
}  // namespace berth::system
