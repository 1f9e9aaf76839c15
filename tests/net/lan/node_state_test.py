# SPDX-License-Identifier: Apache-2.0
"""What an agent keeps on its node: its own is repaired and cleaned up, what is somebody else's is left alone."""
from lan_case import *  # noqa: F403

VIP = "192.168.50.50"
FOREIGN = "10.77.0.1"


def tables(node):
    return set(node.exec("nft", "list", "tables").stdout.split("\n")) - {""}


class Repairs(LanTest):
    """An address of ours that is deleted by hand comes back, and a flushed ruleset is repaired, and other things stay"""

    def test(self):
        lab = self.cluster(nodes=2, services=1)
        node = lab.node(self.before[VIP])
        node.ip("addr", "add", f"{FOREIGN}/32", "dev", "eth0")
        node.exec("nft", "add table inet other")
        ours = tables(node) - {"table inet other"}
        self.assertTrue(ours)

        node.ip("addr", "del", f"{VIP}/32", "dev", "berth0")
        wait_for("the address is back", lambda: VIP in node.addresses("berth0"), 5)

        node.exec("nft", "flush", "ruleset")
        flushed = time.monotonic()
        wait_for("the tables are back", lambda: ours <= tables(node), 5, every=0)
        took = time.monotonic() - flushed
        print(f"flushed ruleset repaired after {took * 1000:.0f} ms at most")
        self.assertLess(took, 2)
        self.assertIn(FOREIGN, node.addresses("eth0"))
        self.assertNotIn("table inet other", tables(node), "what others had is theirs to restore")
        self.assert_each_answered_once(self.before)

        node.ip("link", "del", "berth0")
        wait_for("the interface and the address are back", lambda: VIP in node.addresses("berth0"), 5)
        self.assert_each_answered_once(self.before)
        self.assertEqual(lab.holders(), self.before)


class Cleanup(LanTest):
    """Cleaning up takes away tables, interface and addresses of ours, and nothing else"""

    def test(self):
        lab = self.cluster(nodes=2, services=2, everywhere=[VIP, FOREIGN])
        node = lab.node(self.before[VIP])
        node.ip("addr", "add", "10.77.0.2/32", "dev", "eth0")
        node.exec("nft", "add table inet other")
        before = {"kube-ipvs0": node.addresses("kube-ipvs0"), "eth0": node.addresses("eth0")}
        node.kill_agent()
        self.assertIn("berth", "".join(tables(node)))
        node.exec(*node.agent_command("--cleanup"))
        self.assertEqual(tables(node), {"table inet other"})
        self.assertEqual(node.addresses("berth0"), set())
        self.assertEqual(node.addresses("eth0"), before["eth0"])
        self.assertTrue({VIP, FOREIGN} <= node.addresses("kube-ipvs0"), "kube-proxy put them there")
        self.assertFalse(os.path.exists(node.state_dir) and os.listdir(node.state_dir))
        node.exec(*node.agent_command("--cleanup"))

    def test_of_its_own_interface(self):
        lab = self.cluster(nodes=1, services=1)
        node = lab.nodes[0]
        node.kill_agent()
        self.assertEqual(node.addresses("berth0") & {VIP}, {VIP})
        node.exec(*node.agent_command("--cleanup"))
        self.assertNotIn("berth0", node.ip("-o", "link", "show"))
        self.assertEqual(tables(node), set())
        self.assertEqual(node.addresses("eth0") - {node.address}, {a for a in node.addresses("eth0") if ":" in a})


class Leftovers(LanTest):
    """What a killed agent left on its node and is assigned no more is removed when the next one has heard a leader"""

    def test(self):
        lab = self.cluster(nodes=2, services=2)
        node, held = self.loaded_node()
        node.kill_agent()
        self.assertTrue(set(held) <= node.addresses("berth0"))
        node.ip("addr", "add", f"{FOREIGN}/32", "dev", "eth0")
        lab.manifest("services.yaml", None)
        wait_for("no addresses", lambda: not lab.get("addresses"), 20)
        self.assertTrue(set(held) <= node.addresses("berth0"), "nobody is there to remove them")
        node.restart_agent()
        wait_for("they are removed", lambda: not set(held) & node.addresses("berth0"), 20)
        self.assertIn(FOREIGN, node.addresses("eth0"))


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


if __name__ == "__main__":
    unittest.main()
