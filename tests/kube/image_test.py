# SPDX-License-Identifier: Apache-2.0
"""The images hold the stripped programs, what these load, and nothing that could run besides."""
import os
import subprocess
import sys
import tempfile
import unittest

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
BIN = os.path.join(os.environ.get("BERTH_BUILD", os.path.join(ROOT, "build/release")), "bin")
PROGRAMS = {"controller": {"berth-controller", "berthctl"}, "agent": {"berth-agent"}}


def elf(path):
    with open(path, "rb") as f:
        return f.read(4) == b"\x7fELF"


def sections(path):
    return subprocess.run(["readelf", "-SW", path], check=True, capture_output=True, text=True).stdout


class Images(unittest.TestCase):
    """Each program starts in its root file system alone, every library there is one it loads, and its symbols lie aside"""

    @classmethod
    def setUpClass(cls):
        folder = tempfile.TemporaryDirectory()
        cls.addClassCleanup(folder.cleanup)
        cls.out = folder.name
        subprocess.run([sys.executable, os.path.join(ROOT, "tools/lib/image_root.py"), BIN, cls.out], check=True)

    def files(self, part):
        root = os.path.join(self.out, part)
        return {os.path.relpath(os.path.join(where, name), root): os.path.join(where, name)
                for where, _, names in os.walk(root) for name in names if not os.path.islink(os.path.join(where, name))}

    def loaded(self, part, program):
        """What the loader of that root loads for it, as paths in the root."""
        loader = next(path for path in self.files(part) if os.path.basename(path).startswith("ld-linux"))
        done = subprocess.run(["chroot", os.path.join(self.out, part), f"/{loader}", "--list", f"/usr/bin/{program}"],
                              check=True, capture_output=True, text=True)
        self.assertNotIn("not found", done.stdout)
        words = [w for line in done.stdout.splitlines() for w in line.split() if w.startswith("/")]
        return {os.path.relpath(os.path.realpath(os.path.join(self.out, part, w.lstrip("/"))), os.path.join(self.out, part)) for w in words}

    def test(self):
        for part, programs in PROGRAMS.items():
            files = self.files(part)
            executables = {path for path, real in files.items() if elf(real)}
            wanted = {f"usr/bin/{p}" for p in programs}
            for program in programs:
                done = subprocess.run(["chroot", os.path.join(self.out, part), f"/usr/bin/{program}", "--version"],
                                      capture_output=True, text=True)
                self.assertEqual((done.returncode, done.stderr), (0, ""))
                wanted |= self.loaded(part, program)
            self.assertEqual(executables, wanted)
            scripts = [path for path, real in files.items() if os.access(real, os.X_OK) and path not in executables]
            self.assertEqual(scripts, [])

    def test_symbols_lie_aside(self):
        for part, programs in PROGRAMS.items():
            for program in programs:
                self.assertNotIn(".symtab", sections(os.path.join(self.out, part, "usr/bin", program)))
                self.assertIn(".gnu_debuglink", sections(os.path.join(self.out, part, "usr/bin", program)))
                self.assertIn(".symtab", sections(os.path.join(self.out, "debug", program + ".debug")))

    def test_answers_for_no_library_that_it_has_linked_in(self):
        """What libcurl asks of the shared OpenSSL is never answered by the program's own copy."""
        for part, programs in PROGRAMS.items():
            for program in programs:
                exported = subprocess.run(["nm", "-D", "--defined-only", os.path.join(self.out, part, "usr/bin", program)],
                                          check=True, capture_output=True, text=True).stdout
                self.assertNotRegex(exported, r" [TDBW] (SSL|CRYPTO|EVP|OPENSSL|X509|BIO|ERR|deflate|inflate)")

    def test_tells_users_and_packages(self):
        for part in PROGRAMS:
            files = self.files(part)
            with open(files["etc/passwd"]) as f:
                self.assertIn(":65532:65532:", f.read())
            self.assertIn("etc/os-release", files)
            packages = {os.path.basename(p) for p in files if p.startswith("var/lib/dpkg/status.d/")}
            self.assertLessEqual({"libc6", "libstdc++6"}, packages)
            self.assertEqual("libpcap0.8" in packages, part == "agent")
            with open(files["usr/share/doc/berth/static-libraries"]) as f:
                self.assertIn("openssl ", f.read())


if __name__ == "__main__":
    unittest.main()
