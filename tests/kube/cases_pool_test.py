# SPDX-License-Identifier: Apache-2.0
"""Cases of Eips: what the API server shows of them, and what is refused when it is applied."""
from berth_case import *  # noqa: F403

IS_DEFAULT = "eip.openelb.kubesphere.io/is-default-eip"


class PoolTest(BerthTest):
    RESTARTS = True

    def refused(self, name, address, *words, annotations=None, version="v1alpha2", **spec):
        """kubectl apply of an Eip that must be refused, with all these words."""
        spec = {"address": address, **({} if version == "v1alpha1" else {"protocol": "layer2", "interface": "eth0"}), **spec}
        self._eips.add(name)
        said = self.cluster.kubectl_fails("apply", "-f", "-", input=json.dumps({
            "apiVersion": f"network.kubesphere.io/{version}", "kind": "Eip", "metadata": {"name": name, "annotations": annotations or {}},
            "spec": {key: value for key, value in spec.items() if value is not None}}))
        for word in words:
            self.assertIn(word, said)
        return said

    def change_refused(self, name, patch, *words):
        said = self.cluster.kubectl_fails("patch", "eip", name, "--type=merge", "-p", json.dumps(patch))
        for word in words:
            self.assertIn(word, said)

    def change(self, name, patch):
        self.cluster.kubectl("patch", "eip", name, "--type=merge", "-p", json.dumps(patch))


class Status(PoolTest):
    """T001 T002 T012 the status of an Eip: ends, size, nothing used, not occupied, IPv4, ready; a /30 has four, and blanks do no harm"""

    def test(self):
        for name, address, first, last, size in (
                ("range", "192.168.50.50-192.168.50.60", "192.168.50.50", "192.168.50.60", 11),
                ("prefix", "10.10.0.0/30", "10.10.0.0", "10.10.0.3", 4),
                ("blanks", " 10.3.0.5 - 10.3.0.9 ", "10.3.0.5", "10.3.0.9", 5)):
            self.eip(name, address)
            status = self.wait_eip(name, ready=True)
            self.assertEqual({key: status.get(key) for key in ("firstIP", "lastIP", "poolSize", "usage", "occupied", "v4", "used")},
                             {"firstIP": first, "lastIP": last, "poolSize": size, "usage": 0, "occupied": False, "v4": True, "used": None})
            self.assertEqual({c["type"]: c["status"] for c in status["conditions"]},
                             {"Ready": "True", "Conflicted": "False", "Exhausted": "False"})


class Agreed(PoolTest):
    """T016 the Eip as kubectl reads it, the metrics of the controller that leads and berthctl agree on size, used and free"""

    def test(self):
        self.eip("edge", "192.168.50.50-192.168.50.60")
        for used, name in ((1, "web0"), (2, "web1")):
            self.service(name, eip="edge")
            self.wait_address(name)
            self.wait_eip("edge", usage=used, poolSize=11, occupied=False)
            row = self.cluster.kubectl("get", "eip", "edge", "--no-headers").split()
            self.assertEqual(row, ["edge", "192.168.50.50-192.168.50.60", str(used), "11"])
            self.assertEqual(self.metrics(), (11, used))
            [pool] = [pool for pool in self.berth.get("pools") if pool["name"] == "edge"]
            self.assertEqual((pool["total"], pool["used"]), ("11", str(used)))
        # Nine are free: nine more have one, and the next has none.
        for i in range(2, 12):
            self.service(f"web{i}", eip="edge")
        for i in range(2, 11):
            self.wait_address(f"web{i}")
        self.assertIn("none of the 11 addresses", self.wait_waiting("web11", "PoolExhausted"))
        self.wait_eip("edge", usage=11, poolSize=11, occupied=True)
        self.assertEqual(self.metrics(), (11, 11))

    def metrics(self):
        """The addresses of the Eip and those in use, as the leader says."""
        return tuple(self.berth.metric(f'{name}{{pool="edge"}}') for name in ("berth_pool_addresses", "berth_pool_addresses_in_use"))


class Full(PoolTest):
    """T003 an Eip of one address is occupied with one Service, and the next waits, the Eip named"""

    def test(self):
        self.eip("single", "172.22.0.9")
        self.service("a", eip="single")
        self.wait_address("a", "172.22.0.9")
        self.service("b", eip="single")
        self.wait_waiting("b", "PoolExhausted", 'Eip "single"')
        status = self.wait_eip("single", occupied=True, usage=1, poolSize=1)
        self.assertIn(("Exhausted", "True"), [(c["type"], c["status"]) for c in status["conditions"]])


class Format(PoolTest):
    """T005 T006 E2 E4 E11 an address that is none, reversed or of two families, and a protocol that is none, are refused, the value quoted"""

    def test(self):
        self.refused("bad", "10.0.0.20-10.0.0.10", "10.0.0.20", "10.0.0.10", "invalid eip address format")
        for address in ("10.0.0.0/33", "10.0.0.x", "10.0.0.1-fe80::1", "", "xxxx", "10.0.0.0/255.255.255.0", "10.0.0.0/24-10.0.1.0/24"):
            said = self.refused("bad", address, "spec.address", "invalid eip address format")
            self.assertIn(f'"{address}"', said)
        self.refused("bad", "10.0.0.1", 'spec.protocol: Unsupported value: "foo": supported values: "bgp", "layer2", "vip"', protocol="foo")
        self.refused("bad", "2001:db8::1", "spec.address", "2001:db8::1", version="v1alpha1")


class Overlap(PoolTest):
    """T008 E1 E10 an Eip that overlaps another is refused, the other named, through either version of the API"""

    def test(self):
        self.eip("a", "10.1.0.0/24")
        self.refused("b", "10.1.0.128-10.1.1.5", "eip address overlap with a", "spec.address", "10.1.0.0/24")
        self.refused("b", "10.1.0.7", "eip address overlap with a")
        self.refused("b", "10.1.0.7", "eip address overlap with a", protocol="bgp", interface=None)
        self.refused("b", "10.1.0.7", "eip address overlap with a", version="v1alpha1")
        self.change("a", {"spec": {"disable": True}})
        self.refused("b", "10.1.0.7", "eip address overlap with a")


class Edits(PoolTest):
    """T009 E8 E9 E13 an Eip may not grow over another nor leave out an address in use; every other edit is allowed, of the address alone too"""

    def test(self):
        self.eip("a", "10.1.0.0/24")
        self.eip("b", "10.1.1.0/24")
        self.change_refused("b", {"spec": {"address": "10.1.0.0/16"}}, "eip address overlap with a", "spec.address")
        self.service("web", eip="b", ask="10.1.1.9")
        self.wait_address("web", "10.1.1.9")
        self.change_refused("b", {"spec": {"address": "10.1.1.10-10.1.1.20"}}, "the address field is not allowed to be modified",
                            "spec.address", f"{self.namespace}/web (10.1.1.9)")
        self.change("b", {"spec": {"address": "10.1.1.0/25"}})
        self.change("b", {"spec": {"disable": True, "priority": 3, "namespaces": ["nobody"]}})
        self.change("b", {"spec": {"disable": False, "protocol": "vip", "interface": "eth1"}})
        self.change("b", {"spec": {"protocol": "layer2", "interface": "eth0"}})
        self.assertEqual(self.addresses("web"), "10.1.1.9")
        self.wait_eip("b", poolSize=128, usage=1)


class Interface(PoolTest):
    """T010 E3 layer2 and vip need an interface"""

    def test(self):
        for protocol in ("layer2", "vip"):
            for interface in (None, ""):
                self.refused("bad", "10.1.0.0/24", "if protocol is layer2 or vip, interface should not be empty", "spec.interface",
                             protocol=protocol, interface=interface)
        self.eip("good", "10.1.0.0/24", protocol="bgp", interface=None)
        self.change_refused("good", {"spec": {"protocol": "layer2"}}, "if protocol is layer2 or vip, interface should not be empty")


class Default(PoolTest):
    """T011 E5 E6 E7 a second default Eip is refused however it comes about, the first named"""

    def test(self):
        self.eip("a", "10.1.0.0/24", {IS_DEFAULT: "true"})
        for value in ("true", "True"):
            self.refused("b", "10.1.1.0/24", "already exists a default EIP", 'Eip "a"', annotations={IS_DEFAULT: value})
        self.eip("b", "10.1.1.0/24", {IS_DEFAULT: "false"})
        said = self.cluster.kubectl_fails("annotate", "eip", "b", "--overwrite", f"{IS_DEFAULT}=true")
        self.assertIn("already exists a default EIP", said)
        self.assertIn('Eip "a"', said)
        self.cluster.kubectl("annotate", "eip", "a", f"{IS_DEFAULT}-")
        wait_for("the default to be free", lambda: not run_fails(self.cluster, "annotate", "eip", "b", "--overwrite", f"{IS_DEFAULT}=true"))


def run_fails(cluster, *args):
    return cluster._client_program("kubectl", args, False, None, None).returncode != 0


class BuggyAddresses(PoolTest):
    """T013 T014 without buggy addresses a /31 gives one, and a /24 counts 254"""

    def test(self):
        self.eip("two", "1.2.3.0/31", {"berth.io/avoid-buggy-ips": "true"})
        for name in ("a", "b"):
            self.service(name, eip="two")
        wait_for("one of them", lambda: sorted((self.addresses("a"), self.addresses("b"))) == ["", "1.2.3.1"])
        self.wait_eip("two", poolSize=1, usage=1, occupied=True)
        self.eip("many", "1.2.4.0/24", {"berth.io/avoid-buggy-ips": "true"})
        self.wait_eip("many", poolSize=254)
        self.service("c", eip="many")
        self.wait_address("c", "1.2.4.1")


class DeletedInUse(PoolTest):
    """B16 E12 T079 T090 an Eip in use may be deleted: it waits for its three users, told in Event and condition, and force releases them"""

    def test(self):
        self.eip("edge", "192.168.50.50-192.168.50.60")
        names = [f"web{i}" for i in range(3)]
        for name in names:
            self.service(name, eip="edge")
            self.wait_address(name)
        self.cluster.kubectl("delete", "eip", "edge", "--wait=false")
        users = [f"{self.namespace}/{name}" for name in names]
        self.wait_event("edge", "DeletionWaits", *users, kind="Eip")
        wait_for("the condition", lambda: any(
            c["type"] == "Deleting" and all(user in c["message"] for user in users)
            for c in self.cluster.api.get(eip_path("edge"))["status"]["conditions"]))
        self.service("late", eip="edge")
        self.wait_waiting("late", "PoolDeleting", 'Eip "edge"')
        self.check_promises()
        self.cluster.kubectl("annotate", "eip", "edge", "berth.io/force-delete=true")
        wait_for("the end of the Eip", lambda: self.cluster.api.find(eip_path("edge")) is None)
        for name in names:
            self.wait_address(name, "")
            self.wait_waiting(name, "PoolNotFound", "edge")
        self.assertEqual(len(self.events("edge", "Eip", "DeletionWaits")), 1)


if __name__ == "__main__":
    main()
