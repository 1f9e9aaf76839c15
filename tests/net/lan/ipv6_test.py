# SPDX-License-Identifier: Apache-2.0
"""IPv6 addresses on a LAN of real kernels: what is said on the wire, as tshark decodes it, and what a client makes of it."""
from ipv6_case import *  # noqa: F403


class Answered(Ipv6Test):
    """T120 F11 A client reaches an IPv6 address through its own neighbour cache and its question has one answer"""

    def test(self):
        lab = self.cluster6()
        holder = self.holder()
        heard = NdpCapture(lab, lab.client)
        self.addCleanup(heard.close)
        since = time.time()
        self.assertEqual(self.connect(), holder.name)
        self.assertEqual(neighbour(lab.client, VIP)[0], holder.mac)
        answers = heard.wait_for("an answer", lambda m: m.told == VIP and m.solicited, since)
        self.assertEqual(len(answers), 1, answers)
        self.assert_advertises(answers[0], holder.mac, solicited=True)
        self.assertEqual(answers[0].eth_dst, lab.client.mac)
        asked = [m for m in heard.messages(since) if m.asked == VIP]
        self.assertEqual([(m.type, m.destination, m.eth_dst) for m in asked], [(SOLICITATION, *group_of(VIP))])
        self.assertEqual(answers[0].destination, asked[0].source)
        for _ in range(20):
            self.assertEqual(self.asker.who_has(VIP, 0.1), [holder.mac])
        self.assertEqual(self.asker.who_has("fd00:50::101", 0.2), [])

        # The agent counts what it did.
        figures = self.metrics(holder)
        self.assertGreaterEqual(figures['berth_agent_ndp_requests_total{interface="eth0"}'], 21)
        self.assertGreaterEqual(figures['berth_agent_ndp_replies_total{interface="eth0"}'], 21)
        self.assertEqual(figures['berth_agent_arp_replies_total{interface="eth0"}'], 0)


class StaysReachable(Ipv6Test):
    """A client that checks whether its neighbour is still there has an answer, so that its entry stays reachable"""

    def test(self):
        lab = self.cluster6()
        holder = self.holder()
        for key, value in (("base_reachable_time_ms", 500), ("delay_first_probe_time", 1), ("retrans_time_ms", 200)):
            lab.client.sysctl(f"net.ipv6.neigh.eth0.{key}", value)
        since = time.time()
        self.assertEqual(self.datagram(), holder.name)
        states = []
        until = time.monotonic() + 6
        with lab.client.socket(socket.AF_INET6, socket.SOCK_DGRAM) as sock:
            while time.monotonic() < until:
                sock.sendto(b"x", (VIP, PORT))
                states.append(neighbour(lab.client, VIP))
                time.sleep(0.02)
        self.assertEqual({mac for mac, _ in states}, {holder.mac})
        self.assertFalse({state for _, state in states} - {"REACHABLE", "STALE", "DELAY", "PROBE"})
        self.assertIn("REACHABLE", [state for _, state in states[len(states) // 2:]])
        said = self.wire.messages(since)
        checks = [m for m in said if m.host == "client" and m.asked == VIP and m.destination == VIP]
        self.assertGreaterEqual(len(checks), 2, "unicast solicitations")
        groups = [m for m in said if m.host == "client" and m.asked == VIP and m.destination != VIP]
        self.assertEqual(len(groups), 1, "only the first question went to the group")
        answers = [m for m in said if m.told == VIP and m.solicited]
        self.assertEqual({m.host for m in answers}, {holder.name})
        self.assertEqual(len(answers), len(checks) + 1)


class TakeOver(Ipv6Test):
    """T122 An IPv6 take-over is announced to all nodes and the client's entry moves without its asking"""

    def test(self):
        lab = self.cluster6()
        old = self.holder()
        self.assertEqual(self.connect(), old.name)
        heard = NdpCapture(lab, lab.client)
        self.addCleanup(heard.close)
        old.port_drop()
        since = time.time()  # until then it repeats its own announcements
        new = self.moved(old)
        wait_for("the new holder in the client's cache", lambda: neighbour(lab.client, VIP)[0] == new.mac, 5)
        self.assertEqual(self.connect(), new.name)
        time.sleep(1.5)  # the second announcement
        announced = [m for m in heard.messages(since) if m.is_announcement and m.told == VIP]
        self.assertGreaterEqual(len(announced), 2)
        for message in announced:
            self.assert_advertises(message, new.mac, overrides=True)
            self.assertEqual((message.eth_dst, message.destination), (ALL_NODES_MAC, ALL_NODES))
        self.assertGreater(announced[1].time - announced[0].time, 1.0)
        asked = [m for m in heard.messages(since) if m.asked == VIP and m.eth_src == lab.client.mac]
        self.assertFalse([m for m in asked if m.time < announced[0].time], "it was not the client that found out")
        # The present holder was asked first, by a probe that names nobody.
        probes = [m for m in heard.messages(since) if m.asked == VIP and m.source == "::"]
        self.assertEqual({(m.eth_src, m.destination, m.eth_dst, m.option) for m in probes},
                         {(new.mac, *group_of(VIP), "")})
        old.port_pass()
        wait_for("one answer", lambda: self.asker.who_has(VIP, 0.2) == [new.mac], 5)


class StillThere(Ipv6Test):
    """An agent that the controller has lost keeps its IPv6 address while it answers for it on the LAN"""

    def test(self):
        lab = self.cluster6(nodes=2)
        holder = self.holder()
        since = time.time()
        holder.cut_control()
        wait_for("the controller misses it",
                 lambda: any(a["node"] == holder.name and a["state"] == "CONTROL_LOST" for a in lab.get("agents")), 10)
        for _ in range(5):
            self.assertEqual(self.asker.who_has(VIP, 0.2), [holder.mac])
        self.assertEqual(lab.holders()[VIP], holder.name)
        said = self.wire.messages(since)
        probes = [m for m in said if m.asked == VIP and m.source == "::"]
        self.assertTrue(probes, "the other node asked first")
        self.assertFalse({m.host for m in said if m.is_announcement} - {holder.name})  # its own repeats at most
        answers = [m for m in said if m.told == VIP and m.destination == ALL_NODES and not m.is_announcement]
        self.assertEqual({(m.host, m.solicited, m.overrides) for m in answers}, {(holder.name, False, False)})
        holder.heal_control()
        lab.wait_agents(2)
        self.assertEqual(self.asker.who_has(VIP, 0.2), [holder.mac])


class KernelSilent(Ipv6Test):
    """With its addresses on eth0 itself no kernel answers for an IPv6 address, and would without our table"""

    def test(self):
        lab = self.cluster6(nodes=2, flags=("--vip-interface=eth0",))
        old = self.holder()
        self.assertIn(VIP, old.addresses("eth0"))
        self.assertEqual(self.connect(), old.name)
        old.kill_agent()
        new = self.moved(old)
        self.assertIn(VIP, old.addresses("eth0"))  # the dead agent's node has it still
        for _ in range(5):
            self.assertEqual(self.asker.who_has(VIP, 0.2), [new.mac])
            self.assertEqual(self.asker.who_has(VIP, 0.2, to=old.mac), [])
        self.assertEqual(self.asker.who_has(own_ipv6(old), 0.2), [old.mac])  # its own it does answer for
        self.assertEqual(self.connect(), new.name)

        self.planted = ("double",)
        old.exec("nft", "delete", "table", "ip6", "berth")
        wait_for("two answers", lambda: sorted(self.asker.who_has(VIP, 0.2)) == sorted([old.mac, new.mac]), 5)

    def test_repair(self):
        lab = self.cluster6(nodes=1, flags=("--vip-interface=eth0",))
        node = lab.nodes[0]
        node.exec("nft", "flush", "ruleset")
        wait_for("the table is there again",
                 lambda: VIP in node.exec("nft", "list", "table", "ip6", "berth", check=False).stdout, 5)
        node.kill_agent()
        self.assertEqual(self.asker.who_has(VIP), [])


class OldHolderStaysSilentSix(Ipv6Test):
    """An old holder whose kernel sends from an IPv6 address after a move does not win the client's cache back"""

    def test(self):
        lab = self.cluster6(nodes=2, flags=("--vip-interface=eth0",))
        old = self.holder()
        self.assertEqual(self.connect(), old.name)
        old.kill_agent()
        new = self.moved(old)
        wait_for("the new holder in the client's cache", lambda: neighbour(lab.client, VIP)[0] == new.mac, 5)
        since = time.time()
        self.speak_from(old)
        asked = self.wire.wait_for("the old holder asks for the client",
                                   lambda m: m.host == old.name and m.asked == own_ipv6(lab.client), since)
        self.assertEqual({m.checksum for m in asked}, {"1"})
        self.assertFalse([m for m in asked if m.source == VIP], "it asks in the address's name")
        time.sleep(0.3)
        self.assertEqual(neighbour(lab.client, VIP)[0], new.mac)
        wait_for("the client's answer", lambda: neighbour(old, own_ipv6(lab.client))[0] == lab.client.mac, 5)

        # Without the table it would.
        old.exec("nft", "delete", "table", "ip6", "berth")
        self.speak_from(old)
        self.wire.wait_for("a question in the address's name", lambda m: m.host == old.name and m.source == VIP, since)

    def speak_from(self, node):
        node.ip("-6", "neigh", "flush", "all")
        with node.socket(socket.AF_INET6, socket.SOCK_DGRAM) as sender:
            sender.bind((VIP, 0))
            sender.sendto(b"x", (own_ipv6(self.lab.client), 9))


class NobodyDoubts(Ipv6Test):
    """Making an IPv6 address local on eth0 has the kernel neither ask whether it is free nor announce it"""

    def test(self):
        lab = self.cluster6(nodes=1, flags=("--vip-interface=eth0",))
        node = lab.nodes[0]
        node.sysctl("net.ipv6.conf.eth0.accept_dad", "1")
        node.sysctl("net.ipv6.conf.eth0.ndisc_notify", "1")
        since = time.time()
        lab.manifest("more.yaml", service("more", pool="six", address="fd00:50::1aa", extra=IPV6_ONLY))
        lab.wait_announced(2)
        time.sleep(1.5)
        said = [m for m in self.wire.messages(since) if m.host == node.name and m.target == "fd00:50::1aa"]
        self.assertEqual(len([m for m in said if m.asked]), 3, "the agent's own three probes")
        self.assertTrue(all(m.is_announcement for m in said if m.told), said)
        self.assertNotIn("tentative", node.ip("-6", "addr", "show", "dev", "eth0"))


class LinkLocalInDoubt(Ipv6Test):
    """T123 A node whose link-local address is somebody else's answers for IPv6 addresses all the same"""

    def test(self):
        lab = self.cluster6(nodes=2)
        holder = self.holder()
        link_local = next(a for a in holder.addresses("eth0") if a.startswith("fe80:"))
        lab.client.ip("addr", "add", f"{link_local}/64", "dev", "eth0", "nodad")
        holder.sysctl("net.ipv6.conf.eth0.accept_dad", "1")
        holder.ip("addr", "del", f"{link_local}/64", "dev", "eth0")
        holder.ip("addr", "add", f"{link_local}/64", "dev", "eth0")
        wait_for("the kernel finds it taken", lambda: "dadfailed" in holder.ip("-6", "addr", "show", "dev", "eth0"), 15)
        self.assertEqual(self.asker.who_has(VIP), [holder.mac])
        lab.manifest("more.yaml", "---\n".join(service(f"m{i}", pool="six", extra=IPV6_ONLY) for i in range(6)))
        holders = lab.wait_announced(7)
        mine = [address for address, node in holders.items() if node == holder.name]
        self.assertGreater(len(mine), 1)
        for address in mine:
            self.assertEqual(self.asker.who_has(address), [holder.mac])


class BothFamilies(Ipv6Test):
    """F12 A Service of both families has an address of each and both are answered for on one interface"""

    def test(self):
        lab = self.cluster6(nodes=1, dual=True, families="  ipFamilies: [IPv4, IPv6]\n  ipFamilyPolicy: RequireDualStack\n")
        node = lab.nodes[0]
        self.assertEqual(self.before, {V4: node.name, VIP: node.name})
        self.assertEqual(lab.get("services")[0]["addresses"], [V4, VIP])
        self.assertEqual(lab.asker.who_has(V4), [node.mac])
        self.assertEqual(self.asker.who_has(VIP), [node.mac])
        for address in (V4, VIP):
            self.assertEqual(self.connect(address), node.name)


class FamiliesMoveAlone(Ipv6Test):
    """F12 A Service's address of one family moves by berthctl and the other's stays where it is, each answered for by its holder alone"""

    def test(self):
        lab = self.cluster6(dual=True, families="  ipFamilies: [IPv4, IPv6]\n  ipFamilyPolicy: RequireDualStack\n")
        self.taps = {V4: lab.tap(), VIP: lab.tap(NdpTap)}
        holders = self.before
        self.assert_held(holders)
        third = next(node.name for node in lab.nodes if node.name not in holders.values())
        # Away from each other, together, and apart again.
        for address, node in ((VIP, third), (V4, third), (VIP, holders[V4])):
            other = V4 if address == VIP else VIP
            since = time.monotonic()
            lab.ctl("move", address, node)
            old = holders[address]
            holders = {**holders, address: node}
            self.assert_held(holders)
            self.assertEqual(self.said_by(address, since) - {old}, {node})
            self.assertEqual(self.said_by(other, since) - {holders[other]}, set())

    def assert_held(self, holders):
        self.assertEqual(self.lab.wait_announced(2), holders)
        for address, node in holders.items():
            asker = self.asker if address == VIP else self.lab.asker
            self.assertEqual(asker.who_has(address), [self.lab.node(node).mac])
            self.assertEqual(self.connect(address), node)

    def said_by(self, address, since):
        return {f.host for f in self.taps[address].gratuitous(since) if f.sender_ip == address}


class SecondFamilyLater(LanTest):
    """T041 PreferDualStack gains its IPv6 address once there is a pool, which is announced, and no frame tells of the IPv4 one"""

    six = True

    def test(self):
        lab = self.new_lab(2)
        lab.start()
        lab.manifest("pool4.yaml", eip("four"))
        lab.manifest("web.yaml", service("web", pool=None, extra="  ipFamilies: [IPv4, IPv6]\n  ipFamilyPolicy: PreferDualStack\n"))
        before = lab.wait_announced(1)
        self.assertEqual(list(before), [V4])
        self.listen()
        arp = lab.tap()
        arp.wait_all_told()
        since = time.monotonic()
        lab.manifest("pool6.yaml", eip("six", address=self.range()))
        holders = lab.wait_announced(2)
        self.assertEqual({**holders, **before}, holders)
        self.assertEqual(lab.get("services")[0]["addresses"], [V4, self.vip])
        new = lab.node(holders[self.vip])
        wait_for("two announcements", lambda: announcements(self.tap, self.vip, new.mac, since)[1:], 5)
        self.assertEqual([f for f in arp.frames(since) if V4 in (f.sender_ip, f.target_ip)], [])
        self.assert_each_answered_once({self.vip: new.name})
        self.assertEqual(lab.asker.who_has(V4), [lab.node(before[V4]).mac])


class Defended(Ipv6Test):
    """A host that is given an IPv6 address of a Service finds by its own check that it is taken"""

    def test(self):
        lab = self.cluster6(nodes=2)
        holder = self.holder()
        self.assertEqual(self.connect(), holder.name)
        self.listen()
        self.tap.wait_all_told()  # a repetition in the pause before its probe would tell it as well, and it would not ask
        greedy = lab.add_host("greedy", "192.168.50.98")
        for interface in ("all", "eth0"):
            greedy.sysctl(f"net.ipv6.conf.{interface}.accept_dad", "1")
        since = time.time()
        greedy.ip("addr", "add", f"{VIP}/64", "dev", "eth0")
        wait_for("the kernel finds it taken", lambda: "dadfailed" in greedy.ip("-6", "addr", "show", "dev", "eth0"), 15)
        answers = self.wire.wait_for("the answer", lambda m: m.told == VIP and not m.solicited and not m.overrides, since)
        self.assertEqual({m.host for m in answers}, {holder.name})
        self.assert_advertises(answers[0], holder.mac)
        self.assertEqual(self.asker.who_has(VIP), [holder.mac])
        self.assertEqual(neighbour(lab.client, VIP)[0], holder.mac)


class Taken(Ipv6Test):
    """An IPv6 address that a host on the LAN has already is not given out"""

    def test(self):
        lab = self.cluster6(nodes=2, taken=(VIP,))
        self.assertEqual(list(self.before), ["fd00:50::101"])
        pool = next(p for p in lab.get("pools") if p["name"] == "six")
        self.assertEqual(pool["conflicted"], [VIP])
        answers = self.wire.wait_for("the printer's answer", lambda m: m.host == "printer" and m.told == VIP)
        self.assertEqual(answers[0].destination, ALL_NODES)
        self.assertEqual(answers[0].type, ADVERTISEMENT)


if __name__ == "__main__":
    unittest.main()
