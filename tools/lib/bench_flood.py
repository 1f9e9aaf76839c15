#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""tools/bench flood: what others notice while a host asks an agent by ARP as fast as it can, and what the agent spends.

A node whose agent answers for 100 addresses, a client that asks for one of them each ten milliseconds, and a host that
floods. In its own name the agent answers it no more than so many times a second; in the names of 4,096 forged MACs the
limits never bear, so that such a flood shows what one would do without them. Each flood goes as fast as the LAN takes
it, and at rates that the agent could answer. The exit code tells only whether it could be measured.
"""
import argparse
import json
import os
import re
import sys
import time

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
from lab import Lab, eip, service  # noqa: E402
from netns import run, wait_for  # noqa: E402
from udp_probe import ArpQueries  # noqa: E402

ADDRESSES = [f"10.60.64.{n}" for n in range(1, 101)]
FORGED = 4096
CORES = sorted(os.sched_getaffinity(0))
COUNTERS = {"answered": "berth_agent_arp_replies_total", "limited": "berth_agent_arp_limited_total",
            "dropped": "berth_agent_capture_dropped_total", "stale": "berth_agent_stale_requests_total"}


class Bench:
    def __init__(self, args):
        self.args = args
        self.lab = Lab(nodes=1, network="10.60.0", prefix_length=16, build=args.build)
        lab = self.lab
        try:
            self.node = lab.nodes[0]
            self.flooder = lab.add_host("flooder", "10.60.0.30")
            self.list = os.path.join(lab.folder, "addresses")
            with open(self.list, "w") as f:
                f.write("".join(a + "\n" for a in ADDRESSES))
            lab.start_controller(lab.folder_of_manifests())
            self.node.start_agent()
            lab.wait_agents(1)
            lab.manifest("pool.yaml", eip(address="10.60.64.0/24"))
            lab.manifest("services.yaml", "---\n".join(service(f"s{i}", address=a) for i, a in enumerate(ADDRESSES)))
            lab.wait_announced(len(ADDRESSES), 60)
            time.sleep(10)  # the announcements are over
            for host in (lab.client, lab.controller_host):  # whose sockets would be busy with it
                run("bridge", "-n", lab.switch_ns, "link", "set", "dev", host.port, "bcast_flood", "off")
        except BaseException:
            lab.close()
            raise

    def counters(self):
        page = self.node.exec("curl", "-s", "http://127.0.0.1:8081/metrics").stdout
        label = re.escape('{interface="eth0"}')
        found = {name: re.search(f"^{metric}{label} ([0-9.e+]+)$", page, re.M) for name, metric in COUNTERS.items()}
        return {name: float(match[1]) for name, match in found.items()}

    def flood(self, sources, rate):
        flags = [f"--sources={sources}", f"--rate={rate}"] + ([f"--core={CORES[0]}"] if len(CORES) > 1 else [])
        self.counters()  # has the drops until now counted
        time.sleep(0.2)
        before = self.counters()
        queries = ArpQueries(self.lab.asker, ADDRESSES[0])
        done = self.flooder.exec(os.path.join(self.lab.bin, "arp_load"), "flood", "--interface=eth0",
                                 "--sender=10.60.16.0", f"--addresses={self.list}", f"--seconds={self.args.seconds}",
                                 f"--cpu-of={self.node.agent.pid}", *flags)
        sent = json.loads(done.stdout)
        time.sleep(0.2)
        queries.end()
        asked, answers = len(queries.asked), len(queries.answers)
        self.counters()
        time.sleep(0.2)
        after = self.counters()
        wait_for("an answer after the flood", lambda: self.lab.asker.answered_within(ADDRESSES[1], 0.5), 10)
        figures = {name: (after[name] - before[name]) / sent["seconds"] for name in COUNTERS}
        return figures | {"sent": sent["asked"] / sent["seconds"], "cpu": sent["cpu_share"], "asked": asked,
                          "share": answers / asked, "wait": queries.longest_wait()}

    def run(self):
        figures = []
        if len(CORES) > 1:
            os.sched_setaffinity(0, CORES[1:])
            run("taskset", "-apc", ",".join(map(str, CORES[1:])), str(self.node.agent.pid))
        for rate in (0, *self.args.rates):
            for sources in (1, FORGED):
                for _ in range(self.args.rounds):
                    one = self.flood(sources, rate)
                    figures.append({"sources": sources, "rate": rate} | one)
                    print(f"{'its own MAC' if sources == 1 else f'{sources:,} MACs':11} {one['sent']:>9,.0f} asked/s: "
                          f"{one['answered']:>9,.0f} answered, {one['limited']:>9,.0f} limited, "
                          f"{one['dropped']:>9,.0f} dropped/s; agent {100 * one['cpu']:5.1f} % of a core; the client "
                          f"had {100 * one['share']:5.1f} % of its answers, longest wait {1000 * one['wait']:.1f} ms",
                          flush=True)
        return figures


def main():
    parser = argparse.ArgumentParser(prog="tools/bench flood", description=__doc__,
                                     formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=3, help="of each flood (3)")
    parser.add_argument("--seconds", type=float, default=5.0, help="how long each lasts (5)")
    parser.add_argument("--rates", type=int, nargs="*", default=[100_000], help="besides the fastest (100000)")
    parser.add_argument("--json", metavar="FILE", help="writes all figures there")
    parser.add_argument("--build", help="folder of the build (build/release)")
    args = parser.parse_args()
    try:
        bench = Bench(args)
        try:
            figures = bench.run()
        finally:
            bench.lab.close()
        if args.json:
            with open(args.json, "w") as f:
                json.dump({"bench": "flood", "kernel": os.uname().release, "floods": figures}, f, indent=1)
    except (RuntimeError, TimeoutError, OSError) as error:
        print(f"tools/bench flood: cannot measure: {error}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
