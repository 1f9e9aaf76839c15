# SPDX-License-Identifier: Apache-2.0
"""One Pod on a node: its programs run as kubelet and a container runtime would run them."""
import contextlib
import datetime
import http.client
import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import threading
import time

import kube_container
import kube_spec
from kube_api import ApiError, STRATEGIC, core
from kube_spec import NotYet
from kube_volumes import Volumes
from netns import _end_with_parent, freeze, run, thaw

_LAUNCHER = os.path.join(os.path.dirname(os.path.abspath(__file__)), "kube_container.py")
_TICK = 0.05  # seconds between looks at a Pod's programs
_REFRESH = 1.0  # seconds between looks at what its volumes are made of


def now():
    return datetime.datetime.now(datetime.timezone.utc).strftime("%Y-%m-%dT%H:%M:%SZ")


class Container:
    """A container of a Pod; `process` is its program, whose pid is the program's own."""

    def __init__(self, pod, spec):
        self.pod, self.spec, self.name = pod, spec, spec["name"]
        self.log = os.path.join(pod.kubelet.folder, f"pod-{pod.namespace}-{pod.name}-{self.name}.log")
        self.process, self.restarts, self.started_at, self.exit_code = None, 0, None, None
        self._back_off = 0
        self.ready = False
        self.held = False  # not started again until that is taken back
        self.probed = True  # false: liveness no longer ends it, for as long as a test has frozen it
        self._failures, self._next_probe, self._next_start = {}, {}, 0.0
        self.image = pod.kubelet.image(spec["image"])

    def start(self):
        pod = self.pod
        env = kube_spec.environment(pod.kubelet.api, pod.object, self.spec, pod.node.address, pod.kubelet.service_environment())
        env.update(pod.kubelet.extra_env.get(self.name, {}))
        env.update(pod.kubelet.extra_env.get(pod.name, {}))
        argv = pod.kubelet.place_of(kube_spec.command(self.spec, self.image.entrypoint, env), self.image)
        place = os.path.join(pod.folder, f"root-{self.name}")
        os.makedirs(place, exist_ok=True)
        mounts = [{"source": self._source(mount), "target": mount["mountPath"], "read_only": bool(mount.get("readOnly"))}
                  for mount in self.spec.get("volumeMounts", [])]
        etc = pod.kubelet.etc_of(pod)
        spec = {"place": place, "image_root": self.image.root, "programs": pod.kubelet.programs,
                "mounts": mounts + [{"source": source, "target": target, "read_only": True}
                                    for target, source in self.image.files.items()],
                "etc": etc, "argv": argv, "env": {"HOSTNAME": etc["hostname"].strip(), **env},
                "folder": self.spec.get("workingDir"), **kube_spec.security(pod.object, self.spec)}
        path = os.path.join(pod.folder, f"{self.name}.json")
        with open(path, "w") as f:
            json.dump(spec, f)
        with open(self.log, "ab") as log:
            self.process = subprocess.Popen(
                ["ip", "netns", "exec", pod.space.ns, sys.executable, "-I", "-S", _LAUNCHER, path], stdin=subprocess.DEVNULL,
                stdout=log, stderr=subprocess.STDOUT, process_group=0, preexec_fn=_end_with_parent)
        self.started_at, self.exit_code = now(), None
        self.began, self._started, self._kill_at = time.monotonic(), False, None
        self._failures, self._next_probe = {}, {}
        pod.kubelet.lab.processes.append(self.process)

    def _source(self, mount):
        path = self.pod.volumes.path(mount["name"])
        return os.path.realpath(os.path.join(path, mount["subPath"])) if mount.get("subPath") else path

    @property
    def running(self):
        return self.process is not None and self.process.poll() is None

    def send(self, number):
        if self.running:
            os.kill(self.process.pid, number)

    # ---- what the Pod's thread does ---------------------------------------------------------------------------------
    def tick(self):
        """Starts, notices ends, probes. True when something changed that the status tells."""
        if self.running:
            if self._kill_at and time.monotonic() > self._kill_at:
                self.send(signal.SIGKILL)
            return self._probe()
        if self.process is not None and self.exit_code is None:
            self.exit_code, self.ready = self.process.returncode, False
            # At once after the first end, then later each time, until it has run for a while; kubelet's own steps are longer.
            now = time.monotonic()
            delay = self._back_off if now - self.began < 10 else 0
            self._next_start, self._back_off = now + delay, min(5.0, delay + 0.5)
            return True
        again = self.pod.restart_policy == "Always" or (self.pod.restart_policy == "OnFailure" and self.exit_code != 0)
        if self.process is not None and (not again or self.held or time.monotonic() < self._next_start):
            return False
        self.restarts += self.process is not None
        self.start()
        return True

    def _probe(self):
        before = self.ready
        if self.spec.get("startupProbe") and not self._started:
            self._started = self._due("startup") and self._passed("startup")
            if not self._started:
                return False
        if not self.spec.get("readinessProbe"):
            self.ready = True
        elif self._due("readiness"):
            self._passed("readiness")
            failures = self._failures["readiness"]
            if failures == 0:
                self.ready = True
            elif failures >= self.spec["readinessProbe"].get("failureThreshold", 3) or not before:
                self.ready = False
        if self.probed and not self._kill_at and self._due("liveness") and not self._passed("liveness"):
            if self._failures["liveness"] >= self.spec["livenessProbe"].get("failureThreshold", 3):
                self.pod.kubelet.say(f"{self.pod.name}/{self.name}: liveness probe failed, killing it")
                self._kill_at = time.monotonic() + self.pod.grace
                self.send(signal.SIGTERM)
        return before != self.ready

    def _due(self, kind):
        probe = self.spec.get(f"{kind}Probe")
        if not probe:
            return False
        return time.monotonic() >= self._next_probe.get(kind, self.began + probe.get("initialDelaySeconds", 0))

    def _passed(self, kind):
        probe = self.spec[f"{kind}Probe"]
        good = self._ask(probe)
        self._failures[kind] = 0 if good else self._failures.get(kind, 0) + 1
        # A test need not wait for a whole period until a program that just comes up is seen to be ready.
        period = 0.1 if kind != "liveness" and not self.ready else probe.get("periodSeconds", 10)
        self._next_probe[kind] = time.monotonic() + period
        return good

    def _ask(self, probe):
        timeout = probe.get("timeoutSeconds", 1)
        way = probe.get("httpGet") or probe.get("tcpSocket")
        if not way:
            raise ValueError(f"container {self.name}: only httpGet and tcpSocket probes are known here")
        host, port = way.get("host", self.pod.space.address), self._port(way["port"])
        try:
            with self.pod.node.inside():
                connection = socket.create_connection((host, port), timeout)
        except OSError:
            return False
        with connection:
            if "tcpSocket" in probe:
                return True
            try:
                client = http.client.HTTPConnection(host, port, timeout=timeout)
                client.sock = connection
                client.request("GET", way.get("path", "/"))
                return 200 <= client.getresponse().status < 400
            except (OSError, http.client.HTTPException):
                return False

    def _port(self, port):
        return port if isinstance(port, int) else next(p["containerPort"] for p in self.spec["ports"] if p["name"] == port)

    def status(self):
        if self.running:
            state = {"running": {"startedAt": self.started_at}}
        elif self.process is None:
            state = {"waiting": {"reason": "ContainerCreating"}}
        else:
            code = self.exit_code if self.exit_code is not None else self.process.returncode
            state = {"terminated": {"exitCode": code if code >= 0 else 128 - code, "startedAt": self.started_at, "finishedAt": now(),
                                    "reason": "Completed" if code == 0 else "Error"}}
        return {"name": self.name, "image": self.spec["image"], "imageID": self.spec["image"], "ready": self.ready and self.running,
                "started": self.running, "restartCount": self.restarts, "state": state,
                "containerID": f"tests://{self.process.pid}" if self.process else ""}


class RunningPod:
    """A Pod that kubelet runs, in a thread of its own. Public: what tests ask for."""

    def __init__(self, kubelet, pod, node):
        self.kubelet, self.object, self.node = kubelet, pod, node
        self.name, self.namespace, self.uid = (pod["metadata"][key] for key in ("name", "namespace", "uid"))
        self.folder = os.path.join(kubelet.folder, "pods", self.uid)
        self.grace = pod["spec"].get("terminationGracePeriodSeconds", 30)
        self.restart_policy = pod["spec"].get("restartPolicy", "Always")
        self.space = node.new_space(bool(pod["spec"].get("hostNetwork")))
        self.object.setdefault("status", {})["podIP"] = self.space.address
        specs = pod["spec"]["containers"]
        users = {kube_spec.security(pod, container)["uid"] for container in specs}
        self.volumes = Volumes(kubelet.api, pod, node, os.path.join(self.folder, "volumes"), users.pop() if len(users) == 1 else None)
        self.init = [Container(self, spec) for spec in pod["spec"].get("initContainers", [])]
        self.containers = [Container(self, spec) for spec in specs]
        self.deleted_at = self.reason = None  # monotonic time of the end of its grace period; why it does not run yet
        self.new_tokens = False
        self.tell_again = False  # its status has been changed by someone else
        self.gone = threading.Event()
        self.thread = threading.Thread(target=self._run, name=f"pod-{self.name}", daemon=True)
        self.thread.start()

    # ---- for tests --------------------------------------------------------------------------------------------------
    @property
    def address(self):
        return self.space.address

    def container(self, name=None):
        return self.containers[0] if name is None else next(c for c in self.containers if c.name == name)

    @property
    def pid(self):
        return self.container().process.pid

    @property
    def ready(self):
        return all(container.ready and container.running for container in self.containers)

    def log(self, name=None):
        with contextlib.suppress(FileNotFoundError), open(self.container(name).log, errors="replace") as log:
            return log.read()
        return ""

    def exec(self, *argv, name=None, check=True):
        """Runs a program beside a container's, in its root file system, network and user, as `kubectl exec` would."""
        container = self.container(name)
        who = kube_spec.security(self.object, container.spec)
        return run("nsenter", f"--target={container.process.pid}", "--mount", "--net", "--uts", "--root", "--wd",
                   f"--setgid={who['gid']}", f"--setuid={who['uid']}", *argv, check=check,
                   env={"PATH": kube_container.PATH})

    def send(self, number, name=None):
        self.container(name).send(number)

    def kill(self, number=signal.SIGKILL, name=None, hold=False):
        """Ends a program and waits for its end; kubelet starts it again, unless it is held until release()."""
        container = self.container(name)
        container.held = hold
        process = container.process
        os.kill(process.pid, number)
        process.wait(60)

    def release(self, name=None):
        self.container(name).held = False

    def freeze(self, name=None):
        """Its program stands still, and liveness does not end it for that, until thaw()."""
        self.container(name).probed = False
        freeze(self.container(name).process.pid)

    def thaw(self, name=None):
        thaw(self.container(name).process.pid)
        self.container(name).probed = True

    def rotate_tokens(self):
        """Writes new tokens into its volumes, as kubelet does when they have used up most of their life."""
        self.new_tokens = True

    # ---- its thread -------------------------------------------------------------------------------------------------
    def _run(self):
        refresh = 0.0
        made = dirty = False
        while not self.kubelet.closing.is_set():
            try:
                if self.deleted_at is not None:
                    self._end()
                    return
                if not made:
                    self.volumes.make()
                    made = dirty = True
                # First, for what follows may wait in vain for an API server.
                dirty = self._tick() or self.tell_again or dirty
                self.tell_again = False
                if dirty:
                    self._push_status()
                    dirty = False
                if self.new_tokens or time.monotonic() > refresh:
                    refresh = time.monotonic() + _REFRESH
                    self.volumes.refresh(self.new_tokens)
                    self.new_tokens = False
                self.reason = None
            except (NotYet, ValueError) as error:
                self._wait_because(str(error))
            except (ApiError, OSError) as error:
                # The API server is away, or the Pod is gone and the deletion will be told.
                self._wait_because(str(error), quiet=True)
            self.kubelet.closing.wait(_TICK)

    def _wait_because(self, reason, quiet=False):
        if self.reason != reason and not quiet:
            self.kubelet.say(f"{self.namespace}/{self.name} waits: {reason}")
        self.reason = reason
        self.kubelet.closing.wait(0.2)

    def _tick(self):
        for container in self.init:
            if container.exit_code != 0:
                return container.tick()
        return any([container.tick() for container in self.containers])

    def phase(self):
        if any(container.running or container.process is None for container in self.containers) or self.restart_policy == "Always":
            return "Running" if any(container.process for container in self.containers) else "Pending"
        good = all(container.exit_code == 0 for container in self.containers)
        return "Succeeded" if good else "Running" if self.restart_policy == "OnFailure" else "Failed"

    def _push_status(self):
        phase = self.phase()
        initialized = all(container.exit_code == 0 for container in self.init)
        truth = {"PodScheduled": True, "Initialized": initialized, "ContainersReady": self.ready, "Ready": self.ready}
        known = {c["type"]: c for c in self.object["status"].get("conditions", [])}
        conditions = []
        for kind, value in truth.items():
            old = known.get(kind, {})
            changed = old.get("lastTransitionTime") if old.get("status") == str(value) else now()
            conditions.append({"type": kind, "status": str(value), "lastTransitionTime": changed,
                               **({"reason": "PodCompleted"} if phase == "Succeeded" and not value else {})})
        self.object["status"]["conditions"] = conditions
        status = {"phase": phase, "podIP": self.address, "podIPs": [{"ip": self.address}], "hostIP": self.node.address,
                  "hostIPs": [{"ip": self.node.address}], "conditions": conditions,
                  "startTime": self.object["status"].setdefault("startTime", now()),
                  "initContainerStatuses": [container.status() for container in self.init],
                  "containerStatuses": [container.status() for container in self.containers]}
        self.kubelet.api.patch(core("pods", self.namespace, self.name, "status"),
                               {"metadata": {"uid": self.uid}, "status": status}, STRATEGIC)

    def _end(self):
        """SIGTERM, the grace period, SIGKILL; then the Pod object goes."""
        everyone = [container for container in [*self.init, *self.containers] if container.running]
        for container in everyone:
            container.send(signal.SIGTERM)
        while any(container.running for container in everyone) and time.monotonic() < self.deleted_at:
            self.kubelet.closing.wait(_TICK / 2)
        for container in everyone:
            container.send(signal.SIGKILL)
            container.process.wait(30)
        self.space.close()
        shutil.rmtree(self.folder, ignore_errors=True)
        while not self.kubelet.closing.is_set():
            try:
                self.kubelet.api.delete(core("pods", self.namespace, self.name),
                                        {"gracePeriodSeconds": 0, "preconditions": {"uid": self.uid}})
                break
            except ApiError as error:
                if error.code in (404, 409):
                    break
            except OSError:
                pass
            self.kubelet.closing.wait(0.2)
        self.gone.set()
