#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""tools/bench failover: how long a client is without its address when something happens to the node that holds it.

A datagram goes from the client to the address each millisecond, through the client's real neighbour cache, and the node
that gets it echoes it; beside it an ARP request each ten milliseconds. Of each kind of event several runs, on one LAN of
three nodes: the longest gap between two echoes, how many datagrams were lost, the longest wait for an ARP answer. With
--ipv6 the address is one of IPv6, and solicitations take the place of ARP. Goals are printed beside the figures; the exit
code tells only whether it could be measured, and whether all that crossed the switch was right (tools/lib/check_capture.py).
"""
import argparse
import dataclasses
import json
import os
import re
import shutil
import signal
import statistics
import sys
import time

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
from capture import Capture  # noqa: E402
from lab import Lab, eip, service  # noqa: E402
from ndp_wire import IPV6_ONLY, NdpAsker, own_ipv6  # noqa: E402
from netns import ROOT, freeze, thaw, wait_for  # noqa: E402
from udp_probe import ArpQueries, UdpProbe, echoes  # noqa: E402

PORT = 7000
CONTROL = "192.168.51"  # the network of the controllers, where a node keeps one when the LAN's cable is drawn


@dataclasses.dataclass
class Event:
    """Something that happens to the holder, how it ends, and what is asked of Berth meanwhile (seconds; None: nothing)."""
    name: str
    strike: object
    heal: object = lambda lab, node: None
    lost: int | None = None       # datagrams at most
    median: float | None = None   # of the gaps
    worst: float | None = None
    arp: float | None = None      # longest wait for an answer
    rest: float = 0               # before it: first frames that are still being repeated would be sent anew


def end_agent(lab, node):
    node.kill_agent(signal.SIGTERM)


def restart(lab, node):
    node.restart_agent()


def other(lab, node):
    return next(n for n in lab.nodes if n is not node)


def events():
    return [
        Event("agent told to end (SIGTERM)", end_agent, restart, lost=0, arp=0.05),
        Event("berthctl move", lambda lab, node: lab.ctl("move", lab.vip, other(lab, node).name), lost=0, arp=0.05),
        Event("berthctl drain", lambda lab, node: lab.ctl("drain", node.name),
              lambda lab, node: lab.ctl("undrain", node.name), lost=0, arp=0.05),
        Event("rolling upgrade (a new agent beside the old one)", lambda lab, node: node.upgrade_agent(), lost=0, arp=0.05, rest=11),
        Event("agent killed (SIGKILL), its node lives", lambda lab, node: node.kill_agent(), restart, lost=0, arp=0.15),
        Event("node lost without a sign (its switch ports drop all)", lambda lab, node: node.vanish(),
              lambda lab, node: node.reappear(), median=0.6, worst=1.0),
        Event("cable drawn (carrier lost), another path to the controller", lambda lab, node: node.port_down(),
              lambda lab, node: node.port_up(), worst=0.3),
        Event("agent frozen (SIGSTOP), its node lives", lambda lab, node: freeze(node.agent.pid),
              lambda lab, node: thaw(node.agent.pid), worst=1.0, arp=1.0),
        Event("node lost without a sign, and no controller", lambda lab, node: (lab.kill_controller(), time.sleep(0.5), node.vanish()),
              lambda lab, node: (node.reappear(), lab.restart_controller()), worst=1.5),
    ]


class Bench:
    def __init__(self, ipv6=False):
        self.lab = Lab(nodes=3)
        self.asker = self.lab.asker
        lab = self.lab
        try:
            lab.add_control_network(CONTROL)
            self.capture = Capture(lab, os.path.join(lab.folder, "capture.pcap"))
            lab.start()
            for node in lab.nodes:
                node.start_udp_echo(PORT)
            if ipv6:
                lab.add_ipv6()
                self.asker = NdpAsker(lab.client, own_ipv6(lab.client))
            lab.manifest("pool.yaml", eip(address="fd00:50::100-fd00:50::10f") if ipv6 else eip())
            lab.manifest("web.yaml", service("web", ports=((PORT, "UDP"),), extra=IPV6_ONLY if ipv6 else ""))
            (lab.vip,) = lab.wait_announced(1)
            self.settle()
        except BaseException:
            lab.close()
            raise

    def settle(self):
        """Everybody is there again, the address is held and reached, and former holders forward no more."""
        self.lab.wait_agents(3, 30)
        self.lab.wait_announced(1, 30)
        wait_for("an echo", lambda: echoes(self.lab.client, self.lab.vip, PORT), 10)

    def keep(self):
        """Capture and logs, for somebody to look into."""
        folder = os.path.join(ROOT, "build", "failover")
        os.makedirs(folder, exist_ok=True)
        for name in os.listdir(self.lab.folder):
            if name.endswith((".log", ".pcap", ".json")):
                shutil.copy(os.path.join(self.lab.folder, name), folder)
        print(f"capture and logs are in {os.path.relpath(folder)}", flush=True)

    def run(self, event):
        lab = self.lab
        holder = lab.node(lab.wait_announced(1)[lab.vip])
        time.sleep(event.rest)
        probe, queries = UdpProbe(lab, lab.vip, PORT), ArpQueries(self.asker, lab.vip)
        time.sleep(0.3)
        struck = probe.sent
        event.strike(lab, holder)
        time.sleep(2.0)  # the longest that any goal allows, and some more
        after = probe.sent
        try:
            wait_for("echoes again", lambda: probe.answered_since(after), 20)
        finally:
            lost = [n for n in probe.end() if n >= struck]
            queries.end()
            event.heal(lab, holder)
        self.settle()
        return {"lost": len(lost), "gap": probe.longest_gap(), "arp": queries.longest_wait(), "sent": probe.sent}


def verdict(value, goal, unit=1000, what="ms"):
    return "" if goal is None else f" (goal {goal * unit:.0f} {what}{'' if value <= goal else ', MISSED'})"


def report(event, runs):
    gaps, arps = [run["gap"] for run in runs], [run["arp"] for run in runs]
    lost = max(run["lost"] for run in runs)
    goal = "" if event.lost is None else f" (goal {event.lost}{'' if lost <= event.lost else ', MISSED'})"
    print(f"{event.name}, {len(runs)} runs:")
    print(f"  gap: median {statistics.median(gaps) * 1000:.0f} ms{verdict(statistics.median(gaps), event.median)}, "
          f"worst {max(gaps) * 1000:.0f} ms{verdict(max(gaps), event.worst)}; lost at most {lost}{goal}; "
          f"ARP answer after at most {max(arps) * 1000:.0f} ms{verdict(max(arps), event.arp)}", flush=True)


def main():
    parser = argparse.ArgumentParser(prog="tools/bench failover", description=__doc__,
                                     formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--runs", type=int, default=10)
    parser.add_argument("--only", default="", help="events whose name matches this regular expression")
    parser.add_argument("--ipv6", action="store_true", help="an IPv6 address")
    parser.add_argument("--json", help="a file for the figures of every run")
    args = parser.parse_args()
    figures = {}
    bench = Bench(args.ipv6)
    print(f"{bench.lab.vip} on {len(bench.lab.nodes)} nodes", flush=True)
    try:
        for event in events():
            if not re.search(args.only, event.name):
                continue
            runs = figures[event.name] = []
            for _ in range(args.runs):
                runs.append(bench.run(event))
                print(f"    {event.name}: gap {runs[-1]['gap'] * 1000:.0f} ms, lost {runs[-1]['lost']}, "
                      f"ARP {runs[-1]['arp'] * 1000:.0f} ms", file=sys.stderr, flush=True)
            report(event, runs)
        wrong = bench.capture.end()
        if wrong:
            bench.keep()
        print(f"captured: {bench.capture.looked_at}; {'what is wrong with it:' if wrong else 'nothing is wrong with it'}", *wrong,
              sep="\n  ", flush=True)
    finally:
        bench.lab.close()
    if args.json:
        with open(args.json, "w") as out:
            json.dump(figures, out, indent=1)
    sys.exit(1 if wrong else 0)


if __name__ == "__main__":
    main()
