# SPDX-License-Identifier: Apache-2.0
"""What the tests of the Helm chart share: it is linted and rendered by the real helm."""
import functools
import json
import os
import subprocess
import sys
import tempfile

import yaml

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
CHART = os.path.join(ROOT, "charts/berth")
NAMESPACE = "openelb-system"
sys.path.insert(0, os.path.join(ROOT, "tools/lib"))

# Everything that is off by default, on; everything that has an alternative, with it.
ALL = {
    "manageUnclassed": True, "loadBalancerClass": "example.com/lb", "sharing": "open", "namespaceBinding": "advisory",
    "ignoreExcludeLabel": True, "heartbeat": "500ms", "agentTimeout": "1.5s", "log": {"level": "debug", "format": "json"},
    "image": {"registry": "registry.example.com/mirror/", "tag": "v1", "pullPolicy": "Always", "pullSecrets": ["pull"]},
    "controller": {"replicas": 3, "image": {"digest": "sha256:" + "0" * 64}, "podAnnotations": {"a": "b"}, "podLabels": {"c": "d"},
                   "affinity": {"nodeAffinity": {}}, "nodeSelector": {"disk": "ssd"}, "tolerations": []},
    "agent": {"vipInterface": "none", "layer2": False, "stateDir": "/srv/berth", "httpPort": 18081, "peerPort": 17445,
              "podAnnotations": {"a": "b"}, "podLabels": {"c": "d"}, "nodeSelector": {"lb": "yes"},
              "tolerations": [{"key": "x", "operator": "Equal", "value": "y", "effect": "NoSchedule"}]},
    "webhook": {"timeoutSeconds": 3},
    "networkPolicy": {"enabled": True, "metricsFrom": [{"namespaceSelector": {"matchLabels": {"monitoring": "yes"}}}]},
    "monitoring": {"podMonitors": {"enabled": True, "interval": "15s", "labels": {"release": "prometheus"}},
                   "services": {"enabled": True, "annotations": {"prometheus.io/scrape": "true"}}},
    "uninstall": {"mode": "keep", "timeoutSeconds": 30, "inTemplate": True},
}
# The default, and the Job that only Helm at work on a cluster renders.
JOB = {"uninstall": {"inTemplate": True}}
# Everything that is on by default, off.
NOTHING = {"crds": {"install": False}, "webhook": {"enabled": False}, "podDisruptionBudget": {"enabled": False},
           "uninstall": {"enabled": False}}


def helm(*arguments, values=None):
    """Runs helm on the chart; returns the finished process."""
    import kube_tools
    with tempfile.NamedTemporaryFile("w", suffix=".json") as file:
        json.dump(values or {}, file)
        file.flush()
        command = [os.environ.get("BERTH_HELM") or kube_tools.program("helm"), *arguments, "-f", file.name]
        return subprocess.run(command, capture_output=True, text=True)


def render(values=None):
    """The chart's objects, hooks included; the caller may change them."""
    return [o for o in yaml.safe_load_all(_rendered(json.dumps(values or {}))) if o]


@functools.lru_cache(maxsize=None)
def _rendered(values):
    done = helm("template", "berth", CHART, "--namespace", NAMESPACE, values=json.loads(values))
    if done.returncode != 0:
        raise RuntimeError(done.stderr)
    return done.stdout


def find(objects, kind, name):
    """The one object of that kind and name."""
    found = [o for o in objects if o["kind"] == kind and o["metadata"]["name"] == name]
    if len(found) != 1:
        raise AssertionError(f"{len(found)} of {kind} {name}")
    return found[0]


def pod_spec(owner):
    return owner["spec"] if owner["kind"] == "Pod" else owner["spec"]["template"]["spec"]


def flags(container):
    """{"--name": "value"}; a flag without value has None."""
    return {a.split("=", 1)[0]: (a.split("=", 1) + [None])[1] for a in container["args"] if a.startswith("--")}
