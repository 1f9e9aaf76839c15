# SPDX-License-Identifier: Apache-2.0
"""The volumes of a Pod as folders on this machine, kept up to date as kubelet keeps them."""
import os
import shutil
import time

from kube_api import core
from kube_spec import NotYet, field, referred


def token_for(api, namespace, account, audiences=(), pod=None, seconds=3600):
    """(token, its end as Unix time) by the TokenRequest API; `pod`, the Pod object, binds it to Pod and node."""
    spec = {"audiences": list(audiences), "expirationSeconds": seconds}
    if pod:
        spec["boundObjectRef"] = {"apiVersion": "v1", "kind": "Pod", "name": pod["metadata"]["name"], "uid": pod["metadata"]["uid"]}
    answer = api.create(core("serviceaccounts", namespace, account, "token"),
                        {"apiVersion": "authentication.k8s.io/v1", "kind": "TokenRequest", "spec": spec})
    return answer["status"]["token"], time.time() + seconds


class Volumes:
    """make() once, and again until it does not raise NotYet; refresh() now and then. `owner`: uid of all the containers, or None."""

    def __init__(self, api, pod, node, folder, owner):
        self.api, self.pod, self.node, self.folder, self.owner = api, pod, node, folder, owner
        self.group = pod["spec"].get("securityContext", {}).get("fsGroup")
        self.namespace = pod["metadata"]["namespace"]
        self._written = {}
        self._tokens = {}

    def path(self, name):
        """Where a volume's content is; what is mounted into containers."""
        volume = self._volume(name)
        if "hostPath" in volume:
            return self.node.host_path(volume["hostPath"]["path"])
        return os.path.join(self.folder, name)

    def _volume(self, name):
        return next(volume for volume in self.pod["spec"]["volumes"] if volume["name"] == name)

    def make(self):
        for volume in self.pod["spec"].get("volumes", []):
            path = self.path(volume["name"])
            if "hostPath" in volume:
                self._make_host_path(path, volume["hostPath"].get("type", ""))
            elif "emptyDir" in volume:
                os.makedirs(path, exist_ok=True)
                os.chown(path, 0, self.group or 0)
                os.chmod(path, 0o777 if self.group is None else 0o2777)
            else:
                self._fill(volume)

    @staticmethod
    def _make_host_path(path, kind):
        if kind in ("", "DirectoryOrCreate"):
            os.makedirs(path, exist_ok=True)
        elif kind == "FileOrCreate":
            os.makedirs(os.path.dirname(path), exist_ok=True)
            open(path, "a").close()
        elif not os.path.exists(path):
            raise NotYet(f"hostPath {path} of type {kind}")

    def refresh(self, new_tokens=False):
        """Takes over changed objects, and renews tokens that have used up four fifths of their life, or all."""
        if new_tokens:
            self._tokens.clear()
        for volume in self.pod["spec"].get("volumes", []):
            if not {"hostPath", "emptyDir"} & set(volume):
                self._fill(volume)

    def _fill(self, volume):
        files = {}
        for source, mode in self._sources(volume):
            is_token = "serviceAccountToken" in source
            for path, data in self._files_of(source).items():
                files[path] = (data, *self._access(is_token, mode))
        if self._written.get(volume["name"]) != files:
            self._write(os.path.join(self.folder, volume["name"]), files)
            self._written[volume["name"]] = files

    @staticmethod
    def _sources(volume):
        if "projected" in volume:
            mode = volume["projected"].get("defaultMode", 0o644)
            return [(source, mode) for source in volume["projected"]["sources"]]
        for kind in ("configMap", "secret", "downwardAPI"):
            if kind in volume:
                source = dict(volume[kind])
                if kind == "secret":
                    source["name"] = source.pop("secretName")
                return [({kind: source}, source.get("defaultMode", 0o644))]
        raise ValueError(f"volume {volume['name']}: {set(volume) - {'name'}} is not known here")

    def _files_of(self, source):
        if "serviceAccountToken" in source:
            return {source["serviceAccountToken"]["path"]: self._token(source["serviceAccountToken"])}
        if "downwardAPI" in source:
            return {item["path"]: field(self.pod, item["fieldRef"]["fieldPath"], self.node.address).encode()
                    for item in source["downwardAPI"].get("items", [])}
        kind, reference = ("configmaps", source["configMap"]) if "configMap" in source else ("secrets", source["secret"])
        data = referred(self.api, self.namespace, kind, reference["name"], reference.get("optional"))
        if not reference.get("items"):
            return data
        missing = [item["key"] for item in reference["items"] if item["key"] not in data]
        if missing and not reference.get("optional"):
            raise NotYet(f"keys {missing} of {kind} {reference['name']}")
        return {item["path"]: data[item["key"]] for item in reference["items"] if item["key"] in data}

    def _token(self, projection):
        path, seconds = projection["path"], projection.get("expirationSeconds", 3600)
        token, end = self._tokens.get(path, (None, 0))
        if end - time.time() < seconds / 5:
            audiences = [projection["audience"]] if projection.get("audience") else []
            token, end = token_for(self.api, self.namespace, self.pod["spec"].get("serviceAccountName", "default"), audiences,
                                   self.pod, seconds)
            self._tokens[path] = (token, end)
        return token.encode()

    def _write(self, path, files):
        """As kubelet does: all files change at once, when the link `..data` does."""
        os.makedirs(path, exist_ok=True)
        old = os.path.join(path, os.readlink(f"{path}/..data")) if os.path.islink(f"{path}/..data") else None
        name = f"..{time.time_ns()}"
        for file, (data, mode, owner) in files.items():
            target = os.path.join(path, name, file)
            os.makedirs(os.path.dirname(target), exist_ok=True)
            with open(os.open(target, os.O_WRONLY | os.O_CREAT, 0o600), "wb") as f:
                f.write(data)
            os.chown(target, owner, self.group or 0)
            os.chmod(target, mode)
        os.makedirs(os.path.join(path, name), exist_ok=True)
        os.symlink(name, f"{path}/..data_tmp")
        os.rename(f"{path}/..data_tmp", f"{path}/..data")
        wanted = {file.split("/")[0] for file in files}
        for entry in wanted:
            if not os.path.islink(f"{path}/{entry}"):
                os.symlink(f"..data/{entry}", f"{path}/{entry}")
        for entry in os.listdir(path):
            if not entry.startswith("..") and entry not in wanted:
                os.unlink(f"{path}/{entry}")
        if old:
            shutil.rmtree(old, ignore_errors=True)

    def _access(self, is_token, mode):
        """(mode, owner) of a file: a token is its user's alone where all containers have the same one."""
        if is_token:
            return (0o640, 0) if self.group is not None else (0o600, self.owner) if self.owner is not None else (0o644, 0)
        return (mode | 0o040 if self.group is not None else mode), 0
