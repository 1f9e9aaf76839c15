# SPDX-License-Identifier: Apache-2.0
"""Faults of the API server cost nobody an address and no client a page."""
import secrets
import sys

from faults_case import *  # noqa: F403
from faults_case import CONTROLLER


class ServerTest(FaultTest):
    def setUp(self):
        super().setUp()
        self.addCleanup(self.cluster.renew_kube_proxies)
        self.addCleanup(self.server_is_there)

    def server_is_there(self):
        """What failed while it was away fails alone."""
        if "kube-apiserver" not in self.cluster.plane.running:
            self.cluster.plane.start_apiserver()
            self.cluster.plane.wait_ready()


class Away(ServerTest):
    """T100: a minute without the API server costs no page, though a node is lost; what came and went is done once it is back"""

    def test(self):
        self.wait_agents()  # so that each has its share
        self.web_service()
        kept, goes = ["web", *(f"kept-{i}" for i in range(11))], [f"goes-{i}" for i in range(4)]
        self.create(*kept[1:], *goes)
        given = self.wait_addresses(*kept, *goes)
        given = {name: given[name] for name in kept}
        lost = self.node_without_a_page()
        holders = dict(zip(given.values(), self.holders(given)))
        address, holder = next(each for each in holders.items() if each[1] is not lost)
        self.assertIn(lost, holders.values())
        self.tap = self.cluster.tap()
        with self.served(address):
            began = time.monotonic()
            # To the controllers it is away from here on; who makes and deletes Services meets it for most of the time.
            both = self.berth.controllers
            for pod in both:
                pod.space.cut_api()
                self.addCleanup(pod.space.exec, "nft", "delete", "table", "inet", "cut-api", check=False)
            new = [f"new-{i}" for i in range(6)]
            for step in range(4):
                self.create(*new[step::4])
                self.delete(goes[step])
                brief = f"brief-{step}"
                self.create(brief)
                self.delete(brief)
                time.sleep(9)  # the outage lasts: that nothing happens in it is no event
            self.assertEqual([pod for pod in both if self.status(pod)["leader"]], [])
            self.cluster.plane.kill("kube-apiserver")

            gone = time.monotonic()
            lost.port_drop()
            self.addCleanup(lost.port_pass)
            self.assertNotIn(lost, self.holders(given))
            print(f"  all is answered {time.monotonic() - gone:.1f} s after a node was lost", file=sys.stderr)
            self.tap.wait_all_told()
            time.sleep(max(0, began + 60 - time.monotonic()))
            self.assertIs(self.holder(address), holder)

            before, back = self.holders(given), time.monotonic()
            for pod in both:
                pod.space.heal_api()
            self.cluster.plane.start_apiserver()
            self.cluster.plane.wait_ready()
            after = self.wait_addresses(*kept, *new)
            print(f"  all is done {time.monotonic() - back:.1f} s after the return of the API server", file=sys.stderr)
            self.assertEqual({name: after[name] for name in kept}, given)
            self.adopted(given)
            lost.port_pass()
            self.wait_agents()
            self.adopted(given)
        # An agent that gets no processor for as long as all this starts is followed, too, and that is told.
        stayed = [each for each, was, now in zip(given.values(), before, self.holders(given)) if was is now]
        print(f"  {len(stayed)} of {len(given)} have the holder that they had before the API server came back", file=sys.stderr)
        self.assertEqual([each for each in stayed if self.told(back).count(each) >= 2], [])
        self.create("later")
        self.wait_addresses(*kept, *new, "later")

    def wait_agents(self):
        def ready():
            states = [agent["state"] for agent in self.berth.get("agents")]
            return states == ["READY"] * len(self.cluster.nodes)
        wait_for("all agents", lambda: self._told(ready), 30, 0.1)

    def node_without_a_page(self):
        """Whose loss no page notices, but for what it announces."""
        serving = {pod.node for pod in self.cluster.pods(self.namespace)}
        return next(node for node in self.cluster.nodes if node not in serving)

    def holders(self, given):
        return [self.holder(address, 10) for address in given.values()]

    def told(self, since):
        """The addresses of which hosts have spoken unasked, in the form of a reply, once for each time."""
        return [frame.sender_ip for frame in self.tap.gratuitous(since) if frame.op == 2]

    def adopted(self, given):
        """Until the controller that leads says of each address what the LAN says."""
        def same():
            said = {address["address"]: address["holder"] for address in self.berth.get("addresses")}
            return [said.get(address) for address in given.values()] == [node.name for node in self.holders(given)]
        wait_for("holders as the LAN has them", lambda: self._told(same), 30, 0.1)


class Compacted(ServerTest):
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
                mark = self.cluster.audit.mark()
            after = self.wait_addresses("web", "kept", "new")
        for pod in self.berth.controllers:
            wait_for("a list", lambda pod=pod: self.cluster.audit.requests(mark, user=CONTROLLER, pod=pod.name, verb="list", resource="services"))
        self.assertEqual((after["web"], after["kept"]), (before["web"], before["kept"]))


class CutMidObject(FaultTest):
    """Watches that are cut in the middle of large objects lose none of them"""

    def test(self):
        names = [f"large-{i}" for i in range(6)]
        pods = self.berth.controllers
        for pod in pods:  # an object of 200 kB takes a fifth of a second
            self.shape(pod, "add", "root", "tbf", "rate", "8mbit", "burst", "16kb", "latency", "5s")
            self.addCleanup(self.shape, pod, "del", "root")
            self.addCleanup(pod.space.exec, "nft", "delete", "table", "inet", "cut-api", check=False)
        came = []  # of each object, by the time of the cut
        for name in names:
            thing = service(name)
            thing["metadata"]["annotations"] = {"example.com/text": secrets.token_hex(100_000)}
            before = [(self.passed(pod), self.restarts(pod)) for pod in pods]
            self.cluster.api.create(self.path(), thing)
            for pod, (passed, _) in zip(pods, before):
                wait_for("a third of it", lambda pod=pod, passed=passed: self.passed(pod) - passed > 70_000, 20, 0)
                pod.space.cut_api(reset=True)
                came.append(self.passed(pod) - passed)
            for pod, (_, restarts) in zip(pods, before):
                wait_for("the end of its watch", lambda pod=pod, restarts=restarts: self.restarts(pod) > restarts, 20, 0.02)
                pod.space.heal_api()
        self.wait_addresses(*names)
        self.assertLess(min(came), 200_000, "no cut was in the middle of an object")

    def restarts(self, pod):
        """How often that controller's watch of Services has begun anew."""
        return self.berth.metric('berth_watch_restarts_total{resource="services"}', pod, default=0)

    @staticmethod
    def shape(pod, verb, *args):
        """What comes to a pod."""
        pod.space.node.exec("tc", "qdisc", verb, "dev", pod.space.port, *args)

    @staticmethod
    def passed(pod):
        """Bytes that have come to a pod, so far."""
        told = json.loads(pod.space.node.exec("ip", "-j", "-s", "link", "show", "dev", pod.space.port).stdout)
        return told[0]["stats64"]["tx"]["bytes"]


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
