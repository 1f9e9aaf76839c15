# SPDX-License-Identifier: Apache-2.0
"""What the tests of IPv6 on a LAN of real kernels share."""
from lan_case import *  # noqa: F403
from ndp_wire import (ADVERTISEMENT, ALL_NODES, ALL_NODES_MAC, IPV6_ONLY, SOLICITATION, NdpAsker, NdpCapture, NdpTap,
                      group_of, own_ipv6)

VIP = "fd00:50::100"
V4 = "192.168.50.50"
PORT = 7000


def neighbour(host, address):
    """MAC and state of the host's own entry for `address`: ("02:...", "REACHABLE")."""
    words = host.ip("-6", "neigh", "show", address, "dev", "eth0").split()
    return (words[words.index("lladdr") + 1] if "lladdr" in words else None), (words[-1] if words else None)


class Ipv6Test(LanTest):
    def cluster6(self, nodes=3, services=1, flags=(), dual=False, families=IPV6_ONLY, taken=(), ports=(), only=False):
        """A running cluster whose Services all have an IPv6 address. `taken`: addresses that a printer has already.

        `ports`: that the Services declare beside 80 and PORT. `only`: no host has an IPv4 address.
        """
        lab = self.new_lab(nodes)
        lab.add_ipv6()
        if only:
            lab.drop_ipv4()
        if taken:
            printer = lab.add_host("printer", "192.168.50.99")
            for address in taken:
                printer.ip("addr", "add", f"{address}/128", "dev", "eth0", "nodad")
        self.wire = NdpCapture(lab)
        self.addCleanup(self.wire.close)
        for node in lab.nodes:
            self.serve(node)
        lab.start(*flags)
        lab.manifest("pool.yaml", eip("six", address="fd00:50::100-fd00:50::1ff"))
        if dual:
            lab.manifest("pool4.yaml", eip("four"))
        lab.manifest("services.yaml", "---\n".join(
            service(f"s{i}", pool=None if dual else "six", ports=((80, "TCP"), (PORT, "UDP"), *ports),
                    extra=families)
            for i in range(services)))
        self.before = lab.wait_announced(services * (2 if dual else 1), 60)
        self.asker = NdpAsker(lab.client, own_ipv6(lab.client))
        self.addCleanup(self.asker.close)
        return lab

    def serve(self, node):
        """Tells its name to who connects to port 80 and to who sends a datagram to PORT, on all addresses."""
        code = ("import socket,sys,threading\n"
                "name=sys.argv[1].encode()\n"
                "t=socket.create_server(('::',80),family=socket.AF_INET6,dualstack_ipv6=True)\n"
                "u=socket.socket(socket.AF_INET6,socket.SOCK_DGRAM); u.setsockopt(41,49,1); u.bind(('::',int(sys.argv[2])))\n"
                "def tcp():\n"
                "  while True:\n"
                "    c,_=t.accept(); c.sendall(name); c.close()\n"
                "threading.Thread(target=tcp,daemon=True).start()\n"
                "while True:\n"
                "  _,anc,_,who=u.recvmsg(2048,256)\n"
                "  u.sendmsg([name],[(41,50,anc[0][2][:16]+bytes(4))],0,who)\n")  # IPV6_PKTINFO: from the address asked
        node.spawn("python3", "-c", code, node.name, str(PORT))

    def connect(self, address=VIP, timeout=5):
        """The name of the node that a connection from the client's kernel ends at."""
        family = socket.AF_INET6 if ":" in address else socket.AF_INET
        with self.lab.client.socket(family, socket.SOCK_STREAM) as sock:
            sock.settimeout(timeout)
            sock.connect((address, 80))
            return sock.recv(64).decode()

    def datagram(self, timeout=1):
        with self.lab.client.socket(socket.AF_INET6, socket.SOCK_DGRAM) as sock:
            sock.settimeout(timeout)
            sock.sendto(b"x", (VIP, PORT))
            return sock.recv(64).decode()

    def holder(self, address=VIP):
        return self.lab.node(self.lab.holders()[address])

    def moved(self, old, address=VIP):
        return self.lab.node(wait_for("another holder",
                                      lambda: (h := self.lab.holders().get(address)) != old.name and h))

    def assert_advertises(self, message, mac, **flags):
        """What holds for every advertisement of ours, and its flags."""
        self.assertEqual((message.checksum, message.complaint, message.hop_limit), ("1", "", "255"), message)
        self.assertEqual((message.eth_src, message.source, message.option, message.mac), (mac, VIP, "2", mac), message)
        self.assertEqual({"router": message.router, "solicited": message.solicited, "overrides": message.overrides},
                         {"router": False, "solicited": False, "overrides": False, **flags}, message)


__all__ = [name for name in globals() if not name.startswith("_")]
