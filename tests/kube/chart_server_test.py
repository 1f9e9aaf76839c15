# SPDX-License-Identifier: Apache-2.0
"""A real API server takes the chart without a warning, and its CRDs refuse what they can see is wrong."""
import base64
import contextlib

from chart_case import ALL, CHART, NAMESPACE, NOTHING, render
from kube_case import *  # noqa: F403
from kube_monitoring import crd

GROUP = "network.kubesphere.io"
FINALIZER = "finalizer.ipam.kubesphere.io/v1alpha1"


def eip(name, version="v1alpha2", **spec):
    return {"apiVersion": f"{GROUP}/{version}", "kind": "Eip", "metadata": {"name": name}, "spec": spec}


class ChartTest(KubeTest):
    CLUSTER = {"nodes": 1, "kube_proxy": False}

    def setUp(self):
        super().setUp()
        if self.cluster.api.find(core("namespaces", name=NAMESPACE)) is None:
            self.cluster.new_namespace(NAMESPACE)

    def crds(self):
        """The CRDs alone, installed; every Eip goes when the test ends."""
        crds = [o for o in render() if o["kind"] == "CustomResourceDefinition"]
        self.cluster.kubectl("apply", "--server-side", "--force-conflicts", "-f", "-", input=as_list(crds))
        self.cluster.kubectl("wait", "--for=condition=Established", *(f"crd/{o['metadata']['name']}" for o in crds))
        self.addCleanup(self.delete_crds)

    def delete_crds(self):
        paths = [resource("apiextensions.k8s.io/v1", "customresourcedefinitions", None, f"{k}.{GROUP}") for k in ("eips", "bgpconfs", "bgppeers")]
        for path in paths:
            self.cluster.api.delete(path)

        def gone():
            left = [path for path in paths if self.cluster.api.find(path)]
            for path in left:  # an API server that was just storing its objects anew tries again in minutes, else at a change
                with contextlib.suppress(ApiError):
                    self.cluster.api.patch(path, {"metadata": {"labels": {"looked-at": str(time.monotonic_ns())}}})
            return not left
        wait_for("the end of the CRDs", gone, 60, 0.5)

    def helm(self, *arguments):
        self.cluster.helm(*arguments, "--namespace", NAMESPACE)

    def refused(self, manifest, *words):
        said = self.cluster.kubectl_fails("create", "-f", "-", input=json.dumps(manifest))
        for word in words:
            self.assertIn(word, said)

    def created(self, manifest):
        self.cluster.kubectl("create", "-f", "-", input=json.dumps(manifest))


def as_list(objects):
    return json.dumps({"apiVersion": "v1", "kind": "List", "items": objects})


class DryRun(ChartTest):
    """A server-side dry run of the chart with default values, every optional one and as little as possible gives no warning"""

    def test(self):
        with open(crd()) as manifest:
            self.cluster.kubectl("apply", "--server-side", "-f", "-", input=manifest.read())
        self.cluster.kubectl("wait", "--for=condition=Established", "crd/podmonitors.monitoring.coreos.com")
        for values in ({}, ALL, NOTHING):
            objects = render(values)
            done = self.cluster._client_program("kubectl", ["apply", "--server-side", "--dry-run=server", "--validate=strict", "-f", "-"],
                                                False, as_list(objects), None)
            self.assertEqual((done.returncode, done.stderr), (0, ""))
            self.assertEqual(done.stdout.count("serverside-applied"), len(objects))


class Rules(ChartTest):
    """The Eip's own schema refuses bad addresses and protocols and missing interfaces, in the words of the webhook"""

    def test(self):
        self.crds()
        for number, address in enumerate((
                "192.168.50.50-192.168.50.60", "10.0.0.1", "10.0.0.0/24", "10.0.0.10/24", " 10.0.0.1 , 10.0.0.3 - 10.0.0.4",
                "2001:db8::/64", "2001:db8::1-2001:db8::5,2001:db8::9", "64:ff9b::192.0.2.1", "0.0.0.0/0",
                ",".join(f"10.0.{i}.0/24" for i in range(70)))):
            self.created(eip(f"good-{number}", address=address))
        for address in ("", " ", "xxxx", "10.0.0.1,", ",10.0.0.1", "10.0.0.1-", "10.0.0.1-10.0.0.2-10.0.0.3", "10.0.0.256",
                        "10.0.0.0/255.255.255.0", "10.0.0.0/33", "10.0.0.0/24-10.0.1.0", "10.0.0.1 10.0.0.2", "010.0.0.1",
                        "::ffff:192.0.2.1", "fe80::1%eth0"):
            self.refused(eip("bad", address=address), "spec.address", "invalid eip address format")
        for address in ("10.0.0.1,2001:db8::1", "2001:db8::1,10.0.0.1", "10.0.0.1-2001:db8::1"):
            self.refused(eip("bad", address=address), "spec.address", "mixes IPv4 and IPv6")
        self.refused(eip("bad", address="10.0.0.1,".rjust(1025)), "spec.address", "1024")
        for spec in ({"protocol": "layer2"}, {"protocol": "vip"}, {"protocol": "layer2", "interface": ""}):
            self.refused(eip("bad", address="10.1.0.1", **spec), "spec.interface",
                         "if protocol is layer2 or vip, interface should not be empty")
        self.refused(eip("bad", address="10.1.0.1", protocol="foo"),
                     'spec.protocol: Unsupported value: "foo": supported values: "bgp", "layer2", "vip"')
        self.refused(eip("bad"), "spec.address: Required value")
        self.refused(eip("bad", address="10.1.0.1", nodeSelector={"matchExpressions": [{"key": "a", "operator": "In"}]}), "In and NotIn need values")
        self.created(eip("layer2", address="10.1.0.1", protocol="layer2", interface="eth0",
                         nodeSelector={"matchExpressions": [{"key": "a", "operator": "Exists"}]}))

    def test_bgp(self):
        self.crds()

        def bgp(kind, **spec):
            return {"apiVersion": f"{GROUP}/v1alpha2", "kind": kind, "metadata": {"name": "default"}, "spec": spec}
        self.refused(bgp("BgpConf", routerId="2001:db8::1"), "spec.routerId", "IPv4")
        self.refused(bgp("BgpConf", listenAddresses=["eth0"]), "spec.listenAddresses", "IP address")
        self.refused(bgp("BgpPeer", conf={"neighborAddress": "router"}), "spec.conf.neighborAddress", "IP address")
        for conf, field in (({}, "spec.as: Required value: as is missing"), ({"as": 0}, "spec.as: Required value: as is missing"),
                            ({"as": 4294967296}, "spec.as: Invalid value"), ({"as": 1, "asPerRack": {"a": 0}}, "spec.asPerRack.a"),
                            ({"as": 1, "listenPort": 65536}, "spec.listenPort")):
            self.refused(bgp("BgpConf", **conf), field)

        def peer(**spec):
            return bgp("BgpPeer", **{"conf": {"neighborAddress": "192.0.2.1", "peerAs": 64512}, **spec})
        for conf, field in (({"peerAs": 1}, "spec.conf.neighborAddress: Required value"), ({"neighborAddress": "192.0.2.1"}, "spec.conf.peerAs: Required value"),
                            ({"neighborAddress": "192.0.2.1", "peerAs": 0}, "spec.conf.peerAs: Required value: conf.peerAs is missing"),
                            ({"neighborAddress": "192.0.2.1", "peerAs": 4294967296}, "spec.conf.peerAs"),
                            ({"neighborAddress": "192.0.2.1", "peerAs": 1, "localAs": -1}, "spec.conf.localAs"),
                            ({"neighborAddress": "192.0.2.1", "peerAs": 1, "allowOwnAs": 256}, "spec.conf.allowOwnAs"),
                            ({"neighborAddress": "192.0.2.1", "peerAs": 1, "removePrivateAs": "SOME"}, "spec.conf.removePrivateAs")):
            self.refused(peer(conf=conf), field)
        self.refused(bgp("BgpPeer"), "conf.neighborAddress is missing", "conf.peerAs is missing")
        for spec, field in (({"transport": {"remoteAddress": "router"}}, "spec.transport.remoteAddress"), ({"transport": {"remotePort": 65536}}, "spec.transport.remotePort"),
                            ({"transport": {"tcpMss": -1}}, "spec.transport.tcpMss"), ({"ebgpMultihop": {"multihopTtl": 256}}, "spec.ebgpMultihop.multihopTtl"),
                            ({"timers": {"config": {"holdTime": "90s"}}}, "spec.timers.config.holdTime"),
                            ({"timers": {"config": {"holdTime": "2"}}}, "spec.timers.config.holdTime: Invalid value: holdTime is less than 3 seconds"),
                            ({"timers": {"config": {"holdTime": "100000"}}}, "spec.timers.config.holdTime"),
                            ({"timers": {"config": {"holdTime": "9", "keepaliveInterval": "9"}}}, "spec.timers.config.keepaliveInterval"),
                            ({"afiSafis": [{"config": {"family": {"afi": "AFI_L2VPN"}}}]}, "afi"), ({"afiSafis": [{"config": {"family": {"safi": "SAFI_EVPN"}}}]}, "safi"),
                            ({"nodeSelector": {"matchExpressions": [{"key": "a", "operator": "Is"}]}}, "operator"),
                            ({"nodeSelector": {"matchExpressions": [{"key": "a", "operator": "In"}]}}, "In and NotIn need values"),
                            ({"nodeSelector": {"matchExpressions": [{"key": "a", "operator": "Exists", "values": ["b"]}]}}, "take none"),
                            ({"nodeSelector": {"matchExpressions": [{"key": "", "operator": "Exists"}]}}, "key")):
            self.refused(peer(**spec), field)
        self.created(bgp("BgpConf", **{"as": 4200000000}, routerId="192.0.2.1", listenPort=-1, listenAddresses=["192.0.2.1", "::"]))
        self.created(bgp("BgpPeer", conf={"neighborAddress": "2001:db8::1", "peerAs": 65001},
                         timers={"config": {"holdTime": "90", "keepaliveInterval": "30", "connectRetry": ""}},
                         nodeSelector={"matchExpressions": [{"key": "a", "operator": "NotIn", "values": ["b"]}]},
                         afiSafis=[{"config": {"family": {"afi": "AFI_IP6", "safi": "SAFI_UNICAST"}, "enabled": True},
                                    "addPaths": {"config": {"sendMax": 10}}}]))
        said = self.cluster.get_json("bgpconf", "default")["spec"]
        self.assertEqual((said["as"], said["listenPort"]), (4200000000, -1))


class Columns(ChartTest):
    """kubectl get eip prints OpenELB's three columns, and an older version of an Eip shows what it knows of it"""

    def test(self):
        self.crds()
        self.created(eip("eip-pool", address="192.168.50.50-192.168.50.60", protocol="layer2", interface="eth0"))
        status = {"poolSize": 11, "usage": 0, "occupied": False, "ready": True, "v4": True, "firstIP": "192.168.50.50",
                  "lastIP": "192.168.50.60", "used": {}, "usedTruncated": False, "excluded": ["192.168.50.55"],
                  "conflicted": [{"address": "192.168.50.56", "mac": "02:00:00:00:00:01", "since": "2026-01-01T00:00:00Z"}],
                  "message": "", "conditions": [{"type": "Ready", "status": "True", "reason": "Served", "message": "",
                                                 "lastTransitionTime": "2026-01-01T00:00:00Z"}]}
        self.cluster.kubectl("patch", "eip", "eip-pool", "--subresource=status", "--type=merge", "-p", json.dumps({"status": status}))
        self.assertEqual(self.cluster.kubectl("get", "eip"),
                         "NAME       CIDR                          USAGE   TOTAL\n"
                         "eip-pool   192.168.50.50-192.168.50.60   0       11\n")
        self.assertRegex(self.cluster.kubectl("get", "eip", "-o", "wide"), r"USAGE +TOTAL +AGE\n")
        self.assertEqual(self.cluster.get_json("eip", "eip-pool")["status"], status)
        older = self.cluster.get_json(f"eips.v1alpha1.{GROUP}", "eip-pool")
        self.assertEqual(older["spec"], {"address": "192.168.50.50-192.168.50.60", "protocol": "layer2"})
        self.assertEqual(older["status"], {"poolSize": 11, "usage": 0, "occupied": False})
        self.assertIn("eip.network.kubesphere.io/eip-pool", self.cluster.kubectl("get", "networking", "-o", "name"))

    def test_finalizer_needs_a_patch_of_its_own(self):
        self.crds()
        self.created(eip("p", address="192.0.2.1"))
        both = json.dumps({"metadata": {"finalizers": [FINALIZER]}, "status": {"usage": 0}})
        self.cluster.kubectl("patch", "eip", "p", "--subresource=status", "--type=merge", "-p", both)
        self.assertNotIn("finalizers", self.cluster.get_json("eip", "p")["metadata"])


class Install(ChartTest):
    """helm installs over CRDs of OpenELB when told to, and an upgrade keeps Eips and the certificate that the controller filled in"""

    def test(self):
        # What OpenELB's chart leaves behind: the same CRD with fewer fields, that no release owns.
        old = next(o for o in render() if o["kind"] == "CustomResourceDefinition" and o["spec"]["names"]["kind"] == "Eip")
        for version in old["spec"]["versions"]:
            spec = version["schema"]["openAPIV3Schema"]["properties"]["spec"]
            spec.pop("x-kubernetes-validations", None)
            spec["properties"].pop("nodeSelector", None)
            spec["properties"]["address"] = {"type": "string"}
        old["metadata"] = {"name": old["metadata"]["name"]}
        self.cluster.apply(old)
        self.cluster.kubectl("wait", "--for=condition=Established", f"crd/eips.{GROUP}")
        self.addCleanup(self.delete_crds)
        self.created(eip("stored-long-ago", address="not an address", protocol="layer2"))
        old = next(o for o in render() if o["kind"] == "CustomResourceDefinition" and o["spec"]["names"]["kind"] == "BgpPeer")
        for version in old["spec"]["versions"]:
            version["schema"]["openAPIV3Schema"]["properties"]["spec"].pop("x-kubernetes-validations", None)
        old["metadata"] = {"name": old["metadata"]["name"]}
        self.cluster.apply(old)
        self.cluster.kubectl("wait", "--for=condition=Established", f"crd/bgppeers.{GROUP}")
        self.created({"apiVersion": f"{GROUP}/v1alpha2", "kind": "BgpPeer", "spec": {},
                      "metadata": {"name": "stored-long-ago", "finalizers": ["finalizer.lb.kubesphere.io/v1alpha1"]}})
        self.created(eip("good", address="192.0.2.1"))

        # No pod can start, so that nobody but this test does the controller's part.
        values = ["--set", "uninstall.enabled=false,controller.image.repository=nowhere,agent.image.repository=nowhere"]
        install = ["install", "berth", CHART, *values]
        with self.assertRaisesRegex(RuntimeError, "ownership"):
            self.helm(*install)
        self.addCleanup(self.helm, "uninstall", "berth", "--ignore-not-found")
        self.helm(*install, "--take-ownership", "--force-conflicts")
        stored = self.cluster.get_json("eip", "stored-long-ago")
        self.assertEqual(stored["spec"], {"address": "not an address", "protocol": "layer2"})
        self.check_an_object_that_breaks_rules_can_be_let_go(stored)
        self.cluster.kubectl("patch", "bgppeer", "stored-long-ago", "--type=merge", "-p", '{"metadata":{"finalizers":null}}')
        self.cluster.kubectl("delete", "bgppeer", "stored-long-ago", "--timeout=5s")
        self.check_webhook_out_of_order()

        where = "validatingwebhookconfiguration", "berth-controller"
        with open(self.cluster.plane.ca, "rb") as f:
            bundle = base64.b64encode(f.read()).decode()
        self.cluster.kubectl("patch", *where, "--type=json", "-p", json.dumps(
            [{"op": "add", "path": f"/webhooks/{i}/clientConfig/caBundle", "value": bundle} for i in range(4)]))
        self.helm("upgrade", "berth", CHART, *values, "--set", "webhook.timeoutSeconds=7")
        webhooks = self.cluster.get_json(*where)["webhooks"]
        self.assertEqual([w["timeoutSeconds"] for w in webhooks], [7] * 4)
        self.assertEqual([w["clientConfig"].get("caBundle") for w in webhooks], [bundle] * 4)
        self.assertEqual(self.cluster.get_json("eip", "good")["spec"], {"address": "192.0.2.1"})

    def check_an_object_that_breaks_rules_can_be_let_go(self, stored):
        """What was stored before there were rules loads, and takes a finalizer and a status."""
        name = stored["metadata"]["name"]
        for finalizers in ([FINALIZER], []):
            self.cluster.kubectl("patch", "eip", name, "--type=merge", "-p", json.dumps({"metadata": {"finalizers": finalizers}}))
        self.cluster.kubectl("patch", "eip", name, "--subresource=status", "--type=merge", "-p", '{"status":{"message":"wrong"}}')

    def check_webhook_out_of_order(self):
        """No controller runs here, so whatever asks the webhook fails."""
        refused = self.cluster.kubectl_fails("patch", "eip", "good", "--type=merge", "-p", '{"spec":{"disable":true}}')
        self.assertIn("failed calling webhook", refused)
        self.refused(eip("new", address="192.0.2.9"), "failed calling webhook")
        self.cluster.kubectl("label", "eip", "good", "a=b")
        self.cluster.kubectl("create", "service", "loadbalancer", "web", "--tcp=80", "-n", self.namespace)
        self.cluster.kubectl("delete", "eip", "stored-long-ago")


if __name__ == "__main__":
    main()
