# SPDX-License-Identifier: Apache-2.0
"""The chart runs from the root file systems of the images, from installation to the end."""
import sys

from faults_case import *  # noqa: F403
from netns import ROOT

BIN = os.path.join(os.environ.get("BERTH_BUILD", os.path.join(ROOT, "build/release")), "bin")


class Images(FaultTest):
    """A Service has its address and its page while both programs see nothing but their image, and they leave nothing behind"""

    def setUp(self):
        cluster = shared_cluster(**self.CLUSTER)
        out = os.path.join(cluster.folder, "images")
        run(sys.executable, os.path.join(ROOT, "tools/lib/image_root.py"), BIN, out)
        for part in ("controller", "agent"):
            cluster.kubelet.images[f"berth-{part}"] = Image([f"/usr/bin/berth-{part}"], root=os.path.join(out, part))
        super().setUp()

    def test(self):
        for pod in self.berth.controllers + self.berth.agents:
            self.assertTrue(os.readlink(f"/proc/{pod.pid}/exe").endswith(pod.container().image.entrypoint[0]))
            self.assertFalse(os.path.exists(f"/proc/{pod.pid}/root/bin/sh"))
        address = self.web_service()
        self.assertIn("Role:       leader", self.berth.ctl("version"))
        self.check_promises()
        self.delete("web")
        wait_for("its end", lambda: not self.services(), 20, 0.02)
        wait_for("silence", lambda: not self.cluster.asker.who_has(address), 10)
        self.berth.uninstall()
        wait_for("the end of its pods", lambda: not self.berth.controllers + self.berth.agents, 60, 0.1)


if __name__ == "__main__":
    main()
