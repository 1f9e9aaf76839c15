# SPDX-License-Identifier: Apache-2.0
"""externalTrafficPolicy Local with the real programs: the address is where the endpoints are, and they may come and go."""
import threading

from handover_case import *  # noqa: F403
from lan_case import eip

LOCAL = "  externalTrafficPolicy: Local\n"  # of a Service's spec


def endpoints(*nodes, ready=True, six=False):
    """Of the Service "web", one on each of these nodes."""
    prefix = "fd00:10::" if six else "10.1.0."
    lines = ["apiVersion: discovery.k8s.io/v1", "kind: EndpointSlice", "metadata:", "  name: web-1",
             "  labels: {kubernetes.io/service-name: web}", f"addressType: IPv{6 if six else 4}", "endpoints:"]
    lines += [f"  - {{addresses: ['{prefix}{i + 1}'], nodeName: {node}, conditions: {{ready: {str(ready).lower()}}}}}"
              for i, node in enumerate(nodes)]
    return "\n".join(lines) + "\n"


class EndpointsThatFlap(HandOverTest):
    """T133 Endpoints that move ten times a second take the address along at most once a second and a client notices nothing"""

    allowed = ("war",)  # one turn a second, as it must be here

    def test(self):
        lab = self.new_lab(2)
        lab.start()
        lab.manifest("pool.yaml", eip(address=self.range()))
        lab.manifest("endpoints.yaml", endpoints("node1", six=self.six))
        lab.manifest("web.yaml", self.service("web") + LOCAL)
        self.assertEqual(lab.wait_announced(1), {self.vip: "node1"})
        self.listen()
        time.sleep(11)  # until the frames of its first holder are over
        began = time.monotonic()
        flapping = threading.Thread(target=self.flap, args=(5.0,))
        flapping.start()
        self.ask_each_10_ms(5.5)
        flapping.join()
        wait_for("the right holder", lambda: lab.holders() == {self.vip: "node2"}, 5)

        turns = []  # (time, host) of each first frame of another holder
        for frame in self.tap.gratuitous(began):
            if frame.sender_ip == self.vip and (not turns or turns[-1][1] != frame.host):
                turns.append((frame.time, frame.host))
        self.assertGreaterEqual(len(turns), 3)
        self.assertEqual(turns[0][1], "node2")
        self.assertEqual(turns[-1][1], "node2")
        # The decisions are a second apart; how soon each is carried out is the scheduler's business too.
        self.assertLessEqual(len(turns), 2 + (turns[-1][0] - turns[0][0]) / 0.9)
        self.assertLessEqual(self.longest_unanswered(), 0.05)
        news = [when for when, _ in turns]
        self.assertFalse([(when - began, hosts) for when, _, hosts in self.census.answers(began)
                          if len(hosts) > 1 and not any(abs(when - at) < 0.005 for at in news)], "answered by several")
        self.assertEqual(self.census.who_answers([self.vip]), {self.vip: ["node2"]})

    def flap(self, seconds):
        """Ends on node2."""
        until, turn = time.monotonic() + seconds, 0
        while time.monotonic() < until or turn % 2 == 0:
            turn += 1
            self.lab.manifest("endpoints.yaml", endpoints("node2" if turn % 2 else "node1", six=self.six))
            time.sleep(0.1)


class EndpointsThatFlapSix(EndpointsThatFlap):
    """T133 Endpoints that move ten times a second take an IPv6 address along at most once a second and unnoticed too"""

    six = True


if __name__ == "__main__":
    unittest.main()
