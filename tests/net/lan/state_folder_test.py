# SPDX-License-Identifier: Apache-2.0
"""The controller's state folder when the disk is full, read-only or its file corrupt."""
from lan_case import *  # noqa: F403
from netns import run


class StateFolder(LanTest):
    def on_small_disk(self):
        """A cluster whose controller keeps its state on a disk of 64 KiB."""
        lab = self.new_lab(2)
        self.folder = os.path.join(lab.folder, "controller")
        os.mkdir(self.folder)
        run("mount", "-t", "tmpfs", "-o", "size=64k", "tmpfs", self.folder)
        lab.start()
        lab.manifest("pool.yaml", eip())
        lab.manifest("first.yaml", service("first"))
        self.before = lab.wait_announced(1)
        self.tap = lab.tap()
        self.census = Census(lab, self.tap)
        return lab

    def second(self):
        return next((s for s in self.lab.get("services") if s["name"] == "second"), {})


class FullDisk(StateFolder):
    """With a full state folder a new Service waits with a reason, what runs goes on, and room again ends the wait"""

    def test(self):
        lab = self.on_small_disk()
        filler = os.path.join(self.folder, "filler")
        with open(filler, "wb", buffering=0) as f:
            try:
                while f.write(b"x" * 4096):
                    pass
            except OSError:
                pass
        lab.manifest("second.yaml", service("second"))
        wait_for("a reason", lambda: self.second().get("state") == "PENDING" and "space" in self.second()["message"], 15)
        self.assertEqual(self.second()["addresses"], [])
        self.assert_each_answered_once(self.before)
        os.unlink(filler)
        lab.wait_announced(2)
        self.assertEqual(lab.holders()["192.168.50.50"], self.before["192.168.50.50"])


class ReadOnlyDisk(StateFolder):
    """A controller whose state folder is read-only says so, and what runs goes on without it"""

    def test(self):
        lab = self.on_small_disk()
        lab.kill_controller()
        run("mount", "-o", "remount,ro", self.folder)
        refused = lab.controller_host.exec(
            os.path.join(lab.bin, "berth-controller"), f"--source=files:{lab.manifests}", f"--state-dir={self.folder}",
            "--insecure", check=False, timeout=20)
        self.assertNotEqual(refused.returncode, 0)
        self.assertIn(self.folder, refused.stderr)
        self.assertIn("ead-only", refused.stderr)
        self.assert_each_answered_once(self.before)
        run("mount", "-o", "remount,rw", self.folder)
        lab.restart_controller()
        lab.wait_agents(2)
        self.assertEqual(lab.wait_announced(1), self.before)


class CorruptState(StateFolder):
    """A corrupt state file is kept aside and reported, and what agents announce is given to nobody else meanwhile"""

    def test(self):
        lab = self.on_small_disk()
        lab.kill_controller()
        path = os.path.join(self.folder, "state.json")
        with open(path, "r+b") as f:
            f.truncate(os.path.getsize(path) // 2)
            cut = f.read()
        lab.restart_controller()
        aside = [n for n in os.listdir(self.folder) if n.startswith("state.json.corrupt")]
        self.assertEqual(len(aside), 1)
        with open(os.path.join(self.folder, aside[0]), "rb") as f:
            self.assertEqual(f.read(), cut)
        self.assertIn(aside[0], lab.ctl("dump").stdout)
        lab.wait_agents(2)
        self.census.ask_for(4, ["192.168.50.50", "192.168.50.51"])
        now = lab.wait_announced(1)
        self.assert_each_answered_once(now)
        self.assertEqual(self.census.twice_answered(), [])
        if now != self.before:
            self.assertNotIn("192.168.50.50", now)
            wait_for("silence", lambda: self.census.who_answers(self.before, 0.3)["192.168.50.50"] == [])


if __name__ == "__main__":
    unittest.main()
