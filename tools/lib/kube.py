# SPDX-License-Identifier: Apache-2.0
"""A real Kubernetes cluster on a LAN of network namespaces: see docs/testing-kube.md for what is real in it and what is not.

    with Cluster(nodes=3) as cluster:
        cluster.kubectl("create", "deployment", "nginx", "--image=web", "--replicas=3")
        cluster.kubectl("rollout", "status", "deployment/nginx")
        cluster.pods("default", app="nginx")[0].kill()
"""
import contextlib
import json
import os
import shutil
import socket
import time

from kube_api import ApiError, core, resource
from kube_dns import Dns
from kube_kubelet import Image, Kubelet
from kube_node import KubeNode
from kube_plane import ControlPlane
from kube_tools import program
from kube_volumes import token_for
from lab import Lab
from netns import wait_for

__all__ = ["ApiError", "Cluster", "Image", "core", "resource", "wait_for"]


class Cluster(Lab):
    """`plane`: etcd and so on; `api`: a client as admin; `audit`: who asked for what; `nodes`; `client`: a host on the LAN.

    `flags`: program of the control plane -> more flags for it.
    """

    node_kind = KubeNode
    plane = kubelet = dns = None

    def __init__(self, nodes=3, kube_proxy=True, flags=None, **kwargs):
        super().__init__(nodes=nodes, **kwargs)
        try:
            self._come_up(kube_proxy, flags or {})
        except BaseException:
            self.close()
            raise

    def _come_first(self):
        """Nothing here counts milliseconds, and a control plane would starve the rest of the machine."""

    def _come_up(self, kube_proxy, flags):
        self.plane = ControlPlane(self.controller_host, self.folder)
        self.audit = self.plane.audit
        self.api = self.plane.api("admin")
        for node in self.nodes:
            self.controller_host.ip("route", "add", f"{node.pod_prefix}.0/24", "via", node.address)
            for other in self.nodes:
                if other is not node:
                    node.route_to(other)
        self.plane.flags.update(flags)
        self.plane.start()
        self.dns = Dns(self.controller_host, self.plane.api("harness", timeout=1))
        self.kubelet = Kubelet(self, self.plane, self.dns.address)
        self.kubelet.start()
        self._kubeconfig = self.plane.kubeconfig("admin")
        if kube_proxy:
            self._start_kube_proxies()
        self._wait_account("default")

    def _start_kube_proxies(self):
        config = self.plane.kubeconfig("system:kube-proxy")
        for node in self.nodes:
            node.start_kube_proxy(config)
        self.api.create(core("configmaps", "kube-system"), {
            "metadata": {"name": "kube-proxy", "labels": {"app": "kube-proxy"}},
            "data": {"config.conf": KubeNode.kube_proxy_config("/var/lib/kube-proxy/kubeconfig.conf")}})
        for node in self.nodes:
            node.wait_kube_proxy()

    def _wait_account(self, namespace):
        wait_for(f"the default service account of {namespace}",
                 lambda: self.plane.api("harness").find(core("serviceaccounts", namespace, "default")), 120, 0.02)

    # ---- kubectl and helm -------------------------------------------------------------------------------------------
    def _client_program(self, name, args, check, input, user):
        return self.controller_host.exec(program(name), *args, check=check, input=input, env=self._client_env(user))

    def _client_env(self, user=None):
        config = self._kubeconfig if user is None else self.plane.kubeconfig(user)
        home = os.path.join(self.folder, "home")
        return {**os.environ, "KUBECONFIG": config, "HOME": home, "KUBECACHEDIR": f"{home}/cache", "HELM_CACHE_HOME": f"{home}/helm-cache",
                "HELM_CONFIG_HOME": f"{home}/helm", "HELM_DATA_HOME": f"{home}/helm-data"}

    def shell(self, command):
        """What a command says in a shell whose kubectl and helm are this cluster's."""
        env = self._client_env()
        env["PATH"] = f"{os.path.dirname(program('kubectl'))}:{env['PATH']}"
        return self.controller_host.exec("bash", "-c", command, env=env).stdout

    def kubectl(self, *args, input=None, user=None, check=True):
        """kubectl's output; what it says when it fails is in the RuntimeError."""
        return self._client_program("kubectl", args, check, input, user).stdout

    def kubectl_fails(self, *args, input=None, user=None):
        """What kubectl says on an attempt that is to be refused."""
        done = self._client_program("kubectl", args, False, input, user)
        if done.returncode == 0:
            raise AssertionError(f"kubectl {' '.join(args)} was not refused: {done.stdout}")
        return done.stderr

    def helm(self, *args, input=None, check=True):
        return self._client_program("helm", args, check, input, None).stdout

    def apply(self, text, *args):
        """kubectl apply of manifests: a str of YAML, or objects as a dict or list of them."""
        if not isinstance(text, str):
            text = json.dumps({"apiVersion": "v1", "kind": "List", "items": text} if isinstance(text, list) else text)
        return self.kubectl("apply", "-f", "-", *args, input=text)

    def get_json(self, *args):
        """`kubectl get ARGS -o json`, parsed; get_json("svc", "nginx", "-n", "shop")."""
        return json.loads(self.kubectl("get", *args, "-o", "json"))

    # ---- objects ----------------------------------------------------------------------------------------------------
    def new_namespace(self, name):
        """A namespace whose Pods can be made at once."""
        self.api.create(core("namespaces"), {"metadata": {"name": name}})
        self._wait_account(name)
        return name

    def delete_namespace(self, name, timeout=60):
        self.api.delete(core("namespaces", name=name))
        wait_for(f"the end of namespace {name}", lambda: self.api.find(core("namespaces", name=name)) is None, timeout, 0.1)

    def token_for(self, account, namespace="default", audience=None, pod=None, seconds=3600):
        """A service account's token, as kubelet asks for it; `pod`, a RunningPod, binds it to the Pod and its node."""
        return token_for(self.plane.api("harness"), namespace, account, [audience] if audience else [], pod and pod.object, seconds)[0]

    # ---- Pods -------------------------------------------------------------------------------------------------------
    def pods(self, namespace=None, **labels):
        """The RunningPods with these labels that are not being deleted, by name. Write app_kubernetes_io__name for
        app.kubernetes.io/name."""
        wanted = {key.replace("__", "/").replace("_", ".") if "__" in key else key: value for key, value in labels.items()}
        found = [pod for pod in list(self.kubelet.pods.values())
                 if pod.deleted_at is None and namespace in (None, pod.namespace)
                 and all(pod.object["metadata"].get("labels", {}).get(key) == value for key, value in wanted.items())]
        return sorted(found, key=lambda pod: pod.name)

    def wait_pods(self, count, namespace=None, timeout=60, **labels):
        """Waits until so many Pods with these labels are ready, as the API server says, and returns them."""
        def ready():
            found = self.pods(namespace, **labels)
            return found if len(found) == count and all(self._says_ready(pod) for pod in found) else None
        try:
            return wait_for(f"{count} ready pods with {labels}", ready, timeout, 0.05)
        except TimeoutError as error:
            states = [f"{p.namespace}/{p.name} on {p.node.name}: {p.reason or [c.status()['state'] for c in p.containers]}"
                      for p in self.pods(namespace, **labels)]
            raise TimeoutError(f"{error}: {states}") from error

    def _says_ready(self, pod):
        if not pod.ready:
            return False
        said = self.api.find(core("pods", pod.namespace, pod.name))
        return bool(said) and any(c["type"] == "Ready" and c["status"] == "True" for c in said["status"].get("conditions", []))

    def run_like_pod(self, template, node, name, namespace="default", timeout=60):
        """Runs a Pod template (metadata and spec, as in a DaemonSet) on one node, and returns the RunningPod once it is ready."""
        self.api.create(core("pods", namespace), {
            "metadata": {**template.get("metadata", {}), "name": name, "namespace": namespace},
            "spec": {**template["spec"], "nodeName": node.name}})

        def there():
            return next((p for p in self.pods(namespace) if p.name == name and p.ready), None)
        try:
            return wait_for(f"pod {namespace}/{name}", there, timeout, 0.02)
        except TimeoutError as error:
            raise TimeoutError(f"{error}: {[p.reason for p in self.pods(namespace) if p.name == name]}") from error

    def web(self, name, replicas=3, namespace="default", port=80, timeout=60):
        """A Deployment of web servers that answer `POD CLIENT-ADDRESS`, spread over the nodes; returns its ready Pods."""
        labels = {"app": name}
        self.api.create(resource("apps/v1", "deployments", namespace), {
            "metadata": {"name": name}, "spec": {"replicas": replicas, "selector": {"matchLabels": labels}, "template": {
                "metadata": {"labels": labels}, "spec": {"terminationGracePeriodSeconds": 0, "containers": [{
                    "name": "web", "image": "web", "args": [str(port)], "ports": [{"containerPort": port}],
                    "readinessProbe": {"httpGet": {"port": port}}}]}}}})
        return self.wait_pods(replicas, namespace, timeout, app=name)

    # ---- the LAN ----------------------------------------------------------------------------------------------------
    def fetch(self, address, port=80, host=None, timeout=3):
        """The page that a host of the LAN, the client by default, gets; None when it gets none."""
        with contextlib.suppress(OSError), (host or self.client).socket(socket.AF_INET, socket.SOCK_STREAM) as connection:
            connection.settimeout(timeout)
            connection.connect((address, port))
            connection.sendall(b"GET / HTTP/1.0\r\n\r\n")
            answer = b""
            while chunk := connection.recv(4096):
                answer += chunk
            return answer.partition(b"\r\n\r\n")[2].decode().strip() if answer.startswith(b"HTTP/1.0 200") else None
        return None

    # ---- faults -----------------------------------------------------------------------------------------------------
    def renew_kube_proxies(self):
        """After an API server was away theirs may watch it again half a minute later only; new ones do so at once."""
        for node in self.nodes:
            node.kube_proxy.kill()
            node.kube_proxy.wait()
            node.start_kube_proxy(self.plane.kubeconfig("system:kube-proxy"))
        for node in self.nodes:
            node.wait_kube_proxy()

    def expire_watches(self):
        """Every watch is cut, and whoever goes on from a version that it has seen gets 410.

        Compacting alone does not do that: an API server that stays up answers from its cache of what happened lately.
        """
        self.api.patch(core("configmaps", "kube-system", "extension-apiserver-authentication"),
                       {"metadata": {"annotations": {"berth.test/tick": str(time.monotonic_ns())}}})
        self.plane.kill("kube-apiserver")
        self.plane.compact()
        self.plane.start_apiserver()
        self.plane.wait_ready()

    # ---- the end ----------------------------------------------------------------------------------------------------
    def close(self):
        if self.kubelet:
            self.kubelet.close()
        if self.dns:
            self.dns.close()
        if self.plane:
            self.plane.close()
        super().close()

    def save_logs(self, to):
        os.makedirs(to, exist_ok=True)
        for name in os.listdir(self.folder):
            if name.endswith(".log"):
                shutil.copy(os.path.join(self.folder, name), to)
