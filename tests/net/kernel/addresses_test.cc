// SPDX-License-Identifier: Apache-2.0
#include <netinet/in.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <catch2/catch.hpp>
#include <cstdlib>
#include <optional>
#include <string>
#include <thread>
#include <vector>

#include "agent/effect/kernel/linux_kernel.h"
#include "agent/effect/kernel/netlink/netlink_watch.h"
#include "tests/fakes/manual_event_loop.h"
#include "tests/net/kernel/lab.h"

namespace berth::agent {
namespace {

bool IsLocal(Lab& lab, const std::string& address) {
  return lab.Read("ip route get " + address + " 2>&1").find("local " + address) == 0;
}

// Whether the node's own datagrams to `address` find a way.
bool Reaches(const IpAddr& address) {
  const int fd = socket(AF_INET6, SOCK_DGRAM | SOCK_CLOEXEC, 0);
  REQUIRE(fd >= 0);
  sockaddr_in6 to{};
  to.sin6_family = AF_INET6;
  to.sin6_port = htons(9);
  const std::string bytes = address.ToBytes();
  std::copy(bytes.begin(), bytes.end(), reinterpret_cast<char*>(&to.sin6_addr));
  const bool reaches = connect(fd, reinterpret_cast<const sockaddr*>(&to), sizeof(to)) == 0;
  close(fd);
  return reaches;
}

struct Node {
  Lab lab;
  LinuxKernel kernel{lab.loop()};
  Node() { REQUIRE(kernel.Start(lab.observer()).ok()); }
};

}  // namespace

TEST_CASE("our own interface is made, raised and found again", "[net]") {
  Node node;
  const auto vip = node.kernel.EnsureVipInterface("auto");
  CAPTURE(vip.status().ToString());
  REQUIRE(vip.ok());
  REQUIRE(vip->has_value());
  CHECK((*vip)->name == "berth0");
  CHECK((*vip)->own);
  CHECK((*vip)->description != "");
  CHECK(node.lab.Await([&] { return node.lab.Link("berth0") != nullptr && node.lab.Link("berth0")->up; }));
  CHECK(node.lab.Link("berth0")->addresses.empty());  // no link-local address either

  REQUIRE(node.kernel.AddAddress((*vip)->index, Ip("10.9.0.50")).ok());
  LinuxKernel later(node.lab.loop());
  const auto again = later.EnsureVipInterface("auto");
  REQUIRE(again.ok());
  CHECK((*again)->index == (*vip)->index);
  CHECK((*again)->own);
  CHECK((*again)->description.find("earlier run") != std::string::npos);
  CHECK(IsLocal(node.lab, "10.9.0.50"));
}

TEST_CASE("kube-proxy's interface goes before our own, also when it comes later", "[net]") {
  Node node;
  CHECK((*node.kernel.EnsureVipInterface("auto"))->name == "berth0");
  node.lab.Node("ip link add kube-ipvs0 type bridge");
  const auto vip = node.kernel.EnsureVipInterface("auto");
  REQUIRE(vip.ok());
  CHECK((*vip)->name == "kube-ipvs0");
  CHECK_FALSE((*vip)->own);
  // Down, as kube-proxy leaves it: local all the same.
  REQUIRE(node.kernel.AddAddress((*vip)->index, Ip("10.9.0.50")).ok());
  REQUIRE(node.kernel.AddAddress((*vip)->index, Ip("fd00::50")).ok());
  CHECK(IsLocal(node.lab, "10.9.0.50"));
  CHECK(node.lab.Await([&] { return IsLocal(node.lab, "fd00::50"); }));
}

TEST_CASE("a named interface is used, an absent one is an error, none is none", "[net]") {
  Node node;
  const auto eth0 = node.kernel.EnsureVipInterface("eth0");
  REQUIRE(eth0.ok());
  CHECK((*eth0)->index == node.lab.Link("eth0")->index);
  CHECK_FALSE((*eth0)->own);
  const auto absent = node.kernel.EnsureVipInterface("eth9");
  CHECK(absent.status().code() == absl::StatusCode::kNotFound);
  CHECK(std::string(absent.status().message()).find("eth9") != std::string::npos);
  const auto none = node.kernel.EnsureVipInterface("none");
  REQUIRE(none.ok());
  CHECK_FALSE(none->has_value());
  CHECK(node.lab.Read("ip -br link show berth0 2>/dev/null").empty());
}

TEST_CASE("an interface of another kind that bears our name is not taken for ours", "[net]") {
  Node node;
  node.lab.Node("ip link add berth0 type veth peer name other0");
  const auto vip = node.kernel.EnsureVipInterface("auto");
  CHECK(vip.status().code() == absl::StatusCode::kFailedPrecondition);
  CHECK(node.kernel.RemoveEverything().ok());
  CHECK_FALSE(node.lab.Read("ip -br link show berth0").empty());
}

TEST_CASE("an address added is marked, local, single, and told by event", "[net]") {
  Node node;
  const int index = (*node.kernel.EnsureVipInterface("auto"))->index;
  for (const char* text : {"10.9.0.50", "fd00::50"}) {
    CAPTURE(text);
    REQUIRE(node.kernel.AddAddress(index, Ip(text)).ok());
    CHECK(node.kernel.AddAddress(index, Ip(text)).ok());
    CHECK(node.lab.Await([&] { return IsLocal(node.lab, text); }));
  }
  const std::vector<LinkAddress> both = {{.cidr = *Cidr::Parse("10.9.0.50/32"), .ours = true},
                                         {.cidr = *Cidr::Parse("fd00::50/128"), .ours = true, .delivered = true}};
  CHECK(node.lab.Await([&] { return node.lab.Link("berth0") && node.lab.Link("berth0")->addresses == both; }));
  // The kernel never chooses it for the node's own connections; without scope link it might.
  CHECK(node.lab.Read("ip -4 addr show dev berth0").find("scope link") != std::string::npos);
  CHECK(node.lab.Read("ip -6 addr show dev berth0").find("tentative") == std::string::npos);

  for (const char* text : {"10.9.0.50", "fd00::50"}) {
    CHECK(node.kernel.RemoveAddress(index, Ip(text)).ok());
    CHECK(node.kernel.RemoveAddress(index, Ip(text)).ok());
    CHECK_FALSE(IsLocal(node.lab, text));
  }
  CHECK(node.lab.Await([&] { return node.lab.Link("berth0")->addresses.empty(); }));
}

TEST_CASE("an IPv6 address is said to be taken in once it is, which is after it was added", "[net]") {
  Node node;
  const int index = (*node.kernel.EnsureVipInterface("auto"))->index;
  const IpAddr vip = Ip("2001:db8::50");  // no other route leads to it
  for (int i = 0; i < 50; ++i) {
    REQUIRE(node.kernel.AddAddress(index, vip).ok());
    bool reached = false, told = false;
    node.kernel.AwaitDelivery(vip, [&](const absl::Status& status) {
      told = status.ok();
      reached = Reaches(vip);
    });
    CHECK(node.lab.Await([&] { return told; }));
    REQUIRE(reached);
    told = false;
    node.kernel.AwaitDelivery(vip, [&](const absl::Status& status) { told = status.ok(); });
    CHECK(told);  // at once
    REQUIRE(node.kernel.RemoveAddress(index, vip).ok());
  }
}

TEST_CASE("an IPv6 address that was there before the agent is taken in, one removed is not any more", "[net]") {
  Node node;
  const int index = (*node.kernel.EnsureVipInterface("auto"))->index;
  const IpAddr vip = Ip("2001:db8::50");
  REQUIRE(node.kernel.AddAddress(index, vip).ok());
  REQUIRE(node.lab.Await([&] { return Reaches(vip); }));
  ManualEventLoop loop;
  std::vector<absl::Status> told;
  const auto note = [&](const absl::Status& status) { told.push_back(status); };
  std::optional<NetlinkWatch> watch;
  NetlinkWatch& later = watch.emplace(loop, 1 << 20);
  REQUIRE(later.Open().ok());
  later.AwaitDelivery(vip, note);
  REQUIRE(told == std::vector<absl::Status>{absl::OkStatus()});

  REQUIRE(node.kernel.RemoveAddress(index, vip).ok());
  REQUIRE(later.Refresh().ok());
  later.AwaitDelivery(vip, note);
  later.AwaitDelivery(vip, note);
  loop.Advance(NetlinkWatch::kPatience - absl::Milliseconds(1));
  REQUIRE(told.size() == 1);
  loop.Advance(absl::Milliseconds(1));
  REQUIRE(told.size() == 3);
  for (const absl::Status& status : {told[1], told[2]}) {
    CHECK(absl::IsDeadlineExceeded(status));
    CHECK(std::string(status.message()).find("2001:db8::50") != std::string::npos);
  }

  // What no event told is read before patience ends.
  later.AwaitDelivery(vip, note);
  REQUIRE(node.kernel.AddAddress(index, vip).ok());
  REQUIRE(node.lab.Await([&] { return Reaches(vip); }));
  loop.Advance(NetlinkWatch::kPatience);
  REQUIRE(told.size() == 4);
  CHECK(told[3].ok());

  later.AwaitDelivery(Ip("2001:db8::51"), note);
  watch.reset();
  loop.Advance(NetlinkWatch::kPatience);
  CHECK(told.size() == 4);
}

TEST_CASE("IPv6 addresses that an interface loses as it goes down can be added anew at once", "[net]") {
  Node node;
  const int index = (*node.kernel.EnsureVipInterface("auto"))->index;
  constexpr std::size_t kCount = 500;
  std::size_t told = 0;
  const auto count = [&](const absl::Status& status) { told += status.ok() ? 1 : 10000; };
  const auto add_all = [&] {
    told = 0;
    for (std::size_t i = 0; i < kCount; ++i) {
      const IpAddr vip = Ip(("2001:db8::1:" + std::to_string(i)).c_str());
      REQUIRE(node.kernel.AddAddress(index, vip).ok());
      node.kernel.AwaitDelivery(vip, count);
    }
    REQUIRE(node.lab.Await([&] { return told >= kCount; }));
    CHECK(told == kCount);
  };
  // As far as the state tells, which follows what is delivered after a while.
  const auto all_there = [&] {
    const Link* link = node.lab.Link("berth0");
    return link != nullptr && link->addresses.size() >= kCount &&
           std::all_of(link->addresses.begin(), link->addresses.end(), [](const auto& a) { return a.delivered; });
  };
  add_all();
  REQUIRE(node.lab.Await(all_there));
  // The kernel drops all the routes first and then one address after the other: asked at the first word of it.
  std::jthread down([] { (void)std::system("ip link set berth0 down && ip link set berth0 up"); });
  const bool seen = node.lab.Await([&] { return !all_there(); });
  if (seen) add_all();
  down.join();
  CHECK(seen);
}

TEST_CASE("an address can be removed as soon as it was added", "[net]") {
  Node node;
  const int index = (*node.kernel.EnsureVipInterface("auto"))->index;
  for (int i = 0; i < 50; ++i) {
    REQUIRE(node.kernel.AddAddress(index, Ip("fd00::50")).ok());
    REQUIRE(node.kernel.RemoveAddress(index, Ip("fd00::50")).ok());
    REQUIRE(node.lab.Read("ip -6 addr show dev berth0").empty());
  }
  node.lab.Settle();
  CHECK(node.lab.Link("berth0")->addresses.empty());
}

TEST_CASE("somebody else's address is left alone", "[net]") {
  Node node;
  node.lab.Node("ip link add kube-ipvs0 type bridge && ip addr add 10.9.0.50/32 dev kube-ipvs0");
  const int ipvs = (*node.kernel.EnsureVipInterface("auto"))->index;
  const int eth0 = node.lab.Link("eth0")->index;
  // There already, whatever its prefix length: success, and no second one.
  CHECK(node.kernel.AddAddress(ipvs, Ip("10.9.0.50")).ok());
  CHECK(node.kernel.AddAddress(eth0, Ip("10.9.0.2")).ok());
  CHECK(node.lab.Read("ip addr show dev eth0").find("10.9.0.2/32") == std::string::npos);

  CHECK(node.kernel.RemoveAddress(ipvs, Ip("10.9.0.50")).code() == absl::StatusCode::kFailedPrecondition);
  CHECK(node.kernel.RemoveAddress(eth0, Ip("10.9.0.2")).code() == absl::StatusCode::kFailedPrecondition);
  CHECK(IsLocal(node.lab, "10.9.0.50"));
  CHECK(IsLocal(node.lab, "10.9.0.2"));
}

TEST_CASE("an address of an earlier run is known as ours and can be removed", "[net]") {
  Node node;
  node.lab.Node("ip link add kube-ipvs0 type bridge");
  const int index = (*node.kernel.EnsureVipInterface("auto"))->index;
  REQUIRE(node.kernel.AddAddress(index, Ip("fd00::50")).ok());
  REQUIRE(node.kernel.AddAddress(index, Ip("10.9.0.50")).ok());
  LinuxKernel later(node.lab.loop());
  RecordingObserver observer;
  REQUIRE(later.Start(observer).ok());
  for (const LinkAddress& address : observer.state->Find("kube-ipvs0")->addresses) CHECK(address.ours);
  CHECK(later.RemoveAddress(index, Ip("fd00::50")).ok());
  CHECK(later.RemoveAddress(index, Ip("10.9.0.50")).ok());
  CHECK_FALSE(IsLocal(node.lab, "10.9.0.50"));
}

TEST_CASE("an address on an interface that does not exist is an error", "[net]") {
  Node node;
  CHECK(node.kernel.AddAddress(4711, Ip("10.9.0.50")).code() == absl::StatusCode::kNotFound);
  CHECK(node.kernel.RemoveAddress(4711, Ip("10.9.0.50")).ok());
}

TEST_CASE("five thousand addresses are added one by one and all arrive in the state", "[net]") {
  Node node;
  const int index = (*node.kernel.EnsureVipInterface("auto"))->index;
  constexpr std::uint32_t kCount = 5000;
  const absl::Time begin = node.lab.loop().Now();
  for (std::uint32_t i = 0; i < kCount; ++i) {
    REQUIRE(node.kernel.AddAddress(index, IpAddr::V4(0x0a140000 + i)).ok());
  }
  const absl::Duration took = node.lab.loop().Now() - begin;
  CAPTURE(absl::FormatDuration(took));
  CHECK(took < absl::Seconds(10));
  CHECK(node.lab.Await([&] { return node.lab.Link("berth0") && node.lab.Link("berth0")->addresses.size() == kCount; }));
  CHECK(node.kernel.resyncs() == 0);  // our own events are read as we go
  for (std::uint32_t i = 0; i < kCount; ++i) {
    REQUIRE(node.kernel.RemoveAddress(index, IpAddr::V4(0x0a140000 + i)).ok());
  }
  CHECK(node.lab.Await([&] { return node.lab.Link("berth0")->addresses.empty(); }));
}

TEST_CASE("cleaning up leaves nothing of ours and all of the others'", "[net]") {
  Node node;
  node.lab.Node(
      "ip link add kube-ipvs0 type bridge && ip addr add 10.9.0.50/32 dev kube-ipvs0 && nft add table ip other");
  const std::string before = node.lab.Read("ip -o addr; ip -o -br link; nft list ruleset");
  const int own = (*node.kernel.EnsureVipInterface("berth0"))->index;
  const int ipvs = (*node.kernel.EnsureVipInterface("auto"))->index;
  const int eth0 = node.lab.Link("eth0")->index;
  for (const int index : {own, ipvs, eth0}) {
    REQUIRE(node.kernel.AddAddress(index, Ip("10.9.0.51")).ok());
    REQUIRE(node.kernel.AddAddress(index, Ip("fd00::51")).ok());
  }
  REQUIRE(node.kernel.ApplySilence({.addresses = {Ip("10.9.0.51"), Ip("fd00::51")}, .rewrite = {}}).ok());
  CHECK(node.lab.Read("ip -o addr; ip -o -br link; nft list ruleset") != before);

  LinuxKernel cleaner(node.lab.loop());  // a process of its own, never started
  const absl::Status status = cleaner.RemoveEverything();
  CAPTURE(status.ToString());
  CHECK(status.ok());
  CHECK(node.lab.Read("ip -o addr; ip -o -br link; nft list ruleset") == before);
  CHECK(cleaner.RemoveEverything().ok());
}

}  // namespace berth::agent
