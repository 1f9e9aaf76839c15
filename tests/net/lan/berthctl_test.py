# SPDX-License-Identifier: Apache-2.0
"""berthctl against a running controller: exit codes, and the JSON that scripts rely on."""
from lan_case import *  # noqa: F403

VIP = "192.168.50.50"


class ExitCodes(LanTest):
    """berthctl ends with 0 when done, 1 when the server says no, 2 for bad usage, 3 when nobody is there"""

    def test(self):
        lab = self.cluster(nodes=1, services=1)
        for code, command in [
                (0, "get pools"), (0, "get services -o wide"), (0, "get agents -o yaml"), (0, "get addresses -o json"),
                (0, "explain service default/s0"), (0, f"explain address {VIP}"), (0, "version"), (0, "dump"),
                (0, "completion bash"), (0, "completion zsh"), (0, "completion fish"), (0, "--help"),
                (1, "explain service default/nobody"), (1, "explain address 10.1.1.1"), (1, "get pools nobody"),
                (2, ""), (2, "--bogus"), (2, "get"), (2, "get bananas"), (2, "-o xml get pools"), (2, "explain service"),
                (3, "--server=127.0.0.1:1 get pools")]:
            with self.subTest(command):
                done = lab.ctl(*command.split(), check=False)
                self.assertEqual(done.returncode, code, done.stderr)
                if code != 0:
                    self.assertTrue(done.stderr.strip(), "says nothing")
                    self.assertEqual(done.stdout, "")
                else:
                    self.assertTrue(done.stdout.strip())


class JsonShapes(LanTest):
    """The JSON of berthctl has the documented fields, each always there, with enums as words and counts as strings"""

    FIELDS = {
        "pools": {"name", "range", "protocol", "interface", "disabled", "used", "total", "conflicted", "message"},
        "services": {"namespace", "name", "protocol", "pools", "addresses", "state", "reason", "message"},
        "addresses": {"address", "pool", "protocol", "services", "holder", "candidates", "state", "since", "message"},
        "agents": {"node", "state", "version", "interfaces", "announced", "lastHeartbeat", "message"},
    }

    def test(self):
        lab = self.cluster(nodes=2, services=1)
        for kind, fields in self.FIELDS.items():
            for found in lab.get(kind):
                self.assertLessEqual(fields, set(found), kind)
        pool = lab.get("pools")[0]
        self.assertEqual((pool["name"], pool["used"], pool["total"], pool["disabled"]), ("eip-pool", "1", "11", False))
        found = lab.get("services")[0]
        self.assertEqual((found["addresses"], found["pools"], found["state"]), ([VIP], ["eip-pool"], "ASSIGNED"))
        address = lab.get("addresses")[0]
        self.assertEqual((address["services"], address["state"]), (["default/s0"], "ANNOUNCED"))
        self.assertIn(address["holder"], address["candidates"])
        self.assertRegex(address["since"], r"^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?Z$")
        agents = {a["node"]: a for a in lab.get("agents")}
        self.assertEqual(set(agents), {"node1", "node2"})
        self.assertEqual(agents[address["holder"]]["announced"], [VIP])
        for node in lab.nodes:
            eth0 = next(i for i in agents[node.name]["interfaces"] if i["name"] == "eth0")
            self.assertEqual((eth0["mac"], eth0["up"]), (node.mac, True))
            self.assertIn(f"{node.address}/24", eth0["prefixes"])


if __name__ == "__main__":
    unittest.main()
