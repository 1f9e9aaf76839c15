#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""tools/chaos: faults at random, one after another, on the real programs; what must hold is checked all the while.

    tools/chaos                      100 faults
    tools/chaos --seed 7 --faults 20
    tools/chaos --seed 7 --from 13 --faults 1    only the fault that failed

The faults, how long each lasts, and in which order nodes are looked at for the first that holds an address, which is struck,
follow from the seed. After each one everybody is well again: then each address is where it was given, announced by one node,
and answered for by that node alone. Half of the addresses are of IPv6. A client asks for all of them all the while; no
question may wait longer for an answer than Berth promises for the fault under way (docs/failure-stories.md), with slack for a
busy machine. All frames are captured and judged at the end by tools/lib/check_capture.py. Exit code 1 when something did not
hold; the last line says how to run it again.
"""
import argparse
import contextlib
import itertools
import os
import random
import shutil
import signal
import struct
import sys
import threading
import time
import traceback

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
from arp_wire import Asker  # noqa: E402
from capture import Capture  # noqa: E402
from lab import Lab, eip, service  # noqa: E402
from ndp_wire import IPV6_ONLY, NdpAsker, own_ipv6  # noqa: E402
from netns import freeze, thaw, wait_for  # noqa: E402

NODES, SERVICES = 3, 5         # Services of each family
SETTLE, ANSWER = 10, 2         # seconds until everything must be well again; what is promised is far less
SLACK, LEAST = 3, 0.5          # times what is promised, and never less than this, for a machine that does other things beside
NOTHING, CRASH, LOSS, LOSS_ALONE = 0.05, 0.15, 1.0, 1.5  # seconds for which a client may go unanswered


class Broken(Exception):
    """Something that must hold does not."""


class Questions:
    """Asks for all addresses all the while, each time in the name of another host: what is answered, the capture shows."""

    def __init__(self, lab, addresses):
        self.four, self.six = Asker(lab.client), NdpAsker(lab.client, own_ipv6(lab.client))
        self.addresses, self.ending = sorted(addresses), False
        self.thread = threading.Thread(target=self._ask, daemon=True)
        self.thread.start()

    def _ask(self):
        for number, address in enumerate(itertools.cycle(self.addresses)):
            if self.ending:
                return
            mac = b"\x02\xbe" + struct.pack("!I", number)
            if ":" in address:
                self.six.ask(address, sender=f"fd00:50::be:{number >> 16:x}:{number & 0xffff:x}", mac=mac.hex(":"))
            else:
                self.four.ask(address, sender="192.168.50.240", mac=mac)
            time.sleep(0.005)

    def end(self):
        self.ending = True
        self.thread.join()
        self.four.close()
        self.six.close()


class Chaos:
    def __init__(self, seed, folder):
        self.seed, self.folder = seed, folder
        self.lab = lab = Lab(nodes=NODES)
        try:
            self.stranger = lab.add_host("stranger", "192.168.50.99")
            for host in lab.hosts:
                host.sysctl("net.ipv6.conf.eth0.keep_addr_on_down", "1")  # a link that is set down and up again is as it was
            lab.add_ipv6()
            self.capture = Capture(lab, os.path.join(folder, "capture.pcap"), asker=lab.client)
            lab.start()
            lab.manifest("pool.yaml", eip("four"))
            lab.manifest("pool6.yaml", eip("six", address="fd00:50::100-fd00:50::10f"))
            lab.manifest("services.yaml", "---\n".join([*(service(f"s{i}", "four") for i in range(SERVICES)),
                                                       *(service(f"t{i}", "six", extra=IPV6_ONLY) for i in range(SERVICES))]))
            lab.wait_announced(2 * SERVICES)
            self.given = self.owners()
            self.asker6 = NdpAsker(lab.client, own_ipv6(lab.client))
            self.stranger6 = NdpAsker(self.stranger, own_ipv6(self.stranger))
            self.questions = Questions(lab, lab.holders())
        except BaseException:
            lab.close()
            raise

    # ---- what must hold ---------------------------------------------------------------------------------------------
    def owners(self):
        return {s["name"]: s["addresses"] for s in self.lab.get("services")}

    def holders(self):
        """address -> node, once all are announced; a stranger is remembered for a while, and its address held all the same."""
        found = [a for a in self.lab.get("addresses") if a["holder"] and a["state"] in ("ANNOUNCED", "CONFLICT")]
        return {a["address"]: a["holder"] for a in found} if len(found) == 2 * SERVICES else None

    def check_well(self):
        """Everybody is there, each address is announced by one node, and that node alone answers for it."""
        lab = self.lab
        try:
            lab.wait_agents(NODES, SETTLE)
            holders = wait_for("a holder of each address", self.holders, SETTLE, 0.05)
        except TimeoutError as error:
            raise Broken(f"{error}: {lab.ctl('get', 'addresses', check=False).stdout}{lab.ctl('get', 'agents', check=False).stdout}") from error
        if self.owners() != self.given:
            raise Broken(f"addresses were {self.given} and are {self.owners()}")
        for address in holders:
            def right(address=address):
                macs = self.who_has(address, 0.1)
                return len(macs) == 1 and lab.node_of_mac(macs[0]) == lab.holders().get(address)
            try:
                wait_for(f"one answer for {address}", right, ANSWER)
            except TimeoutError as error:
                raise Broken(f"{error}: answers {self.who_has(address)}, held by {lab.holders().get(address)}") from error

    def who_has(self, address, seconds=0.3):
        return (self.asker6 if ":" in address else self.lab.asker).who_has(address, seconds)

    # ---- faults: each lasts for `seconds`, and leaves everything as it was -----------------------------------------------
    def kill_agent(self, node, seconds):
        node.kill_agent()
        time.sleep(seconds)
        node.restart_agent()

    def end_agent(self, node, seconds):
        node.kill_agent(signal.SIGTERM)
        time.sleep(seconds)
        node.restart_agent()

    def freeze_agent(self, node, seconds):
        freeze(node.agent.pid)
        time.sleep(seconds)
        thaw(node.agent.pid)

    def draw_cable(self, node, seconds):
        node.port_down()
        time.sleep(seconds)
        node.port_up()

    def set_link_down(self, node, seconds):
        node.ip("link", "set", "eth0", "down")
        time.sleep(seconds)
        node.ip("link", "set", "eth0", "up")

    def cut_from_controller(self, node, seconds):
        node.cut_control()
        time.sleep(seconds)
        node.heal_control()

    def lose_node(self, node, seconds):
        node.vanish()
        time.sleep(seconds)
        node.reappear()

    def lose_everybody(self, _node, seconds):
        with self.capture.within(None, "all nodes lost"):
            for node in self.lab.nodes:
                node.vanish()
            time.sleep(seconds)
            for node in self.lab.nodes:
                node.reappear()

    def lose_controller_and_node(self, node, seconds):
        self.lab.kill_controller()
        time.sleep(0.5)
        self.lose_node(node, seconds)
        self.lab.restart_controller()

    def part_lan(self, node, seconds):
        """The node and the stranger on one side, everybody else on the other."""
        self.lab.part(node, self.stranger)
        time.sleep(seconds)
        self.lab.join(node, self.stranger)

    def kill_controller(self, _node, seconds):
        self.lab.kill_controller()
        time.sleep(seconds)
        self.lab.restart_controller()

    def freeze_controller(self, _node, seconds):
        freeze(self.lab.controller.pid)
        time.sleep(seconds)
        thaw(self.lab.controller.pid)

    def claim_address(self, node, seconds):
        """The stranger's kernel has an address of ours for a while."""
        address = self.random.choice(sorted(sum(self.given.values(), [])))
        whole = f"{address}/{128 if ':' in address else 32}"
        self.stranger.ip("addr", "add", whole, "dev", "eth0", *["nodad"] * (":" in address))
        if ":" in address:
            self.stranger6.announce(address)
        else:
            self.stranger.exec("arping", "-c", "1", "-U", "-I", "eth0", address, check=False)
        time.sleep(seconds)
        self.stranger.ip("addr", "del", whole, "dev", "eth0")

    def take_address_off(self, node, seconds):
        local = sorted(node.addresses("berth0") & set(self.lab.holders()))
        for address in {local[0], local[-1]} if local else ():  # one of each family
            node.ip("addr", "del", f"{address}/{128 if ':' in address else 32}", "dev", "berth0")
        time.sleep(seconds)

    def flush_silence(self, node, seconds):
        node.exec("nft", "flush", "ruleset", check=False)
        time.sleep(seconds)

    def rename_interface(self, node, seconds):
        for old, new in (("eth0", "renamed0"), ("renamed0", "eth0")):
            node.ip("link", "set", old, "down")
            node.ip("link", "set", old, "name", new)
            node.ip("link", "set", new, "up")
            if new == "renamed0":
                time.sleep(seconds)

    # How long a client may go unanswered: kind of fault -> seconds promised. A node whose cable is drawn here has no other path
    # to tell the controller. What a stranger brings about is his affair, and answering all the same is ours.
    FAULTS = {"kill_agent": CRASH, "end_agent": NOTHING, "freeze_agent": LOSS, "draw_cable": LOSS, "set_link_down": LOSS,
              "cut_from_controller": NOTHING, "lose_node": LOSS, "lose_everybody": LOSS, "lose_controller_and_node": LOSS_ALONE,
              "part_lan": LOSS, "kill_controller": NOTHING, "freeze_controller": NOTHING, "claim_address": NOTHING,
              "take_address_off": NOTHING, "flush_silence": NOTHING, "rename_interface": LOSS}

    def plan(self, number):
        """What the fault of that number is, the same in every run of this seed: kind, nodes in an order, seconds."""
        self.random = random.Random(f"{self.seed}/{number}")
        return self.random.choice(list(self.FAULTS)), self.random.sample(self.lab.nodes, NODES), self.random.choice((0.05, 0.3, 0.7, 1.5, 3.0))

    def strike(self, number):
        kind, nodes, seconds = self.plan(number)
        held = list(self.lab.holders().values())
        node = next((node for node in nodes if node.name in held), nodes[0])
        print(f"{number:4} {kind} {node.name}, which holds {held.count(node.name)}, for {seconds} s", flush=True)
        with self.capture.within(max(LEAST, SLACK * self.FAULTS[kind]), kind):
            getattr(self, kind)(node, seconds)
            struck = time.monotonic()
            self.check_well()
        print(f"     well after {time.monotonic() - struck:.2f} s", flush=True)

    def end(self):
        self.questions.end()
        wrong = self.capture.end()
        for kind, (seconds, address) in sorted(self.capture.waits.items()):
            print(f"longest wait for an answer: {seconds * 1000:6.0f} ms, {kind} ({address})")
        if wrong:
            raise Broken("the capture shows:\n" + "\n".join(wrong[:20]))
        print(f"captured: {self.capture.looked_at}")

    def keep_logs(self):
        for name in os.listdir(self.lab.folder):
            if name.endswith(".log"):
                shutil.copy(os.path.join(self.lab.folder, name), self.folder)


def main():
    parser = argparse.ArgumentParser(prog="tools/chaos", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seed", type=int, default=int(time.time()) % 1000000)
    parser.add_argument("--faults", type=int, default=100)
    parser.add_argument("--from", type=int, default=0, dest="first", help="number of the first fault")
    parser.add_argument("--folder", default="build/chaos", help="for the capture and, after a failure, the logs")
    args = parser.parse_args()
    shutil.rmtree(args.folder, ignore_errors=True)
    os.makedirs(args.folder)
    print(f"seed {args.seed}", flush=True)
    chaos = Chaos(args.seed, os.path.abspath(args.folder))
    number = args.first
    try:
        chaos.check_well()
        for number in range(args.first, args.first + args.faults):
            chaos.strike(number)
        chaos.end()
        print(f"{args.faults} faults, everything held")
    except Exception as broken:  # noqa: BLE001 - whatever it is, it is to be seen again
        if not isinstance(broken, Broken):
            traceback.print_exc()
        with contextlib.suppress(OSError):
            chaos.keep_logs()
        print(f"{broken}\nafter fault {number}; capture and logs are in {args.folder}\n"
              f"again: tools/chaos --seed {args.seed} --faults {number + 1}")
        sys.exit(1)
    finally:
        chaos.lab.close()


if __name__ == "__main__":
    main()
