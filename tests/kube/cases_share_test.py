# SPDX-License-Identifier: Apache-2.0
"""Cases of Services that share an address: who may, who keeps it when they change, and who has it when one leaves."""
from faults_case import *  # noqa: F403

SHARED = "192.168.50.57"


class ShareTest(FaultTest):
    RESTARTS = True

    def sharers(self, app=None, **ports):
        """Services of these names that ask for the one address, each with its port; returns once all have it."""
        for name, port in ports.items():
            self.service(name, ask=SHARED, ports=(port,), app=app)
            self.wait_address(name, SHARED)

    def pods(self):
        """Pods on every node, for Services of app `web`."""
        return self.cluster.web("web", replicas=3, namespace=self.namespace)

    def wait_pages(self, *ports):
        for port in ports:
            wait_for(f"a page from port {port}", lambda port=port: self.cluster.fetch(SHARED, port, timeout=1), 30, 0.05)

    def users(self):
        """The Services that the Eip's status lists for the address."""
        used = self.cluster.api.get(eip_path("pool"))["status"].get("used") or {}
        return used.get(SHARED, "").split(";")


class Sharers(ShareTest):
    """B3 B4 T017 T050 T051 of three that ask for one address two with different ports have it, counted once; one leaves, the next comes in"""

    def test(self):
        for name, port in (("sh1", 81), ("sh2", 82), ("sh3", 81)):
            self.service(name, ports=(port,), loadBalancerIP=SHARED)
        self.wait_address("sh1", SHARED)
        self.wait_address("sh2", SHARED)
        self.wait_waiting("sh3", "PortConflict", f"{self.namespace}/sh1", "81", SHARED)
        self.wait_eip("pool", usage=1, used={SHARED: f"{self.namespace}/sh1;{self.namespace}/sh2"})
        self.delete("sh2")
        self.wait_eip("pool", usage=1, used={SHARED: f"{self.namespace}/sh1"})
        self.delete("sh1")
        self.wait_address("sh3", SHARED)


class OtherProtocol(ShareTest):
    """T052 one port number of TCP and of UDP is no clash"""

    def test(self):
        self.sharers(tcp={"port": 53, "protocol": "TCP"}, udp={"port": 53, "protocol": "UDP"})
        self.wait_eip("pool", usage=1, used={SHARED: f"{self.namespace}/tcp;{self.namespace}/udp"})


class SharersOfNamespaces(ShareTest):
    """T053 T054 Services of two namespaces share with one key only; the refusal names the owner and tells no key"""

    def test(self):
        other = self.cluster.new_namespace(f"{self.namespace}-other")
        self.addCleanup(self.cluster.api.delete, core("namespaces", name=other))
        self.service("owner", eip="pool", annotations={"berth.io/sharing-key": "secret"})
        address = self.wait_address("owner")

        def ask(name, port, key):
            service = self.service_object(name, ask=address, ports=(port,), annotations={"berth.io/sharing-key": key} if key else {})
            service["metadata"]["namespace"] = other
            self.cluster.api.create(core("services", other), service)

        def ingress(name):
            return ingress_of(self.cluster.api.get(core("services", other, name)))
        ask("same", 81, "secret")
        wait_for("the shared address", lambda: ingress("same") == [address])
        for name, key, reason in (("another", "public", "SharingKeyMismatch"), ("none", None, "AddressInUse")):
            ask(name, 82, key)
            said = wait_for("a reason", lambda name=name: [
                c for c in self.cluster.api.get(core("services", other, name))["status"].get("conditions") or [] if c["reason"] != "Assigned"])
            self.assertEqual(said[0]["reason"], reason)
            self.assertIn(f"{self.namespace}/owner", said[0]["message"])
            self.assertNotIn("secret", said[0]["message"])
            self.assertEqual(ingress(name), [])


class PolicyChanged(ShareTest):
    """T056 a sharer whose traffic policy changes keeps the address, as the other does; both are told, and both are served"""

    def test(self):
        self.pods()
        self.sharers(app="web", a=80, b=81)
        self.wait_pages(80, 81)
        with self.served(SHARED), self.served(SHARED, 81):
            self.edit("a", externalTrafficPolicy="Local")
            for name in ("a", "b"):
                self.wait_event(name, "AssignIPFailed", "both keep it for now", "externalTrafficPolicy")
            self.wait_pages(80, 81)
        self.assertEqual((self.addresses("a"), self.addresses("b")), (SHARED, SHARED))


class PortAdded(ShareTest):
    """T057 a sharer that adds a port of the first owner loses the address; the first owner loses neither it nor a page"""

    def test(self):
        self.pods()
        self.sharers(app="web", a=80, b=81)
        self.wait_pages(80)
        written = self.get_service("a")["metadata"]["resourceVersion"]
        with self.served(SHARED):
            self.edit("b", ports=[{"name": f"p{port}", "port": port, "targetPort": 80} for port in (81, 80)])
            self.wait_waiting("b", "PortConflict", "tcp/80", SHARED, f"{self.namespace}/a")
            self.wait_address("b", "")
            wait_for("one user", lambda: self.users() == [f"{self.namespace}/a"])
        self.assertEqual(self.get_service("a")["metadata"]["resourceVersion"], written)


class OneLeaves(ShareTest):
    """T058 T059 when the first owner leaves the other is served on, and the address is free once both have left"""

    def test(self):
        self.pods()
        self.sharers(app="web", first=81, second=80)
        self.wait_pages(80)
        holder = self.holder(SHARED)
        with self.served(SHARED):
            self.delete("first")
            wait_for("one user", lambda: self.users() == [f"{self.namespace}/second"])
            self.assertIs(self.holder(SHARED), holder)
            self.service("next", ask=SHARED, ports=(80,))
            self.wait_waiting("next", "PortConflict", "tcp/80", f"{self.namespace}/second")
        self.delete("second")
        self.wait_address("next", SHARED)


class OneHolder(ShareTest):
    """T060 sharers have one holder between them wherever it goes, and each its page there"""

    def test(self):
        self.pods()
        self.sharers(app="web", a=80, b=81)
        for _ in range(3):
            before = self.holder(SHARED)
            self.berth.ctl("drain", before.name)
            self.addCleanup(self.berth.ctl, "undrain", before.name)
            wait_for("another holder", lambda before=before: self.holder(SHARED) is not before)
            told = [a for a in self.berth.get("addresses") if a["address"] == SHARED]
            self.assertEqual([(a["services"], a["holder"]) for a in told],
                             [([f"{self.namespace}/a", f"{self.namespace}/b"], self.holder(SHARED).name)])
            self.wait_pages(80, 81)
            self.berth.ctl("undrain", before.name)


if __name__ == "__main__":
    main()
