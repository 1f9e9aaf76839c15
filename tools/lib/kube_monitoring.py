# SPDX-License-Identifier: Apache-2.0
"""The CRDs of the Prometheus operator, from its Go module, for tests; fetched once and kept beside the programs of kube_tools."""
import json
import os
import shutil
import subprocess

import kube_tools

_MODULE = "github.com/prometheus-operator/prometheus-operator"
_FOLDER = os.path.join(kube_tools.MODULES, "monitoring")


def crd(name="podmonitors"):
    """Path of one CRD's manifest."""
    target = os.path.join(kube_tools.folder(), f"{name}.yaml")
    if not os.path.exists(target):
        go, environment = kube_tools._go(print)
        done = subprocess.run([go, "mod", "download", "-json", _MODULE], cwd=_FOLDER, capture_output=True, text=True,
                              env={**environment, "GOTOOLCHAIN": "local", "GOWORK": "off", "GOFLAGS": "-mod=readonly"})
        if done.returncode != 0:
            raise RuntimeError(f"cannot get {_MODULE}: {done.stdout}{done.stderr}")
        source = os.path.join(json.loads(done.stdout)["Dir"], f"example/prometheus-operator-crd/monitoring.coreos.com_{name}.yaml")
        part = f"{target}.{os.getpid()}"
        shutil.copyfile(source, part)
        os.rename(part, target)
    return target
