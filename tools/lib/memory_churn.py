# SPDX-License-Identifier: Apache-2.0
"""Restlessness for a lab: Services come and go, streams are cut, the controller is restarted, the LAN asks all the time."""
import random
import threading

from arp_wire import Asker
from lab import service
from netns import wait_for

AT_ONCE = 40           # Services of one manifest, which all go at once as others come
MANIFESTS = 8          # of such; their number stays, so that memory that grows is not memory of more Services
ROUND_SECONDS = 0.5    # between two changes
CUT_EVERY = 30         # rounds between two cuts of a stream; each lasts CUT_SECONDS, so the node is given up meanwhile
CUT_SECONDS = 2.0
ASKED_A_SECOND = 300


class Churn:
    """Runs from enter to exit, on threads of its own; the Services `s0`.. of the lab stay, those of churn come on top."""

    def __init__(self, lab, services):
        self.lab, self.steady = lab, services
        self.rounds = self.cuts = self.asked = self.restarts = 0
        self._ended = threading.Event()
        self._rng = random.Random(1)
        self._errors = []
        self._threads = [threading.Thread(target=self._guarded, args=(f,)) for f in (self._change, self._cut, self._ask)]
        self._addresses = sorted(lab.holders())

    def __enter__(self):
        for slot in range(MANIFESTS):
            self._replace(slot)
        self.lab.wait_announced(self.steady + MANIFESTS * AT_ONCE, 60)
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, kind, error, trace):
        self._ended.set()
        for thread in self._threads:
            thread.join()
        if self._errors and kind is None:
            raise self._errors[0]

    def _guarded(self, f):
        try:
            f()
        except BaseException as error:  # told at the end, by the thread that waits
            self._errors.append(error)

    def _change(self):
        while not self._ended.wait(ROUND_SECONDS):
            self._replace(self._rng.randrange(MANIFESTS))
            self.rounds += 1
        for slot in range(MANIFESTS):
            self.lab.manifest(f"churn{slot}.yaml", None)

    def _replace(self, slot):
        names = [f"c{slot}-{self.rounds}-{i}" for i in range(AT_ONCE)]
        self.lab.manifest(f"churn{slot}.yaml", "---\n".join(service(name) for name in names))

    def _cut(self):
        while not self._ended.wait(CUT_EVERY * ROUND_SECONDS):
            node = self._rng.choice(self.lab.nodes)
            node.cut_control()
            self._ended.wait(CUT_SECONDS)
            node.heal_control()
            self.cuts += 1

    def _ask(self):
        asker = Asker(self.lab.client)
        try:
            while not self._ended.wait(0.1):
                for _ in range(ASKED_A_SECOND // 10):
                    asker.ask(self._rng.choice(self._addresses))
                self.asked += ASKED_A_SECOND // 10
                asker.drain()
                asker.socket.setblocking(True)
        finally:
            asker.close()

    def restart_controller(self):
        self.lab.kill_controller()
        self.lab.restart_controller()
        self.restarts += 1

    def check_still_serving(self):
        """After churn exactly the steady Services hold addresses, each announced."""
        wait_for("the agents to be back", lambda: self.lab.wait_agents(len(self.lab.nodes)), 60)
        self.lab.wait_announced(self.steady, 60)

    def summary(self):
        return (f"{self.rounds} times {AT_ONCE} Services went and others came, {self.cuts} streams cut for {CUT_SECONDS:g} s, "
                f"the controller restarted {self.restarts} time(s), {self.asked:,} ARP requests")
