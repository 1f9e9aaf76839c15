# SPDX-License-Identifier: Apache-2.0
"""What `kubectl logs` asks of kubelets: an HTTPS server in each node's namespace, which the API server calls."""
import http.server
import os
import ssl
import threading
import time
from urllib.parse import parse_qs, urlsplit

from netns import inside_namespace

PORT = 10250


class _Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_GET(self):
        url = urlsplit(self.path)
        parts = url.path.strip("/").split("/")
        container = self.server.find(*parts[1:]) if parts[0] == "containerLogs" and len(parts) == 4 else None
        if container is None:
            self.send_error(404)
            return
        query = {key: values[-1] for key, values in parse_qs(url.query).items()}
        self.send_response(200)
        self.send_header("Content-Type", "text/plain")
        self.send_header("Transfer-Encoding", "chunked")
        self.end_headers()
        with open(os.open(container.log, os.O_RDONLY | os.O_CREAT), "rb") as log:
            lines = log.readlines()
            first = max(0, len(lines) - int(query["tailLines"])) if "tailLines" in query else 0
            self._chunk(b"".join(lines[first:]))
            while query.get("follow") in ("true", "1") and container.running and not self.server.closing.is_set():
                time.sleep(0.05)
                self._chunk(log.read())
            self._chunk(log.read())
        self.wfile.write(b"0\r\n\r\n")

    def _chunk(self, data):
        if data:
            self.wfile.write(b"%x\r\n%s\r\n" % (len(data), data))
            self.wfile.flush()

    def log_message(self, *_):
        pass


class _Server(http.server.ThreadingHTTPServer):
    daemon_threads = True

    def handle_error(self, *_):
        """A reader that went away is no error."""


class LogServer:
    def __init__(self, kubelet, node, certificate):
        self._kubelet, self._node = kubelet, node
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(f"{certificate}.crt", f"{certificate}.key")
        with inside_namespace(node.ns):
            self._server = _Server((node.address, PORT), _Handler)
        self._server.socket = context.wrap_socket(self._server.socket, server_side=True)
        self._server.find, self._server.closing = self._find, kubelet.closing
        self._thread = threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.1}, daemon=True)
        self._thread.start()

    def _find(self, namespace, pod, container):
        return next((c for p in list(self._kubelet.pods.values()) if (p.namespace, p.name, p.node) == (namespace, pod, self._node)
                     for c in [*p.init, *p.containers] if c.name == container), None)

    def close(self):
        self._server.shutdown()
        self._server.server_close()
        self._thread.join(5)
