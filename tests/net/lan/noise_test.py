# SPDX-License-Identifier: Apache-2.0
"""Garbage from outside: nobody who works is disturbed by it."""
import random

from lan_case import *  # noqa: F403
from lan_case import STRANGER6
from ndp_wire import NdpAsker, announcement, own_ipv6, packed, solicitation, summed
from netns import run

STRANGER_MAC, CLAIM_MAC = "02:be:ff:ff:00:00", "02:be:ff:ff:00:03"
H2_PREFACE = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"


class GarbageOnPorts(LanTest):
    """Garbage and HTTP/1 on the controller's gRPC ports disturb no agent and no berthctl"""

    def test(self):
        lab = self.cluster(nodes=2, services=2)
        rng = random.Random(7)
        payloads = [b"", b"\0" * 4096, b"GET / HTTP/1.1\r\nHost: x\r\n\r\n", H2_PREFACE, H2_PREFACE + b"\xff" * 9 * 100,
                    H2_PREFACE + b"\0\0\0\x04\0\0\0\0\0" + b"\xff\xff\xff\x01\x05\0\0\0\x01" + b"x" * 1000,
                    *(rng.randbytes(rng.randrange(1, 20000)) for _ in range(20))]
        before = self.lost()  # those that dialled again until one led
        for payload in payloads:
            for host, address in ((lab.client, (lab.controller_host.address, 7443)),
                                  (lab.controller_host, ("127.0.0.1", 7444))):
                with host.socket(socket.AF_INET, socket.SOCK_STREAM) as sock:
                    sock.settimeout(2)
                    sock.connect(address)
                    try:
                        sock.sendall(payload)
                        sock.shutdown(socket.SHUT_WR)
                        while sock.recv(4096):
                            pass
                    except OSError:
                        pass  # refused, as it may be
        self.assertEqual(lab.holders(), self.before)
        self.assertEqual({a["state"] for a in lab.get("agents")}, {"READY"})
        self.assertEqual(self.lost(), before)
        self.assert_each_answered_once(self.before)

    def lost(self):
        with open(self.lab.controller_log, errors="replace") as log:
            return log.read().count("agent lost")


class GarbageOnTheLan(LanTest):
    """Malformed ARP frames get no answer, and in and after a flood of 50,000 a holder gives right answers only"""

    def test(self):
        lab = self.cluster(nodes=2, services=1)
        holder = lab.node(self.before[self.vip])
        since = time.monotonic()
        for frame in self.malformed().values():
            lab.asker.socket.send(frame)
        self.assert_each_answered_once(self.before)  # so it has heard all those before
        self.assertEqual([f for f in self.tap.replies(since) if STRANGER_MAC in (f.to, f.target_mac)], [])
        self.assert_no_claim_heard(holder)

        rng = random.Random(7)
        good = self.request()
        for i in range(50_000):
            lab.asker.socket.send(self.mutated(rng) if i % 2 else good)
            if i % 100 == 99:
                time.sleep(0.01)  # else the kernel's own queue is full, and what it drops is anybody's
        answered = lambda: self.census.who_answers([self.vip], 0.3)[self.vip] == [holder.name]  # noqa: E731
        wait_for("an answer after the flood", answered, 10)
        lab.wait_agents(2)
        self.assertEqual(lab.holders(), self.before)
        theirs = {(host.name, host.mac, address) for host in lab.hosts for address in host.addresses("eth0")}
        told = {(f.host, f.sender_mac, f.sender_ip) for f in self.tap.replies(since) if f.host != "client"}
        self.assertEqual(told - theirs, {(holder.name, holder.mac, self.vip)})

    def assert_no_claim_heard(self, holder):
        """There were only questions."""

    def request(self):
        mac = bytes.fromhex(STRANGER_MAC.replace(":", ""))
        return struct.pack("!6s6sHHHBBH6s4s6s4s", b"\xff" * 6, mac, 0x0806, 1, 0x0800, 6, 4, 1, mac,
                           socket.inet_aton(STRANGER), b"\0" * 6, socket.inet_aton(self.vip)).ljust(60, b"\0")

    def mutated(self, rng):
        return scrambled(self.request(), rng)

    def malformed(self):
        good = self.request()
        return {"truncated": good[:30], "cut before the target": good[:38], "only a header": good[:14],
                "hardware type": put(good, 14, b"\0\x06"), "protocol type": put(good, 16, b"\x86\xdd"),
                "hardware length": put(good, 18, b"\x08"), "protocol length": put(good, 19, b"\x10"),
                "operation 0": put(good, 20, b"\0\0"), "operation 99": put(good, 20, b"\0\x63"),
                "VLAN tag": good[:12] + b"\x81\x00\x00\x05" + good[12:],
                "sender differs from the frame's": put(good, 6, b"\x01\0\x5e\0\0\x01")}


class GarbageOnTheLanSix(GarbageOnTheLan):
    """Malformed solicitations get no answer and malformed claims are none, and in and after a flood a holder answers rightly"""

    six = True

    def assert_no_claim_heard(self, holder):
        claimant = "02:be:ff:ff:00:01"
        self.lab.asker.socket.send(announcement(self.vip, claimant))  # is well-formed, and comes after all the others
        wait_for("the claim is told", lambda: claimant in holder.agent_log(), 5)
        self.assertNotIn(CLAIM_MAC, holder.agent_log())

    def request(self):
        return solicitation(self.vip, STRANGER6, STRANGER_MAC)

    def mutated(self, rng):
        frame = scrambled(rng.choice((self.request(), announcement(self.vip, "02:be:ff:ff:00:02"))), rng)
        return summed(frame) if rng.random() < 0.5 else frame

    def malformed(self):
        good = self.request()
        alike = {f"{what} {kind}": bad for kind, frame in (("question", good), ("claim", announcement(self.vip, CLAIM_MAC)))
                 for what, bad in self.malformed_of(frame).items()}
        group = packed("ff02::1")
        return {**alike, "unsummed": put(good, 56, b"\0\0"), "in a group's name": summed(put(good, 22, group)),
                "a probe that names a MAC": summed(put(good, 22, packed("::"))),
                "a probe that is not for the group": summed(put(solicitation(self.vip, "::", STRANGER_MAC), 38, group)),
                "of a station that is a group": put(good, 6, b"\x33\x33\0\0\0\x01")}

    def malformed_of(self, frame):
        """Both kinds have the target at 62, an option at 78."""
        return {"truncated": frame[:60], "cut in the target": frame[:70], "without its option's end": frame[:80],
                "only a header": frame[:14], "forwarded": put(frame, 21, b"\xfe"), "of another protocol": put(frame, 20, b"\x11"),
                "of another version": put(frame, 14, b"\x40"), "with a wrong checksum": put(frame, 61, b"\1"),
                "with code 1": summed(put(frame, 55, b"\1")), "for a group": summed(put(frame, 62, packed("ff02::1:ff00:50"))),
                "with an option of no length": summed(put(frame, 79, b"\0")), "with an endless option": summed(put(frame, 79, b"\xff")),
                "with a group's MAC": summed(put(frame, 80, b"\1\0\x5e\0\0\1")),
                "with a shorter length": put(frame, 18, b"\0\x10"), "with a greater length": put(frame, 18, b"\0\x60"),
                "VLAN tag": frame[:12] + b"\x81\x00\x00\x05" + frame[12:]}


def put(frame, at, value):
    return frame[:at] + value + frame[at + len(value):]


def scrambled(frame, rng):
    """With up to four other bytes behind the MACs."""
    frame = bytearray(frame)
    for _ in range(4):
        frame[rng.randrange(12, len(frame))] = rng.randrange(256)
    return bytes(frame)


class FloodFromOneHost(LanTest):
    """A host that floods the LAN with questions is answered no more than one host may be, a client is answered all the while"""

    def test(self):
        lab = self.cluster(nodes=1, services=1)
        node, asker = lab.nodes[0], self.asker()
        # Else the flood itself would fill the client's ears.
        run("bridge", "-n", lab.switch_ns, "link", "set", "dev", lab.client.port, "bcast_flood", "off", "mcast_flood", "off")
        self.flood(lab.add_host("flooder", "192.168.50.30"))
        began, asked = time.monotonic(), 0
        while not (limited := self.counted(node, "limited")):
            self.assertLess(time.monotonic(), began + 30, "nothing was limited")
            wait_for("an answer to the client", lambda: asker.answered_within(self.vip, 0.2) == node.mac, 10)
            asked += 1
        answered = self.counted(node, "replies")
        self.assertGreater(limited, 0)
        self.assertGreaterEqual(self.counted(node, "requests"), limited + answered)
        seconds = time.monotonic() - began
        # The client may have asked five times a second in vain.
        self.assertLessEqual(answered, 20_000 + 5_000 * seconds + asked + 5 * seconds + 1)
        lab.wait_agents(1)
        self.assertEqual(lab.holders(), self.before)

    def asker(self):
        return self.lab.asker

    def flood(self, host):
        targets = os.path.join(self.lab.folder, "targets")
        with open(targets, "w") as f:
            f.write(self.vip + "\n")
        host.spawn(os.path.join(self.lab.bin, "arp_load"), "flood", f"--sender={host.address}", f"--addresses={targets}",
                   "--seconds=60")

    def counted(self, node, what):
        return self.metrics(node)[f'berth_agent_{"ndp" if self.six else "arp"}_{what}_total{{interface="eth0"}}']


class FloodFromOneHostSix(FloodFromOneHost):
    """A host that floods the LAN with solicitations is answered no more than one host may be, a client all the while"""

    six = True

    def asker(self):
        asker = NdpAsker(self.lab.client, own_ipv6(self.lab.client))
        self.addCleanup(asker.close)
        return asker

    def flood(self, host):
        frame = solicitation(self.vip, own_ipv6(host), host.mac)
        code = ("import socket,sys,time\n"
                "s=socket.socket(socket.AF_PACKET,socket.SOCK_RAW); s.bind(('eth0',0))\n"
                "frame=bytes.fromhex(sys.argv[1]); until=time.monotonic()+60\n"
                "while time.monotonic()<until:\n"
                "  for _ in range(100): s.send(frame)\n")
        host.spawn("python3", "-c", code, frame.hex())


class MoreThanTheBufferHolds(GarbageOnTheLan):
    """What comes while an agent stands still, and fits its buffer no more, is counted as dropped, and then it answers again"""

    def test(self):
        lab = self.cluster(nodes=1, services=1)
        node, request = lab.nodes[0], self.request()
        dropped = lambda: self.metrics(node)['berth_agent_capture_dropped_total{interface="eth0"}']  # noqa: E731
        self.assertEqual(dropped(), 0)
        node.kill_agent(signal.SIGSTOP)
        for _ in range(8_000):  # it holds some 3,500
            lab.asker.socket.send(request)
        node.kill_agent(signal.SIGCONT)
        wait_for("frames that were dropped", dropped, 20, 0.05)
        lab.wait_agents(1)
        wait_for("an answer", lambda: self.census.who_answers([self.vip], 0.3)[self.vip] == [node.name], 20)


if __name__ == "__main__":
    unittest.main()
