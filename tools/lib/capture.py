# SPDX-License-Identifier: Apache-2.0
"""Records what crosses a lab's switch, for tools/lib/check_capture.py, a program that knows nothing of Berth's own parsers."""
import contextlib
import json
import os
import signal
import subprocess
import sys
import time

from netns import inside_command, run, wait_for

CHECK = os.path.join(os.path.dirname(os.path.abspath(__file__)), "check_capture.py")


class Capture:
    """ARP and ICMPv6 frames as each switch port receives them, in a file, and beside it what a decoder cannot know."""

    def __init__(self, lab, path, asker=None):
        """`asker`: the host whose questions must not wait longer than within() allows."""
        self.lab, self.path, self.asker, self.budgets, self.waits = lab, path, asker, [], {}
        self.process = subprocess.Popen(
            inside_command(lab.switch_ns, "tcpdump", "-Z", "root", "-n", "-i", "any", "-Q", "in", "-y", "LINUX_SLL2", "-B", "8192",
                           "-s", "128", "--immediate-mode", "-U", "-w", path, "arp or icmp6"),
            stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True, process_group=0)
        lab.processes.append(self.process)
        wait_for("tcpdump to listen", lambda: os.path.exists(path) and os.path.getsize(path) >= 24, 10)

    @contextlib.contextmanager
    def within(self, seconds, what):
        """Meanwhile the asker's questions may wait that long, because of what is under way; None: nobody can answer."""
        begin = time.time()
        try:
            yield
        finally:
            self.budgets.append({"begin": begin, "end": time.time(), "seconds": seconds, "what": what})

    def ports(self):
        """{index of a switch port: who is behind it}"""
        links = json.loads(run("ip", "-n", self.lab.switch_ns, "-j", "link").stdout)
        return {link["ifindex"]: name for link in links if (name := self.lab.behind(link["ifname"]))}

    def end(self):
        """Stops recording; returns what is wrong with what was recorded, one line each."""
        ports, ended = self.ports(), self.process.poll()
        if ended is None:
            self.process.send_signal(signal.SIGINT)
        _, said = self.process.communicate(timeout=20)
        if ended is not None:
            raise RuntimeError(f"tcpdump ended by itself: exit {ended}: {said}")
        about, waits = self.path + ".json", self.path + ".waits"
        with open(about, "w") as out:
            json.dump({"ports": ports, "changes": self.lab.changes, "asker": self.asker and self.asker.name, "budgets": self.budgets,
                       "strangers": [host.name for host in self.lab.hosts if host not in self.lab.nodes]}, out)
        done = subprocess.run([sys.executable, CHECK, self.path, "--about", about, "--waits", waits], capture_output=True, text=True)
        if done.returncode not in (0, 1):
            raise RuntimeError(f"{CHECK}: exit {done.returncode}: {done.stderr}")
        with open(waits) as found:
            self.waits = json.load(found)  # what was under way -> [longest wait in seconds, address]
        *wrong, self.looked_at = done.stdout.splitlines()
        return wrong
