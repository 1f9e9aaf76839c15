# SPDX-License-Identifier: Apache-2.0
"""Garbage on the port by which agents follow each other while no controller is there."""
import collections
import contextlib
import hashlib
import random
import threading

from lan_case import *  # noqa: F403
from arp_wire import ETH_P_ALL
from netns import inside_namespace

VIP = "192.168.50.50"
PEER_PORT = 7445
PING, PONG, ASK, TELL = 1, 2, 3, 4  # kinds of packets there, see agent/peer/packet.h


class Probes:
    """The probes of nodes' agents and their answers, as they come in at the switch: whole frames."""

    def __init__(self, lab):
        with inside_namespace(lab.switch_ns):
            self.socket = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, socket.htons(ETH_P_ALL))
        self.socket.setsockopt(socket.SOL_SOCKET, 33, 1 << 23)  # SO_RCVBUFFORCE: garbage must not cost us answers
        self.socket.settimeout(0.05)
        self.macs = {bytes.fromhex(node.mac.replace(":", "")) for node in lab.nodes}
        self.frames, self.ending = [], False
        self.thread = threading.Thread(target=self._collect, daemon=True)
        self.thread.start()

    def _collect(self):
        while not self.ending:
            with contextlib.suppress(TimeoutError):
                frame, (_, _, kind, _, _) = self.socket.recvfrom(2048)
                sent = kind != socket.PACKET_OUTGOING and frame[6:12] in self.macs and frame[12:14] == b"\x08\0"
                if sent and frame[23] == 17 and PEER_PORT in struct.unpack("!HH", frame[34:38]):
                    self.frames.append(frame)

    def close(self):
        self.ending = True
        self.thread.join()
        self.socket.close()


class GarbageOnPeerPort(LanTest):
    """Garbage, forged and recorded probes move nothing while every controller is dead, and keep no dead holder alive for others"""

    def test(self):
        lab = self.cluster(nodes=3, services=2)
        wait_for("standbys", lambda: sum(self.metrics(n)["berth_agent_standby_addresses"] for n in lab.nodes) == 4, 20, 0.05)
        lab.kill_controller()
        probes = Probes(lab)
        self.addCleanup(probes.close)
        holder = lab.node(self.before[VIP])
        others = [node for node in lab.nodes if node is not holder]
        wait_for("probes and answers of each node", lambda: all(
            {self.kind(f) for f in list(probes.frames) if f[6:12].hex(":") == n.mac} >= {PING, PONG} for n in lab.nodes))
        recorded = list(probes.frames)
        since, refused = time.monotonic(), {node: self.refused(node) for node in lab.nodes}
        packets = {node: self.rubbish(node, recorded) for node in lab.nodes}
        with lab.client.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
            for node in lab.nodes:
                for packet in packets[node]:
                    sock.sendto(packet, (node.address, PEER_PORT))
        for node in lab.nodes:  # before the rest, that must not find their queues full of it
            wait_for("their refusal", lambda node=node: self.refused(node) >= refused[node] + len(packets[node]), 10, 0.05)
        self.replay(recorded)
        asked = {self.nonce(f) for f in recorded if self.kind(f) == PING}

        def answered_again():
            answers = collections.Counter(self.nonce(f) for f in list(probes.frames) if self.kind(f) == PONG)
            return all(answers[nonce] > 1 for nonce in asked)
        wait_for("the recorded questions to be answered once more", answered_again, 10, 0.05)
        self.assert_each_answered_once(self.before)
        self.assertEqual([self.metrics(n)["berth_agent_take_overs_total"] for n in lab.nodes], [0] * 3)
        self.assertEqual([n.agent.poll() for n in lab.nodes], [None] * 3)
        self.assertEqual([f for f in self.tap.gratuitous(since) if f.host != self.before.get(f.sender_ip)], [])
        self.assertEqual(self.census.twice_answered(), [])

        holder.kill_agent()
        recorded = [f for f in probes.frames if f[6:12].hex(":") == holder.mac]

        def followed():
            self.replay(recorded[-200:])
            return self.census.who_answers([VIP], 0.1)[VIP]
        self.assertIn(wait_for("a successor", followed, 20)[0], [node.name for node in others])
        wait_for("its silence", lambda: all(self.metrics(n)['berth_agent_peers{state="silent"}'] == 1 for n in others))

    def kind(self, frame):
        return frame[42 + 4]

    def nonce(self, frame):
        return frame[42 + 48:42 + 64]

    def refused(self, node):
        return self.metrics(node)["berth_agent_peer_refused_total"]

    def replay(self, frames):
        """They come once more, word for word and from the same address, though by another way."""
        for frame in frames:
            self.lab.asker.socket.send(frame[:6] + self.lab.asker.mac + frame[12:40] + b"\0\0" + frame[42:])  # without checksum

    def rubbish(self, node, recorded):
        """What none of them may heed: noise of all sizes, and probes in the name of another, all but for the seal."""
        rng = random.Random(7)
        tag = hashlib.sha256(node.name.encode()).digest()[:16]
        good = next(f[42:] for f in recorded if self.kind(f) == PING and f[42 + 32:42 + 48] == tag)
        claim = struct.pack("!BBHI16sQQ", 4, 3, 0, 0, socket.inet_aton(VIP), 1 << 63, 1 << 63)  # held, of a term to come
        forged = [good[:4] + bytes([kind, 3, 0, 0]) + good[8:72] + b"\xff" * 16 + good[88:] for kind in (PING, PONG)]
        forged += [good[:4] + bytes([kind, 3, 1, 0]) + good[8:72] + b"\xff" * 16 + claim.ljust(640, b"\0") + rng.randbytes(32)
                   for kind in (ASK, TELL)]
        return [b"", b"BRP1", good[:-1], good + b"\0", b"\0" * 120, b"\xff" * 760, *forged,
                *(rng.randbytes(rng.choice([1, 119, 120, 121, 760, 1400])) for _ in range(20)),
                *(good[:at] + bytes([good[at] ^ 1]) + good[at + 1:] for at in range(len(good)))]


if __name__ == "__main__":
    unittest.main()
