# SPDX-License-Identifier: Apache-2.0
"""`tools/bench memory` works; what it measures is never a reason to fail."""
import re
import subprocess

from lan_case import *  # noqa: F403
from lan_case import LanTest, os, unittest
from netns import ROOT
from memory_of import Memory, slope


class MemoryIsMeasured(LanTest):
    """The memory bench measures idle, full and restless programs, plain and with mTLS, in one short run"""

    def test(self):
        done = subprocess.run(["python3", os.path.join(ROOT, "tools/lib/bench_memory.py"), "--quick"],
                              capture_output=True, text=True, timeout=110)
        self.assertEqual(done.returncode, 0, done.stdout + done.stderr)
        rows = {m[1].strip(): (float(m[2]), float(m[3]))
                for m in re.finditer(r"^(\S.{45}) +([\d.]+) +([\d.]+) +[\d.]+ +\d+ ", done.stdout, re.MULTILINE)}
        for what in ("bare gRPC client", "agent, idle", "controller, 3 agents, idle"):
            for kind in ("plain", "mTLS"):
                resident, anonymous = rows[f"{what}, {kind}"]
                self.assertGreater(resident, anonymous)
                self.assertGreater(anonymous, 0)
        self.assertIn("agent, 50 addresses", rows)
        self.assertIn("controller, 3 agents, 50 Services", rows)
        growth = r"[+-][\d.]+ \+- *(?:[\d.]+|inf|nan)"  # so short a run has no error to speak of
        churned = re.findall(rf"^(controller|node\d) +[\d.]+ +[\d.]+ +[\d.]+ .* {growth} +{growth}$", done.stdout, re.MULTILINE)
        self.assertEqual(churned, ["controller", "node1", "node2", "node3"])
        self.assertRegex(done.stdout, r"[1-9]\d* times 40 Services went and others came")


class GrowthIsTold(LanTest):
    """The memory bench sees a process grow, and tells growth from noise by a line of least squares"""

    def test(self):
        before = Memory.of(os.getpid())
        ballast = bytearray(os.urandom(1 << 20) * 32)
        after = Memory.of(os.getpid())
        self.assertGreater(after.anonymous, before.anonymous + 30 * 1024)
        self.assertGreater(after.resident, before.resident + 30 * 1024)
        del ballast
        self.assertAlmostEqual(slope([(0, 1), (1, 3), (2, 5)]), 2)
        self.assertAlmostEqual(slope([(0, 10), (1, 12), (2, 12), (3, 10)]), 0)
        self.assertEqual(slope([(5, 7)]), 0)


if __name__ == "__main__":
    unittest.main()
