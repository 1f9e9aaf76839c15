# SPDX-License-Identifier: Apache-2.0
"""The cluster's DNS: A records of Services, as CoreDNS answers them. Keeps its last answer while the API server is away."""
import ipaddress
import socket
import struct
import threading

from kube_api import ApiError, core, resource

_ZONE = ".svc.cluster.local"
_A, _NXDOMAIN = 1, 3
_TTL = 1  # seconds


class Dns:
    def __init__(self, host, api):
        self._api, self._known, self._closing = api, {}, False
        self.address = host.address
        self._socket = host.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self._socket.bind((host.address, 53))
        self._thread = threading.Thread(target=self._serve, daemon=True)
        self._thread.start()

    def close(self):
        self._closing = True
        try:
            self._socket.shutdown(socket.SHUT_RDWR)
        except OSError:
            pass
        self._thread.join(5)
        self._socket.close()

    def _serve(self):
        while True:
            try:
                query, sender = self._socket.recvfrom(512)
            except OSError:
                return
            if self._closing or not query:
                return
            try:
                self._socket.sendto(self._answer(query), sender)
            except (OSError, IndexError, struct.error, UnicodeDecodeError):
                continue

    def _answer(self, query):
        name, end = _name(query, 12)
        kind = struct.unpack("!H", query[end:end + 2])[0]
        question = query[12:end + 4]
        found = self.addresses(name)
        code = 0 if found is not None else _NXDOMAIN
        records = [b"\xc0\x0c" + struct.pack("!HHIH", _A, 1, _TTL, 4) + ipaddress.ip_address(address).packed
                   for address in (found or []) if kind == _A and ":" not in address]
        return (query[:2] + struct.pack("!HHHHH", 0x8580 | code, 1, len(records), 0, 0) + question + b"".join(records))

    def addresses(self, name):
        """The addresses of a name; None when there is none of that name."""
        name = name.rstrip(".").lower()
        if not name.endswith(_ZONE) or name[:-len(_ZONE)].count(".") != 1:
            return None
        service, namespace = name[:-len(_ZONE)].split(".")
        try:
            self._known[name] = self._look_up(service, namespace)
        except (OSError, ApiError):
            pass
        return self._known.get(name)

    def _look_up(self, service, namespace):
        found = self._api.find(core("services", namespace, service))
        if found is None:
            return None
        if found["spec"].get("clusterIP") != "None":
            return [found["spec"]["clusterIP"]]
        # The slice controller says ready for all endpoints of a Service that publishes those that are not.
        slices = self._api.items(resource("discovery.k8s.io/v1", "endpointslices", namespace)
                                 + f"?labelSelector=kubernetes.io/service-name%3D{service}")
        return sorted({address for one in slices for endpoint in one.get("endpoints") or []
                       if endpoint.get("conditions", {}).get("ready", True) for address in endpoint["addresses"]})


def _name(message, at):
    labels = []
    while message[at]:
        labels.append(message[at + 1:at + 1 + message[at]].decode("ascii"))
        at += 1 + message[at]
    return ".".join(labels), at + 1
