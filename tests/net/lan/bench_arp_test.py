# SPDX-License-Identifier: Apache-2.0
"""tools/bench arp measures what it says it does; what comes out is not judged here."""
import json
import os
import subprocess
import sys
import tempfile

from lan_case import LanTest, unittest

BENCH = os.path.join(os.path.dirname(os.path.abspath(__file__)), "../../../tools/lib/bench_arp.py")


class BenchRuns(LanTest):
    """The bench of ARP answers measures agent and kernel on switch and cable and holds the figures against the goals"""

    def measure(self, *flags):
        with tempfile.NamedTemporaryFile() as figures:
            done = subprocess.run([sys.executable, BENCH, "--quick", f"--json={figures.name}", *flags],
                                  capture_output=True, text=True, timeout=100)
            self.assertEqual(done.returncode, 0, done.stdout + done.stderr)
            return json.load(figures), done.stdout

    def check(self, figures, text):
        self.assertEqual(len(figures["rounds"]), 1)
        only = figures["rounds"][0]
        self.assertEqual(sorted(only["answers"]), ["agent 1", "agent 100", "kernel 1", "kernel 100"])
        for name, one in only["answers"].items():
            with self.subTest(name):
                self.assertLessEqual(one["lost"], one["asked"] // 2)
                self.assertGreater(one["min_ns"], 0)
                self.assertLessEqual(one["min_ns"], one["p50_ns"])
                self.assertLessEqual(one["p50_ns"], one["p99_ns"])
                self.assertGreater(one["per_second_64"], 0)
                self.assertGreater(one["per_second_1024"], 0)
        for where in ("inside", "outside"):
            self.assertEqual(only["foreign"][where]["answered"], 0)
            self.assertEqual(only["foreign"][where]["lost"], only["foreign"][where]["asked"])
        for each in figures["goals"]:
            self.assertIn(each["name"], text)

    def test(self):
        self.check(*self.measure())
        self.check(*self.measure("--cable"))


if __name__ == "__main__":
    unittest.main()
