// SPDX-License-Identifier: Apache-2.0
#include <netinet/in.h>

#include <catch2/catch.hpp>

#include "absl/strings/str_cat.h"
#include "agent/diff/address_ops.h"
#include "agent/diff/guard.h"
#include "agent/diff/kernel_view.h"
#include "agent/diff/resolve.h"

namespace berth::agent {
namespace {

IpAddr Ip(const std::string& text) { return *IpAddr::Parse(text); }
LinkAddress Own(const std::string& cidr) { return {*Cidr::Parse(cidr), false}; }
LinkAddress Ours(const std::string& cidr) { return {*Cidr::Parse(cidr), true}; }

Link Make(int index, const std::string& name, std::vector<LinkAddress> addresses = {}) {
  Link link;
  link.index = index;
  link.name = name;
  link.mac = MacAddr({2, 0, 0, 0, 0, static_cast<std::uint8_t>(index)});
  link.up = link.carrier = true;
  link.addresses = std::move(addresses);
  return link;
}

Link Loopback() {
  Link lo = Make(1, "lo", {Own("127.0.0.1/8")});
  lo.loopback = true;
  lo.ethernet = false;
  return lo;
}

KernelState State(std::vector<Link> links) { return {std::move(links)}; }

std::variant<PortInterface, sync::Rejection> Resolve(const std::string& rule, const KernelState& state,
                                                     const std::string& address = "192.0.2.100") {
  return ResolveInterface(*sync::InterfaceRule::Parse(rule), Ip(address), state, LanInterfaces(state));
}

TEST_CASE("a rule names one usable interface, by index and MAC", "[unit]") {
  const auto found = Resolve("eth0", State({Loopback(), Make(2, "eth0")}));
  REQUIRE(std::holds_alternative<PortInterface>(found));
  CHECK(std::get<PortInterface>(found).index == 2);
  CHECK(std::get<PortInterface>(found).mac == MacAddr({2, 0, 0, 0, 0, 2}));
}

TEST_CASE("an interface that cannot be used is refused with what exists or what ails it", "[unit]") {
  Link down = Make(3, "down");
  down.up = false;
  Link unplugged = Make(4, "unplugged");
  unplugged.carrier = false;
  Link port = Make(5, "port");
  port.master = 6;
  Link tunnel = Make(7, "wg0");
  tunnel.ethernet = false;
  const KernelState state = State({Loopback(), Make(2, "eth0"), down, unplugged, port, Make(6, "br0"), tunnel});
  const auto [rule, code, words] = GENERATE(table<std::string, sync::RejectCode, std::string>({
      {"eth7", sync::RejectCode::kInterfaceMissing,
       "this node has no interface eth7 (it has br0, down, eth0, unplugged)"},
      {"wg0", sync::RejectCode::kInterfaceMissing, "no Ethernet interface"},
      {"auto", sync::RejectCode::kInterfaceMissing, "no interface whose subnet has 192.0.2.100"},
      {"down", sync::RejectCode::kInterfaceDown, "is down"},
      {"unplugged", sync::RejectCode::kInterfaceDown, "has no carrier"},
      {"port", sync::RejectCode::kInterfaceMissing, "a port of \"br0\""},
  }));
  CAPTURE(rule);
  const auto found = Resolve(rule, state);
  REQUIRE(std::holds_alternative<sync::Rejection>(found));
  CHECK(std::get<sync::Rejection>(found).code == code);
  CHECK(std::get<sync::Rejection>(found).message.find(words) != std::string::npos);
}

TEST_CASE("T125 neither a port of a bridge or bond nor what belongs to pods is meant by a pattern", "[unit]") {
  Link slave = Make(2, "eth0");
  slave.master = 4;
  Link port = Make(3, "eth2");
  port.master = 5;
  const KernelState state = State({Loopback(), slave, port, Make(4, "bond0", {Own("192.0.2.1/24")}), Make(5, "br0"),
                                   Make(6, "cali1"), Make(7, "kube-ipvs0"), Make(8, "berth0")});
  CHECK(std::get<PortInterface>(Resolve("regex:.*", state)).name == "bond0");
  CHECK(std::get<PortInterface>(Resolve("auto", state)).name == "bond0");
  CHECK(std::get<PortInterface>(Resolve("can_reach:192.0.2.9", state)).name == "bond0");
  CHECK(std::get<PortInterface>(Resolve("regex:(eth|br).*", state)).name == "br0");
  CHECK(std::holds_alternative<sync::Rejection>(Resolve("regex:eth.*|cali.*|kube.*|berth0|lo", state)));
  CHECK(std::get<sync::Rejection>(Resolve("kube-ipvs0", state)).code == sync::RejectCode::kInterfaceMissing);
}

TEST_CASE("silence covers kube-ipvs0, berth0 and what is marked, and nothing the node owns", "[unit]") {
  const Silence silence = SilenceFor(State({
      Loopback(),
      Make(2, "eth0", {Own("192.0.2.1/24"), Own("192.0.2.5/24"), Ours("192.0.2.20/32")}),
      Make(3, "kube-ipvs0", {Own("10.96.0.1/32"), Own("192.0.2.5/32"), Ours("192.0.2.21/32"), Own("fe80::1/64")}),
      Make(4, "berth0", {Ours("192.0.2.22/32"), Own("192.0.2.23/32"), Ours("2001:db8::1/128")}),
  }));
  CHECK(silence.addresses == std::set<IpAddr>{Ip("10.96.0.1"), Ip("192.0.2.20"), Ip("192.0.2.21"), Ip("192.0.2.22"),
                                              Ip("192.0.2.23"), Ip("2001:db8::1")});
}

TEST_CASE("the kernel's own questions bear each LAN interface's first own address", "[unit]") {
  Link port = Make(5, "port", {Own("192.0.2.9/24")});
  port.master = 6;
  const Silence silence = SilenceFor(State({
      Loopback(),
      Make(2, "eth0", {Ours("192.0.2.20/32"), Own("192.0.2.1/24"), Own("192.0.2.2/24")}),
      Make(3, "eth1", {Own("2001:db8::5/64")}),
      Make(4, "berth0", {Own("192.0.2.30/32")}),
      port,
  }));
  CHECK(silence.rewrite == std::map<std::string, IpAddr>{{"eth0", Ip("192.0.2.1")}});
}

TEST_CASE("the kernel's own solicitations bear an IPv6 address that is in use there, link-local first", "[unit]") {
  const auto tentative = [](const std::string& cidr) {
    LinkAddress address = Own(cidr);
    address.tentative = true;
    return address;
  };
  Link port = Make(9, "port", {Own("2001:db8::9/64"), Own("fe80::9/64")});
  port.master = 2;
  const Silence silence = SilenceFor(State({
      Loopback(),
      Make(2, "eth0", {Own("192.0.2.1/24"), Ours("2001:db8::20/128"), Own("2001:db8::2/64"), Own("fe80::2/64")}),
      Make(3, "eth1", {Own("2001:db8:1::3/128"), tentative("fe80::3/64")}),  // T123
      Make(4, "eth2", {Own("192.0.2.4/24"), tentative("2001:db8:2::4/64"), tentative("fe80::4/64")}),
      Make(5, "eth3", {Own("192.0.2.5/24"), Own("fe80::5/64")}),
      Make(6, "cali1", {Own("fe80::ecee:eeff:feee:eeee/64")}),
      Make(7, "berth0", {Ours("2001:db8::20/128"), Own("2001:db8::7/64")}),
      port,
  }));
  CHECK(silence.rewrite6 ==
        std::map<std::string, IpAddr>{{"eth0", Ip("fe80::2")}, {"eth1", Ip("2001:db8:1::3")}, {"eth3", Ip("fe80::5")}});
}

TEST_CASE("interfaces are told without loopback, ports, our own ones and our addresses", "[unit]") {
  Link port = Make(5, "port");
  port.master = 2;
  Link eth0 = Make(2, "eth0", {Own("192.0.2.1/24"), Ours("192.0.2.20/32")});
  eth0.gateways = {Ip("192.0.2.254")};
  for (int i = 0; i < 70; ++i) eth0.routes.push_back(*Cidr::Parse(absl::StrCat("10.", i, ".0.0/", i < 65 ? 24 : 16)));
  eth0.routes.push_back(*Cidr::Parse("::/0"));
  Link aaa = Make(7, "aaa");
  aaa.carrier = false;
  const auto told = LanInterfaces(State({Loopback(), eth0, Make(3, "kube-ipvs0"), Make(4, "berth0"), port, aaa}));
  REQUIRE(told.size() == 2);
  CHECK(told[0].name == "aaa");
  CHECK_FALSE(told[0].up);
  CHECK(told[1].name == "eth0");
  CHECK(told[1].prefixes == std::vector<Cidr>{*Cidr::Parse("192.0.2.1/24")});
  CHECK(told[1].gateways == eth0.gateways);
  REQUIRE(told[1].routes.size() == sync::kMaxRoutes);
  CHECK(told[1].routes[0] == *Cidr::Parse("::/0"));
  CHECK(told[1].routes[5] == *Cidr::Parse("10.69.0.0/16"));
}

TEST_CASE("a view tells what is on the VIP interface and who speaks for this node", "[unit]") {
  const KernelState state =
      State({Make(2, "eth0", {Own("192.0.2.1/24")}), Make(3, "kube-ipvs0", {Own("10.96.0.1/32")})});
  const KernelView view =
      ViewOf(state, VipInterface{.index = 3, .name = "kube-ipvs0", .own = false, .description = {}});
  CHECK(view.on_vip.contains(Ip("10.96.0.1")));
  CHECK(view.own.at(Ip("192.0.2.1")) == "eth0");
  CHECK_FALSE(view.own.contains(Ip("10.96.0.1")));
  CHECK(view.macs.contains(MacAddr({2, 0, 0, 0, 0, 2})));
  CHECK(ViewOf(state, std::nullopt).on_vip.empty());
}

TEST_CASE("only marked addresses that nobody names are removed, from shared interfaces only when released", "[unit]") {
  const KernelView view =
      ViewOf(State({
                 Make(2, "eth0", {Own("192.0.2.1/24"), Ours("192.0.2.30/32")}),
                 Make(3, "kube-ipvs0", {Own("192.0.2.40/32"), Ours("192.0.2.41/32")}),
                 Make(4, "berth0", {Ours("192.0.2.50/32"), Ours("192.0.2.51/32"), Own("192.0.2.52/32")}),
             }),
             std::nullopt);
  const auto assigned = [](const IpAddr& a) { return a == *IpAddr::Parse("192.0.2.51"); };
  const auto addresses = [&](const std::set<IpAddr>& released) {
    std::set<IpAddr> all;
    for (const MarkedAddress& m : AddressesToRemove(view, assigned, released)) all.insert(m.address);
    return all;
  };
  CHECK(addresses({}) == std::set<IpAddr>{Ip("192.0.2.50")});
  CHECK(addresses({Ip("192.0.2.30"), Ip("192.0.2.40"), Ip("192.0.2.41"), Ip("192.0.2.51"), Ip("192.0.2.1")}) ==
        std::set<IpAddr>{Ip("192.0.2.30"), Ip("192.0.2.41"), Ip("192.0.2.50")});
}

TEST_CASE("an address is guarded but for the ports of all its Services, each once and in order", "[unit]") {
  sync::Assignment shared;
  shared.address = Ip("192.0.2.10");
  shared.services = {{"a", "web", {{"UDP", 53}, {"TCP", 80}}}, {"a", "more", {{"TCP", 80}, {"TCP", 22}, {"DCCP", 9}}}};
  sync::Assignment portless;
  portless.address = Ip("192.0.2.11");
  portless.services = {{"a", "none", {}}};
  sync::Assignment unknown;
  unknown.address = Ip("192.0.2.12");
  Silence silence;
  for (const auto& assignment : {shared, portless, unknown}) Guard(assignment, silence);
  CHECK(silence.guarded == std::vector<IpAddr>{Ip("192.0.2.10"), Ip("192.0.2.11")});
  CHECK(silence.open == std::vector<OpenPort>{{Ip("192.0.2.10"), IPPROTO_TCP, 22},
                                              {Ip("192.0.2.10"), IPPROTO_TCP, 80},
                                              {Ip("192.0.2.10"), IPPROTO_UDP, 53}});
}

}  // namespace
}  // namespace berth::agent
