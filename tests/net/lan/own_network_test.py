# SPDX-License-Identifier: Apache-2.0
"""An Eip over the network that the nodes live in themselves."""
from lan_case import *  # noqa: F403
from ndp_wire import own_ipv6


class OwnNetwork(LanTest):
    """An Eip over the nodes' own /24 gives no node's or host's address away, and all still reach each other"""

    network = "192.168.50.0/24"
    never = {"192.168.50.0", "192.168.50.255"}

    def address_of(self, host):
        return own_ipv6(host) if self.six else host.address

    def test(self):
        lab = self.cluster(nodes=3, services=40, pool=self.network)
        hosts = [*lab.nodes, lab.client, lab.controller_host]
        given = set(self.before)
        self.assertEqual(given & {self.address_of(h) for h in hosts}, set())
        self.assertEqual(given & self.never, set())
        self.assert_each_answered_once(self.before)
        pool = lab.get("pools")[0]
        self.assertIn(self.range("192.168.50.11", "192.168.50.13"), pool["message"])
        self.assertEqual(pool["conflicted"], [self.address_of(lab.controller_host), self.address_of(lab.client)])

        for host in hosts:
            host.ip("neigh", "flush", "all")
        for host in hosts:
            for other in hosts:
                if other is not host:
                    self.assertTrue(reaches(host, self.address_of(other)), f"{host.name} does not reach {other.name}")
        for node in lab.nodes:
            self.assert_each_answered_once({self.address_of(node): node.name})

    def test_an_address_asked_for(self):
        lab = self.cluster(nodes=2, services=1, pool=self.network)
        node = lab.nodes[1]
        address = self.address_of(node)
        lab.manifest("greedy.yaml", self.service("greedy", address=address))
        greedy = lambda: next((s for s in lab.get("services") if s["name"] == "greedy"), None)  # noqa: E731
        wait_for("a reason", lambda: (s := greedy()) and s["state"] == "PENDING" and s["reason"])
        self.assertEqual(greedy()["addresses"], [])
        self.assertIn(address, greedy()["message"])
        self.assert_each_answered_once({address: node.name})


class OwnNetworkSix(OwnNetwork):
    """An Eip over the nodes' own IPv6 network gives no node's or host's address away, and all still reach each other"""

    six = True
    network = "fd00:50::/120"
    never = {"fd00:50::"}  # every router of it has this one (RFC 4291 2.6.1)


def reaches(host, address):
    """Whether a datagram to a closed port brings the other kernel's refusal."""
    with host.socket(socket.AF_INET6 if ":" in address else socket.AF_INET, socket.SOCK_DGRAM) as sock:
        sock.settimeout(2)
        sock.connect((address, 9))
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
