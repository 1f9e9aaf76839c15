# SPDX-License-Identifier: Apache-2.0
"""ARP on a lab's LAN: who asks, what is answered, and what really left each host."""
import contextlib
import ctypes
import socket
import struct
import threading
import time

from netns import inside_namespace, wait_for

ETH_P_ALL, ETH_P_ARP = 3, 0x0806
SO_ATTACH_FILTER, SOL_PACKET, PACKET_IGNORE_OUTGOING = 26, 263, 23


class Asker:
    """Asks by ARP from a host and listens to what the LAN says, on a raw socket of its own."""

    def __init__(self, host, interface="eth0"):
        self.host = host
        with host.inside():
            self.socket = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, socket.htons(0x0806))
            self.socket.bind((interface, 0x0806))
        self.mac = bytes.fromhex(host.mac.replace(":", ""))
        self.address = socket.inet_aton(host.address)

    def ask(self, address, sender=None, mac=None):
        """A broadcast request, in the name of another IP address or MAC if one is given."""
        mac = mac or self.mac
        request = struct.pack("!6s6sHHHBBH6s4s6s4s", b"\xff" * 6, mac, 0x0806, 1, 0x0800, 6, 4, 1, mac,
                              socket.inet_aton(sender) if sender else self.address, b"\0" * 6, socket.inet_aton(address))
        self.socket.send(request.ljust(60, b"\0"))

    def frames(self, seconds):
        """ARP frames until `seconds` have passed: (time, op, sender mac, sender ip, target mac, target ip, to)."""
        deadline = time.monotonic() + seconds
        while True:
            left = deadline - time.monotonic()
            if left <= 0:
                return
            self.socket.settimeout(left)
            try:
                frame = self.socket.recv(2048)
            except (TimeoutError, BlockingIOError):
                return
            now = time.monotonic()
            if len(frame) < 42:
                continue
            to, _, _, _, _, _, _, op, smac, sip, tmac, tip = struct.unpack("!6s6sHHHBBH6s4s6s4s", frame[:42])
            yield (now, op, smac.hex(":"), socket.inet_ntoa(sip), tmac.hex(":"), socket.inet_ntoa(tip), to.hex(":"))

    def drain(self):
        self.socket.setblocking(False)
        with contextlib.suppress(BlockingIOError):
            while True:
                self.socket.recv(2048)

    def who_has(self, address, seconds=0.3):
        """MACs that answer a broadcast request for `address`, one for each answer, in order. An announcement is none."""
        self.drain()
        self.ask(address)
        return [smac for _, op, smac, sip, _, tip, to in self.frames(seconds)
                if op == 2 and sip == address and tip != address and self._hears(to)]

    def _hears(self, to):
        """Whether a frame is for this host; the socket sees also what the switch does not know where to send."""
        return to in (self.host.mac, "ff:ff:ff:ff:ff:ff")

    def answered_within(self, address, seconds):
        """The first MAC that answers, or None."""
        self.drain()
        self.ask(address)
        for _, op, smac, sip, _, _, to in self.frames(seconds):
            if op == 2 and sip == address and self._hears(to):
                return smac
        return None

    def close(self):
        self.socket.close()


class Tap:
    """All ARP frames that hosts send, as the switch receives them, port by port; a thread collects them.

    Tells what really left a host, whatever MAC the frame claims, also what the switch then drops.
    """

    # ldh [12]; jeq #0x806, accept; ret 0
    FILTER = struct.pack("HBBI" * 4, 0x28, 0, 0, 12, 0x15, 0, 1, ETH_P_ARP, 0x06, 0, 0, 0x40000, 0x06, 0, 0, 0)

    def __init__(self, lab):
        self._lab = lab
        self.port_to_name = {host.port: host.name for host in lab.hosts}
        with inside_namespace(lab.switch_ns):
            self.socket = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, socket.htons(ETH_P_ALL))
        self._program = ctypes.create_string_buffer(self.FILTER)
        self.socket.setsockopt(socket.SOL_SOCKET, SO_ATTACH_FILTER,
                               struct.pack("HL", len(self.FILTER) // 8, ctypes.addressof(self._program)))
        self.socket.setsockopt(SOL_PACKET, PACKET_IGNORE_OUTGOING, 1)
        with contextlib.suppress(OSError):
            self.socket.setsockopt(socket.SOL_SOCKET, 33, 1 << 23)  # SO_RCVBUFFORCE
        self.socket.settimeout(0.1)
        self._frames, self._lock, self._ended = [], threading.Lock(), False
        self._thread = threading.Thread(target=self._collect, daemon=True)
        self._thread.start()

    def _collect(self):
        while not self._ended:
            try:
                frame, (port, _, _, _, _) = self.socket.recvfrom(2048)
            except TimeoutError:
                continue
            except OSError:
                return
            name = self.port_to_name.get(port) or self._lab.names_of_ports.get(port)
            if name is None or len(frame) < 42:
                continue
            found = self.decoded(time.monotonic(), name, frame)
            if found is None:
                continue
            with self._lock:
                self._frames.append(found)

    def decoded(self, when, host, frame):
        return ArpFrame(when, host, frame)

    def frames(self, since=0.0):
        with self._lock:
            return [f for f in self._frames if f.time >= since]

    def replies(self, since=0.0):
        return [f for f in self.frames(since) if f.op == 2 and f.sender_ip != f.target_ip]

    def gratuitous(self, since=0.0):
        """Frames in which a host speaks of an address unasked, in either form."""
        return [f for f in self.frames(since) if f.sender_ip == f.target_ip]

    def wait_all_told(self):
        """Until no host has spoken of an address unasked for longer than holders wait between their repetitions."""
        began = time.monotonic()
        wait_for("the last gratuitous frame", lambda: began < time.monotonic() - 5 and not self.gratuitous(time.monotonic() - 5), 30, 0.1)

    def close(self):
        self._ended = True
        self._thread.join(5)
        self.socket.close()


class ArpFrame:
    """One ARP frame and the host that sent it."""

    def __init__(self, when, host, frame):
        self.time, self.host = when, host
        to, source, _, _, _, _, _, op, smac, sip, tmac, tip = struct.unpack("!6s6sHHHBBH6s4s6s4s", frame[:42])
        self.op, self.to, self.source = op, to.hex(":"), source.hex(":")
        self.sender_mac, self.sender_ip = smac.hex(":"), socket.inet_ntoa(sip)
        self.target_mac, self.target_ip = tmac.hex(":"), socket.inet_ntoa(tip)

    def __repr__(self):
        form = {1: "request", 2: "reply"}.get(self.op, self.op)
        return (f"<{self.time:.3f} {self.host}: {form} {self.sender_ip} is {self.sender_mac}, "
                f"to {self.target_ip} {self.target_mac}>")
