# SPDX-License-Identifier: Apache-2.0
"""Garbage from outside: nobody who works is disturbed by it."""
import random

from lan_case import *  # noqa: F403
from ndp_wire import NdpAsker, own_ipv6, solicitation
from netns import run

VIP = "192.168.50.50"
H2_PREFACE = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"


class GarbageOnPorts(LanTest):
    """Garbage and HTTP/1 on the controller's gRPC ports disturb no agent and no berthctl"""

    def test(self):
        lab = self.cluster(nodes=2, services=2)
        rng = random.Random(7)
        payloads = [b"", b"\0" * 4096, b"GET / HTTP/1.1\r\nHost: x\r\n\r\n", H2_PREFACE, H2_PREFACE + b"\xff" * 9 * 100,
                    H2_PREFACE + b"\0\0\0\x04\0\0\0\0\0" + b"\xff\xff\xff\x01\x05\0\0\0\x01" + b"x" * 1000,
                    *(rng.randbytes(rng.randrange(1, 20000)) for _ in range(20))]
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
        with open(lab.controller_log, errors="replace") as log:
            self.assertNotIn("agent lost", log.read())
        self.assert_each_answered_once(self.before)


class GarbageOnTheLan(LanTest):
    """Malformed ARP frames get no answer, and after them and a flood of 50,000 a holder goes on answering"""

    def test(self):
        lab = self.cluster(nodes=2, services=1)
        holder = lab.node(self.before[VIP])
        good = self.request()
        since = time.monotonic()
        for name, frame in self.malformed(good).items():
            with self.subTest(name):
                lab.asker.socket.send(frame)
        time.sleep(0.5)
        self.assertEqual([f for f in self.tap.replies(since) if f.target_ip == STRANGER], [])
        self.assert_each_answered_once(self.before)

        rng = random.Random(7)
        for i in range(50_000):
            frame = bytearray(good)
            if i % 2:  # else a good question
                for _ in range(4):
                    frame[rng.randrange(12, len(frame))] = rng.randrange(256)
            lab.asker.socket.send(frame)
            if i % 100 == 99:
                time.sleep(0.01)  # else the kernel's own queue is full, and what it drops is anybody's
        answered = lambda: self.census.who_answers([VIP], 0.3)[VIP] == [holder.name]  # noqa: E731
        wait_for("an answer after the flood", answered, 10)
        lab.wait_agents(2)
        self.assertEqual(lab.holders(), self.before)

    def request(self):
        mac = b"\x02\xbe\xff\xff\0\0"
        return struct.pack("!6s6sHHHBBH6s4s6s4s", b"\xff" * 6, mac, 0x0806, 1, 0x0800, 6, 4, 1, mac,
                           socket.inet_aton(STRANGER), b"\0" * 6, socket.inet_aton(VIP)).ljust(60, b"\0")

    def malformed(self, good):
        def put(at, value):
            return good[:at] + value + good[at + len(value):]
        return {"truncated": good[:30], "cut before the target": good[:38], "only a header": good[:14],
                "hardware type": put(14, b"\0\x06"), "protocol type": put(16, b"\x86\xdd"),
                "hardware length": put(18, b"\x08"), "protocol length": put(19, b"\x10"),
                "operation 0": put(20, b"\0\0"), "operation 99": put(20, b"\0\x63"),
                "VLAN tag": good[:12] + b"\x81\x00\x00\x05" + good[12:],
                "sender differs from the frame's": put(6, b"\x01\0\x5e\0\0\x01")}


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
        page = node.exec("curl", "-s", "http://127.0.0.1:8081/metrics").stdout
        name = f'berth_agent_{"ndp" if self.six else "arp"}_{what}_total{{interface="eth0"}}'
        return float(next(line for line in page.splitlines() if line.startswith(name)).split()[1])


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


if __name__ == "__main__":
    unittest.main()
