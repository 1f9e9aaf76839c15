# SPDX-License-Identifier: Apache-2.0
"""Who answers for an address: its holder, alone, whatever the kernels of the nodes would like to say."""
from lan_case import *  # noqa: F403
from arp_capture import REPLY, REQUEST, ArpCapture

POOL = "192.168.50.50-192.168.50.249"
ALL = [f"192.168.50.{i}" for i in range(50, 250)]


class TwoHundredAddresses(LanTest):
    """Each of 200 addresses over four nodes is answered for by one node, and none holds more than its share"""

    def test(self):
        lab = self.cluster(nodes=4, services=200, pool=POOL)
        self.assertEqual(sorted(self.before), sorted(ALL))
        self.assert_each_answered_once(self.before)
        self.assert_balanced(self.before, lab.nodes)


class TwoHundredLocalEverywhere(LanTest):
    """One node answers for each of 200 addresses though all nodes have all of them on kube-ipvs0 and arp_ignore is 0"""

    def test(self):
        lab = self.cluster(nodes=4, services=200, pool=POOL, everywhere=ALL)
        for node in lab.nodes:
            for interface in ("all", "eth0"):
                node.sysctl(f"net.ipv4.conf.{interface}.arp_ignore", "0")
            self.assertEqual(node.addresses("kube-ipvs0") & set(ALL), set(ALL))
        self.assert_each_answered_once(self.before)
        self.assert_balanced(self.before, lab.nodes)


class AsDecoded(LanTest):
    """T110 T118 As tshark decodes it who asks has one answer, from the holder's MAC to its own, and a take-over is told to all"""

    def test(self):
        lab = self.cluster(nodes=2, services=1)
        holder, vip, client = lab.node(self.before[self.vip]), self.vip, lab.client
        heard = ArpCapture(lab, client)
        self.addCleanup(heard.close)
        since = time.time()
        with client.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
            sock.sendto(b"x", (vip, 9))
        wait_for("an answer", lambda: mac_in_cache(client, vip) == holder.mac)
        answers = heard.wait_for("the answer", lambda m: m.opcode == REPLY and m.sender_ip == vip and not m.is_announcement, since)
        self.assertEqual(len(answers), 1, answers)
        self.assert_well_formed(answers[0], holder.mac, client.mac)
        self.assertEqual((answers[0].target_mac, answers[0].target_ip), (client.mac, client.address))
        asked = [m for m in heard.messages(since) if m.opcode == REQUEST and m.target_ip == vip and m.eth_src == client.mac]
        self.assertEqual([m.eth_dst for m in asked], ["ff:ff:ff:ff:ff:ff"])

        holder.kill_agent()
        since = time.time()
        new = lab.node(wait_for("another holder", lambda: (h := lab.holders().get(vip)) != holder.name and h))
        wait_for("the new holder in the client's cache", lambda: mac_in_cache(client, vip) == new.mac)
        forms = lambda: {m.opcode for m in heard.messages(since) if m.is_announcement and m.eth_src == new.mac}  # noqa: E731
        wait_for("both forms of the announcement", lambda: forms() == {REQUEST, REPLY}, 5, 0.1)
        for message in heard.messages(since):
            if message.sender_ip == vip:
                self.assertTrue(message.is_announcement, message)
                self.assert_well_formed(message, new.mac, "ff:ff:ff:ff:ff:ff")
                if message.opcode == REPLY:
                    self.assertEqual(message.target_mac, new.mac, message)

    def assert_well_formed(self, message, mac, to):
        self.assertEqual((message.hardware, message.protocol, message.hardware_size, message.protocol_size, message.complaint),
                         ("1", "0x0800", "6", "4", ""), message)
        self.assertEqual((message.sender_ip, message.sender_mac, message.eth_src, message.eth_dst),
                         (self.vip, mac, mac, to), message)


class OldHolderStaysSilent(LanTest):
    """An old holder whose kernel sends a packet from the address after a move does not win the client's cache back"""

    def test(self):
        vip = "192.168.50.50"
        lab = self.cluster(nodes=3, services=1, everywhere=[vip])
        old = lab.node(self.before[vip])
        with lab.client.socket(socket.AF_INET, socket.SOCK_DGRAM) as client:
            client.sendto(b"x", (vip, 9))
        wait_for("the holder in the client's cache", lambda: mac_in_cache(lab.client, vip) == old.mac)
        old.kill_agent()
        new = lab.node(wait_for("another holder", lambda: (h := lab.holders().get(vip)) != old.name and h))
        wait_for("the new holder in the client's cache", lambda: mac_in_cache(lab.client, vip) == new.mac)

        since = time.monotonic()
        speak_from(old, vip, lab.client)
        wait_for("the old holder asks for the client",
                 lambda: any(f.host == old.name and f.op == 1 and f.target_ip == lab.client.address
                             for f in self.tap.frames(since)))
        time.sleep(0.3)
        claims = [f for f in self.tap.frames(since) if f.host == old.name and f.sender_ip == vip]
        self.assertFalse(claims, "the old holder speaks in the address's name")
        self.assertEqual(mac_in_cache(lab.client, vip), new.mac)


def mac_in_cache(host, address):
    words = host.ip("neigh", "show", address).split()
    return words[words.index("lladdr") + 1] if "lladdr" in words else None


if __name__ == "__main__":
    unittest.main()
