# SPDX-License-Identifier: Apache-2.0
"""What Node objects say moves addresses on a real LAN, or does not; and a controller that loses most agents moves nothing."""
from lan_case import *  # noqa: F403

EXCLUDED = "node.kubernetes.io/exclude-from-external-load-balancers"


class NodesTest(LanTest):
    def node(self, name, ready=True, unavailable=False, unschedulable=False, **labels):
        """The Node object of that name; labels: excluded=True, disk="ssd"."""
        if labels.pop("excluded", False):
            labels[EXCLUDED] = '""'
        lines = ["apiVersion: v1", "kind: Node", "metadata:", f"  name: {name}",
                 "  labels: {" + ", ".join(f"{key}: {value}" for key, value in labels.items()) + "}",
                 "spec:", f"  unschedulable: {str(unschedulable).lower()}", "status:", "  conditions:",
                 f'    - {{type: Ready, status: "{ready}"}}', f'    - {{type: NetworkUnavailable, status: "{unavailable}"}}']
        self.lab.manifest(f"{name}.yaml", "\n".join(lines) + "\n")

    def others(self, *names):
        return {node.name for node in self.lab.nodes} - set(names)

    def wait_holder(self, names):
        """Until one of these nodes holds the address, and answers alone; returns which."""
        wait_for(f"a holder among {names}", lambda: self.lab.holders().get(self.vip) in names, 10, 0.02)
        holder = self.lab.holders()[self.vip]
        self.assert_each_answered_once({self.vip: holder})
        return holder

    def assert_stays(self, holder, seconds=2):
        """Asked all the while, that node answers each time, and alone."""
        since = time.monotonic()
        self.census.ask_for(seconds, [self.vip], every=0.05)
        time.sleep(0.3)
        self.assertEqual({tuple(hosts) for _, _, hosts in self.census.answers(since)}, {(holder,)})
        self.assertEqual(self.lab.holders()[self.vip], holder)


class LabelsAndConditions(NodesTest):
    """T135 T136 a node that is excluded by label, without network, not Ready or cordoned hands its address over, and most of them not"""

    def test(self):
        self.cluster(nodes=3, services=1)
        holder = self.before[self.vip]
        for trouble in ({"excluded": True}, {"unavailable": True}, {"ready": False}, {"unschedulable": True}):
            with self.subTest(trouble):
                self.node(holder, **trouble)
                after = self.wait_holder(self.others(holder))
                self.node(holder)
                self.assert_stays(after, 1)
                holder = after
        # Two of three at once: the API server is more likely at fault.
        for name in sorted(self.others(holder))[:1]:
            self.node(name, ready=False)
        self.node(holder, ready=False)
        self.assert_stays(holder)


class LabelsAndConditionsSix(LabelsAndConditions):
    """T135 T136 the same makes a node hand an IPv6 address over"""

    six = True


class Selected(NodesTest):
    """An Eip's nodeSelector says which nodes may hold its addresses, and its holder follows the labels"""

    def test(self):
        lab = self.new_lab(3)
        lab.start()
        self.node("node3", disk="ssd")
        lab.manifest("pool.yaml", eip(address=self.range(), extra="  nodeSelector:\n    matchLabels: {disk: ssd}\n"))
        lab.manifest("services.yaml", self.service("s0"))
        self.assertEqual(lab.wait_announced(1)[self.vip], "node3")
        self.listen()
        self.node("node2", disk="ssd")
        self.assert_stays("node3", 1)
        self.node("node3", disk="hdd")
        self.assertEqual(self.wait_holder({"node2"}), "node2")


class SelectedSix(Selected):
    """An Eip's nodeSelector counts for IPv6 addresses too"""

    six = True


class MostAgentsLost(NodesTest):
    """A controller that loses most agents at once distrusts itself, and their addresses stay where they answer"""

    def test(self):
        lab = self.cluster(nodes=3, services=6)
        for node in lab.nodes[:2]:
            node.cut_control()
        wait_for("a controller that starts over", lambda: "lost more than half of the agents at once" in open(lab.controller_log).read(), 20, 0.05)
        since = time.monotonic()
        self.census.ask_for(6, self.before, every=0.05)  # longer than it waits for agents before it begins
        time.sleep(0.3)
        wrong = [(address, hosts) for _, address, hosts in self.census.answers(since) if hosts != [self.before[address]]]
        self.assertEqual(wrong, [])


class MostAgentsLostSix(MostAgentsLost):
    """A controller that loses most agents at once leaves IPv6 addresses where they answer"""

    six = True


class ComesAndGoes(NodesTest):
    """A node whose agent is lost three times within minutes is given nothing that the other can hold, and says why"""

    def test(self):
        lab = self.new_lab(2)
        lab.start()
        node = lab.nodes[0]
        for _ in range(3):
            node.kill_agent()
            wait_for("its loss", lambda: self.agent(node)["state"] == "LOST", 10, 0.02)
            node.restart_agent()
            wait_for("its return", lambda: self.agent(node)["state"] == "READY", 20, 0.02)
        self.assertIn("its agent was lost 3 times within 5m: other nodes are preferred", self.agent(node)["message"])
        lab.manifest("pool.yaml", eip(address=self.range()))
        lab.manifest("services.yaml", "---\n".join(self.service(f"s{i}") for i in range(6)))
        self.assertEqual(set(lab.wait_announced(6).values()), {lab.nodes[1].name})

    def agent(self, node):
        return next(agent for agent in self.lab.get("agents") if agent["node"] == node.name)


class ComesAndGoesSix(ComesAndGoes):
    """A node whose agent is lost three times within minutes is given no IPv6 address that the other can hold"""

    six = True


class OrdersSix(NodesTest):
    """T137 IPv6 addresses leave a node that is drained, and come to it again when people order a rebalance"""

    six = True

    def test(self):
        lab = self.cluster(nodes=2, services=6)
        node, addresses = self.loaded_node()
        since = time.monotonic()
        lab.ctl("drain", node.name)
        self.assertEqual(set(lab.holders().values()), self.others(node.name))
        lab.ctl("undrain", node.name)
        planned = lab.ctl("rebalance", "--dry-run").stdout
        self.assertEqual(set(lab.holders().values()), self.others(node.name))
        lab.ctl("rebalance")
        wait_for("an even spread", lambda: sorted(list(lab.holders().values()).count(n.name) for n in lab.nodes) == [3, 3], 20, 0.05)
        self.assertEqual(sum(address in planned for address in lab.holders()), 3)
        self.assert_each_answered_once(lab.holders())
        self.assertEqual(self.census.twice_answered(since), [])


if __name__ == "__main__":
    unittest.main()
