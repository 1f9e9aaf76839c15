# SPDX-License-Identifier: Apache-2.0
"""What hand-over tests share: a datagram each millisecond and an ARP query each ten, and what became of them."""
from lan_case import *  # noqa: F403
from udp_probe import UdpProbe, echoes

PORT = 7000
VIP = "192.168.50.50"


class HandOverTest(LanTest):
    _probed = None

    @property
    def probed(self):
        """The address that is probed and asked for."""
        return self._probed or self.vip

    def start_probe(self, address=None):
        """Begins to probe the address, the first one if none is given, once every node echoes."""
        self._probed = address
        for node in self.lab.nodes:
            node.start_udp_echo(PORT)
        for at in [*(node.address for node in self.lab.nodes), self.probed]:
            wait_for(f"an echo from {at}", lambda at=at: echoes(self.lab.client, at, PORT))
        return UdpProbe(self.lab, self.probed, PORT)

    def ask_each_10_ms(self, seconds, first=lambda: None, longer=lambda: False):
        """Returns how often it asked; goes on as long as `longer`."""
        first()
        asked = 0
        until = time.monotonic() + seconds
        while time.monotonic() < until or longer():
            self.census.ask(self.probed)
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
        for mac, (asked_at, address) in reversed(self.census.asked.items()):
            if address != self.probed:
                continue
            if mac in answered:
                next_answer = min(answered[mac], next_answer or answered[mac])
            if next_answer is not None:
                longest = max(longest, next_answer - asked_at)
        return longest


__all__ = ["json", "HandOverTest", "PORT", "VIP", "signal", "time", "unittest", "wait_for"]
