# SPDX-License-Identifier: Apache-2.0
"""What fails moves its own addresses and no others; nobody answers twice; what comes back moves nothing."""
import datetime
import re

from lan_case import *  # noqa: F403

SERVICES = 9


class FaultTest(LanTest):
    def set_up_fault(self):
        self.cluster(nodes=3, services=SERVICES)
        self.node, self.lost = self.loaded_node()
        self.kept = {a: n for a, n in self.before.items() if a not in self.lost}
        return self.node

    def wait_moved(self):
        """Asks until the lost addresses have other holders, and a second more; returns all holders."""
        def moved():
            self.census.ask_all(self.before)
            holders = self.lab.holders()
            return holders if all(holders.get(a, "") not in ("", self.node.name) for a in self.lost) else None
        wait_for("other holders", moved, 20)
        holders = self.lab.wait_announced(SERVICES)
        self.census.ask_for(1, self.before)
        return holders

    def assert_only_its_own_moved(self, holders):
        self.assertEqual({a: n for a, n in holders.items() if a in self.kept}, self.kept)
        self.assertNotIn(self.node.name, {holders[a] for a in self.lost})
        self.assert_each_answered_once(holders)

    def assert_nothing_moves_back(self, holders):
        self.lab.wait_agents(3)
        self.census.ask_for(3, self.before)
        self.assertEqual(self.lab.wait_announced(SERVICES), holders)
        self.assert_each_answered_once(holders)


class KilledAgent(FaultTest):
    """A killed agent loses its addresses and no other node its own, nobody answers twice and its kernel keeps silent"""

    def test(self):
        node = self.set_up_fault()
        self.census.ask_for(0.3, self.before)
        node.kill_agent()
        killed = time.monotonic()
        holders = self.wait_moved()
        self.assert_only_its_own_moved(holders)
        self.assertEqual(self.census.twice_answered(), [])
        self.assertTrue(set(self.lost) <= node.addresses("berth0"), "its kernel could answer")
        # What the agent sent before its end crosses the switch meanwhile.
        late = [f for f in self.tap.replies(killed + 0.1) if f.host == node.name and f.sender_ip in self.before]
        self.assertEqual(late, [])

        node.restart_agent()
        self.assert_nothing_moves_back(holders)
        self.assertEqual(self.census.twice_answered(), [])


class PortDown(FaultTest):
    """A node whose switch port goes down loses its addresses and no other node its own, and when it is back nothing moves"""

    def test(self):
        node = self.set_up_fault()
        node.port_down()
        holders = self.wait_moved()
        self.assert_only_its_own_moved(holders)
        self.assertEqual(self.census.twice_answered(), [])
        node.port_up()
        self.assert_nothing_moves_back(holders)


class PortDrops(FaultTest):
    """A node whose switch port drops all frames loses its addresses and no other node its own, and back again it moves nothing"""

    def test(self):
        node = self.set_up_fault()
        node.port_drop()
        cut = time.monotonic()
        holders = self.wait_moved()
        self.assertTrue(all(hosts != [node.name] for when, _, hosts in self.census.answers(cut + 0.1)))
        self.assert_only_its_own_moved(holders)
        node.port_pass()
        self.assert_nothing_moves_back(holders)


class ControlLost(FaultTest):
    """An agent that cannot reach the controller but answers on the LAN keeps its addresses and shows as CONTROL_LOST"""

    def test(self):
        node = self.set_up_fault()
        state = lambda: next(a["state"] for a in self.lab.get("agents") if a["node"] == node.name)  # noqa: E731
        since = time.monotonic()
        node.cut_control()

        def lost():
            self.census.ask_all(self.before)
            return state() == "CONTROL_LOST"
        wait_for("CONTROL_LOST", lost, 20)
        self.census.ask_for(4, self.before)
        self.assertEqual(self.lab.holders(), self.before)
        self.assertEqual(state(), "CONTROL_LOST")
        self.assert_each_answered_once(self.before)
        node.heal_control()
        self.lab.wait_agents(3)
        self.census.ask_for(2, self.before)
        self.assertEqual(self.lab.wait_announced(SERVICES), self.before)
        self.assert_each_answered_once(self.before)
        self.assertEqual(self.census.twice_answered(since), [])


class ThawedAgent(FaultTest):
    """An agent that stood still for five seconds takes nothing back, answers nothing late, and nobody answers twice"""

    def test(self):
        node = self.set_up_fault()
        self.census.ask_for(0.3, self.before)
        node.kill_agent(signal.SIGSTOP)
        stopped = time.monotonic()
        holders = self.wait_moved()
        self.assert_only_its_own_moved(holders)
        self.census.ask_for(max(0.0, stopped + 5 - time.monotonic()), self.before)
        node.kill_agent(signal.SIGCONT)
        thawed = time.monotonic()
        self.census.ask_for(3, self.before, every=0.005)
        self.assert_nothing_moves_back(holders)
        self.assertEqual(self.census.twice_answered(), [])
        spoke = [f for f in self.tap.frames(thawed)
                 if f.host == node.name and f.sender_ip in self.lost and (f.op == 2 or f.sender_ip == f.target_ip)]
        self.assertEqual(spoke, [])


class AnotherPace(LanTest):
    """Agents beat as often as the controller's flags say, and who falls silent is lost after as long as they say, no sooner"""

    def test(self):
        lab = self.new_lab(2)
        lab.start_controller(lab.folder_of_manifests(), "--heartbeat=400ms", "--agent-timeout=1200ms")
        for node in lab.nodes:
            node.start_agent()
        lab.wait_agents(2)
        # Until then agents are told nothing.
        wait_for("its start", lambda: json.loads(lab.ctl("version", "-o", "json").stdout)["status"].get("started"), 20, 0.05)
        node, beats = lab.nodes[0], []

        def enough():
            heard = datetime.datetime.fromisoformat(self.told(node)["lastHeartbeat"]).timestamp()
            if not beats or heard > beats[-1] + 0.01:  # its clock is read twice to tell it, so it is never quite the same
                beats.append(heard)
            return len(beats) == 8
        wait_for("eight heartbeats", enough, 20, 0.02)
        pauses = sorted(b - a for a, b in zip(beats, beats[1:]))
        self.assertGreater(pauses[3], 0.3, pauses)
        self.assertLess(pauses[3], 1, pauses)

        node.kill_agent(signal.SIGSTOP)
        wait_for("its loss", lambda: self.told(node)["state"] == "LOST", 20, 0.02)
        message = self.told(node)["message"]
        silent = re.fullmatch(r"no heartbeat for ([0-9.]+)s", message)
        self.assertTrue(silent, message)
        self.assertGreaterEqual(float(silent[1]), 1.2)
        self.assertLess(float(silent[1]), 5)
        node.kill_agent(signal.SIGCONT)
        lab.wait_agents(2)

    def told(self, node):
        return next(agent for agent in self.lab.get("agents") if agent["node"] == node.name)


class PortDownSix(PortDown):
    """A node whose switch port goes down loses its IPv6 addresses and no other node its own, and back again it moves nothing"""

    six = True


class KilledAgentSix(KilledAgent):
    """A killed agent loses its IPv6 addresses and no other node its own, nobody answers twice and its kernel keeps silent"""

    six = True


class PortDropsSix(PortDrops):
    """A node whose switch port drops all frames loses its IPv6 addresses, no other address moves, and back again nothing moves"""

    six = True


class ControlLostSix(ControlLost):
    """An agent that cannot reach the controller but answers on the LAN keeps its IPv6 addresses and shows as CONTROL_LOST"""

    six = True


class ThawedAgentSix(ThawedAgent):
    """An agent that stood still for five seconds takes no IPv6 address back and answers nothing late"""

    six = True


if __name__ == "__main__":
    unittest.main()
