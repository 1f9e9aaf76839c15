# SPDX-License-Identifier: Apache-2.0
"""The program that judges captures finds each fault that is planted in one, and nothing in one that is as it must be."""
import os
import struct
import subprocess
import sys
import tempfile
import unittest

CHECK = os.path.join(os.path.dirname(os.path.abspath(__file__)), "../../../tools/lib/check_capture.py")
CLIENT, ONE, TWO = "02:00:00:00:00:19", "02:00:00:00:00:01", "02:00:00:00:00:02"
PORT = {CLIENT: 3, ONE: 4, TWO: 5}
VIP, BROADCAST, NOBODY = "192.168.50.50", "ff:ff:ff:ff:ff:ff", "00:00:00:00:00:00"
ABOUT = '{"ports": {"3": "client", "4": "node1", "5": "node2"}, "changes": %s}'


def mac(text):
    return bytes.fromhex(text.replace(":", ""))


def ip(text):
    return bytes(int(part) for part in text.split("."))


class Tape:
    """Frames in a capture of LINUX_SLL2, each at its second."""

    def __init__(self):
        self.records = []

    def arp(self, when, op, sender, sender_ip, target, target_ip, source=None):
        source = source or sender
        body = struct.pack("!HHBBH", 1, 0x0800, 6, 4, op) + mac(sender) + ip(sender_ip) + mac(target) + ip(target_ip)
        header = struct.pack("!HHIHBB8s", 0x0806, 0, PORT[source], 1, 0, 6, mac(source) + b"\0\0")
        self.records.append((when, header + body))
        return self

    def ask(self, when):
        return self.arp(when, 1, CLIENT, "192.168.50.19", NOBODY, VIP)

    def answer(self, when, node, to=CLIENT, source=None):
        return self.arp(when, 2, node, VIP, to, "192.168.50.19", source)

    def announce(self, when, node):
        return self.arp(when, 1, node, VIP, NOBODY, VIP)

    def judged(self, changes="[]"):
        with tempfile.NamedTemporaryFile(suffix=".pcap") as tape, tempfile.NamedTemporaryFile("w") as about:
            tape.write(struct.pack("!IHHiIII", 0xA1B2C3D4, 2, 4, 0, 0, 262144, 276))
            for when, frame in sorted(self.records):
                tape.write(struct.pack("!IIII", int(when), round(when % 1 * 1e6), len(frame), len(frame)) + frame)
            tape.flush()
            about.write(ABOUT % changes)
            about.flush()
            done = subprocess.run([sys.executable, CHECK, tape.name, "--about", about.name], capture_output=True, text=True)
            lines = done.stdout.splitlines()
            assert done.returncode == (1 if len(lines) > 1 else 0), done.stdout + done.stderr
            return [line.split()[1] for line in lines[:-1]], lines[-1]


class Planted(unittest.TestCase):
    """A capture's judge finds a double answer, a wrong addressee, a false sender, a storm and a war, and passes what is right"""

    def test(self):
        wrong, looked_at = (Tape().announce(9, ONE).ask(10).answer(10.001, ONE).ask(11).answer(11.001, ONE)
                            .announce(12, TWO).ask(13).answer(13.001, TWO)).judged()
        self.assertEqual((wrong, looked_at), ([], "3 questions, 3 answers, 1 addresses announced"))

        self.assertEqual(Tape().ask(10).answer(10.001, ONE).answer(10.002, TWO).judged()[0], ["double"])
        self.assertEqual(Tape().ask(10).answer(10.001, ONE, to=BROADCAST).judged()[0], ["addressee"])
        self.assertEqual(Tape().ask(10).answer(10.001, ONE, source=TWO).judged()[0], ["sender"])
        storm = Tape()
        for i in range(17):
            storm.announce(10 + i / 2, ONE)
        self.assertEqual(storm.judged()[0], ["storm"])
        war = Tape()
        for i in range(5):
            war.announce(10 + i, (ONE, TWO)[i % 2])
        self.assertEqual(war.judged()[0], ["war"])

    def test_two_may_answer_round_an_announcement(self):
        self.assertEqual(Tape().announce(10, TWO).ask(10.001).answer(10.002, ONE).answer(10.003, TWO).judged()[0], [])
        self.assertEqual(Tape().announce(10, TWO).ask(10.1).answer(10.102, ONE).answer(10.103, TWO).judged()[0], ["double"])

    def test_one_may_answer_on_each_side_of_a_partition(self):
        both = Tape().ask(10).answer(10.001, ONE).answer(10.002, TWO).ask(13).answer(13.001, ONE).answer(13.002, TWO)
        apart = '[{"begin": 5, "end": 5.1, "sides": {"node2": 1}, "heals": false}'
        self.assertEqual(both.judged(apart + "]")[0], [])
        self.assertEqual(both.judged(apart + ', {"begin": 11, "end": 11.1, "sides": {}, "heals": true}]')[0], ["double"])
        self.assertEqual(both.judged(apart + ', {"begin": 12.5, "end": 12.6, "sides": {}, "heals": true}]')[0], [])


if __name__ == "__main__":
    unittest.main()
