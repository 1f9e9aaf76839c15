# SPDX-License-Identifier: Apache-2.0
"""Orders of people move addresses, and no client notices: berthctl drain, undrain, move, rebalance."""
from concurrent import futures

from handover_case import *  # noqa: F403


class OrderTest(HandOverTest):
    def order(self, *command):
        done = self.lab.ctl(*command, check=False)
        self.assertEqual(done.returncode, 0, done.stderr)
        return done.stdout

    def assert_refused(self, why, *command):
        done = self.lab.ctl(*command, check=False)
        self.assertEqual(done.returncode, 1)
        self.assertIn(why, done.stderr)

    def ask_during(self, *command, seconds=1.0):
        """Gives an order while queries go on; returns how many there were."""
        with futures.ThreadPoolExecutor() as pool:
            order = pool.submit(self.order, *command)
            asked = self.ask_each_10_ms(seconds)
            order.result()
        return asked


class Orders(OrderTest):
    """T137 berthctl drain and move lose no datagram of one a millisecond, and each ARP query is answered by exactly one"""

    def test(self):
        lab = self.cluster(nodes=3, services=1, ports=((PORT, "UDP"),))
        first = self.before[VIP]
        probe = self.start_probe()
        start = time.monotonic()
        asked = self.ask_each_10_ms(0.5)

        asked += self.ask_during("drain", first)
        second = self.lab.holders()[VIP]
        self.assertNotEqual(second, first)
        self.assertEqual({a["node"]: a["state"] for a in lab.get("agents")}[first], "DRAINING")
        third = next(n.name for n in lab.nodes if n.name not in (first, second))
        asked += self.ask_during("move", VIP, third)
        self.assertEqual(self.lab.holders()[VIP], third)
        self.assert_refused(f"{VIP} cannot move to {first}: the node is drained", "move", VIP, first)
        self.order("undrain", first)
        asked += self.ask_during("move", VIP, first)
        self.assertEqual(self.lab.holders()[VIP], first)

        lost = probe.end()
        self.assertFalse(lost[:10], f"{len(lost)} datagrams lost of {probe.sent}")
        self.assertGreater(probe.sent, 1000)
        answers = self.census.answers(start)
        self.assertEqual(len(answers), asked)
        # By exactly one, but for the few milliseconds in which a new holder says that it is there.
        news = [f.time for f in self.tap.gratuitous(start) if f.sender_ip == VIP]
        self.assertFalse([(when - start, hosts) for when, _, hosts in answers
                          if len(hosts) > 1 and not any(abs(when - at) < 0.005 for at in news)], "answered by several")
        self.assertEqual({hosts[-1] for _, _, hosts in answers[-50:] if hosts}, {first})
        self.assertLessEqual(self.longest_unanswered(), 0.05)


class DrainOutlivesController(OrderTest):
    """T141 A drain outlives a controller that is killed, nothing comes back before a rebalance, and that loses no datagram and no answer"""

    def test(self):
        lab = self.cluster(nodes=3, services=6, ports=((PORT, "UDP"),))
        node, addresses = self.loaded_node()
        moved = self.order("drain", node.name)
        for address in addresses:
            self.assertIn(f"{address} moved to ", moved)
        self.assertIn(f"node {node.name} is drained: {len(addresses)} address", moved)
        lab.kill_controller()
        lab.restart_controller()
        node.kill_agent()
        node.start_agent()
        wait_for("the drained agent", lambda: any(
            a["node"] == node.name and a["state"] == "DRAINING" for a in lab.get("agents")), 20)
        holders = lab.wait_announced(6)
        self.assertNotIn(node.name, holders.values())
        self.assert_each_answered_once(holders)
        self.order("undrain", node.name)
        plan = json.loads(self.order("rebalance", "--dry-run", "-o", "json"))["moves"]
        self.assertEqual({m["to"] for m in plan}, {node.name})
        self.assertEqual(lab.holders(), holders)
        self.rebalance(plan, holders, node)

    def rebalance(self, plan, holders, node):
        """Carries the plan out, all of which comes to that node, while a client uses one of the addresses."""
        probe = self.start_probe(plan[0]["address"])
        start = time.monotonic()
        asked = self.ask_each_10_ms(0.5)
        with futures.ThreadPoolExecutor() as pool:
            order = pool.submit(self.order, "rebalance")
            asked += self.ask_each_10_ms(1.0, longer=lambda: not order.done())
            self.assertIn(f"{len(plan)} addresses moved", order.result())
        asked += self.ask_each_10_ms(0.5)
        lost = probe.end()
        print(f"rebalance: {len(lost)} datagrams lost of {probe.sent}, longest unanswered {self.longest_unanswered() * 1000:.0f} ms")
        self.assertFalse(lost[:10], f"{len(lost)} datagrams lost of {probe.sent}")
        self.assertGreater(probe.sent, 1000)
        answers = [hosts for _, address, hosts in self.census.answers(start) if address == self.probed]
        self.assertEqual(len(answers), asked)
        self.assertEqual({host for hosts in answers[:20] for host in hosts}, {holders[self.probed]})
        self.assertEqual({host for hosts in answers[-20:] for host in hosts}, {node.name})
        self.assertLessEqual(self.longest_unanswered(), 0.05)

        after = self.lab.holders()
        self.assertEqual(after, {**holders, **{m["address"]: node.name for m in plan}})
        self.assert_balanced(after, self.lab.nodes)
        self.assert_each_answered_once(after)


class DrainOutlivesControllerSix(DrainOutlivesController):
    """T141 A drain of IPv6 addresses outlives a controller that is killed, and a rebalance of them loses no datagram and no answer"""

    six = True


class LastNode(OrderTest):
    """A drain of the last node that can hold an address says so and leaves it there, and an unknown node is named"""

    def test(self):
        lab = self.cluster(nodes=1, services=1)
        done = lab.ctl("drain", "node1", check=False)
        self.assertEqual(done.returncode, 1)
        self.assertIn(f"{VIP} stays: ", done.stderr)
        self.assertIn("no other node can hold it", done.stderr)
        self.assert_each_answered_once({VIP: "node1"})
        self.assert_refused("no agent of a node node7 has ever connected; there are those of node1", "drain", "node7")
        self.order("undrain", "node1")


if __name__ == "__main__":
    unittest.main()
