# SPDX-License-Identifier: Apache-2.0
"""What the whole-program tests share: a cluster on a LAN, and a census of who answers.

Each TestCase class is one ctest test; its docstring is the promise and the test's name.
"""
import json
import math
import os
import signal
import socket
import struct
import sys
import time
import unittest
import urllib.request

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "../../../tools/lib"))
from capture import Capture  # noqa: E402
from lab import Lab, eip, service  # noqa: E402
from ndp_wire import IPV6_ONLY, NdpTap, solicitation  # noqa: E402
from netns import wait_for  # noqa: E402

# Nobody's addresses on the LAN, in its networks: requests sent in their name spoil no host's neighbour table.
STRANGER, STRANGER6 = "192.168.50.253", "fd00:50::253"


class Census:
    """Asks for addresses, each time in the name of another MAC, so that every answer is counted for its own request.

    Answers are taken from the switch's ports: `answers` tells the hosts that sent them, not the MACs they claim.
    """

    def __init__(self, lab, tap):
        self.lab, self.tap = lab, tap
        self.asked = {}  # MAC asked with -> (time, address)
        self.began = time.monotonic()
        self._next = 0

    def ask(self, address, asker=None):
        """From the client; the Asker of another host asks where that one is."""
        self._next += 1
        mac = b"\x02\xbe" + struct.pack("!I", self._next)
        if ":" in address:
            request = solicitation(address, STRANGER6, mac.hex(":"))
        else:
            request = struct.pack("!6s6sHHHBBH6s4s6s4s", b"\xff" * 6, mac, 0x0806, 1, 0x0800, 6, 4, 1, mac,
                                  socket.inet_aton(STRANGER), b"\0" * 6, socket.inet_aton(address))
        self.asked[mac.hex(":")] = (time.monotonic(), address)
        (asker or self.lab.asker).socket.send(request.ljust(60, b"\0"))

    def ask_all(self, addresses, asker=None):
        for address in addresses:
            self.ask(address, asker)

    def ask_for(self, seconds, addresses, every=0.02):
        """Asks for all of them again and again."""
        until = time.monotonic() + seconds
        while time.monotonic() < until:
            self.ask_all(addresses)
            time.sleep(every)

    def answers(self, since=0.0):
        """(time asked, address, [hosts that answered]) of each request since then."""
        found = {mac: [] for mac, (when, _) in self.asked.items() if when >= since}
        for frame in self.tap.replies(since):
            if frame.target_mac in found and self.asked[frame.target_mac][1] == frame.sender_ip:
                found[frame.target_mac].append(frame.host)
        return [(*self.asked[mac], hosts) for mac, hosts in found.items()]

    def twice_answered(self, since=0.0):
        return [(address, hosts) for _, address, hosts in self.answers(since) if len(hosts) > 1]

    def who_answers(self, addresses, timeout=5.0):
        """address -> sorted hosts that answer one request; asks again for those that nobody answers, until the timeout."""
        result = {address: [] for address in addresses}
        deadline = time.monotonic() + timeout
        missing = list(addresses)
        while missing and time.monotonic() < deadline:
            since = time.monotonic()
            for i, address in enumerate(missing):
                self.ask(address)
                if i % 50 == 49:
                    time.sleep(0.02)
            time.sleep(0.4)
            for _, address, hosts in self.answers(since):
                result[address] = sorted(hosts)
            missing = [a for a in missing if not result[a]]
        return result


def kernels_that_answer(census, addresses, nodes):
    """The nodes of `nodes`, none of which is to answer, that answer for any of the addresses all the same."""
    seen = set()
    for _ in range(3):
        for hosts in census.who_answers(addresses, timeout=0.3).values():
            seen.update(hosts)
    return sorted(seen & {node.name for node in nodes})


def speak_from(node, address, to):
    """The node's kernel must ask for `to` before it can send a packet from `address`."""
    node.ip("neigh", "flush", "all")
    sender = node.socket(socket.AF_INET, socket.SOCK_DGRAM)
    sender.bind((address, 0))
    sender.sendto(b"x", (to.address, 9))
    sender.close()


def announcements(tap, address, mac, since=0.0):
    """When a host with that MAC spoke of the address unasked; the two forms that ARP has for it count once."""
    times = [f.time for f in tap.gratuitous(since) if (f.sender_ip, f.sender_mac) == (address, mac)]
    return [at for i, at in enumerate(times) if i == 0 or at - times[i - 1] > 0.05]


class LanTest(unittest.TestCase):
    """All that crosses the LAN is captured and judged in the end, see tools/lib/check_capture.py."""

    planted = ()  # what the judge must find: kinds of faults that the test itself brings about
    allowed = ()  # ... and what it may find for the same reason
    six = False  # of which family the addresses are that the test is about
    _failed = False

    @property
    def vip(self):
        """The address that comes first."""
        return self.of_family("192.168.50.50")

    def of_family(self, address):
        """That IPv4 address of the LAN, or in a test of IPv6 the IPv6 one that ends as it does."""
        return f"fd00:50::{address.rpartition('.')[2]}" if self.six else address

    def _callTestMethod(self, method):
        try:
            method()
        except BaseException:
            self._failed = True
            raise

    def new_lab(self, nodes=3, **kwargs):
        lab = Lab(nodes=nodes, **kwargs)
        self.addCleanup(lab.close)
        self.addCleanup(self._show_logs, lab)
        self.lab = lab
        if self.six:
            lab.add_ipv6()
        self.addCleanup(self._judge, Capture(lab, os.path.join(lab.folder, "capture.pcap")))
        return lab

    def range(self, first="192.168.50.50", last="192.168.50.60"):
        return f"{self.of_family(first)}-{self.of_family(last)}"

    def service(self, name, **kwargs):
        return service(name, extra=IPV6_ONLY if self.six else "", **kwargs)

    def listen(self):
        """From here on what hosts say of addresses is collected, and may be asked for."""
        self.tap = self.lab.tap(*([NdpTap] if self.six else []))
        self.census = Census(self.lab, self.tap)

    def _judge(self, capture):
        wrong = capture.end()
        kinds = {line.split()[1] for line in wrong}
        unlike = [line for line in wrong if line.split()[1] not in {*self.planted, *self.allowed}]
        if unlike:
            self._failed = True
            self.fail("the capture shows:\n" + "\n".join(unlike[:20]))
        if not self._failed:
            self.assertLessEqual(set(self.planted), kinds, "what was planted is not found")

    def _show_logs(self, lab):
        if not self._failed:
            return
        for name in sorted(os.listdir(lab.folder)):
            if name.endswith(".log"):
                with open(os.path.join(lab.folder, name), errors="replace") as f:
                    print(f"--- {name}, its end", "".join(f.readlines()[-25:]), sep="\n", file=sys.stderr)

    def metrics(self, node=None):
        """name{labels} -> value, as the page of the node's agent has it, or that of the controller."""
        with (node or self.lab.controller_host).inside():
            with urllib.request.urlopen(f"http://127.0.0.1:{8081 if node else 8080}/metrics", timeout=5) as page:
                lines = page.read().decode().splitlines()
        return {name: float(value) for name, value in
                (line.rsplit(" ", 1) for line in lines if line and not line.startswith("#"))}

    def cluster(self, nodes=3, services=1, pool=None, ports=((80, "TCP"),), everywhere=(), flags=()):
        """A running cluster whose Services all have their address.

        `everywhere`: addresses on each node's kube-ipvs0 already. `flags`: of each agent.
        """
        lab = self.new_lab(nodes)
        if everywhere:
            for node in lab.nodes:
                node.add_kube_ipvs0(*everywhere)
        lab.start(*flags)
        lab.manifest("pool.yaml", eip(address=pool or self.range()))
        lab.manifest("services.yaml", "---\n".join(self.service(f"s{i}", ports=ports) for i in range(services)))
        self.before = lab.wait_announced(services, 60)
        self.listen()
        return lab

    def loaded_node(self):
        """The node that holds most addresses, and these."""
        held = {}
        for address, name in self.before.items():
            held.setdefault(name, []).append(address)
        name = max(held, key=lambda n: len(held[n]))
        return self.lab.node(name), sorted(held[name])

    def assert_each_answered_once(self, holders):
        """Each address is answered for by its holder, once."""
        found = self.census.who_answers(holders)
        wrong = {a: (hosts, holders[a]) for a, hosts in found.items() if hosts != [holders[a]]}
        self.assertFalse(wrong, "address: (who answered, the holder)")

    def assert_balanced(self, holders, nodes):
        most = max(sum(h == n.name for h in holders.values()) for n in nodes)
        self.assertLessEqual(most, math.ceil(1.25 * len(holders) / len(nodes)))


__all__ = ["json", "announcements", "Census", "LanTest", "Lab", "eip", "service", "wait_for", "kernels_that_answer", "speak_from",
           "STRANGER", "os", "signal", "socket", "struct", "time", "unittest"]
