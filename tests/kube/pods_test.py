# SPDX-License-Identifier: Apache-2.0
"""Pods run as real programs, the way kubelet and a container runtime run them."""
from kube_case import *  # noqa: F403
from kube_tools import program

# Tells its environment, its rights and its files, then waits to be asked to end.
TELL = """
import json, os, signal, sys, time
status = dict(line.split(':', 1) for line in open('/proc/self/status').read().splitlines() if ':' in line)
files = {}
for folder in ('/etc/told', '/var/run/secrets/tokens', '/state'):
    for name in sorted(os.listdir(folder)):
        if not name.startswith('.'):
            files[folder + '/' + name] = open(folder + '/' + name).read()
def writable(path):
    try:
        open(path, 'w').close()
        return True
    except OSError:
        return False
print(json.dumps({'argv': sys.argv[1:], 'env': dict(os.environ), 'uid': os.getuid(), 'groups': os.getgroups(), 'gid': os.getgid(),
                  'effective': status['CapEff'].strip(), 'bounding': status['CapBnd'].strip(), 'nnp': status['NoNewPrivs'].strip(),
                  'files': files, 'root': writable('/x'), 'state': writable('/state/x'), 'scratch': writable('/scratch/x')}), flush=True)
def end(*_):
    print('asked to end', flush=True)
    sys.exit(0)
signal.signal(signal.SIGTERM, end)
while True:
    time.sleep(0.05)
"""
NET_ADMIN, NET_RAW = 12, 13


def template(user=None):
    context = {"allowPrivilegeEscalation": False, "readOnlyRootFilesystem": True,
               "capabilities": {"drop": ["ALL"], "add": ["NET_ADMIN", "NET_RAW"]}}
    if user is not None:
        context.update(runAsUser=user, runAsGroup=user, runAsNonRoot=True)
    return {"metadata": {"labels": {"app": "tells"}, "annotations": {"note": "a note"}}, "spec": {
        "hostNetwork": True, "terminationGracePeriodSeconds": 5, "serviceAccountName": "teller", "automountServiceAccountToken": False,
        "containers": [{
            "name": "tells", "image": "registry.example/pause:1", "command": ["/usr/bin/python3", "-c", TELL],
            "args": ["--node=$(NODE_NAME)", "--literal=$$(NODE_NAME)"],
            "env": [{"name": "NODE_NAME", "valueFrom": {"fieldRef": {"fieldPath": "spec.nodeName"}}},
                    {"name": "NOTE", "valueFrom": {"fieldRef": {"fieldPath": "metadata.annotations['note']"}}},
                    {"name": "HOST_IP", "valueFrom": {"fieldRef": {"fieldPath": "status.hostIP"}}},
                    {"name": "FROM_MAP", "valueFrom": {"configMapKeyRef": {"name": "told", "key": "text"}}}],
            "securityContext": context,
            "volumeMounts": [{"name": "told", "mountPath": "/etc/told", "readOnly": True},
                             {"name": "token", "mountPath": "/var/run/secrets/tokens", "readOnly": True},
                             {"name": "state", "mountPath": "/state"}, {"name": "scratch", "mountPath": "/scratch"}]}],
        "volumes": [{"name": "told", "configMap": {"name": "told"}}, {"name": "scratch", "emptyDir": {}},
                    {"name": "state", "hostPath": {"path": "/var/lib/teller", "type": "DirectoryOrCreate"}},
                    {"name": "token", "projected": {"sources": [{"serviceAccountToken": {
                        "path": "berth", "audience": "berth", "expirationSeconds": 600}}]}}]}}


class PodTest(KubeTest):
    def start(self, node, user=None):
        self.cluster.api.create(core("serviceaccounts", self.namespace), {"metadata": {"name": "teller"}})
        self.cluster.api.create(core("configmaps", self.namespace), {"metadata": {"name": "told"}, "data": {"text": "from a map"}})
        pod = self.cluster.run_like_pod(template(user), node, "tells", self.namespace)
        return pod, self.told(pod)

    @staticmethod
    def told(pod):
        line = wait_for("what it tells", lambda: next((ln for ln in pod.log().splitlines()[::-1] if ln.startswith("{")), None), 10)
        return json.loads(line)


class Template(PodTest):
    """A program has the arguments, environment, files and rights that its Pod template says, and no more"""

    def test(self):
        node = self.cluster.nodes[1]
        pod, told = self.start(node)
        self.assertEqual(told["argv"], ["--node=node2", "--literal=$(NODE_NAME)"])
        env = told["env"]
        self.assertEqual((env["NODE_NAME"], env["NOTE"], env["HOST_IP"], env["FROM_MAP"]), ("node2", "a note", node.address, "from a map"))
        self.assertNotIn("HOME", env)
        rights = f"{1 << NET_ADMIN | 1 << NET_RAW:016x}"
        self.assertEqual((told["effective"], told["bounding"], told["nnp"], told["uid"]), (rights, rights, "1", 0))
        self.assertEqual(told["files"]["/etc/told/text"], "from a map")
        self.assertEqual((told["root"], told["state"], told["scratch"]), (False, True, True))
        self.assertTrue(os.path.exists(node.host_path("/var/lib/teller/x")))
        self.assertEqual(os.readlink(f"/proc/{pod.pid}/ns/net"), node.exec("readlink", "/proc/self/ns/net").stdout.strip())


class OtherUser(PodTest):
    """A program of another user has no capability, and its token is readable for it alone"""

    def test(self):
        pod, told = self.start(self.cluster.nodes[0], user=65532)
        self.assertEqual((told["uid"], told["gid"], told["effective"]), (65532, 65532, "0" * 16))
        self.assertIn("/var/run/secrets/tokens/berth", told["files"])
        mode = os.stat(os.path.join(pod.volumes.path("token"), "berth"))
        self.assertEqual((mode.st_uid, mode.st_mode & 0o777), (65532, 0o600))


class BoundToken(PodTest):
    """A projected token names pod and node in its review, is refused by the API server, and is replaced when told to"""

    def test(self):
        pod, told = self.start(self.cluster.nodes[2])
        token = told["files"]["/var/run/secrets/tokens/berth"]
        self.assertEqual(self.cluster.plane.api(token=token).raw("GET", "/version")[0], 401)
        status = self._review(token)
        self.assertEqual(status["user"]["username"], f"system:serviceaccount:{self.namespace}:teller")
        extra = status["user"]["extra"]
        self.assertEqual(extra["authentication.kubernetes.io/node-name"], ["node3"])
        self.assertEqual(extra["authentication.kubernetes.io/pod-uid"], [pod.uid])
        pod.rotate_tokens()
        path = os.path.join(pod.volumes.path("token"), "berth")
        wait_for("another token", lambda: self._read(path) != token, 10)
        self.assertTrue(self._review(self._read(path))["authenticated"])

    @staticmethod
    def _read(path):
        with open(path) as f:
            return f.read()

    def _review(self, token):
        return self.cluster.api.create(resource("authentication.k8s.io/v1", "tokenreviews"),
                                       {"spec": {"token": token, "audiences": ["berth"]}})["status"]


class Refreshed(PodTest):
    """A changed ConfigMap reaches the files of a running program, through its mount"""

    def test(self):
        pod, _ = self.start(self.cluster.nodes[0])
        self.cluster.kubectl("patch", "cm", "told", "-n", self.namespace, "-p", '{"data":{"text":"changed"}}')
        seen = f"/proc/{pod.pid}/root/etc/told/text"

        def text():
            with open(seen) as f:
                return f.read()
        wait_for("the change", lambda: text() == "changed", 10)


class Restarted(PodTest):
    """A killed program is started again and counted; held, it stays down; a deleted Pod's program is asked to end"""

    def test(self):
        pod, _ = self.start(self.cluster.nodes[0])
        first = pod.pid
        pod.kill()
        wait_for("a new program", lambda: pod.log().count('"argv"') == 2, 20)
        self.assertNotEqual(pod.pid, first)
        path = core("pods", self.namespace, "tells")
        wait_for("the count", lambda: self.cluster.api.get(path)["status"]["containerStatuses"][0]["restartCount"] == 1, 10)
        pod.kill(hold=True)
        wait_for("the status", lambda: self.cluster.api.get(path)["status"]["containerStatuses"][0]["ready"] is False, 10)
        self.assertFalse(pod.ready)
        pod.release()
        wait_for("its return", lambda: pod.ready, 10)
        log = pod.container().log
        wait_for("it runs", lambda: pod.log().count('"argv"') == 3, 20)
        self.cluster.kubectl("delete", "pod", "tells", "-n", self.namespace)
        self.assertTrue(pod.gone.wait(10))
        with open(log) as f:
            self.assertIn("asked to end", f.read())


class ImageRoot(KubeTest):
    """A container can run from an image's root file system, which it can't change for others"""

    def test(self):
        root = os.path.join(self.cluster.folder, "image")
        os.makedirs(root, exist_ok=True)
        with open(os.path.join(root, "marker"), "w") as f:
            f.write("from the image")
        self.cluster.kubelet.images["small"] = Image(["/kubectl"], {"/kubectl": program("kubectl")}, root)
        self.cluster.api.create(core("pods", self.namespace), {"metadata": {"name": "small"}, "spec": {
            "restartPolicy": "Never", "containers": [{
                "name": "c", "image": "registry.example/small@sha256:0", "args": [
                    "create", "configmap", "x", "--dry-run=client", "-o", "yaml", "--from-file=/marker", "--from-file=/etc/hostname"]}]}})
        self.cluster.kubectl("wait", "pod/small", "-n", self.namespace, "--for=jsonpath={.status.phase}=Succeeded", "--timeout=30s")
        pod = next(p for p in self.cluster.pods(self.namespace) if p.name == "small")
        self.assertIn("marker: from the image", pod.log())
        self.assertIn("small", pod.log().split("hostname:")[1])
        self.assertEqual(os.listdir(root), ["marker"])


class Exec(PodTest):
    """What is run beside a program sees its files and is its user"""

    def test(self):
        pod, _ = self.start(self.cluster.nodes[0], user=65532)
        self.assertEqual(pod.exec("id", "-u").stdout.strip(), "65532")
        self.assertEqual(pod.exec("cat", "/etc/told/text").stdout, "from a map")
        # The node's, for it is on its network.
        self.assertEqual(pod.exec("uname", "-n").stdout.strip(), "node1")


class Logs(KubeTest):
    """kubectl logs shows what a program said, its end alone when asked, and follows it to its end"""

    def test(self):
        self.cluster.kubectl("create", "job", "says", "-n", self.namespace, "--image=pause", "--", "/usr/bin/sh", "-c",
                             "echo one; echo two; sleep 1; echo three")
        pod = wait_for("its pod", lambda: self.cluster.pods(self.namespace), 30)[0]
        wait_for("its first words", lambda: "two" in pod.log(), 30)
        self.assertEqual(self.cluster.kubectl("logs", "-f", pod.name, "-n", self.namespace), "one\ntwo\nthree\n")
        self.assertEqual(self.cluster.kubectl("logs", "job/says", "--tail=1", "-n", self.namespace), "three\n")


class FrozenPod(KubeTest):
    """A frozen program's pod is taken out of its Service, and is back once it thaws"""

    def test(self):
        pod = self.cluster.web("web", replicas=1, namespace=self.namespace)[0]
        pod.container().spec["readinessProbe"]["periodSeconds"] = 1
        pod.freeze()
        wait_for("the status", lambda: self._ready(pod) == "False", 30)
        pod.thaw()
        wait_for("the status", lambda: self._ready(pod) == "True", 30)

    def _ready(self, pod):
        said = self.cluster.api.get(core("pods", self.namespace, pod.name))["status"]["conditions"]
        return next(c["status"] for c in said if c["type"] == "Ready")


class Cordoned(KubeTest):
    """Pods wait while every node is cordoned, and run on the one that is opened again"""

    def test(self):
        names = [node.name for node in self.cluster.nodes]
        self.addCleanup(self.cluster.kubectl, "uncordon", *names)
        self.cluster.kubectl("cordon", *names)
        self.cluster.kubectl("create", "deployment", "waits", "-n", self.namespace, "--image=pause", "--replicas=2")
        wait_for("pods", lambda: len(self._pods()) == 2, 20)
        self.assertEqual([pod["spec"].get("nodeName") for pod in self._pods()], [None, None])
        self.cluster.kubectl("uncordon", "node2")
        pods = self.cluster.wait_pods(2, self.namespace, app="waits")
        self.assertEqual([pod.node.name for pod in pods], ["node2", "node2"])

    def _pods(self):
        return self.cluster.api.items(core("pods", self.namespace))


class ManyNodes(KubeTest):
    """A DaemonSet runs on each node, follows a change of its template, and a Job's end is told"""

    def test(self):
        labels = {"app": "each"}
        self.cluster.apply({"apiVersion": "apps/v1", "kind": "DaemonSet", "metadata": {"name": "each", "namespace": self.namespace},
                            "spec": {"selector": {"matchLabels": labels}, "template": {"metadata": {"labels": labels}, "spec": {
                                "terminationGracePeriodSeconds": 1, "containers": [{"name": "c", "image": "pause"}]}},
                                "updateStrategy": {"rollingUpdate": {"maxSurge": 1, "maxUnavailable": 0}}}})
        pods = self.cluster.wait_pods(3, self.namespace, app="each")
        self.assertEqual({pod.node.name for pod in pods}, {"node1", "node2", "node3"})
        self.cluster.kubectl("-n", self.namespace, "set", "env", "ds/each", "CHANGED=yes")
        self.cluster.kubectl("-n", self.namespace, "rollout", "status", "ds/each", "--timeout=60s")
        self.assertFalse({pod.uid for pod in pods} & {pod.uid for pod in self.cluster.pods(self.namespace, app="each")})
        self.cluster.kubectl("-n", self.namespace, "create", "job", "once", "--image=pause", "--", "/usr/bin/true")
        self.cluster.kubectl("-n", self.namespace, "wait", "--for=condition=complete", "job/once", "--timeout=60s")


if __name__ == "__main__":
    main()
