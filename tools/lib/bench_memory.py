# SPDX-License-Identifier: Apache-2.0
"""Memory of berth-agent and berth-controller, beside a bare gRPC client of the same linking: idle, full, and under churn.

Each figure stands beside its goal and as a ratio to the bare client of the same run. Figures: docs/measurements.md.
"""
import argparse
import os
import sys
import time

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
from lab import Lab, eip, service  # noqa: E402
from netns import wait_for  # noqa: E402
from memory_churn import Churn  # noqa: E402
from memory_of import Memory, medians, slope, slope_error  # noqa: E402

WIDE = {"network": "192.168.50", "prefix_length": 16}
POOL = "192.168.64.0-192.168.127.255"  # 16,384 addresses of the wide LAN
PER_FILE = 500  # Services in one manifest
SETTLE_SECONDS = 15  # after the last event: gratuitous frames go out for 9 s, then a trim of the heap is due within 5


class Table:
    """Rows as they are measured; memory in MiB."""

    def __init__(self, settle):
        self.bare = None
        self.settle = settle  # seconds
        print(f"{'what':46} {'resident':>9} {'anonymous':>10} {'pss':>7} {'threads':>8}  {'goal, MiB':28} resident/bare")

    def row(self, what, memory, resident=None, anonymous=None):
        goals = []
        for name, goal, value in (("resident", resident, memory.resident), ("anonymous", anonymous, memory.anonymous)):
            if goal is not None:
                goals.append(f"{name} < {goal}{'' if value < goal * 1024 else ' MISSED'}")
        ratio = f"{memory.resident / self.bare.resident:13.2f}" if self.bare else ""
        print(f"{what:46} {memory.resident / 1024:9.1f} {memory.anonymous / 1024:10.1f} {memory.proportional / 1024:7.1f} "
              f"{memory.threads:8}  {', '.join(goals):28} {ratio}", flush=True)


def start(lab, tls):
    if tls:
        lab.use_tls()
    lab.start_controller(lab.folder_of_manifests())


def start_agents(lab):
    for node in lab.nodes:
        node.start_agent()
    lab.wait_agents(len(lab.nodes))


def announced(node):
    """How many addresses the node's agent answers for, as its metrics say."""
    text = node.exec("curl", "-s", "http://127.0.0.1:8081/metrics", check=False).stdout
    lines = [line for line in text.splitlines() if line.startswith("berth_agent_announced_addresses")]
    return int(float(lines[0].split()[-1])) if lines else 0


def fill(lab, count, timeout=600):
    """Writes manifests of `count` Services with an address each; returns seconds until all are announced."""
    began = time.monotonic()
    lab.manifest("pool.yaml", eip(address=POOL))
    for first in range(0, count, PER_FILE):
        lab.manifest(f"services{first}.yaml",
                     "---\n".join(service(f"s{i}") for i in range(first, min(first + PER_FILE, count))))
    wait_for(f"{count} announced addresses", lambda: sum(announced(n) for n in lab.nodes) == count, timeout, 0.5)
    return time.monotonic() - began


def measure_bare(table, tls):
    with Lab(nodes=0) as lab:
        start(lab, tls)
        command = [os.path.join(lab.bin, "bare_client"), f"{lab.controller_host.address}:7443", "bare"]
        if tls:
            own = lab.certificate("client")
            command += [f"{lab.certificate('ca')}.crt", f"{own}.crt", f"{own}.key"]
        bare = lab.client.spawn(*command, log=os.path.join(lab.folder, "bare.log"))
        lab.wait_agents(1)
        time.sleep(table.settle)
        table.bare = Memory.of(bare.pid)
        table.row(f"bare gRPC client, {'mTLS' if tls else 'plain'}", table.bare)


def measure_idle(table, tls):
    kind = "mTLS" if tls else "plain"
    with Lab(nodes=3) as lab:
        start(lab, tls)
        start_agents(lab)
        time.sleep(table.settle)
        table.row(f"agent, idle, {kind}", Memory.of(lab.nodes[0].agent.pid), 20, 10)
        table.row(f"controller, 3 agents, idle, {kind}", Memory.of(lab.controller.pid), 40)


def measure_full(table, count, nodes):
    with Lab(nodes=nodes, **WIDE) as lab:
        start(lab, tls=True)
        start_agents(lab)
        seconds = fill(lab, count)
        time.sleep(table.settle)
        agents = [Memory.of(node.agent.pid) for node in lab.nodes]
        largest = max(agents, key=lambda m: m.anonymous)
        held = f"{count:,} addresses" if nodes == 1 else f"{count:,} addresses over {nodes} nodes"
        table.row(f"agent, {held}", largest, anonymous=20)
        table.row(f"controller, {nodes} agent{'s' if nodes > 1 else ''}, {count:,} Services", Memory.of(lab.controller.pid))
        print(f"    ({seconds:.0f} s from the first manifest to the last address announced)", flush=True)


def measure_churn(settle, minutes, services, every):
    """Prints the memory before, at most, and after (with the same Services as before), and its slope in the second half.

    The slope is that of each minute's median, since malloc trims once a minute at least. A slope within twice its error
    is none that the run can tell from 0; a longer run can.
    """
    with Lab(nodes=3, **WIDE) as lab:
        start(lab, tls=True)
        start_agents(lab)
        fill(lab, services)
        time.sleep(settle)
        watched = {"controller": lambda: lab.controller.pid,
                   **{node.name: (lambda node=node: node.agent.pid) for node in lab.nodes}}
        before = {name: Memory.of(pid()) for name, pid in watched.items()}
        samples = {name: [] for name in watched}
        with Churn(lab, services) as churn:
            end = time.monotonic() + minutes * 60
            half = end - minutes * 30
            restarted = False
            while time.monotonic() < end:
                if not restarted and time.monotonic() > half - minutes * 27:
                    restarted = True  # early: the slope is that of one process that has had time to fill its heap
                    churn.restart_controller()
                for name, pid in watched.items():
                    samples[name].append((time.monotonic(), Memory.of(pid())))
                time.sleep(min(every, max(0.0, end - time.monotonic())))
        churn.check_still_serving()
        time.sleep(settle)
        rest = {name: Memory.of(pid()) for name, pid in watched.items()}
        print(f"churn of {minutes:g} minutes: {churn.summary()}")
        print(f"{'MiB':12} {'resident: before':>16} {'most':>6} {'after':>6}   "
              f"{'anonymous: before':>17} {'most':>6} {'after':>6}"
              "   growth in the second half, KiB a minute, and its error: resident, anonymous (goal 0)")
        for name, series in samples.items():
            late = [(t / 60, m) for t, m in series if t >= half]
            figures = []
            for field in ("resident", "anonymous"):
                kib = [getattr(m, field) for m in (before[name], *(m for _, m in series), rest[name])]
                minutely = medians([(t, getattr(m, field)) for t, m in late], 1)
                figures += [kib[0] / 1024, max(kib) / 1024, kib[-1] / 1024, slope(minutely), slope_error(minutely)]
            line = "{:12} {:16.1f} {:6.1f} {:6.1f}   {:17.1f} {:6.1f} {:6.1f}   {:+9.1f} +-{:5.1f} {:+9.1f} +-{:5.1f}"
            print(line.format(
                name, *figures[0:3], *figures[5:8], *figures[3:5], *figures[8:10]), flush=True)


def main():
    parser = argparse.ArgumentParser(prog="tools/bench memory", description=__doc__)
    parser.add_argument("--minutes", type=float, default=10, help="of churn; 0 leaves it out (default 10)")
    parser.add_argument("--every", type=float, default=10, help="seconds between samples in churn (default 10)")
    parser.add_argument("--addresses", default="1000,10000", help="of a full agent; empty leaves it out (default 1000,10000)")
    parser.add_argument("--services", type=int, default=600, help="that churn begins with (default 600)")
    parser.add_argument("--quick", action="store_true", help="some seconds of everything, to see that it works")
    args = parser.parse_args()
    if args.quick:
        args.minutes, args.every, args.addresses, args.services = 0.15, 1, "50", 50
    table = Table(1 if args.quick else SETTLE_SECONDS)
    for tls in (False, True):
        measure_bare(table, tls)
        measure_idle(table, tls)
    counts = [int(n) for n in args.addresses.split(",") if n]
    for count in counts:
        measure_full(table, count, nodes=1)
    if counts:
        measure_full(table, counts[-1], nodes=3)
    if args.minutes > 0:
        measure_churn(table.settle, args.minutes, args.services, args.every)


if __name__ == "__main__":
    main()
