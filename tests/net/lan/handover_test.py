# SPDX-License-Identifier: Apache-2.0
"""An agent that is told to end hands its addresses over, and no client notices."""
from lan_case import *  # noqa: F403
from udp_probe import UdpProbe

PORT = 7000
VIP = "192.168.50.50"


def echoes(host, address):
    with host.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
        sock.settimeout(0.2)
        sock.sendto(b"hi", (address, PORT))
        try:
            return sock.recv(64) == b"hi"
        except (TimeoutError, ConnectionRefusedError):
            return False


class HandOver(LanTest):
    """An agent that ends on SIGTERM hands over: no datagram of one a millisecond is lost, each ARP query is answered"""

    def test(self):
        lab = self.cluster(nodes=3, services=1, ports=((PORT, "UDP"),))
        for node in lab.nodes:
            node.start_udp_echo(PORT)
        old = lab.node(self.before[VIP])
        for address in [*(node.address for node in lab.nodes), VIP]:
            wait_for(f"an echo from {address}", lambda address=address: echoes(lab.client, address))
        probe = UdpProbe(lab, VIP, PORT)
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

    def ask_each_10_ms(self, seconds, first=lambda: None):
        first()
        asked = 0
        until = time.monotonic() + seconds
        while time.monotonic() < until:
            self.census.ask(VIP)
            asked += 1
            time.sleep(0.01)
        time.sleep(0.2)
        return asked

    def longest_unanswered(self):
        """The longest time from a query to the first answer to it or to a later one."""
        answered = {}
        for frame in self.tap.replies():
            if frame.target_mac in self.census.asked:
                answered.setdefault(frame.target_mac, frame.time)
        longest, next_answer = 0.0, None
        for mac, (asked_at, _) in reversed(self.census.asked.items()):
            if mac in answered:
                next_answer = min(answered[mac], next_answer or answered[mac])
            if next_answer is not None:
                longest = max(longest, next_answer - asked_at)
        return longest


if __name__ == "__main__":
    unittest.main()
