# SPDX-License-Identifier: Apache-2.0
"""Programs that end and start again: nothing changes hands, nothing flickers."""
from lan_case import *  # noqa: F403

SERVICES = 6
QUIET = 11  # seconds: what is gained is told the LAN for ten


class AddressWatch:
    """What `ip monitor address` prints on each node."""

    def __init__(self, lab):
        self.logs = {}
        for node in lab.nodes:
            self.logs[node.name] = os.path.join(lab.folder, f"monitor-{node.name}.txt")
            node.spawn("ip", "-o", "monitor", "address", log=self.logs[node.name])

    def lines(self):
        return [f"{name}: {line.strip()}" for name, path in self.logs.items() for line in open_lines(path)]


def open_lines(path):
    with open(path, errors="replace") as f:
        return f.readlines()


class ControllerKilled(LanTest):
    """A killed and restarted controller changes no allocation and no holder, and no node sends or removes anything"""

    def test(self):
        lab = self.cluster(nodes=3, services=SERVICES)
        services = lab.get("services")
        time.sleep(QUIET)
        watch = AddressWatch(lab)
        since = time.monotonic()
        lab.kill_controller()
        self.census.ask_for(2, self.before)
        self.assert_each_answered_once(self.before)
        lab.restart_controller()
        lab.wait_agents(3)
        self.assertEqual(lab.wait_announced(SERVICES), self.before)
        self.census.ask_for(4, self.before)
        self.assertEqual(lab.wait_announced(SERVICES), self.before)
        self.assertEqual(lab.get("services"), services)
        self.assert_each_answered_once(self.before)
        self.assertEqual([hosts for _, _, hosts in self.census.answers(since) if len(hosts) != 1], [])
        self.assertEqual(self.tap.gratuitous(since), [])
        self.assertEqual(watch.lines(), [])


class AgentWithoutController(LanTest):
    """An agent that is restarted while the controller is dead announces again what it held"""

    def test(self):
        lab = self.cluster(nodes=3, services=SERVICES)
        node, held = self.loaded_node()
        # The disk follows within a moment; what is killed before that knows less after.
        state = os.path.join(node.state_dir, "agent-state")
        wait_for("the state on disk", lambda: all(f'"{a}"' in "".join(open_lines(state)) for a in held))
        lab.kill_controller()
        node.kill_agent()
        self.assertEqual({tuple(h) for h in self.census.who_answers(held, timeout=0.3).values()}, {()})
        node.restart_agent()
        wait_for("answers again", lambda: all(h == [node.name] for h in self.census.who_answers(held).values()), 20)
        self.assert_each_answered_once(self.before)
        lab.restart_controller()
        lab.wait_agents(3)
        self.assertEqual(lab.wait_announced(SERVICES), self.before)
        self.assertEqual(self.census.twice_answered(), [])


class EverythingKilled(LanTest):
    """When everything is killed and started again each Service has its address and each address its holder again"""

    def test(self):
        lab = self.cluster(nodes=3, services=SERVICES)
        services = {(s["namespace"], s["name"]): s["addresses"] for s in lab.get("services")}
        for node in lab.nodes:
            node.kill_agent()
        lab.kill_controller()
        lab.restart_controller()
        for node in lab.nodes:
            node.restart_agent()
        lab.wait_agents(3)
        holders = lab.wait_announced(SERVICES)
        self.assertEqual({(s["namespace"], s["name"]): s["addresses"] for s in lab.get("services")}, services)
        self.assert_each_answered_once(holders)
        self.assertEqual(self.census.twice_answered(), [])


if __name__ == "__main__":
    unittest.main()
