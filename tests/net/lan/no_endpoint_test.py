# SPDX-License-Identifier: Apache-2.0
"""externalTrafficPolicy Local where there is no endpoint anywhere, and where only one of two sharers asks for it."""
from lan_case import *  # noqa: F403
from local_policy_test import LOCAL, endpoints


class NoEndpointTest(LanTest):
    def start(self, *services):
        lab = self.new_lab(2)
        lab.start()
        lab.manifest("pool.yaml", eip(address=self.range()))
        lab.manifest("services.yaml", "---\n".join(services))
        lab.wait_announced(1)
        self.listen()

    def set_endpoints(self, *nodes, ready=True):
        self.lab.manifest("endpoints.yaml", endpoints(*nodes, ready=ready, six=self.six))

    def wait_answers(self, *hosts):
        wait_for(f"answers by {hosts}", lambda: self.census.who_answers([self.vip], 0.3)[self.vip] == list(hosts), 10, 0)

    def assert_withdrawn(self, *services):
        """Nobody answers, and it is told why; the address stays with its Services."""
        self.wait_answers()
        lab = self.lab
        found = lab.get("addresses")[0]
        self.assertEqual((found["address"], found["state"], found["holder"]), (self.vip, "UNHELD", ""))
        for node in lab.nodes:
            self.assertIn(f"{node.name}: no ready endpoint here", lab.ctl("explain", "address", self.vip).stdout)
        self.assertEqual({s["name"]: s["addresses"] for s in lab.get("services")}, {name: [self.vip] for name in services})
        for name in services:
            with open(lab.controller_log) as log:
                self.assertTrue([line for line in log if f"no available nodes for service ip {self.vip}" in line
                                 and "no ready endpoint here" in line and f"service=default/{name}" in line])


class NoEndpoint(NoEndpointTest):
    """T133 An IPv6 address whose Service has no endpoint left is withdrawn, with an Event, and announced where the next one is"""

    six = True

    def test(self):
        self.start(self.service("web") + LOCAL)
        self.set_endpoints("node1")
        self.wait_answers("node1")
        self.set_endpoints("node1", "node2", ready=False)
        self.assert_withdrawn("web")
        self.set_endpoints("node2")
        self.wait_answers("node2")
        self.assertEqual(self.lab.wait_announced(1), {self.vip: "node2"})


class MixedPolicies(NoEndpointTest):
    """Of two sharers one asks for Local: the address is where that one has endpoints, and withdrawn for both where it has none"""

    def test(self):
        key = [("berth.io/sharing-key", "k")]
        other = self.service("other", ports=((81, "TCP"),), address=self.vip, annotations=key)
        web = self.service("web", address=self.vip, annotations=key)
        self.start(web, other)
        for name in ("node1", "node2"):
            self.set_endpoints(name)
            self.lab.manifest("services.yaml", "---\n".join([web + LOCAL, other]))
            self.wait_answers(name)
        self.set_endpoints("node1", "node2", ready=False)
        self.assert_withdrawn("web", "other")
        # Without that policy nothing binds the other any more.
        self.lab.manifest("services.yaml", "---\n".join([web, other]))
        self.assertEqual(list(self.lab.wait_announced(1)), [self.vip])
        self.assertEqual(len(self.census.who_answers([self.vip])[self.vip]), 1)


class MixedPoliciesSix(MixedPolicies):
    """Two sharers of an IPv6 address, of which one asks for Local, have it where that one has endpoints, or nowhere"""

    six = True


if __name__ == "__main__":
    unittest.main()
