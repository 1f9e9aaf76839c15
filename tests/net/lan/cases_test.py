# SPDX-License-Identifier: Apache-2.0
"""Cases that need the real programs: what different doors say of the same thing, and what a process keeps of the past."""
import re

from lan_case import *  # noqa: F403


class ThreeDoors(LanTest):
    """T016 The admin API, the metrics and berthctl agree on the size of an Eip and on what of it is used and free"""

    def test(self):
        lab = self.cluster(nodes=1, services=2)
        api = lab.get("pools")
        self.assertEqual([(p["name"], p["total"], p["used"]) for p in api], [("eip-pool", "11", "2")])
        header, row = lab.ctl("get", "pools").stdout.splitlines()
        table = dict(zip(header.split(), row.split()))
        self.assertEqual((table["NAME"], table["TOTAL"], table["USAGE"]), ("eip-pool", "11", "2"))
        scraped = self.metrics()
        self.assertEqual(scraped['berth_pool_addresses{pool="eip-pool"}'], 11)
        self.assertEqual(scraped['berth_pool_addresses_in_use{pool="eip-pool"}'], 2)
        # Nine are free: nine more Services get one, and the next is told that none of the 11 is left.
        lab.manifest("more.yaml", "---\n".join(service(f"more{i}") for i in range(9)))
        lab.wait_announced(11)
        lab.manifest("late.yaml", service("late"))
        wait_for("a Service that waits", lambda: any(s["reason"] == "PoolExhausted" for s in lab.get("services")))
        self.assertIn("none of the 11 addresses", lab.ctl("explain", "service", "default/late").stdout)
        self.assertEqual(self.metrics()['berth_pool_addresses_in_use{pool="eip-pool"}'], 11)
        self.assertEqual(lab.get("pools")[0]["used"], "11")


class BriefServices(LanTest):
    """T038 A thousand Services that live for 50 ms leave no address in use, and the controller no larger than before"""

    def resident(self):
        with open(f"/proc/{self.lab.controller.pid}/status") as status:
            return int(re.search(r"^VmRSS:\s+(\d+) kB", status.read(), re.M)[1])

    def churn(self, lab, count):
        """`count` Services come and go, ten at a time."""
        for i in range(0, count, 10):
            lab.manifest("brief.yaml", "---\n".join(service(f"brief{i + k}", ports=((1000 + k, "TCP"),)) for k in range(10)))
            time.sleep(0.05)
            lab.manifest("brief.yaml", None)

    def test(self):
        lab = self.cluster(nodes=2, services=1, pool="192.168.50.50-192.168.50.70")
        self.churn(lab, 100)  # what the process needs at all is there now
        wait_for("none of the first", lambda: len(lab.get("services")) == 1, 20)
        before = self.resident()
        self.churn(lab, 1000)
        wait_for("none left", lambda: len(lab.get("services")) == 1, 20)
        self.assertEqual(lab.get("pools")[0]["used"], "1")
        self.assertEqual(lab.holders(), self.before)
        after = self.resident()
        print(f"controller: {before} kB before, {after} kB after")
        self.assertLess(after, before * 1.1)
        lab.manifest("next.yaml", service("next"))
        lab.wait_announced(2)
        self.assert_each_answered_once({**self.before, "192.168.50.51": lab.holders()["192.168.50.51"]})


class Layer2Off(LanTest):
    """F13 A node whose agent is told to leave layer 2 alone holds nothing, others hold all, and it says so itself"""

    def test(self):
        lab = self.new_lab(2)
        lab.start_controller(lab.folder_of_manifests())
        lab.nodes[0].start_agent("--enable-layer2=false")
        lab.nodes[1].start_agent()
        lab.wait_agents(2)
        lab.manifest("pool.yaml", eip())
        lab.manifest("services.yaml", "---\n".join(service(f"s{i}") for i in range(6)))
        self.assertEqual(set(lab.wait_announced(6, 60).values()), {"node2"})
        self.assertIn("layer 2 is off on this node (berth-agent --enable-layer2=false)", lab.ctl("get", "agents", "-o", "wide").stdout)
        # With the other one gone nobody is left, and the address stays the Service's.
        lab.nodes[1].kill_agent(signal.SIGTERM)
        wait_for("an address that nobody holds", lambda: all(a["state"] == "UNHELD" for a in lab.get("addresses")), 20)
        self.assertIn("node1: layer 2 is off", lab.ctl("explain", "address", "192.168.50.50").stdout)
        self.assertEqual([len(s["addresses"]) for s in lab.get("services")], [1] * 6)


if __name__ == "__main__":
    unittest.main()
