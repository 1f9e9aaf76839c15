# SPDX-License-Identifier: Apache-2.0
"""tools/bench failover measures what it says it does; its figures are not judged here."""
import json
import os
import subprocess
import sys
import tempfile

from lan_case import LanTest, unittest

BENCH = os.path.join(os.path.dirname(os.path.abspath(__file__)), "../../../tools/lib/bench_failover.py")


class FailoverBenchRuns(LanTest):
    """The bench of failover strikes the holder, sees another node answer, and tells gaps and lost datagrams"""

    flags, address = (), "192.168.50.50"

    def test(self):
        with tempfile.NamedTemporaryFile() as figures:
            done = subprocess.run([sys.executable, BENCH, "--runs=1", "--only=SIGKILL|drop all", f"--json={figures.name}", *self.flags],
                                  capture_output=True, text=True, timeout=100)
            self.assertEqual(done.returncode, 0, done.stdout + done.stderr)
            runs = json.load(figures)
        killed, lost = runs["agent killed (SIGKILL), its node lives"][0], runs["node lost without a sign (its switch ports drop all)"][0]
        self.assertEqual(killed["gap"] > 0, killed["lost"] > 0)
        self.assertGreater(lost["lost"], 0)
        # What is lost in a row cannot have been sent in less time than the gap lasted.
        self.assertGreater(lost["gap"], 0.0005 * lost["lost"])
        self.assertGreater(lost["sent"], 1000)
        self.assertIn(f"{self.address} on 3 nodes", done.stdout)
        self.assertIn("goal 1000 ms", done.stdout)
        self.assertRegex(done.stdout, r"captured: \d+ questions, \d+ answers, 1 addresses announced; nothing is wrong with it")


class FailoverBenchRunsSix(FailoverBenchRuns):
    """The bench of failover with --ipv6 does all that to an IPv6 address"""

    flags, address = ("--ipv6",), "fd00:50::100"


if __name__ == "__main__":
    unittest.main()
