# SPDX-License-Identifier: Apache-2.0
"""Commands, network namespaces, and hosts that are one each, joined by a switch. Needs root."""
import contextlib
import ctypes
import json
import os
import re
import shutil
import signal
import socket
import subprocess
import tempfile
import time

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
_libc = ctypes.CDLL(None, use_errno=True)
CLONE_NEWNET = 0x40000000
PR_SET_PDEATHSIG = 1


def run(*args, check=True, **kwargs):
    """Runs a command; its output is in the error when it fails."""
    done = subprocess.run(args, capture_output=True, text=True, **kwargs)
    if check and done.returncode != 0:
        raise RuntimeError(f"{' '.join(args)}: exit {done.returncode}: {done.stderr.strip() or done.stdout.strip()}")
    return done


def inside_command(namespace, *args):
    """The command that runs `args` in the network namespace of that name, as the very process that is started.

    Not `ip netns exec`, which gives each its own mounts as well: the kernel takes those down after a grace period of all
    processors, which has been seen to last half a minute while they are busy. /sys goes on showing the caller's devices."""
    return ["nsenter", f"--net=/run/netns/{namespace}", "--", *args]


def wait_for(what, condition, timeout=10.0, every=0.01):
    """Polls until condition() is true and returns what it returned. A round that takes long costs the timeout no more than two
    seconds, or a quarter of it: a machine that stood still leaves time for what is waited for."""
    left, last = timeout, time.monotonic()
    while True:
        value = condition()
        if value:
            return value
        if left < 0:
            raise TimeoutError(f"not within {timeout} s: {what}")
        time.sleep(every)
        now = time.monotonic()
        left -= min(now - last, every + min(2, timeout / 4))
        last = now


def freeze(pid):
    """SIGSTOP; returns once every thread of the process has stopped."""
    os.kill(pid, signal.SIGSTOP)

    def stopped():
        states = set()
        for task in os.listdir(f"/proc/{pid}/task"):
            with contextlib.suppress(FileNotFoundError, ProcessLookupError), open(f"/proc/{pid}/task/{task}/stat") as stat:
                states.add(stat.read().rpartition(")")[2].split()[0])
        return states == {"T"}
    wait_for(f"process {pid} to stop", stopped, 10, 0.001)


def thaw(pid):
    os.kill(pid, signal.SIGCONT)


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
            for mount in mounts_below(path):
                run("umount", "-l", mount, check=False)
            shutil.rmtree(path, ignore_errors=True)


def mounts_below(path):
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
        self.more_ports = []  # of further networks
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
        return run(*inside_command(self.ns, *args), check=check, **kwargs)

    def spawn(self, *args, log=None, env=None):
        out = open(log, "ab") if log else subprocess.DEVNULL
        process = subprocess.Popen(inside_command(self.ns, *args), stdin=subprocess.DEVNULL, stdout=out,
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
    def port_down(self, port=None):
        """The switch port loses carrier."""
        run("ip", "-n", self.lab.switch_ns, "link", "set", port or self.port, "down")

    def port_up(self, port=None):
        run("ip", "-n", self.lab.switch_ns, "link", "set", port or self.port, "up")

    def port_drop(self, port=None):
        """The switch port drops every frame, and carrier stays."""
        with self._side_changes(port, port or self.name):
            run("bridge", "-n", self.lab.switch_ns, "link", "set", "dev", port or self.port, "state", "0")

    def port_pass(self, port=None):
        with self._side_changes(port, None):
            run("bridge", "-n", self.lab.switch_ns, "link", "set", "dev", port or self.port, "state", "3")

    def _side_changes(self, port, side):
        who = self.lab.behind(port or self.port)  # nobody on the LAN, where the port is one of another network
        return self.lab.sides_change({who: side}) if who else contextlib.nullcontext()

    def vanish(self):
        """Every switch port of it drops every frame: the node is lost, and nobody is told."""
        for port in (self.port, *self.more_ports):
            self.port_drop(port)

    def reappear(self):
        for port in (self.port, *self.more_ports):
            self.port_pass(port)

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
