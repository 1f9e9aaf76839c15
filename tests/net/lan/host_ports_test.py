# SPDX-License-Identifier: Apache-2.0
"""Ports of the node's own, bound to all addresses, and the addresses of Services."""
import re

from ipv6_case import *  # noqa: F403

HOST_PORT = 9100
POD_PORT = 8080
TO_POD, TO_NODE = 30080, 30081  # NodePorts, which a kube-proxy would translate
DUAL = "  ipFamilyPolicy: RequireDualStack\n"
BOTH = (socket.SOCK_STREAM, socket.SOCK_DGRAM)


class HostPortTest(Ipv6Test):
    def serve(self, node):
        super().serve(node)  # ports 80 and PORT, which are declared
        self.serve_port(node, HOST_PORT)

    def serve_port(self, host, port):
        code = ("import socket,sys,threading\n"
                "name=sys.argv[1].encode(); port=int(sys.argv[2])\n"
                "t=socket.create_server(('::',port),family=socket.AF_INET6,dualstack_ipv6=True)\n"
                "u=socket.socket(socket.AF_INET6,socket.SOCK_DGRAM); u.setsockopt(41,26,0); u.setsockopt(41,49,1)\n"
                "u.bind(('::',port))\n"
                "def tcp():\n"
                "  while True:\n"
                "    c,_=t.accept(); c.sendall(name); c.close()\n"
                "threading.Thread(target=tcp,daemon=True).start()\n"
                "while True:\n"
                "  _,anc,_,who=u.recvmsg(2048,256)\n"
                "  u.sendmsg([name],[(41,50,anc[0][2][:16]+bytes(4))],0,who)\n")
        host.spawn("python3", "-c", code, host.name, str(port))

    def asked(self, kind, address, port, timeout, host=None):
        """The name that the node at `address` tells there; None when nothing answers in time."""
        family = socket.AF_INET6 if ":" in address else socket.AF_INET
        with (host or self.lab.client).socket(family, kind) as sock:
            sock.settimeout(timeout)
            try:
                sock.connect((address, port))
                if kind == socket.SOCK_DGRAM:
                    sock.send(b"x")
                return sock.recv(64).decode()
            except TimeoutError:
                return None

    def pings(self, address, timeout=5):
        six = ":" in address
        with self.lab.client.socket(*((socket.AF_INET6, socket.SOCK_RAW, socket.IPPROTO_ICMPV6) if six else
                                      (socket.AF_INET, socket.SOCK_RAW, socket.IPPROTO_ICMP))) as sock:
            sock.settimeout(timeout)
            sock.connect((address, 0))
            sock.send(bytes([128] + [0] * 7) if six else b"\x08\0\xf7\xff\0\0\0\0")
            while True:
                data = sock.recv(2048)
                if (data[0] == 129) if six else (data[20] == 0):
                    return True

    def dropped(self, node):
        rules = node.exec("nft", "list", "chain", "inet", "berth", "input").stdout
        return sum(int(n) for n in re.findall(r"counter packets (\d+) bytes \d+ drop", rules))

    def assert_open(self, node, address, port, kinds=BOTH, host=None):
        for kind in kinds:
            wait_for(f"{node.name} at {address}, port {port}, {kind!r}",
                     lambda: self.asked(kind, address, port, 1, host) == node.name, 10)

    def assert_shut(self, node, address, port, host=None):
        for kind in BOTH:
            before = self.dropped(node)
            self.assertIsNone(self.asked(kind, address, port, 0.5, host), f"{address} port {port} {kind!r}")
            self.assertGreater(self.dropped(node), before, f"{address} port {port} {kind!r} was not even tried")

    def assert_guarded(self, address):
        node = self.holder(address)
        self.assert_open(node, address, 80, [socket.SOCK_STREAM])
        self.assert_open(node, address, PORT, [socket.SOCK_DGRAM])
        self.assertTrue(self.pings(address))
        self.assert_shut(node, address, HOST_PORT)
        self.assert_open(node, own_ipv6(node) if ":" in address else node.address, HOST_PORT)
        return node


class Guarded(HostPortTest):
    """A node's own port on all addresses is not reached through a Service's address, declared ports and ping are"""

    def test(self):
        lab = self.cluster6(nodes=2, dual=True, families=DUAL)
        self.assertEqual(len(self.before), 2)
        for address in self.before:
            node = self.assert_guarded(address)
            self.assert_open(node, address, 80, [socket.SOCK_STREAM], host=node)
            self.assert_open(node, address, PORT, [socket.SOCK_DGRAM], host=node)
            self.assert_shut(node, address, HOST_PORT, host=node)

        address = next(iter(self.before))
        node = self.holder(address)
        node.exec("nft", "flush", "ruleset")
        wait_for("the table is back", lambda: "inet berth" in node.exec("nft", "list", "tables").stdout, 5, every=0)
        self.assert_guarded(address)

        # The Service declares it now.
        lab.manifest("services.yaml", service("s0", pool=None, extra=DUAL,
                                              ports=((80, "TCP"), (HOST_PORT, "TCP"), (HOST_PORT, "UDP"))))
        self.assert_open(node, address, HOST_PORT)
        wait_for("the port that it declares no more is shut",
                 lambda: self.asked(socket.SOCK_DGRAM, address, PORT, 0.5) is None)

    def test_without_the_table(self):
        lab = self.cluster6(nodes=1)
        node = lab.nodes[0]
        self.assert_guarded(VIP)
        node.kill_agent()  # it would repair what is taken away now
        self.assert_shut(node, VIP, HOST_PORT)
        node.exec("nft", "delete", "table", "inet", "berth")
        self.assert_open(node, VIP, HOST_PORT)

        node.restart_agent()
        wait_for("the table is back", lambda: "inet berth" in node.exec("nft", "list", "tables").stdout)
        self.assert_guarded(VIP)
        node.kill_agent()
        node.exec(*node.agent_command("--cleanup"))
        self.assertNotIn("berth", node.exec("nft", "list", "tables").stdout)


class Translated(HostPortTest):
    """What kube-proxy translates passes, from the LAN and from the node, to a pod and to the node, whose own port stays shut"""

    def test(self):
        lab = self.cluster6(nodes=1, dual=True, families=DUAL)
        node = lab.nodes[0]
        pod = lab.add_host("pod", "192.168.50.40")
        pod.ip("addr", "add", f"{own_ipv6(pod)}/64", "dev", "eth0", "nodad")
        self.serve_port(pod, POD_PORT)
        wait_for("the pod", lambda: len(pod.exec("ss", "-Hlntu", f"sport = :{POD_PORT}").stdout.splitlines()) == 2)
        for key in ("net.ipv4.ip_forward", "net.ipv6.conf.all.forwarding"):
            node.sysctl(key, "1")
        node.exec("nft", "-f", "-", input=self.rules(node, pod))
        for address in (V4, VIP):
            for host in (lab.client, node):
                self.assert_open(pod, address, TO_POD, host=host)
                self.assert_open(node, address, TO_NODE, host=host)
            self.assert_shut(node, address, HOST_PORT)
        node.exec("nft", "delete", "table", "inet", "proxy")
        for address in (V4, VIP):
            self.assert_shut(node, address, TO_POD)

    def rules(self, node, pod):
        """As kube-proxy makes them, in short; inet, of both families."""
        lines = []
        for family, vip, addresses in (("ip", V4, [h.address for h in (pod, node)]),
                                       ("ip6", VIP, [f"[{own_ipv6(h)}]" for h in (pod, node)])):
            for port, to in ((TO_POD, f"{addresses[0]}:{POD_PORT}"), (TO_NODE, f"{addresses[1]}:{HOST_PORT}")):
                lines += [f"{family} daddr {vip} {protocol} dport {port} dnat {family} to {to}" for protocol in ("tcp", "udp")]
        chain = "\n    ".join(lines)
        return f"""table inet proxy {{
  chain in {{ type nat hook prerouting priority dstnat;
    {chain}
  }}
  chain out {{ type nat hook output priority -100;
    {chain}
  }}
  chain post {{ type nat hook postrouting priority srcnat;
    oifname "eth0" ct status dnat masquerade
  }}
}}
"""


if __name__ == "__main__":
    unittest.main()
