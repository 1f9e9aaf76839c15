# SPDX-License-Identifier: Apache-2.0
"""Cases of Services: what is given, kept and let go, as the objects on the API server show it."""
from berth_case import *  # noqa: F403

POOL = "192.168.50.50-192.168.50.60"
IS_DEFAULT = {"eip.openelb.kubesphere.io/is-default-eip": "true"}
OPT_IN = "lb.kubesphere.io/v1alpha1"
ASK = "eip.openelb.kubesphere.io/v1alpha1"


class AssignTest(BerthTest):
    RESTARTS = True
    # Services of both families; only addresses of IPv4 are on the LAN.
    CLUSTER = {"flags": {"kube-apiserver": ["--service-cluster-ip-range=10.96.0.0/16,fd00:10:96::/112"]}}

    def marks(self, name):
        """(label, finalizers, addresses) of a Service: what is Berth's on it."""
        service = self.get_service(name)
        return (service["metadata"].get("labels", {}).get(EIP), service["metadata"].get("finalizers", []), self.addresses(name))

    def wait_released(self, name):
        wait_for(f"the release of {name}", lambda: self.marks(name) == (None, [], ""))
        self.assertEqual(self.assigned(name), {})
        self.assertNotIn("berth.io/allocations", self.get_service(name)["metadata"].get("annotations", {}))

    def barrier(self):
        """Returns when the controller has seen all that was written before: it has served a new Service since."""
        name = f"barrier-{time.monotonic_ns()}"
        self.eip("barrier", "172.31.0.0/24")
        self.service(name, eip="barrier")
        self.wait_address(name)

    def writes(self, name, since):
        """Requests of the controller that changed a Service, or that made an Event about one."""
        return [r for r in self.cluster.audit.requests(since, user=CONTROLLER, namespace=self.namespace)
                if r.verb not in ("get", "list", "watch") and (r.name == name or r.name.startswith(name + "."))]


class Marked(AssignTest):
    """B1 B22 a Service that names an Eip has its lowest address, its label, a finalizer, one AssignIP, and is counted in the Eip"""

    def test(self):
        self.eip("eip-pool", POOL)
        since = self.cluster.audit.mark()
        self.service("nginx", eip="eip-pool")
        self.wait_address("nginx", "192.168.50.50")
        self.assertEqual(self.marks("nginx"), ("eip-pool", [SERVICE_FINALIZER], "192.168.50.50"))
        self.wait_eip("eip-pool", usage=1, used={"192.168.50.50": f"{self.namespace}/nginx"})
        self.wait_event("nginx", "SetBalancer", "192.168.50.50")
        self.assertEqual(self.events("nginx", reason="AssignIP"), ["success to assign ip: 192.168.50.50"])
        self.assertEqual([r.verb for r in self.writes("nginx", since) if r.resource.startswith("services")], ["patch"])


class LowestFirst(AssignTest):
    """T020 T021 the lowest free address is given, also after one came back"""

    def test(self):
        self.eip("eip-pool", POOL)
        for name, address in (("a", "192.168.50.50"), ("b", "192.168.50.51"), ("c", "192.168.50.52")):
            self.service(name, eip="eip-pool")
            self.wait_address(name, address)
        self.delete("b")
        self.wait_eip("eip-pool", usage=2)
        self.service("d", eip="eip-pool")
        self.wait_address("d", "192.168.50.51")


class Named(AssignTest):
    """T028 T074 the Eip named serves, default or not; who names none where there is no default has any enabled one, or waits"""

    def test(self):
        self.service("web")
        self.wait_waiting("web", "NoPool", "no available default eip found", f'"{self.namespace}"')
        self.eip("off", "10.1.0.0/24", disable=True)
        self.wait_waiting("web", "PoolDisabled", "off")
        self.eip("any", "10.2.0.0/24")
        self.wait_address("web", "10.2.0.0")
        self.eip("standard", "10.3.0.0/24", IS_DEFAULT)
        self.service("named", eip="any")
        self.wait_address("named", "10.2.0.1")


class WithoutPorts(AssignTest):
    """T037 a Service of type LoadBalancer that is headless or has no ports is refused by the API server itself"""

    def test(self):
        for words, spec in (("spec.ports: Required value", {"ports": []}), ("may not be set to 'None' for LoadBalancer", {"clusterIP": "None"})):
            thing = self.service_object("web")
            thing["spec"].update(spec)
            self.assertIn(words, self.cluster.kubectl_fails("create", "-f", "-", input=json.dumps(thing)))


class ByDefault(AssignTest):
    """B2 B17 T078 the default Eip serves who opts in; disabled it gives nothing new, and what it gave stays, announced"""

    def test(self):
        self.eip("standard", "7.7.7.0/30", IS_DEFAULT)
        self.service("web")
        self.wait_address("web", "7.7.7.0")
        self.eip("standard", "7.7.7.0/30", IS_DEFAULT, disable=True)
        self.edit("web", {"example.com/touched": "1"})
        self.service("late")
        self.wait_waiting("late", "PoolDisabled", "standard")
        self.assertEqual(self.addresses("web"), "7.7.7.0")
        self.eip("standard", "7.7.7.0/30", IS_DEFAULT)
        self.wait_address("late", "7.7.7.1")


class NamedDisabled(AssignTest):
    """B18 a disabled Eip that is named: who has its address keeps it, who is new waits, the Eip named"""

    def test(self):
        self.eip("eip-pool", POOL)
        self.service("web", eip="eip-pool")
        self.wait_address("web", "192.168.50.50")
        self.eip("eip-pool", POOL, disable=True)
        self.edit("web", {"example.com/touched": "1"})
        self.service("late", eip="eip-pool")
        self.wait_waiting("late", "PoolDisabled", "eip-pool", "is disabled")
        self.assertEqual(self.addresses("web"), "192.168.50.50")


class BadRequests(AssignTest):
    """B5 B6 B7 T025 T026 T030 requests that cannot be met wait, each with its reason: two addresses, none, in no Eip, not in the Eip named"""

    def test(self):
        self.eip("eip-pool", POOL)
        self.service("both", ask="192.168.50.53", loadBalancerIP="192.168.50.54")
        self.wait_waiting("both", "InvalidRequest", "192.168.50.53", "192.168.50.54")
        self.service("outside", eip="eip-pool", loadBalancerIP="10.9.9.9")
        self.wait_waiting("outside", "AddressNotInPool", "10.9.9.9", "eip-pool", POOL)
        self.service("nowhere", loadBalancerIP="10.9.9.9")
        self.wait_waiting("nowhere", "AddressNotInPool", "10.9.9.9")
        self.service("text", ask="not-an-ip")
        self.wait_waiting("text", "InvalidRequest", '"not-an-ip"')
        for name in ("both", "outside", "nowhere", "text"):
            self.assertEqual(len(self.events(name)), 1, self.events(name))
        self.edit("both", {ASK: "192.168.50.54"})
        self.wait_address("both", "192.168.50.54")


class Later(AssignTest):
    """B8 T031 a Service that names an Eip to come has its address when that comes, without being touched"""

    def test(self):
        self.service("web", eip="nope")
        self.wait_waiting("web", "PoolNotFound", 'Eip.network.kubesphere.io "nope" not found')
        before = self.get_service("web")["spec"]
        self.eip("nope", POOL)
        self.wait_address("web", "192.168.50.50", timeout=2)
        self.assertEqual(self.get_service("web")["spec"], before)


class FreedForNext(AssignTest):
    """B9 T032 T035 who waits for a full Eip has the address within a second of its owner's end, deleted or no LoadBalancer any more"""

    def test(self):
        self.eip("single", "192.168.50.50")
        for name in ("a", "b", "c"):
            self.service(name, eip="single")
            self.wait_address("a", "192.168.50.50") if name == "a" else self.wait_waiting(name, "PoolExhausted", "single")
        self.edit("a", type="ClusterIP", allocateLoadBalancerNodePorts=None)
        self.wait_address("b", "192.168.50.50", timeout=1)
        self.wait_released("a")
        self.delete("b")
        self.wait_address("c", "192.168.50.50", timeout=1)


class Families(AssignTest):
    """B10 B11 T039 T041 T042 an Eip of the other family is no Eip for a Service; two families have an address each, in order, or what there is"""

    def test(self):
        self.eip("six", "fd50::100-fd50::10f")
        self.service("v4", eip="six")
        self.wait_waiting("v4", "FamilyMismatch", "six")
        self.service("v6", eip="six", ipFamilies=["IPv6"], ipFamilyPolicy="SingleStack")
        self.wait_address("v6", "fd50::100")
        self.service("prefer", ipFamilies=["IPv4", "IPv6"], ipFamilyPolicy="PreferDualStack")
        self.wait_address("prefer", "fd50::101")
        self.service("require", ipFamilies=["IPv4", "IPv6"], ipFamilyPolicy="RequireDualStack")
        self.wait_waiting("require", "FamilyMismatch", "six")
        self.eip("four", POOL)
        self.wait_address("prefer", "192.168.50.50,fd50::101")
        self.wait_address("require", "192.168.50.51,fd50::102")
        self.service("mismatch", eip="four", ipFamilies=["IPv6"], ipFamilyPolicy="SingleStack")
        self.wait_waiting("mismatch", "FamilyMismatch", "four")


class Moves(AssignTest):
    """B12 B13 T023 asking for another address moves there, and taking the wish back keeps it"""

    def test(self):
        self.eip("eip-pool", POOL)
        self.service("web", loadBalancerIP="192.168.50.58")
        self.wait_address("web", "192.168.50.58")
        self.edit("web", loadBalancerIP="192.168.50.59")
        self.wait_address("web", "192.168.50.59")
        self.wait_eip("eip-pool", usage=1, used={"192.168.50.59": f"{self.namespace}/web"})
        self.assertEqual(self.cluster.asker.who_has("192.168.50.58", 0.2), [])
        since = self.cluster.audit.mark()
        self.edit("web", loadBalancerIP="")
        self.barrier()
        self.assertEqual(self.addresses("web"), "192.168.50.59")
        self.assertEqual(self.writes("web", since), [])


class NotMovedToAnother(AssignTest):
    """T024 T029 asking for what another has keeps the own address, told in one Event; naming another Eip moves there"""

    def test(self):
        self.eip("one", POOL)
        for name in ("a", "b"):
            self.service(name, eip="one")
            self.wait_address(name)
        self.edit("a", {ASK: "192.168.50.51"})
        message = self.wait_event("a", "AssignIPFailed", "192.168.50.51", f"{self.namespace}/b")
        self.barrier()
        self.assertEqual((self.addresses("a"), self.addresses("b")), ("192.168.50.50", "192.168.50.51"))
        self.assertEqual(self.events("a", reason="AssignIPFailed"), [message])
        self.eip("two", "10.2.0.0/24")
        self.edit("a", {ASK: None, EIP: "two"})
        self.wait_address("a", "10.2.0.0")
        self.wait_eip("one", usage=1)


class LetGo(AssignTest):
    """B14 B15 T033 who takes the opt-in back, or all annotations at once, or the type, is released at once, and never written again"""

    def test(self):
        self.eip("eip-pool", POOL)
        ways = {"opt-in": {"metadata": {"annotations": {OPT_IN: None}}}, "foreign": {"metadata": {"annotations": {OPT_IN: "other"}}},
                "bare": {"metadata": {"annotations": None}}, "cluster-ip": {"spec": {"type": "ClusterIP", "allocateLoadBalancerNodePorts": None}}}
        for name, patch in ways.items():
            self.service(name, eip="eip-pool")
            self.wait_address(name)
            self.cluster.api.patch(core("services", self.namespace, name), patch)
            self.wait_released(name)
            self.wait_event(name, "ReleaseIP", "success to release ip: 192.168.50.50")
        # The old spelling is ours as well.
        self.service("porter", eip="eip-pool", annotations={OPT_IN: "porter"})
        self.wait_address("porter", "192.168.50.50")
        # Another controller's ingress is its own, before and after.
        since = self.cluster.audit.mark()
        for name in ("opt-in", "foreign"):
            self.cluster.api.patch(core("services", self.namespace, name, "status"),
                                   {"status": {"loadBalancer": {"ingress": [{"ip": "203.0.113.9"}]}}})
        self.barrier()
        for name in ways:
            self.assertEqual(self.writes(name, since), [])
        self.assertEqual(self.addresses("opt-in"), "203.0.113.9")


class Foreign(AssignTest):
    """T034 a Service of another class is never touched, whatever its annotations"""

    def test(self):
        self.eip("eip-pool", POOL, IS_DEFAULT)
        since = self.cluster.audit.mark()
        self.service("foreign", eip="eip-pool", loadBalancerClass="other.io/x")
        self.service("plain", opted_in=False)
        self.barrier()
        for name in ("foreign", "plain"):
            self.assertEqual(self.writes(name, since), [])
            self.assertEqual(self.events(name), [])
            self.assertEqual(self.marks(name), (None, [], ""))
        self.service("class", opted_in=False, loadBalancerClass="berth.io/lb")
        self.wait_address("class", "192.168.50.50")


class Unmoved(AssignTest):
    """T022 fifty edits that ask for nothing else make no write"""

    def test(self):
        self.eip("eip-pool", POOL)
        self.service("web", eip="eip-pool")
        self.wait_address("web")
        since = self.cluster.audit.mark_after(CONTROLLER, self.namespace, "web")
        for i in range(50):
            self.cluster.api.patch(core("services", self.namespace, "web"), {
                "metadata": {"labels": {"round": str(i)}, "annotations": {"example.com/round": str(i)}}})
        self.barrier()
        writes = [r for r in self.writes("web", since) if r.resource.startswith("services")]
        self.assertEqual(writes, [])
        self.assertEqual(self.addresses("web"), "192.168.50.50")


class Stable(AssignTest):
    """B19 T071 T072 of two Eips of the namespace the better one is filled and left alone, then the next one serves"""

    def test(self):
        self.eip("small", "10.1.0.1", namespaces=[self.namespace], priority=0)
        self.eip("big", "10.2.0.0/24", namespaces=[self.namespace], priority=10)
        self.service("first")
        self.wait_address("first", "10.1.0.1")
        since = self.cluster.audit.mark_after(CONTROLLER, self.namespace, "first")
        self.service("second")
        self.wait_address("second", "10.2.0.0")
        self.edit("first", {"example.com/touched": "1"})
        self.barrier()
        self.assertEqual(self.addresses("first"), "10.1.0.1")
        self.assertEqual([r for r in self.writes("first", since) if r.resource.startswith("services")], [])


class Bound(AssignTest):
    """T070 T075 T076 an Eip of a namespace, by name or label, serves it before the default and nobody else, named or by address"""

    def test(self):
        self.eip("standard", POOL, IS_DEFAULT)
        self.eip("team", "10.2.0.0/24", namespaceSelector={"team": "a"})
        self.service("before")
        self.wait_address("before", "192.168.50.50")
        self.cluster.kubectl("label", "namespace", self.namespace, "team=a")
        wait_for("the label to count", lambda: self._labelled())
        self.assertEqual(self.addresses("before"), "192.168.50.50")
        self.cluster.kubectl("label", "namespace", self.namespace, "team-")
        self.service("named", eip="team")
        self.wait_waiting("named", "NamespaceNotAllowed", "team", self.namespace)
        self.service("pinned", ask="10.2.0.9")
        self.wait_waiting("pinned", "NamespaceNotAllowed", "team", self.namespace)
        self.cluster.kubectl("label", "namespace", self.namespace, "team=a")
        self.wait_address("named")
        self.wait_address("pinned", "10.2.0.9")

    def _labelled(self):
        name = f"labelled-{time.monotonic_ns()}"
        self.service(name)
        return self.wait_address(name).startswith("10.2.0.")


class Meddled(AssignTest):
    """B20 B21 C5 what others wrote over is put right: the Eip's list of users, the label, the ingress, and no address changes"""

    def test(self):
        self.eip("eip-pool", POOL)
        for name in ("low", "web"):
            self.service(name, eip="eip-pool")
            self.wait_address(name)
        self.delete("low")
        self.wait_eip("eip-pool", usage=1)
        truth = {"192.168.50.51": f"{self.namespace}/web"}
        self.cluster.api.patch(eip_path("eip-pool", "status"), {"status": {"usage": 2, "used": {"192.168.50.50": "default/gone"}}})
        self.wait_eip("eip-pool", usage=1, used=truth)
        self.cluster.kubectl("label", "svc", "web", "-n", self.namespace, f"{EIP}-")
        wait_for("the label", lambda: self.marks("web") == ("eip-pool", [SERVICE_FINALIZER], "192.168.50.51"))
        self.cluster.api.patch(core("services", self.namespace, "web", "status"), {"status": {"loadBalancer": {"ingress": None}}})
        self.wait_address("web", "192.168.50.51")
        self.assertEqual(self.events("web", reason="ReleaseIP"), [])


class OldestFirst(AssignTest):
    """T036 three addresses for ten who wait: the three oldest have one each, the others a reason"""

    def test(self):
        names = [f"web{i}" for i in range(10)]
        for name in names:
            self.service(name, eip="three")
        self.wait_waiting(names[-1], "PoolNotFound", "three")
        self.eip("three", "192.168.50.50-192.168.50.52")
        for name, address in zip(names, ("192.168.50.50", "192.168.50.51", "192.168.50.52")):
            self.wait_address(name, address)
        for name in names[3:]:
            self.wait_waiting(name, "PoolExhausted", "three")


class Brief(AssignTest):
    """T038 three hundred brief Services leave no address, no finalizer and no record"""

    def test(self):
        self.eip("eip-pool", "10.8.0.0/16")
        api, path = self.cluster.api, core("services", self.namespace)

        def some(first):
            for i in range(first, 300, 4):
                api.create(path, self.service_object(f"brief{i}", eip="eip-pool"))
                api.delete(f"{path}/brief{i}")
        threads = [threading.Thread(target=some, args=(first,)) for first in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        wait_for("the end of them all", lambda: not api.items(path), 30, 0.05)
        self.wait_eip("eip-pool", usage=0, used=None)
        wait_for("the end of all records", lambda: not self.berth.get("services") and not self.berth.get("addresses"))


if __name__ == "__main__":
    main()
