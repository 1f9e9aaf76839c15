# SPDX-License-Identifier: Apache-2.0
"""A host that claims an address which a node holds already."""
from ipv6_case import *  # noqa: F403
from lab import eip  # noqa: F401
from ndp_wire import NdpTap, announcement

CLAIMS = 15  # in a second and a half


class Claimed(Ipv6Test):
    """T128 A stranger that claims a held address of either family is told with MAC and interface, defended against, and forgotten"""

    def test(self):
        lab = self.cluster6(nodes=2, dual=True, families="  ipFamilyPolicy: RequireDualStack\n")
        self.assertEqual(set(self.before), {V4, VIP})
        self.stranger = lab.add_host("stranger", "192.168.50.99")
        self.voice = self.stranger.socket(socket.AF_PACKET, socket.SOCK_RAW)
        self.addCleanup(self.voice.close)
        self.voice.bind(("eth0", 0))
        self.taps = {V4: lab.tap(), VIP: lab.tap(NdpTap)}
        for address in self.before:
            self.assertEqual(self.connect(address), self.before[address])
            self.wait_quiet(address)
        since = time.monotonic()
        for address in self.before:
            self.claim(address)
            wait_for("a defence", lambda address=address: self.defences(address, since), 5)
            holder = self.holder(address)
            wait_for("the client believes the holder", lambda a=address, h=holder: cached(lab.client, a) == h.mac, 5)
        for _ in range(CLAIMS - 1):
            for address in self.before:
                self.claim(address)
            time.sleep(0.1)
        for address in self.before:
            # One answer to all of them: more would be a war without end.
            self.assertEqual(len(self.defences(address, since)), 1, address)
            self.assert_told(address)
            self.assertEqual(self.holder(address).name, self.before[address])
        # It says no more.
        lab.wait_announced(2, 40)
        self.assertNotIn(self.stranger.mac, lab.ctl("get", "addresses", "-o", "wide").stdout)
        self.assertEqual(lab.asker.who_has(V4), [self.holder(V4).mac])
        self.assertEqual(self.asker.who_has(VIP), [self.holder(VIP).mac])

    def wait_quiet(self, address):
        """Until the next of the holder's own repeated announcements is seconds away: the fourth of five comes 2.5 s after
        the third, and 4 s before the last."""
        began = time.monotonic()

        def quiet():
            times = self.defences(address, 0)
            return (len(times) > 1 and times[-1] - times[-2] > 1.5) or time.monotonic() - max([began, *times]) > 4.5
        wait_for("the last announcements", quiet, 15)

    def assert_told(self, address):
        """Where people look."""
        lab = self.lab
        told = lambda: next(a for a in lab.get("addresses") if a["address"] == address)  # noqa: E731
        wait_for("CONFLICT", lambda: told()["state"] == "CONFLICT", 5)
        self.assertIn(self.stranger.mac, told()["message"])
        with open(lab.controller_log) as log:
            lines = [line for line in log if address in line and self.stranger.mac in line]
        self.assertTrue(any("eth0" in line for line in lines), lines)
        self.assertIn(self.stranger.mac, self.holder(address).agent_log())

    def claim(self, address):
        mac = bytes.fromhex(self.stranger.mac.replace(":", ""))
        if ":" in address:
            frame = announcement(address, self.stranger.mac)
        else:
            frame = struct.pack("!6s6sHHHBBH6s4s6s4s", b"\xff" * 6, mac, 0x0806, 1, 0x0800, 6, 4, 1, mac,
                                socket.inet_aton(address), b"\0" * 6, socket.inet_aton(address)).ljust(60, b"\0")
        self.voice.send(frame)

    def defences(self, address, since):
        return announcements(self.taps[address], address, self.lab.node(self.before[address]).mac, since)


class TakenForNow(Ipv6Test):
    """An address of either family that a host on the LAN has is listed, asked about again each minute, and used once it is free"""

    def test(self):
        lab = self.new_lab(2)
        lab.add_ipv6()
        printer = lab.add_host("printer", "192.168.50.99")
        for address, length in ((V4, 32), (VIP, 128)):
            printer.ip("addr", "add", f"{address}/{length}", "dev", "eth0", *(["nodad"] if length == 128 else []))
        taps = {V4: lab.tap(), VIP: lab.tap(NdpTap)}
        lab.start()
        # Each pool has this one address only, so that nothing else will do.
        lab.manifest("pools.yaml", "---\n".join((eip("four", address=V4), eip("six", address=VIP))))
        lab.manifest("services.yaml", "---\n".join((service("web4", pool="four"), service("web6", pool="six", extra=IPV6_ONLY))))

        def conflicted():
            return {pool["name"]: pool["conflicted"] for pool in lab.get("pools")}
        wait_for("both conflicts", lambda: conflicted() == {"four": [V4], "six": [VIP]}, 20)
        for found in wait_for("both Services", lambda: len(all_ := lab.get("services")) == 2 and all_, 5):
            self.assertEqual(found["addresses"], [], found)
            self.assertIn(f"1 is answered for by somebody else on the LAN: {V4 if found['name'] == 'web4' else VIP}", found["message"])
        with open(lab.controller_log) as log:
            told = [line for line in log if "reason=AddressConflict" in line and printer.mac in line]
        self.assertEqual(len(told), 2, told)

        freed = time.monotonic()
        for address, length in ((V4, 32), (VIP, 128)):
            printer.ip("addr", "del", f"{address}/{length}", "dev", "eth0")
        self.assertEqual(set(lab.wait_announced(2, 75)), {V4, VIP})
        self.assertEqual(conflicted(), {"four": [], "six": []})
        for address, tap in taps.items():
            tells = [f for f in tap.frames() if f.op == 2 and f.sender_ip == address]
            self.assertEqual({f.host for f in tells if f.time < freed}, {"printer"}, address)
            self.assertEqual({f.host for f in tells if f.time >= freed}, {lab.holders()[address]}, address)


def cached(host, address):
    words = host.ip("neigh", "show", address).split()
    return words[words.index("lladdr") + 1] if "lladdr" in words else None


if __name__ == "__main__":
    unittest.main()
