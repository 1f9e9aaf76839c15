# SPDX-License-Identifier: Apache-2.0
"""Nodes die while no controller is there: the next candidate takes over, and a controller that returns finds it so."""
import contextlib

from lan_case import *  # noqa: F403
from arp_wire import Asker
from ndp_wire import IPV6_ONLY, NdpAsker, own_ipv6

SERVICES = 6
CANDIDATES = 3  # of an address, its holder among them


class NoControllerTest(LanTest):
    def set_up_outage(self, nodes=3, flags=()):
        """Every controller dead, all addresses held and answered once; returns one node that holds some."""
        self.cluster(nodes=nodes, services=SERVICES, flags=flags)
        wait_for("standbys on the agents' disks",
                 lambda: sum(self.known(n) for n in self.lab.nodes) == SERVICES * CANDIDATES, 20)
        self.lab.kill_controller()
        self.assertEqual(self.answering(), self.before)
        return self.lab.node(self.before[self.vip])

    def known(self, node):
        """How many addresses the node's disk tells of."""
        try:
            with open(os.path.join(node.state_dir, "agent-state"), encoding="utf-8") as state:
                return state.read().count("assignments {")
        except FileNotFoundError:
            return 0

    def answering(self, dead=()):
        """address -> the one node that answers for it."""
        since = time.monotonic()
        self.census.ask_all(self.before)
        time.sleep(0.3)
        found = {}
        for _, address, hosts in self.census.answers(since):
            self.assertLessEqual(len(hosts), 1, f"{address} is answered by {hosts}")
            found[address] = next((h for h in hosts if h not in dead), None)
        return found

    def wait_followed(self, dead, since):
        """Asks until every address is answered by a node that lives; returns the longest silence in seconds."""
        followed = {}

        def all_followed():
            self.census.ask_all(self.before)
            time.sleep(0.01)
            for when, address, hosts in self.census.answers(since):
                if any(h not in dead for h in hosts):
                    followed.setdefault(address, when)
            return len(followed) == len(self.before)
        wait_for("an answer for every address", all_followed, 20, 0)
        return max(followed.values()) - since


class SilentLossAlone(NoControllerTest):
    """T101: with every controller dead and a node cut off by its switch, others answer, and keep it when a controller returns"""

    def test(self):
        node = self.set_up_outage()
        node.port_drop()
        cut = time.monotonic()
        silence = self.wait_followed([node.name], cut)
        print(f"no controller, silent loss of a node: answered by others after {silence * 1000:.0f} ms")
        self.tap.wait_all_told()
        after = self.answering([node.name])
        self.assertEqual({a: n for a, n in after.items() if self.before[a] != node.name},
                         {a: n for a, n in self.before.items() if n != node.name})
        self.assertNotIn(None, after.values())
        self.assertNotIn(node.name, after.values())
        self.assertEqual(self.census.twice_answered(), [])
        # A controller comes back: it finds who holds what, and leaves it there.
        back = time.monotonic()
        self.lab.restart_controller()
        self.assertEqual(self.lab.wait_announced(SERVICES), after)
        time.sleep(2)
        self.assertEqual(self.answering([node.name]), after)
        # So does the node.
        node.port_pass()
        self.lab.wait_agents(3)
        time.sleep(1)
        self.assertEqual(self.answering(), after)
        self.assertEqual(self.tap.gratuitous(back), [])


class TwoLostAlone(NoControllerTest):
    """With every controller dead, holder and first candidate killed together, the second candidate answers"""

    def test(self):
        self.set_up_outage(nodes=3)
        dead = self.lab.nodes[:2]
        for node in dead:
            node.kill_agent(wait=False)
        killed = time.monotonic()
        silence = self.wait_followed([n.name for n in dead], killed)
        print(f"no controller, two agents of three killed: answered by the last after {silence * 1000:.0f} ms")
        time.sleep(1)
        self.assertEqual(set(self.answering().values()), {self.lab.nodes[2].name})
        self.assertEqual(self.census.twice_answered(), [])


class TwoLostAloneSix(TwoLostAlone):
    """With every controller dead, holder and first candidate of IPv6 addresses killed together, the second candidate answers"""

    six = True


class HealedAlone(NoControllerTest):
    """With every controller dead, a node that comes back from behind its switch leaves what was taken over to its successors"""

    def test(self):
        node = self.set_up_outage()
        node.port_drop()
        self.wait_followed([node.name], time.monotonic())
        time.sleep(1)
        after = self.answering([node.name])
        node.port_pass()
        healed = time.monotonic()
        self.census.ask_for(3, self.before)
        late = [answer for answer in self.census.answers(healed + 1) if len(answer[2]) > 1]
        self.assertEqual(late, [])
        self.assertEqual(self.answering(), after)


class HealedAloneSix(HealedAlone):
    """With every controller dead, a node that comes back leaves the IPv6 addresses that were taken over to its successors"""

    six = True


class CutOffAlone(NoControllerTest):
    """With every controller dead, a node that hears nobody takes over only if its gateway answers it: else it is cut off itself"""

    def test(self):
        node = self.set_up_outage()
        self.theirs = {address for address, holder in self.before.items() if holder != node.name}
        gateway = self.gateway()
        for each in self.lab.nodes:
            each.ip(*(["-6"] if self.six else []), "route", "add", "default", "via", gateway, "dev", "eth0")
        since = time.monotonic()
        node.port_drop()

        def rounds():
            """Seconds from its agent's first question for the gateway to its last."""
            asked = [f.time for f in self.tap.frames(since) if f.host == node.name and f.target_ip == gateway
                     and f.op == 1 and f.sender_ip == ("::" if self.six else "0.0.0.0")]
            return max(asked) - min(asked) if asked else 0
        wait_for("further questions for the gateway", lambda: rounds() > 2.5, 20)
        self.assertEqual(self.taken_by(node, since), set())
        self.lab.part(node, self.lab.client)
        wait_for("all of theirs, where the gateway is", lambda: self.taken_by(node, since) == self.theirs, 20)

    def taken_by(self, node, since):
        return {f.sender_ip for f in self.tap.gratuitous(since) if f.host == node.name} & self.theirs

    def gateway(self):
        """The client plays it, for IPv6 with the address that routers tell in their advertisements."""
        addresses = self.lab.client.addresses("eth0")
        return next(a for a in addresses if a.startswith("fe80:")) if self.six else self.lab.client.address


class CutOffAloneSix(CutOffAlone):
    """With every controller dead, a node that hears nobody takes over IPv6 addresses only if its gateway answers it"""

    six = True


class SplitAlone(NoControllerTest):
    """With every controller dead each side of a parted LAN has one holder, and joined again the one that took over last is alone"""

    def test(self):
        self.set_up_outage(nodes=4)
        lab, there = self.lab, self.lab.nodes[2:]
        other = lab.add_host("other", "192.168.50.20")
        asker = Asker(other)
        self.addCleanup(asker.close)
        lab.part(other, *there)
        sides = [(lab.asker, {n.name for n in lab.nodes if n not in there}), (asker, {n.name for n in there})]
        askers = [asker for asker, _ in sides]
        wait_for("a holder of each address on each side", lambda: all(all(s.values()) for s in self.ask_sides(askers)), 20, 0)
        holders = self.ask_sides(askers)
        for _ in range(3):
            self.assertEqual(self.ask_sides(askers), holders)
        successors = {}
        for held, (_, names) in zip(holders, sides):
            self.assertLessEqual({name for hosts in held.values() for name in hosts}, names)
            for address, hosts in held.items():
                self.assertEqual(len(hosts), 1, f"{address} is answered by {hosts}")
                if self.before[address] in names:
                    self.assertEqual(hosts, [self.before[address]])
                else:
                    successors[address] = hosts[0]

        lab.join(other, *there)
        joined = time.monotonic()
        while time.monotonic() < joined + 3:
            for asker in askers:
                self.census.ask_all(self.before, asker)
            time.sleep(0.02)
        time.sleep(0.3)
        late = [(when - joined, address, hosts) for when, address, hosts in self.census.answers(joined + 1)
                if hosts != [successors[address]]]
        self.assertEqual(late[:10], [])

    def ask_sides(self, askers):
        """For each of them address -> hosts that answer one who asks there."""
        since = time.monotonic()
        for asker in askers:
            self.census.ask_all(self.before, asker)
        time.sleep(0.3)
        found, count = self.census.answers(since), len(self.before)
        return [{a: hosts for _, a, hosts in found[i * count:(i + 1) * count]} for i in range(len(askers))]


class SplitAloneSix(SplitAlone):
    """With every controller dead each side of a parted LAN has one holder of an IPv6 address, and joined again one is alone"""

    six = True


class CutOffWithoutGateway(NoControllerTest):
    """With every controller dead a standby that hears nobody and knows no gateway takes over, and back again gives all of it back"""

    def test(self):
        holder = self.set_up_outage()
        node = next(n for n in self.lab.nodes if n is not holder)
        held = {a: h for a, h in self.before.items() if h != node.name}
        cut = time.monotonic()
        node.port_drop()
        wait_for("its word for each address",
                 lambda: set(held) <= {f.sender_ip for f in self.tap.gratuitous(cut) if f.host == node.name}, 20)
        self.wait_followed([node.name], cut)
        after = self.answering([node.name])
        self.assertEqual({a: after[a] for a in held}, held)
        node.port_pass()
        healed = time.monotonic()
        self.census.ask_for(3, self.before)
        self.assertEqual([answer for answer in self.census.answers(healed + 1) if len(answer[2]) > 1], [])
        self.assertEqual(self.answering(), after)


class OtherPeerPort(NoControllerTest):
    """Agents that are given another port for probes hear each other there, and follow each other with every controller dead"""

    def test(self):
        node = self.set_up_outage(flags=("--peer-listen=:7500",))
        ports = [n.exec("ss", "-Hlun", f"sport = :{port}").stdout != "" for n in self.lab.nodes for port in (7445, 7500)]
        self.assertEqual(ports, [False, True] * 3)
        before = {n: self.metrics(n) for n in self.lab.nodes}
        answers = "berth_agent_peer_answers_total"
        wait_for("answers of both others to each", lambda: all(
            self.metrics(n)[answers] > before[n][answers] + 4 for n in self.lab.nodes), 10, 0.05)
        self.assertEqual([self.heard(n) for n in self.lab.nodes], [(2, 0)] * 3)
        node.kill_agent()
        self.wait_followed([node.name], time.monotonic())
        wait_for("its silence", lambda: {self.heard(n) for n in self.lab.nodes if n is not node} == {(1, 1)})
        self.assertEqual(self.census.twice_answered(), [])

    def heard(self, node):
        figures = self.metrics(node)
        return figures['berth_agent_peers{state="heard"}'], figures['berth_agent_peers{state="silent"}']


class LinkLocalOnly(NoControllerTest):
    """On an interface that has no address but its link-local one agents follow each other too, for an IPv6 address"""

    VIP = "fd00:50::100"

    def test(self):
        lab = self.new_lab(3)
        lab.client.ip("addr", "add", f"{own_ipv6(lab.client)}/64", "dev", "eth0", "nodad")
        asker = NdpAsker(lab.client, own_ipv6(lab.client))
        self.addCleanup(asker.close)
        for node in lab.nodes:
            lab.add_port(node, "eth1")
            node.ip("link", "set", "eth1", "up")
        lab.start()
        lab.manifest("pool.yaml", eip("six", address=f"{self.VIP}-fd00:50::1ff", interface="eth1"))
        lab.manifest("services.yaml", service("web", pool="six", extra=IPV6_ONLY))
        holder = lab.node(lab.wait_announced(1, 60)[self.VIP])
        wait_for("standbys on every agent's disk", lambda: all(self.knows(n) for n in lab.nodes), 20)
        lab.kill_controller()
        before = asker.who_has(self.VIP)
        self.assertEqual(len(before), 1)
        holder.port_drop(f"eth1-{holder.name}")
        wait_for("an answer by another", lambda: [mac for mac in asker.who_has(self.VIP, 0.05) if mac not in before], 20, 0)

    def knows(self, node):
        with contextlib.suppress(FileNotFoundError), open(os.path.join(node.state_dir, "agent-state"), encoding="utf-8") as state:
            return state.read().count("candidates {") == 3
        return False


class SilentLossAloneSix(SilentLossAlone):
    """T101: with every controller dead and a node cut off, others answer for its IPv6 addresses, and keep them when both return"""

    six = True


if __name__ == "__main__":
    unittest.main()
