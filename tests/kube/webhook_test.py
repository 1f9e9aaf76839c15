# SPDX-License-Identifier: Apache-2.0
"""The API server asks admission webhooks that run in pods."""
import base64

from kube_case import *  # noqa: F403

# Refuses what has the label `bad`, and says who asks.
SERVER = """
import http.server, json, ssl
class H(http.server.BaseHTTPRequestHandler):
    protocol_version = 'HTTP/1.1'
    def do_POST(self):
        review = json.loads(self.rfile.read(int(self.headers['Content-Length'])))
        request = review['request']
        bad = 'bad' in request['object']['metadata'].get('labels', {})
        answer = {'uid': request['uid'], 'allowed': not bad, 'status': {'message': 'no, ' + request['userInfo']['username']}}
        body = json.dumps({'apiVersion': review['apiVersion'], 'kind': review['kind'], 'response': answer}).encode()
        self.send_response(200)
        self.send_header('Content-Length', str(len(body)))
        self.end_headers()
        self.wfile.write(body)
    def log_message(self, *a): pass
context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
context.load_cert_chain('/keys/tls.crt', '/keys/tls.key')
server = http.server.ThreadingHTTPServer(('0.0.0.0', 9443), H)
server.socket = context.wrap_socket(server.socket, server_side=True)
server.serve_forever()
"""


class Webhook(KubeTest):
    """A webhook in a pod, named by its Service, refuses an object with its own words"""

    def test(self):
        name = f"hook.{self.namespace}.svc"
        keys = self.cluster.plane.certify("hook", name, f"subjectAltName=DNS:{name}")
        with open(self.cluster.plane.ca, "rb") as f:
            authority = base64.b64encode(f.read()).decode()
        self.cluster.kubectl("create", "secret", "tls", "hook", "-n", self.namespace, f"--cert={keys}.crt", f"--key={keys}.key")
        self.cluster.run_like_pod({"metadata": {"labels": {"app": "hook"}}, "spec": {
            "terminationGracePeriodSeconds": 0, "volumes": [{"name": "keys", "secret": {"secretName": "hook"}}],
            "containers": [{"name": "hook", "image": "pause", "command": ["/usr/bin/python3", "-c", SERVER],
                            "readinessProbe": {"tcpSocket": {"port": 9443}},
                            "volumeMounts": [{"name": "keys", "mountPath": "/keys"}]}]}},
            self.cluster.nodes[2], "hook", self.namespace)
        self.cluster.apply([
            {"apiVersion": "v1", "kind": "Service", "metadata": {"name": "hook", "namespace": self.namespace},
             "spec": {"selector": {"app": "hook"}, "ports": [{"port": 443, "targetPort": 9443}]}},
            {"apiVersion": "admissionregistration.k8s.io/v1", "kind": "ValidatingWebhookConfiguration",
             "metadata": {"name": self.namespace}, "webhooks": [{
                 "name": "hook.example.com", "sideEffects": "None", "admissionReviewVersions": ["v1"],
                 "namespaceSelector": {"matchLabels": {"kubernetes.io/metadata.name": self.namespace}},
                 "rules": [{"apiGroups": [""], "apiVersions": ["v1"], "operations": ["CREATE"], "resources": ["configmaps"]}],
                 "clientConfig": {"caBundle": authority, "service": {"namespace": self.namespace, "name": "hook"}}}]}])
        self.addCleanup(self.cluster.kubectl, "delete", "validatingwebhookconfiguration", self.namespace)
        said = wait_for("a refusal", lambda: self._refusal(), 30, 0.1)
        self.assertIn('admission webhook "hook.example.com" denied the request: no, admin', said)
        self.cluster.kubectl("create", "configmap", "good", "-n", self.namespace)

    def _refusal(self):
        try:
            self.cluster.api.create(core("configmaps", self.namespace), {"metadata": {"generateName": "bad", "labels": {"bad": ""}}})
        except ApiError as error:
            # 500: its endpoints are not known yet.
            return None if error.code == 500 else str(error)
        return None


if __name__ == "__main__":
    main()
