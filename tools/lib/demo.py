# SPDX-License-Identifier: Apache-2.0
"""The walkthrough of tools/demo: the life of one Service, told step by step with the commands and what they print.

Every step checks what it shows; the first one that does not hold ends the demo with exit code 1.
"""
import os
import shutil
import signal
import sys
import threading
import time

from lab import Lab
from netns import ROOT, run, wait_for

VIP = "192.168.50.50"


class Wrong(Exception):
    pass


def expect(holds, what):
    if not holds:
        raise Wrong(what)


def title(text):
    print(f"\n\033[1m{text}\033[0m" if sys.stdout.isatty() else f"\n{text}")


def tell(text):
    print(f"  {text}")


def show(where, command, output):
    print(f"  {where}$ {command}")
    for line in output.rstrip("\n").splitlines():
        print(f"      {line}")
    sys.stdout.flush()


def curl(lab):
    done = lab.client.exec("curl", "-s", "-m", "2", f"http://{VIP}/", check=False)
    return done.stdout.strip() if done.returncode == 0 else None


def arping(lab):
    """arping's own output, and the MACs it saw."""
    done = lab.client.exec("arping", "-I", "eth0", "-c", "3", "-w", "2", VIP, check=False)
    macs = {word.strip("[]()").lower() for line in done.stdout.splitlines() if "from" in line
            for word in line.replace("[", " ").replace("]", " ").replace("(", " ").replace(")", " ").split()
            if word.count(":") == 5}
    return done.stdout, macs


class Demo:
    def __init__(self, lab, keep):
        self.lab, self.keep = lab, keep

    def berthctl(self, *args):
        done = self.lab.ctl(*args)
        show("controller", "berthctl " + " ".join(args), done.stdout)
        return done.stdout

    def holder(self):
        return self.lab.node(self.lab.wait_announced(1)[VIP])

    def walk(self):
        lab = self.lab
        title("1. A LAN: a switch, three nodes, a client (192.168.50.0/24), all network namespaces on this machine")
        for host in [*lab.nodes, lab.client, lab.controller_host]:
            tell(f"{host.name:8} {host.address:15} {host.mac}   (namespace {host.ns})")
        lab.node("node3").add_kube_ipvs0(VIP)
        tell(f"node3 has a kube-ipvs0 that carries {VIP} already, as kube-proxy would leave it: its kernel is eager to answer")

        title("2. One controller reading manifests, an agent and a web server on each node")
        # A copy, because the walkthrough deletes the Service in the end.
        folder = os.path.join(lab.folder, "manifests")
        shutil.copytree(os.path.join(ROOT, "examples/layer2"), folder)
        lab.start_controller(folder)
        show("controller", f"berth-controller --source=files:examples/layer2 --state-dir={lab.controller_state} --insecure", "")
        for node in lab.nodes:
            node.start_web()
            node.start_agent()
            show(node.name, " ".join([os.path.basename(node.agent.args[4]), *node.agent.args[5:]]), "")
        lab.wait_agents(3)
        self.berthctl("get", "agents")

        title("3. The Service gets its address")
        lab.wait_announced(1)
        out = wait_for("get pools", lambda: self.berthctl("get", "pools"))
        header, row = [line.split() for line in out.splitlines()[:2]]
        expect(header == ["NAME", "CIDR", "USAGE", "TOTAL"], "the columns of an Eip")
        expect(row == ["eip-pool", "192.168.50.50-192.168.50.60", "1", "11"], "one of eleven addresses in use")
        out = self.berthctl("get", "services")
        expect(VIP in out, "nginx has its EXTERNAL-IP")
        self.berthctl("get", "addresses")
        holder = self.holder()
        interface = next(i for i in ("kube-ipvs0", "berth0") if VIP in holder.addresses(i))
        show(holder.name, f"ip -br addr show {interface}", holder.ip("-br", "addr", "show", interface))

        title("4. The client asks the LAN: one MAC answers, the holder's, though other kernels have the address too")
        out, macs = arping(lab)
        show("client", f"arping -I eth0 -c 3 {VIP}", out)
        expect(macs == {holder.mac}, f"only {holder.name} ({holder.mac}) answers, seen: {macs}")
        page = wait_for("the page", lambda: curl(lab))
        show("client", f"curl http://{VIP}/", page)
        expect(page == holder.name, "the page comes from the holder")
        if self.keep:
            return self.look_around()

        title(f"5. The agent of {holder.name} is killed: another node takes over")
        gap = self.measure(lambda: holder.kill_agent())
        after = wait_for("another holder", lambda: (lambda h: h if h != holder.name else None)(lab.holders().get(VIP)))
        out, macs = arping(lab)
        show("client", f"arping -I eth0 -c 3 {VIP}", out)
        expect(macs == {lab.node(after).mac}, f"only {after} answers, seen: {macs}")
        tell(f"{after} answered {gap * 1000:.0f} ms after the kill; what clients had in their ARP caches went on working meanwhile")
        holder.restart_agent()
        lab.wait_agents(3)
        expect(lab.wait_announced(1)[VIP] == after, "a node that comes back moves nothing")
        tell(f"the agent of {holder.name} is back: nothing moves")
        self.berthctl("get", "addresses")

        title("6. The controller is stopped: traffic goes on")
        lab.kill_controller(signal.SIGTERM)
        page = curl(lab)
        show("client", f"curl http://{VIP}/", page or "")
        expect(page == after, "the holder still serves")
        _, macs = arping(lab)
        expect(macs == {lab.node(after).mac}, "and answers ARP")
        lab.restart_controller()
        lab.wait_agents(3)
        expect(lab.wait_announced(1)[VIP] == after, "a restarted controller changes nothing")
        tell("the controller is started again: same address, same holder")

        title("7. The Service is deleted: the address is free and nobody answers")
        os.unlink(os.path.join(folder, "nginx-service.yaml"))
        show("controller", "rm examples/layer2/nginx-service.yaml", "")
        wait_for("a free address", lambda: not lab.get("addresses"))
        out = self.berthctl("get", "pools")
        expect(out.splitlines()[1].split()[2] == "0", "no address in use")
        out, macs = arping(lab)
        show("client", f"arping -I eth0 -c 3 {VIP}", out)
        expect(not macs, f"nobody answers, seen: {macs}")
        expect(VIP not in lab.node(after).addresses("berth0"), "the address has left the node")
        expect(VIP in lab.node("node3").addresses("kube-ipvs0"), "what kube-proxy put on node3 is left alone")

    def measure(self, fault):
        """Seconds from the fault until a new asker is answered."""
        fault()
        start = time.monotonic()
        while time.monotonic() - start < 10:
            if self.lab.asker.answered_within(VIP, 0.01):
                return time.monotonic() - start
        raise Wrong("nobody answers any more")

    def look_around(self):
        lab = self.lab
        title("Running. Look around, from another shell:")
        bin_dir = os.path.relpath(lab.bin, os.getcwd())
        ctl = f"ip netns exec {lab.controller_host.ns}"
        for line in [f"{ctl} {bin_dir}/berthctl get services -o wide", f"{ctl} {bin_dir}/berthctl explain service default/nginx",
                     f"ip netns exec {lab.client.ns} curl http://{VIP}/",
                     f"ip netns exec {lab.client.ns} arping -I eth0 -c 3 {VIP}",
                     f"ip netns exec {lab.nodes[0].ns} nft list ruleset", f"ls {lab.folder}   # logs, state, manifests"]:
            tell(line)
        print("\nCtrl-C ends it and cleans up.")
        sys.stdout.flush()
        threading.Event().wait()


def main():
    signal.signal(signal.SIGTERM, lambda *_: (_ for _ in ()).throw(KeyboardInterrupt()))
    began = time.monotonic()
    try:
        with Lab(nodes=3) as lab:
            try:
                Demo(lab, "--keep" in sys.argv[1:]).walk()
            except (Wrong, TimeoutError, RuntimeError) as error:
                print(f"\ndemo: this does not hold: {error}", file=sys.stderr)
                for name in ["controller", *(f"agent-{n.name}" for n in lab.nodes)]:
                    path = os.path.join(lab.folder, f"{name}.log")
                    if os.path.exists(path):
                        print(f"--- {name}.log, its end", file=sys.stderr)
                        sys.stderr.write(run("tail", "-n", "15", path, check=False).stdout)
                return 1
    except KeyboardInterrupt:
        print("\ndemo: interrupted, cleaned up")
        return 130
    print(f"\nAll steps held ({time.monotonic() - began:.0f} s). Nothing is left behind.")
    return 0


if __name__ == "__main__":
    sys.exit(main())
