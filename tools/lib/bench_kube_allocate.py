#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""tools/bench kube-allocate: the controller on a real API server, beside the floor.

The floor creates Services, patches each one's status and makes one Event for it, by the controller's own HTTP client and
settings and without deciding anything, over connections of its own. Berth has the same Services created by the same program,
and writes the rest itself. Each run has an API server of its own. Machines whose neighbours are busy are half as fast from
one minute to the next, so floor and Berth take turns, and each round is set against the floors before and after it. Then one
agent announces all the addresses: what a restart costs, and how fast deleted Services' addresses are free. Goals are printed
beside the figures; the exit code tells only whether it could be measured.
"""
import argparse
import collections
import concurrent.futures
import os
import re
import statistics
import subprocess
import sys
import time

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
from kube_api import ApiError, core, resource  # noqa: E402
from kube_plane import ControlPlane  # noqa: E402
from lab import Lab  # noqa: E402
from netns import wait_for  # noqa: E402
from kube_tools import program  # noqa: E402

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
BIN = os.path.join(ROOT, "build/release/bin")
EIP = {"apiVersion": "network.kubesphere.io/v1alpha2", "kind": "Eip", "metadata": {"name": "wide"}, "spec": {"address": "10.0.0.0/8", "protocol": "layer2", "interface": "eth0"}}


class Bench:
    """A control plane, one node for an agent, with Berth's CRDs and the namespaces that are needed."""

    def __enter__(self):
        self.lab = Lab(nodes=1)
        self.counts, self.read = collections.Counter(), 0
        try:
            self.plane = ControlPlane(self.lab.controller_host, self.lab.folder)
            self.plane.start_etcd()
            self.plane.start_apiserver()
            self.plane.wait_ready()
            self.api = self.plane.api("harness")
            for name in ("bench", "waiting", "openelb-system"):
                self.api.create(core("namespaces"), {"metadata": {"name": name}})
            self.api.create(core("nodes"), {"metadata": {"name": self.lab.nodes[0].name}})
            chart = subprocess.run([program("helm"), "template", "berth", os.path.join(ROOT, "charts/berth"), "-n", "openelb-system"],
                                   check=True, capture_output=True, text=True).stdout
            crds = "\n---\n".join(d for d in chart.split("\n---\n") if "kind: CustomResourceDefinition" in d)
            self.config = self.plane.kubeconfig("admin")
            self.lab.controller_host.exec(program("kubectl"), f"--kubeconfig={self.config}", "apply", "--server-side", "-f", "-", input=crds)
            wait_for("the Eip resource", self._eip, 20, 0.1)
        except BaseException:
            self.__exit__()
            raise
        return self

    def _eip(self):
        try:
            return self.api.create(resource("network.kubesphere.io/v1alpha2", "eips"), EIP)
        except ApiError as error:
            if error.code != 404:  # not served yet
                raise
            return None

    def __exit__(self, *_):
        if getattr(self, "plane", None):
            self.plane.close()
        self.lab.close()

    def load(self, what, count):
        """Seconds until created, and until done."""
        out = self.lab.controller_host.exec(f"{BIN}/kube_load", self.config, what, str(count)).stdout
        return [float(word) for word in out.split()]

    def controller(self):
        return Controller(self)

    # ---- a Service that waits for the only address of its Eip ----
    def make_waiting(self):
        """"first" has the address, and "second" waits for it."""
        eips, services = resource("network.kubesphere.io/v1alpha2", "eips"), core("services", "waiting")
        self.api.create(eips, {**EIP, "metadata": {"name": "narrow"}, "spec": {**EIP["spec"], "address": "192.168.50.200"}})
        for name in ("first", "second"):
            self.api.create(services, {"metadata": {"name": name, "annotations": {
                "lb.kubesphere.io/v1alpha1": "openelb", "eip.openelb.kubesphere.io/v1alpha2": "narrow"}},
                "spec": {"type": "LoadBalancer", "ports": [{"port": 80}]}})
            if name == "first":
                wait_for("its address", lambda: self.has_address("first"), 20, 0.01)

    def has_address(self, name):
        return self.api.get(core("services", "waiting", name))["status"]["loadBalancer"].get("ingress")

    def hand_on(self):
        """Seconds from the end of "first" until "second" has its address."""
        self.api.delete(core("services", "waiting", "first"))
        wait_for("the end of the first", lambda: self.api.find(core("services", "waiting", "first")) is None, 120, 0.002)
        ended = time.monotonic()
        wait_for("the address at the second", lambda: self.has_address("second"), 120, 0.002)
        return time.monotonic() - ended

    def requests(self):
        """{"verb resource": how many} of the controllers' requests, from the audit log; those of the Lease left out."""
        with open(self.plane.audit.path, "rb") as log:
            log.seek(self.read)  # each line is read once
            new = log.read().rpartition(b"\n")[0]
        self.read += len(new) + 1 if new else 0
        for line in new.decode(errors="replace").splitlines():
            if '"userAgent":"berth-controller' not in line or '"resource":"leases"' in line or '"stage":"ResponseComplete"' not in line:
                continue
            verb = re.search(r'"verb":"(\w+)"', line).group(1)
            kind = re.search(r'"resource":"(\w+)"', line)
            self.counts[f"{verb} {kind.group(1) if kind else '?'}"] += 1
        return self.counts.copy()

    def writes(self):
        return collections.Counter({what: n for what, n in self.requests().items() if what.split()[0] in ("create", "update", "patch", "delete")})

    def wait_rest(self):
        """Until nothing has been written for two seconds."""
        last, since = self.writes(), time.monotonic()

        def at_rest():
            nonlocal last, since
            now = self.writes()
            if now != last:
                last, since = now, time.monotonic()
            return time.monotonic() - since >= 2
        wait_for("an end of the writes", at_rest, 120, 0.5)

    def free_after(self):
        """Seconds until no address of the wide Eip is in use, as berthctl says."""
        began = time.monotonic()
        wait_for("the last address to be free", lambda: [p["used"] for p in self.lab.get("pools") if p["name"] == "wide"] == ["0"], 60, 0.005)
        return time.monotonic() - began


class Controller:
    def __init__(self, bench):
        self.began = time.monotonic()
        self.log = os.path.join(bench.lab.folder, f"berth-{self.began}.log")
        self.process = bench.lab.controller_host.spawn(
            f"{BIN}/berth-controller", "--source=kubernetes", f"--kubeconfig={bench.config}", "--namespace=openelb-system",
            "--leader-elect", "--insecure", log=self.log)
        wait_for("the controller's start", self.started, 30, 0.01)
        self.serving_after = time.monotonic() - self.began

    def started(self):
        return any(" started agents=" in line for line in self.lines())

    def lines(self):
        return open(self.log).readlines() if os.path.exists(self.log) else []

    def cpu(self):
        with open(f"/proc/{self.process.pid}/stat") as f:
            words = f.read().rsplit(")", 1)[1].split()
        return (int(words[11]) + int(words[12])) / os.sysconf("SC_CLK_TCK")

    def peak(self):
        with open(f"/proc/{self.process.pid}/status") as f:
            return next(int(line.split()[1]) / 1024 for line in f if line.startswith("VmHWM"))

    def stop(self):
        self.process.terminate()
        self.process.wait(30)


def measure_floor(count):
    with Bench() as bench:
        created, done = bench.load("floor", count)
        return {"created": created, "done": done, "deleted": bench.load("floor-delete", count)[1]}


def measure(count):
    """Of Berth."""
    with Bench() as bench:
        controller = bench.controller()
        cpu = controller.cpu()
        ours = bench.load("create", count)
        wait_for("the Events", lambda: bench.writes().get("create events", 0) >= count, 120, 0.5)
        bench.wait_rest()
        writes, requests = bench.writes(), sum(bench.requests().values())
        cpu, peak = controller.cpu() - cpu, controller.peak()
        # An agent holds them all from here on.
        bench.lab.nodes[0].start_agent()
        bench.lab.wait_announced(count, timeout=120)
        bench.wait_rest()  # an Event says of each who announces it, and the Eip that it is ready
        controller.stop()
        before, ended = bench.writes(), controller.lines()
        controller = bench.controller()
        serving = controller.serving_after
        time.sleep(5)
        restart_writes = dict(bench.writes() - before)
        if restart_writes or serving > 3:  # what explains it
            print("".join(ended[-10:] + ["---- restarted\n"] + controller.lines()[:30]), flush=True)
        bench.make_waiting()
        with concurrent.futures.ThreadPoolExecutor() as beside:
            def delete_all():
                return bench.load("delete", count), bench.free_after()
            deleting = beside.submit(delete_all)
            time.sleep(0.5)  # in the middle of it
            handed_on = bench.hand_on()
            in_time = not deleting.done()
            deleted, free = deleting.result()
        controller.stop()
    return {"created": ours[0], "done": ours[1], "writes": writes, "requests": requests, "cpu": cpu, "peak": peak,
            "serving": serving, "restart_writes": restart_writes, "deleted": deleted[1], "free": free, "handed_on": handed_on,
            "in_time": in_time}


def told(writes):
    return ", ".join(f"{n} {what}" for what, n in sorted(writes.items())) or "no write"


def report(count, floors, runs):
    def middle(what, among=runs):
        return statistics.median(run[what] for run in among)

    def worst(what):
        return max(run[what] for run in runs)
    least = min(run["done"] for run in runs) / min(floor["done"] for floor in floors)
    print(f"{count} Services, medians of {len(runs)}: {middle('ratio'):.2f} x the floor's time (goal 1.30), from {min(r['ratio'] for r in runs):.2f} to "
          f"{worst('ratio'):.2f}; {least:.2f} x where both were fastest; the floor took {middle('done', floors):.2f} s")
    print(f"  writes, last round: {told(runs[-1]['writes'])} (goal: one patch and one Event for each, one Eip write a second); "
          f"{runs[-1]['requests']} requests in all but the Lease's")
    print(f"  controller: {middle('cpu'):.2f} CPU s, peak {worst('peak'):.0f} MiB at most")
    print(f"  restart, worst: {max(sum(run['restart_writes'].values()) for run in runs)} writes (goal 0), serving after {worst('serving'):.2f} s (goal 3)")
    print(f"  all deleted in {middle('deleted'):.2f} s, without a controller, its finalizers taken off all the same, in "
          f"{middle('deleted', floors):.2f} s; the last address was free {worst('free'):.2f} s later at most; meanwhile a waiting "
          f"Service had a freed address after {worst('handed_on'):.2f} s at most (goal 1)"
          f"{'' if all(run['in_time'] for run in runs) else ', but all were deleted by then'}", flush=True)


def main():
    parser = argparse.ArgumentParser(prog="tools/bench kube-allocate", description=__doc__,
                                     formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--services", type=int, nargs="*", default=[1000, 5000])
    parser.add_argument("--rounds", type=int, default=5)
    args = parser.parse_args()
    for count in args.services:
        floors, runs = [measure_floor(count)], []
        for number in range(args.rounds):
            run = measure(count)
            floors.append(measure_floor(count))
            before, after = floors[-2:]
            run["ratio"] = 2 * run["done"] / (before["done"] + after["done"])
            runs.append(run)
            print(f"{count} Services, round {number + 1}: Berth {run['done']:.2f} s (created in {run['created']:.2f}), floor before "
                  f"{before['done']:.2f} s (created in {before['created']:.2f}), after {after['done']:.2f} s (created in {after['created']:.2f}), "
                  f"ratio {run['ratio']:.2f}", flush=True)
            print(f"    restart: {told(run['restart_writes'])}, serving after {run['serving']:.2f} s; all deleted in {run['deleted']:.2f} s, a waiting "
                  f"Service had a freed address after {run['handed_on']:.2f} s", flush=True)
        report(count, floors, runs)


if __name__ == "__main__":
    main()
