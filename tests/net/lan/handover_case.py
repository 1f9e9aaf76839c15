# SPDX-License-Identifier: Apache-2.0
"""What hand-over tests share: a datagram each millisecond and an ARP query each ten, and what became of them."""
from lan_case import *  # noqa: F403
from udp_probe import UdpProbe, echoes

PORT = 7000
VIP = "192.168.50.50"


class HandOverTest(LanTest):
    def start_probe(self):
        """Begins to probe the address, once every node echoes."""
        for node in self.lab.nodes:
            node.start_udp_echo(PORT)
        for address in [*(node.address for node in self.lab.nodes), self.vip]:
            wait_for(f"an echo from {address}", lambda address=address: echoes(self.lab.client, address, PORT))
        return UdpProbe(self.lab, self.vip, PORT)

    def ask_each_10_ms(self, seconds, first=lambda: None):
        first()
        asked = 0
        until = time.monotonic() + seconds
        while time.monotonic() < until:
            self.census.ask(self.vip)
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


__all__ = ["json", "HandOverTest", "PORT", "VIP", "signal", "time", "unittest", "wait_for"]
