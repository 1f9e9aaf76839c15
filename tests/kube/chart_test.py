# SPDX-License-Identifier: Apache-2.0
"""The Helm chart renders the objects that it promises, with every value, and refuses values that mean nothing."""
import copy
import unittest

from chart_case import ALL, CHART, JOB, NAMESPACE, NOTHING, find, flags, helm, pod_spec, render

READ = ["list", "watch"]
CRDS = ["bgpconfs.network.kubesphere.io", "bgppeers.network.kubesphere.io", "eips.network.kubesphere.io"]


class Lint(unittest.TestCase):
    """helm lint --strict finds nothing, with default values, with every optional one, and with as little as possible"""

    def test(self):
        for values in ({}, ALL, NOTHING):
            done = helm("lint", "--strict", CHART, values=values)
            self.assertEqual(done.returncode, 0, done.stdout + done.stderr)
            self.assertNotIn("[WARNING]", done.stdout)


class Kinds(unittest.TestCase):
    """Each value adds or leaves out the objects it names"""

    @staticmethod
    def names(values=None):
        return sorted(f"{o['kind']}/{o['metadata']['name']}" for o in render(values))

    def test(self):
        default = self.names()
        self.assertEqual(default, sorted(
            [f"CustomResourceDefinition/{n}" for n in CRDS] + [f"{kind}/berth-controller" for kind in (
                "ClusterRole", "ClusterRoleBinding", "Deployment", "PodDisruptionBudget", "Role", "RoleBinding", "Service",
                "ServiceAccount", "ValidatingWebhookConfiguration")] + [
                    "DaemonSet/berth-agent", "Pod/berth-test", "Service/berth-webhook", "ServiceAccount/berth-agent"]))
        self.assertEqual(sorted({*self.names(JOB)} - {*default}), ["Job/berth-uninstall"])
        self.assertEqual(sorted(set(self.names(ALL)) - set(default)), [
            "Job/berth-uninstall", "MutatingWebhookConfiguration/berth-controller", "NetworkPolicy/berth-controller", "PodMonitor/berth-agent",
            "PodMonitor/berth-controller", "Service/berth-agent-metrics", "Service/berth-controller-metrics"])
        self.assertEqual(set(default) - set(self.names(NOTHING)), {
            *(f"CustomResourceDefinition/{n}" for n in CRDS), "ValidatingWebhookConfiguration/berth-controller",
            "Service/berth-webhook", "PodDisruptionBudget/berth-controller"})
        self.assertNotIn("Job/berth-uninstall", self.names({"uninstall": {"enabled": False, "inTemplate": True}}))


class Metadata(unittest.TestCase):
    """Every object carries the recommended labels, namespaced ones their namespace, and selectors no version"""

    CLUSTER = ("ClusterRole", "ClusterRoleBinding", "CustomResourceDefinition", "MutatingWebhookConfiguration",
               "ValidatingWebhookConfiguration")

    def test(self):
        for o in render(ALL):
            labels = o["metadata"]["labels"]
            self.assertEqual(labels["app.kubernetes.io/name"], "berth")
            self.assertEqual(labels["app.kubernetes.io/instance"], "berth")
            self.assertEqual(labels["app.kubernetes.io/managed-by"], "Helm")
            self.assertEqual(o["metadata"].get("namespace"), None if o["kind"] in self.CLUSTER else NAMESPACE, o["kind"])
        for kind, name in (("Deployment", "berth-controller"), ("DaemonSet", "berth-agent")):
            owner = find(render(ALL), kind, name)
            selector = owner["spec"]["selector"]["matchLabels"]
            self.assertEqual(set(selector), {"app.kubernetes.io/name", "app.kubernetes.io/component"})
            self.assertLessEqual(selector.items(), owner["spec"]["template"]["metadata"]["labels"].items())


class Agent(unittest.TestCase):
    """The agent has the hosts' network, two capabilities and nothing of the API server, and can start beside its predecessor"""

    def test(self):
        for values in ({}, ALL):
            daemon_set = find(render(values), "DaemonSet", "berth-agent")
            pod = pod_spec(daemon_set)
            (container,) = pod["containers"]
            self.assertEqual(daemon_set["spec"]["updateStrategy"],
                             {"type": "RollingUpdate", "rollingUpdate": {"maxSurge": 1, "maxUnavailable": 0}})
            self.assertNotIn("ports", container)
            self.assertTrue(pod["hostNetwork"])
            self.assertEqual(pod["dnsPolicy"], "ClusterFirstWithHostNet")
            self.assertEqual(pod["priorityClassName"], "system-node-critical")
            self.assertIs(pod["automountServiceAccountToken"], False)
            self.assertEqual(pod["securityContext"], {"seccompProfile": {"type": "RuntimeDefault"}})
            self.assertEqual(container["securityContext"], {
                "runAsUser": 0, "runAsGroup": 0, "allowPrivilegeEscalation": False, "readOnlyRootFilesystem": True,
                "capabilities": {"drop": ["ALL"], "add": ["NET_ADMIN", "NET_RAW"]}})
            self.assertIn("cpu", container["resources"]["requests"])
            self.assertNotIn("cpu", container["resources"]["limits"])
            self.assertEqual([e["name"] for e in container["env"]], ["NODE_NAME", "POD_NAMESPACE"])

    def test_flags_and_volumes_meet(self):
        for values, http, state in (({}, 8081, "/var/lib/berth/agent"), (ALL, 18081, "/srv/berth")):
            pod = pod_spec(find(render(values), "DaemonSet", "berth-agent"))
            (container,) = pod["containers"]
            given = flags(container)
            mounts = {m["name"]: m["mountPath"] for m in container["volumeMounts"]}
            volumes = {v["name"]: v for v in pod["volumes"]}
            self.assertEqual(given["--controller"], "berth-controller:7443")
            self.assertEqual(given["--tls-ca"], mounts["ca"] + "/ca.crt")
            self.assertEqual(given["--token-file"], mounts["token"] + "/token")
            self.assertEqual(given["--state-dir"], mounts["state"])
            self.assertEqual(volumes["state"]["hostPath"], {"path": state, "type": "DirectoryOrCreate"})
            self.assertEqual(volumes["ca"], {"name": "ca", "configMap": {"name": "berth-ca"}})
            self.assertEqual(volumes["token"]["projected"]["sources"],
                             [{"serviceAccountToken": {"audience": "berth", "expirationSeconds": 3600, "path": "token"}}])
            self.assertEqual(given["--http-listen"], f":{http}")
            for probe, path in (("livenessProbe", "/healthz"), ("readinessProbe", "/readyz")):
                self.assertEqual(container[probe]["httpGet"], {"path": path, "port": http})

    def test_tolerates_every_taint_that_keeps_pods_away(self):
        tolerations = pod_spec(find(render(), "DaemonSet", "berth-agent"))["tolerations"]
        self.assertEqual(tolerations, [{"operator": "Exists", "effect": e} for e in ("NoSchedule", "NoExecute")])

    def test_has_no_rights(self):
        subjects = [s["name"] for o in render(ALL) for s in o.get("subjects", [])]
        self.assertEqual(set(subjects), {"berth-controller"})
        self.assertIs(find(render(), "ServiceAccount", "berth-agent")["automountServiceAccountToken"], False)


class Controller(unittest.TestCase):
    """The controller runs twice, apart where possible, as nobody and with nothing"""

    def test(self):
        for values in (JOB, ALL):
            objects = render(values)
            owners = [find(objects, "Deployment", "berth-controller"), find(objects, "Job", "berth-uninstall"),
                      find(objects, "Pod", "berth-test")]
            for owner in owners:
                pod = pod_spec(owner)
                (container,) = pod["containers"]
                self.assertEqual(pod["securityContext"], {"runAsNonRoot": True, "runAsUser": 65532, "runAsGroup": 65532,
                                                          "seccompProfile": {"type": "RuntimeDefault"}})
                self.assertEqual(container["securityContext"], {
                    "allowPrivilegeEscalation": False, "readOnlyRootFilesystem": True, "capabilities": {"drop": ["ALL"]}})
                self.assertNotIn("hostNetwork", pod)
                self.assertEqual([v["emptyDir"]["medium"] for v in pod.get("volumes", [])], ["Memory"] if owner["kind"] != "Pod" else [])

    def test_two_apart(self):
        deployment = find(render(), "Deployment", "berth-controller")
        pod = pod_spec(deployment)
        self.assertEqual(deployment["spec"]["replicas"], 2)
        self.assertEqual(pod["priorityClassName"], "system-cluster-critical")
        (term,) = pod["affinity"]["podAntiAffinity"]["preferredDuringSchedulingIgnoredDuringExecution"]
        self.assertEqual(term["podAffinityTerm"]["topologyKey"], "kubernetes.io/hostname")
        self.assertEqual(term["podAffinityTerm"]["labelSelector"], deployment["spec"]["selector"])
        budget = find(render(), "PodDisruptionBudget", "berth-controller")
        self.assertEqual(budget["spec"]["selector"], deployment["spec"]["selector"])
        self.assertEqual(budget["spec"]["maxUnavailable"], 1)

    def test_flags(self):
        def given(values=None):
            return flags(pod_spec(find(render(values), "Deployment", "berth-controller"))["containers"][0])
        default = {
            "--source": "kubernetes", "--leader-elect": None, "--load-balancer-class": "berth.io/lb", "--sharing": "namespace",
            "--namespace-binding": "enforced", "--heartbeat": "200ms", "--agent-timeout": "600ms", "--agent-listen": ":7443",
            "--admin-listen": "127.0.0.1:7444", "--http-listen": ":8080", "--log-level": "info", "--log-format": "text",
            "--webhook-listen": ":9443"}
        self.assertEqual(given(), default)
        self.assertEqual(given(ALL), default | {
            "--load-balancer-class": "example.com/lb", "--sharing": "open", "--namespace-binding": "advisory",
            "--manage-unclassed": None, "--ignore-exclude-label": None, "--heartbeat": "500ms", "--agent-timeout": "1.5s",
            "--log-level": "debug", "--log-format": "json"})
        self.assertEqual(given(NOTHING)["--webhook-listen"], "")

    def test_images(self):
        def image(values, kind, name):
            return pod_spec(find(render(values), kind, name))["containers"][0]["image"]
        self.assertEqual(image({}, "Deployment", "berth-controller"), "berth/berth-controller:0.1.0")
        self.assertEqual(image({}, "DaemonSet", "berth-agent"), "berth/berth-agent:0.1.0")
        self.assertEqual(image(ALL, "Deployment", "berth-controller"),
                         "registry.example.com/mirror/berth/berth-controller@sha256:" + "0" * 64)
        self.assertEqual(image(ALL, "DaemonSet", "berth-agent"), "registry.example.com/mirror/berth/berth-agent:v1")

    def test_probes_and_services_lead_to_its_ports(self):
        objects = render(ALL)
        container = pod_spec(find(objects, "Deployment", "berth-controller"))["containers"][0]
        ports = {p["name"]: p["containerPort"] for p in container["ports"]}
        given = flags(container)
        self.assertEqual(given["--agent-listen"], f":{ports['agents']}")
        self.assertEqual(given["--http-listen"], f":{ports['http']}")
        self.assertEqual(given["--webhook-listen"], f":{ports['webhook']}")
        agents = find(objects, "Service", "berth-controller")["spec"]
        self.assertEqual(agents["clusterIP"], "None")
        self.assertIs(agents["publishNotReadyAddresses"], True)
        self.assertEqual([p["targetPort"] for p in agents["ports"]], [ports["agents"]])
        self.assertEqual([p["targetPort"] for p in find(objects, "Service", "berth-webhook")["spec"]["ports"]], [ports["webhook"]])
        policy = find(objects, "NetworkPolicy", "berth-controller")["spec"]
        self.assertEqual(sorted(p["port"] for rule in policy["ingress"] for p in rule["ports"]), sorted(ports.values()))

    def test_helm_test_may_ask_whoever_may_read_metrics(self):
        for metrics_from in ([], [{"namespaceSelector": {"matchLabels": {"monitoring": "yes"}}}]):
            objects = render({"networkPolicy": {"enabled": True, "metricsFrom": metrics_from}})
            policy = find(objects, "NetworkPolicy", "berth-controller")
            pod = find(objects, "Pod", "berth-test")
            self.assertEqual(policy["metadata"]["namespace"], pod["metadata"]["namespace"])
            rules = [r for r in policy["spec"]["ingress"] if {"port": 8080, "protocol": "TCP"} in r["ports"]]
            self.assertTrue(rules)
            peers = [peer for r in rules for peer in r.get("from", [])]
            self.assertEqual(not metrics_from, not peers)
            for peer in metrics_from:
                self.assertIn(peer, peers)
            # A peer without a namespaceSelector is of the policy's own namespace.
            ours = [p["podSelector"]["matchLabels"] for p in peers if set(p) == {"podSelector"}]
            admits = [wanted for wanted in ours if wanted.items() <= pod["metadata"]["labels"].items()]
            self.assertEqual(len(admits), len(ours))
            self.assertTrue(admits or not peers)
            # ... and nobody else's.
            for o in objects:
                labels = (o.get("spec") or {}).get("template", {}).get("metadata", {}).get("labels", {})
                self.assertFalse([wanted for wanted in admits if wanted.items() <= labels.items()], o["kind"])

    def test_agents_find_the_one_that_uninstalls_too(self):
        objects = render(JOB)
        selector = find(objects, "Service", "berth-controller")["spec"]["selector"]
        for kind, name in (("Deployment", "berth-controller"), ("Job", "berth-uninstall")):
            labels = find(objects, kind, name)["spec"]["template"]["metadata"]["labels"]
            self.assertLessEqual(selector.items(), labels.items(), kind)
        deployment = find(objects, "Deployment", "berth-controller")["spec"]["selector"]["matchLabels"]
        job = find(objects, "Job", "berth-uninstall")["spec"]["template"]["metadata"]["labels"]
        self.assertFalse(deployment.items() <= job.items())


class Rights(unittest.TestCase):
    """The controller has exactly the rights that it uses"""

    @staticmethod
    def rules(role):
        return sorted((group, resource, name, verb) for rule in role["rules"] for group in rule["apiGroups"]
                      for resource in rule["resources"] for name in rule.get("resourceNames", ["*"]) for verb in rule["verbs"])

    def test(self):
        ours = "network.kubesphere.io"
        cluster = [*(("", r, "*", v) for r in ("services", "nodes", "namespaces") for v in READ),
                   *(("discovery.k8s.io", "endpointslices", "*", v) for v in READ),
                   *((ours, r, "*", v) for r in ("eips", "bgpconfs", "bgppeers") for v in READ),
                   ("", "services/status", "*", "patch"),
                   *((ours, r, "*", "patch") for r in ("eips", "eips/status", "bgpconfs", "bgppeers")),
                   ("", "events", "*", "create"), ("", "events", "*", "patch"),
                   ("authentication.k8s.io", "tokenreviews", "*", "create"),
                   *(("apiextensions.k8s.io", "customresourcedefinitions", name, "get") for name in CRDS)]
        admission = "admissionregistration.k8s.io"
        validating = [(admission, "validatingwebhookconfigurations", "berth-controller", v) for v in ("get", "patch")]
        mutating = [(admission, "mutatingwebhookconfigurations", "berth-controller", v) for v in ("get", "patch")]
        for values, extra in ((NOTHING, []), ({}, validating), (ALL, validating + mutating)):
            self.assertEqual(self.rules(find(render(values), "ClusterRole", "berth-controller")), sorted(cluster + extra))
            self.assertEqual(self.rules(find(render(values), "Role", "berth-controller")), sorted([
                ("coordination.k8s.io", "leases", "*", "create"),
                *(("coordination.k8s.io", "leases", "berth-controller", v) for v in ("get", "update")),
                ("", "configmaps", "*", "create"), *(("", "configmaps", "berth-ca", v) for v in ("get", "update")),
                *(("", "configmaps", "berth-agents", v) for v in ("get", "patch")),
                ("", "secrets", "*", "create"), *(("", "secrets", "berth-tls", v) for v in ("get", "update"))]))


class Webhooks(unittest.TestCase):
    """Only changes of Berth's own kinds are refused where the webhook does not answer, and it is shown no deletion but of an Eip"""

    def test(self):
        validating = find(render(), "ValidatingWebhookConfiguration", "berth-controller")["webhooks"]
        self.assertEqual([(w["rules"][0]["resources"], w["rules"][0]["operations"], w["failurePolicy"]) for w in validating],
                         [*(([k], ["CREATE", "UPDATE"], "Fail") for k in ("eips", "bgpconfs", "bgppeers")),
                          (["eips"], ["DELETE"], "Ignore")])
        self.assertTrue(all(w["matchConditions"][0]["name"] == "not-being-deleted" for w in validating))
        for webhook in validating:
            (rule,) = webhook["rules"]
            self.assertEqual((rule["apiGroups"], rule["apiVersions"]), (["network.kubesphere.io"], ["v1alpha2"]))
            self.assertEqual(webhook["matchPolicy"], "Equivalent")
            self.assertNotIn("caBundle", webhook["clientConfig"])
            self.assertEqual(webhook["clientConfig"]["service"]["path"],
                             "/validate-network-kubesphere-io-v1alpha2-" + rule["resources"][0].removesuffix("s"))
        (mutating,) = find(render(ALL), "MutatingWebhookConfiguration", "berth-controller")["webhooks"]
        self.assertEqual(mutating["failurePolicy"], "Ignore")
        self.assertEqual([r["operations"] for r in mutating["rules"]], [["CREATE"]])
        self.assertEqual([c["name"] for c in mutating["matchConditions"]], ["load-balancer", "without-class"])


class Uninstall(unittest.TestCase):
    """helm uninstall first runs the controller to clean up, and leaves the CRDs"""

    def test(self):
        for values, mode, seconds in ((JOB, "release", 120), (ALL, "keep", 30)):
            objects = render(values)
            job = find(objects, "Job", "berth-uninstall")
            self.assertEqual(job["metadata"]["annotations"]["helm.sh/hook"], "pre-delete")
            self.assertEqual(job["spec"]["activeDeadlineSeconds"], seconds)
            given = flags(pod_spec(job)["containers"][0])
            self.assertEqual(given["--uninstall"], mode)
            running = flags(pod_spec(find(objects, "Deployment", "berth-controller"))["containers"][0])
            changed = {k for k in running.keys() | given.keys() if running.get(k, 0) != given.get(k, 0)}
            self.assertEqual(changed, {"--uninstall", "--uninstall-timeout", "--webhook-listen", "--heartbeat", "--agent-timeout"})
            # It must end by itself, and can: then the controllers go on.
            self.assertEqual(given["--uninstall-timeout"], f"{seconds - 10}s")
            lost, rule = job["spec"]["podFailurePolicy"]["rules"]
            self.assertEqual((lost["action"], lost["onPodConditions"][0]["type"]), ("Count", "DisruptionTarget"))
            self.assertEqual((rule["action"], rule["onExitCodes"]["operator"], rule["onExitCodes"]["values"]), ("FailJob", "In", [1, 2]))
            self.assertEqual(rule["onExitCodes"]["containerName"], pod_spec(job)["containers"][0]["name"])
            for name in CRDS:
                crd = find(objects, "CustomResourceDefinition", name)
                self.assertEqual(crd["metadata"]["annotations"]["helm.sh/resource-policy"], "keep")


class Values(unittest.TestCase):
    """Values that are unknown or cannot be are refused, wherever they are"""

    def refused(self, values, *words):
        done = helm("template", "berth", CHART, values=values)
        self.assertNotEqual(done.returncode, 0, values)
        for word in words:
            self.assertIn(word, done.stderr)

    def test_unknown(self):
        self.refused({"controler": {}}, "controler")
        for group in ("log", "crds", "image", "controller", "agent", "webhook", "podDisruptionBudget", "networkPolicy", "monitoring",
                      "uninstall"):
            self.refused({group: {"unheard-of": 1}}, "unheard-of")
        self.refused({"controller": {"image": {"tag": "v1"}}}, "tag")
        self.refused({"monitoring": {"podMonitors": {"unheard-of": 1}}}, "unheard-of")

    def test_wrong(self):
        for values in ({"sharing": "all"}, {"namespaceBinding": "off"}, {"manageUnclassed": "yes"}, {"heartbeat": "200"},
                       {"agentTimeout": 1}, {"log": {"level": "verbose"}}, {"controller": {"replicas": 0}},
                       {"agent": {"httpPort": 65536}}, {"agent": {"stateDir": "relative"}},
                       {"agent": {"vipInterface": "longer-than-fifteen"}}, {"webhook": {"timeoutSeconds": 31}},
                       {"heartbeat": "9ms"}, {"uninstall": {"mode": "none"}}, {"uninstall": {"timeoutSeconds": 19}}, {"image": {"pullPolicy": "Sometimes"}},
                       {"controller": {"image": {"digest": "latest"}}}, {"loadBalancerClass": "not a class"}):
            self.refused(values)

    def test_times_that_the_controller_would_refuse(self):
        for heartbeat, timeout in (("500ms", "600ms"), ("1s", "1999.9ms"), ("1m", "1m59s")):
            self.refused({"heartbeat": heartbeat, "agentTimeout": timeout}, "agentTimeout", "twice heartbeat")
        for heartbeat, timeout in (("300ms", "600ms"), ("1.5s", "3s"), ("500ms", "1m")):
            render({"heartbeat": heartbeat, "agentTimeout": timeout})

    def test_every_value_has_a_schema(self):
        import json
        import os
        import yaml
        with open(os.path.join(CHART, "values.yaml")) as f:
            values = yaml.safe_load(f)
        with open(os.path.join(CHART, "values.schema.json")) as f:
            schema = json.load(f)

        def walk(value, part, path):
            if part.get("additionalProperties") is not False:
                return
            missing = set(part["properties"]) - set(value) - {"global"}
            self.assertEqual(missing - {"requests", "limits"}, set(), f"values.yaml has no default for these of {path}")
            for key, inner in value.items():
                self.assertIn(key, part["properties"], path)
                if isinstance(inner, dict):
                    walk(inner, part["properties"][key], f"{path}.{key}")

        walk(copy.deepcopy(values), schema, "values")


if __name__ == "__main__":
    unittest.main()
