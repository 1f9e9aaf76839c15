# SPDX-License-Identifier: Apache-2.0
"""What the tests of Berth on a real control plane share: the chart installed by the real helm, and its pods' programs running.

`self.berth` is the file's installation: controllers, agents, who leads, and what berthctl says. After each test its promises
to every Service and Eip are looked at, as the API server and the LAN tell them (berth_promises.py).
"""
import sys

from berth_promises import broken_promises, ingress_of
from kube_case import *  # noqa: F403
from kube_container import PROGRAMS
from netns import ROOT

NAMESPACE = "openelb-system"
EIP = "eip.openelb.kubesphere.io/v1alpha2"  # annotation: this Eip; label: of this Eip
SERVICE_FINALIZER = "finalizer.lb.kubesphere.io/v1alpha1"
CONTROLLER = f"system:serviceaccount:{NAMESPACE}:berth-controller"


def eip_path(name=None, sub=None):
    return resource("network.kubesphere.io/v1alpha2", "eips", None, name, sub)


class Berth:
    def __init__(self, cluster):
        self.cluster, self.installed, self.notes = cluster, False, ""

    def install(self, *values, wait=True, flags=()):
        """helm install of the chart; `values` as for --set. Returns once all its pods are ready."""
        if self.cluster.api.find(core("namespaces", name=NAMESPACE)) is None:
            self.cluster.new_namespace(NAMESPACE)
        sets = [word for value in values for word in ("--set", value)]
        said = self.cluster.helm("install", "berth", os.path.join(ROOT, "charts/berth"), "-n", NAMESPACE, *sets, *flags)
        self.installed, self.notes = True, said.partition("NOTES:\n")[2]
        if wait:
            self.wait_ready()
        return said

    def upgrade(self, *values):
        """helm upgrade with other values; returns once the new controllers run, and they alone."""
        sets = [word for value in values for word in ("--set", value)]
        self.cluster.helm("upgrade", "berth", os.path.join(ROOT, "charts/berth"), "-n", NAMESPACE, "--reuse-values", *sets)
        self.cluster.kubectl("rollout", "status", "deployment/berth-controller", "-n", NAMESPACE, "--timeout=60s")
        self.wait_ready()

    def uninstall(self, timeout=120):
        """helm uninstall; returns what it said, its Job's log included."""
        done = self.cluster._client_program("helm", ("uninstall", "berth", "-n", NAMESPACE, "--wait", f"--timeout={timeout}s"), True, None, None)
        self.installed = False
        return done.stdout + done.stderr

    def wait_ready(self, controllers=2, timeout=90):
        self.cluster.wait_pods(controllers, NAMESPACE, timeout, app_kubernetes_io__component="controller")
        self.cluster.wait_pods(len(self.cluster.nodes), NAMESPACE, timeout, app_kubernetes_io__component="agent")

    @property
    def controllers(self):
        return self.cluster.pods(NAMESPACE, app_kubernetes_io__component="controller")

    @property
    def agents(self):
        return self.cluster.pods(NAMESPACE, app_kubernetes_io__component="agent")

    def agent(self, node):
        """The agent of a KubeNode."""
        return next(pod for pod in self.agents if pod.node is node)

    def leader(self, timeout=30):
        """The controller whose pod holds the Lease."""
        def found():
            holders = [lease["spec"].get("holderIdentity") or "" for lease in
                       self.cluster.api.items(resource("coordination.k8s.io/v1", "leases", NAMESPACE))]
            return next((pod for pod in self.controllers if any(holder.startswith(pod.name) for holder in holders)), None)
        return wait_for("a controller that leads", found, timeout, 0.05)

    def ctl(self, *args, pod=None):
        """What berthctl says beside the controller that leads, or another."""
        pod = pod or self.leader()
        return pod.exec("/usr/bin/berthctl" if pod.container().image.root else f"{PROGRAMS}/berthctl", *args).stdout

    def metric(self, sample, pod=None, default=None):
        """What a sample, NAME{LABEL="VALUE"}, of the metrics of the controller that leads, or another, is; `default` where it is missing."""
        text = self.cluster.controller_host.exec("curl", "-sSf", f"http://{(pod or self.leader()).address}:8080/metrics").stdout
        samples = dict(line.rsplit(" ", 1) for line in text.splitlines())
        return float(samples[sample] if default is None else samples.get(sample, default))

    def get(self, what):
        """`berthctl get WHAT -o json`, as a list."""
        return json.loads(self.ctl("get", what, "-o", "json"))[what]


class BerthTest(KubeTest):
    VALUES = ()  # of the chart, as for --set, of the first test of the file
    RESTARTS = False  # whether one test of the file, the first that leaves addresses, ends with a restart of all controllers
    _installed, _restarted = {}, set()
    orphans = frozenset()  # addresses that a test leaves without an Eip that has them

    def setUp(self):
        super().setUp()
        if self.cluster not in self._installed:
            self._installed[self.cluster] = Berth(self.cluster)
            self._failed = True  # until it stands: its logs are shown if not
            self._installed[self.cluster].install(*self.VALUES)
            self._failed = False
        self.berth = self._installed[self.cluster]
        self._eips = set()
        self.addCleanup(self._delete_all)

    def _callTestMethod(self, method):
        def with_promises():
            method()
            if self.berth.installed:  # with Berth its promises go; who uninstalls it looks at them before
                self.check_promises()
        super()._callTestMethod(with_promises)

    def check_promises(self):
        """Waits until nothing is on its way any more, and fails with what is wrong then; so, too, after a restart."""
        self.wait_promises()
        given = self.given_out() if self.RESTARTS and self.cluster not in self._restarted else None
        if not given:
            return
        self._restarted.add(self.cluster)
        began, leader = time.monotonic(), self.berth.leader()
        for pod in sorted(self.berth.controllers, key=lambda pod: pod is leader):
            pod.kill(signal.SIGTERM)
        mark = self.cluster.audit.mark()  # whoever leads next hears its agents first

        def leads():
            status = json.loads(self.berth.ctl("version", "-o", "json"))["status"]
            return all(status.get(what) for what in ("leader", "synced", "started"))
        wait_for("a controller that leads again", lambda: self._told(leads), 60, 0.1)
        self.wait_promises()
        print(f"  restart of all controllers: {time.monotonic() - began:.1f} s", file=sys.stderr)
        self.assertEqual(self.given_out(), given)
        self.assertEqual([r for r in self.cluster.audit.requests(mark, user=CONTROLLER)
                          if r.resource.split("/")[0] in ("services", "eips") and r.verb not in ("get", "list", "watch")], [])

    @staticmethod
    def _told(ask):
        try:
            return ask()
        except RuntimeError:  # it is just coming up
            return None

    def given_out(self):
        """{Service: its addresses} of those that have any."""
        return {(s["metadata"]["namespace"], s["metadata"]["name"]): ingress_of(s)
                for s in self.cluster.api.items(core("services")) if ingress_of(s)}

    def wait_promises(self):
        broken = []

        def kept():
            try:
                broken[:] = broken_promises(self.cluster, self.berth, self.orphans)
            except RuntimeError as error:  # of berthctl, while another begins to lead
                broken[:] = [str(error)]
            return not broken
        try:
            wait_for("all promises to be kept", kept, 20, 0.1)
        except TimeoutError:
            self.fail("\n".join(broken))

    def _delete_all(self):
        """What the test made: deletions end by themselves, as the finalizers of both kinds show. Eips go when nobody has an address
        of them any more, and whatever became of the Services."""
        try:
            self._delete(core("services", self.namespace, thing["metadata"]["name"])
                         for thing in self.cluster.api.items(core("services", self.namespace)))
        finally:
            self._delete(eip_path(name) for name in self._eips)

    def _delete(self, paths):
        paths = [*paths]
        for path in paths:
            try:
                self.cluster.api.delete(path)
            except ApiError as error:
                if error.code != 404:
                    raise
        for path in paths:
            wait_for(f"the end of {path}", lambda path=path: self.cluster.api.find(path) is None, 60, 0.02)

    # ---- Eips -------------------------------------------------------------------------------------------------------
    def eip(self, name, address, annotations=None, **spec):
        """kubectl apply of an Eip, layer2 on eth0 unless `spec` says otherwise; it goes when the test ends."""
        self._eips.add(name)
        spec = {"protocol": "layer2", "interface": "eth0", **spec}
        self.cluster.apply({"apiVersion": "network.kubesphere.io/v1alpha2", "kind": "Eip",
                            "metadata": {"name": name, "annotations": annotations or {}},
                            "spec": {"address": address, **{key: value for key, value in spec.items() if value is not None}}})

    def wait_eip(self, name, timeout=15, **status):
        """Waits until the status of an Eip has these fields."""
        def told():
            found = (self.cluster.api.get(eip_path(name)).get("status") or {})
            return found if all(found.get(key) == value for key, value in status.items()) else None
        return wait_for(f"status {status} of Eip {name}", told, timeout, 0.02)

    # ---- Services ---------------------------------------------------------------------------------------------------
    def service_object(self, name, eip=None, ask=None, ports=(80,), annotations=None, app=None, opted_in=True, **spec):
        notes = {"lb.kubesphere.io/v1alpha1": "openelb"} if opted_in else {}
        if eip:
            notes[EIP] = eip
        if ask:
            notes["eip.openelb.kubesphere.io/v1alpha1"] = ask
        notes.update(annotations or {})
        ports = [port if isinstance(port, dict) else {"name": f"p{port}", "port": port, "targetPort": 80} for port in ports]
        return {"apiVersion": "v1", "kind": "Service", "metadata": {"name": name, "namespace": self.namespace, "annotations": notes},
                "spec": {"type": "LoadBalancer", "selector": {"app": app or name}, "ports": ports, **spec}}

    def service(self, name, *args, **kwargs):
        """Makes a Service of type LoadBalancer that asks for Berth: for an Eip, an address, with more annotations, more of a spec."""
        return self.cluster.api.create(core("services", self.namespace), self.service_object(name, *args, **kwargs))

    def get_service(self, name):
        return self.cluster.api.get(core("services", self.namespace, name))

    def edit(self, name, annotations=None, **spec):
        """Changes annotations (None takes one off) and fields of a Service."""
        patch = {"spec": spec}
        if annotations:
            patch["metadata"] = {"annotations": annotations}
        return self.cluster.api.patch(core("services", self.namespace, name), patch)

    def delete(self, name):
        return self.cluster.api.delete(core("services", self.namespace, name))

    def addresses(self, name):
        """The addresses that a Service has now, joined by a comma."""
        return ",".join(ingress_of(self.get_service(name)))

    def wait_address(self, name, address=None, timeout=15):
        """Waits until a Service has an address, or just this one ("" for none), and returns it."""
        def has():
            found = self.addresses(name)
            return (found or True) if (found == address if address is not None else found) else None
        try:
            return wait_for(f"address {address} of {name}", has, timeout, 0.01)
        except TimeoutError as error:
            raise TimeoutError(f"{error}: it has {self.addresses(name)!r}; {self.berth.ctl('explain', 'service', self.id(name))}") from error

    def id(self, name=None):
        return f"{self.namespace}/{name}" if name else super().id()

    def assigned(self, name):
        """The condition berth.io/Assigned of a Service, or {}."""
        conditions = self.get_service(name)["status"].get("conditions") or []
        return next((c for c in conditions if c["type"] == "berth.io/Assigned"), {})

    def wait_waiting(self, name, reason, *words, timeout=15):
        """Waits until a Service says that it waits for that reason, with these words: in its condition, an Event, berthctl."""
        def told():
            condition = self.assigned(name)
            return condition if condition.get("reason") == reason else None
        try:
            condition = wait_for(f"reason {reason} of {name}", told, timeout, 0.01)
        except TimeoutError as error:
            raise TimeoutError(f"{error}: {self.assigned(name)}") from error
        self.assertEqual(condition["status"], "False")
        for word in words:
            self.assertIn(word, condition["message"])
        self.wait_event(name, "AssignIPFailed", condition["message"])
        wait_for("berthctl's reason", lambda: reason in self.berth.ctl("explain", "service", self.id(name)))
        return condition["message"]

    # ---- Events -----------------------------------------------------------------------------------------------------
    def events(self, name, kind="Service", reason=None):
        """Messages of the Events of an object, the oldest first."""
        namespace = self.namespace if kind == "Service" else "default"
        found = [e for e in self.cluster.api.items(core("events", namespace))
                 if e["involvedObject"]["kind"] == kind and e["involvedObject"]["name"] == name and reason in (None, e["reason"])]
        return [e["message"] for e in sorted(found, key=lambda e: int(e["metadata"]["resourceVersion"]))]

    def wait_event(self, name, reason, *words, kind="Service", timeout=15):
        """Waits for an Event of that reason that has all these words, and returns its message."""
        def told():
            return next((m for m in self.events(name, kind, reason) if all(word in m for word in words)), None)
        try:
            return wait_for(f"an Event {reason} of {kind} {name} with {words}", told, timeout, 0.02)
        except TimeoutError as error:
            raise TimeoutError(f"{error}; there are {self.events(name, kind)}") from error

    # ---- the LAN ----------------------------------------------------------------------------------------------------
    def holder(self, address, timeout=15):
        """Waits until just one node answers for an address, and returns it."""
        def one():
            macs = self.cluster.asker.who_has(address, 0.2)
            return self.cluster.node(self.cluster.node_of_mac(macs[0])) if len(macs) == 1 else None
        return wait_for(f"one answer for {address}", one, timeout)

    def pages(self, address, count, port=80, timeout=10):
        """Waits until the client's pages of an address have come from that many pods; returns {pod: address it saw as client's}."""
        seen = {}

        def enough():
            if page := self.cluster.fetch(address, port, timeout=1):
                pod, client = page.split()
                seen[pod] = client
            return len(seen) == count
        wait_for(f"pages of {count} pods", enough, timeout)
        return seen
