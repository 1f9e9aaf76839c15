# SPDX-License-Identifier: Apache-2.0
"""What an agent keeps on its node: its own is repaired and cleaned up, what is somebody else's is left alone."""
from lan_case import *  # noqa: F403
from ndp_wire import own_ipv6

VIP = "192.168.50.50"


def tables(node):
    return set(node.exec("nft", "list", "tables").stdout.split("\n")) - {""}


class NodeStateTest(LanTest):
    @property
    def foreign(self):
        """An address that somebody else put on a node."""
        return "fd00:77::1" if self.six else "10.77.0.1"

    def of_host(self, address):
        """With the length that stands for itself alone."""
        return f"{address}/{128 if ':' in address else 32}"


class Repairs(NodeStateTest):
    """An address of ours that is deleted by hand comes back, and a flushed ruleset is repaired, and other things stay"""

    def test(self):
        lab = self.cluster(nodes=2, services=1)
        node = lab.node(self.before[self.vip])
        node.ip("addr", "add", self.of_host(self.foreign), "dev", "eth0")
        node.exec("nft", "add table inet other")
        ours = tables(node) - {"table inet other"}
        self.assertTrue(ours)

        node.ip("addr", "del", self.of_host(self.vip), "dev", "berth0")
        wait_for("the address is back", lambda: self.vip in node.addresses("berth0"), 5)

        node.exec("nft", "flush", "ruleset")
        flushed = time.monotonic()
        wait_for("the tables are back", lambda: ours <= tables(node), 5, every=0)
        took = time.monotonic() - flushed
        print(f"flushed ruleset repaired after {took * 1000:.0f} ms at most")
        self.assertLess(took, 2)
        self.assertIn(self.foreign, node.addresses("eth0"))
        self.assertNotIn("table inet other", tables(node), "what others had is theirs to restore")
        self.assert_each_answered_once(self.before)

        node.ip("link", "del", "berth0")
        wait_for("the interface and the address are back", lambda: self.vip in node.addresses("berth0"), 5)
        self.assert_each_answered_once(self.before)
        self.assertEqual(lab.holders(), self.before)


class Cleanup(NodeStateTest):
    """Cleaning up takes away tables, interface and addresses of ours, and nothing else"""

    def test(self):
        lab = self.cluster(nodes=2, services=2, everywhere=[self.vip, self.foreign])
        node = lab.node(self.before[self.vip])
        node.ip("addr", "add", self.of_host(self.foreign[:-1] + "2"), "dev", "eth0")
        node.exec("nft", "add table inet other")
        before = {"kube-ipvs0": node.addresses("kube-ipvs0"), "eth0": node.addresses("eth0")}
        node.kill_agent()
        self.assertIn("berth", "".join(tables(node)))
        with open(f"{node.state_dir}/agent-state.tmp-a1B2c3", "w") as left:
            left.write("what it was killed in the middle of writing")
        node.exec(*node.agent_command("--cleanup"))
        self.assertEqual(tables(node), {"table inet other"})
        self.assertEqual(node.addresses("berth0"), set())
        self.assertEqual(node.addresses("eth0"), before["eth0"])
        self.assertTrue({self.vip, self.foreign} <= node.addresses("kube-ipvs0"), "kube-proxy put them there")
        self.assertFalse(os.path.exists(node.state_dir) and os.listdir(node.state_dir))
        node.exec(*node.agent_command("--cleanup"))

    def test_of_its_own_interface(self):
        lab = self.cluster(nodes=1, services=1)
        node = lab.nodes[0]
        node.kill_agent()
        self.assertEqual(node.addresses("berth0") & {self.vip}, {self.vip})
        node.exec(*node.agent_command("--cleanup"))
        self.assertNotIn("berth0", node.ip("-o", "link", "show"))
        self.assertEqual(tables(node), set())
        self.assertEqual({a for a in node.addresses("eth0") if not a.startswith("fe80:")},
                         {node.address, *([own_ipv6(node)] if self.six else [])})


class Leftovers(NodeStateTest):
    """What a killed agent left on its node and is assigned no more is removed when the next one has heard a leader"""

    def test(self):
        lab = self.cluster(nodes=2, services=2)
        node, held = self.loaded_node()
        node.kill_agent()
        self.assertTrue(set(held) <= node.addresses("berth0"))
        node.ip("addr", "add", self.of_host(self.foreign), "dev", "eth0")
        lab.manifest("services.yaml", None)
        wait_for("no addresses", lambda: not lab.get("addresses"), 20)
        self.assertTrue(set(held) <= node.addresses("berth0"), "nobody is there to remove them")
        node.restart_agent()
        wait_for("they are removed", lambda: not set(held) & node.addresses("berth0"), 20)
        self.assertIn(self.foreign, node.addresses("eth0"))


class SilenceProven(LanTest):
    """Without our nftables table a node's kernel answers for an address it does not hold, with the table it does not"""

    def test(self):
        lab = self.cluster(nodes=3, services=1, everywhere=[VIP])
        others = [n for n in lab.nodes if n.name != self.before[VIP]]
        self.assertEqual(kernels_that_answer(self.census, [VIP], others), [])
        for node in others:
            node.kill_agent()  # it would repair what is taken away now
        self.assertEqual(kernels_that_answer(self.census, [VIP], others), [])
        self.planted = ("double",)
        for node in others:
            for family in ("arp", "inet"):
                node.exec("nft", "delete", "table", family, "berth", check=False)
        self.assertEqual(kernels_that_answer(self.census, [VIP], others), sorted(n.name for n in others))

    def test_the_sender(self):
        """The same for what a kernel asks in an address's name."""
        lab = self.cluster(nodes=2, services=1, everywhere=[VIP])
        other = next(n for n in lab.nodes if n.name != self.before[VIP])
        other.kill_agent()
        self.assertEqual(self.claims_of(other), set())
        for family in ("arp", "inet"):
            other.exec("nft", "delete", "table", family, "berth", check=False)
        self.assertEqual(self.claims_of(other), {VIP})

    def claims_of(self, node):
        """Addresses other than the node's own in whose name its kernel asks when it sends from the address."""
        since = time.monotonic()
        speak_from(node, VIP, self.lab.client)
        asked = lambda: [f for f in self.tap.frames(since)  # noqa: E731
                         if f.host == node.name and f.op == 1 and f.target_ip == self.lab.client.address]
        wait_for("the kernel asks for the client", asked)
        return {f.sender_ip for f in asked()} - {node.address}


class RepairsSix(Repairs):
    """An IPv6 address of ours that is deleted by hand comes back, and a flushed ruleset is repaired, and other things stay"""

    six = True


class CleanupSix(Cleanup):
    """Cleaning up takes away tables, interface and IPv6 addresses of ours, and nothing else"""

    six = True


class LeftoversSix(Leftovers):
    """IPv6 addresses that a killed agent left on its node and is assigned no more are removed when the next one has heard a leader"""

    six = True


if __name__ == "__main__":
    unittest.main()
