# SPDX-License-Identifier: Apache-2.0
"""A LAN without IPv4: control connections, probes between agents and clients all speak IPv6."""
from ipv6_case import *  # noqa: F403


class OnlyIpv6(Ipv6Test):
    """F11 Where no host has an IPv4 address an IPv6 one is announced, answered for and taken over, without a controller too"""

    def test(self):
        lab = self.cluster6(only=True)
        self.assertEqual({a for host in lab.hosts for a in host.addresses("eth0") if ":" not in a}, set())
        first = self.holder()
        self.heard = NdpCapture(lab, lab.client)
        self.addCleanup(self.heard.close)
        self.assert_announced(first, self.wire)
        self.assert_answered(first)

        silent = self.falls_silent(first)
        second = self.moved(first)
        self.assert_announced(second, self.heard, silent)
        self.assert_answered(second)
        first.port_pass()
        lab.wait_agents(3)
        self.wait_peers(lab.nodes, heard=2, silent=0)

        lab.kill_controller()
        self.assertEqual(self.asker.who_has(VIP), [second.mac])
        silent = self.falls_silent(second)
        others = [node for node in lab.nodes if node is not second]
        wait_for("an answer of another", lambda: self.asker.answered_within(VIP, 0.2) in [n.mac for n in others], 20, 0)
        third = lab.node(lab.node_of_mac(self.asker.who_has(VIP)[0]))
        self.assert_announced(third, self.heard, silent)
        self.assert_answered(third)
        self.wait_peers(others, heard=1, silent=1)

    def falls_silent(self, node):
        """When it did."""
        node.port_drop()
        return time.time()

    def assert_announced(self, node, capture, since=0.0):
        """To all nodes, by that one alone."""
        said = capture.wait_for("an announcement", lambda m: m.is_announcement and m.told == VIP, since)
        for message in said:
            self.assert_advertises(message, node.mac, overrides=True)
            self.assertEqual(message.destination, ALL_NODES)

    def assert_answered(self, node):
        """A question of the client's kernel, which comes through to that node then."""
        self.lab.client.ip("-6", "neigh", "flush", "dev", "eth0")
        since = time.time()
        self.assertEqual(self.connect(), node.name)
        self.assertEqual(neighbour(self.lab.client, VIP)[0], node.mac)
        answers = self.heard.wait_for("the answer", lambda m: m.told == VIP and m.solicited and m.eth_dst == self.lab.client.mac, since)
        for message in answers:
            self.assert_advertises(message, node.mac, solicited=True)

    def wait_peers(self, nodes, **counts):
        wait_for(f"{counts} by everyone of {len(nodes)}", lambda: all(self.peers(node) == counts for node in nodes))

    def peers(self, node):
        """How many other agents it hears and does not hear, on the LAN itself."""
        page = node.exec("curl", "-s", "http://127.0.0.1:8081/metrics").stdout
        prefix = 'berth_agent_peers{state="'
        lines = [line[len(prefix):].split('"} ') for line in page.splitlines() if line.startswith(prefix)]
        return {state: int(number) for state, number in lines}


if __name__ == "__main__":
    unittest.main()
