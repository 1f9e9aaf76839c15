# SPDX-License-Identifier: Apache-2.0
"""What a container of a Pod is run with, as kubelet would work it out: environment, arguments, user, capabilities."""
import base64
import re

from kube_api import core
from kube_container import CAPABILITIES, DEFAULT_CAPABILITIES


class NotYet(Exception):
    """Something the Pod refers to is not there yet; kubelet would wait for it."""


def field(pod, path, node_address):
    """A downward API field: metadata.name, metadata.labels['app'], status.podIP, ..."""
    keyed = re.fullmatch(r"metadata\.(labels|annotations)\['(.+)'\]", path)
    if keyed:
        return pod["metadata"].get(keyed[1], {}).get(keyed[2], "")
    if path in ("metadata.labels", "metadata.annotations"):
        return "\n".join(f'{key}="{value}"' for key, value in sorted(pod["metadata"].get(path[9:], {}).items()))
    values = {
        "metadata.name": pod["metadata"]["name"], "metadata.namespace": pod["metadata"]["namespace"],
        "metadata.uid": pod["metadata"]["uid"], "spec.nodeName": pod["spec"]["nodeName"],
        "spec.serviceAccountName": pod["spec"].get("serviceAccountName", "default"),
        "status.hostIP": node_address, "status.hostIPs": node_address,
        "status.podIP": pod["status"].get("podIP", ""), "status.podIPs": pod["status"].get("podIP", ""),
    }
    return values[path]


def referred(api, namespace, kind, name, optional):
    """The data of a ConfigMap ("configmaps") or Secret ("secrets") as bytes by key."""
    found = api.find(core(kind, namespace, name))
    if found is None:
        if optional:
            return {}
        raise NotYet(f"{kind} {namespace}/{name}")
    if kind == "secrets":
        return {key: base64.b64decode(value) for key, value in found.get("data", {}).items()}
    return {**{key: value.encode() for key, value in found.get("data", {}).items()},
            **{key: base64.b64decode(value) for key, value in found.get("binaryData", {}).items()}}


def environment(api, pod, container, node_address, given):
    """Variables in the order kubelet sets them; `given` are those of the cluster's Services."""
    namespace = pod["metadata"]["namespace"]
    env = dict(given)
    for source in container.get("envFrom", []):
        for kind, reference in (("configmaps", source.get("configMapRef")), ("secrets", source.get("secretRef"))):
            if reference:
                data = referred(api, namespace, kind, reference["name"], reference.get("optional"))
                env.update({source.get("prefix", "") + key: value.decode() for key, value in data.items()})
    for variable in container.get("env", []):
        source = variable.get("valueFrom")
        if not source:
            env[variable["name"]] = expand(variable.get("value", ""), env)
        elif "fieldRef" in source:
            env[variable["name"]] = field(pod, source["fieldRef"]["fieldPath"], node_address)
        elif "resourceFieldRef" in source:
            what = source["resourceFieldRef"]["resource"].split(".")
            env[variable["name"]] = str(container.get("resources", {}).get(what[0], {}).get(what[1], "0"))
        else:
            kind = "configmaps" if "configMapKeyRef" in source else "secrets"
            reference = source.get("configMapKeyRef") or source["secretKeyRef"]
            data = referred(api, namespace, kind, reference["name"], reference.get("optional"))
            if reference["key"] in data:
                env[variable["name"]] = data[reference["key"]].decode()
            elif not reference.get("optional"):
                raise NotYet(f"key {reference['key']} of {kind} {reference['name']}")
    return env


def expand(text, env):
    """$(NAME) becomes the variable's value, $$(NAME) stays $(NAME); an unknown name stays as it is."""
    return re.sub(r"\$\$|\$\(([\w.-]+)\)",
                  lambda m: "$" if m[1] is None else env.get(m[1], m[0]), text)


def command(container, entrypoint, env):
    """The argument vector; `entrypoint` is the image's, which the container's `command` replaces."""
    return [expand(word, env) for word in [*(container.get("command") or entrypoint), *container.get("args", [])]]


def security(pod, container):
    """uid, gid, groups, capabilities, no_new_privileges and read_only_root, of both security contexts."""
    of_pod, of_container = pod["spec"].get("securityContext", {}), container.get("securityContext", {})
    both = {**of_pod, **of_container}
    uid = both.get("runAsUser", 0)
    if both.get("runAsNonRoot") and uid == 0:
        raise ValueError(f"container {container['name']} has runAsNonRoot and no runAsUser other than 0")
    asked = of_container.get("capabilities", {})
    dropped = {_capability(name) for name in asked.get("drop", [])}
    kept = set() if "ALL" in dropped else set(DEFAULT_CAPABILITIES) - dropped
    for name in map(_capability, asked.get("add", [])):
        kept |= set(CAPABILITIES) if name == "ALL" else {name}
    if of_container.get("privileged"):
        kept = set(CAPABILITIES)
    groups = [*of_pod.get("supplementalGroups", []), *([of_pod["fsGroup"]] if "fsGroup" in of_pod else [])]
    gid = both.get("runAsGroup", 0)
    return {"uid": uid, "gid": gid, "groups": groups or [gid], "capabilities": sorted(kept),
            "no_new_privileges": of_container.get("allowPrivilegeEscalation") is False,
            "read_only_root": bool(of_container.get("readOnlyRootFilesystem"))}


def _capability(name):
    return name.upper().removeprefix("CAP_")
