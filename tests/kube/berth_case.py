# SPDX-License-Identifier: Apache-2.0
"""What the tests of Berth on a real control plane share: the chart installed by the real helm, and its pods' programs running.

`self.berth` is the file's installation: controllers, agents, who leads, and what berthctl says.
"""
from kube_case import *  # noqa: F403
from kube_container import PROGRAMS
from netns import ROOT

NAMESPACE = "openelb-system"
CONTROLLER = f"system:serviceaccount:{NAMESPACE}:berth-controller"


class Berth:
    def __init__(self, cluster):
        self.cluster = cluster

    def install(self, *values, wait=True):
        """helm install of the chart; `values` as for --set. Returns once all its pods are ready."""
        if self.cluster.api.find(core("namespaces", name=NAMESPACE)) is None:
            self.cluster.new_namespace(NAMESPACE)
        sets = [word for value in values for word in ("--set", value)]
        said = self.cluster.helm("install", "berth", os.path.join(ROOT, "charts/berth"), "-n", NAMESPACE, *sets)
        if wait:
            self.wait_ready()
        return said

    def uninstall(self, timeout=120):
        self.cluster.helm("uninstall", "berth", "-n", NAMESPACE, "--wait", f"--timeout={timeout}s")

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

    def get(self, what):
        """`berthctl get WHAT -o json`, as a list."""
        return json.loads(self.ctl("get", what, "-o", "json"))[what]


class BerthTest(KubeTest):
    VALUES = ()  # of the chart, as for --set, of the first test of the file
    _installed = {}

    def setUp(self):
        super().setUp()
        if self.cluster not in self._installed:
            self._installed[self.cluster] = Berth(self.cluster)
            self._failed = True  # until it stands: its logs are shown if not
            self._installed[self.cluster].install(*self.VALUES)
            self._failed = False
        self.berth = self._installed[self.cluster]
