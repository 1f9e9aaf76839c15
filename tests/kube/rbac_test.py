# SPDX-License-Identifier: Apache-2.0
"""The controller has exactly the rights that it uses, names one that it lacks, and the agents have none."""
import contextlib
import sys

from faults_case import *  # noqa: F403
from faults_case import CONTROLLER

RBAC = "rbac.authorization.k8s.io/v1"
ROLES = {"": resource(RBAC, "clusterroles", None, "berth-controller"), NAMESPACE: resource(RBAC, "roles", NAMESPACE, "berth-controller")}
HOOKS = {kind: resource("admissionregistration.k8s.io/v1", f"{kind}webhookconfigurations", None, "berth-controller")
         for kind in ("validating", "mutating")}


def rights_of(role):
    """(verb, group, resource, name) of each single right."""
    return [(verb, group, kind, name) for rule in role["rules"] for group in rule["apiGroups"] for kind in rule["resources"]
            for name in rule.get("resourceNames", [""]) for verb in rule["verbs"]]


def rule_of(right):
    verb, group, kind, name = right
    return {"apiGroups": [group], "resources": [kind], "verbs": [verb], **({"resourceNames": [name]} if name else {})}


class RbacTest(FaultTest):
    VALUES = ("manageUnclassed=true",)  # with it the chart grants all that it ever grants

    @contextlib.contextmanager
    def without(self, namespace, right):
        """One right less, for as long as this lasts."""
        role = self.cluster.api.get(ROLES[namespace])
        left = [rule_of(one) for one in rights_of(role) if one != right]
        self.assertEqual(len(left), len(rights_of(role)) - 1)
        self.cluster.api.patch(ROLES[namespace], {"rules": left})
        try:
            self._wait_allowed(namespace, right, False)
            yield
        finally:
            self.cluster.api.patch(ROLES[namespace], {"rules": role["rules"]})
            self._wait_allowed(namespace, right, True)

    def _wait_allowed(self, namespace, right, wanted):
        verb, group, kind, name = right
        kind, _, sub = kind.partition("/")
        question = {"spec": {"user": CONTROLLER, "groups": ["system:serviceaccounts"], "resourceAttributes": {
            "verb": verb, "group": group, "resource": kind, "subresource": sub, "name": name, "namespace": namespace}}}
        path = resource("authorization.k8s.io/v1", "subjectaccessreviews")
        wait_for("the role's effect", lambda: self.cluster.api.create(path, question)["status"]["allowed"] == wanted, 10, 0.02)

    # ---- what makes the controllers use a right ---------------------------------------------------------------------
    def new_standby(self):
        """Another process reads everything from the beginning."""
        self._replace(self.standby())

    def new_leader(self):
        """The other one leads, and sees to what a leader sees to."""
        self._replace(self.berth.leader())

    def _replace(self, pod):
        before = set(self.berth.controllers)
        self.cluster.api.delete(core("pods", NAMESPACE, pod.name))
        wait_for("another pod", lambda: [p for p in self.berth.controllers if p not in before and p.containers[0].process], 90, 0.02)

    def no_lease(self):
        self.cluster.api.delete(LEASE)

    def other_map(self, name, data):
        """A ConfigMap of ours says something else, or is not there; a new leader sees to that."""
        path = core("configmaps", NAMESPACE, name)
        wait_for(f"ConfigMap {name}", lambda: self.cluster.api.find(path), 20, 0.05)
        if data is None:
            self.cluster.api.delete(path)
        else:
            self.cluster.api.patch(path, {"data": data})
        self.new_leader()

    def other_keys(self):
        self.cluster.api.patch(core("secrets", NAMESPACE, "berth-tls"), {"data": {"tls.crt": "bm8="}})
        self.new_standby()

    def no_keys(self):
        """The keys are away; who puts them back need not wait until agents trust others."""
        path = core("secrets", NAMESPACE, "berth-tls")
        keys = self.cluster.api.get(path)
        self.cluster.api.delete(path)
        self.new_standby()
        keys["metadata"] = {"name": "berth-tls"}
        self._put_back = lambda: self.cluster.api.create(os.path.dirname(path), keys)

    def other_bundle(self, kind="validating"):
        self.cluster.api.patch(HOOKS[kind], [{"op": "replace", "path": "/webhooks/0/clientConfig/caBundle", "value": ""}], "application/json-patch+json")
        self.new_leader()

    def other_mutating_bundle(self):
        self.other_bundle("mutating")

    def new_agent(self):
        self.cluster.api.delete(core("pods", NAMESPACE, self.berth.agents[0].name))

    def new_service(self):
        self._count = getattr(self, "_count", 0) + 1
        self.create(f"s-{self._count}")

    def same_event(self):
        """A Service is let go of and taken again, which is told in the same words."""
        self.create("again")
        for _ in range(3):
            self.wait_address("again", timeout=20)
            self.cluster.api.patch(self.path("again"), {"spec": {"type": "ClusterIP", "loadBalancerClass": None}})
            self.wait_address("again", "", timeout=20)
            self.cluster.api.patch(self.path("again"), {"spec": {"type": "LoadBalancer", "loadBalancerClass": "berth.io/lb"}})
        self.delete("again")

    def new_eip(self):
        self._count = getattr(self, "_count", 0) + 1
        self.eip(f"more-{self._count}", f"192.168.50.{20 + self._count}")

    def deleted_bgp(self, kind, spec):
        """One that OpenELB put its finalizer on is deleted; it goes once that may be taken off."""
        self._count = getattr(self, "_count", 0) + 1
        path, name = resource("network.kubesphere.io/v1alpha2", f"{kind.lower()}s"), f"left-{self._count}"
        self.cluster.api.create(path, {"apiVersion": "network.kubesphere.io/v1alpha2", "kind": kind, "spec": spec,
                                       "metadata": {"name": name, "finalizers": [SERVICE_FINALIZER]}})
        self.cluster.api.delete(f"{path}/{name}")
        self.addCleanup(wait_for, f"the end of {path}/{name}", lambda: self.cluster.api.find(f"{path}/{name}") is None, 20, 0.05)

    def deleted_conf(self):
        self.deleted_bgp("BgpConf", {"as": 64512})

    def deleted_peer(self):
        self.deleted_bgp("BgpPeer", {"conf": {"neighborAddress": "192.0.2.1", "peerAs": 64512}})

    def use(self, right):
        verb, _, kind, name = right
        if verb in ("list", "watch") or (verb, kind) in {("get", "leases"), ("get", "secrets"), ("get", "customresourcedefinitions")}:
            return self.new_standby
        return {
            ("update", "leases", "berth-controller"): lambda: None,  # each second
            ("create", "leases", ""): self.no_lease,
            ("create", "configmaps", ""): lambda: self.other_map("berth-ca", None),
            ("get", "configmaps", "berth-ca"): self.new_leader,
            ("update", "configmaps", "berth-ca"): lambda: self.other_map("berth-ca", {"ca.crt": "nothing"}),
            ("get", "configmaps", "berth-agents"): self.new_leader,
            ("patch", "configmaps", "berth-agents"): lambda: self.other_map("berth-agents", {"agents.json": "{}"}),
            ("create", "secrets", ""): self.no_keys,
            ("update", "secrets", "berth-tls"): self.other_keys,
            ("patch", "services/status", ""): self.new_service,
            ("patch", "eips", ""): self.new_eip,
            ("patch", "eips/status", ""): self.new_eip,
            ("patch", "bgpconfs", ""): self.deleted_conf,
            ("patch", "bgppeers", ""): self.deleted_peer,
            ("create", "events", ""): self.new_service,
            ("patch", "events", ""): self.same_event,
            ("create", "tokenreviews", ""): self.new_agent,
            ("get", "validatingwebhookconfigurations", "berth-controller"): self.new_leader,
            ("patch", "validatingwebhookconfigurations", "berth-controller"): self.other_bundle,
            ("get", "mutatingwebhookconfigurations", "berth-controller"): self.new_leader,
            ("patch", "mutatingwebhookconfigurations", "berth-controller"): self.other_mutating_bundle,
        }[verb, kind, name]


class Agents(RbacTest):
    """Agents may nothing: their account has no rights of its own, and the API server does not know whose their token is"""

    def test(self):
        account = f"system:serviceaccount:{NAMESPACE}:berth-agent"
        has = self.cluster.kubectl("auth", "can-i", "--list", f"--as={account}", "-n", NAMESPACE)
        any_account = self.cluster.kubectl("auth", "can-i", "--list", f"--as=system:serviceaccount:{NAMESPACE}:default", "-n", NAMESPACE)
        self.assertEqual(has, any_account)
        self.assertFalse([binding["metadata"]["name"] for kind in ("rolebindings", "clusterrolebindings")
                          for binding in self.cluster.api.items(resource(RBAC, kind)) for subject in binding.get("subjects") or []
                          if subject["name"] == "berth-agent"])
        agent = self.berth.agents[0]
        token = agent.exec("cat", "/var/run/secrets/berth/token").stdout
        self.assertEqual(self.cluster.plane.api(token=token).raw("GET", "/version")[0], 401)
        self.assertEqual(agent.exec("ls", "/var/run/secrets").stdout.split(), ["berth"])


class Taken(RbacTest):
    """Each right taken away in turn is named by a controller that needs it, with verb and resource, and missed no longer once it is back"""

    @staticmethod
    def _put_back():
        """What a test has taken away for good."""

    def test(self):
        rights = [(namespace, right) for namespace, path in ROLES.items() for right in rights_of(self.cluster.api.get(path))]
        for namespace, right in rights:
            with self.subTest(right=right):
                began = time.monotonic()
                marks = {pod: len(pod.log()) for pod in self.berth.controllers}
                use = self.use(right)
                with self.without(namespace, right):
                    use()
                    verb, _, kind, _ = right
                    self._wait_named(f'cannot {verb} resource "{kind}"', marks)
                    self._put_back()
                    self._put_back = lambda: None
                self.berth.leader()
                print(f"  {right}: {time.monotonic() - began:.1f} s", file=sys.stderr)
        self.berth.wait_ready()
        self.create("last")
        self.wait_address("last", timeout=60)

    def _wait_named(self, words, marks):
        def named():
            return any(words in pod.log()[marks.get(pod, 0):].replace('\\"', '"') for pod in self.berth.controllers)
        wait_for(f"a controller that says {words!r}", named, 20, 0.02)


class Used(RbacTest):
    """Over a busy life, from installation to the end, every right is used and nothing is tried that is not granted"""

    def test(self):
        rights = {right for path in ROLES.values() for right in rights_of(self.cluster.api.get(path))}
        mark = self.cluster.audit.mark()
        for use in sorted({self.use(right).__name__ for right in rights} - {"<lambda>", "no_keys"}):
            getattr(self, use)()
            self.berth.wait_ready()
        for name, data in (("berth-ca", None), ("berth-ca", {"ca.crt": "nothing"}), ("berth-agents", {"agents.json": "{}"})):
            self.other_map(name, data)
            self.berth.wait_ready()
        self.web_service()
        self.assertEqual(self.cluster.audit.refused(mark, user=CONTROLLER), [])
        # From here on the rights go before the controllers do.
        ending, mark = {pod.name for pod in self.berth.controllers}, self.cluster.audit.mark()
        self.check_promises()
        self.berth.uninstall()
        requests = self.cluster.audit.requests(user=CONTROLLER)
        named = {right[:3] for right in rights if right[3]}
        used = {(r.verb, r.group, r.resource, r.name if (r.verb, r.group, r.resource) in named else "") for r in requests if r.allowed}
        granted = rights
        self.assertEqual((used - granted, granted - used), (set(), set()))
        self.assertEqual([r for r in self.cluster.audit.refused(mark, user=CONTROLLER) if r.pod not in ending], [])


if __name__ == "__main__":
    main()
