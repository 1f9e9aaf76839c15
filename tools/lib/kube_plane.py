# SPDX-License-Identifier: Apache-2.0
"""A Kubernetes control plane on one host of a Lab: etcd, kube-apiserver, kube-controller-manager, real ones."""
import contextlib
import os
import secrets
import shutil
import signal

from kube_api import Api, ApiError
from kube_audit import POLICY, AuditLog
from kube_tools import program
from netns import freeze, run, thaw, wait_for

SERVICES = "10.96.0.0/16"
API_SERVICE = "10.96.0.1"
PODS = "10.244.0.0/16"
ISSUER = "https://kubernetes.default.svc.cluster.local"
# user -> groups. "harness" plays kubelets, scheduler and DNS, and is kept out of the audit log.
USERS = {
    "admin": "system:masters",
    "harness": "system:masters,berth:harness",
    "nobody-in-particular": "",
    "system:kube-controller-manager": "",
    "system:kube-proxy": "",
}


class ControlPlane:
    """start() returns once the API server is ready. Programs are started, killed and frozen by their names."""

    def __init__(self, host, folder):
        self.host, self.folder = host, folder
        os.makedirs(folder, exist_ok=True)
        self.tokens = {user: secrets.token_hex(16) for user in USERS}
        self.running = {}
        self._apis = {}
        self.audit = AuditLog(self.file("audit.log"))
        self.flags = {}
        self.ca = self.file("ca.crt")
        self._make_keys()

    def file(self, name):
        return os.path.join(self.folder, name)

    def write(self, name, text):
        with open(self.file(name), "w") as f:
            f.write(text)
        return self.file(name)

    def api(self, user="admin", token=None, timeout=30):
        """A client as one of USERS, or with a token of any kind."""
        token = token or self.tokens[user]
        if (token, timeout) not in self._apis:
            self._apis[token, timeout] = Api(self.host.ns, self.host.address, self.ca, token, timeout=timeout)
        return self._apis[token, timeout]

    def close(self):
        for api in self._apis.values():
            api.close()

    # ---- keys -------------------------------------------------------------------------------------------------------
    def certify(self, name, common_name, extension=None, organisation=None, authority="ca", days_ago=0):
        """A key and a certificate for two days, signed by the cluster's authority, another one or (None) itself: path without
        .crt and .key. `days_ago` is when it was made."""
        path = self.file(name)
        subject = (f"/O={organisation}" if organisation else "") + f"/CN={common_name}"
        extra = ["-addext", extension] if extension else []
        signed = ["-CA", self.file(f"{authority}.crt"), "-CAkey", self.file(f"{authority}.key"), "-addext", "basicConstraints=CA:FALSE"]
        clock = ["faketime", "-f", f"-{days_ago}d"] if days_ago else []
        run(*clock, "openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-days", "2",
            "-keyout", f"{path}.key", "-out", f"{path}.crt", "-subj", subject, *extra, *(signed if authority else []))
        return path

    def _make_keys(self):
        self.certify("ca", "kubernetes", "basicConstraints=critical,CA:TRUE", authority=None)
        self.certify("apiserver", "kube-apiserver", "subjectAltName=DNS:kubernetes,DNS:kubernetes.default,DNS:kubernetes.default.svc,"
                     f"DNS:localhost,IP:{API_SERVICE},IP:{self.host.address},IP:127.0.0.1")
        run("openssl", "ecparam", "-name", "prime256v1", "-genkey", "-noout", "-out", self.file("accounts.key"))
        run("openssl", "ec", "-in", self.file("accounts.key"), "-pubout", "-out", self.file("accounts.pub"))
        self.write("tokens.csv", "".join(f'{token},{user},{user},"{USERS[user]}"\n' for user, token in self.tokens.items()))
        self.write("audit-policy.yaml", POLICY)

    def kubeconfig(self, user="admin", token=None, server=None, name=None):
        """Path of a kubeconfig for that user."""
        server = server or f"https://{self.host.address}:6443"
        return self.write(name or f"kubeconfig-{user.replace(':', '-')}", (
            "apiVersion: v1\nkind: Config\ncurrent-context: tests\n"
            f"clusters: [{{name: tests, cluster: {{server: '{server}', certificate-authority: {self.ca}}}}}]\n"
            f"users: [{{name: '{user}', user: {{token: '{token or self.tokens[user]}'}}}}]\n"
            f"contexts: [{{name: tests, context: {{cluster: tests, user: '{user}'}}}}]\n"))

    # ---- programs ---------------------------------------------------------------------------------------------------
    def start(self):
        self.start_etcd()
        self.start_apiserver()
        self.wait_ready()
        self.start_controller_manager()

    def start_etcd(self):
        here = "http://127.0.0.1:2379"
        self._start("etcd", f"--data-dir={self.file('etcd')}", "--unsafe-no-fsync", f"--listen-client-urls={here}",
                    f"--advertise-client-urls={here}", "--listen-peer-urls=http://127.0.0.1:2380",
                    "--initial-advertise-peer-urls=http://127.0.0.1:2380", "--initial-cluster=default=http://127.0.0.1:2380",
                    "--logger=zap", "--log-level=warn")

    def start_apiserver(self):
        self._start(
            "kube-apiserver", "--etcd-servers=http://127.0.0.1:2379", "--authorization-mode=RBAC",
            f"--advertise-address={self.host.address}", "--bind-address=0.0.0.0", "--secure-port=6443",
            f"--tls-cert-file={self.file('apiserver.crt')}", f"--tls-private-key-file={self.file('apiserver.key')}",
            f"--client-ca-file={self.ca}", f"--token-auth-file={self.file('tokens.csv')}",
            f"--service-account-issuer={ISSUER}", f"--service-account-key-file={self.file('accounts.pub')}",
            f"--service-account-signing-key-file={self.file('accounts.key')}", f"--service-cluster-ip-range={SERVICES}",
            f"--audit-policy-file={self.file('audit-policy.yaml')}", f"--audit-log-path={self.audit.path}",
            "--audit-log-mode=blocking", "--allow-privileged=true", "--etcd-compaction-interval=0",
            # This host has no kube-proxy: webhooks are reached at their pods' addresses.
            "--enable-aggregator-routing=true", "--kubelet-preferred-address-types=InternalIP")

    def start_controller_manager(self):
        config = self.kubeconfig("system:kube-controller-manager")
        self._start(
            "kube-controller-manager", f"--kubeconfig={config}", f"--authentication-kubeconfig={config}",
            f"--authorization-kubeconfig={config}", "--leader-elect=false", "--use-service-account-credentials=true",
            "--kube-api-qps=300", "--kube-api-burst=600",
            f"--service-account-private-key-file={self.file('accounts.key')}", f"--root-ca-file={self.ca}",
            f"--cluster-cidr={PODS}", "--allocate-node-cidrs=false", "--bind-address=127.0.0.1",
            # Nothing here needs them, and they cost time at start.
            "--controllers=*,-persistentvolume-binder-controller,-persistentvolume-attach-detach-controller,"
            "-persistentvolume-expander-controller,-horizontal-pod-autoscaler-controller,-ttl-controller,"
            "-resourceclaim-controller,-certificatesigningrequest-signing-controller")

    def _start(self, name, *flags):
        self.running[name] = self.host.spawn(program(name), *flags, *self.flags.get(name, []), log=self.file(f"{name}.log"))

    def start_again(self, name):
        {"etcd": self.start_etcd, "kube-apiserver": self.start_apiserver,
         "kube-controller-manager": self.start_controller_manager}[name]()

    def send(self, name, number):
        os.kill(self.running[name].pid, number)

    def stop(self, name):
        """Frozen: connections stay, nothing answers."""
        freeze(self.running[name].pid)

    def cont(self, name):
        thaw(self.running[name].pid)

    def kill(self, name, number=signal.SIGKILL):
        self.send(name, number)
        self.running.pop(name).wait(60)

    def wait_ready(self, timeout=180):
        """Until the API server says it is ready; its log's end is in the error when it does not come up."""
        api = self.api("harness", timeout=5)

        def ready():
            for name, process in self.running.items():
                if process.poll() is not None:
                    raise RuntimeError(f"{name} ended:\n{self.log_end(name)}")
            with contextlib.suppress(OSError, ApiError):
                return api.raw("GET", "/readyz")[0] == 200
            return False

        try:
            wait_for("the API server's readiness", ready, timeout, 0.05)
        except TimeoutError as error:
            raise TimeoutError(f"{error}\n{self.log_end('kube-apiserver')}") from error

    def log_end(self, name, lines=15):
        with contextlib.suppress(FileNotFoundError), open(self.file(f"{name}.log"), errors="replace") as log:
            return "".join(log.readlines()[-lines:])
        return ""

    # ---- etcd -------------------------------------------------------------------------------------------------------
    def compact(self):
        """Forgets all of etcd's history, so that watches from older versions get 410. Returns the version compacted to."""
        import json
        endpoint = "http://127.0.0.1:2379/v3/kv"
        answer = self.host.exec("curl", "-sSf", f"{endpoint}/range", "-d", '{"key":"AA==","limit":"1"}').stdout
        revision = json.loads(answer)["header"]["revision"]
        self.host.exec("curl", "-sSf", f"{endpoint}/compaction", "-d", json.dumps({"revision": revision, "physical": True}))
        return revision

    def memory(self):
        """Resident MiB of each program."""
        found = {}
        for name, process in self.running.items():
            with open(f"/proc/{process.pid}/status") as status:
                found[name] = next(int(line.split()[1]) // 1024 for line in status if line.startswith("VmRSS"))
        return found

    def save_logs(self, to):
        for name in os.listdir(self.folder):
            if name.endswith(".log"):
                shutil.copy(self.file(name), to)
