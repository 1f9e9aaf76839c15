# SPDX-License-Identifier: Apache-2.0
"""Records what crosses a lab's switch, for tools/lib/check_capture.py, a program that knows nothing of Berth's own parsers."""
import contextlib
import json
import os
import signal
import subprocess
import sys
import time

from netns import run, wait_for

CHECK = os.path.join(os.path.dirname(os.path.abspath(__file__)), "check_capture.py")


class Capture:
    """ARP and ICMPv6 frames as each switch port receives them, in a file, and beside it who was cut off from whom when."""

    def __init__(self, lab, path):
        self.lab, self.path, self.changes = lab, path, []
        links = json.loads(run("ip", "-n", lab.switch_ns, "-j", "link").stdout)
        index = {link["ifname"]: link["ifindex"] for link in links}
        self.ports = {index[host.port]: host.name for host in lab.hosts}
        self.process = subprocess.Popen(
            ["ip", "netns", "exec", lab.switch_ns, "tcpdump", "-n", "-i", "any", "-Q", "in", "-y", "LINUX_SLL2", "-B", "8192", "-s", "128",
             "--immediate-mode", "-U", "-w", path, "arp or icmp6"],
            stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True, process_group=0)
        lab.processes.append(self.process)
        wait_for("tcpdump to listen", lambda: os.path.exists(path) and os.path.getsize(path) >= 24, 10)

    @contextlib.contextmanager
    def change(self, sides=None, heals=False):
        """Around a command after which hosts are on these sides: {host name: side}, of side 0 where it is not named."""
        begin = time.time()
        yield
        self.changes.append({"begin": begin, "end": time.time(), "sides": sides or {}, "heals": heals})

    def end(self):
        """Stops recording; returns what is wrong with what was recorded, one line each."""
        self.process.send_signal(signal.SIGINT)
        self.process.communicate(timeout=20)
        about = self.path + ".json"
        with open(about, "w") as out:
            json.dump({"ports": self.ports, "changes": self.changes}, out)
        done = subprocess.run([sys.executable, CHECK, self.path, "--about", about], capture_output=True, text=True)
        if done.returncode not in (0, 1):
            raise RuntimeError(f"{CHECK}: exit {done.returncode}: {done.stderr}")
        *wrong, self.looked_at = done.stdout.splitlines()
        return wrong
