# SPDX-License-Identifier: Apache-2.0
"""Planned moves of an IPv6 address, which no client notices."""
from ipv6_case import *  # noqa: F403
from ndp_wire import NdpTap
from udp_probe import ArpQueries, UdpProbe, echoes

ECHO = 7001


class Planned(Ipv6Test):
    """Neither upgrade nor SIGTERM, move or drain costs an IPv6 address a datagram of one a millisecond or an answer, an upgrade no frame"""

    def test(self):
        lab = self.cluster6(ports=((ECHO, "UDP"),))
        for node in lab.nodes:
            node.start_udp_echo(ECHO)
        wait_for("an echo", lambda: echoes(lab.client, VIP, ECHO))
        old = self.holder()
        lab.tap(NdpTap).wait_all_told()
        since = time.time()
        self.unnoticed(old.upgrade_agent, old, old)
        self.assert_only_answers(old, since)
        self.unnoticed(lambda: old.kill_agent(signal.SIGTERM), old)
        old.restart_agent()
        lab.wait_agents(3)
        old = self.holder()
        new = next(node for node in lab.nodes if node is not old)
        self.unnoticed(lambda: lab.ctl("move", VIP, new.name), old)
        self.assertEqual(self.holder().name, new.name)
        self.unnoticed(lambda: lab.ctl("drain", new.name), new)

    def assert_only_answers(self, holder, since):
        """Nothing else has been said of the address, as tshark decodes it, and no node has asked for it."""
        said = [m for m in self.wire.messages(since) if m.target == VIP and m.host != "client"]
        self.assertGreater(len(said), 100)
        self.assertEqual([m for m in said if m.host != holder.name or not m.solicited], [])

    def unnoticed(self, strike, old, new=None):
        probe, queries = UdpProbe(self.lab, VIP, ECHO), ArpQueries(self.asker, VIP)
        time.sleep(0.5)
        strike()
        new = new or self.moved(old)
        time.sleep(1.5)
        lost = probe.end()
        queries.end()
        self.assertFalse(lost[:10], f"{len(lost)} datagrams lost of {probe.sent}")
        self.assertGreater(probe.sent, 1000)
        self.assertLessEqual(queries.longest_wait(), 0.05)
        self.assertEqual(queries.answers[-1][1], new.mac)
        self.assertEqual(neighbour(self.lab.client, VIP)[0], new.mac)


if __name__ == "__main__":
    unittest.main()
