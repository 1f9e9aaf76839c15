# SPDX-License-Identifier: Apache-2.0
"""Whatever becomes of the controllers, addresses stay where they are and none is given twice."""
import base64
import datetime
import glob
import random
import socket
import ssl
import sys

from faults_case import *  # noqa: F403
from faults_case import CONTROLLER
from kube_container import PROGRAMS

TLS = core("secrets", NAMESPACE, "berth-tls")


class Killed(FaultTest):
    """Leaders killed at random moments of a burst of Services leave each with one address, of its own"""

    def test(self):
        chance = random.Random(7)
        names = [f"s-{i}" for i in range(60)]
        for part in range(3):
            leader = self.berth.leader()
            term = self.term()
            burst = threading.Thread(target=self.create, args=names[part::3])
            burst.start()
            time.sleep(chance.uniform(0, 0.3))
            leader.kill()
            burst.join()
            wait_for("another term", lambda: self.term() > term, 30, 0.05)
        self.wait_addresses(*names, timeout=60)

    def term(self):
        return int(self.lease()["metadata"]["annotations"]["berth.io/term"])


class KilledAtEachStep(FaultTest):
    """A leader killed when a write of an allocation begins, and when it is done, leaves each Service one address, of its own"""

    def test(self):
        address = self.web_service()
        self.names, self.made = ["web"], 0
        free = next(node for node in self.cluster.nodes if node is not self.holder(address)).name
        self.addCleanup(self.berth.ctl, "undrain", free)
        with self.served(address):
            for stage in ("RequestReceived", "ResponseComplete"):
                for resource_, verb, work in (("services/status", "patch", self.another), ("events", "create", self.another),
                                              ("eips/status", "patch", self.another), ("services/status", "patch", self.one_less),
                                              ("eips", "patch", self.another_eip),
                                              ("configmaps", "patch", lambda leader: self.order(leader, free))):
                    began = time.monotonic()
                    self.kill_at(work, stage=stage, verb=verb, resource=resource_)
                    print(f"  {stage} {verb} {resource_}: {time.monotonic() - began:.1f} s", file=sys.stderr)

    def kill_at(self, work, **step):
        held = {name: ingress_of(thing) for name, thing in self.services().items()}
        leader, other = self.berth.leader(), self.standby()
        wait_for("a standby", lambda: other.ready, 30, 0.02)
        mark = self.cluster.audit.mark()
        thread = threading.Thread(target=work, args=(leader,), daemon=True)
        thread.start()
        self.cluster.audit.await_request(mark, user=CONTROLLER, pod=leader.name, **step)
        leader.kill(hold=True)
        try:
            thread.join()
            # Given up for who is dead, so that nobody waits until it has run out.
            self.cluster.api.patch(LEASE, {"spec": {"holderIdentity": ""}})
            wait_for("the other one to lead", lambda: self.berth.leader() is other, 30, 0.02)
        finally:
            leader.release()
        after = self.wait_addresses(*self.names)
        for name in set(held) & set(after):
            self.assertEqual([after[name]], held[name])
        for name in self._eips:
            self.wait_eip(name, ready=True, timeout=20)
            wait_for(f"the finalizer of {name}", lambda name=name: self.cluster.api.get(eip_path(name))["metadata"].get("finalizers"), 20)
        self.check_promises()

    def another(self, _leader):
        self.made += 1
        self.names.append(f"s-{self.made}")
        self.create(self.names[-1])

    def one_less(self, _leader):
        self.delete(self.names.pop(1))

    def another_eip(self, _leader):
        self.eip(f"more-{len(self._eips)}", f"192.168.50.{20 + len(self._eips)}")

    def order(self, leader, node):
        """What the record lacks: an order whose leader was killed while it wrote may be on record or not."""
        def state():
            found = next((agent["state"] for agent in self.berth.get("agents") if agent["node"] == node), None)
            return found if found in ("READY", "DRAINING") else None
        order = "drain" if wait_for("the node's agent", state, 20, 0.05) == "READY" else "undrain"
        leader.exec(f"{PROGRAMS}/berthctl", order, node, check=False)  # is cut short


class BothKilled(FaultTest):
    """While no controller runs pages go on and nothing moves, nor when they come back"""

    def test(self):
        address = self.web_service()
        self.create("kept")
        before = self.wait_addresses("web", "kept")
        holder = self.holder(address)
        written = self.services()["kept"]["metadata"]["resourceVersion"]
        with self.served(address):
            both = self.berth.controllers
            for pod in both:
                self.addCleanup(pod.release)
                pod.kill(hold=True)
            self.create("new")
            for node in self.cluster.nodes:
                agent = self.berth.agent(node)
                wait_for(f"{node.name}'s agent to notice", lambda agent=agent: self._lost(agent), 20)
            self.assertIs(self.holder(address), holder)
            for pod in both:
                pod.release()
            after = self.wait_addresses("web", "kept", "new", timeout=60)
        self.assertEqual({name: after[name] for name in before}, before)
        self.assertIs(self.holder(address), holder)
        self.assertEqual(self.services()["kept"]["metadata"]["resourceVersion"], written)

    @staticmethod
    def _lost(agent):
        lines = [line for line in agent.log().splitlines() if "connected to a controller" in line or "connection lost" in line]
        return lines and "connection lost" in lines[-1]


class Frozen(FaultTest):
    """A leader frozen between its decisions and their writes wakes as nobody, and what it had decided is not done twice"""

    def test(self):
        names = [f"s-{i}" for i in range(40)]
        leader = self.berth.leader()
        # What it says to the API server is long on its way: some five writes a second.
        leader.space.exec("tc", "qdisc", "add", "dev", "eth0", "root", "tbf", "rate", "32kbit", "burst", "2kb", "latency", "30s")
        self.addCleanup(leader.space.exec, "tc", "qdisc", "del", "dev", "eth0", "root", check=False)
        self.create(*names)
        wait_for("it to know them all", lambda: self.known(leader) == len(names), 20, 0.02)  # and with that to decide
        with self.frozen(leader):
            self.assertTrue([name for name, thing in self.services().items() if not ingress_of(thing)], "it had nothing left to write")
            leader.space.exec("tc", "qdisc", "del", "dev", "eth0", "root")
            wait_for("another leader", lambda: self.berth.leader() is not leader, 30, 0.05)
            before = self.wait_addresses(*names, timeout=60)
            thawed = self.cluster.audit.mark()
        wait_for("that it knows", lambda: not self.status(leader)["leader"] and self.status(leader)["leaderName"], 20, 0.05)
        self.assertEqual(self.wait_addresses(*names), before)
        self.assertEqual(self.writes_of(leader, thawed), [])

    def known(self, leader):
        return len(json.loads(self.berth.ctl("get", "services", "-o", "json", pod=leader))["services"])

    def writes_of(self, pod, since):
        return [r for r in self.cluster.audit.requests(since, user=CONTROLLER, pod=pod.name, namespace=self.namespace)
                if r.verb == "patch" and r.resource.startswith("services")]


class WrongClock(FaultTest):
    """A controller whose clock is a minute fast waits its turn as others do, and leads as well as they"""

    def test(self):
        address = self.web_service()
        leader, wrong = self.berth.leader(), self.standby()
        extra = self.cluster.kubelet.extra_env
        extra[wrong.name] = {"LD_PRELOAD": glob.glob("/usr/lib/*/faketime/libfaketimeMT.so.1")[0], "FAKETIME": "+60s", "FAKETIME_DONT_FAKE_MONOTONIC": "1"}
        self.addCleanup(wrong.send, signal.SIGKILL)  # where it runs
        self.addCleanup(extra.pop, wrong.name)
        for pod in (leader, wrong):
            self.addCleanup(pod.release)
        with self.served(address):
            wait_for("a standby", lambda: wrong.ready, 30)
            wrong.kill()
            wait_for("its return", lambda: wrong.ready, 30)
            renewed = self.lease()["spec"]["renewTime"]
            wait_for("renewals that it sees", lambda: self._renewals(renewed) > 8, 30, 0.1)  # longer than a Lease lasts
            self.assertIs(self.berth.leader(), leader)
            leader.kill(signal.SIGTERM, hold=True)  # else it may be back first
            wait_for("its turn", lambda: self.berth.leader() is wrong, 30, 0.05)
            leader.release()
            self.assertGreater(self._seconds(self.lease()["spec"]["renewTime"]), time.time() + 50)
            self.create("new")
            self.assertEqual(self.wait_addresses("web", "new")["web"], address)
            wait_for("the other's return", lambda: leader.ready, 30)
            # Its clock is a minute behind that in the Lease.
            wrong.kill(signal.SIGTERM, hold=True)
            wait_for("the other's turn", lambda: self.berth.leader() is leader, 30, 0.05)
            wrong.release()
            self.create("newer")
            self.assertEqual(self.wait_addresses("web", "new", "newer")["web"], address)

    def _renewals(self, since):
        return self._seconds(self.lease()["spec"]["renewTime"]) - self._seconds(since)

    @staticmethod
    def _seconds(text):
        return datetime.datetime.strptime(text, "%Y-%m-%dT%H:%M:%S.%f%z").timestamp()


class TokensReplaced(FaultTest):
    """When all tokens are replaced and the old ones are void, controllers and agents go on with the new ones"""

    def test(self):
        address = self.web_service()
        old = self._credentials(0)
        with self.served(address):
            for account in ("berth-controller", "berth-agent"):
                thing = self.cluster.get_json("serviceaccount", account, "-n", NAMESPACE)
                self.cluster.kubectl("delete", "serviceaccount", account, "-n", NAMESPACE)
                thing["metadata"] = {key: thing["metadata"][key] for key in ("name", "namespace", "labels", "annotations")}
                self.cluster.api.create(core("serviceaccounts", NAMESPACE), thing)
            for pod in self.berth.controllers + self.berth.agents:
                pod.rotate_tokens()
            mark = self.cluster.audit.mark()
            # For ten seconds at most an API server remembers which tokens were good.
            wait_for("both controllers' new tokens in use", lambda: len(self._credentials(mark) - old) == 2, 60, 0.1)
            self.berth.leader().kill(signal.SIGTERM)
            self.create("new")
            self.assertEqual(self.wait_addresses("web", "new", timeout=60)["web"], address)
            wait_for("all agents with the new leader", lambda: len(self._agents()) == 3, 30, 0.1)

    def _agents(self):
        return [agent for agent in self.berth.get("agents") if agent["state"] == "READY"]

    def _credentials(self, since):
        """Ids of the tokens that controllers have shown, of requests that were answered."""
        with open(self.cluster.audit.path, "rb") as log:
            log.seek(since)
            events = [json.loads(line) for line in log.read().split(b"\n")[:-1]]
        return {one for event in events if event["user"].get("username", "").endswith(":berth-controller")
                for one in event["user"].get("extra", {}).get("authentication.kubernetes.io/credential-id", [])}


class CertificateExpired(FaultTest):
    """A serving certificate that somebody let expire, and its authority too, are made anew; no call of the webhook fails meanwhile"""

    def test(self):
        address = self.web_service()
        with self.served(address):
            for authority in (False, True):
                expired = self.expire(authority)
                if authority:  # found by one that starts, before those that run look again
                    pod = self.standby()
                    pod.kill()
                    wait_for("its return", lambda pod=pod: pod.ready, 30)
                self.while_all_is_well(address, lambda: self.stored("tls.crt") != expired)
                self.while_all_is_well(address, lambda: all(self.is_trusted(pod) for pod in self.berth.controllers))
            wait_for("all agents", self._agents_ready, 30, 0.1)
            # What the agents have by now been told to trust.
            self.berth.leader().kill(signal.SIGTERM)
            wait_for("all agents with the new leader", self._agents_ready, 30, 0.1)
            self.assert_webhook_works()
            self.create("new")
            self.assertEqual(self.wait_addresses("web", "new")["web"], address)

    def stored(self, key):
        return base64.b64decode(self.cluster.api.get(TLS)["data"][key]).decode()

    def expire(self, authority):
        """Puts a certificate that has expired yesterday into the Secret, of the authority that is there or of one as old."""
        plane = self.cluster.plane
        if authority:
            plane.certify("old-ca", "berth", "basicConstraints=critical,CA:TRUE", authority=None, days_ago=3)
        else:
            for end in ("crt", "key"):
                plane.write(f"old-ca.{end}", self.stored(f"ca.{end}"))
        plane.certify("old", "berth-controller", "subjectAltName=DNS:berth-controller,DNS:localhost,"
                      f"DNS:berth-webhook.{NAMESPACE}.svc,DNS:berth-webhook.{NAMESPACE}.svc.cluster.local", authority="old-ca", days_ago=3)
        data = {}
        for key, name in (("ca.crt", "old-ca.crt"), ("ca.key", "old-ca.key"), ("tls.crt", "old.crt"), ("tls.key", "old.key")):
            with open(plane.file(name), "rb") as f:
                data[key] = base64.b64encode(f.read()).decode()
        self.cluster.api.patch(TLS, {"data": data})
        return self.stored("tls.crt")

    def while_all_is_well(self, address, condition):
        """Waits for the condition; until then and once more the webhook judges, and one node answers for the address."""
        def look():
            done = condition()
            self.holder(address)
            self.assert_webhook_works()
            return done
        return wait_for("the end of a fault", look, 90, 0.1)

    def assert_webhook_works(self):
        """The API server has it judge an Eip that is right and one that is wrong; nothing is stored."""
        for name, words in (("198.51.100.1", None), (POOL, "eip address overlap with pool")):
            said = ""
            try:
                self.cluster.api.create(eip_path() + "?dryRun=All", {
                    "apiVersion": "network.kubesphere.io/v1alpha2", "kind": "Eip", "metadata": {"name": "asked-for"},
                    "spec": {"address": name, "protocol": "layer2", "interface": "eth0"}})
            except ApiError as error:
                said = str(error)
            self.assertIn(words, said) if words else self.assertEqual(said, "")

    def is_trusted(self, pod):
        """That controller shows its agents and the API server a certificate that each of them trusts."""
        hooks = self.cluster.api.get(resource("admissionregistration.k8s.io/v1", "validatingwebhookconfigurations", None, "berth-controller"))
        told = {9443: base64.b64decode(hooks["webhooks"][0]["clientConfig"]["caBundle"]).decode(),
                7443: self.cluster.api.get(core("configmaps", NAMESPACE, "berth-ca"))["data"]["ca.crt"]}
        return all(self.shakes_hands(pod.address, port, bundle) for port, bundle in told.items())

    def shakes_hands(self, address, port, bundle):
        context = ssl.create_default_context(cadata=bundle)
        context.set_alpn_protocols(["h2"])
        with self.cluster.controller_host.socket(socket.AF_INET, socket.SOCK_STREAM) as connection:
            connection.settimeout(3)
            try:
                connection.connect((address, port))
                context.wrap_socket(connection, server_hostname="berth-controller").close()
            except OSError:  # SSLError, too
                return False
        return True

    def _agents_ready(self):
        return self._told(lambda: [agent["state"] for agent in self.berth.get("agents")] == ["READY"] * 3)


class LeaseDeleted(FaultTest):
    """A Lease that somebody deletes is back at once, with the same leader and no lower term"""

    def test(self):
        self.create("kept")
        before = self.wait_addresses("kept")
        # One that has never seen a Lease takes it that there was none.
        wait_for("a standby that knows who leads", lambda: self._told(lambda: self.status(self.standby())["leaderName"]), 30, 0.05)
        leader, lease = self.berth.leader(), self.lease()
        self.cluster.api.delete(LEASE)
        found = wait_for("a Lease", self.lease, 10, 0.01)
        self.assertNotEqual(found["metadata"]["uid"], lease["metadata"]["uid"])
        self.assertEqual(found["spec"]["holderIdentity"], lease["spec"]["holderIdentity"])
        self.assertGreaterEqual(int(found["metadata"]["annotations"]["berth.io/term"]), int(lease["metadata"]["annotations"]["berth.io/term"]))
        self.create("new")
        self.assertEqual(self.wait_addresses("kept", "new")["kept"], before["kept"])
        self.assertIs(self.berth.leader(), leader)


if __name__ == "__main__":
    main()
