# SPDX-License-Identifier: Apache-2.0
"""Programs that end and start again: nothing changes hands, nothing flickers."""
from lan_case import *  # noqa: F403

SERVICES = 6


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


class RestartTest(LanTest):
    def asked_by_nodes(self, since):
        """Questions of nodes for the Services' addresses: they ask before they announce."""
        names = {node.name for node in self.lab.nodes}
        return [f for f in self.tap.frames(since)
                if f.op == 1 and f.host in names and f.target_ip in self.before and f.sender_ip != f.target_ip]


class ControllerKilled(RestartTest):
    """A killed and restarted controller changes no allocation and no holder, and no node sends or removes anything"""

    def test(self):
        lab = self.cluster(nodes=3, services=SERVICES)
        services = lab.get("services")
        self.tap.wait_all_told()
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
        self.assertEqual(self.asked_by_nodes(since), [])
        self.assertEqual(watch.lines(), [])


class AgentWithoutController(RestartTest):
    """An agent that is restarted while the controller is dead announces again what it held"""

    def test(self):
        lab = self.cluster(nodes=3, services=SERVICES)
        node, held = self.loaded_node()
        # The disk follows within a moment; what is killed before that knows less after.
        state = os.path.join(node.state_dir, "agent-state")
        wait_for("the state on disk", lambda: all(f'"{a}"' in "".join(open_lines(state)) for a in held))
        lab.kill_controller()
        node.kill_agent()
        killed = time.monotonic()
        self.census.ask_all(held)
        since = time.monotonic()
        node.restart_agent()  # at once, before others find it silent
        wait_for("answers again", lambda: all(h == [node.name] for h in self.census.who_answers(held).values()), 20)
        self.assert_each_answered_once(self.before)
        self.assertEqual([answer for answer in self.census.answers(killed) if answer[0] < since and answer[2]], [])
        self.assert_asked_first(node, held, since)
        lab.restart_controller()
        lab.wait_agents(3)
        self.assertEqual(lab.wait_announced(SERVICES), self.before)
        self.assertEqual(self.census.twice_answered(), [])

    def assert_asked_first(self, node, held, since):
        """No other node told of them, and it told of each only after it had asked for it in nobody's name."""
        asked = [f for f in self.asked_by_nodes(since) if f.host == node.name]
        self.assertEqual({f.sender_ip for f in asked}, {"::" if self.six else "0.0.0.0"})
        for address in held:
            told = announcements(self.tap, address, node.mac, since)
            self.assertTrue(told, address)
            self.assertTrue([f for f in asked if f.target_ip == address and f.time < told[0]], address)
        self.assertEqual({f.host for f in self.tap.gratuitous(since) if f.sender_ip in held}, {node.name})


class EverythingKilled(RestartTest):
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


class ControllerKilledSix(ControllerKilled):
    """A killed and restarted controller changes no holder of an IPv6 address, and no node asks, announces or removes anything"""

    six = True


class AgentWithoutControllerSix(AgentWithoutController):
    """An agent that is restarted while the controller is dead asks for the IPv6 addresses it held and announces them again"""

    six = True


class EverythingKilledSix(EverythingKilled):
    """When everything is killed and started again each Service has its IPv6 address and each address its holder again"""

    six = True


if __name__ == "__main__":
    unittest.main()
