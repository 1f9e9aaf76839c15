# SPDX-License-Identifier: Apache-2.0
"""The agent's ARP answers beside the kernel's own, in one run.

Three LANs of network namespaces, for 1, 1,000 and 10,000 addresses. On each a node whose agent has got so many from a
controller, a host whose kernel answers for as many itself, and a client that asks. Rounds go over all of them in turn,
each round in the other order; all are printed, then medians, and ratios of figures of the same round. While one host is
asked, the switch floods requests to no other, so that nobody works but the one that is measured. The client stands for
another machine: it has a core for itself, where there is more than one.
"""
import argparse
import json
import os
import random
import statistics
import sys
import time

from lab import Lab
from netns import inside_command, run, wait_for

POOL = "10.60.64.0/18"  # the agent's addresses
AGENT_FIRST, KERNEL_FIRST, OUTSIDE_FIRST = ((10 << 24) + (60 << 16) + (third << 8) for third in (64, 128, 192))
CROWD, SOURCES = "10.60.2.0", 256  # hosts that ask in turn: one alone has 5,000 answers a second of an agent
GAP = 1_000   # us between requests that find nobody looking for them
CORES = sorted(os.sched_getaffinity(0))
WINDOWS = (64, 1024)
RATE = 20_000  # requests a second, of the rounds that look for losses and for the cost of foreign requests


def address(number):
    return ".".join(str(number >> shift & 255) for shift in (24, 16, 8, 0))


def pattern(first, count):
    """`count` addresses with gaps, two taken and one free: more gaps than any filter in the kernel could name."""
    return [address(first + k + k // 2) for k in range(count)]


def gaps(first, count):
    return [address(first + 3 * k + 2) for k in range(max(1, count // 2))]


def manifest_list(objects):
    return json.dumps({"apiVersion": "v1", "kind": "List", "items": objects}, indent=1)


def pool_object(interface):
    return {"apiVersion": "network.kubesphere.io/v1alpha2", "kind": "Eip", "metadata": {"name": "bench"},
            "spec": {"address": POOL, "protocol": "layer2", "interface": interface}}


def service_object(name, wanted):
    return {"apiVersion": "v1", "kind": "Service",
            "metadata": {"name": name, "namespace": "default", "annotations": {
                "lb.kubesphere.io/v1alpha1": "openelb",
                "eip.openelb.kubesphere.io/v1alpha2": "bench",
                "eip.openelb.kubesphere.io/v1alpha1": wanted}},
            "spec": {"type": "LoadBalancer", "ports": [{"name": "http", "port": 80, "protocol": "TCP"}]}}


class Lan:
    """A LAN with an agent and a kernel that answer for `count` addresses each."""

    def __init__(self, count, cable, build):
        self.count, self.cable = count, cable
        self.interface = "wire0" if cable else "eth0"
        # With cables the programs talk over the switch, and another network runs over the cables.
        self.lab = Lab(nodes=1, network="10.59.0" if cable else "10.60.0", prefix_length=16, build=build)
        try:
            self._bare_lan()
            self.agent = self.lab.nodes[0]
            self.kernel = self.lab.add_host("kernel", "10.59.0.30" if cable else "10.60.0.30")
            self.lists = {
                "agent": self._write("agent", pattern(AGENT_FIRST, count)),
                "kernel": self._write("kernel", pattern(KERNEL_FIRST, count)),
                "foreign inside": self._write("inside", gaps(AGENT_FIRST, count)),
                "foreign outside": self._write("outside", pattern(OUTSIDE_FIRST, 1000)),
            }
            if cable:
                self._lay_cable(self.agent, "10.60.0.11")
                self._lay_cable(self.kernel, "10.60.0.30")
            self._start_kernel()
            self._start_agent()
        except BaseException:
            self.lab.close()
            raise

    def _bare_lan(self):
        """Takes away what costs both alike, and so makes them look alike."""
        self.lab.asker.close()  # its socket would get a copy of every answer
        self.lab.asker = None
        for hook in ("arptables", "iptables", "ip6tables"):  # absent where the module is
            run(*inside_command(self.lab.switch_ns, "sysctl", "-qw", f"net.bridge.bridge-nf-call-{hook}=0"), check=False)

    def _write(self, name, addresses):
        path = os.path.join(self.lab.folder, name + ".addresses")
        shuffled = addresses[:]
        random.Random(1).shuffle(shuffled)
        with open(path, "w") as f:
            f.write("".join(a + "\n" for a in shuffled))
        return path

    def _lay_cable(self, host, address):
        run("ip", "-n", self.lab.client.ns, "link", "add", f"to-{host.name}", "type", "veth", "peer", "name", "wire0",
            "netns", host.ns)
        run("ip", "-n", self.lab.client.ns, "link", "set", f"to-{host.name}", "up")
        host.ip("addr", "add", f"{address}/16", "dev", "wire0")
        host.ip("link", "set", "wire0", "up")

    def _start_kernel(self):
        lines = "".join(f"addr add {a}/32 dev lo\n" for a in pattern(KERNEL_FIRST, self.count))
        run("ip", "-n", self.kernel.ns, "-batch", "-", input=lines)

    def _start_agent(self):
        lab = self.lab
        lab.start_controller(lab.folder_of_manifests())
        self.agent.start_agent()
        lab.wait_agents(1)
        lab.manifest("pool.json", manifest_list([pool_object(self.interface)]))
        wanted = pattern(AGENT_FIRST, self.count)
        lab.manifest("services.json", manifest_list([service_object(f"s{i}", a) for i, a in enumerate(wanted)]))
        announced = lab.wait_announced(self.count, 120)
        if set(announced) != set(wanted):
            raise RuntimeError("the controller announces other addresses than were asked for")
        pid = self.agent.agent.pid  # `nsenter` becomes the program it runs
        with open(f"/proc/{pid}/comm") as f:
            if f.read().strip() != "berth-agent":
                raise RuntimeError(f"process {pid} is not the agent")
        self.pid = pid

    def wait_quiet(self):
        """Announcements of a new address go on for some seconds; measured is what comes afterwards."""
        def cpu():
            with open(f"/proc/{self.pid}/stat") as f:
                return sum(int(x) for x in f.read().rsplit(")", 1)[1].split()[11:13])

        def quiet():
            before = cpu()
            time.sleep(1)
            return cpu() - before <= 5  # 5 % of a core
        wait_for("the agent to have announced everything", quiet, 120, 0)

    def only(self, host):
        """Broadcasts reach no host but this one."""
        for other in self.lab.hosts:
            flood = "on" if other is host else "off"
            run("bridge", "-n", self.lab.switch_ns, "link", "set", "dev", other.port, "bcast_flood", flood)

    def load(self, who, mode, addresses=None, **options):
        host = self.kernel if who == "kernel" else self.agent
        if not self.cable:
            self.only(host)
        interface = f"to-{host.name}" if self.cable else "eth0"
        if len(CORES) > 1:
            options["core"] = CORES[0]
        flags = [f"--{name.replace('_', '-')}={value}" for name, value in options.items()]
        done = self.lab.client.exec(os.path.join(self.lab.bin, "arp_load"), mode, f"--interface={interface}",
                                    f"--sender={CROWD}", f"--sources={SOURCES}", f"--addresses={self.lists[addresses or who]}", *flags)
        return json.loads(done.stdout)


class Bench:
    def __init__(self, args):
        self.args = args
        self.sizes = (1, 100) if args.quick else (1, 1_000, 10_000)
        self.count = 2_000 if args.quick else 20_000
        self.seconds = 0.2 if args.quick else 0.5
        self.long = 0.5 if args.quick else 2.0
        self.rounds = []

    def one_round(self, lans, number):
        found = {"load": os.getloadavg()[0], "answers": {}, "rate": {}, "foreign": {}}
        order = ("kernel", "agent") if number % 2 else ("agent", "kernel")
        for lan in lans:
            for who in order:
                figures = lan.load(who, "latency", count=self.count)
                figures["apart_p50_ns"] = lan.load(who, "latency", count=self.count // 20, gap=GAP)["p50_ns"]
                for window in WINDOWS:
                    one = lan.load(who, "throughput", window=window, seconds=self.seconds)
                    figures[f"per_second_{window}"] = one["answers_per_second"]
                    figures[f"undisturbed_per_second_{window}"] = one["undisturbed_per_second"]
                found["answers"][f"{who} {lan.count}"] = figures
        last = lans[-1]
        for who in order:
            found["rate"][who] = last.load(who, "rate", rate=RATE, seconds=self.long)
        for where in ("inside", "outside"):
            one = last.load("agent", "rate", f"foreign {where}", rate=RATE, seconds=self.long, cpu_of=last.pid)
            if one["answered"] or one["surplus"]:
                raise RuntimeError(f"an address that is nobody's was answered for: {one}")
            found["foreign"][where] = one
        self.rounds.append(found)
        self.print_round(number, found)

    def print_round(self, number, found):
        print(f"\nround {number}, load {found['load']:.1f}; times in us, `alone`: {GAP:,} us after the last answer; "
              "(requests under way)")
        for name, f in found["answers"].items():
            print_answers(name, f)
        for who, f in found["rate"].items():
            print(f"  {who:6} at {RATE:,} requests/s over {self.sizes[-1]:,} addresses:"
                  f" {f['lost']} of {f['asked']} lost")
        for where, f in found["foreign"].items():
            print(f"  agent  at {RATE:,} foreign requests/s {where} its range: {100 * f['cpu_share']:.1f} % of a core")
        sys.stdout.flush()

    # ---- what the rounds say -----------------------------------------------------------------------------------------
    def median(self, *path):
        return statistics.median(dig(r, path) for r in self.rounds)

    def ratio(self, above, below):
        """The median of the ratios within each round."""
        return statistics.median(dig(r, above) / dig(r, below) for r in self.rounds)

    def against_kernel(self, key, size):
        return self.ratio(("answers", f"agent {size}", key), ("answers", f"kernel {size}", key))

    def goals(self):
        first, last = self.sizes[0], self.sizes[-1]
        worst_min = max(self.against_kernel("min_ns", n) for n in self.sizes)
        growth = self.ratio(("answers", f"agent {last}", "p50_ns"), ("answers", f"agent {first}", "p50_ns"))
        out = [goal("fastest answer, the kernel's = 1 (worst of all sizes)", worst_min, "at most", 2.5),
               goal(f"p50 with {last:,} addresses, with {first} = 1", growth, "at most", 1.25)]
        for window in WINDOWS:
            worst = min(self.against_kernel(f"per_second_{window}", n) for n in self.sizes)
            out.append(goal(f"answers/s with {window:,} under way, the kernel's = 1 (worst of all sizes)", worst,
                            "at least", 0.6))
        lost = sum(r["rate"]["agent"]["lost"] for r in self.rounds)
        out.append(goal(f"lost of all at {RATE:,} requests/s", lost, "at most", 0))
        for where in ("inside", "outside"):
            cpu = 100 * self.median("foreign", where, "cpu_share")
            out.append(goal(f"% of a core at {RATE:,} foreign requests/s {where} the range", cpu, "at most", 20))
        return out

    def report(self):
        print(f"\nmedians of {len(self.rounds)} rounds; in brackets the kernel's = 1, median of the rounds' ratios")
        first, last = self.sizes[0], self.sizes[-1]
        for size in self.sizes:
            for who in ("kernel", "agent"):
                keys = [k for k in self.rounds[0]["answers"][f"{who} {size}"] if k.endswith("_ns") or "per_second" in k]
                ratios = {k: self.against_kernel(k, size) for k in keys} if who == "agent" else None
                print_answers(f"{who} {size}", {k: self.median("answers", f"{who} {size}", k) for k in keys}, ratios)
        grown = self.ratio(("answers", f"kernel {last}", "p50_ns"), ("answers", f"kernel {first}", "p50_ns"))
        print(f"  for reference, the kernel's own p50 with {last:,} addresses, with {first} = 1: {grown:.2f}")
        for window in WINDOWS:
            key = f"undisturbed_per_second_{window}"
            shown = ", ".join(f"{self.against_kernel(key, n):.2f} ({n:,})" for n in self.sizes)
            print(f"  for reference, answers/s with {window:,} under way in the fastest tenth of 2 ms slices, when the "
                  f"cores are free: {shown}")
        print("\ngoals")
        goals = self.goals()
        for g in goals:
            word = "PASS" if g["met"] else "short of it"
            print(f"  {word:11}  {g['name']}: {g['measured']:.2f}, goal {g['sense']} {g['goal']}")
        return goals

    def run(self):
        lans = []
        if len(CORES) > 1:
            os.sched_setaffinity(0, CORES[1:])  # and with it all that is started from here
        try:
            for n in self.sizes:
                lans.append(Lan(n, self.args.cable, self.args.build))
            for lan in lans:
                lan.wait_quiet()
            print(f"{os.cpu_count()} cores, kernel {os.uname().release}, "
                  f"load {os.getloadavg()[0]:.1f} before the first round")
            for number in range(1, self.args.rounds + 1):
                self.one_round(lans, number)
            goals = self.report()
        finally:
            for lan in lans:
                lan.lab.close()
        if self.args.json:
            with open(self.args.json, "w") as f:
                json.dump({"bench": "arp", "cores": os.cpu_count(), "kernel": os.uname().release, "sizes": self.sizes,
                           "rounds": self.rounds, "goals": goals}, f, indent=1)


def dig(tree, path):
    for key in path:
        tree = tree[key]
    return tree


def goal(name, measured, sense, wanted):
    met = measured <= wanted if sense == "at most" else measured >= wanted
    return {"name": name, "measured": measured, "sense": sense, "goal": wanted, "met": met}


def print_answers(name, f, ratios=None):
    def show(key, scale, form):
        text = format(f[key] / scale, form)
        return text + (f" [{ratios[key]:.2f}]" if ratios else "       ")
    who, size = name.split()
    print(f"  {who:6} {int(size):>6,}: min {show('min_ns', 1000, '6.2f')}  p50 {show('p50_ns', 1000, '6.2f')}"
          f"  p99 {show('p99_ns', 1000, '7.2f')}  p50 alone {show('apart_p50_ns', 1000, '6.2f')}  answers/s " +
          "  ".join(f"{show(f'per_second_{w}', 1, '8,.0f')} ({w:,})" for w in WINDOWS))


def main():
    parser = argparse.ArgumentParser(prog="tools/bench arp", description=__doc__,
                                     formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, help="how many rounds (5; with --quick 1)")
    parser.add_argument("--quick", action="store_true",
                        help="seconds: shows that the bench works, the figures mean little")
    parser.add_argument("--cable", action="store_true",
                        help="the client is joined to each host directly: without a switch's time in both figures")
    parser.add_argument("--json", metavar="FILE", help="writes all figures there")
    parser.add_argument("--build", help="folder of the build (build/release)")
    args = parser.parse_args()
    if args.rounds is None:
        args.rounds = 1 if args.quick else 5
    if args.rounds < 1:
        parser.error("--rounds: at least 1")
    try:
        Bench(args).run()
    except (RuntimeError, TimeoutError, OSError) as error:
        print(f"tools/bench arp: cannot measure: {error}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
