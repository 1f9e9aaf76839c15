# SPDX-License-Identifier: Apache-2.0
"""Traffic from the LAN reaches pods on several nodes through a real kube-proxy."""
from kube_case import *  # noqa: F403

VIP = "192.168.50.77"


class DataPath(KubeTest):
    """A client on the LAN gets the page of pods on each node through a load balancer's address that one node answers for"""

    def test(self):
        pods = self.cluster.web("web", replicas=3, namespace=self.namespace)
        self.assertEqual({pod.node.name for pod in pods}, {"node1", "node2", "node3"})
        self._load_balancer("web", VIP)
        node = self.cluster.nodes[0]
        node.ip("addr", "add", f"{VIP}/32", "dev", "eth0")
        self.addCleanup(node.ip, "addr", "del", f"{VIP}/32", "dev", "eth0", check=False)
        wait_for("a page", lambda: self.cluster.fetch(VIP), 10)
        answered = {self.cluster.fetch(VIP, timeout=10).split()[0] for _ in range(40)}
        self.assertEqual(answered, {pod.name for pod in pods})

    def _load_balancer(self, name, address):
        self.cluster.apply({"apiVersion": "v1", "kind": "Service", "metadata": {"name": name, "namespace": self.namespace},
                            "spec": {"type": "LoadBalancer", "loadBalancerClass": "example.com/by-hand", "selector": {"app": name},
                                     "ports": [{"port": 80}], "allocateLoadBalancerNodePorts": False}})
        self.cluster.kubectl("patch", "svc", name, "-n", self.namespace, "--subresource=status", "-p",
                             json.dumps({"status": {"loadBalancer": {"ingress": [{"ip": address}]}}}))
        service = self.cluster.kubectl("get", "svc", name, "-n", self.namespace, "--no-headers").split()
        self.assertEqual((service[1], service[3]), ("LoadBalancer", address))


class PodToPod(KubeTest):
    """A pod reaches another node's pods, a Service by its name, and the API server by its Service"""

    def test(self):
        pods = self.cluster.web("web", replicas=3, namespace=self.namespace)
        self.cluster.kubectl("expose", "deployment", "web", "--port=80", "-n", self.namespace)
        first, last = pods[0], pods[-1]
        page = first.space.exec("curl", "-sS", f"http://{last.address}/").stdout.split()
        self.assertEqual(page, [last.name, first.address])
        script = ("import os,ssl,urllib.request as u\n"
                  "print(u.urlopen('http://web.%s/').read().decode().split()[0])\n"
                  "folder='/var/run/secrets/kubernetes.io/serviceaccount/'\n"
                  "url='https://'+os.environ['KUBERNETES_SERVICE_HOST']+'/version'\n"
                  "ask=u.Request(url,headers={'Authorization':'Bearer '+open(folder+'token').read()})\n"
                  "print(b'v1.35.4' in u.urlopen(ask,context=ssl.create_default_context(cafile=folder+'ca.crt')).read(), flush=True)\n"
                  "import time; time.sleep(1000)\n")
        asking = self.cluster.run_like_pod({"spec": {"terminationGracePeriodSeconds": 0, "containers": [{
            "name": "asks", "image": "pause", "command": ["/usr/bin/python3", "-c", script % self.namespace]}]}},
            self.cluster.nodes[1], "asks", self.namespace)
        wait_for("its output", lambda: asking.log().count("\n") == 2, 20)
        name, true = asking.log().split()
        self.assertIn(name, [pod.name for pod in pods])
        self.assertEqual(true, "True")


class LocalPolicy(KubeTest):
    """With externalTrafficPolicy Local a node without ready endpoints drops, and the client's address is kept elsewhere"""

    def test(self):
        pods = self.cluster.web("web", replicas=1, namespace=self.namespace)
        self.cluster.apply({"apiVersion": "v1", "kind": "Service", "metadata": {"name": "web", "namespace": self.namespace},
                            "spec": {"type": "LoadBalancer", "loadBalancerClass": "example.com/by-hand", "selector": {"app": "web"},
                                     "ports": [{"port": 80}], "externalTrafficPolicy": "Local"}})
        self.cluster.api.patch(core("services", self.namespace, "web", "status"),
                               {"status": {"loadBalancer": {"ingress": [{"ip": "192.168.50.78"}]}}})
        holder = pods[0].node
        other = next(node for node in self.cluster.nodes if node is not holder)
        for node, expected in ((holder, f"{pods[0].name} {self.cluster.client.address}"), (other, None)):
            self.cluster.client.ip("route", "replace", "192.168.50.78", "via", node.address)
            self.addCleanup(self.cluster.client.ip, "route", "del", "192.168.50.78", check=False)
            if expected:
                wait_for("a page", lambda: self.cluster.fetch("192.168.50.78"), 10)
            else:
                wait_for("the rule that drops", lambda node=node: " 192.168.50.78 " in node.exec(
                    "nft", "list", "map", "ip", "kube-proxy", "no-endpoint-services").stdout, 10)
            self.assertEqual(self.cluster.fetch("192.168.50.78", timeout=1), expected)


if __name__ == "__main__":
    main()
