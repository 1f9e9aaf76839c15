# SPDX-License-Identifier: Apache-2.0
"""What a client notices: a datagram each millisecond to an address, and an ARP request each ten."""
import itertools
import socket
import struct
import threading
import time


def echoes(host, address, port):
    """Whether a datagram from a host to the address comes back."""
    family = socket.AF_INET6 if ":" in address else socket.AF_INET
    with host.socket(family, socket.SOCK_DGRAM) as sock:
        sock.settimeout(0.2)
        try:
            sock.sendto(b"ping", (address, port))
            return sock.recv(64) == b"ping"
        except OSError:
            return False


class UdpProbe:
    """A datagram each millisecond from the client to the address, through the client's real neighbour cache.

    Nodes echo them (Node.start_udp_echo).
    """

    def __init__(self, lab, address, port):
        self.to = (address, port)
        family = socket.AF_INET6 if ":" in address else socket.AF_INET
        self.socket = lab.client.socket(family, socket.SOCK_DGRAM)
        self.socket.setsockopt(socket.SOL_SOCKET, 33, 1 << 23)  # SO_RCVBUFFORCE
        self.socket.settimeout(0.2)
        self.sent_at, self.got, self.ending = [], set(), False
        self.threads = [threading.Thread(target=run, daemon=True) for run in (self._send, self._receive)]
        for thread in self.threads:
            thread.start()

    @property
    def sent(self):
        return len(self.sent_at)

    def _send(self):
        due = time.monotonic()
        while not self.ending:
            number = struct.pack("!I", len(self.sent_at))
            self.sent_at.append(time.monotonic())
            try:
                self.socket.sendto(number, self.to)
            except OSError:  # the kernel says that nobody answers for it: lost, like one that is not echoed
                pass
            due += 0.001
            time.sleep(max(0.0, due - time.monotonic()))

    def _receive(self):
        quiet_since = None
        while quiet_since is None or time.monotonic() - quiet_since < 0.5:
            try:
                self.got.add(struct.unpack("!I", self.socket.recv(64))[0])
            except TimeoutError:
                pass
            except OSError:
                continue
            else:
                quiet_since = None
                continue
            if self.ending:
                quiet_since = quiet_since or time.monotonic()

    def answered_since(self, number):
        """Whether one of the datagrams from this number on was echoed."""
        return any(n >= number for n in tuple(self.got))

    def end(self):
        """The numbers of the datagrams that were not echoed."""
        self.ending = True
        for thread in self.threads:
            thread.join()
        self.socket.close()
        return sorted(set(range(self.sent)) - self.got)

    def longest_gap(self):
        """After end(): the longest time from an echoed datagram to the next such one with lost ones between, in seconds."""
        answered = sorted(self.got)
        return max((self.sent_at[b] - self.sent_at[a] for a, b in itertools.pairwise(answered) if b != a + 1), default=0.0)


class ArpQueries:
    """A broadcast ARP request for the address each ten milliseconds, from a raw socket of its own on the client."""

    def __init__(self, asker, address):
        self.asker, self.address = asker, address
        self.asked, self.answers, self.ending = [], [], False
        self.threads = [threading.Thread(target=run, daemon=True) for run in (self._ask, self._listen)]
        asker.drain()
        for thread in self.threads:
            thread.start()

    def _ask(self):
        due = time.monotonic()
        while not self.ending:
            self.asked.append(time.monotonic())
            self.asker.ask(self.address)
            due += 0.01
            time.sleep(max(0.0, due - time.monotonic()))

    def _listen(self):
        while not self.ending:
            for when, op, mac, ip, _, _, _ in self.asker.frames(0.2):
                if op == 2 and ip == self.address:
                    self.answers.append((when, mac))

    def end(self):
        self.ending = True
        for thread in self.threads:
            thread.join()

    def longest_wait(self):
        """The longest time from a request to the first answer after it, in seconds."""
        longest, answers = 0.0, iter(self.answers)
        answer = next(answers, None)
        for asked in self.asked:
            while answer is not None and answer[0] < asked:
                answer = next(answers, None)
            if answer is None:
                break  # after the last one: the end of the run
            longest = max(longest, answer[0] - asked)
        return longest
