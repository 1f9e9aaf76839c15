# SPDX-License-Identifier: Apache-2.0
"""An agent that is told to end hands its addresses over, and no client notices."""
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


if __name__ == "__main__":
    unittest.main()
