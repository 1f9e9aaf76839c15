# SPDX-License-Identifier: Apache-2.0
"""Faults at random: a few of them in every run of the tests, with another seed each time; tools/chaos for more."""
import os
import subprocess
import sys
import tempfile
import unittest

CHAOS = os.path.join(os.path.dirname(os.path.abspath(__file__)), "../../../tools/lib/chaos.py")


class RandomFaults(unittest.TestCase):
    """After each of several random faults every address is where it was, announced and answered for by one node alone"""

    def test(self):
        with tempfile.TemporaryDirectory() as folder:
            done = subprocess.run([sys.executable, CHAOS, "--faults=12", f"--folder={folder}/chaos"], capture_output=True, text=True)
            self.assertEqual(done.returncode, 0, done.stdout[-6000:] + done.stderr)
            self.assertIn("12 faults, everything held", done.stdout)


if __name__ == "__main__":
    unittest.main()
