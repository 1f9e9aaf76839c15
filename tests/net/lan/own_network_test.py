# SPDX-License-Identifier: Apache-2.0
"""An Eip over the network that the nodes live in themselves."""
from lan_case import *  # noqa: F403


class OwnNetwork(LanTest):
    """An Eip over the nodes' own /24 gives no node's or host's address away, and all still reach each other"""

    def test(self):
        lab = self.cluster(nodes=3, services=40, pool="192.168.50.0/24")
        hosts = [*lab.nodes, lab.client, lab.controller_host]
        given = set(self.before)
        self.assertEqual(given & {h.address for h in hosts}, set())
        self.assertEqual(given & {"192.168.50.0", "192.168.50.255"}, set())
        self.assert_each_answered_once(self.before)
        pool = lab.get("pools")[0]
        self.assertIn("192.168.50.11-192.168.50.13", pool["message"])
        self.assertEqual(pool["conflicted"], [lab.controller_host.address, lab.client.address])

        for host in hosts:
            host.ip("neigh", "flush", "all")
        for host in hosts:
            for other in hosts:
                if other is not host:
                    self.assertTrue(reaches(host, other), f"{host.name} does not reach {other.name}")
        for node in lab.nodes:
            self.assertEqual(self.census.who_answers([node.address])[node.address], [node.name])

    def test_an_address_asked_for(self):
        lab = self.cluster(nodes=2, services=1, pool="192.168.50.0/24")
        node = lab.nodes[1]
        lab.manifest("greedy.yaml", service("greedy", address=node.address))
        greedy = lambda: next((s for s in lab.get("services") if s["name"] == "greedy"), None)  # noqa: E731
        wait_for("a reason", lambda: (s := greedy()) and s["state"] == "PENDING" and s["reason"])
        self.assertEqual(greedy()["addresses"], [])
        self.assertIn(node.address, greedy()["message"])
        self.assertEqual(self.census.who_answers([node.address])[node.address], [node.name])


def reaches(host, other):
    """Whether a datagram to a closed port brings the other kernel's refusal."""
    with host.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
        sock.settimeout(2)
        sock.connect((other.address, 9))
        for _ in range(3):
            try:
                sock.send(b"x")
                sock.recv(1)
            except ConnectionRefusedError:
                return True
            except TimeoutError:
                pass
    return False


if __name__ == "__main__":
    unittest.main()
