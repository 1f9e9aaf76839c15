// SPDX-License-Identifier: Apache-2.0
#include <algorithm>
#include <catch2/catch.hpp>

#include "agent/effect/kernel/linux_kernel.h"
#include "tests/net/kernel/lab.h"

namespace berth::agent {

TEST_CASE("the first state shows links, addresses and gateways before Start returns", "[net]") {
  Lab lab;
  lab.Node(
      "ip route add default via 10.9.0.1 && ip route add default via 10.9.0.3 metric 500 && "
      "ip route add 10.79.0.0/16 via 10.9.0.1 table 77 && ip route add fd99::/64 via fd00::1 && "
      "ip route add 10.77.0.0/16 nexthop via 10.9.0.3 dev eth0 nexthop via 10.9.0.4 dev eth0 && "
      "ip route add 10.78.0.0/16 via inet6 fd00::9 dev eth0");
  LinuxKernel kernel(lab.loop());
  REQUIRE(kernel.Start(lab.observer()).ok());
  REQUIRE(lab.observer().states == 1);
  const Link* eth0 = lab.Link("eth0");
  REQUIRE(eth0 != nullptr);
  CHECK(eth0->mac == *MacAddr::Parse("02:00:00:00:00:02"));
  CHECK(eth0->up);
  CHECK(eth0->carrier);
  CHECK(eth0->ethernet);
  CHECK_FALSE(eth0->loopback);
  CHECK(eth0->master == 0);
  CHECK(lab.Has("eth0", "10.9.0.2/24"));
  CHECK(lab.Has("eth0", "fd00::2/64"));
  CHECK(std::none_of(eth0->addresses.begin(), eth0->addresses.end(), [](const LinkAddress& a) { return a.ours; }));
  CHECK(eth0->gateways ==
        std::vector<IpAddr>{Ip("10.9.0.1"), Ip("10.9.0.3"), Ip("10.9.0.4"), Ip("fd00::1"), Ip("fd00::9")});
  // Each once, in order, though of several tables and metrics there are more.
  std::vector<std::string> routes;
  for (const Cidr& c : eth0->routes) routes.push_back(c.ToString());
  CHECK(routes == std::vector<std::string>{"0.0.0.0/0", "10.77.0.0/16", "10.78.0.0/16", "fd99::/64"});
  const Link* lo = lab.Link("lo");
  REQUIRE(lo != nullptr);
  CHECK(lo->loopback);
  CHECK_FALSE(lo->ethernet);
  CHECK(lab.observer().state->Find(eth0->index) == eth0);
  CHECK(lab.observer().state->Find(12345) == nullptr);
}

TEST_CASE("of two links with the same destination the one with the lower metric has it", "[net]") {
  Lab lab;
  lab.Node(
      "ip link add eth1 type veth peer name eth1p && ip link set eth1 up && ip link set eth1p up && "
      "ip addr add 10.10.0.2/24 dev eth1 && ip route add default via 10.9.0.1 metric 200 && "
      "ip route add default via 10.10.0.1 metric 100");
  LinuxKernel kernel(lab.loop());
  REQUIRE(kernel.Start(lab.observer()).ok());
  CHECK(lab.Link("eth0")->routes.empty());
  CHECK(lab.Link("eth1")->routes == std::vector<Cidr>{*Cidr::Parse("0.0.0.0/0")});
  lab.Node("ip route del default via 10.10.0.1");
  CHECK(lab.Await([&] { return lab.Link("eth0")->routes == std::vector<Cidr>{*Cidr::Parse("0.0.0.0/0")}; }));
  CHECK(lab.Link("eth1")->routes.empty());
}

TEST_CASE("links coming, going, losing carrier and changing are told without being asked", "[net]") {
  Lab lab;
  LinuxKernel kernel(lab.loop());
  REQUIRE(kernel.Start(lab.observer()).ok());

  lab.Node("ip link set eth0 down");
  CHECK(lab.Await([&] { return !lab.Link("eth0")->up && !lab.Link("eth0")->carrier; }));
  lab.Node("ip link set eth0 up");
  CHECK(lab.Await([&] { return lab.Link("eth0")->up && lab.Link("eth0")->carrier; }));
  lab.Peer("ip link set p0 down");
  CHECK(lab.Await([&] { return lab.Link("eth0")->up && !lab.Link("eth0")->carrier; }));
  lab.Peer("ip link set p0 up");
  CHECK(lab.Await([&] { return lab.Link("eth0")->carrier; }));

  lab.Node("ip link add br0 type bridge && ip link set eth0 master br0");
  CHECK(lab.Await([&] { return lab.Link("br0") != nullptr && lab.Link("eth0")->master == lab.Link("br0")->index; }));
  // A port that leaves a bridge is announced as a deleted link of family bridge.
  lab.Node("ip link set eth0 nomaster");
  CHECK(lab.Await([&] { return lab.Link("eth0") != nullptr && lab.Link("eth0")->master == 0; }));
  lab.Node("ip link set eth0 address 02:00:00:00:00:09");
  CHECK(lab.Await([&] { return lab.Link("eth0")->mac == *MacAddr::Parse("02:00:00:00:00:09"); }));
  lab.Node("ip link del br0");
  CHECK(lab.Await([&] { return lab.Link("br0") == nullptr; }));
  lab.Node("ip link set eth0 down && ip link set eth0 name lan0");
  CHECK(lab.Await([&] { return lab.Link("eth0") == nullptr && lab.Link("lan0") != nullptr; }));
  lab.Node("ip link set lan0 arp off");
  CHECK(lab.Await([&] { return !lab.Link("lan0")->ethernet; }));
  lab.Node("ip link del lan0");
  CHECK(lab.Await([&] { return lab.Link("lan0") == nullptr; }));
}

TEST_CASE("addresses and gateways coming and going are told without being asked", "[net]") {
  Lab lab;
  LinuxKernel kernel(lab.loop());
  REQUIRE(kernel.Start(lab.observer()).ok());
  lab.Node("ip addr add 10.9.0.7/24 dev eth0");
  CHECK(lab.Await([&] { return lab.Has("eth0", "10.9.0.7/24"); }));
  lab.Node("ip addr del 10.9.0.7/24 dev eth0");
  CHECK(lab.Await([&] { return !lab.Has("eth0", "10.9.0.7/24"); }));
  lab.Node("ip addr add fd00::7/64 dev eth0 nodad");
  CHECK(lab.Await([&] { return lab.Has("eth0", "fd00::7/64"); }));

  const auto has_gateway = [&] {
    const auto& gateways = lab.Link("eth0")->gateways;
    return std::find(gateways.begin(), gateways.end(), Ip("10.9.0.1")) != gateways.end();
  };
  lab.Node("ip route add default via 10.9.0.1");
  CHECK(lab.Await(has_gateway));
  lab.Node("ip route del default");
  CHECK(lab.Await([&] { return !has_gateway(); }));
  // The kernel says nothing of routes that go down with their link.
  lab.Node("ip route add default via 10.9.0.1");
  REQUIRE(lab.Await(has_gateway));
  lab.Node("ip link set eth0 down");
  CHECK(lab.Await([&] { return !has_gateway(); }));
}

TEST_CASE("after lost events the state is right all the same", "[net]") {
  Lab lab;
  lab.Node("ip link add many type bridge");
  LinuxKernel kernel(lab.loop(), {.event_buffer_bytes = 2304});
  REQUIRE(kernel.Start(lab.observer()).ok());
  lab.Node("for i in $(seq 1 200); do echo addr add 10.20.0.$i/32 dev many; done | ip -batch -");
  CHECK(lab.Await([&] { return lab.Link("many")->addresses.size() == 200; }));
  CHECK(kernel.resyncs() > 0);
  // And goes on by events.
  lab.Node("ip addr del 10.20.0.5/32 dev many");
  CHECK(lab.Await([&] { return lab.Link("many")->addresses.size() == 199; }));
  lab.Node("ip addr flush dev many");
  CHECK(lab.Await([&] { return lab.Link("many")->addresses.empty(); }));
}

TEST_CASE("many changes in a row make few states, the last of which is right", "[net]") {
  Lab lab;
  lab.Node("ip link add many type bridge");
  LinuxKernel kernel(lab.loop());
  REQUIRE(kernel.Start(lab.observer()).ok());
  lab.Node("for i in $(seq 1 2000); do echo addr add 10.20.$((i / 250)).$((i % 250))/32 dev many; done | ip -batch -");
  CHECK(lab.Await([&] { return lab.Link("many")->addresses.size() == 2000; }));
  CHECK(lab.observer().states < 20);
  const int states = lab.observer().states;
  lab.Settle();
  CHECK(lab.observer().states == states);  // no state that equals the one before
}

}  // namespace berth::agent
