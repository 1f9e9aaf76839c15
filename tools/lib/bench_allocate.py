#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""tools/bench allocate: how long the controller takes from manifests to a durable state, and how much memory.

The controller runs already, past the 3 s in which a new leader waits for agents. The clock starts when the first of the
finished files is renamed into its folder, before a byte of it is read, and stops when state.json with every allocation
has been synced and renamed into place. The floor, asked in turn with it, reads and parses the same JSON and writes as
many bytes. Goals are printed beside the figures; the
exit code tells only whether it could be measured.
"""
import argparse
import json
import os
import shutil
import signal
import socket
import statistics
import subprocess
import sys
import tempfile
import time

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
BIN = os.path.join(ROOT, "build/release/bin")
PER_FILE = 1000  # Services in one file
EIP = {"apiVersion": "network.kubesphere.io/v1alpha2", "kind": "Eip", "metadata": {"name": "wide"},
       "spec": {"address": "10.0.0.0/8", "protocol": "layer2", "interface": "eth0"}}


def service(i):
    return {"apiVersion": "v1", "kind": "Service",
            "metadata": {"name": f"web-{i}", "namespace": f"team-{i % 50}", "labels": {"app": f"web-{i}"},
                         "annotations": {"lb.kubesphere.io/v1alpha1": "openelb",
                                         "eip.openelb.kubesphere.io/v1alpha2": "wide"}},
            "spec": {"type": "LoadBalancer", "selector": {"app": f"web-{i}"},
                     "ports": [{"name": "http", "port": 80, "targetPort": 8080, "protocol": "TCP"},
                               {"name": "https", "port": 443, "targetPort": 8443, "protocol": "TCP"}]}}


def service_yaml(i):
    return f"""apiVersion: v1
kind: Service
metadata:
  name: web-{i}
  namespace: team-{i % 50}
  labels:
    app: web-{i}
  annotations:
    lb.kubesphere.io/v1alpha1: openelb
    eip.openelb.kubesphere.io/v1alpha2: wide
spec:
  type: LoadBalancer
  selector:
    app: web-{i}
  ports:
    - name: http
      port: 80
      targetPort: 8080
      protocol: TCP
    - name: https
      port: 443
      targetPort: 8443
      protocol: TCP
"""


def write_manifests(folder, count, form):
    os.makedirs(folder)
    files = []
    for first in range(0, count, PER_FILE):
        numbers = range(first, min(first + PER_FILE, count))
        path = os.path.join(folder, f"services-{first:06}.{form}")
        with open(path, "w") as out:
            if form == "json":
                json.dump({"apiVersion": "v1", "kind": "List", "items": [service(i) for i in numbers]}, out, indent=1)
            else:
                out.write("---\n".join(service_yaml(i) for i in numbers))
        files.append(path)
    return files


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def allocations_in(path):
    """How many Services have an address in the state file; 0 when there is none yet."""
    try:
        with open(path, "rb") as state:
            return state.read().count(b'"address":')
    except FileNotFoundError:
        return 0


def peak_memory(pid):
    with open(f"/proc/{pid}/status") as status:
        return next(int(line.split()[1]) for line in status if line.startswith("VmHWM")) / 1024


def await_allocations(process, path, count, limit):
    """Returns when the state file holds `count` allocations: the time, and its size."""
    begin, seen = time.monotonic(), None
    while True:
        if process.poll() is not None:
            raise RuntimeError(f"berth-controller ended with {process.returncode}")
        if time.monotonic() - begin > limit:
            raise TimeoutError(f"{allocations_in(path)} of {count} Services after {limit} s")
        try:
            stat = os.stat(path)
        except FileNotFoundError:
            stat = None
        now = time.monotonic()
        if stat and (stat.st_ino, stat.st_size) != seen:
            seen = (stat.st_ino, stat.st_size)
            if allocations_in(path) == count:
                return now, stat.st_size
        time.sleep(0.002)


def run_controller(files, work, count, limit):
    """Seconds until the state holds all, peak MiB, and bytes of state."""
    folder, state = tempfile.mkdtemp(dir=work), tempfile.mkdtemp(dir=work)
    with open(os.path.join(folder, "first.json"), "w") as out:
        json.dump({"apiVersion": "v1", "kind": "List", "items": [EIP, service(count)]}, out)
    command = [f"{BIN}/berth-controller", f"--source=files:{folder}", f"--state-dir={state}", "--insecure",
               "--log-level=error"]
    for flag in ("http", "agent", "admin"):
        command.append(f"--{flag}-listen=127.0.0.1:{free_port()}")
    path = os.path.join(state, "state.json")
    copies = []
    for file in files:  # within one file system, so that a rename is all that is left to do
        copies.append(os.path.join(work, "ready-" + os.path.basename(file)))
        shutil.copyfile(file, copies[-1])
    process = subprocess.Popen(command)
    try:
        await_allocations(process, path, 1, limit=30)
        start = time.monotonic()
        for file in copies:
            os.rename(file, os.path.join(folder, os.path.basename(file)))
        end, size = await_allocations(process, path, count + 1, limit)
        return end - start, peak_memory(process.pid), size
    finally:
        process.send_signal(signal.SIGTERM)
        process.wait()
        shutil.rmtree(folder)
        shutil.rmtree(state)


def bench(*args):
    return json.loads(subprocess.run([f"{BIN}/allocate_bench", *map(str, args)], check=True, capture_output=True).stdout)


def measure(work, count, form, rounds, limit):
    folder = os.path.join(work, f"{form}-{count}")
    files = write_manifests(folder, count, form)
    seconds, memory, floors = [], [], []
    for _ in range(rounds):
        took, peak, size = run_controller(files, work, count, limit)
        seconds.append(took)
        memory.append(peak)
        if form == "json":
            floors.append(bench("floor", os.path.join(work, "floor"), size, *files)["floor_ms"] / 1000)
    shutil.rmtree(folder)
    row = {"services": count, "form": form, "seconds": seconds, "median_s": statistics.median(seconds),
           "peak_mib": max(memory), "floor_s": statistics.median(floors) if floors else None}
    floor = f"{row['floor_s']:8.3f} {row['median_s'] / row['floor_s']:7.1f} x" if floors else f"{'':18}"
    print(f"{form:5} {count:8,} {row['median_s']:9.3f} {row['median_s'] / count * 1e6:9.1f} {row['peak_mib']:9.1f} {floor}"
          f"   rounds: {' '.join(f'{s:.3f}' for s in seconds)}", flush=True)
    return row


def verdict(name, value, goal, unit):
    print(f"  {name}: {value:.2f} {unit}, goal {goal} {unit}: {'met' if value <= goal else 'MISSED'}")


def main():
    parser = argparse.ArgumentParser(prog="tools/bench allocate", description=__doc__,
                                     formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=3, help="of each size in JSON; medians are taken (3)")
    parser.add_argument("--quick", action="store_true", help="small sizes, one round: shows that it works")
    parser.add_argument("--json", metavar="FILE", help="the figures, for programs")
    args = parser.parse_args()
    sizes = [100, 1000] if args.quick else [1000, 5000, 10000, 20000, 50000]
    rounds = 1 if args.quick else args.rounds
    rows = []
    with tempfile.TemporaryDirectory(prefix="berth-bench-") as work:
        print(f"{'form':5} {'Services':>8} {'seconds':>9} {'us each':>9} {'peak MiB':>9} {'floor s':>8} {'ratio':>9}")
        for count in sizes:
            rows.append(measure(work, count, "json", rounds, limit=120))
        for count in sizes:
            rows.append(measure(work, count, "yaml", 1, limit=300))
    alone = [bench("allocator", 10000 if args.quick else 100000) for _ in range(1 if args.quick else 5)]
    allocator = statistics.median(a["allocator_ms"] for a in alone)
    floor = statistics.median(a["map_ms"] for a in alone)
    print(f"allocator alone: {allocator:.1f} ms, as many insertions into a std::map {floor:.1f} ms: "
          f"{allocator / floor:.1f} x   rounds: {' '.join('%.1f' % a['allocator_ms'] for a in alone)}")
    last = next(r for r in reversed(rows) if r["form"] == "json")
    first = rows[1]
    growth = (last["median_s"] / last["services"]) / (first["median_s"] / first["services"])
    if not args.quick:
        print("goals:")
        verdict("50,000 Services of JSON", last["median_s"], 2, "s")
        verdict("peak memory at that", last["peak_mib"], 300, "MiB")
        verdict(f"time for each Service, against that at {first['services']:,}", growth, 1.25, "x")
        verdict("100,000 addresses of a /8", allocator, 100, "ms")
    if args.json:
        with open(args.json, "w") as out:
            json.dump({"rows": rows, "allocator_ms": allocator, "map_ms": floor, "growth": growth}, out, indent=1)
    return 0


if __name__ == "__main__":
    sys.exit(main())
