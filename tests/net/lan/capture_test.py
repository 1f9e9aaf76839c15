# SPDX-License-Identifier: Apache-2.0
"""The program that judges captures finds each fault that is planted in one, and nothing in one that is as it must be."""
import json
import os
import socket
import struct
import subprocess
import sys
import tempfile
import unittest

CHECK = os.path.join(os.path.dirname(os.path.abspath(__file__)), "../../../tools/lib/check_capture.py")
CLIENT, ONE, TWO = "02:00:00:00:00:19", "02:00:00:00:00:01", "02:00:00:00:00:02"
PORT = {CLIENT: 3, ONE: 4, TWO: 5}
NAMES = {"3": "client", "4": "node1", "5": "node2"}
BROADCAST, NOBODY, ALL_NODES = "ff:ff:ff:ff:ff:ff", "00:00:00:00:00:00", "ff02::1"


def mac(text):
    return bytes.fromhex(text.replace(":", ""))


def ip(text):
    return socket.inet_pton(socket.AF_INET6 if ":" in text else socket.AF_INET, text)


class Tape:
    """Frames in a capture of LINUX_SLL2, each at its second."""

    def __init__(self):
        self.records = []

    def frame(self, when, kind, source, body):
        self.records.append((when, struct.pack("!HHIHBB8s", kind, 0, PORT[source], 1, 0, 6, mac(source) + b"\0\0") + body))
        return self

    def judged(self, **about):
        with tempfile.NamedTemporaryFile(suffix=".pcap") as tape, tempfile.NamedTemporaryFile("w") as known:
            tape.write(struct.pack("!IHHiIII", 0xA1B2C3D4, 2, 4, 0, 0, 262144, 276))
            for when, frame in sorted(self.records):
                tape.write(struct.pack("!IIII", int(when), round(when % 1 * 1e6), len(frame), len(frame)) + frame)
            tape.flush()
            json.dump({"ports": NAMES, **about}, known)
            known.flush()
            done = subprocess.run([sys.executable, CHECK, tape.name, "--about", known.name], capture_output=True, text=True)
            lines = done.stdout.splitlines()
            assert done.returncode == (1 if len(lines) > 1 else 0), done.stdout + done.stderr
            return [line.split()[1] for line in lines[:-1]], lines[-1]


class Arp(Tape):
    VIP, TO_ALL = "192.168.50.50", BROADCAST

    def arp(self, when, op, sender, sender_ip, target, target_ip, source=None):
        body = struct.pack("!HHBBH", 1, 0x0800, 6, 4, op) + mac(sender) + ip(sender_ip) + mac(target) + ip(target_ip)
        return self.frame(when, 0x0806, source or sender, body)

    def ask(self, when, host=CLIENT):
        return self.arp(when, 1, host, "192.168.50.19", NOBODY, self.VIP)

    def doubt(self, when, host=CLIENT):
        return self.arp(when, 1, host, "0.0.0.0", NOBODY, self.VIP)

    def answer(self, when, node, to=CLIENT, source=None):
        return self.arp(when, 2, node, self.VIP, to, "192.168.50.19", source)

    def deny(self, when, node, to=CLIENT):
        return self.answer(when, node, to)

    def announce(self, when, node):
        return self.arp(when, 1, node, self.VIP, NOBODY, self.VIP)


class Ndp(Tape):
    VIP, TO_ALL = "fd00:50::100", ALL_NODES
    OWN, GROUP = "fd00:50::19", "ff02::1:ff00:100"

    def message(self, when, kind, flags, source, to, option, claimed, sender):
        body = struct.pack("!BBHI", kind, 0, 0, flags << 24) + ip(self.VIP) + (bytes([option, 1]) + mac(claimed) if option else b"")
        header = struct.pack("!IHBB", 6 << 28, len(body), 58, 255) + ip(source) + ip(to)
        return self.frame(when, 0x86DD, sender, header + body)

    def ask(self, when):
        return self.message(when, 135, 0, self.OWN, self.GROUP, 1, CLIENT, CLIENT)

    def doubt(self, when, host=CLIENT):
        return self.message(when, 135, 0, "::", self.GROUP, 0, None, host)

    def answer(self, when, node, to=OWN, source=None):
        return self.message(when, 136, 0x40, self.VIP, to, 2, node, source or node)

    def deny(self, when, node, to=None):
        return self.message(when, 136, 0, self.VIP, ALL_NODES, 2, node, node)

    def announce(self, when, node):
        return self.message(when, 136, 0x20, self.VIP, ALL_NODES, 2, node, node)


class OfBoth(unittest.TestCase):
    def _callTestMethod(self, method):
        for self.tape in (Arp, Ndp):
            with self.subTest(self.tape.__name__):
                method()


class Planted(OfBoth):
    """A capture's judge finds a double answer, a wrong addressee, a false sender, a storm and a war, and passes what is right"""

    def test(self):
        tape = self.tape
        wrong, looked_at = (tape().announce(9, ONE).ask(10).answer(10.001, ONE).ask(11).answer(11.001, ONE)
                            .announce(12, TWO).ask(13).answer(13.001, TWO)).judged()
        self.assertEqual((wrong, looked_at), ([], "3 questions, 3 answers, 1 addresses announced"))

        self.assertEqual(tape().ask(10).answer(10.001, ONE).answer(10.002, TWO).judged()[0], ["double"])
        self.assertEqual(tape().ask(10).answer(10.001, ONE, to=tape.TO_ALL).judged()[0], ["addressee"])
        self.assertEqual(tape().ask(10).answer(10.001, ONE, source=TWO).judged()[0], ["sender"])
        storm = tape()
        for i in range(17):
            storm.announce(10 + i / 2, ONE)
        self.assertEqual(storm.judged()[0], ["storm"])
        war = tape()
        for i in range(5):
            war.announce(10 + i, (ONE, TWO)[i % 2])
        self.assertEqual(war.judged()[0], ["war"])

    def test_after_probes(self):
        """Each take-over of a war or a storm may begin with a probe, which silences no judge."""
        tape = self.tape
        war, storm = tape(), tape()
        for i in range(5):
            war.doubt(10 + i, (ONE, TWO)[i % 2]).announce(10.03 + i, (ONE, TWO)[i % 2])
        self.assertEqual(war.judged()[0], ["war"])
        for i in range(17):
            storm.doubt(10 + i / 2, TWO).announce(10.1 + i / 2, ONE)
        self.assertEqual(storm.judged()[0], ["storm"])

    def test_who_has_it_again_begins_anew(self):
        twice = self.tape()
        for i in range(9):
            twice.announce(10 + i / 2, ONE).announce(15.5 + i / 2, ONE)
        self.assertEqual(twice.judged()[0], ["storm"])
        self.assertEqual(twice.announce(15, TWO).judged()[0], [])

    def test_who_is_doubted(self):
        tape = self.tape
        self.assertEqual(tape().doubt(10).deny(10.001, ONE).judged()[0], [])
        self.assertEqual(tape().doubt(10).deny(10.001, ONE).deny(10.002, TWO).judged()[0], ["double"])
        # Who was asked about it, then had it, and is asked by another.
        moved = tape().doubt(10, TWO).deny(10.001, ONE, to=TWO).announce(10.3, TWO).doubt(10.5).deny(10.501, TWO)
        self.assertEqual(moved.judged()[0], [])
        if tape is Ndp:
            self.assertEqual(tape().message(10, 136, 0, tape.VIP, tape.OWN, 2, ONE, ONE).judged()[0], ["addressee"])

    def test_strangers(self):
        tape = self.tape
        double = tape().ask(10).answer(10.001, ONE).answer(10.002, TWO)
        self.assertEqual(double.judged(strangers=["node2"])[0], [])

    def test_two_may_answer_round_an_announcement(self):
        tape = self.tape
        self.assertEqual(tape().announce(10, TWO).ask(10.001).answer(10.002, ONE).answer(10.003, TWO).judged()[0], [])
        self.assertEqual(tape().announce(10, TWO).ask(10.1).answer(10.102, ONE).answer(10.103, TWO).judged()[0], ["double"])
        # That one says it again excuses nobody.
        again = tape().announce(10, TWO).announce(11.1, TWO).ask(11.101).answer(11.102, ONE).answer(11.103, TWO)
        self.assertEqual(again.judged()[0], ["double"])
        older = tape().announce(9, ONE).announce(10.1, ONE).ask(10.101).answer(10.102, ONE).answer(10.103, TWO)
        self.assertEqual(older.judged()[0], ["double"])
        # A take-over, which a probe precedes.
        over = tape().ask(9.99).doubt(9.97, TWO).announce(10, TWO).answer(9.998, ONE).answer(10.003, TWO)
        self.assertEqual(over.judged()[0], [])

    def test_one_may_answer_on_each_side_of_a_partition(self):
        apart = {"begin": 5, "end": 5.1, "sides": {"node2": 1}, "heals": False}

        def healed(begin):
            return {"begin": begin, "end": begin + 0.1, "sides": {}, "heals": True}
        tape = self.tape
        both = tape().ask(10).answer(10.001, ONE).answer(10.002, TWO).ask(13).answer(13.001, ONE).answer(13.002, TWO)
        self.assertEqual(both.judged(changes=[apart])[0], [])
        self.assertEqual(both.judged(changes=[apart, healed(11)])[0], ["double"])
        self.assertEqual(both.judged(changes=[apart, healed(12.5)])[0], [])


class AskedInVain(OfBoth):
    """A capture's judge finds an address that was asked for in vain for longer than is allowed at the time"""

    def judged(self, tape, *budgets, **about):
        budgets = [dict(zip(("begin", "end", "seconds", "what"), budget)) for budget in budgets]
        return tape.judged(asker="client", budgets=budgets, **about)[0]

    def test(self):
        tape = self.tape
        silent = tape().ask(9).answer(9.001, ONE)
        for i in range(10):
            silent.ask(10 + i / 10)
        self.assertEqual(self.judged(silent.answer(10.95, ONE), (9, 12, 1.0, "a loss")), [])
        self.assertEqual(self.judged(silent, (9, 12, 0.9, "a loss")), ["wait"])
        self.assertEqual(self.judged(silent, (9, 10.2, 0.1, "a death"), (10.2, 12, 1.0, "a loss")), [])
        self.assertEqual(self.judged(silent, (10.1, 10.6, None, "all lost"), (9, 12, 0.5, "and back")), [])
        self.assertEqual(self.judged(silent, (10.1, 10.6, None, "all lost"), (9, 12, 0.4, "and back")), ["wait"])
        self.assertEqual(self.judged(silent, (11, 12, 0.1, "later")), [])

    def test_without_an_end(self):
        tape = self.tape
        silent = tape().ask(10).ask(10.5).ask(11).ask(12)
        self.assertEqual(self.judged(silent, (9, 13, 1.0, "a loss")), ["wait"])

    def test_whose_answer_it_is(self):
        tape = self.tape
        answered = tape().ask(10).answer(10.001, TWO).ask(11).answer(11.001, TWO).ask(12).answer(12.001, ONE)
        self.assertEqual(self.judged(answered, (9, 13, 1.0, "a loss")), [])
        self.assertEqual(self.judged(answered, (9, 13, 1.0, "a loss"), strangers=["node2"]), ["wait"])


if __name__ == "__main__":
    unittest.main()
