# SPDX-License-Identifier: Apache-2.0
"""A node of a Kubernetes cluster on a Lab: kube-proxy, and Pods with network namespaces of their own behind it."""
import json
import os

from kube_plane import API_SERVICE, PODS
from kube_tools import program
from lab import Node
from netns import inside_command, inside_namespace, run, wait_for


class Space:
    """The network that a Pod's programs are in."""

    ns = None

    def inside(self):
        return inside_namespace(self.ns)

    def exec(self, *args, check=True, **kwargs):
        return run(*inside_command(self.ns, *args), check=check, **kwargs)

    def cut_api(self, reset=False):
        """From now on nothing passes to and from the API server: silently, or with a reset of what is open and of what is tried."""
        table = "add table inet cut-api; add chain inet cut-api out { type filter hook output priority 0 ; }; "
        if reset:
            # The resets come in as if from the API server, so nothing may stand in their way.
            rules = f"add rule inet cut-api out ip daddr {API_SERVICE} reject with tcp reset"
        else:
            rules = (f"add rule inet cut-api out ip daddr {API_SERVICE} drop; "
                     "add chain inet cut-api in { type filter hook input priority 0 ; }; "
                     f"add rule inet cut-api in ip saddr {API_SERVICE} drop")
        self.exec("nft", table + rules)

    def heal_api(self):
        self.exec("nft", "delete", "table", "inet", "cut-api")

    def close(self):
        pass


class PodSpace(Space):
    """A Pod's network: `eth0` with a /32 address, everything routed by the node, as with a plain point-to-point CNI."""

    def __init__(self, node, number):
        self.node, self.address = node, f"{node.pod_prefix}.{number}"
        self.ns = f"{node.lab.prefix}-{node.name}-{number}"
        self.port = f"pod{number}"
        run("ip", "netns", "add", self.ns)
        node.ip("link", "add", self.port, "type", "veth", "peer", "name", "eth0", "netns", self.ns)
        run("ip", "-n", self.ns, "-batch", "-", input=(
            f"link set lo up\nlink set eth0 up\naddr add {self.address}/32 dev eth0\n"
            f"route add {node.gateway} dev eth0\nroute add default via {node.gateway} dev eth0\n"))
        run("ip", "-n", node.ns, "-batch", "-", input=(
            f"link set {self.port} up\naddr add {node.gateway}/32 dev {self.port}\nroute add {self.address} dev {self.port}\n"))

    def close(self):
        run("ip", "netns", "delete", self.ns, check=False)


class HostSpace(Space):
    """The network of a Pod with hostNetwork: the node's own."""

    def __init__(self, node):
        self.node, self.address, self.ns = node, node.address, node.ns


class KubeNode(Node):
    def __init__(self, lab, name, address):
        super().__init__(lab, name, address)
        number = int(name.removeprefix("node"))
        self.pod_prefix = f"{PODS.rsplit('.', 2)[0]}.{number}"
        self.gateway = f"{self.pod_prefix}.1"
        self.folder = os.path.join(lab.folder, f"host-{name}")
        self.kube_proxy_log = os.path.join(lab.folder, f"kube-proxy-{name}.log")
        self.kube_proxy = None
        self.ready = True  # what kubelet says; None: kubelet says nothing any more
        self._next_pod = 2
        self.sysctl("net.ipv4.ip_forward", "1")

    def host_path(self, path):
        """A hostPath of this node, which is not this machine's."""
        return os.path.join(self.folder, path.lstrip("/"))

    def new_space(self, host_network):
        if host_network:
            return HostSpace(self)
        self._next_pod += 1
        return PodSpace(self, self._next_pod)

    def route_to(self, other):
        """Pods of another node are reached through it."""
        self.ip("route", "replace", f"{other.pod_prefix}.0/24", "via", other.address)

    # ---- kube-proxy -------------------------------------------------------------------------------------------------
    @staticmethod
    def kube_proxy_config(kubeconfig, node_name=""):
        return json.dumps({
            "apiVersion": "kubeproxy.config.k8s.io/v1alpha1", "kind": "KubeProxyConfiguration", "mode": "nftables",
            "clientConnection": {"kubeconfig": kubeconfig}, "hostnameOverride": node_name, "clusterCIDR": PODS,
            "ipvs": {"strictARP": False}, "nftables": {"minSyncPeriod": "0s", "syncPeriod": "30s"},
            # Those limits are the whole machine's and can't be set from a namespace.
            "conntrack": {"maxPerCore": 0, "min": 0}}, indent=2)

    def start_kube_proxy(self, kubeconfig):
        config = os.path.join(self.lab.folder, f"kube-proxy-{self.name}.json")
        with open(config, "w") as f:
            f.write(self.kube_proxy_config(kubeconfig, self.name))
        self.kube_proxy = self.spawn(program("kube-proxy"), f"--config={config}", log=self.kube_proxy_log)

    def wait_kube_proxy(self, timeout=180):
        """Until this kube-proxy has written rules, which it does once its watches have told it everything there is."""
        def written():
            if self.kube_proxy.poll() is not None:
                with open(self.kube_proxy_log, errors="replace") as log:
                    raise RuntimeError(f"kube-proxy of {self.name} ended:\n{''.join(log.readlines()[-10:])}")
            metrics = self.exec("curl", "-sf", "http://127.0.0.1:10249/metrics", check=False).stdout.splitlines()
            return any(line.startswith("kubeproxy_sync_proxy_rules_last_timestamp_seconds") and float(line.rsplit(" ", 1)[1]) > 0
                       for line in metrics)
        wait_for(f"kube-proxy's rules on {self.name}", written, timeout, 0.1)
