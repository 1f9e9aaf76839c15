# SPDX-License-Identifier: Apache-2.0
"""What the tests of faults share: a pool, many Services in few words, and what became of them by the API server's own data."""
import contextlib

from berth_case import *  # noqa: F403
from berth_case import NAMESPACE, SERVICE_FINALIZER, eip_path  # noqa: F401
from berth_promises import ingress_of

LEASE = resource("coordination.k8s.io/v1", "leases", NAMESPACE, "berth-controller")
POOL = "192.168.50.50-192.168.50.250"


def service(name, **spec):
    return {"apiVersion": "v1", "kind": "Service", "metadata": {"name": name}, "spec": {
        "type": "LoadBalancer", "loadBalancerClass": "berth.io/lb", "selector": {"app": "web"}, "ports": [{"port": 80}], **spec}}


class FaultTest(BerthTest):
    def setUp(self):
        super().setUp()
        self.eip("pool", POOL)

    # ---- Services ---------------------------------------------------------------------------------------------------
    def path(self, name=None, sub=None):
        return core("services", self.namespace, name, sub)

    def create(self, *names):
        for name in names:
            self.cluster.api.create(self.path(), service(name))

    def services(self):
        return {thing["metadata"]["name"]: thing for thing in self.cluster.api.items(self.path())}

    def delete(self, *names):
        for name in names:
            self.cluster.api.delete(self.path(name))

    def wait_addresses(self, *names, timeout=30):
        """{name: address}, once exactly these Services are there and each has an address of its own."""
        def settled():
            found = {name: ingress_of(thing) for name, thing in self.services().items()}
            addresses = {name: those[0] for name, those in found.items() if len(those) == 1}
            return addresses if set(found) == set(addresses) == set(names) and len({*addresses.values()}) == len(names) else None
        try:
            return wait_for("an address of its own for each Service", settled, timeout, 0.05)
        except TimeoutError as error:
            raise TimeoutError(f"{error}: {[(name, ingress_of(thing)) for name, thing in self.services().items()]}") from error

    # ---- pages ------------------------------------------------------------------------------------------------------
    def web_service(self, name="web"):
        """A Service of that name with running pods, once its page comes; returns its address."""
        pods = {pod.name for pod in self.cluster.web("web", replicas=2, namespace=self.namespace)}
        self.create(name)
        address = wait_for("its address", lambda: ingress_of(self.services()[name]), 20, 0.05)[0]

        def own_page():
            # After an outage of the API server a kube-proxy may be late by half a minute, and until then send whoever
            # asks for the address to the pods of the Service that had it before, for as long as they run.
            page = self.cluster.fetch(address, timeout=1)
            return page and page.split()[0] in pods
        try:
            wait_for("its page", own_page, 90, 0.05)
        except TimeoutError as error:
            raise TimeoutError(f"{error}:\n{self.path_of_pages(address)}") from error
        return address

    @contextlib.contextmanager
    def served(self, address, port=80):
        """While this lasts a new connection to that port of the address from the LAN gets its page, each time."""
        end, failures, count, path = threading.Event(), [], 0, ""

        def ask():
            nonlocal count, path
            last = False
            while not last:
                last = end.wait(0.05)  # and once more after the end: what lasts less than that is seen as well
                began = time.monotonic()
                # What took longer than connecting and reading may was asked while the whole machine stood still.
                if not self.cluster.fetch(address, port, timeout=2) and time.monotonic() - began < 6:
                    failures.append(round(began, 1))
                    path = path or self.path_of_pages(address)
                count += 1
        thread = threading.Thread(target=ask, daemon=True)
        thread.start()
        try:
            yield
        finally:
            end.set()
            thread.join()
        self.assertGreater(count, 0)
        self.assertEqual(failures, [], f"of {count} pages; after the first that did not come:\n{path}")

    def path_of_pages(self, address):
        """What a page passes on its way from the client to a pod, as each that has a part in it says at this moment."""
        def told(ask):
            try:
                return ask()
            except Exception as error:  # noqa: BLE001 - what can be told is told
                return repr(error)
        lines = [f"client: {self.cluster.client.exec('ip', 'neigh', 'show', address, check=False).stdout.strip()}"]
        for node in self.cluster.nodes:
            maps = [told(lambda n=node, m=m: [line.strip() for line in n.exec("nft", "list", "map", "ip", "kube-proxy", m, check=False)
                                              .stdout.splitlines() if f" {address} " in line])
                    for m in ("service-ips", "no-endpoint-services")]
            lines.append(f"{node.name}: kube-proxy {maps}, "
                         f"routes {told(lambda n=node: n.exec('ip', 'route', check=False).stdout.splitlines())}")
        lines += [f"slice {thing['metadata']['name']}: {[(e['addresses'], e['conditions']) for e in thing.get('endpoints') or []]}"
                  for thing in told(lambda: self.cluster.api.items(resource("discovery.k8s.io/v1", "endpointslices", self.namespace)))]
        lines += [f"pod {pod.name}: {pod.address} on {pod.node.name}, ready {pod.ready}" for pod in self.cluster.pods(self.namespace)]
        lines.append(f"Services: {told(lambda: {name: ingress_of(thing) for name, thing in self.services().items()})}")
        return "\n".join(lines)

    # ---- controllers ------------------------------------------------------------------------------------------------
    def standby(self):
        leader = self.berth.leader()
        return next(pod for pod in self.berth.controllers if pod is not leader)

    def status(self, pod):
        """What that controller says of itself."""
        return json.loads(self.berth.ctl("version", "-o", "json", pod=pod))["status"]

    def lease(self):
        return self.cluster.api.find(LEASE)

    def wait_said(self, what, pods=None, timeout=30):
        """Until a controller's log has that text from its beginning on; returns the lines."""
        def found():
            return [line for pod in pods or self.berth.controllers for line in pod.log().splitlines() if what in line]
        return wait_for(f"a controller that says {what!r}", found, timeout, 0.05)

    @contextlib.contextmanager
    def frozen(self, *pods):
        for pod in pods:
            pod.freeze()
        try:
            yield
        finally:
            for pod in pods:
                pod.thaw()
