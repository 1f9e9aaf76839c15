# SPDX-License-Identifier: Apache-2.0
"""Cases of the life around Services: Eips that change under them, restarts, a webhook that is away, a fresh installation."""
import ipaddress

from berth_case import *  # noqa: F403

POOL = "192.168.50.50-192.168.50.60"


class LifeTest(BerthTest):
    RESTARTS = True

    def given(self, count, eip="eip-pool"):
        """So many Services of an Eip, each with its address; returns {name: address}."""
        names = [f"web{i}" for i in range(count)]
        for name in names:
            self.service(name, eip=eip, allocateLoadBalancerNodePorts=False)
        return {name: self.wait_address(name) for name in names}

    def now(self, names):
        return {name: self.addresses(name) for name in names}

    def barrier(self):
        """Returns when the controller has seen all that was written before: it has served a new Service since."""
        name = f"barrier-{time.monotonic_ns()}"
        self.eip("barrier", "172.31.0.0/24")
        self.service(name, eip="barrier")
        self.wait_address(name, timeout=20)
        return name

    def service_writes(self, since, but=()):
        """Requests by which a controller changed Services."""
        return [r for r in self.cluster.audit.requests(since, user=CONTROLLER)
                if r.resource in ("services", "services/status") and r.verb not in ("get", "list", "watch") and r.name not in but]


class Reshaped(LifeTest):
    """T091 T092 an Eip may grow and be split without moving anybody, may not leave an address in use out, and may come back by another name"""

    def test(self):
        self.eip("eip-pool", POOL)
        had = self.given(5)
        since = self.cluster.audit.mark_after(CONTROLLER, self.namespace, *had)
        for address in ("192.168.50.50-192.168.50.70", "192.168.50.50-192.168.50.52,192.168.50.53-192.168.50.59", POOL):
            self.eip("eip-pool", address)
        said = self.cluster.kubectl_fails("patch", "eip", "eip-pool", "--type=merge", "-p", '{"spec": {"address": "192.168.50.50-192.168.50.53"}}')
        self.assertIn(f"{self.namespace}/web4 (192.168.50.54)", said)
        # Nothing but the finalizer keeps an Eip in use from going; without it the addresses are orphans, served all the same.
        self.cluster.kubectl("delete", "eip", "eip-pool", "--wait=false")
        self.cluster.kubectl("patch", "eip", "eip-pool", "--type=merge", "-p", '{"metadata": {"finalizers": null}}')
        wait_for("the end of the Eip", lambda: self.cluster.api.find(eip_path("eip-pool")) is None)
        self.wait_event("eip-pool", "Orphaned", "5", kind="Eip")
        self.orphans = set(had.values())
        self.check_promises()
        self.orphans = set()
        self.eip("renamed", POOL)
        self.wait_eip("renamed", usage=5)
        barrier = self.barrier()
        self.assertEqual(self.now(had), had)
        self.assertEqual(self.service_writes(since, [barrier]), [])


class CrdReplaced(LifeTest):
    """T095 the CRD of Eips is deleted with all of them and applied anew: their status comes back from the Services, and nobody moves"""

    def test(self):
        crd = "crd/eips.network.kubesphere.io"
        self.eip("eip-pool", POOL)
        had = self.given(3)
        manifest = self.cluster.get_json(crd)
        for key in ("resourceVersion", "uid", "creationTimestamp", "generation"):
            del manifest["metadata"][key]
        since = self.cluster.audit.mark()
        self.cluster.kubectl("delete", crd, "--wait=false")
        wait_for("the deletion of the Eip", lambda: "deletionTimestamp" in self.cluster.api.get(eip_path("eip-pool"))["metadata"])
        self.cluster.kubectl("patch", "eip", "eip-pool", "--type=merge", "-p", '{"metadata": {"finalizers": null}}')
        self.cluster.kubectl("wait", "--for=delete", crd, "--timeout=20s")
        self.cluster.apply({key: manifest[key] for key in ("apiVersion", "kind", "metadata", "spec")})
        self.cluster.kubectl("wait", "--for=condition=Established", crd)
        wait_for("the kind to be served", lambda: self.cluster.api.raw("GET", eip_path())[0] == 200)
        self.eip("eip-pool", POOL)
        self.wait_eip("eip-pool", timeout=60, usage=3, used={address: f"{self.namespace}/{name}" for name, address in had.items()})
        barrier = self.barrier()
        self.assertEqual(self.now(had), had)
        self.assertEqual(self.service_writes(since, [barrier]), [])


class Restarted(LifeTest):
    """T093 T099 with all controllers killed and back, and a Service deleted, nobody else's address changes and nothing is written"""

    def test(self):
        self.eip("eip-pool", "192.168.50.50-192.168.50.54")
        had = self.given(5)
        self.service("late", eip="eip-pool")
        self.wait_waiting("late", "PoolExhausted", "eip-pool")
        since = self.cluster.audit.mark_after(CONTROLLER, self.namespace, *had, "late")
        for _ in range(3):
            for pod in self.berth.controllers:
                pod.kill()
            self.berth.wait_ready()
            barrier = self.barrier()
            self.assertEqual(self.now(had), had)
            self.assertEqual(self.addresses("late"), "")
            self.delete(barrier)
        self.assertEqual([r for r in self.service_writes(since) if not r.name.startswith("barrier")], [])
        del had["web1"]
        self.delete("web1")
        self.wait_address("late", "192.168.50.51")
        self.assertEqual(self.now(had), had)


class LeaderLost(LifeTest):
    """T097 the leader of three is killed in the middle of three hundred new Services: all have an address, each another"""

    def test(self):
        self.cluster.kubectl("scale", "deployment/berth-controller", "--replicas=3", "-n", NAMESPACE)
        self.addCleanup(self.cluster.kubectl, "scale", "deployment/berth-controller", "--replicas=2", "-n", NAMESPACE)
        self.berth.wait_ready(controllers=3)
        self.eip("eip-pool", "10.8.0.0/16")
        path, leader = core("services", self.namespace), self.berth.leader()

        def some(first):
            for i in range(first, 300, 4):
                self.cluster.api.create(path, self.service_object(f"web{i}", eip="eip-pool", allocateLoadBalancerNodePorts=False))
        threads = [threading.Thread(target=some, args=(first,)) for first in range(4)]
        for thread in threads:
            thread.start()
        wait_for("the first of them", lambda: sum(bool(ingress_of(s)) for s in self.cluster.api.items(path)) > 60, 60, 0.05)
        leader.kill()
        for thread in threads:
            thread.join()

        def all_have():
            addresses = [address for service in self.cluster.api.items(path) for address in ingress_of(service)]
            return addresses if len(addresses) == 300 else None
        addresses = wait_for("all addresses", all_have, 60, 0.1)
        self.assertEqual(len(set(addresses)), 300)
        self.assertEqual(sorted(map(ipaddress.ip_address, addresses))[-1], ipaddress.ip_address("10.8.0.0") + 299)


class Told(LifeTest):
    """T173 an address that moves to another node is told in one Event of its Service: from, to, why and how long it took"""

    def test(self):
        self.eip("eip-pool", POOL)
        self.service("web", eip="eip-pool")
        address = self.wait_address("web")
        first = self.holder(address)
        self.addCleanup(self.berth.ctl, "undrain", first.name)
        self.berth.ctl("drain", first.name)
        second = self.holder(address)
        self.assertIsNot(second, first)
        said = self.wait_event("web", "SetBalancer", "moved from")
        self.assertRegex(said, rf"^address {address} moved from {first.name} to {second.name}: node drained; took [0-9.]+m?s$")
        # Events are told in order: with those of a later Service all are there.
        barrier = self.barrier()
        self.wait_event(barrier, "AssignIP")
        events = [(e.get("count"), e["message"]) for e in self.cluster.api.items(core("events", self.namespace))
                  if e["involvedObject"]["name"] == "web" and "moved from" in e["message"]]
        self.assertEqual(events, [(1, said)])


class WebhookAway(LifeTest):
    """T175 with no controller running nothing unrelated is held up; an Eip is refused with the reason, and a wrong one by the CRD itself"""

    def test(self):
        self.eip("eip-pool", POOL)
        had = self.given(1)
        holder = self.holder("192.168.50.50")
        for pod in self.berth.controllers:
            pod.kill(hold=True)
            self.addCleanup(pod.release)
        apply = self.cluster.apply
        apply({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "any", "namespace": self.namespace}, "data": {"a": "b"}})
        apply(self.service_object("waits", eip="eip-pool"))
        apply({"apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": "any", "namespace": self.namespace}, "spec": {
            "replicas": 0, "selector": {"matchLabels": {"a": "b"}}, "template": {
                "metadata": {"labels": {"a": "b"}}, "spec": {"containers": [{"name": "any", "image": "pause"}]}}}})
        self.cluster.kubectl("label", "eip", "eip-pool", "a=b")
        new = {"apiVersion": "network.kubesphere.io/v1alpha2", "kind": "Eip", "metadata": {"name": "new"}, "spec": {"address": "10.1.0.1"}}
        said = self.cluster.kubectl_fails("create", "-f", "-", input=json.dumps(new))
        self.assertIn('failed calling webhook "validate.eip.network.kubesphere.io"', said)
        new["spec"] = {"address": "10.1.0.1", "protocol": "layer2"}
        said = self.cluster.kubectl_fails("create", "-f", "-", input=json.dumps(new))
        self.assertIn("if protocol is layer2 or vip, interface should not be empty", said)
        self.assertIs(self.holder("192.168.50.50"), holder)
        for pod in self.berth.controllers:
            pod.release()
        self.berth.wait_ready()
        self.wait_address("waits", "192.168.50.51", timeout=20)
        self.assertEqual(self.now(had), had)


class FreshInstall(LifeTest):
    """T176 an Eip applied as soon as helm install --wait returns is taken at once, and a wrong one refused"""

    def test(self):
        self.berth.uninstall()
        self.assertEqual(self.cluster.kubectl("get", "validatingwebhookconfigurations", "-o", "name"), "")
        self.berth.install(wait=False, flags=["--wait", "--timeout=60s"])
        self.eip("eip-pool", POOL)
        said = self.cluster.kubectl_fails("create", "-f", "-", input=json.dumps({
            "apiVersion": "network.kubesphere.io/v1alpha2", "kind": "Eip", "metadata": {"name": "other"}, "spec": {"address": "192.168.50.50"}}))
        self.assertIn("eip address overlap with eip-pool", said)
        self.given(1)


class Confined(LifeTest):
    """T178 what runs: agents with NET_ADMIN and NET_RAW only, controllers without root and any capability, none can gain more or write to its root"""

    CAPABILITIES = {"NET_ADMIN": 12, "NET_RAW": 13}

    def test(self):
        agent = sum(1 << number for number in self.CAPABILITIES.values())
        for pods, user, capabilities in ((self.berth.controllers, 65532, 0), (self.berth.agents, 0, agent)):
            for pod in pods:
                with open(f"/proc/{pod.pid}/status") as status:
                    says = dict(line.rstrip("\n").split(":\t", 1) for line in status if ":\t" in line)
                self.assertEqual({int(uid) for uid in says["Uid"].split()}, {user})
                for kind in ("CapBnd", "CapPrm", "CapEff"):
                    self.assertEqual(int(says[kind], 16), capabilities, kind)
                self.assertEqual(says["NoNewPrivs"], "1")
                self.assertNotEqual(run("nsenter", f"--target={pod.pid}", "--mount", "--root", "touch", "/x", check=False).returncode, 0)
                spec = pod.object["spec"]
                context = spec["containers"][0]["securityContext"]
                self.assertEqual(spec["securityContext"]["seccompProfile"], {"type": "RuntimeDefault"})
                self.assertEqual((context["allowPrivilegeEscalation"], context["readOnlyRootFilesystem"], context["capabilities"]["drop"]),
                                 (False, True, ["ALL"]))
        # The strictest standard of Pod Security has nothing against the controllers.
        strict = self.cluster.new_namespace(f"{self.namespace}-strict")
        self.addCleanup(self.cluster.api.delete, core("namespaces", name=strict))
        self.cluster.kubectl("label", "namespace", strict, "pod-security.kubernetes.io/enforce=restricted")
        spec = {key: value for key, value in self.berth.controllers[0].object["spec"].items()
                if key in ("securityContext", "containers", "volumes")}
        spec["containers"][0].pop("volumeMounts"), spec.pop("volumes")
        pod = {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "strict", "namespace": strict}, "spec": spec}
        self.cluster.kubectl("create", "--dry-run=server", "-f", "-", input=json.dumps(pod))


class Unserved(LifeTest):
    """F9 a Local Service without endpoints is announced by nobody, says so in a condition and an Event, and is announced once it has one"""

    def announced(self):
        conditions = self.get_service("local")["status"].get("conditions") or []
        return next((c for c in conditions if c["type"] == "berth.io/Announced"), None)

    def test(self):
        self.eip("eip-pool", POOL)
        since = self.cluster.audit.mark()
        self.service("local", eip="eip-pool", externalTrafficPolicy="Local")
        address = self.wait_address("local")
        condition = wait_for("condition Announced", self.announced, 10)
        self.assertEqual(condition["status"], "False")
        self.assertIn(f"{address}: no node can hold it: node1: no ready endpoint here", condition["message"])
        self.wait_event("local", "SetBalancer", address, "no ready endpoint")
        self.assertEqual(self.cluster.asker.who_has(address, 0.3), [])
        self.cluster.web("local", replicas=1, namespace=self.namespace)
        wait_for("the end of it", lambda: self.announced()["status"] == "True", 20)
        self.assertEqual(self.assigned("local")["status"], "True")
        self.holder(address)
        self.assertEqual(len(self.service_writes(since)), 3)


class Unclassed(LifeTest):
    """E14 with manageUnclassed the default Eip's annotations are written into a new LoadBalancer Service, and nothing into others; without us none is refused"""

    def test(self):
        self.eip("eip-pool", POOL, {"eip.openelb.kubesphere.io/is-default-eip": "true"})
        self.berth.upgrade("manageUnclassed=true")
        self.addCleanup(self.berth.upgrade, "manageUnclassed=false")
        # Nobody waits for that webhook, so neither does the controller's readiness.
        wait_for("the webhook to be trusted", lambda: all(
            "caBundle" in hook["clientConfig"] for hook in self.cluster.get_json("mutatingwebhookconfiguration", "berth-controller")["webhooks"]), 60)
        # Until the API server itself has heard of it.
        wait_for("the webhook to be asked", lambda: EIP in self.cluster.api.create(
            core("services", self.namespace) + "?dryRun=All", self.service_object("asked", opted_in=False))["metadata"].get("annotations", {}), 60, 0.1)
        self.service("plain", opted_in=False)
        self.wait_address("plain", "192.168.50.50")
        notes = self.get_service("plain")["metadata"]["annotations"]
        self.assertEqual({key: notes[key] for key in notes if "kubesphere" in key}, {
            "lb.kubesphere.io/v1alpha1": "openelb", EIP: "eip-pool", "protocol.openelb.kubesphere.io/v1alpha1": "layer2"})
        inner = self.service_object("inner", opted_in=False)
        inner["spec"]["type"] = "ClusterIP"
        self.cluster.api.create(core("services", self.namespace), inner)
        self.assertEqual(self.get_service("inner")["metadata"].get("annotations", {}), {})
        self.service("foreign", opted_in=False, loadBalancerClass="other.io/x")
        self.assertEqual(self.get_service("foreign")["metadata"].get("annotations", {}), {})
        for pod in self.berth.controllers:
            pod.kill(hold=True)
            self.addCleanup(pod.release)
        for name, spec in (("late", {}), ("late-inner", {"type": "ClusterIP"}), ("late-foreign", {"loadBalancerClass": "other.io/x"})):
            self.cluster.apply(self.service_object(name, opted_in=False, **spec))
        for pod in self.berth.controllers:
            pod.release()
        self.wait_address("late", "192.168.50.51", timeout=30)
        self.assertEqual((self.addresses("late-inner"), self.addresses("late-foreign")), ("", ""))


if __name__ == "__main__":
    main()
