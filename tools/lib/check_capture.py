#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Judges a capture of a LAN: who answered for which address, when, and whether that was right. Decoded by tshark.

    tools/lib/check_capture.py FILE [--about FILE.json]

FILE is a capture of all ports of a switch, frames as they came in (LINUX_SLL2, so that each says its port). Beside it, what
a decoder cannot know: {"ports": {ifindex: host}, "changes": [{"begin": t, "end": t, "sides": {host: side}, "heals": true}]},
hosts of different sides being cut off from each other from then on.

What must hold, for ARP and for neighbour discovery alike:
  double     two MACs answer one question only within 5 ms of the first frame by which the new one announced the address,
             on one side of a partition, and not within the second after one healed
  addressee  an answer goes to the asker alone
  sender     an answer comes from the MAC that it names
  storm      an address is announced at most 16 times in 12 s by one MAC
  war        two MACs do not announce one address in turn more than 3 times in 5 s
Prints one line for each thing that is wrong, then how much was looked at. Exit code: 0 nothing wrong, 1 something is.
"""
import argparse
import collections
import json
import subprocess
import sys

FIELDS = ["frame.time_epoch", "sll.ifindex", "sll.src.eth", "arp.opcode", "arp.src.hw_mac", "arp.src.proto_ipv4", "arp.dst.hw_mac",
          "arp.dst.proto_ipv4", "icmpv6.type", "ipv6.src", "ipv6.dst", "icmpv6.nd.ns.target_address", "icmpv6.nd.na.target_address",
          "icmpv6.opt.linkaddr", "icmpv6.nd.na.flag.s"]
TWO_MAY_ANSWER = 0.005  # round a new holder's first announcement
HEALING = 1.0
QUESTION_STANDS = 1.0   # an answer later than that is to nobody
NOBODY = "00:00:00:00:00:00"

# kind: ask, doubt, answer, announce. `who`: who asks (IPv6: its address), or the MAC that claims. `to`: for whom an answer is.
Frame = collections.namedtuple("Frame", "time host kind address who to source")


def decode(path):
    done = subprocess.run(["tshark", "-n", "-r", path, "-T", "fields", "-E", "separator=\t", "-E", "occurrence=f",
                           *[word for field in FIELDS for word in ("-e", field)]], capture_output=True, text=True)
    if done.returncode != 0:
        sys.exit(f"tshark: {done.stderr}")
    for line in done.stdout.splitlines():
        yield dict(zip(FIELDS, line.split("\t")))


def arp(row, base):
    request = row["arp.opcode"] == "1"
    who, target = row["arp.src.hw_mac"], row["arp.dst.proto_ipv4"]
    if row["arp.src.proto_ipv4"] == target:
        return Frame(*base, "announce", target, who, "", row["sll.src.eth"])
    if request:
        return Frame(*base, "ask", target, who, "", row["sll.src.eth"])
    return Frame(*base, "answer", row["arp.src.proto_ipv4"], who, row["arp.dst.hw_mac"], row["sll.src.eth"])


def neighbour(row, base):
    if row["icmpv6.type"] == "135":
        # By one that has no address yet (duplicate address detection): the answer looks like an announcement.
        kind = "doubt" if row["ipv6.src"] == "::" else "ask"
        return Frame(*base, kind, row["icmpv6.nd.ns.target_address"], row["ipv6.src"], "", row["sll.src.eth"])
    target, who = row["icmpv6.nd.na.target_address"], row["icmpv6.opt.linkaddr"] or row["sll.src.eth"]
    kind = "answer" if row["icmpv6.nd.na.flag.s"] in ("1", "True") else "announce"
    return Frame(*base, kind, target, who, row["ipv6.dst"], row["sll.src.eth"])


def frames(path, ports):
    for row in decode(path):
        if ports and row["sll.ifindex"] not in ports:
            continue  # the bridge's own copy
        base = (float(row["frame.time_epoch"]), ports.get(row["sll.ifindex"], row["sll.ifindex"]))
        if row["arp.opcode"] in ("1", "2"):
            yield arp(row, base)
        elif row["icmpv6.type"] in ("135", "136"):
            yield neighbour(row, base)


class Sides:
    """Who was cut off from whom at a time."""

    def __init__(self, changes):
        self.changes = sorted(changes, key=lambda change: change["begin"])

    def at(self, time):
        """{host: side}; None while it is changing, or has just been healed."""
        sides = {}
        for change in self.changes:
            if change["begin"] > time:
                break
            if time <= change["end"] + (HEALING if change["heals"] else 0):
                return None
            sides = change["sides"]
        return sides


class Judge:
    def __init__(self, changes):
        self.sides = Sides(changes)
        self.wrong = []
        self.open = {}                                  # (asker, address) -> (question, [answers])
        self.doubled = []                               # the same, where answers differ
        self.announced = collections.defaultdict(list)  # address -> its announcements
        self.doubted = {}                               # address -> when somebody last asked without an address of his own
        self.asked = self.answered = 0

    def say(self, frame, what, text):
        self.wrong.append(f"{frame.time:.6f} {what} {frame.address}: {text}")

    def doubt(self, frame):
        self.doubted[frame.address] = frame.time

    def ask(self, frame):
        self.asked += 1
        self.close((frame.who, frame.address))
        self.open[frame.who, frame.address] = (frame, [])

    def answer(self, frame):
        self.answered += 1
        self.sender(frame)
        if frame.to in ("ff:ff:ff:ff:ff:ff", NOBODY) or frame.to.startswith("ff02:"):
            self.say(frame, "addressee", f"{frame.who} answers {frame.to}")
        question, answers = self.open.get((frame.to, frame.address), (None, None))
        if question is not None and frame.time - question.time <= QUESTION_STANDS:
            answers.append(frame)

    def sender(self, frame):
        if frame.source != frame.who:
            self.say(frame, "sender", f"{frame.source} sends that it is at {frame.who}")

    def announce(self, frame):
        self.sender(frame)
        if frame.time - self.doubted.get(frame.address, 0) <= QUESTION_STANDS:
            return
        past = self.announced[frame.address]
        past.append(frame)
        if sum(f.who == frame.who and f.time > frame.time - 12 for f in past) == 17:
            self.say(frame, "storm", f"{frame.who} announces it for the 17th time in 12 s")
        side = self.side_of(frame)
        turns = [f.who for f in past if f.time > frame.time - 5 and self.side_of(f) == side is not None]
        changes = [a != b for a, b in zip(turns, turns[1:])]
        if sum(changes) == 4 and changes[-1]:
            self.say(frame, "war", f"{' and '.join(sorted(set(turns)))} announce it in turn")

    def side_of(self, frame):
        sides = self.sides.at(frame.time)
        return None if sides is None else sides.get(frame.host, 0)

    def close(self, key):
        question, answers = self.open.pop(key, (None, None))
        if answers and len({a.who for a in answers}) > 1:
            self.doubled.append((question, answers))

    def end(self):
        for key in list(self.open):
            self.close(key)
        for question, answers in self.doubled:
            self.double(question, answers)

    def double(self, question, answers):
        first = {}
        for a in answers:
            sides = self.sides.at(a.time)
            if sides is None:
                return
            if sides.get(a.host, 0) == sides.get(question.host, 0):
                first.setdefault(a.who, a)
        # One that announced it within 5 ms of all the answers has just taken it over.
        news = [f.time for f in self.announced[question.address] if f.who in first]
        if len(first) > 1 and not any(all(abs(a.time - t) <= TWO_MAY_ANSWER for a in first.values()) for t in news):
            self.say(question, "double", " and ".join(f"{a.host} ({who}) after {(a.time - question.time) * 1000:.1f} ms"
                                                      for who, a in first.items()) + f" answer {question.host}")


def judge(path, about):
    verdict = Judge(about["changes"])
    for frame in sorted(frames(path, {str(index): name for index, name in about["ports"].items()})):
        getattr(verdict, frame.kind)(frame)
    verdict.end()
    return verdict


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("capture")
    parser.add_argument("--about")
    args = parser.parse_args()
    about = {"ports": {}, "changes": []}
    if args.about:
        with open(args.about) as file:
            about.update(json.load(file))
    verdict = judge(args.capture, about)
    for line in verdict.wrong:
        print(line)
    print(f"{verdict.asked} questions, {verdict.answered} answers, {len(verdict.announced)} addresses announced")
    sys.exit(1 if verdict.wrong else 0)


if __name__ == "__main__":
    main()
