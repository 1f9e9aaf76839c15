# SPDX-License-Identifier: Apache-2.0
"""A LAN of network namespaces on this machine: a switch, nodes, a client; and Berth's programs on it.

    with Lab(nodes=3) as lab:
        lab.start_controller("examples/layer2")
        for node in lab.nodes: node.start_agent()
        assert lab.client.who_has("192.168.50.50") == [lab.node("node2").mac]

Needs root. Everything is named after this process, so labs run side by side; close() leaves nothing behind.
"""
import contextlib
import json
import os
import shutil
import signal
import tempfile
import threading
import time

from arp_wire import Asker, Tap
from ndp_wire import own_ipv6
from netns import ROOT, Host, mounts_below, run, sweep, wait_for


class Node(Host):
    """A cluster node: an agent, and a web server that answers with the node's name."""

    agent = None

    def __init__(self, lab, name, address):
        super().__init__(lab, name, address)
        self.state_dir = os.path.join(lab.folder, f"agent-{name}")
        self.log = os.path.join(lab.folder, f"agent-{name}.log")

    def add_kube_ipvs0(self, *addresses):
        """A stand-in for kube-proxy's dummy interface: a bridge without ports that carries the addresses."""
        self.ip("link", "add", "kube-ipvs0", "type", "bridge")
        lines = "".join(f"addr add {address}/{128 if ':' in address else 32} dev kube-ipvs0\n" for address in addresses)
        run("ip", "-n", self.ns, "-batch", "-", input=lines)

    def start_web(self):
        code = ("import http.server,sys\n"
                "class H(http.server.BaseHTTPRequestHandler):\n"
                "  def do_GET(self):\n"
                "    body=(sys.argv[1]+chr(10)).encode(); self.send_response(200)\n"
                "    self.send_header('Content-Length',str(len(body))); self.end_headers(); self.wfile.write(body)\n"
                "  def log_message(self,*a): pass\n"
                "http.server.ThreadingHTTPServer(('0.0.0.0',80),H).serve_forever()\n")
        self.web = self.spawn("python3", "-c", code, self.name)

    def start_udp_echo(self, port):
        """Echoes datagrams with the address they were sent to as sender, on all addresses of the node, of both families."""
        code = ("import socket,sys\n"
                "s=socket.socket(socket.AF_INET6,socket.SOCK_DGRAM); s.setsockopt(41,26,0); s.setsockopt(41,49,1)\n"
                "s.setsockopt(socket.SOL_SOCKET,33,1<<22); s.bind(('::',int(sys.argv[1])))\n"
                "while True:\n"
                "  data,anc,_,who=s.recvmsg(2048,256)\n"
                "  to=next(data for level,kind,data in anc if (level,kind)==(41,50))[:16]\n"  # IPV6_PKTINFO
                "  s.sendmsg([data],[(41,50,to+bytes(4))],0,who)\n")
        self.echo = self.spawn("python3", "-c", code, str(port))

    def agent_command(self, *flags):
        return [os.path.join(self.lab.bin, "berth-agent"), f"--controller={self.lab.controller_address}:7443",
                f"--node-name={self.name}", f"--state-dir={self.state_dir}", *self.lab.security(self.name), *flags]

    def start_agent(self, *flags):
        self.agent_flags = flags
        self.agent = self.spawn(*self.agent_command(*flags), log=self.log)
        return self.agent

    def restart_agent(self):
        return self.start_agent(*self.agent_flags)

    def upgrade_agent(self):
        """A new agent starts beside the old one, which is told to end, as by kubelet, once the new one has the port of
        its pages. Returns the old one's exit code."""
        old, new = self.agent, self.restart_agent()
        wait_for("the new agent's pages", lambda: f"pid={new.pid}," in self.exec("ss", "-Hltnp", "sport = :8081").stdout, 20, 0.05)
        old.send_signal(signal.SIGTERM)
        return old.wait(10)

    def kill_agent(self, sig=signal.SIGKILL, wait=True):
        """Sends a signal; waits for the end where the signal means one."""
        os.kill(self.agent.pid, sig)
        if wait and sig in (signal.SIGKILL, signal.SIGTERM):
            self.agent.wait(30)

    def agent_log(self):
        with contextlib.suppress(FileNotFoundError), open(self.log, errors="replace") as f:
            return f.read()
        return ""


class Lab:
    node_kind = Node

    def __init__(self, nodes=3, network="192.168.50", prefix_length=24, build=None):
        self.build = build or os.environ.get("BERTH_BUILD", os.path.join(ROOT, "build/release"))
        self.bin = os.path.join(self.build, "bin")
        self.prefix = f"berth{os.getpid()}{chr(97 + next(_counter) % 26)}"
        self.prefix_length = prefix_length
        self.processes = []
        self.hosts = []
        self.controller = None
        sweep()
        self._come_first()
        self.folder = tempfile.mkdtemp(prefix=f"berth-lab-{os.getpid()}-")
        self.switch_ns = f"{self.prefix}-switch"
        self.certificates = None
        self.asker = None
        self.taps = []
        try:
            run("ip", "netns", "add", self.switch_ns)
            run("ip", "-n", self.switch_ns, "link", "add", "br0", "type", "bridge", "mcast_snooping", "0")
            run("ip", "-n", self.switch_ns, "link", "set", "br0", "up")
            self.names_of_ports = {}  # of further ports
            self.sides = {}  # host -> the part of the LAN that it is cut off in; who is not named is in the main one
            self.changes = []  # of these, for tools/lib/check_capture.py
            self.controller_host = self._add(Host, "ctl", f"{network}.2")
            self.controller_address = self.controller_host.address
            self.client = self._add(Host, "client", f"{network}.19")
            self.nodes = [self._add(self.node_kind, f"node{i}", f"{network}.{10 + i}") for i in range(1, nodes + 1)]
            self.asker = Asker(self.client)
        except BaseException:
            self.close()
            raise

    def _come_first(self):
        """Whatever else this machine compiles or tests: programs that must answer in time come first, where that is allowed."""
        with contextlib.suppress(OSError), open("/proc/self/autogroup", "w") as priority:
            priority.write("-15")

    def _add(self, kind, name, address):
        host = kind(self, name, address)
        self.hosts.append(host)
        return host

    def add_host(self, name, address):
        return self._add(Host, name, address)

    def add_control_network(self, network):
        """A second switch, which joins the nodes with the controller only; agents started from now on use it."""
        run("ip", "-n", self.switch_ns, "link", "add", "br1", "type", "bridge", "mcast_snooping", "0")
        run("ip", "-n", self.switch_ns, "link", "set", "br1", "up")
        for host in (self.controller_host, *self.nodes):
            port = f"c-{host.name}"[:15]
            run("ip", "-n", self.switch_ns, "link", "add", port, "type", "veth", "peer", "name", "eth1", "netns", host.ns)
            run("ip", "-n", self.switch_ns, "link", "set", port, "master", "br1", "up")
            host.ip("addr", "add", f"{network}.{host.address.rsplit('.', 1)[1]}/24", "dev", "eth1")
            host.ip("link", "set", "eth1", "up")
            host.more_ports.append(port)
        self.controller_address = f"{network}.2"

    def add_ipv6(self):
        """Each host has an IPv6 address on the LAN, too: own_ipv6 of it."""
        for host in self.hosts:
            host.ip("addr", "add", f"{own_ipv6(host)}/64", "dev", "eth0", "nodad")

    def drop_ipv4(self):
        """No host has an IPv4 address on the LAN any more; agents started from now on reach the controller by its IPv6 one."""
        for host in self.hosts:
            host.ip("-4", "addr", "flush", "dev", "eth0")
        self.controller_address = f"[{own_ipv6(self.controller_host)}]"

    def part(self, *hosts):
        """These hosts are on a switch of their own from now on."""
        if run("ip", "-n", self.switch_ns, "link", "show", "br2", check=False).returncode != 0:
            run("ip", "-n", self.switch_ns, "link", "add", "br2", "type", "bridge", "mcast_snooping", "0")
            run("ip", "-n", self.switch_ns, "link", "set", "br2", "up")
        with self.sides_change({host.name: "br2" for host in hosts}):
            for host in hosts:
                run("ip", "-n", self.switch_ns, "link", "set", host.port, "master", "br2")

    def join(self, *hosts):
        """And here with all the others again."""
        with self.sides_change({host.name: None for host in hosts}):
            for host in hosts:
                run("ip", "-n", self.switch_ns, "link", "set", host.port, "master", "br0")

    @contextlib.contextmanager
    def sides_change(self, sides):
        """Around the commands that bring hosts to these sides: {host: side, None being the main one}."""
        begin = time.time()
        yield
        heals = any(side is None and host in self.sides for host, side in sides.items())
        self.sides = {host: side for host, side in {**self.sides, **sides}.items() if side is not None}
        self.changes.append({"begin": begin, "end": time.time(), "sides": self.sides, "heals": heals})

    def add_port(self, node, interface):
        """A further interface of a node, down, with a switch port of its own; taps tell it as "node1/eth1"."""
        port = f"{interface}-{node.name}"[:15]
        run("ip", "-n", self.switch_ns, "link", "add", port, "type", "veth", "peer", "name", interface, "netns", node.ns)
        run("ip", "-n", self.switch_ns, "link", "set", port, "master", "br0", "up")
        self.names_of_ports[port] = f"{node.name}/{interface}"

    def behind(self, port):
        """The name of who is behind a port of the switch, "node1/eth1" for a further interface of one; None: nobody."""
        return next((host.name for host in self.hosts if host.port == port), self.names_of_ports.get(port))

    def tap(self, kind=Tap):
        """Begins to collect the ARP frames that hosts send; with NdpTap what IPv6 has instead."""
        tap = kind(self)
        self.taps.append(tap)
        return tap

    def node(self, name):
        return next(n for n in self.nodes if n.name == name)

    def node_of_mac(self, mac):
        return next((n.name for n in self.nodes if n.mac == mac), None)

    # ---- who trusts whom --------------------------------------------------------------------------------------------
    def use_tls(self):
        """From now on programs are started with certificates of the lab's own authority instead of --insecure."""
        self.certificates = os.path.join(self.folder, "certificates")
        os.makedirs(self.certificates)
        self._certify("ca", "basicConstraints=critical,CA:TRUE")
        for name in ("berth-controller", "berthctl", *(host.name for host in self.hosts)):
            ca = self.certificate("ca")
            self._certify(name, f"subjectAltName=DNS:{name}", "-addext", "basicConstraints=CA:FALSE",
                          "-CA", f"{ca}.crt", "-CAkey", f"{ca}.key")

    def certificate(self, name):
        """Path of a certificate (.crt) and its key (.key), without that ending."""
        return os.path.join(self.certificates, name)

    def _certify(self, name, extension, *args):
        path = self.certificate(name)
        run("openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-days", "2",
            "-keyout", f"{path}.key", "-out", f"{path}.crt", "-subj", f"/CN={name}", "-addext", extension, *args)

    def security(self, name):
        """The flags by which a program shows who it is and knows the others."""
        if not self.certificates:
            return ["--insecure"]
        own = self.certificate(name)
        return [f"--tls-ca={self.certificate('ca')}.crt", f"--tls-cert={own}.crt", f"--tls-key={own}.key"]

    # ---- the controller ---------------------------------------------------------------------------------------------
    def start_controller(self, manifests, *flags):
        """Runs the controller; `manifests` is a folder. Returns once its admin port answers."""
        self.manifests = manifests
        self.controller_flags = flags
        self.controller_log = os.path.join(self.folder, "controller.log")
        self.controller_state = os.path.join(self.folder, "controller")
        self.controller = self.controller_host.spawn(
            os.path.join(self.bin, "berth-controller"), f"--source=files:{manifests}",
            f"--state-dir={self.controller_state}", *self.security("berth-controller"), *flags, log=self.controller_log)
        wait_for("the controller's admin port", lambda: self.ctl("version", check=False).returncode == 0, 30, 0.05)

    def start(self, *flags):
        """The controller, on a folder of manifests, and an agent with these flags on each node, all connected."""
        self.start_controller(self.folder_of_manifests())
        for node in self.nodes:
            node.start_agent(*flags)
        self.wait_agents(len(self.nodes))

    def restart_controller(self):
        self.start_controller(self.manifests, *self.controller_flags)

    def kill_controller(self, sig=signal.SIGKILL):
        os.kill(self.controller.pid, sig)
        self.controller.wait(30)

    def ctl(self, *args, check=True):
        """berthctl, beside the controller."""
        flags = self.security("berthctl") if self.certificates else ()
        return self.controller_host.exec(os.path.join(self.bin, "berthctl"), *args, *flags, check=check)

    def get(self, what):
        """`berthctl get WHAT -o json`, as a list."""
        done = self.ctl("get", what, "-o", "json", check=False)
        return json.loads(done.stdout)[what] if done.returncode == 0 else []

    def manifest(self, name, text):
        """Writes a manifest whole into the controller's folder, as kubectl apply would; None removes it."""
        path = os.path.join(self.manifests, name)
        if text is None:
            os.unlink(path)
            return
        with open(path + ".part", "w") as f:
            f.write(text)
        os.rename(path + ".part", path)

    def folder_of_manifests(self):
        path = os.path.join(self.folder, "manifests")
        os.makedirs(path, exist_ok=True)
        return path

    def holders(self):
        """address -> node, as the controller says."""
        return {a["address"]: a["holder"] for a in self.get("addresses")}

    def wait_announced(self, count, timeout=30):
        """Waits until `count` addresses are announced and returns address -> node."""
        def ready():
            addresses = [a for a in self.get("addresses") if a["state"] == "ANNOUNCED"]
            return {a["address"]: a["holder"] for a in addresses} if len(addresses) == count else None
        return wait_for(f"{count} announced addresses", ready, timeout, 0.05)

    def wait_agents(self, count, timeout=20):
        return wait_for(f"{count} ready agents",
                        lambda: sum(a["state"] == "READY" for a in self.get("agents")) == count, timeout, 0.05)

    # ---- the end ----------------------------------------------------------------------------------------------------
    def close(self):
        for process in self.processes:
            with contextlib.suppress(ProcessLookupError, PermissionError):
                os.killpg(process.pid, signal.SIGCONT)
                os.killpg(process.pid, signal.SIGKILL)
        for process in self.processes:
            with contextlib.suppress(Exception):
                process.wait(10)
        for tap in self.taps:
            tap.close()
        if self.asker is not None:
            self.asker.close()
        for mount in mounts_below(self.folder):
            run("umount", "-l", mount, check=False)
        spaces = run("ip", "netns", "list", check=False).stdout.split()
        for space in spaces:
            if space.startswith(self.prefix + "-"):
                run("ip", "netns", "delete", space, check=False)
        shutil.rmtree(self.folder, ignore_errors=True)

    def __enter__(self):
        return self

    def __exit__(self, kind, error, trace):
        if kind is not None and os.environ.get("BERTH_KEEP_LOGS"):
            shutil.copytree(self.folder, os.environ["BERTH_KEEP_LOGS"], dirs_exist_ok=True)
        self.close()


def _count():
    n = 0
    lock = threading.Lock()
    while True:
        with lock:
            n += 1
        yield n


_counter = _count()


def eip(name="eip-pool", address="192.168.50.50-192.168.50.60", interface="eth0", protocol="layer2", extra=""):
    return (f"apiVersion: network.kubesphere.io/v1alpha2\nkind: Eip\nmetadata:\n  name: {name}\nspec:\n"
            f"  address: {address}\n  protocol: {protocol}\n  interface: {interface}\n{extra}")


def service(name, pool="eip-pool", address=None, namespace="default", ports=((80, "TCP"),), extra="", annotations=()):
    lines = ["apiVersion: v1", "kind: Service", "metadata:", f"  name: {name}", f"  namespace: {namespace}",
             "  annotations:", "    lb.kubesphere.io/v1alpha1: openelb"]
    if pool:
        lines.append(f"    eip.openelb.kubesphere.io/v1alpha2: {pool}")
    if address:
        lines.append(f"    eip.openelb.kubesphere.io/v1alpha1: {address}")
    lines += [f"    {key}: {value}" for key, value in annotations]
    lines += ["spec:", "  type: LoadBalancer", "  ports:"]
    for port, protocol in ports:
        lines.append(f"    - {{name: p{port}-{protocol.lower()}, port: {port}, protocol: {protocol}}}")
    return "\n".join(lines) + "\n" + extra
