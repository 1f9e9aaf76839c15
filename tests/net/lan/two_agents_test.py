# SPDX-License-Identifier: Apache-2.0
"""Two agents of one node, as during an upgrade."""
from lan_case import *  # noqa: F403


class TwoAgents(LanTest):
    """Of two agents of one node the younger wins, the older is told why and ends, and nothing moves"""

    def test(self):
        lab = self.cluster(nodes=2, services=4)
        node, held = self.loaded_node()
        self.census.ask_for(0.2, self.before)
        older = node.agent
        node.log = os.path.join(lab.folder, "agent-younger.log")
        younger = node.start_agent("--http-listen=:8082")
        self.assertEqual(older.wait(40), 3)
        with open(os.path.join(lab.folder, f"agent-{node.name}.log"), errors="replace") as log:
            self.assertRegex(log.read(), "newer|younger|superseded")
        lab.wait_agents(2)
        self.census.ask_for(2, self.before)
        self.assertIsNone(younger.poll())
        self.assertEqual(lab.wait_announced(4), self.before)
        self.assert_each_answered_once(self.before)
        self.assertTrue(set(held) <= node.addresses("berth0"))
        # For a moment both may answer, by the same MAC.
        self.assertEqual([a for a, hosts in self.census.twice_answered() if len(set(hosts)) > 1], [])


class SamePort(LanTest):
    """A younger agent of a node whose older one has the port of its pages announces all the same, and takes the port over"""

    def test(self):
        lab = self.cluster(nodes=1, services=2)
        node = lab.nodes[0]
        older = node.agent
        node.log = os.path.join(lab.folder, "agent-younger.log")
        younger = node.start_agent()
        wait_for("the younger one's pages", lambda: f"pid={younger.pid}," in node.exec("ss", "-Hltnp", "sport = :8081").stdout, 10, 0.05)
        # It waits to be told, since kubelet would start it anew and so make it the younger.
        self.assertIsNone(older.poll())
        older.send_signal(signal.SIGTERM)
        self.assertEqual(older.wait(5), 3)
        with open(node.log, errors="replace") as log:
            self.assertIn("pages have to wait", log.read())
        self.assertIsNone(younger.poll())
        self.assertEqual(lab.wait_announced(2), self.before)


if __name__ == "__main__":
    unittest.main()
