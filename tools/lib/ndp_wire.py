# SPDX-License-Identifier: Apache-2.0
"""Neighbour discovery on a lab's LAN: who asks, what is answered, and what really left each host, told by tshark."""
import contextlib
import os
import socket
import struct
import subprocess
import time

from arp_wire import Tap
from netns import inside_command, inside_namespace, run, wait_for

SOLICITATION, ADVERTISEMENT = 135, 136
IPV6_ONLY = "  ipFamilies: [IPv6]\n  ipFamilyPolicy: SingleStack\n"  # of a Service's spec
ALL_NODES, ALL_NODES_MAC = "ff02::1", "33:33:00:00:00:01"


def own_ipv6(host):
    """An IPv6 address for a host of a lab, by its IPv4 one."""
    return f"fd00:50::{host.address.rpartition('.')[2]}"


def packed(address):
    return socket.inet_pton(socket.AF_INET6, address)


def unpacked(address):
    return socket.inet_ntop(socket.AF_INET6, address)


def group_of(address):
    """The group in which hosts that have `address` are asked, and its MAC."""
    tail = packed(address)[13:]
    return socket.inet_ntop(socket.AF_INET6, packed("ff02::1:ff00:0")[:13] + tail), "33:33:ff:" + tail.hex(":")


def _checksum(data):
    total = sum(struct.unpack(f"!{len(data) // 2}H", data))
    while total >> 16:
        total = (total & 0xffff) + (total >> 16)
    return ~total & 0xffff


def summed(frame):
    """The frame with the checksum that its addresses and its message have to have."""
    message = frame[54:56] + b"\0\0" + frame[58:]
    pseudo = frame[22:54] + struct.pack("!II", len(message), 58)
    return frame[:56] + struct.pack("!H", _checksum(pseudo + message)) + frame[58:]


def _frame(kind, flags, target, option, source, destination, mac, to):
    message = struct.pack("!BBHI", kind, 0, 0, flags << 24) + packed(target) + option
    return summed(_mac(to) + _mac(mac) + b"\x86\xdd" + struct.pack("!IHBB", 6 << 28, len(message), 58, 255) + packed(source) +
                  packed(destination) + message)


def _mac(text):
    return bytes.fromhex(text.replace(":", ""))


def solicitation(target, source, mac, to=None):
    """A whole frame that asks for `target`; unicast to the MAC `to`, or to the target's group. `source` may be "::"."""
    group, group_mac = group_of(target)
    option = b"" if source == "::" else b"\1\1" + _mac(mac)
    return _frame(SOLICITATION, 0, target, option, source, target if to else group, mac, to or group_mac)


def announcement(target, mac):
    """A whole frame that tells all nodes that `target` is at that MAC from now on."""
    return _frame(ADVERTISEMENT, 0x20, target, b"\2\1" + _mac(mac), target, ALL_NODES, mac, ALL_NODES_MAC)


class NdpAsker:
    """Asks from a host and listens to what the LAN says, on a raw socket of its own."""

    def __init__(self, host, address):
        self.host, self.address = host, address
        with host.inside():
            self.socket = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, socket.htons(0x86dd))
            self.socket.bind(("eth0", 0x86dd))

    def ask(self, target, to=None, sender=None, mac=None):
        """Unicast to the MAC `to`, or to the group; in the name of another address and MAC if they are given."""
        self.socket.send(solicitation(target, sender or self.address, mac or self.host.mac, to))

    def announce(self, target):
        """That it is at this host."""
        self.socket.send(announcement(target, self.host.mac))

    def frames(self, seconds):
        """Answers to questions until `seconds` have passed, as Asker.frames tells ARP replies."""
        deadline = time.monotonic() + seconds
        while (left := deadline - time.monotonic()) > 0:
            self.socket.settimeout(left)
            try:
                frame, (_, _, kind, _, _) = self.socket.recvfrom(2048)
            except (TimeoutError, BlockingIOError):
                return
            if kind != socket.PACKET_OUTGOING and len(frame) >= 86 and frame[20] == 58 and frame[54] == ADVERTISEMENT \
                    and frame[58] & 0x40:
                yield (time.monotonic(), 2, frame[80:86].hex(":"), unpacked(frame[62:78]), frame[:6].hex(":"),
                       unpacked(frame[38:54]), frame[:6].hex(":"))

    def who_has(self, target, seconds=0.3, to=None):
        """MACs that answer, one for each answer, in order."""
        self.drain()
        self.ask(target, to)
        return [mac for _, _, mac, address, _, _, to in self.frames(seconds)
                if packed(address) == packed(target) and to == self.host.mac]  # it hears also what is for others

    def answered_within(self, target, seconds):
        """The first MAC that answers, or None."""
        self.drain()
        self.ask(target)
        return next((mac for _, _, mac, address, _, _, _ in self.frames(seconds) if packed(address) == packed(target)), None)

    def drain(self):
        self.socket.setblocking(False)
        with contextlib.suppress(BlockingIOError):
            while True:
                self.socket.recv(2048)

    def close(self):
        self.socket.close()


class NdpTap(Tap):
    """As Tap, of solicitations and advertisements, each told as the ARP frame that means the same."""

    # ldh [12]; jeq #0x86dd; ldb [20]; jeq #58; ldb [54]; jge #135; jgt #136, drop; ret #0x40000; drop: ret #0
    FILTER = struct.pack("HBBI" * 9, 0x28, 0, 0, 12, 0x15, 0, 6, 0x86dd, 0x30, 0, 0, 20, 0x15, 0, 4, 58, 0x30, 0, 0, 54,
                         0x35, 0, 2, SOLICITATION, 0x25, 1, 0, ADVERTISEMENT, 0x06, 0, 0, 0x40000, 0x06, 0, 0, 0)

    def decoded(self, when, host, frame):
        return NdpFrame(when, host, frame) if len(frame) >= 78 else None


class NdpFrame:
    """An advertisement is a reply (op 2), and gratuitous where it overrides unasked; a solicitation is a request."""

    def __init__(self, when, host, frame):
        self.time, self.host, self.op = when, host, 1 if frame[54] == SOLICITATION else 2
        self.to, self.source = frame[:6].hex(":"), frame[6:12].hex(":")
        target, flags = unpacked(frame[62:78]), frame[58]
        option = frame[80:86].hex(":") if len(frame) >= 86 else ""
        self.sender_mac, self.target_mac = option, self.to
        if self.op == 1:
            self.sender_ip, self.target_ip = unpacked(frame[22:38]), target
        else:
            unasked = flags & 0x60 == 0x20
            self.sender_ip, self.target_ip = target, target if unasked else unpacked(frame[38:54])

    def __repr__(self):
        form = {1: "asks for", 2: "tells"}[self.op]
        return f"<{self.time:.3f} {self.host}: {self.sender_ip} {self.sender_mac} {form} {self.target_ip} {self.target_mac}>"


class NdpMessage:
    """One solicitation or advertisement as tshark decodes it."""

    FIELDS = {"time": "frame.time_epoch", "port": "sll.ifindex", "eth_dst": "eth.dst", "eth_src": "eth.src",
              "source": "ipv6.src", "destination": "ipv6.dst", "hop_limit": "ipv6.hlim", "type": "icmpv6.type",
              "checksum": "icmpv6.checksum.status", "asked": "icmpv6.nd.ns.target_address",
              "told": "icmpv6.nd.na.target_address", "router": "icmpv6.nd.na.flag.r", "solicited": "icmpv6.nd.na.flag.s",
              "overrides": "icmpv6.nd.na.flag.o", "option": "icmpv6.opt.type", "mac": "icmpv6.opt.linkaddr",
              "port_src": "sll.src.eth", "complaint": "_ws.malformed"}

    def __init__(self, line, names):
        for name, value in zip(self.FIELDS, line.split("\t")):
            setattr(self, name, value)
        self.time = float(self.time)
        self.eth_src = self.eth_src or self.port_src  # the switch's capture has the sender's alone
        self.type = int(self.type)
        self.target = self.asked or self.told
        self.host = names.get(int(self.port)) if self.port else None
        self.solicited, self.overrides, self.router = (flag in ("1", "True") for flag in
                                                       (self.solicited, self.overrides, self.router))

    @property
    def is_announcement(self):
        return self.type == ADVERTISEMENT and not self.solicited and self.overrides

    def __repr__(self):
        form = {SOLICITATION: "asks for", ADVERTISEMENT: "tells of"}.get(self.type, self.type)
        flags = "".join(letter for letter, on in (("S", self.solicited), ("O", self.overrides)) if on)
        return (f"<{self.time:.3f} {self.host or self.eth_src}: {self.source} {form} {self.target} "
                f"{self.mac} {flags} to {self.destination} {self.eth_dst}>")


class NdpCapture:
    """What tcpdump hears: on every port of the switch, as its hosts send it; or at one host."""

    FILTER, message = "icmp6 and (ip6[40] = 135 or ip6[40] = 136)", NdpMessage

    def __init__(self, lab, host=None):
        self.names = {host.port: host.name for host in lab.hosts}
        self.file = os.path.join(lab.folder, f"heard-{host.name if host else 'switch'}-{time.monotonic_ns()}.pcap")
        self.space = host.ns if host else lab.switch_ns
        where = ["-i", "eth0"] if host else ["-i", "any", "-Q", "in"]
        # As root still: else tcpdump gives up root for an account that may not write here.
        self.process = subprocess.Popen(
            inside_command(self.space, "tcpdump", "-Z", "root", "-U", "--immediate-mode", "-n", "-s", "256", "-w", self.file,
                           *where, self.FILTER),
            stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True, process_group=0)
        lab.processes.append(self.process)
        line = self.process.stderr.readline()
        while line and "listening on" not in line:
            line = self.process.stderr.readline()
        if not line:
            raise RuntimeError("tcpdump does not listen")
        self.indexes = {}
        if not host:
            with inside_namespace(self.space):
                self.indexes = {socket.if_nametoindex(port): name for port, name in self.names.items()}

    def messages(self, since=0.0, until=None):
        """All so far; `since` is time.time()."""
        fields = [word for name in self.message.FIELDS.values() for word in ("-e", name)]
        # A capture that grows may end in the middle of a frame, which tshark minds.
        done = run("tshark", "-n", "-r", self.file, "-T", "fields", *fields, check=False)
        found = [self.message(line, self.indexes) for line in done.stdout.splitlines()]
        if self.indexes:  # the bridge itself hears multicast once more
            found = [m for m in found if m.host]
        return [m for m in found if m.time >= since]

    def wait_for(self, what, condition, since=0.0, timeout=15):
        """Waits until some message fulfils `condition`, and returns those that do."""
        return wait_for(what, lambda: [m for m in self.messages(since) if condition(m)], timeout, 0.1)

    def close(self):
        self.process.terminate()
        self.process.wait(10)
        self.process.stderr.close()


__all__ = ["ADVERTISEMENT", "ALL_NODES", "ALL_NODES_MAC", "IPV6_ONLY", "SOLICITATION", "NdpAsker", "NdpCapture", "NdpTap",
           "announcement", "group_of", "own_ipv6", "packed", "solicitation", "summed"]
