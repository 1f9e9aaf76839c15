# SPDX-License-Identifier: Apache-2.0
"""Faults of the API server cost nobody an address and no client a page."""
from faults_case import *  # noqa: F403


class Away(FaultTest):
    """While the API server is away pages go on, and what came or went just before is done once it is back"""

    def test(self):
        address = self.web_service()
        self.create("kept", "goes-1", "goes-2")
        before = self.wait_addresses("web", "kept", "goes-1", "goes-2")
        holder = self.holder(address)
        with self.served(address):
            # What is asked for while they stand still is news to them after the outage only.
            with self.frozen(*self.berth.controllers):
                self.create("new-1", "new-2", "new-3")
                self.delete("goes-1", "goes-2")
                self.cluster.plane.kill("kube-apiserver")
            wait_for("that nobody leads any more",
                     lambda: not any(self.status(pod)["leader"] for pod in self.berth.controllers), 20, 0.2)
            time.sleep(5)  # an outage longer than any Lease: that it goes on is no event
            self.assertIs(self.holder(address), holder)
            self.cluster.plane.start_apiserver()
            self.cluster.plane.wait_ready()
            after = self.wait_addresses("web", "kept", "new-1", "new-2", "new-3")
        self.assertEqual({name: after[name] for name in ("web", "kept")}, {name: before[name] for name in ("web", "kept")})
        self.create("later")
        self.wait_addresses("web", "kept", "new-1", "new-2", "new-3", "later")


class Compacted(FaultTest):
    """Watches that cannot go on where they ended, for etcd has forgotten it, are read anew, and nothing moves"""

    def test(self):
        address = self.web_service()
        self.create("kept", "goes")
        before = self.wait_addresses("web", "kept", "goes")
        with self.served(address):
            with self.frozen(*self.berth.controllers):
                self.delete("goes")
                self.create("new")
                self.cluster.expire_watches()
            after = self.wait_addresses("web", "kept", "new")
        self.assertEqual((after["web"], after["kept"]), (before["web"], before["kept"]))


class CutMidObject(FaultTest):
    """Watches that are cut in the middle of large objects lose none of them"""

    def test(self):
        names = [f"large-{i}" for i in range(6)]
        spaces = [pod.space for pod in self.berth.controllers]
        text = "x" * 100_000  # takes several reads
        for name in names:
            thing = service(name)
            thing["metadata"]["annotations"] = {"example.com/text": text}
            self.cluster.api.create(self.path(), thing)
            for space in spaces:
                space.cut_api(reset=True)
            for space in spaces:
                space.heal_api()
        self.wait_addresses(*names)


class OneCutOff(FaultTest):
    """A leader that alone cannot reach the API server leads no more, and the other takes over; agents follow"""

    def test(self):
        address = self.web_service()
        lost = self.berth.leader()
        with self.served(address):
            lost.space.cut_api()
            self.addCleanup(lost.space.heal_api)
            wait_for("another leader", lambda: self.berth.leader() is not lost, 30, 0.1)
            self.create("new")
            after = self.wait_addresses("web", "new")
        self.assertEqual(after["web"], address)


if __name__ == "__main__":
    main()
