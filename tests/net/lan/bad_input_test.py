# SPDX-License-Identifier: Apache-2.0
"""Manifests that are wrong: each is told why, where people look, and nothing that runs is disturbed."""
from lan_case import *  # noqa: F403

VIP = "192.168.50.50"


class BadEips(LanTest):
    """A wrong Eip is refused with file, field and value, and what runs goes on"""

    def test(self):
        lab = self.cluster(nodes=2, services=1)
        bad = {
            "junk": (eip("junk", "192.168.50.300"), "192.168.50.300"),
            "reversed": (eip("reversed", "192.168.50.90-192.168.50.80"), "after end"),
            "mixed": (eip("mixed", "192.168.50.90-fd00::1"), "IPv6"),
            "protocol": (eip("protocol", "192.168.51.1", protocol="pigeon"), "pigeon"),
            "notyaml": ("kind: Eip\n  metadata: [", "notyaml.yaml"),
        }
        for name, (text, _) in bad.items():
            lab.manifest(f"{name}.yaml", text)
        for name, (_, word) in bad.items():
            wait_for(f"a problem that names {name}.yaml and {word}",
                     lambda name=name, word=word: any(f"{name}.yaml" in p and word in p for p in problems(lab)))
        refused = {"overlap": (eip("overlap", "192.168.50.58-192.168.50.70"), "eip-pool"),
                   "nameless": (eip("nameless", "192.168.52.1", interface="''"), "spec.interface")}
        for name, (text, _) in refused.items():
            lab.manifest(f"{name}.yaml", text)
        for name, (_, word) in refused.items():
            message = lambda name=name: next((p["message"] for p in lab.get("pools") if p["name"] == name), "")  # noqa
            wait_for(f"Eip {name} refused for {word}", lambda m=message, w=word: w in m())
        self.assertEqual(lab.holders(), self.before)
        self.assert_each_answered_once(self.before)
        for name in [*bad, *refused]:
            lab.manifest(f"{name}.yaml", None)
        wait_for("no problems", lambda: not problems(lab))


class WaitingServices(LanTest):
    """A Service that cannot have an address waits with a reason that names the cause, in get and in explain"""

    def test(self):
        lab = self.cluster(nodes=2, services=1)
        lab.manifest("pools.yaml", "---\n".join([
            eip("off", "192.168.53.1", extra="  disable: true\n"), eip("tiny", "192.168.50.100"),
            eip("eth9", "192.168.54.1", interface="eth9"), eip("overlap", "192.168.50.58-192.168.50.59"),
            eip("wrong", "192.168.50.300")]))
        v6 = "  ipFamilies: [IPv6]\n  ipFamilyPolicy: SingleStack\n"
        wanted = {
            "missing": (service("missing", "nope"), "PoolNotFound", "nope"),
            "unread": (service("unread", "wrong"), "PoolRefused", "192.168.50.300"),
            "overlaps": (service("overlaps", "overlap"), "PoolRefused", "overlap with eip-pool"),
            "disabled": (service("disabled", "off"), "PoolDisabled", "off"),
            "exhausted": (service("exhausted", "tiny", ports=((81, "TCP"),)), "PoolExhausted", "tiny"),
            "outside": (service("outside", "eip-pool", "10.9.9.9"), "AddressNotInPool", "10.9.9.9"),
            "unparsed": (service("unparsed", "eip-pool", "bogus"), "InvalidRequest", "bogus"),
            "taken": (service("taken", None, VIP), "PortConflict", "default/s0"),
            "family": (service("family", "eip-pool", extra=v6), "FamilyMismatch", "IPv6"),
        }
        lab.manifest("tiny.yaml", service("atiny", "tiny"))
        lab.wait_announced(2)
        lab.manifest("waiting.yaml", "---\n".join([text for text, _, _ in wanted.values()] + [service("eth9", "eth9")]))
        wait_for("all of them", lambda: len(lab.get("services")) == len(wanted) + 3)
        for name, (_, reason, word) in wanted.items():
            def waits(name=name, reason=reason, word=word):
                found = next(s for s in lab.get("services") if s["name"] == name)
                return (found["state"], found["reason"]) == ("PENDING", reason) and word in found["message"]
            wait_for(f"{name}: {reason} naming {word}", waits)
            explained = lab.ctl("explain", "service", f"default/{name}").stdout
            self.assertIn(f"PENDING: {reason}", explained)
            self.assertIn(word, explained)

        wait_for("an unheld address", lambda: "UNHELD" in lab.ctl("explain", "service", "default/eth9").stdout)
        explained = lab.ctl("explain", "service", "default/eth9").stdout
        for node in lab.nodes:
            self.assertRegex(explained, f"{node.name}.*no interface eth9")
        self.assertEqual(next(a["state"] for a in lab.get("addresses") if a["pool"] == "eth9"), "UNHELD")


class HalfWritten(LanTest):
    """A half-written manifest keeps the last good content in force, and is told until it is whole"""

    def test(self):
        lab = self.cluster(nodes=2, services=2)
        path = os.path.join(lab.manifests, "services.yaml")
        with open(path) as f:
            whole = f.read()
        with open(path, "w") as f:
            f.write(whole[:whole.index("spec:") + 12] + '"')
        wait_for("a problem", lambda: any("services.yaml" in p for p in problems(lab)))
        self.assertEqual(lab.holders(), self.before)
        self.assert_each_answered_once(self.before)
        with open(path, "w") as f:
            f.write(whole + "---\n" + service("one-more"))
        lab.wait_announced(3)
        self.assertEqual(problems(lab), [])


def problems(lab):
    done = lab.ctl("dump", check=False)
    return json.loads(done.stdout)["status"]["problems"] if done.returncode == 0 else []


if __name__ == "__main__":
    unittest.main()
