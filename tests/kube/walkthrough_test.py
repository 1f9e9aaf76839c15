# SPDX-License-Identifier: Apache-2.0
"""From helm install to a deleted Service, as a user walks through it with kubectl."""
from berth_case import *  # noqa: F403
from netns import ROOT

EXAMPLE = os.path.join(ROOT, "examples/layer2")


def columns(table):
    """The rows of a table that kubectl prints, each a list of words, the headings first."""
    return [line.split() for line in table.splitlines()]


class Installed(BerthTest):
    """helm install brings up two controllers and an agent on each node, the webhook configuration and three CRDs; helm test agrees"""

    def test(self):
        pods = columns(self.cluster.kubectl("get", "pods", "-n", "openelb-system"))
        self.assertEqual(pods[0], ["NAME", "READY", "STATUS", "RESTARTS", "AGE"])
        self.assertEqual(sorted((pod[0].rsplit("-", 2 if "controller" in pod[0] else 1)[0], *pod[1:4]) for pod in pods[1:]),
                         [("berth-agent", "1/1", "Running", "0")] * 3 + [("berth-controller", "1/1", "Running", "0")] * 2)
        self.assertEqual(columns(self.cluster.kubectl("get", "validatingwebhookconfigurations"))[1][:2], ["berth-controller", "4"])
        self.assertEqual([row[0] for row in columns(self.cluster.kubectl("get", "crd")) if "kubesphere" in row[0]],
                         [f"{kind}.network.kubesphere.io" for kind in ("bgpconfs", "bgppeers", "eips")])
        config = self.cluster.get_json("configmap", "kube-proxy", "-n", "kube-system")["data"]["config.conf"]
        self.assertIs(json.loads(config)["ipvs"]["strictARP"], False)
        self.assertRegex(self.cluster.helm("test", "berth", "-n", "openelb-system", "--timeout=60s"),
                         r"TEST SUITE: +berth-test\n(.*\n)*Phase: +Succeeded\n")
        # From its first request on a controller has all the rights that it needs.
        self.assertEqual(self.cluster.audit.refused(user=CONTROLLER), [])


class Notes(BerthTest):
    """What helm install says next works as it stands: the label, the wait, the Eip, the Service, and why one waits"""

    def test(self):
        commands, here = [], False  # lines of a shell, by two spaces; a blank one does not end a here-document
        for line in self.berth.notes.splitlines():
            if line.startswith("  "):
                if here or (commands and commands[-1].endswith("\\")):
                    commands[-1] += "\n" + line[2:]
                else:
                    commands.append(line[2:])
                here = (here or "<<EOF" in line) and line.strip() != "EOF"
        self.assertEqual([command.split()[:2] for command in commands], [
            ["kubectl", "label"], ["kubectl", "-n"], ["helm", "-n"], ["kubectl", "apply"], ["kubectl", "create"],
            ["kubectl", "expose"], ["kubectl", "get"], ["kubectl", "-n"]])
        self._eips.add("pool")
        self.addCleanup(self.cluster.kubectl, "delete", "--ignore-not-found", "deployment/web", "service/web")
        for command in commands[:-2]:
            self.cluster.shell(command)
        wait_for("an address", lambda: "192.168.50.50" in self.cluster.shell(commands[-2]), 20, 0.1)
        before, _, words = commands[-1].partition(" -- ")
        self.assertEqual(before, "kubectl -n openelb-system exec deploy/berth-controller")  # no kubelet here runs it
        self.assertIn("192.168.50.50", self.berth.ctl(*words.split()[1:]))
        again = self.cluster.helm("upgrade", "berth", os.path.join(ROOT, "charts/berth"), "-n", NAMESPACE, "--reuse-values")
        self.assertNotIn("kubectl label", again)  # the namespace has it now


class FirstService(BerthTest):
    """F17 The example's Eip and Service: kubectl's tables, one answer on the LAN, a page from pods on several nodes, and back"""

    def test(self):
        kubectl = self.cluster.kubectl
        self._eips.add("eip-pool")
        self.assertEqual(kubectl("apply", "-f", f"{EXAMPLE}/eip.yaml"), "eip.network.kubesphere.io/eip-pool created\n")
        self.wait_eip("eip-pool", ready=True)
        self.assertEqual(kubectl("get", "eip"), "NAME       CIDR                          USAGE   TOTAL\n"
                                                "eip-pool   192.168.50.50-192.168.50.60   0       11\n")
        shown = kubectl("get", "eip", "eip-pool", "-o", "yaml")
        self.assertIn("  finalizers:\n  - finalizer.ipam.kubesphere.io/v1alpha1\n", shown)
        self.assertIn("  firstIP: 192.168.50.50\n  lastIP: 192.168.50.60\n  occupied: false\n  poolSize: 11\n  ready: true\n"
                      "  usage: 0\n  v4: true\n", shown)

        self.addCleanup(kubectl, "delete", "--ignore-not-found", "deployment/nginx", "service/nginx")
        pods = self.cluster.web("nginx", 3)
        self.assertEqual({pod.node.name for pod in pods}, {"node1", "node2", "node3"})
        self.assertEqual(kubectl("apply", "-f", f"{EXAMPLE}/nginx-service.yaml"), "service/nginx created\n")
        kubectl("wait", "service/nginx", "--for=jsonpath={.status.loadBalancer.ingress}", "--timeout=5s")
        service = columns(kubectl("get", "svc", "nginx"))
        self.assertEqual(service[0], ["NAME", "TYPE", "CLUSTER-IP", "EXTERNAL-IP", "PORT(S)", "AGE"])
        self.assertEqual((service[1][1], service[1][3]), ("LoadBalancer", "192.168.50.50"))
        self.assertRegex(service[1][4], r"^80:\d+/TCP$")
        described = kubectl("describe", "svc", "nginx")
        self.assertIn("eip.openelb.kubesphere.io/v1alpha2=eip-pool", described)
        self.assertRegex(described, r"Normal +AssignIP .*berth-controller +success to assign ip: 192\.168\.50\.50\n")

        holder = self.holder("192.168.50.50")
        self.assertEqual(set(self.pages("192.168.50.50", 3)), {pod.name for pod in pods})
        neighbour = self.cluster.client.ip("neigh", "show", "192.168.50.50").split()
        self.assertEqual(neighbour[neighbour.index("lladdr") + 1], holder.mac)
        self.wait_eip("eip-pool", usage=1, used={"192.168.50.50": "default/nginx"})
        self.assertEqual(columns(kubectl("get", "eip"))[1], ["eip-pool", "192.168.50.50-192.168.50.60", "1", "11"])

        self.check_promises()
        kubectl("delete", "svc", "nginx")
        self.assertEqual(self.cluster.asker.who_has("192.168.50.50"), [])
        self.wait_eip("eip-pool", usage=0, used=None)
        self.assertEqual(kubectl("delete", "-f", f"{EXAMPLE}/eip.yaml"), 'eip.network.kubesphere.io "eip-pool" deleted\n')
        self.assertEqual(kubectl("get", "eip"), "")


class Refused(BerthTest):
    """An Eip that overlaps, is a second default, leaves out an address in use or lacks its interface is refused, field and rival named"""

    def test(self):
        default = {"eip.openelb.kubesphere.io/is-default-eip": "true"}
        self.eip("one", "192.168.50.50-192.168.50.60", default)
        self.service("web")
        self.wait_address("web", "192.168.50.50")
        with open(f"{EXAMPLE}/eip.yaml") as example:
            manifest = example.read().replace("eip-pool", "two")
        for text, *words in (
                (manifest, "spec.address", "eip address overlap with one", "192.168.50.50-192.168.50.60"),
                (manifest.replace("192.168.50.50-192.168.50.60", "192.168.50.70").replace(
                    "name: two", f"name: two\n  annotations: {json.dumps(default)}"),
                 "annotation eip.openelb.kubesphere.io/is-default-eip", "already exists a default EIP", 'Eip "one"'),
                (manifest.replace("name: two", "name: one").replace(".50.50-", ".50.51-"),
                 "spec.address", "the address field is not allowed to be modified", f"{self.namespace}/web (192.168.50.50)"),
                (manifest.replace("  interface: eth0\n", "").replace("192.168.50.50-192.168.50.60", "192.168.50.70"),
                 "spec.interface", "if protocol is layer2 or vip, interface should not be empty")):
            said = self.cluster.kubectl_fails("apply", "-f", "-", input=text)
            for word in words:
                self.assertIn(word, said)
        self.wait_eip("one", poolSize=11, usage=1)
        self.assertEqual(self.cluster.kubectl("get", "eip", "--no-headers").split(), ["one", "192.168.50.50-192.168.50.60", "1", "11"])
        # With no address left out, the same field may be edited.
        self.eip("one", "192.168.50.50-192.168.50.55", default)
        self.wait_eip("one", poolSize=6, usage=1)


class Waits(BerthTest):
    """A Service that does not fit says why in an Event, and has its address by itself once the Eip grows"""

    def test(self):
        self.eip("small", "192.168.50.50")
        self.service("first", eip="small")
        self.wait_address("first", "192.168.50.50")
        self.service("second", eip="small")
        self.wait_waiting("second", "PoolExhausted", 'Eip "small"')
        row = columns(self.cluster.kubectl("get", "svc", "second", "-n", self.namespace))[1]
        self.assertEqual(row[3], "<pending>")
        self.assertRegex(self.cluster.kubectl("describe", "svc", "second", "-n", self.namespace), r"Warning +AssignIPFailed .*small")
        self.wait_eip("small", occupied=True)
        before = self.get_service("second")
        self.cluster.kubectl("patch", "eip", "small", "--type=merge", "-p", '{"spec": {"address": "192.168.50.50-192.168.50.51"}}')
        self.wait_address("second", "192.168.50.51")
        self.assertEqual(before["spec"], self.get_service("second")["spec"])
        self.assertEqual(self.addresses("first"), "192.168.50.50")


class Shared(BerthTest):
    """Two Services share an address on request when their ports differ; one whose port clashes waits, port and owner named"""

    def test(self):
        self.eip("eip-pool", "192.168.50.50-192.168.50.60")
        self.cluster.web("web", 2, self.namespace)
        self.service("first", eip="eip-pool", app="web")
        self.wait_address("first", "192.168.50.50")
        self.service("second", ask="192.168.50.50", ports=(8080,), app="web")
        self.wait_address("second", "192.168.50.50")
        self.service("third", ask="192.168.50.50", app="web")
        self.wait_waiting("third", "PortConflict", "192.168.50.50", f"{self.namespace}/first", "80")
        self.pages("192.168.50.50", 2)
        self.pages("192.168.50.50", 2, port=8080)
        self.wait_eip("eip-pool", usage=1, used={"192.168.50.50": f"{self.namespace}/first;{self.namespace}/second"})
        self.delete("first")
        self.wait_address("third", "192.168.50.50")


class Local(BerthTest):
    """With externalTrafficPolicy Local only a node with a ready endpoint answers, the address follows the pod, and nobody answers without"""

    RESTARTS = True

    def test(self):
        self.eip("eip-pool", "192.168.50.50-192.168.50.60")
        [pod] = self.cluster.web("web", 1, self.namespace)
        self.service("web", eip="eip-pool", externalTrafficPolicy="Local")
        self.wait_address("web", "192.168.50.50")
        self.assertEqual(self.pages("192.168.50.50", 1), {pod.name: self.cluster.client.address})
        self.assertIs(self.holder("192.168.50.50"), pod.node)

        self.cluster.kubectl("cordon", pod.node.name)
        self.addCleanup(self.cluster.kubectl, "uncordon", pod.node.name)
        self.cluster.kubectl("delete", "pod", pod.name, "-n", self.namespace)
        [moved] = self.cluster.wait_pods(1, self.namespace, app="web")
        self.assertIsNot(moved.node, pod.node)
        wait_for("the address at the new node", lambda: self.holder("192.168.50.50") is moved.node)
        self.assertEqual(self.pages("192.168.50.50", 1), {moved.name: self.cluster.client.address})

        self.cluster.kubectl("scale", "deployment/web", "--replicas=0", "-n", self.namespace)
        wait_for("silence", lambda: self.cluster.asker.who_has("192.168.50.50", 0.2) == [])
        self.assertEqual(self.addresses("web"), "192.168.50.50")
        self.cluster.kubectl("scale", "deployment/web", "--replicas=1", "-n", self.namespace)
        [back] = self.cluster.wait_pods(1, self.namespace, app="web")
        wait_for("the address at the pod's node", lambda: self.holder("192.168.50.50") is back.node)


class Ports(BerthTest):
    """allocateLoadBalancerNodePorts false and loadBalancerSourceRanges work"""

    def test(self):
        self.eip("eip-pool", "192.168.50.50-192.168.50.60")
        self.cluster.web("web", 3, self.namespace)
        self.service("web", eip="eip-pool", allocateLoadBalancerNodePorts=False,
                     loadBalancerSourceRanges=[f"{self.cluster.client.address}/32"])
        address = self.wait_address("web")
        self.assertNotIn("nodePort", self.get_service("web")["spec"]["ports"][0])
        self.pages(address, 3)
        self.edit("web", loadBalancerSourceRanges=["10.9.9.0/24"])
        wait_for("no page any more", lambda: self.cluster.fetch(address, timeout=0.5) is None, 10)
        self.edit("web", loadBalancerSourceRanges=None)
        self.pages(address, 3)
        self.assertEqual(self.addresses("web"), address)


class Deleted(BerthTest):
    """Deleting an Eip in use waits and says for whom; deleting a Service frees its address within a second"""

    def test(self):
        self.eip("eip-pool", "192.168.50.50-192.168.50.51")
        for name in ("first", "second"):
            self.service(name, eip="eip-pool")
            self.wait_address(name)
        self.service("third", eip="eip-pool")
        self.wait_waiting("third", "PoolExhausted", "eip-pool")
        self.cluster.kubectl("delete", "svc", "first", "-n", self.namespace)
        self.wait_address("third", "192.168.50.50", timeout=1)

        self.cluster.kubectl("delete", "eip", "eip-pool", "--wait=false")
        users = f"deletion waits for its users: {self.namespace}/third, {self.namespace}/second"
        self.wait_event("eip-pool", "DeletionWaits", users, kind="Eip")
        wait_for("the condition", lambda: any(
            (c["type"], c["status"], c["message"]) == ("Deleting", "True", users)
            for c in self.cluster.get_json("eip", "eip-pool")["status"]["conditions"]))
        self.assertIn(users, self.cluster.kubectl("describe", "eip", "eip-pool"))
        self.check_promises()
        self.delete("second")
        self.delete("third")
        self.cluster.kubectl("wait", "--for=delete", "eip/eip-pool", "--timeout=5s")


if __name__ == "__main__":
    main()
