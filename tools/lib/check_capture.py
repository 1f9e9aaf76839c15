#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Judges a capture of a LAN: who answered for which address, when, and whether that was right. Decoded by tshark.

    tools/lib/check_capture.py FILE [--about FILE.json] [--waits FILE.json]

FILE is a capture of all ports of a switch, frames as they came in (LINUX_SLL2, so that each says its port). Beside it, what
a decoder cannot know, all of it optional, times in seconds since 1970:
  ports      {ifindex: host}; frames of other ports are left out
  strangers  [host]: what these say is their own affair
  changes    [{"begin": t, "end": t, "sides": {host: side}, "heals": true}]: hosts of different sides are cut off from each
             other from then on
  asker      host whose questions must not wait; its
  budgets    [{"begin": t, "end": t, "seconds": s, "what": text}] say how long they may, because of what is under way then;
             null: as long as it lasts, no answer being possible

What must hold, for ARP and for neighbour discovery alike (where hosts ask for an address that they want to have, too):
  double     two MACs answer one question only within 5 ms of the first frame by which the new one announced the address; but
             on two sides of a partition, and within the second after one healed
  addressee  an answer goes to the asker alone
  sender     an answer comes from the MAC that it names
  storm      an address is announced at most 16 times in 12 s by one MAC while no other announces it
  war        two MACs do not announce one address in turn more than 3 times in 5 s
  wait       no address is asked for in vain for longer than is allowed
Prints one line for each thing that is wrong, then how much was looked at. --waits: {what was under way: [longest wait in
seconds, address]} goes there. Exit code: 0 nothing wrong, 1 something is.
"""
import argparse
import collections
import itertools
import json
import subprocess
import sys

from capture_waits import Waits

FIELDS = ["frame.time_epoch", "sll.ifindex", "sll.src.eth", "arp.opcode", "arp.src.hw_mac", "arp.src.proto_ipv4", "arp.dst.hw_mac",
          "arp.dst.proto_ipv4", "icmpv6.type", "ipv6.src", "ipv6.dst", "icmpv6.nd.ns.target_address", "icmpv6.nd.na.target_address",
          "icmpv6.opt.linkaddr", "icmpv6.nd.na.flag.s", "icmpv6.nd.na.flag.o"]
TWO_MAY_ANSWER = 0.005  # round a new holder's first announcement
REPEATS = 10            # seconds until an announcement is repeated no more
HEALING = 1.0
QUESTION_STANDS = 1.0   # an answer later than that is to nobody
NOBODY, ALL_NODES = "00:00:00:00:00:00", "ff02::1"

# kind: ask, answer, announce; IPv6 has also doubt, a question by one that has no address yet, and denial, the answer to it.
# `who`: who asks (IPv6: its address), or the MAC that claims. `to`: for whom an answer is.
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
        kind = "doubt" if row["ipv6.src"] == "::" else "ask"  # duplicate address detection
        return Frame(*base, kind, row["icmpv6.nd.ns.target_address"], row["ipv6.src"], "", row["sll.src.eth"])
    target, who = row["icmpv6.nd.na.target_address"], row["icmpv6.opt.linkaddr"] or row["sll.src.eth"]
    solicited, overrides = (row[f"icmpv6.nd.na.flag.{flag}"] in ("1", "True") for flag in "so")
    # What everybody is to believe instead of what he knows is an announcement, although somebody may have asked.
    kind = "answer" if solicited else "announce" if overrides else "denial"
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
    def __init__(self, changes=(), strangers=(), asker=None, budgets=(), **_):
        self.sides = Sides(changes)
        self.strangers, self.asker = set(strangers), asker
        self.waits = Waits(budgets)
        self.wrong = []
        self.open = {}                                  # (asker, address) -> (question, [answers])
        self.doubts = collections.defaultdict(dict)     # address -> {host: its last question without an address of its own}
        self.doubled = []                               # the same as in `open`, where answers differ
        self.announced = collections.defaultdict(list)  # address -> its announcements
        self.asked = self.answered = 0

    def look(self, frame):
        if frame.kind in ("ask", "doubt") or frame.host not in self.strangers:
            getattr(self, frame.kind)(frame)

    def say(self, time, what, address, text):
        self.wrong.append(f"{time:.6f} {what} {address}: {text}")

    def question(self, asker, frame):
        self.asked += 1
        self.close((asker, frame.address))
        self.open[asker, frame.address] = (frame, [])

    def ask(self, frame):
        self.question(frame.who, frame)
        if frame.host == self.asker:
            self.waits.ask(frame.time, frame.address)

    def doubt(self, frame):
        self.question(("doubt", frame.host), frame)
        self.doubts[frame.address][frame.host] = frame

    def answer(self, frame):
        self.answered += 1
        self.sender(frame)
        if frame.to in ("ff:ff:ff:ff:ff:ff", NOBODY) or frame.to.startswith("ff02:"):
            self.say(frame.time, "addressee", frame.address, f"{frame.who} answers {frame.to}")
        question = self.answers(frame.to, frame)
        if question is not None and question.host == self.asker and self.reach(frame, question):
            self.waits.answer(question.time, frame.time, frame.address)

    def denial(self, frame):
        """Goes to the group that all hosts are in."""
        self.answered += 1
        self.sender(frame)
        if frame.to != ALL_NODES:
            self.say(frame.time, "addressee", frame.address, f"{frame.who} answers {frame.to} and not {ALL_NODES}")
        heard = [question for question in self.doubts[frame.address].values() if self.reach(frame, question)]
        if heard:  # it does not say whom it answers: who has asked last
            self.answers(("doubt", max(heard).host), frame)

    def answers(self, asker, frame):
        """Returns the question that it answers, if any."""
        question, answers = self.open.get((asker, frame.address), (None, None))
        if question is None or frame.time - question.time > QUESTION_STANDS:
            return None
        answers.append(frame)
        return question

    def sender(self, frame):
        if frame.source != frame.who:
            self.say(frame.time, "sender", frame.address, f"{frame.source} sends that it is at {frame.who}")

    def announce(self, frame):
        self.sender(frame)
        past = self.announced[frame.address]
        past.append(frame)
        # One that lost it meanwhile, and has it again, rightly begins anew.
        alone = itertools.takewhile(lambda f: f.who == frame.who and f.time > frame.time - 12, reversed(past))
        if sum(1 for _ in alone) == 17:
            self.say(frame.time, "storm", frame.address, f"{frame.who} announces it for the 17th time in 12 s")
        side = self.side_of(frame)
        turns = [f.who for f in past if f.time > frame.time - 5 and self.side_of(f) == side is not None]
        changes = [a != b for a, b in zip(turns, turns[1:])]
        if sum(changes) == 4 and changes[-1]:
            self.say(frame.time, "war", frame.address, f"{' and '.join(sorted(set(turns)))} announce it in turn")

    def side_of(self, frame):
        sides = self.sides.at(frame.time)
        return None if sides is None else sides.get(frame.host, 0)

    def reach(self, one, other):
        """Whether the two frames' senders are on one side, as far as that is known."""
        sides = self.sides.at(one.time)
        return sides is None or sides.get(one.host, 0) == sides.get(other.host, 0)

    def close(self, key):
        question, answers = self.open.pop(key, (None, None))
        if answers and len({a.who for a in answers}) > 1:
            self.doubled.append((question, answers))

    def end(self, time):
        for key in list(self.open):
            self.close(key)
        for question, answers in self.doubled:
            self.double(question, answers)
        self.waits.end(time)
        for begin, address, text in self.waits.wrong:
            self.say(begin, "wait", address, text)

    def double(self, question, answers):
        first, told = {}, collections.Counter(a.who for a in answers)
        for a in answers:
            sides = self.sides.at(a.time)
            if sides is None:
                return
            if sides.get(a.host, 0) == sides.get(question.host, 0):
                first.setdefault(a.who, a)
        # One that began to announce it within 5 ms of all the answers has just taken it over.
        news = [f.time for f in self.beginnings(question.address) if f.who in first]
        if len(first) > 1 and not any(all(abs(a.time - t) <= TWO_MAY_ANSWER for a in first.values()) for t in news):
            self.say(question.time, "double", question.address, " and ".join(f"{a.host} ({who}) after {(a.time - question.time) * 1000:.1f} ms"
                                                      + (f", {told[who]} times," if told[who] > 1 else "")
                                                      for who, a in first.items()) + f" answer {question.host}")

    def beginnings(self, address):
        """Of the announcements of an address the first ones, that is without those by which the same host says it again."""
        last = None
        for frame in self.announced[address]:
            if last is None or frame.who != last.who or frame.time > last.time + REPEATS:
                yield frame
            last = frame


def judge(path, about):
    verdict, time = Judge(**about), 0.0
    for frame in sorted(frames(path, {str(index): name for index, name in about.get("ports", {}).items()})):
        verdict.look(frame)
        time = frame.time
    verdict.end(time)
    return verdict


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("capture")
    parser.add_argument("--about")
    parser.add_argument("--waits")
    args = parser.parse_args()
    about = {}
    if args.about:
        with open(args.about) as file:
            about = json.load(file)
    verdict = judge(args.capture, about)
    if args.waits:
        with open(args.waits, "w") as file:
            json.dump(verdict.waits.longest, file)
    for line in verdict.wrong:
        print(line)
    print(f"{verdict.asked} questions, {verdict.answered} answers, {len(verdict.announced)} addresses announced")
    sys.exit(1 if verdict.wrong else 0)


if __name__ == "__main__":
    main()
