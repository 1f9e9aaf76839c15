# SPDX-License-Identifier: Apache-2.0
"""A small client of an API server that listens in a network namespace: what kubectl is too slow or too wordy for."""
import http.client
import json
import socket
import ssl
import threading
from urllib.parse import urlencode

from netns import inside_namespace

MERGE = "application/merge-patch+json"
STRATEGIC = "application/strategic-merge-patch+json"


class ApiError(Exception):
    """An answer other than 2xx: `code`, and `status`, the Status object or text that came."""

    def __init__(self, method, path, code, body):
        try:
            self.status = json.loads(body)
        except ValueError:
            self.status = {"message": body.decode(errors="replace")}
        self.code = code
        super().__init__(f"{method} {path}: {code} {self.status.get('message', '')}")


class _Connection(http.client.HTTPSConnection):
    """Its socket is made in the namespace."""

    def __init__(self, namespace, *args, **kwargs):
        super().__init__(*args, **kwargs)
        self._namespace = namespace

    def connect(self):
        with inside_namespace(self._namespace):
            super(http.client.HTTPSConnection, self).connect()
        self.sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.sock = self._context.wrap_socket(self.sock, server_hostname=self.host)


class Api:
    """Requests as one user. Every thread has a connection of its own, so one object serves all."""

    def __init__(self, namespace, address, ca, token=None, certificate=None, port=6443, timeout=30):
        self.namespace, self.address, self.port, self.timeout, self.token = namespace, address, port, timeout, token
        self._tls = ssl.create_default_context(cafile=ca)
        if certificate:
            self._tls.load_cert_chain(f"{certificate}.crt", f"{certificate}.key")
        self._local = threading.local()
        self._open = []

    def close(self):
        for connection in self._open:
            connection.close()

    def _connect(self, timeout):
        return _Connection(self.namespace, self.address, self.port, context=self._tls, timeout=timeout)

    def _headers(self, content):
        headers = {"Accept": "application/json", "User-Agent": "berth-tests"}
        if self.token:
            headers["Authorization"] = f"Bearer {self.token}"
        if content:
            headers["Content-Type"] = content
        return headers

    def raw(self, method, path, body=None, content="application/json"):
        """(code, body) of one request; raises OSError when there is no answer."""
        data = json.dumps(body) if body is not None else None
        headers = self._headers(content if data is not None else None)
        for attempt in (1, 2):
            connection = getattr(self._local, "connection", None)
            fresh = connection is None
            if fresh:
                connection = self._local.connection = self._connect(self.timeout)
                self._open.append(connection)
            try:
                connection.request(method, path, data, headers)
                answer = connection.getresponse()
                return answer.status, answer.read()
            except (OSError, http.client.HTTPException) as error:
                connection.close()
                self._open.remove(connection)
                self._local.connection = None
                # A kept connection may have been closed meanwhile; a new one that fails tells the truth.
                if fresh or attempt == 2 or isinstance(error, TimeoutError):
                    raise error if isinstance(error, OSError) else ConnectionError(str(error)) from error
        raise AssertionError("not reached")

    def request(self, method, path, body=None, content="application/json"):
        """The object that a request is answered with; ApiError when the code is not 2xx."""
        code, answer = self.raw(method, path, body, content)
        if not 200 <= code < 300:
            raise ApiError(method, path, code, answer)
        return json.loads(answer) if answer.startswith((b"{", b"[")) else answer.decode()

    def get(self, path):
        return self.request("GET", path)

    def items(self, path):
        return self.get(path)["items"]

    def find(self, path):
        """The object, or None when there is none."""
        try:
            return self.get(path)
        except ApiError as error:
            if error.code == 404:
                return None
            raise

    def create(self, path, body, may_exist=False):
        try:
            return self.request("POST", path, body)
        except ApiError as error:
            if may_exist and error.code == 409:
                return None
            raise

    def patch(self, path, body, content=MERGE):
        return self.request("PATCH", path, body, content)

    def delete(self, path, body=None):
        return self.request("DELETE", path, body)

    def watch(self, path, version=None, timeout=300):
        """A Watch; from `version` on, or from a state of now, told as ADDED events."""
        query = {"watch": 1, "timeoutSeconds": timeout, "allowWatchBookmarks": "true"}
        if version is not None:
            query["resourceVersion"] = version
        connection = self._connect(timeout + 10)
        target = f"{path}{'&' if '?' in path else '?'}{urlencode(query)}"
        try:
            connection.request("GET", target, headers=self._headers(None))
            answer = connection.getresponse()
            if answer.status != 200:
                raise ApiError("GET", target, answer.status, answer.read())
            return Watch(connection, answer)
        except BaseException:
            connection.close()
            raise


class Watch:
    """Iterates over (type, object), also ERROR events, until the server ends it, it breaks (OSError) or close() is called."""

    def __init__(self, connection, answer):
        # http.client lets go of the socket of an answer without length: it is held here.
        self._connection, self._answer, self._socket, self._closed = connection, answer, connection.sock, False

    def __iter__(self):
        pending = b""
        try:
            while chunk := self._answer.read1(1 << 16):
                *lines, pending = (pending + chunk).split(b"\n")
                for line in lines:
                    event = json.loads(line)
                    yield event["type"], event["object"]
        except (OSError, http.client.HTTPException, ValueError, AttributeError) as error:
            if not self._closed:
                raise ConnectionError(str(error)) from error
        finally:
            self._answer.close()
            self._connection.close()
            self._socket.close()

    def close(self):
        """Also from another thread: the iteration ends."""
        self._closed = True
        try:
            socket.socket.shutdown(self._socket, socket.SHUT_RDWR)
        except OSError:
            pass


def core(plural, namespace=None, name=None, sub=None):
    return resource("v1", plural, namespace, name, sub)


def resource(version, plural, namespace=None, name=None, sub=None):
    """The path of a resource: resource("apps/v1", "deployments", "default", "web", "status")."""
    parts = ["/api" if "/" not in version else "/apis", version]
    if namespace:
        parts += ["namespaces", namespace]
    parts += [part for part in (plural, name, sub) if part]
    return "/".join(parts)
