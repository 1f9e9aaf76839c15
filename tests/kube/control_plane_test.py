# SPDX-License-Identifier: Apache-2.0
"""A real control plane comes up, answers kubectl and helm, and tells who asked for what."""
from kube_case import *  # noqa: F403

CHART = {
    "Chart.yaml": "apiVersion: v2\nname: small\nversion: 0.1.0\nkubeVersion: '>=1.30.0-0'\n",
    "values.yaml": "text: hello\n",
    "templates/map.yaml": "apiVersion: v1\nkind: ConfigMap\nmetadata:\n  name: {{ .Release.Name }}\ndata:\n  text: {{ .Values.text }}\n",
}


class Answers(KubeTest):
    """kubectl sees the version that was built and its nodes Ready, with the addresses of the LAN"""

    def test(self):
        version = json.loads(self.cluster.kubectl("version", "-o", "json"))["serverVersion"]
        self.assertEqual((version["gitVersion"], version["minor"]), ("v1.35.4", "35"))
        listed = self.cluster.kubectl("get", "nodes", "-o", "wide", "--no-headers").splitlines()
        self.assertEqual([line.split()[:2] + [line.split()[5]] for line in listed],
                         [[node.name, "Ready", node.address] for node in self.cluster.nodes])


class Installs(KubeTest):
    """helm installs, upgrades and uninstalls a chart"""

    def test(self):
        folder = os.path.join(self.cluster.folder, "small")
        for name, text in CHART.items():
            os.makedirs(os.path.dirname(os.path.join(folder, name)), exist_ok=True)
            with open(os.path.join(folder, name), "w") as f:
                f.write(text)
        self.cluster.helm("install", "one", folder, "-n", self.namespace, "--wait")
        text = self.cluster.get_json("configmap", "one", "-n", self.namespace)["data"]["text"]
        self.assertEqual(text, "hello")
        self.cluster.helm("upgrade", "one", folder, "-n", self.namespace, "--set", "text=again")
        self.assertEqual(self.cluster.get_json("cm", "one", "-n", self.namespace)["data"]["text"], "again")
        self.cluster.helm("uninstall", "one", "-n", self.namespace, "--wait")
        self.assertIn("NotFound", self.cluster.kubectl_fails("get", "cm", "one", "-n", self.namespace))


class Tokens(KubeTest):
    """A token of another audience is refused with 401, and one for the API server is taken"""

    def test(self):
        own = self.cluster.token_for("default", self.namespace)
        foreign = self.cluster.token_for("default", self.namespace, audience="berth")
        path = core("configmaps", self.namespace)
        # 403: known, and without rights.
        self.assertEqual(self.cluster.plane.api(token=own).raw("GET", path)[0], 403)
        self.assertEqual(self.cluster.plane.api(token=foreign).raw("GET", path)[0], 401)
        review = self.cluster.api.create(resource("authentication.k8s.io/v1", "tokenreviews"), {
            "spec": {"token": foreign, "audiences": ["berth"]}})["status"]
        self.assertTrue(review["authenticated"])
        self.assertEqual(review["user"]["username"], f"system:serviceaccount:{self.namespace}:default")


class Audits(KubeTest):
    """The audit log tells verbs, resources and codes of a user, and what RBAC refused"""

    def test(self):
        name, audit = "nobody-in-particular", self.cluster.audit
        self.cluster.apply([
            {"apiVersion": "rbac.authorization.k8s.io/v1", "kind": "Role", "metadata": {"name": "reads", "namespace": self.namespace},
             "rules": [{"apiGroups": [""], "resources": ["services"], "verbs": ["list", "watch"]}]},
            {"apiVersion": "rbac.authorization.k8s.io/v1", "kind": "RoleBinding",
             "metadata": {"name": "reads", "namespace": self.namespace}, "subjects": [{"kind": "User", "name": name}],
             "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "Role", "name": "reads"}}])
        mark = audit.mark()
        user = self.cluster.plane.api(name)
        listed = wait_for("the role", lambda: self._allowed(user), 10)
        watch = user.watch(core("services", self.namespace), listed["metadata"]["resourceVersion"], timeout=1)
        self.assertEqual([kind for kind, _ in watch if kind != "BOOKMARK"], [])
        with self.assertRaises(ApiError) as refusal:
            user.patch(core("services", self.namespace, "web", "status"), {})
        self.assertEqual(refusal.exception.code, 403)
        self.assertEqual(audit.verbs(name, "services", mark), {"list", "watch"})
        refused = audit.refused(mark, user=name, resource="services/status")
        self.assertEqual([(r.verb, r.name, r.namespace, r.code) for r in refused], [("patch", "web", self.namespace, 403)])
        # What the harness does in the part of kubelets is not in it.
        self.assertEqual(audit.requests(user="harness"), [])

    def _allowed(self, user):
        try:
            return user.get(core("services", self.namespace))
        except ApiError:
            return None


if __name__ == "__main__":
    main()
