# SPDX-License-Identifier: Apache-2.0
"""spec.interface of an Eip on real interfaces: which of them answers for its addresses, and which never does."""
from lan_case import *  # noqa: F403


class InterfaceTest(LanTest):
    def start(self, interface):
        """A cluster with one Service, whose Eip has this rule; not waited for."""
        lab = self.lab
        lab.start()
        self.set_rule(interface)
        lab.manifest("services.yaml", self.service("web"))
        self.listen()

    def set_rule(self, interface):
        self.lab.manifest("pool.yaml", eip(address=self.range(), interface=f'"{interface}"'))

    def wait_refused(self, why):
        """Until nobody holds the address, that being one of the reasons."""
        def refusals():
            done = self.lab.ctl("explain", "address", self.vip, "-o", "json", check=False)
            return " / ".join(json.loads(done.stdout)["address"]["refusals"]) if done.returncode == 0 else ""
        wait_for(why, lambda: why in refusals(), 10, 0.05)
        self.assertEqual([a["state"] for a in self.lab.get("addresses")], ["UNHELD"])

    def add(self, node, interface, *settings):
        """A further interface of the node on the LAN, up; returns its MAC."""
        self.lab.add_port(node, interface)
        for setting in settings:
            node.ip(*setting.split())
        node.ip("link", "set", interface, "up")
        return self.mac(node, interface)

    def mac(self, node, interface):
        return json.loads(node.ip("-j", "link", "show", interface))[0]["address"]

    def answers(self, seconds=0.4):
        """Who answers one question within so long."""
        since = time.monotonic()
        self.census.ask(self.vip)
        time.sleep(seconds)
        return self.census.answers(since)[0][2]

    def assert_answered_by(self, host, mac=None, timeout=5):
        """By that host (or "node1/eth1") and nobody else, whoever asks how often, with that MAC."""
        self.lab.wait_announced(1)
        wait_for(f"an answer by {host}", lambda: self.answers(0.1) == [host], timeout, 0)
        since = time.monotonic()
        for _ in range(20):
            self.census.ask(self.vip)
            time.sleep(0.005)
        time.sleep(0.3)
        self.assertEqual([hosts for _, _, hosts in self.census.answers(since)], [[host]] * 20)
        if mac is not None:
            self.assertEqual({f.sender_mac for f in self.tap.replies(since)}, {mac})


class OnlyOnItsInterface(InterfaceTest):
    """T116 F15 a rule means one interface of several on one LAN, and requests that arrive on another find no answer"""

    allowed = ("war",)  # the rule, and with it the MAC, changes each second

    def test(self):
        lab = self.new_lab(1)
        node = lab.nodes[0]
        eth1 = self.add(node, "eth1")
        self.start("eth9,eth1")
        self.assert_answered_by("node1/eth1", eth1)
        # By the subnet, which eth0 has.
        for rule in ("auto", f"can_reach:{self.of_family('192.168.50.1')}", "regex:eth[0-9]"):
            self.set_rule(rule)
            self.assert_answered_by("node1", node.mac)
            self.set_rule("eth1")
            self.assert_answered_by("node1/eth1", eth1)
        # eth1 has a narrower subnet with the address in it now.
        self.set_rule("auto")
        self.assert_answered_by("node1", node.mac)
        node.ip("addr", "add", "fd00:50::62/121" if self.six else "192.168.50.62/27", "dev", "eth1")
        self.assert_answered_by("node1/eth1", eth1)


class HotPlug(InterfaceTest):
    """T124 an interface that is made while the agent runs, and matches, answers within two seconds"""

    def test(self):
        lab = self.new_lab(2)
        self.start("regex:eth9")
        self.wait_refused("node node1 has no interface that matches regex:eth9 (it has eth0)")
        self.assertEqual(self.answers(), [])
        made = time.monotonic()
        mac = self.add(lab.nodes[1], "eth9")
        self.assert_answered_by("node2/eth9", mac)
        first = next(f.time for f in self.tap.replies(made) if f.sender_ip == self.vip)
        self.assertLess(first - made, 2)
        # Renamed, it matches no more; another name again, and it does.
        node = lab.nodes[1]
        for name, answers in (("spare", []), ("eth9", ["node2/eth9"])):
            old = "eth9" if name == "spare" else "spare"
            node.ip("link", "set", old, "down")
            node.ip("link", "set", old, "name", name)
            node.ip("link", "set", name, "up")
            wait_for(f"{answers}", lambda answers=answers: self.answers() == answers, 5, 0)


class Renamed(InterfaceTest):
    """An interface that is renamed and matches by its new name too answers on, and while it is up all the time nothing moves"""

    def test(self):
        lab = self.new_lab(2)
        macs = {node.name: self.add(node, "eth9") for node in lab.nodes}
        self.start("regex:(eth9|spare)")
        holder = lab.wait_announced(1)[self.vip]
        node, other = lab.node(holder), next(n for n in lab.nodes if n.name != holder)
        self.assert_answered_by(f"{holder}/eth9", macs[holder])
        self.rename(node, "eth9", "spare")
        self.assert_answered_by(f"{holder}/eth9", macs[holder])
        # Nobody else could hold it now.
        other.ip("link", "del", "eth9")
        node.ip("link", "set", "spare", "down")
        self.rename(node, "spare", "eth9")
        self.assert_answered_by(f"{holder}/eth9", macs[holder])
        self.assertEqual({f.host for f in self.tap.replies() if f.sender_ip == self.vip}, {f"{holder}/eth9"})
        self.assertEqual({f.host for f in self.tap.gratuitous() if f.sender_ip == self.vip}, {f"{holder}/eth9"})

    def rename(self, node, old, new):
        """Until the agent has told the controller, and counts by that name what it answers."""
        node.ip("link", "set", old, "name", new)
        node.ip("link", "set", new, "up")
        wait_for(f"{new} in what the agent reports", lambda: self.up(node) == {"eth0", new}, 10, 0.05)
        count = f'berth_agent_{"ndp" if self.six else "arp"}_replies_total{{interface="{new}"}}'

        def counted():
            self.answers(0.05)
            return self.metrics(node).get(count)
        wait_for(f"answers of {new}", counted, 10, 0.05)

    def up(self, node):
        agent = next(agent for agent in self.lab.get("agents") if agent["node"] == node.name)
        return {i["name"] for i in agent["interfaces"] if i["up"]}


class RenamedSix(Renamed):
    """An interface that is renamed and matches by its new name too answers on for an IPv6 address"""

    six = True


class NeverOnPorts(InterfaceTest):
    """T125 a bridge answers, and neither its ports nor what belongs to pods, though the pattern matches them all"""

    def test(self):
        lab = self.new_lab(1)
        node = lab.nodes[0]
        for name in ("cali1", "veth9"):  # before the port exists, so that they would be found first
            node.ip("link", "add", name, "type", "veth", "peer", "name", f"{name}p")
            node.ip("link", "set", name, "up")
            node.ip("link", "set", f"{name}p", "up")
        for name in ("docker0", "cni0"):
            node.ip("link", "add", name, "type", "bridge")
            node.ip("link", "set", name, "up")
        node.add_kube_ipvs0()
        node.ip("link", "add", "zlan0", "address", "02:00:00:00:07:07", "type", "bridge", "mcast_snooping", "0")
        node.ip("link", "set", "zlan0", "up")
        self.add(node, "eth2", "link set eth2 master zlan0")
        # All but eth0, of which the address's subnet is.
        self.start("regex:([^e].*|eth[1-9])")
        self.assert_answered_by("node1/eth2", "02:00:00:00:07:07")


class Macvlan(InterfaceTest):
    """A macvlan interface answers with its own MAC, on request of a list in which others are down"""

    def test(self):
        lab = self.new_lab(1)
        node = lab.nodes[0]
        self.add(node, "eth1")
        node.ip("link", "add", "mv0", "link", "eth1", "address", "02:00:00:00:08:08", "type", "macvlan", "mode", "bridge")
        node.ip("link", "set", "mv0", "up")
        lab.add_port(node, "eth2")  # down
        self.start("eth2,mv0")
        self.assert_answered_by("node1/eth1", "02:00:00:00:08:08")


class NewMac(InterfaceTest):
    """A MAC that changes is announced anew at once, and a client's own entry turns to it"""

    def test(self):
        lab = self.new_lab(1)
        node = lab.nodes[0]
        self.start("eth0")
        self.assert_answered_by("node1", node.mac)
        lab.client.ip("neigh", "replace", self.vip, "lladdr", node.mac, "dev", "eth0", "nud", "stale")
        new, changed = "02:00:00:00:09:09", time.monotonic()
        node.ip("link", "set", "eth0", "address", new)
        wait_for("the new MAC in the client's cache", lambda: new in lab.client.ip("neigh", "show", self.vip), 5)
        # And again 1.1 s later: no repetition of the announcements before.
        told = wait_for("two announcements", lambda: (a := announcements(self.tap, self.vip, new))[1:] and a, 5)
        self.assertLess(told[0] - changed, 1)
        self.assertLess(told[1] - told[0], 1.3)
        self.assert_answered_by("node1", new)
        self.assertEqual({f.source for f in self.tap.frames(told[0]) if f.op == 2}, {new})


class OutsideTest(InterfaceTest):
    def of_family(self, address):
        """Of networks that no host of the LAN has an address of."""
        return super().of_family(address).replace("192.168.50.", "10.9.0.").replace("fd00:50::", "fd00:9::")


class OutsideSubnet(OutsideTest):
    """F16 addresses in no subnet of the interface are answered for, and one warning says so"""

    def test(self):
        lab = self.new_lab(1)
        self.start("eth0")
        lab.manifest("more.yaml", self.service("web2"))
        lab.wait_announced(2)
        second = self.of_family("192.168.50.51")
        self.assertEqual(self.census.who_answers([self.vip, second]), {self.vip: ["node1"], second: ["node1"]})
        with open(lab.controller_log) as f:
            own = "fd00:50::11/64" if self.six else "192.168.50.11/24"
            self.assertEqual(f.read().count(f"is in no subnet of interface eth0 of node1 ({own})"), 1)


class OutsideSubnetSix(OutsideSubnet):
    """F16 IPv6 addresses in no subnet of the interface are answered for, and one warning says so"""

    six = True


class ByDefaultRoute(OutsideTest):
    """With interface auto an address in no subnet is answered for where the default route is, and goes with it"""

    def test(self):
        lab = self.new_lab(1)
        node = lab.nodes[0]
        eth1 = self.add(node, "eth1")
        self.start("auto")
        self.wait_refused(f"no interface whose subnet has {self.vip}, and no default route for {'IPv6' if self.six else 'IPv4'}"
                          " (it has eth0, eth1)")
        self.assertEqual(self.answers(), [])
        self.set_default_route(node, "eth1")
        self.assert_answered_by("node1/eth1", eth1)
        self.set_default_route(node, "eth0")
        self.assert_answered_by("node1", node.mac)

    def set_default_route(self, node, interface):
        router = super().of_family("192.168.50.1")
        node.ip("-6" if self.six else "-4", "route", "replace", "default", "via", router, "dev", interface, "onlink")


class ByDefaultRouteSix(ByDefaultRoute):
    """With interface auto an IPv6 address in no subnet is answered for where IPv6's default route is, and goes with it"""

    six = True


class NoCarrier(InterfaceTest):
    """A pool on an interface without carrier on every node says so until one has carrier, and its address why nobody holds it"""

    def test(self):
        lab = self.new_lab(2)
        macs = [self.add(node, "eth1") for node in lab.nodes]
        for node in lab.nodes:
            node.port_down(f"eth1-{node.name}")
        self.start("eth1")
        for node in lab.nodes:
            self.wait_refused(f"{node.name}: interface eth1 is down or has no carrier")
        trouble = "no connected agent has interface eth1 up: its addresses cannot be announced"
        self.assertEqual(self.pool_message(), trouble)
        self.assertIn(trouble, lab.ctl("get", "pools", "-o", "wide").stdout)
        self.assertEqual(self.answers(), [])
        lab.nodes[1].port_up("eth1-node2")
        self.assert_answered_by("node2/eth1", macs[1])
        self.assertEqual(self.pool_message(), "")
        lab.nodes[1].port_down("eth1-node2")
        wait_for("the pool's trouble", lambda: self.pool_message() == trouble, 5)

    def pool_message(self):
        return self.lab.get("pools")[0]["message"]


class NoCarrierSix(NoCarrier):
    """A pool of IPv6 addresses on an interface without carrier on every node says so until one has carrier"""

    six = True


class Vanishing(InterfaceTest):
    """An interface that is taken from its node is reported by the agent, the address moves, and back again it moves nothing"""

    def lose(self, node):
        node.ip("link", "del", "eth1")

    def regain(self, node):
        self.add(node, "eth1")

    def test(self):
        lab = self.new_lab(2)
        macs = {node.name: self.add(node, "eth1") for node in lab.nodes}
        self.start("eth1")
        holder = lab.wait_announced(1)[self.vip]
        self.assert_answered_by(f"{holder}/eth1", macs[holder])
        node, other = lab.node(holder), next(n.name for n in lab.nodes if n.name != holder)
        began = os.path.getsize(lab.controller_log)
        self.lose(node)
        lost = time.monotonic()
        self.assert_answered_by(f"{other}/eth1", macs[other])
        first = next(f.time for f in self.tap.replies(lost) if (f.host, f.sender_ip) == (f"{other}/eth1", self.vip))
        self.assertLess(first - lost, 2)
        self.assertFalse(self.has_up(node, "eth1"))
        self.regain(node)
        wait_for("eth1 in what the agent reports", lambda: self.has_up(node, "eth1"), 10, 0.05)
        self.assert_answered_by(f"{other}/eth1", macs[other])
        self.assert_moved_by_report(holder, began)

    def has_up(self, node, interface):
        """As its agent says."""
        agent = next(agent for agent in self.lab.get("agents") if agent["node"] == node.name)
        return any(i["name"] == interface and i["up"] for i in agent["interfaces"])

    def assert_moved_by_report(self, holder, began):
        """The address moved once, since its holder said so on its stream: no silence of it did. `began`: in the log."""
        moves = {name: n for name, n in self.metrics().items() if name.startswith("berth_failovers_total{") and n}
        self.assertEqual(moves, {'berth_failovers_total{reason="node can hold it no longer"}': 1})
        with open(self.lab.controller_log) as log:
            log.seek(began)
            self.assertNotIn(f"agent lost node={holder} ", log.read())
        self.assertEqual({agent["state"] for agent in self.lab.get("agents")}, {"READY"})


class VanishingSix(Vanishing):
    """An interface that is taken from its node is reported by the agent, and its IPv6 address moves"""

    six = True


class CarrierLost(Vanishing):
    """Carrier lost where an address is announced is reported by the agent, the address moves, and back again it moves nothing"""

    def lose(self, node):
        node.port_down(f"eth1-{node.name}")

    def regain(self, node):
        node.port_up(f"eth1-{node.name}")


class CarrierLostSix(CarrierLost):
    """Carrier lost where an IPv6 address is announced is reported by the agent, and the address moves"""

    six = True


class OnlyOnItsInterfaceSix(OnlyOnItsInterface):
    """T116 F15 for IPv6 too a rule means one interface of several, and questions that arrive on another find no answer"""

    six = True


class HotPlugSix(HotPlug):
    """T124 an interface that is made while the agent runs answers for IPv6 addresses within two seconds"""

    six = True


class NeverOnPortsSix(NeverOnPorts):
    """T125 a bridge answers for IPv6 addresses, and neither its ports nor what belongs to pods"""

    six = True


class MacvlanSix(Macvlan):
    """A macvlan interface answers for IPv6 addresses with its own MAC, on request of a list in which others are down"""

    six = True


class NewMacSix(NewMac):
    """A MAC that changes is announced anew for IPv6 addresses too"""

    six = True


if __name__ == "__main__":
    unittest.main()
