# SPDX-License-Identifier: Apache-2.0
"""helm upgrade disturbs nobody, and helm uninstall leaves nothing behind, on nodes and objects."""
import sys

from faults_case import *  # noqa: F403
from netns import ROOT
from faults_case import EIP

PEERS = resource("network.kubesphere.io/v1alpha2", "bgppeers")
KEEP = ("uninstall.mode=keep",)  # how the first test of the file installs; Keep is the first that uninstalls
OURS = ("berth", "finalizer.lb.kubesphere.io", "finalizer.ipam.kubesphere.io", EIP)


class UninstallTest(FaultTest):
    def uninstall_and_look(self, addresses):
        """{name: addresses} of the Services afterwards."""
        self.check_promises()
        self.assertIn("--uninstall=", self.cluster.helm("get", "hooks", "berth", "-n", NAMESPACE))
        log = self.berth.uninstall().replace("\\n", "\n")  # Helm 4 prints a hook's log as one line of its own
        self.assertIn("nothing of Berth's is left on nodes and objects", log)
        for node in self.cluster.nodes:
            self.assertIn(f"the node is clean node={node.name}\n", log)
            self.assertNotIn("berth", node.exec("nft", "list", "tables").stdout)
            self.assertNotIn(": berth", node.ip("-o", "link"))
            said = node.ip("-o", "addr")
            self.assertFalse([address for address in addresses if f" {address}/" in said])
        for thing in [*self.services().values(), *self.cluster.api.items(eip_path()), *self.cluster.api.items(PEERS)]:
            meta = thing["metadata"]
            marks = [*meta.get("finalizers", []), *meta.get("labels", {}),
                     *(key for key in meta.get("annotations", {}) if key.startswith("berth.io/")),
                     *(c["type"] for c in thing.get("status", {}).get("conditions") or [])]
            self.assertFalse([mark for mark in marks if mark.startswith(OURS)], meta["name"])
        # What the Deployment owned goes after it, when Kubernetes' garbage collector comes by.
        wait_for("nothing of the chart's", lambda: not self.cluster.kubectl("get", "all", "-n", NAMESPACE, "-o", "name"), 60, 0.2)
        return {name: ingress_of(thing) for name, thing in self.services().items()}


class AgentsRestarted(FaultTest):
    """T144: kubectl rollout restart of the agents: whoever asks again is answered, no page fails, and no other node speaks of the address"""

    VALUES = KEEP

    def test(self):
        address = self.web_service()
        holder, tap = self.holder(address), self.cluster.tap()
        old = {pod.uid for pod in self.berth.agents}
        tap.wait_all_told()  # of what was gained
        began, answers, end = time.monotonic(), [], threading.Event()

        def ask():
            while not end.wait(0.02):
                answers.append(self.cluster.asker.answered_within(address, 1))
        asking = threading.Thread(target=ask, daemon=True)
        with self.served(address):
            asking.start()
            try:
                self.cluster.kubectl("rollout", "restart", "ds/berth-agent", "-n", NAMESPACE)
                self.cluster.kubectl("rollout", "status", "ds/berth-agent", "-n", NAMESPACE, "--timeout=120s")
                wait_for("the old ones' end", lambda: not old & {pod.uid for pod in self.berth.agents}, 30, 0.1)
                self.berth.wait_ready()
            finally:
                end.set()
                asking.join()
        print(f"  all agents are others after {time.monotonic() - began:.1f} s; {answers.count(None)} of {len(answers)} questions "
              "were asked again", file=sys.stderr)
        self.assertEqual({*answers} - {None}, {holder.mac})
        # What has waited for 200 ms, as where all these pods start on a machine of two cores, is left to be asked again.
        self.assertNotIn((None, None), [*zip(answers, answers[1:])])
        self.assertEqual({frame.host for frame in tap.replies(began) if frame.sender_ip == address}, {holder.name})
        # One that stood still says so once it is sure of its addresses again.
        spoke = [frame.host for frame in tap.gratuitous(began) if frame.sender_ip == address]
        self.assertLessEqual({*spoke}, {holder.name})
        print(f"  {len(spoke)} gratuitous frames", file=sys.stderr)


class Keep(UninstallTest):
    """In mode keep Services stay in their addresses' possession, a successor takes them over, and a namespace can go without Berth"""

    VALUES = KEEP

    def test(self):
        self.web_service()
        self.create("other")
        before = self.wait_addresses("web", "other")
        self.assertEqual(self.uninstall_and_look(before.values()), {name: [address] for name, address in before.items()})
        self.berth.install("uninstall.mode=release")
        # Before one leads nobody tells the API server whose webhook it may believe.
        path = resource("admissionregistration.k8s.io/v1", "validatingwebhookconfigurations", None, "berth-controller")
        wait_for("webhooks", lambda: all(hook["clientConfig"].get("caBundle") for hook in self.cluster.api.get(path)["webhooks"]), 30, 0.05)
        self.assertEqual(self.wait_addresses("web", "other"), before)
        wait_for("its page", lambda: self.cluster.fetch(before["web"], timeout=1), 20, 0.05)


class Release(UninstallTest):
    """In mode release Services have no address afterwards, and objects and namespaces go without Berth; refused, it touches nothing"""

    POLICY = {
        "matchConstraints": {"resourceRules": [{
            "apiGroups": [""], "apiVersions": ["v1"], "resources": ["services/status"], "operations": ["UPDATE"]}]},
        "validations": [{"expression": "object.metadata.name != 'web' || has(object.metadata.finalizers)",
                         "message": "web stays as it is"}]}

    def test(self):
        self.web_service()
        self.create("other")
        before = self.wait_addresses("web", "other")
        self.cluster.api.create(PEERS, {  # as OpenELB leaves them
            "apiVersion": "network.kubesphere.io/v1alpha2", "kind": "BgpPeer",
            "metadata": {"name": "tor", "finalizers": [SERVICE_FINALIZER]}, "spec": {"conf": {"neighborAddress": "192.0.2.1", "peerAs": 64512}}})
        self.upgrade(before)
        self.refuse(before)
        self.assertEqual(self.uninstall_and_look(before.values()), {"web": [], "other": []})
        for name in (self.namespace, NAMESPACE):
            self.cluster.delete_namespace(name, 60)
        for path in (eip_path("pool"), f"{PEERS}/tor"):
            self.cluster.api.delete(path)
            self.assertIsNone(self.cluster.api.find(path))
        self.cluster.new_namespace(self.namespace)

    def refuse(self, before):
        """A policy keeps one Service as it is: helm uninstall fails, and Berth goes on as if nothing had been."""
        policies = resource("admissionregistration.k8s.io/v1", "validatingadmissionpolicies")
        bindings = resource("admissionregistration.k8s.io/v1", "validatingadmissionpolicybindings")
        self.cluster.api.create(policies, {"metadata": {"name": "web-stays"}, "spec": self.POLICY})
        self.cluster.api.create(bindings, {"metadata": {"name": "web-stays"}, "spec": {
            "policyName": "web-stays", "validationActions": ["Deny"]}})
        wait_for("the policy", lambda: self.forbidden(), 20, 0.1)
        leader, agents = self.berth.leader().uid, {pod.uid for pod in self.berth.agents}
        with self.served(before["web"]):
            with self.assertRaises(RuntimeError) as refused:
                self.cluster.helm("uninstall", "berth", "-n", NAMESPACE, "--timeout=60s")
            self.assertIn("berth-uninstall", str(refused.exception))
            job = self.cluster.api.get(resource("batch/v1", "jobs", NAMESPACE, "berth-uninstall"))
            self.assertEqual([(c["type"], c["reason"]) for c in job["status"]["conditions"] if c["type"] == "Failed"],
                             [("Failed", "PodFailurePolicy")])
            self.create("new")
            after = self.wait_addresses("web", "other", "new")
            self.delete("new")
            wait_for("its end", lambda: "new" not in self.services(), 20, 0.02)
        self.assertEqual({name: after[name] for name in before}, before)
        self.assertEqual((self.berth.leader().uid, {pod.uid for pod in self.berth.agents}), (leader, agents))
        for kind in (bindings, policies):
            self.cluster.api.delete(f"{kind}/web-stays")
        wait_for("the policy's end", lambda: not self.forbidden(), 20, 0.1)

    def forbidden(self):
        """Whether the policy is in force."""
        try:
            self.cluster.kubectl("patch", "service", "web", "-n", self.namespace, "--subresource=status", "--type=merge",
                                 "--dry-run=server", "-p", '{"metadata":{"finalizers":null}}')
        except RuntimeError as error:
            return "web stays as it is" in str(error)
        return False

    def upgrade(self, before):
        """A changed value replaces all pods, one by one; pages go on and no address changes."""
        old = {pod.uid for pod in self.berth.controllers + self.berth.agents}
        with self.served(before["web"]):
            self.cluster.helm("upgrade", "berth", os.path.join(ROOT, "charts/berth"), "-n", NAMESPACE, "--reuse-values",
                              "--set", "log.level=debug", "--set", "uninstall.timeoutSeconds=46")
            for what in ("deploy/berth-controller", "ds/berth-agent"):
                self.cluster.kubectl("rollout", "status", what, "-n", NAMESPACE, "--timeout=120s")
            self.berth.wait_ready()
            self.assertFalse(old & {pod.uid for pod in self.berth.controllers + self.berth.agents})
            self.create("new")
            after = self.wait_addresses("web", "other", "new", timeout=60)
            self.delete("new")
            wait_for("its end", lambda: "new" not in self.services(), 20, 0.02)
        self.assertEqual({name: after[name] for name in before}, before)


if __name__ == "__main__":
    main()
