# SPDX-License-Identifier: Apache-2.0
"""Garbage on the port by which agents follow each other while no controller is there."""
import collections
import hashlib
import random

from lan_case import *  # noqa: F403
from arp_wire import Tap

VIP = "192.168.50.50"
PEER_PORT = 7445
PING, PONG, ASK, TELL = 1, 2, 3, 4  # kinds of packets there, see agent/peer/packet.h


class PeerFrame:
    """One probe or answer, the whole frame, and the host that sent it."""

    def __init__(self, when, host, frame):
        self.time, self.host, self.bytes = when, host, frame
        self.packet = frame[42:]
        self.kind, self.nonce = self.packet[4], self.packet[48:64]


class PeerTap(Tap):
    # As Tap, of what the agents of nodes send each other by UDP. (With a docstring it would be a test.)

    # ldh [12]; jeq #0x800; ldb [23]; jeq #17; ret #0x40000; drop: ret #0
    FILTER = struct.pack("HBBI" * 6, 0x28, 0, 0, 12, 0x15, 0, 3, 0x0800, 0x30, 0, 0, 23, 0x15, 0, 1, 17,
                         0x06, 0, 0, 0x40000, 0x06, 0, 0, 0)

    def __init__(self, lab):
        self.nodes = {node.name for node in lab.nodes}
        super().__init__(lab)

    def decoded(self, when, host, frame):
        ours = host in self.nodes and PEER_PORT in struct.unpack("!HH", frame[34:38])
        return PeerFrame(when, host, frame) if ours else None


class GarbageOnPeerPort(LanTest):
    """Garbage, forged and recorded probes move nothing while every controller is dead, and keep no dead holder alive for others"""

    def test(self):
        lab = self.cluster(nodes=3, services=2)
        wait_for("standbys", lambda: sum(self.metrics(n)["berth_agent_standby_addresses"] for n in lab.nodes) == 4, 20, 0.05)
        lab.kill_controller()
        probes = PeerTap(lab)
        self.addCleanup(probes.close)
        holder = lab.node(self.before[VIP])
        others = [node for node in lab.nodes if node is not holder]
        wait_for("probes and answers of each node", lambda: all(
            {f.kind for f in probes.frames() if f.host == n.name} >= {PING, PONG} for n in lab.nodes))
        recorded = probes.frames()
        since, refused = time.monotonic(), {node: self.refused(node) for node in lab.nodes}
        packets = {node: self.rubbish(node, recorded) for node in lab.nodes}
        with lab.client.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
            for node in lab.nodes:
                for packet in packets[node]:
                    sock.sendto(packet, (node.address, PEER_PORT))
        for node in lab.nodes:  # before the rest, that must not find their queues full of it
            wait_for("their refusal", lambda node=node: self.refused(node) >= refused[node] + len(packets[node]), 10, 0.05)
        self.replay(recorded)
        asked = {f.nonce for f in recorded if f.kind == PING}

        def answered_again():
            answers = collections.Counter(f.nonce for f in probes.frames() if f.kind == PONG)
            return all(answers[nonce] > 1 for nonce in asked)
        wait_for("the recorded questions to be answered once more", answered_again, 10, 0.05)
        self.assert_each_answered_once(self.before)
        self.assertEqual([self.metrics(n)["berth_agent_take_overs_total"] for n in lab.nodes], [0] * 3)
        self.assertEqual([n.agent.poll() for n in lab.nodes], [None] * 3)
        self.assertEqual([f for f in self.tap.gratuitous(since) if f.host != self.before.get(f.sender_ip)], [])
        self.assertEqual(self.census.twice_answered(), [])

        holder.kill_agent()
        recorded = [f for f in probes.frames() if f.host == holder.name]

        def followed():
            self.replay(recorded[-200:])
            return self.census.who_answers([VIP], 0.1)[VIP]
        self.assertIn(wait_for("a successor", followed, 20)[0], [node.name for node in others])
        wait_for("its silence", lambda: all(self.metrics(n)['berth_agent_peers{state="silent"}'] == 1 for n in others))

    def refused(self, node):
        return self.metrics(node)["berth_agent_peer_refused_total"]

    def replay(self, frames):
        """They come once more, word for word and from the same address, though by another way."""
        asker = self.lab.asker
        for frame in frames:
            asker.socket.send(frame.bytes[:6] + asker.mac + frame.bytes[12:40] + b"\0\0" + frame.packet)  # without checksum

    def rubbish(self, node, recorded):
        """What none of them may heed: noise of all sizes, and probes in the name of another, all but for the seal."""
        rng = random.Random(7)
        tag = hashlib.sha256(node.name.encode()).digest()[:16]
        good = next(f.packet for f in recorded if f.kind == PING and f.packet[32:48] == tag)
        claim = struct.pack("!BBHI16sQQ", 4, 3, 0, 0, socket.inet_aton(VIP), 1 << 63, 1 << 63)  # held, of a term to come
        forged = [good[:4] + bytes([kind, 3, 0, 0]) + good[8:72] + b"\xff" * 16 + good[88:] for kind in (PING, PONG)]
        forged += [good[:4] + bytes([kind, 3, 1, 0]) + good[8:72] + b"\xff" * 16 + claim.ljust(640, b"\0") + rng.randbytes(32)
                   for kind in (ASK, TELL)]
        return [b"", b"BRP1", good[:-1], good + b"\0", b"\0" * 120, b"\xff" * 760, *forged,
                *(rng.randbytes(rng.choice([1, 119, 120, 121, 760, 1400])) for _ in range(20)),
                *(good[:at] + bytes([good[at] ^ 1]) + good[at + 1:] for at in range(len(good)))]


if __name__ == "__main__":
    unittest.main()
