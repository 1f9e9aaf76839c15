// SPDX-License-Identifier: Apache-2.0
// What the other end of the wire hears. Every promise of silence is followed by the same question without our rules.
#include <arpa/inet.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <catch2/catch.hpp>

#include "agent/effect/kernel/linux_kernel.h"
#include "tests/net/kernel/lab.h"
#include "tests/net/kernel/wire.h"

namespace berth::agent {
namespace {

const IpAddr kVip = Ip("10.9.0.50");
const IpAddr kVip6 = Ip("fd00::50");
const IpAddr kOwn = Ip("10.9.0.2");
const IpAddr kOwn6 = Ip("fd00::2");

class SocketAddress {
 public:
  SocketAddress(const IpAddr& address, std::uint16_t port) {
    const std::string bytes = address.ToBytes();
    if (address.is_v4()) {
      four_.sin_family = AF_INET;
      four_.sin_port = htons(port);
      bytes.copy(reinterpret_cast<char*>(&four_.sin_addr), bytes.size());
    } else {
      six_.sin6_family = AF_INET6;
      six_.sin6_port = htons(port);
      bytes.copy(reinterpret_cast<char*>(&six_.sin6_addr), bytes.size());
    }
  }
  const sockaddr* get() const {
    return four_.sin_family == AF_INET ? reinterpret_cast<const sockaddr*>(&four_)
                                       : reinterpret_cast<const sockaddr*>(&six_);
  }
  socklen_t size() const { return four_.sin_family == AF_INET ? sizeof(four_) : sizeof(six_); }

 private:
  sockaddr_in four_{};
  sockaddr_in6 six_{};
};

// Makes the node's kernel resolve `target` on behalf of `source`.
void SendFrom(const IpAddr& source, const IpAddr& target) {
  const int fd = socket(source.is_v4() ? AF_INET : AF_INET6, SOCK_DGRAM | SOCK_CLOEXEC, 0);
  REQUIRE(fd >= 0);
  const SocketAddress from(source, 0), to(target, 9);
  REQUIRE(bind(fd, from.get(), from.size()) == 0);
  REQUIRE(sendto(fd, "x", 1, 0, to.get(), to.size()) == 1);
  close(fd);
}

// The sender that the node names when it asks for `target`; nullopt when it asks for `control` without having done so.
std::optional<IpAddr> SenderAskingFor(Wire& wire, const IpAddr& target, const IpAddr& control) {
  std::optional<IpAddr> sender;
  while (const std::optional<ArpSeen> seen = wire.NextArp()) {
    if (!seen->request) continue;
    if (seen->target == target) sender = seen->sender;
    if (seen->target == control) return sender;
  }
  FAIL("the control question was not asked");
  return std::nullopt;
}

// The source that the node solicits `target` from; nullopt when it solicits `control` without having done so.
std::optional<IpAddr> SourceSoliciting(Wire& wire, const IpAddr& target, const IpAddr& control) {
  std::optional<IpAddr> source;
  while (const std::optional<NdpSeen> seen = wire.NextNdp()) {
    if (!seen->solicitation) continue;
    CHECK(seen->sound);
    if (seen->target == target) source = seen->source;
    if (seen->target == control) return source;
  }
  FAIL("the control question was not asked");
  return std::nullopt;
}

struct Node {
  Lab lab;
  LinuxKernel kernel{lab.loop()};
  Wire wire{lab};
  Node() { REQUIRE(kernel.Start(lab.observer()).ok()); }
  int Vip() {
    const auto vip = kernel.EnsureVipInterface("auto");
    REQUIRE(vip.ok());
    return (*vip)->index;
  }
  void Apply(const Silence& silence) {
    const absl::Status status = kernel.ApplySilence(silence);
    CAPTURE(status.ToString());
    REQUIRE(status.ok());
  }
};

}  // namespace

TEST_CASE("the kernel does not answer ARP for a silenced address and does for the node's own", "[net]") {
  const bool on_wire_interface = GENERATE(false, true);
  CAPTURE(on_wire_interface);
  Node node;
  const int ifindex = on_wire_interface ? node.lab.Link("eth0")->index : node.Vip();
  node.Apply({.addresses = {kVip}, .rewrite = {{"eth0", kOwn}}});
  REQUIRE(node.kernel.AddAddress(ifindex, kVip).ok());
  CHECK_FALSE(node.wire.AnswersArp(kVip, kOwn));

  node.lab.Node("nft delete table arp berth");
  CHECK(node.wire.AnswersArp(kVip, kOwn));
}

TEST_CASE("an address taken out of the silence is answered again", "[net]") {
  Node node;
  node.Apply({.addresses = {kVip, Ip("10.9.0.51")}, .rewrite = {}});
  REQUIRE(node.kernel.AddAddress(node.Vip(), kVip).ok());
  CHECK_FALSE(node.wire.AnswersArp(kVip, kOwn));
  node.Apply({.addresses = {Ip("10.9.0.51")}, .rewrite = {}});
  CHECK(node.wire.AnswersArp(kVip, kOwn));
  node.Apply({.addresses = {kVip}, .rewrite = {}});
  CHECK_FALSE(node.wire.AnswersArp(kVip, kOwn));
}

TEST_CASE("the silence outlives the process that made it", "[net]") {
  Node node;
  const int ifindex = node.Vip();
  {
    LinuxKernel earlier(node.lab.loop());
    REQUIRE(earlier.ApplySilence({.addresses = {kVip}, .rewrite = {}}).ok());
    REQUIRE(earlier.AddAddress(ifindex, kVip).ok());
  }
  CHECK_FALSE(node.wire.AnswersArp(kVip, kOwn));
}

TEST_CASE("the kernel does not answer solicitations for a silenced IPv6 address", "[net]") {
  Node node;
  const int eth0 = node.lab.Link("eth0")->index;
  node.Apply({.addresses = {kVip6}, .rewrite = {}});
  REQUIRE(node.kernel.AddAddress(eth0, kVip6).ok());
  CHECK_FALSE(node.wire.AnswersSolicitation(kVip6, kOwn6));

  node.lab.Node("nft delete table ip6 berth");
  CHECK(node.wire.AnswersSolicitation(kVip6, kOwn6));
}

TEST_CASE("the kernel asks in the node's own name when it sends from a silenced address", "[net]") {
  Node node;
  REQUIRE(node.kernel.AddAddress(node.Vip(), kVip).ok());
  node.Apply({.addresses = {kVip}, .rewrite = {{"eth0", kOwn}}});
  SendFrom(kVip, Ip("10.9.0.77"));
  SendFrom(kOwn, Ip("10.9.0.78"));
  CHECK(SenderAskingFor(node.wire, Ip("10.9.0.77"), Ip("10.9.0.78")) == kOwn);

  node.lab.Node("nft delete table arp berth");
  SendFrom(kVip, Ip("10.9.0.79"));
  SendFrom(kOwn, Ip("10.9.0.80"));
  CHECK(SenderAskingFor(node.wire, Ip("10.9.0.79"), Ip("10.9.0.80")) == kVip);
}

TEST_CASE("the kernel solicits in the node's own name when it sends from a silenced IPv6 address", "[net]") {
  Node node;
  REQUIRE(node.kernel.AddAddress(node.lab.Link("eth0")->index, kVip6).ok());
  node.Apply({.addresses = {kVip6}, .rewrite = {}, .rewrite6 = {{"eth0", kOwn6}}});
  SendFrom(kVip6, Ip("fd00::77"));
  SendFrom(kOwn6, Ip("fd00::78"));
  CHECK(SourceSoliciting(node.wire, Ip("fd00::77"), Ip("fd00::78")) == kOwn6);

  node.lab.Node("nft delete table ip6 berth");
  SendFrom(kVip6, Ip("fd00::79"));
  SendFrom(kOwn6, Ip("fd00::7a"));
  CHECK(SourceSoliciting(node.wire, Ip("fd00::79"), Ip("fd00::7a")) == kVip6);
}

TEST_CASE("where the node has no IPv6 address of its own the kernel does not solicit from a silenced one", "[net]") {
  Node node;
  REQUIRE(node.kernel.AddAddress(node.lab.Link("eth0")->index, kVip6).ok());
  node.Apply({.addresses = {kVip6}, .rewrite = {}, .rewrite6 = {{"eth1", kOwn6}}});
  SendFrom(kVip6, Ip("fd00::77"));
  SendFrom(kOwn6, Ip("fd00::78"));
  CHECK(SourceSoliciting(node.wire, Ip("fd00::77"), Ip("fd00::78")) == std::nullopt);

  // The rewrite comes in by a change of one chain only.
  node.Apply({.addresses = {kVip6}, .rewrite = {}, .rewrite6 = {{"eth0", kOwn6}}});
  SendFrom(kVip6, Ip("fd00::79"));
  SendFrom(kOwn6, Ip("fd00::7a"));
  CHECK(SourceSoliciting(node.wire, Ip("fd00::79"), Ip("fd00::7a")) == kOwn6);
}

TEST_CASE("making an IPv6 address local does not have the kernel ask whether it is free", "[net]") {
  Node node;
  const IpAddr loud = Ip("fd00::51");
  node.lab.Node("echo 1 > /proc/sys/net/ipv6/conf/eth0/accept_dad");
  REQUIRE(node.kernel.AddAddress(node.lab.Link("eth0")->index, kVip6).ok());  // no silence needed for that
  node.lab.Node("ip addr add " + loud.ToString() + "/128 dev eth0");          // not ours: the control
  CHECK(SourceSoliciting(node.wire, kVip6, loud) == std::nullopt);
}

TEST_CASE("whoever makes a silenced IPv6 address local, the kernel does not ask whether it is free", "[net]") {
  Node node;
  const IpAddr loud = Ip("fd00::51");
  node.lab.Node("echo 1 > /proc/sys/net/ipv6/conf/eth0/accept_dad");
  node.Apply({.addresses = {kVip6}, .rewrite = {}});
  const auto add = [&](const std::string& address) { node.lab.Node("ip addr add " + address + "/128 dev eth0"); };
  add(kVip6.ToString());
  add(loud.ToString());
  CHECK(SourceSoliciting(node.wire, kVip6, loud) == std::nullopt);

  node.lab.Node("nft delete table ip6 berth");
  node.lab.Node("ip addr del " + kVip6.ToString() + "/128 dev eth0");
  add(kVip6.ToString());
  CHECK(SourceSoliciting(node.wire, kVip6, kVip6) == IpAddr::V6(0));
}

TEST_CASE("where the node has no address of its own the kernel does not ask from a silenced one", "[net]") {
  Node node;
  REQUIRE(node.kernel.AddAddress(node.Vip(), kVip).ok());
  node.Apply({.addresses = {kVip}, .rewrite = {{"eth1", kOwn}}});
  SendFrom(kVip, Ip("10.9.0.77"));
  SendFrom(kOwn, Ip("10.9.0.78"));
  CHECK(SenderAskingFor(node.wire, Ip("10.9.0.77"), Ip("10.9.0.78")) == std::nullopt);

  // The rewrite comes in by a change of one chain only.
  node.Apply({.addresses = {kVip}, .rewrite = {{"eth0", kOwn}}});
  SendFrom(kVip, Ip("10.9.0.79"));
  SendFrom(kOwn, Ip("10.9.0.80"));
  CHECK(SenderAskingFor(node.wire, Ip("10.9.0.79"), Ip("10.9.0.80")) == kOwn);
}

TEST_CASE("the kernel does not announce a silenced address by itself", "[net]") {
  Node node;
  const int eth0 = node.lab.Link("eth0")->index;
  node.lab.Node("echo 1 > /proc/sys/net/ipv4/conf/eth0/arp_notify");
  node.Apply({.addresses = {kVip}, .rewrite = {{"eth0", kOwn}}});
  REQUIRE(node.kernel.AddAddress(eth0, kVip).ok());
  const IpAddr loud = Ip("10.9.0.51");
  REQUIRE(node.kernel.AddAddress(eth0, loud).ok());  // not silenced: the control
  node.lab.Node("ip link set eth0 down && ip link set eth0 up");
  CHECK(SenderAskingFor(node.wire, kVip, loud) == std::nullopt);
}

TEST_CASE("resolving other addresses and being resolved go on under silence", "[net]") {
  Node node;
  REQUIRE(node.kernel.AddAddress(node.Vip(), kVip).ok());
  node.Apply({.addresses = {kVip}, .rewrite = {{"eth0", kOwn}}});
  SendFrom(kVip, Ip("10.9.0.1"));
  CHECK(node.lab.Await(
      [&] { return node.lab.Read("ip neigh show 10.9.0.1").find("02:00:00:00:00:01") != std::string::npos; }));
}

TEST_CASE("ten thousand addresses are silenced at once, and one more costs little", "[net]") {
  Node node;
  Silence silence;
  for (std::uint32_t i = 0; i < 10000; ++i) silence.addresses.insert(IpAddr::V4(0x0a140000 + i));
  for (std::uint32_t i = 0; i < 10000; ++i) silence.addresses.insert(IpAddr::V6(absl::MakeUint128(0xfd01ULL << 48, i)));
  const absl::Time start = node.lab.loop().Now();
  node.Apply(silence);
  const absl::Duration whole = node.lab.loop().Now() - start;
  absl::Duration best = absl::InfiniteDuration();
  for (std::uint32_t i = 0; i < 100; ++i) {
    silence.addresses.insert(IpAddr::V4(0x0a150000 + i));
    const absl::Time begin = node.lab.loop().Now();
    node.Apply(silence);
    best = std::min(best, node.lab.loop().Now() - begin);
  }
  CAPTURE(absl::FormatDuration(best), absl::FormatDuration(whole));
  CHECK(best * 3 < whole);  // the best of many, for machines are busy
  CHECK(node.lab.Read("nft list set arp berth addresses").find("10.21.0.99") != std::string::npos);
  CHECK(node.lab.Read("nft list set ip6 berth addresses").find("fd01::270f") != std::string::npos);
  node.lab.Settle();
  CHECK(node.lab.observer().disturbed == 0);
}

}  // namespace berth::agent
