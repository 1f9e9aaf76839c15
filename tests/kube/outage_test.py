# SPDX-License-Identifier: Apache-2.0
"""Faults of the control plane can be made, and have the effect that they have in a real cluster."""
from kube_case import *  # noqa: F403

# Shorter than the default, so that a silent node is noticed soon.
KubeTest.CLUSTER = {"flags": {"kube-controller-manager": ["--node-monitor-period=1s", "--node-monitor-grace-period=8s"]}}


class Compacted(KubeTest):
    """A watch from a version that etcd has compacted and the API server no longer remembers gets 410 as an event"""

    def test(self):
        path = core("services", self.namespace)
        old = self.cluster.api.get(path)["metadata"]["resourceVersion"]
        cut = self.cluster.api.watch(path, old)
        self.cluster.expire_watches()
        with self.assertRaises(ConnectionError):
            list(cut)
        events = list(self.cluster.api.watch(path, old, timeout=5))
        self.assertEqual([(kind, thing["code"], thing["reason"]) for kind, thing in events], [("ERROR", 410, "Expired")])
        new = self.cluster.api.get(path)["metadata"]["resourceVersion"]
        self.assertEqual([kind for kind, _ in self.cluster.api.watch(path, new, timeout=1) if kind == "ERROR"], [])


class Frozen(KubeTest):
    """A frozen API server answers nobody while the pods' traffic goes on, and goes on itself when it thaws"""

    def test(self):
        pods = self.cluster.web("web", replicas=2, namespace=self.namespace)
        self.cluster.plane.stop("kube-apiserver")
        try:
            with self.assertRaises(OSError):
                self.cluster.plane.api(timeout=1).raw("GET", "/readyz")
            page = pods[0].space.exec("curl", "-sS", "--max-time", "3", f"http://{pods[1].address}/").stdout
            self.assertIn(pods[1].name, page)
        finally:
            self.cluster.plane.cont("kube-apiserver")
        self.cluster.plane.wait_ready()


class CutOff(KubeTest):
    """A pod cut off from the API server gets no answer, or resets, while others go on, and answers again once healed"""

    def test(self):
        pods = self.cluster.web("web", replicas=2, namespace=self.namespace)
        for reset, code in ((False, 28), (True, 7)):  # curl's: timed out; could not connect
            pods[0].space.cut_api(reset=reset)
            self.assertEqual(self._ask(pods[0]), code)
            self.assertEqual(self._ask(pods[1]), 0)
            pods[0].space.heal_api()
            self.assertEqual(self._ask(pods[0]), 0)

    @staticmethod
    def _ask(pod):
        return pod.space.exec("curl", "-sk", "--max-time", "2", "https://10.96.0.1/version", check=False).returncode


class LostNode(KubeTest):
    """A node that falls silent has its pods taken out of the Service until it speaks again"""

    def test(self):
        pods = self.cluster.web("web", replicas=3, namespace=self.namespace)
        self.cluster.kubectl("expose", "deployment", "web", "--port=80", "-n", self.namespace)
        self.assertEqual(wait_for("its endpoints", lambda: self._ready(3), 10), {pod.address for pod in pods})
        lost = pods[0].node
        lost.ready = None
        self.addCleanup(setattr, lost, "ready", True)
        self.assertNotIn(pods[0].address, wait_for("fewer endpoints", lambda: self._ready(2), 20))
        self.assertIn("NotReady", self.cluster.kubectl("get", "node", lost.name))
        lost.ready = True
        wait_for("all endpoints again", lambda: self._ready(3), 20)

    def _ready(self, count):
        slices = self.cluster.api.items(resource("discovery.k8s.io/v1", "endpointslices", self.namespace))
        found = {address for one in slices for e in one["endpoints"] or [] if e["conditions"]["ready"] for address in e["addresses"]}
        return found if len(found) == count else None


if __name__ == "__main__":
    main()
