# SPDX-License-Identifier: Apache-2.0
"""The part of kubelets and scheduler for all nodes of a Lab: Pods of the API server become running programs, nodes stay Ready."""
import contextlib
import dataclasses
import os
import re
import sys
import threading
import time

from kube_api import ApiError, STRATEGIC, core, resource
from kube_container import PROGRAMS
from kube_logs import PORT, LogServer
from kube_plane import API_SERVICE
from kube_pod import RunningPod, now
from kube_tools import KUBERNETES

_WEB = ("import http.server,os,sys\n"
        "class H(http.server.BaseHTTPRequestHandler):\n"
        "  def do_GET(self):\n"
        "    body=(os.environ['HOSTNAME']+' '+self.client_address[0]+chr(10)).encode(); self.send_response(200)\n"
        "    self.send_header('Content-Length',str(len(body))); self.end_headers(); self.wfile.write(body)\n"
        "  def log_message(self,*a): pass\n"
        "http.server.ThreadingHTTPServer(('0.0.0.0',int(sys.argv[1]) if len(sys.argv)>1 else 80),H).serve_forever()\n")


@dataclasses.dataclass
class Image:
    """What an image name stands for: its entry point, further files {path in it: path here}, or a whole root file system."""
    entrypoint: list
    files: dict = dataclasses.field(default_factory=dict)
    root: str = None


class Kubelet:
    """Pods are bound to nodes, run, and their status told; one thread watches, and each Pod has its own."""

    def __init__(self, lab, plane, namespace_dns):
        self.lab, self.folder, self.plane = lab, lab.folder, plane
        # Short, for a thread that waits for an API server that is away does nothing else meanwhile.
        self.api = plane.api("harness", timeout=3)
        self.programs = lab.bin
        self.dns = namespace_dns
        self.images = {"web": Image(["/usr/bin/python3", "-c", _WEB]), "pause": Image(["/usr/bin/sleep", "infinity"])}
        self.extra_env = {}  # name of a container or Pod -> variables set in addition, e.g. failpoints; from its next start on
        self.pods = {}  # uid -> RunningPod
        self._placed = {}  # uid -> (node's name, owner), also of Pods that do not run yet
        self.closing = threading.Event()
        self._unplaced = {}  # uid -> Pod that fitted no node when it was last tried
        self._scheduling = threading.Lock()
        self._watch = None
        self._threads, self._logs = [], []
        self._log = open(os.path.join(self.folder, "kubelet.log"), "a", buffering=1)

    def say(self, text):
        print(f"{now()} {text}", file=self._log)

    def start(self):
        certificate = self.plane.certify("kubelet", "kubelet", "subjectAltName=" + ",".join(f"IP:{n.address}" for n in self.lab.nodes))
        for node in self.lab.nodes:
            self._register(node)
            self._logs.append(LogServer(self, node, certificate))
        for work in (self._follow, self._beat):
            thread = threading.Thread(target=work, daemon=True)
            self._threads.append(thread)
            thread.start()

    def close(self):
        self.closing.set()
        if self._watch:
            self._watch.close()
        for pod in list(self.pods.values()):
            for container in [*pod.init, *pod.containers]:
                with contextlib.suppress(OSError):
                    container.send(9)
            pod.thread.join(10)
            pod.space.close()
        for running in self._logs:
            running.close()
        for thread in self._threads:
            thread.join(10)
        self._log.close()

    # ---- what Pods need ---------------------------------------------------------------------------------------------
    def image(self, name):
        """By the last part of the image's name, without tag and digest; unknown ones are programs of the build."""
        short = re.sub(r"[:@].*$", "", name.split("/")[-1])
        if short in self.images:
            return self.images[short]
        if os.path.exists(os.path.join(self.programs, short)):
            return Image([short])
        return Image([])

    def place_of(self, argv, image):
        """Programs of the build are in one folder where there is no image, whatever the image's folder of them is."""
        if not argv:
            raise ValueError("its image is not known here, and it has no command")
        name = os.path.basename(argv[0])
        if image.root or not os.path.exists(os.path.join(self.programs, name)):
            return argv
        return [f"{PROGRAMS}/{name}", *argv[1:]]

    @staticmethod
    def service_environment():
        return {"KUBERNETES_SERVICE_HOST": API_SERVICE, "KUBERNETES_SERVICE_PORT": "443", "KUBERNETES_SERVICE_PORT_HTTPS": "443",
                "KUBERNETES_PORT": f"tcp://{API_SERVICE}:443"}

    def etc_of(self, pod):
        """Files of /etc that kubelet writes, as the Pod's dnsPolicy says."""
        host_network = bool(pod.object["spec"].get("hostNetwork"))
        policy = pod.object["spec"].get("dnsPolicy", "ClusterFirst")
        cluster = policy == "ClusterFirstWithHostNet" or (policy == "ClusterFirst" and not host_network)
        search = " ".join(f"{part}svc.cluster.local" for part in (f"{pod.namespace}.", "")) + " cluster.local"
        return {"resolv.conf": f"nameserver {self.dns}\nsearch {search}\noptions ndots:5\n" if cluster else "",
                "hosts": f"127.0.0.1 localhost\n::1 localhost\n{pod.space.address} {pod.name}\n",
                "hostname": (pod.node.name if host_network else pod.name) + "\n"}

    # ---- nodes ------------------------------------------------------------------------------------------------------
    def _register(self, node):
        self.api.create(core("nodes"), {"metadata": {"name": node.name, "labels": {
            "kubernetes.io/hostname": node.name, "kubernetes.io/os": "linux", "kubernetes.io/arch": "amd64"}},
            "spec": {"podCIDR": f"{node.pod_prefix}.0/24", "podCIDRs": [f"{node.pod_prefix}.0/24"]}}, may_exist=True)
        self._tell_node(node, node.ready)

    def _tell_node(self, node, ready):
        reasons = {"Ready": ("KubeletReady" if ready else "KubeletNotReady", ready), "MemoryPressure": ("KubeletHasSufficientMemory", False),
                   "DiskPressure": ("KubeletHasNoDiskPressure", False), "PIDPressure": ("KubeletHasSufficientPID", False)}
        node.told = ready
        conditions = [{"type": kind, "status": str(value), "reason": reason, "message": "", "lastHeartbeatTime": now(),
                       **({"lastTransitionTime": now()} if kind == "Ready" else {})} for kind, (reason, value) in reasons.items()]
        self.api.patch(core("nodes", name=node.name, sub="status"), {"status": {
            "conditions": conditions, "addresses": [{"type": "InternalIP", "address": node.address},
                                                    {"type": "Hostname", "address": node.name}],
            "daemonEndpoints": {"kubeletEndpoint": {"Port": PORT}},
            "capacity": {"cpu": "2", "memory": "8Gi", "pods": "110"}, "allocatable": {"cpu": "2", "memory": "8Gi", "pods": "110"},
            "nodeInfo": {"kubeletVersion": f"v{KUBERNETES}", "kubeProxyVersion": "", "machineID": node.name, "systemUUID": node.name,
                         "bootID": node.name, "kernelVersion": os.uname().release, "osImage": "network namespace",
                         "containerRuntimeVersion": "tests://1", "operatingSystem": "linux", "architecture": "amd64"}}}, STRATEGIC)

    def _beat(self):
        """Leases as kubelet renews them; the Ready condition when a test or the node controller has changed it; Pods that wait."""
        renew = 0.0
        while not self.closing.wait(0.1):
            due = time.monotonic() > renew
            if due:
                renew = time.monotonic() + 2
                with contextlib.suppress(ApiError, OSError):
                    self._compare()
                with contextlib.suppress(ApiError, OSError):
                    for pod in list(self._unplaced.values()):
                        self._schedule(pod)
            for node in self.lab.nodes:
                if node.ready is None:
                    node.told = None
                with contextlib.suppress(ApiError, OSError):
                    if node.ready is not None and node.ready != node.told:
                        self._tell_node(node, node.ready)
                        # The node controller has taken the readiness of its Pods.
                        for pod in self._on(node) if node.ready else []:
                            pod.tell_again = True
                    if due and node.ready is not None:
                        self._renew(node)

    def _compare(self):
        """A node that was silent for too long, say while the API server was away, has been said to be lost."""
        for said in self.api.items(core("nodes")):
            ready = next((c["status"] for c in said["status"]["conditions"] if c["type"] == "Ready"), None)
            for node in self.lab.nodes:
                if node.name == said["metadata"]["name"] and ready != str(node.ready):
                    node.told = None

    def _on(self, node):
        return [pod for pod in list(self.pods.values()) if pod.node is node]

    def _renew(self, node):
        stamp = time.strftime("%Y-%m-%dT%H:%M:%S.000000Z", time.gmtime())
        path = resource("coordination.k8s.io/v1", "leases", "kube-node-lease")
        spec = {"holderIdentity": node.name, "leaseDurationSeconds": 40, "renewTime": stamp}
        try:
            self.api.patch(f"{path}/{node.name}", {"spec": spec})
        except ApiError as error:
            if error.code != 404:
                raise
            self.api.create(path, {"metadata": {"name": node.name}, "spec": spec})

    # ---- Pods -------------------------------------------------------------------------------------------------------
    def _follow(self):
        while not self.closing.is_set():
            try:
                listed = self.api.get(core("pods"))
                for pod in listed["items"]:
                    self._see("ADDED", pod)
                alive = {pod["metadata"]["uid"] for pod in listed["items"]}
                for uid in [uid for uid in self.pods if uid not in alive]:
                    self._forget(uid)
                self._watch = self.api.watch(core("pods"), listed["metadata"]["resourceVersion"])
                for kind, thing in self._watch:
                    if kind == "ERROR" or self.closing.is_set():
                        break
                    if kind != "BOOKMARK":
                        self._see(kind, thing)
            except (OSError, ApiError) as error:
                self.say(f"watching pods: {error}")
            except Exception as error:  # noqa: BLE001 - this thread must not end unseen
                self.say(f"watching pods: {error!r}")
                print(f"kubelet: {error!r}", file=sys.stderr)
            self.closing.wait(0.1)

    def _see(self, kind, pod):
        uid = pod["metadata"]["uid"]
        if kind == "DELETED":
            self._forget(uid)
            return
        node_name = pod["spec"].get("nodeName")
        if not node_name:
            self._schedule(pod)
        elif uid not in self.pods:
            node = next((n for n in self.lab.nodes if n.name == node_name), None)
            if node is None or pod.get("status", {}).get("phase") in ("Succeeded", "Failed"):
                return
            if pod["metadata"].get("deletionTimestamp"):
                with contextlib.suppress(ApiError):
                    self.api.delete(core("pods", pod["metadata"]["namespace"], pod["metadata"]["name"]), {"gracePeriodSeconds": 0})
                return
            self._placed[uid] = (node.name, _owner(pod))
            self.pods[uid] = RunningPod(self, pod, node)
        elif pod["metadata"].get("deletionTimestamp") and self.pods[uid].deleted_at is None:
            self.pods[uid].deleted_at = time.monotonic() + pod["metadata"].get("deletionGracePeriodSeconds", 30)

    def _forget(self, uid):
        pod = self.pods.pop(uid, None)
        self._placed.pop(uid, None)
        self._unplaced.pop(uid, None)
        if pod and pod.deleted_at is None:
            pod.deleted_at = time.monotonic()  # deleted by force

    def _schedule(self, pod):
        """To the node with the fewest Pods of the same owner, then fewest of all, among those that the Pod may run on."""
        with self._scheduling:
            uid = pod["metadata"]["uid"]
            # Kept there when placing it fails in any way, and tried again.
            self._unplaced[uid] = pod
            if pod["metadata"].get("deletionTimestamp") or uid in self._placed or self._place(pod):
                del self._unplaced[uid]

    def _place(self, pod):
        """False when it fits no node now."""
        objects = {node["metadata"]["name"]: node for node in self.api.items(core("nodes"))}
        nodes = [node for node in self.lab.nodes if _fits(pod, objects[node.name])]
        if not nodes:
            self.say(f"{pod['metadata']['namespace']}/{pod['metadata']['name']}: no node fits")
            return False
        owner = _owner(pod)
        placed = self._placed.values()
        node = min(nodes, key=lambda n: (sum(p == (n.name, owner) for p in placed), sum(p[0] == n.name for p in placed)))
        name, namespace = pod["metadata"]["name"], pod["metadata"]["namespace"]
        with contextlib.suppress(ApiError):
            self.api.create(core("pods", namespace, name, "binding"), {
                "metadata": {"name": name, "namespace": namespace}, "target": {"kind": "Node", "name": node.name}})
            self._placed[pod["metadata"]["uid"]] = (node.name, owner)
        return True


def _fits(pod, node):
    """Whether selector, affinity to a node's name, cordon and taints let the Pod run there."""
    labels, name = node["metadata"]["labels"], node["metadata"]["name"]
    if any(labels.get(key) != value for key, value in pod["spec"].get("nodeSelector", {}).items()):
        return False
    affinity = pod["spec"].get("affinity", {}).get("nodeAffinity", {}).get("requiredDuringSchedulingIgnoredDuringExecution", {})
    names = [value for term in affinity.get("nodeSelectorTerms", []) for match in term.get("matchFields", [])
             if match["key"] == "metadata.name" for value in match["values"]]
    tolerations = pod["spec"].get("tolerations", [])
    taints = [taint for taint in node["spec"].get("taints", []) if taint["effect"] != "PreferNoSchedule"]
    return (not names or name in names) and all(any(_tolerates(t, taint) for t in tolerations) for taint in taints)


def _tolerates(toleration, taint):
    if toleration.get("effect") not in (None, "", taint["effect"]):
        return False
    if toleration.get("operator") == "Exists":
        return toleration.get("key") in (None, "", taint["key"])
    return toleration.get("key") == taint["key"] and toleration.get("value", "") == taint.get("value", "")


def _owner(pod):
    owners = pod["metadata"].get("ownerReferences", [])
    return owners[0]["uid"] if owners else pod["metadata"]["uid"]
