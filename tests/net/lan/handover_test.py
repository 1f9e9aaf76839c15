# SPDX-License-Identifier: Apache-2.0
"""An agent that is told to end hands its addresses over, and one that is upgraded to its successor; no client notices."""
import concurrent.futures

from handover_case import *  # noqa: F403


class HandOver(HandOverTest):
    """An agent that ends on SIGTERM hands over: no datagram of one a millisecond is lost, each ARP query is answered"""

    def test(self):
        lab = self.cluster(nodes=3, services=1, ports=((PORT, "UDP"),))
        old = lab.node(self.before[VIP])
        probe = self.start_probe()
        start = time.monotonic()
        asked = self.ask_each_10_ms(1.0)
        asked += self.ask_each_10_ms(4.0, first=lambda: old.kill_agent(signal.SIGTERM, wait=False))
        self.assertEqual(old.agent.wait(30), 0)
        lost = probe.end()
        self.assertFalse(lost[:10], f"{len(lost)} datagrams lost of {probe.sent}")
        self.assertGreater(probe.sent, 1000)

        new = lab.wait_announced(1)[VIP]
        self.assertNotEqual(new, old.name)
        answers = self.census.answers(start)
        self.assertEqual(len(answers), asked)
        self.assertEqual({hosts[-1] for _, _, hosts in answers[-50:] if hosts}, {new})
        self.assertLessEqual(self.longest_unanswered(), 0.05)


class RollingUpgrade(HandOverTest):
    """T144 A rolling upgrade of the holder's agent costs no datagram of one a millisecond, no answer and no frame on the LAN"""

    def test(self):
        lab = self.cluster(nodes=3, services=1, ports=((PORT, "UDP"),))
        node = lab.node(self.before[VIP])
        self.tap.wait_all_told()
        probe = self.start_probe()
        start = time.monotonic()
        with concurrent.futures.ThreadPoolExecutor() as pool:
            asking = pool.submit(self.ask_each_10_ms, 5.0)
            self.assertEqual(node.upgrade_agent(), 3)
            asked = asking.result()
        lost = probe.end()
        self.assertFalse(lost[:10], f"{len(lost)} datagrams lost of {probe.sent}")
        self.assertGreater(probe.sent, 1000)
        answers = self.census.answers(start)
        self.assertEqual(len(answers), asked)
        self.assertEqual({host for _, _, hosts in answers for host in hosts}, {node.name})
        self.assertLessEqual(self.longest_unanswered(), 0.05)
        self.assertEqual(self.tap.gratuitous(start), [])
        self.assertEqual(lab.wait_announced(1)[VIP], node.name)


if __name__ == "__main__":
    unittest.main()
