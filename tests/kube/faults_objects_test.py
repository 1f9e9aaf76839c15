# SPDX-License-Identifier: Apache-2.0
"""What others do to Services, Eips and their kinds costs no Service its address, and none gets one that is another's."""
from faults_case import *  # noqa: F403
from faults_case import EIP


class ConflictingWriter(FaultTest):
    """Somebody who writes the same Services all the time does not keep them from their addresses"""

    def test(self):
        names = [f"s-{i}" for i in range(5)]
        self.create(*names)
        end, writes = threading.Event(), []

        def write(name):
            while not end.wait(0.005):
                self.cluster.api.patch(self.path(name), {"metadata": {"annotations": {"example.com/tick": str(time.monotonic_ns())}}})
                writes.append(name)
        threads = [threading.Thread(target=write, args=(name,), daemon=True) for name in names]
        for thread in threads:
            thread.start()
        try:
            wait_for("each to be written", lambda: set(writes) == set(names), 10)
            before = self.wait_addresses(*names)
            for name in names:  # the finalizer, too, has to go on while they are written
                self.cluster.api.patch(self.path(name), {"spec": {"externalTrafficPolicy": "Local"}})
        finally:
            end.set()
            for thread in threads:
                thread.join()
        self.assertEqual(self.wait_addresses(*names), before)


class SameByHand(FaultTest):
    """Of two Services that somebody gave one address by hand the one that had it keeps it, the other gets its own, and both are told"""

    def test(self):
        address = self.web_service()
        thief = service("younger")  # by its name, too, where both are of one second
        thief["metadata"] = {"name": "younger", "labels": {EIP: "pool"}, "finalizers": [SERVICE_FINALIZER]}
        with self.served(address):
            # Berth sees the two as they are then: no controller is there that could see the one without its address before.
            for pod in self.berth.controllers:
                self.addCleanup(pod.release)
                pod.kill(signal.SIGTERM, hold=True)
            self.cluster.api.create(self.path(), thief)
            self.cluster.api.patch(self.path("younger", "status"), {"status": {"loadBalancer": {"ingress": [{"ip": address}]}}})
            for pod in self.berth.controllers:
                pod.release()
            self.wait_event("web", "UpdateServiceStatus", address, f"the ingress of {self.namespace}/younger too", timeout=60)
            self.assertEqual(self.wait_addresses("web", "younger")["web"], address)
            self.wait_event("younger", "AssignIPFailed", f"tcp/80 on {address} is in use by {self.namespace}/web")


class Emptied(FaultTest):
    """A Service whose address somebody takes out of its status has it back and says so in an Event, and its page comes again"""

    RESTARTS = True

    def test(self):
        address = self.web_service()
        for status in ({"loadBalancer": {"ingress": None}}, {"loadBalancer": {"ingress": [{"ip": "203.0.113.9"}]}}):
            self.cluster.api.patch(self.path("web", "status"), {"status": status})
            wait_for("its address", lambda: address in ingress_of(self.services()["web"]), 20, 0.02)
            # kube-proxy, which does as the status says, may have refused in between.
            wait_for("its page", lambda: self.cluster.fetch(address, timeout=1), 20, 0.05)
            self.wait_event("web", "UpdateServiceStatus", "somebody else changed the Service's ingress: restored")


class PastTheWebhook(FaultTest):
    """A BgpPeer that no speaker would take and that came past the webhook says so in an Event and is told by berthctl, until it is mended"""

    def test(self):
        hooks = resource("admissionregistration.k8s.io/v1", "validatingwebhookconfigurations", None, "berth-controller")
        place = [hook["name"] for hook in self.cluster.api.get(hooks)["webhooks"]].index("validate.bgppeer.network.kubesphere.io")

        def policy(value):
            self.cluster.api.patch(hooks, [{"op": "replace", "path": f"/webhooks/{place}/failurePolicy", "value": value}],
                                   "application/json-patch+json")
        policy("Ignore")
        self.addCleanup(policy, "Fail")
        peers = resource("network.kubesphere.io/v1alpha2", "bgppeers")
        with self.frozen(*self.berth.controllers):
            # Until the API server itself has heard that it may go on without an answer.
            wait_for("a BgpPeer let in", lambda: self._created(peers, {
                "apiVersion": "network.kubesphere.io/v1alpha2", "kind": "BgpPeer", "metadata": {"name": "tor"},
                "spec": {"conf": {"neighborAddress": "192.0.2.1", "peerAs": 64512},
                         # The controller wants at most 65535, the CRD five digits.
                         "timers": {"config": {"connectRetry": "99999"}}}}), 60, 0.1)
        self.addCleanup(self.cluster.api.delete, f"{peers}/tor")
        says = 'BgpPeer "tor": spec.timers.config.connectRetry is "99999"; it must be a number of seconds in quotes, such as "30"'
        wait_for("an Event", lambda: says in self.cluster.kubectl("describe", "bgppeer", "tor"), 30, 0.2)
        wait_for("a problem", lambda: self._problems() == [f"Kubernetes: {says}"], 20, 0.1)
        self.cluster.api.patch(f"{peers}/tor", {"spec": {"timers": {"config": {"connectRetry": "30"}}}})
        wait_for("no problem", lambda: self._problems() == [], 20, 0.1)

    def _created(self, path, thing):
        try:
            return self.cluster.api.create(path, thing)
        except ApiError as error:
            if error.code != 500:
                raise
            return None

    def _problems(self):
        return self.status(self.berth.leader()).get("problems", [])


class KindDeleted(FaultTest):
    """Controllers that start after Eips and their kind were deleted say what is missing and wait; once it is there again all goes on"""

    def test(self):
        address = self.web_service()
        self.create("kept")
        before = self.wait_addresses("web", "kept")
        self.wait_eip("pool", usage=2)
        written = self.services()["kept"]["metadata"]["resourceVersion"]
        path = resource("apiextensions.k8s.io/v1", "customresourcedefinitions", None, "eips.network.kubesphere.io")
        kind = self.cluster.api.get(path)
        with self.served(address):
            for pod in self.berth.controllers:
                self.addCleanup(pod.release)
                pod.kill(hold=True)
            self.cluster.api.patch(eip_path("pool"), {"metadata": {"finalizers": None}})
            self.cluster.kubectl("delete", "crd", "eips.network.kubesphere.io", "--timeout=30s")
            for pod in self.berth.controllers:
                pod.release()
            for pod in self.berth.controllers:
                self.wait_said("the API server has no eips of network.kubesphere.io/v1alpha2: install Berth's CRDs", [pod])
            self.assertFalse(any(pod.ready for pod in self.berth.controllers))
            kind["metadata"] = {key: kind["metadata"][key] for key in ("name", "labels", "annotations")}
            self.cluster.api.create(os.path.dirname(path), {**kind, "status": None})
            self.cluster.kubectl("wait", "crd/eips.network.kubesphere.io", "--for=condition=Established", "--timeout=30s")
            self.eip("pool", POOL)
            self.berth.wait_ready()
            self.wait_eip("pool", timeout=30, usage=2)
            self.assertEqual(self.wait_addresses("web", "kept"), before)
        self.assertEqual(self.services()["kept"]["metadata"]["resourceVersion"], written)


class KindOlder(FaultTest):
    """A controller that starts under an older CRD of Eips says which field it lacks and serves all the same, and a later one says nothing"""

    def test(self):
        self.create("kept")
        before = self.wait_addresses("kept")
        path = resource("apiextensions.k8s.io/v1", "customresourcedefinitions", None, "eips.network.kubesphere.io")
        field = "schema/openAPIV3Schema/properties/spec/properties/nodeSelector"
        kind = self.cluster.api.get(path)
        had = {place: value for i, version in enumerate(kind["spec"]["versions"])
               for place, value in [(f"/spec/versions/{i}/{field}", self._at(version, field))] if value}
        self.assertTrue(had)

        def patch(*changes):
            self.cluster.api.patch(path, list(changes), "application/json-patch+json")
        patch(*({"op": "remove", "path": place} for place in had))
        put_back = self.enterContext(contextlib.ExitStack())
        put_back.callback(patch, *({"op": "add", "path": place, "value": value} for place, value in had.items()))
        pod = self.standby()
        pod.kill()
        wait_for("a problem", lambda: self._says_older(pod), 30, 0.1)
        self.berth.wait_ready()
        self.create("new")
        self.assertEqual(self.wait_addresses("kept", "new")["kept"], before["kept"])
        put_back.close()
        pod.kill()
        self.berth.wait_ready()
        wait_for("no problem", lambda: self.status(pod).get("problems", []) == [], 20, 0.1)

    @staticmethod
    def _at(thing, place):
        for key in place.split("/"):
            thing = thing.get(key) or {}
        return thing

    def _says_older(self, pod):
        try:
            problems = self.status(pod).get("problems", [])
        except (RuntimeError, OSError):
            return False  # it comes up
        return any("eips.network.kubesphere.io is an older one: what is written to spec.nodeSelector is lost" in each for each in problems)


class TypeChanged(FaultTest):
    """A Service that stops being a LoadBalancer is let go of wholly, and has an address when it is one again"""

    def test(self):
        address = self.web_service()
        self.cluster.api.patch(self.path("web"), {"spec": {"type": "ClusterIP", "loadBalancerClass": None}})

        def released():
            thing = self.services()["web"]
            meta = thing["metadata"]
            return not (ingress_of(thing) or EIP in meta.get("labels", {}) or SERVICE_FINALIZER in meta.get("finalizers", [])
                        or "berth.io/allocations" in meta.get("annotations", {}) or thing["status"].get("conditions"))
        wait_for("nothing of ours on it", released, 20, 0.02)
        self.wait_eip("pool", usage=0)
        wait_for("silence", lambda: not self.cluster.asker.who_has(address), 10)
        self.cluster.api.patch(self.path("web"), {"spec": {"type": "LoadBalancer", "loadBalancerClass": "berth.io/lb"}})
        again = self.wait_addresses("web")["web"]
        wait_for("its page", lambda: self.cluster.fetch(again, timeout=1), 20, 0.05)


class NamespaceDeleted(FaultTest):
    """A namespace goes with all its Services, and their addresses are free"""

    def test(self):
        names = [f"s-{i}" for i in range(10)]
        self.create(*names)
        self.wait_addresses(*names)
        self.wait_eip("pool", usage=10)
        self.cluster.delete_namespace(self.namespace, timeout=60)
        self.wait_eip("pool", usage=0)
        self.cluster.new_namespace(self.namespace)


class Hundred(FaultTest):
    """A hundred Services in one apply each get an address of their own"""

    def test(self):
        names = [f"s-{i}" for i in range(100)]
        self.cluster.apply([service(name) | {"metadata": {"name": name, "namespace": self.namespace}} for name in names])
        self.wait_addresses(*names, timeout=60)
        self.wait_eip("pool", usage=100)


if __name__ == "__main__":
    main()
