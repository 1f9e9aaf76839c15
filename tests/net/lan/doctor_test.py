# SPDX-License-Identifier: Apache-2.0
"""berthctl doctor on a LAN of real kernels: what is broken on purpose is found, and what it says to do mends it."""
import re
import urllib.error
import urllib.request

from ipv6_case import *  # noqa: F403
from netns import freeze, inside_namespace, thaw


class DoctorTest(Ipv6Test):
    def clinic(self, nodes=2, flags=()):
        """A cluster with an address of each family that is well."""
        lab = self.cluster6(nodes=nodes, dual=True, families="  ipFamilyPolicy: RequireDualStack\n", flags=flags)
        for node in lab.nodes:
            node.sysctl("net.ipv4.ip_forward", 1)
            node.sysctl("net.ipv6.conf.all.forwarding", 1)
        self.assert_well()
        return lab

    def doctor(self):
        """(exit code, findings)"""
        done = self.lab.ctl("doctor", "-o", "json", check=False)
        self.assertIn(done.returncode, (0, 1), done.stderr)
        answer = json.loads(done.stdout)
        self.assertEqual(answer["asked"], answer["announced"])
        findings = answer["findings"]
        for found in findings:
            self.assertTrue(found["message"] and found["cure"], found)
        self.assertEqual(done.returncode, 1 if any(f["severity"] == "ERROR" for f in findings) else 0, findings)
        self.assertEqual(findings, sorted(findings, key=lambda f: f["severity"]))  # ERROR before WARNING
        return findings

    def assert_well(self):
        try:
            wait_for("the doctor has nothing to say", lambda: not self.doctor(), 20, 0.2)
        except TimeoutError:
            self.assertEqual(self.doctor(), [])
        done = self.lab.ctl("doctor")
        self.assertEqual((done.stdout, done.stderr), ("", "all is well\n"))

    def found(self, part, timeout=10):
        """The finding whose message has `part`, once there is one."""
        try:
            return wait_for(f"a finding: {part}",
                            lambda: next((f for f in self.doctor() if part in f["message"]), None), timeout, 0.2)
        except TimeoutError:
            self.fail(f"no finding of {part!r} in {self.doctor()}")

    def unready(self, node):
        """What /readyz of the node's agent complains of; empty when it is ready."""
        with inside_namespace(node.ns):
            try:
                with urllib.request.urlopen("http://127.0.0.1:8081/readyz", timeout=5):
                    return ""
            except urllib.error.HTTPError as error:
                return error.read().decode()

    def cure(self, node, finding):
        """Does on the node what the finding says, which is a command up to a comma, a semicolon or a bracket."""
        node.exec("sh", "-c", re.split("[,;(]", finding["cure"])[0])


class Kernels(DoctorTest):
    """The doctor names the node whose kernel answers by ARP or neighbour discovery for addresses of another, no other"""

    def test(self):
        # Only on the LAN's interface does a kernel answer solicitations for an address.
        lab = self.clinic(nodes=3, flags=("--vip-interface=eth0",))
        former, holder, _ = lab.nodes
        for address in (V4, VIP):
            for node in (former, holder):
                lab.ctl("move", address, node.name)
        self.assertEqual(lab.holders(), {V4: holder.name, VIP: holder.name})
        self.assertTrue({V4, VIP} <= set(former.addresses("eth0")), "it goes on forwarding for a while")
        self.assert_well()

        freeze(former.agent.pid)  # or it would put its tables right
        self.planted = ("double",)
        self.found("lost")
        self.assertEqual([f["severity"] for f in self.doctor()], ["WARNING"])
        for address, family in ((V4, "arp"), (VIP, "ip6")):
            former.exec("nft", "delete", "table", family, "berth")
            finding = self.found(address)
            self.assertEqual((finding["severity"], finding["object"]), ("ERROR", f"agent {former.name}"))
            self.assertIn(former.mac, finding["message"])
            self.assertIn("nft list table arp berth, and ip6 berth", finding["cure"])
        self.assertIn(V4, finding["message"])  # both by now
        self.assertEqual(lab.holders(), {V4: holder.name, VIP: holder.name})
        done = lab.ctl("doctor", check=False)
        self.assertRegex(done.stdout, rf"(?m)^ERROR +agent {former.name}: .*{V4}.*\n +-> .*nft list table")
        self.assertIn("1 error, 1 warning", done.stderr)

        thaw(former.agent.pid)
        self.assert_well()


class Settings(DoctorTest):
    """What the doctor says of a node's settings is so, keeps it from being ready where it must, and its cure helps"""

    def test(self):
        lab = self.clinic()
        node = lab.nodes[1]
        for key in ("net.ipv4.ip_forward", "net.ipv6.conf.all.forwarding"):
            family = "IPv4" if "ipv4" in key else "IPv6"
            node.sysctl(key, 0)
            finding = self.found(f"does not forward {family}")
            self.assertEqual((finding["severity"], finding["object"]), ("WARNING", f"agent {node.name}"))
            self.assertEqual(self.unready(node), "")
            node.exec("nft", "add", "table", "ip", "kube-proxy")  # now somebody counts on it
            finding = self.found(f"does not forward {family}: no pod")
            self.assertEqual(finding["severity"], "ERROR")
            self.assertIn(f"does not forward {family}", self.unready(node))
            self.cure(node, finding)
            self.assert_well()
            self.assertEqual(self.unready(node), "")
            node.exec("nft", "delete", "table", "ip", "kube-proxy")

        node.exec("nft", "add table ip kube-proxy; add table ip nat; add chain ip nat KUBE-NODEPORTS")
        self.assertIn("iptables, nftables", self.found("several modes")["message"])
        node.exec("nft", "delete", "table", "ip", "nat")
        self.assert_well()

    def test_interfaces(self):
        lab = self.clinic()
        node = lab.nodes[1]
        lab.add_port(node, "eth1")
        node.ip("addr", "add", "10.9.0.1/24", "dev", "eth1")
        node.ip("link", "set", "eth1", "up")
        node.ip("route", "add", "default", "via", "10.9.0.254")
        node.sysctl("net.ipv4.conf.all.rp_filter", 0)
        node.sysctl("net.ipv4.conf.eth0.rp_filter", 1)
        finding = self.found("rp_filter is strict on interface eth0")
        self.assertEqual((finding["severity"], finding["object"]), ("WARNING", f"agent {node.name}"))
        self.assertEqual(self.unready(node), "")
        self.cure(node, finding)
        self.assert_well()

        for address in (V4, VIP):
            lab.ctl("move", address, node.name)
        node.ip("link", "set", "berth0", "down")
        finding = self.found("interface berth0")
        self.assertEqual((finding["severity"], finding["object"]), ("ERROR", f"agent {node.name}"))
        self.assertIn("berth0", self.unready(node))
        self.cure(node, finding)
        self.assert_well()
        self.assertTrue({V4, VIP} <= set(node.addresses("berth0")))


class Agents(DoctorTest):
    """The doctor tells of an agent without NET_RAW, without its VIP interface, drained and gone, with what to do"""

    def test(self):
        lab = self.clinic()
        node = lab.nodes[1]
        node.kill_agent()
        self.found("lost")
        node.agent = node.spawn("setpriv", "--bounding-set=-net_raw", "--inh-caps=-net_raw", *node.agent_command(),
                                log=node.log)
        finding = self.found("capabilities")
        self.assertEqual((finding["severity"], finding["object"]), ("ERROR", f"agent {node.name}"))
        self.assertIn("NET_RAW", finding["message"])
        self.assertNotIn("NET_ADMIN", finding["message"])
        self.assertIn("NET_RAW", self.unready(node))
        node.kill_agent()

        node.ip("link", "add", "vip0", "type", "bridge")
        node.start_agent("--vip-interface=vip0")
        self.assert_well()
        node.ip("link", "delete", "vip0")
        finding = self.found("no interface to make addresses local on")
        self.assertEqual((finding["severity"], finding["object"]), ("ERROR", f"agent {node.name}"))
        self.assertIn("ip link add vip0", finding["cure"])
        self.assertIn("vip0", self.unready(node))
        node.ip("link", "add", "vip0", "type", "bridge")
        self.assert_well()

        lab.ctl("drain", node.name)
        finding = self.found("is drained")
        self.assertEqual((finding["severity"], finding["object"]), ("WARNING", f"agent {node.name}"))
        lab.ctl(*re.split("[ ,]", finding["cure"])[1:3])  # berthctl undrain node2
        self.assert_well()


if __name__ == "__main__":
    unittest.main()
