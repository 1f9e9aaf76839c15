# SPDX-License-Identifier: Apache-2.0
"""A LAN of network namespaces on this machine: a switch, nodes, a client; and Berth's programs on it.

    with Lab(nodes=3) as lab:
        lab.start_controller("examples/layer2")
        for node in lab.nodes: node.start_agent()
        assert lab.client.who_has("192.168.50.50") == [lab.node("node2").mac]

Needs root. Everything is named after this process, so labs run side by side; close() leaves nothing behind.
"""
import contextlib
import ctypes
import json
import os
import re
import shutil
import signal
import socket
import struct
import subprocess
import tempfile
import threading
import time

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
_libc = ctypes.CDLL(None, use_errno=True)
CLONE_NEWNET = 0x40000000
PR_SET_PDEATHSIG = 1
ETH_P_ALL, ETH_P_ARP = 3, 0x0806
SO_ATTACH_FILTER, SOL_PACKET, PACKET_IGNORE_OUTGOING = 26, 263, 23


def run(*args, check=True, **kwargs):
    """Runs a command; its output is in the error when it fails."""
    done = subprocess.run(args, capture_output=True, text=True, **kwargs)
    if check and done.returncode != 0:
        raise RuntimeError(f"{' '.join(args)}: exit {done.returncode}: {done.stderr.strip() or done.stdout.strip()}")
    return done


def wait_for(what, condition, timeout=10.0, every=0.01):
    """Polls until condition() is true and returns what it returned."""
    deadline = time.monotonic() + timeout
    while True:
        value = condition()
        if value:
            return value
        if time.monotonic() > deadline:
            raise TimeoutError(f"not within {timeout} s: {what}")
        time.sleep(every)


@contextlib.contextmanager
def inside_namespace(name):
    """The calling thread is in the namespace of that name."""
    home = os.open("/proc/thread-self/ns/net", os.O_RDONLY)
    there = os.open(f"/run/netns/{name}", os.O_RDONLY)
    try:
        if _libc.setns(there, CLONE_NEWNET) != 0:
            raise OSError(ctypes.get_errno(), "setns")
        yield
    finally:
        _libc.setns(home, CLONE_NEWNET)
        os.close(home)
        os.close(there)


def sweep():
    """Removes what labs left behind whose process was killed."""
    for line in run("ip", "netns", "list", check=False).stdout.splitlines():
        match = re.match(r"berth(\d+)[a-z]-", line)
        if match and not os.path.exists(f"/proc/{match[1]}"):
            name = line.split()[0]
            if not run("ip", "netns", "pids", name, check=False).stdout.strip():
                run("ip", "netns", "delete", name, check=False)
    for name in os.listdir(tempfile.gettempdir()):
        match = re.match(r"berth-lab-(\d+)-", name)
        if match and not os.path.exists(f"/proc/{match[1]}"):
            path = os.path.join(tempfile.gettempdir(), name)
            for mount in _mounts_below(path):
                run("umount", "-l", mount, check=False)
            shutil.rmtree(path, ignore_errors=True)


def _mounts_below(path):
    with open("/proc/self/mounts") as mounts:
        return [line.split()[1] for line in mounts if line.split()[1].startswith(path + "/")]


def _end_with_parent():
    """In a child: it is killed when this process ends, however that comes about."""
    _libc.prctl(PR_SET_PDEATHSIG, signal.SIGKILL)


class Host:
    """One network namespace with `eth0` on the LAN."""

    def __init__(self, lab, name, address):
        self.lab, self.name, self.address = lab, name, address
        self.ns = f"{lab.prefix}-{name}"
        self.port = f"p-{name}"[:15]
        run("ip", "netns", "add", self.ns)
        run("ip", "-n", self.ns, "link", "set", "lo", "up")
        # Quiet test networks: no IPv6 chatter that the tests do not ask for.
        self.sysctl("net.ipv6.conf.default.accept_dad", "0")
        run("ip", "-n", lab.switch_ns, "link", "add", self.port, "type", "veth", "peer", "name", "eth0", "netns", self.ns)
        run("ip", "-n", lab.switch_ns, "link", "set", self.port, "master", "br0", "up")
        run("ip", "-n", self.ns, "addr", "add", f"{address}/{lab.prefix_length}", "dev", "eth0")
        run("ip", "-n", self.ns, "link", "set", "eth0", "up")
        self.mac = json.loads(self.ip("-j", "link", "show", "eth0"))[0]["address"]

    def ip(self, *args, check=True):
        return run("ip", "-n", self.ns, *args, check=check).stdout

    def exec(self, *args, check=True, **kwargs):
        return run("ip", "netns", "exec", self.ns, *args, check=check, **kwargs)

    def spawn(self, *args, log=None, env=None):
        out = open(log, "ab") if log else subprocess.DEVNULL
        process = subprocess.Popen(["ip", "netns", "exec", self.ns, *args], stdin=subprocess.DEVNULL, stdout=out,
                                   stderr=subprocess.STDOUT, process_group=0, env=env,
                                   preexec_fn=_end_with_parent)
        if log:
            out.close()
        self.lab.processes.append(process)
        return process

    def sysctl(self, key, value):
        self.exec("sysctl", "-qw", f"{key}={value}", check=False)

    def addresses(self, interface):
        """Addresses on an interface, without prefix length; empty when the interface is absent."""
        done = run("ip", "-n", self.ns, "-j", "addr", "show", "dev", interface, check=False)
        if done.returncode != 0:
            return set()
        return {a["local"] for link in json.loads(done.stdout) if link for a in link.get("addr_info", [])}

    # ---- faults -----------------------------------------------------------------------------------------------------
    def port_down(self):
        """The switch port loses carrier."""
        run("ip", "-n", self.lab.switch_ns, "link", "set", self.port, "down")

    def port_up(self):
        run("ip", "-n", self.lab.switch_ns, "link", "set", self.port, "up")

    def port_drop(self):
        """The switch port drops every frame, and carrier stays."""
        run("bridge", "-n", self.lab.switch_ns, "link", "set", "dev", self.port, "state", "0")

    def port_pass(self):
        run("bridge", "-n", self.lab.switch_ns, "link", "set", "dev", self.port, "state", "3")

    def cut_control(self):
        """The agent's stream is cut; all else on the LAN goes on."""
        self.exec("nft", "add table inet cut; add chain inet cut out { type filter hook output priority 0 ; }; "
                         "add rule inet cut out tcp dport 7443 drop; "
                         "add chain inet cut in { type filter hook input priority 0 ; }; "
                         "add rule inet cut in tcp sport 7443 drop")

    def heal_control(self):
        self.exec("nft", "delete table inet cut")

    def inside(self):
        """The calling thread is in this namespace: sockets made here stay here."""
        return inside_namespace(self.ns)

    def socket(self, *args):
        with self.inside():
            return socket.socket(*args)


class Asker:
    """Asks by ARP from a host and listens to what the LAN says, on a raw socket of its own."""

    def __init__(self, host, interface="eth0"):
        self.host = host
        with host.inside():
            self.socket = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, socket.htons(0x0806))
            self.socket.bind((interface, 0x0806))
        self.mac = bytes.fromhex(host.mac.replace(":", ""))
        self.address = socket.inet_aton(host.address)

    def ask(self, address, sender=None):
        request = struct.pack("!6s6sHHHBBH6s4s6s4s", b"\xff" * 6, self.mac, 0x0806, 1, 0x0800, 6, 4, 1, self.mac,
                              socket.inet_aton(sender) if sender else self.address, b"\0" * 6, socket.inet_aton(address))
        self.socket.send(request.ljust(60, b"\0"))

    def frames(self, seconds):
        """ARP frames until `seconds` have passed: (time, op, sender mac, sender ip, target mac, target ip, to)."""
        deadline = time.monotonic() + seconds
        while True:
            left = deadline - time.monotonic()
            if left <= 0:
                return
            self.socket.settimeout(left)
            try:
                frame = self.socket.recv(2048)
            except (TimeoutError, BlockingIOError):
                return
            now = time.monotonic()
            if len(frame) < 42:
                continue
            to, _, _, _, _, _, _, op, smac, sip, tmac, tip = struct.unpack("!6s6sHHHBBH6s4s6s4s", frame[:42])
            yield (now, op, smac.hex(":"), socket.inet_ntoa(sip), tmac.hex(":"), socket.inet_ntoa(tip), to.hex(":"))

    def drain(self):
        self.socket.setblocking(False)
        with contextlib.suppress(BlockingIOError):
            while True:
                self.socket.recv(2048)

    def who_has(self, address, seconds=0.3):
        """MACs that answer a broadcast request for `address`, one for each answer, in order."""
        self.drain()
        self.ask(address)
        return [smac for _, op, smac, sip, _, _, _ in self.frames(seconds) if op == 2 and sip == address]

    def answered_within(self, address, seconds):
        """The first MAC that answers, or None."""
        self.drain()
        self.ask(address)
        for _, op, smac, sip, _, _, _ in self.frames(seconds):
            if op == 2 and sip == address:
                return smac
        return None

    def close(self):
        self.socket.close()


class Tap:
    """All ARP frames that hosts send, as the switch receives them, port by port; a thread collects them.

    Tells what really left a host, whatever MAC the frame claims, also what the switch then drops.
    """

    # ldh [12]; jeq #0x806, accept; ret 0
    _FILTER = struct.pack("HBBI" * 4, 0x28, 0, 0, 12, 0x15, 0, 1, ETH_P_ARP, 0x06, 0, 0, 0x40000, 0x06, 0, 0, 0)

    def __init__(self, lab):
        self.port_to_name = {host.port: host.name for host in lab.hosts}
        with inside_namespace(lab.switch_ns):
            self.socket = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, socket.htons(ETH_P_ALL))
        self._program = ctypes.create_string_buffer(self._FILTER)
        self.socket.setsockopt(socket.SOL_SOCKET, SO_ATTACH_FILTER,
                               struct.pack("HL", 4, ctypes.addressof(self._program)))
        self.socket.setsockopt(SOL_PACKET, PACKET_IGNORE_OUTGOING, 1)
        with contextlib.suppress(OSError):
            self.socket.setsockopt(socket.SOL_SOCKET, 33, 1 << 23)  # SO_RCVBUFFORCE
        self.socket.settimeout(0.1)
        self._frames, self._lock, self._ended = [], threading.Lock(), False
        self._thread = threading.Thread(target=self._collect, daemon=True)
        self._thread.start()

    def _collect(self):
        while not self._ended:
            try:
                frame, (port, _, _, _, _) = self.socket.recvfrom(2048)
            except TimeoutError:
                continue
            except OSError:
                return
            name = self.port_to_name.get(port)
            if name is None or len(frame) < 42:
                continue
            found = ArpFrame(time.monotonic(), name, frame)
            with self._lock:
                self._frames.append(found)

    def frames(self, since=0.0):
        with self._lock:
            return [f for f in self._frames if f.time >= since]

    def replies(self, since=0.0):
        return [f for f in self.frames(since) if f.op == 2 and f.sender_ip != f.target_ip]

    def gratuitous(self, since=0.0):
        """Frames in which a host speaks of an address unasked, in either form."""
        return [f for f in self.frames(since) if f.sender_ip == f.target_ip]

    def close(self):
        self._ended = True
        self._thread.join(5)
        self.socket.close()


class ArpFrame:
    """One ARP frame and the host that sent it."""

    def __init__(self, when, host, frame):
        self.time, self.host = when, host
        to, source, _, _, _, _, _, op, smac, sip, tmac, tip = struct.unpack("!6s6sHHHBBH6s4s6s4s", frame[:42])
        self.op, self.to, self.source = op, to.hex(":"), source.hex(":")
        self.sender_mac, self.sender_ip = smac.hex(":"), socket.inet_ntoa(sip)
        self.target_mac, self.target_ip = tmac.hex(":"), socket.inet_ntoa(tip)

    def __repr__(self):
        form = {1: "request", 2: "reply"}.get(self.op, self.op)
        return (f"<{self.time:.3f} {self.host}: {form} {self.sender_ip} is {self.sender_mac}, "
                f"to {self.target_ip} {self.target_mac}>")


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
        lines = "".join(f"addr add {address}/32 dev kube-ipvs0\n" for address in addresses)
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
        """Echoes datagrams with the address they were sent to as sender, on all addresses of the node."""
        code = ("import socket,struct,sys\n"
                "s=socket.socket(socket.AF_INET,socket.SOCK_DGRAM); s.setsockopt(0,8,1)\n"
                "s.setsockopt(socket.SOL_SOCKET,33,1<<22); s.bind(('0.0.0.0',int(sys.argv[1])))\n"
                "while True:\n"
                "  data,anc,_,who=s.recvmsg(2048,64)\n"
                "  to=anc[0][2][8:12]\n"
                "  s.sendmsg([data],[(0,8,struct.pack('=I4s4s',0,to,bytes(4)))],0,who)\n")
        self.echo = self.spawn("python3", "-c", code, str(port))

    def agent_command(self, *flags):
        return [os.path.join(self.lab.bin, "berth-agent"), f"--controller={self.lab.controller_host.address}:7443",
                f"--node-name={self.name}", f"--state-dir={self.state_dir}", *self.lab.security(self.name), *flags]

    def start_agent(self, *flags):
        self.agent_flags = flags
        self.agent = self.spawn(*self.agent_command(*flags), log=self.log)
        return self.agent

    def restart_agent(self):
        return self.start_agent(*self.agent_flags)

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
    def __init__(self, nodes=3, network="192.168.50", prefix_length=24, build=None):
        self.build = build or os.environ.get("BERTH_BUILD", os.path.join(ROOT, "build/release"))
        self.bin = os.path.join(self.build, "bin")
        self.prefix = f"berth{os.getpid()}{chr(97 + next(_counter) % 26)}"
        self.prefix_length = prefix_length
        self.processes = []
        self.hosts = []
        self.controller = None
        sweep()
        # Whatever else this machine compiles or tests: programs that must answer in time come first, where that is allowed.
        with contextlib.suppress(OSError), open("/proc/self/autogroup", "w") as priority:
            priority.write("-15")
        self.folder = tempfile.mkdtemp(prefix=f"berth-lab-{os.getpid()}-")
        self.switch_ns = f"{self.prefix}-switch"
        self.certificates = None
        self.asker = None
        self.taps = []
        try:
            run("ip", "netns", "add", self.switch_ns)
            run("ip", "-n", self.switch_ns, "link", "add", "br0", "type", "bridge", "mcast_snooping", "0")
            run("ip", "-n", self.switch_ns, "link", "set", "br0", "up")
            self.controller_host = self._add(Host, "ctl", f"{network}.2")
            self.client = self._add(Host, "client", f"{network}.19")
            self.nodes = [self._add(Node, f"node{i}", f"{network}.{10 + i}") for i in range(1, nodes + 1)]
            self.asker = Asker(self.client)
        except BaseException:
            self.close()
            raise

    def _add(self, kind, name, address):
        host = kind(self, name, address)
        self.hosts.append(host)
        return host

    def add_host(self, name, address):
        return self._add(Host, name, address)

    def tap(self):
        """Begins to collect the ARP frames that hosts send."""
        tap = Tap(self)
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
        for mount in _mounts_below(self.folder):
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
