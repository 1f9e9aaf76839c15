# SPDX-License-Identifier: Apache-2.0
"""What an API server's audit log says: who asked for what, and what became of it."""
import dataclasses
import json

from netns import wait_for

# One line a finished request; a watch has one when it begins and one when it ends.
POLICY = """apiVersion: audit.k8s.io/v1
kind: Policy
omitManagedFields: true
rules:
  - level: None
    userGroups: ["berth:harness", "system:apiservers"]
  - level: Metadata
    omitStages: ["RequestReceived"]
"""


@dataclasses.dataclass(frozen=True)
class Request:
    user: str
    verb: str
    group: str  # API group, "" for the core one
    resource: str  # with subresource: "services/status"; or the path, for what is no resource
    namespace: str
    name: str
    code: int
    stage: str
    time: str
    allowed: bool


def parse(line):
    event = json.loads(line)
    reference = event.get("objectRef", {})
    what = reference.get("resource", event["requestURI"].split("?")[0])
    if "subresource" in reference:
        what += "/" + reference["subresource"]
    return Request(
        user=event["user"].get("username", ""), verb=event["verb"], group=reference.get("apiGroup", ""), resource=what,
        namespace=reference.get("namespace", ""), name=reference.get("name", ""),
        code=event.get("responseStatus", {}).get("code", 0), stage=event["stage"], time=event["requestReceivedTimestamp"],
        allowed=event.get("annotations", {}).get("authorization.k8s.io/decision") != "forbid")


class AuditLog:
    """A log that grows; mark() and `since` limit a question to what came after."""

    def __init__(self, path):
        self.path = path

    def mark(self):
        """The place where the log ends now."""
        try:
            with open(self.path, "rb") as log:
                return log.seek(0, 2)
        except FileNotFoundError:
            return 0

    def mark_after(self, user, namespace, *services):
        """The place where the log ends now that it has what `user` wrote to the status of these Services: what was written
        can be seen before the log has it."""
        wait_for("the audit log", lambda: set(services) <= {r.name for r in self.requests(
            user=user, namespace=namespace, verb="patch", resource="services/status", code=200)}, 10)
        return self.mark()

    def requests(self, since=0, **wanted):
        """Requests in order. `wanted` names fields and their values: user="system:kube-proxy", resource="services"."""
        found = []
        try:
            with open(self.path, "rb") as log:
                log.seek(since)
                lines = log.read().split(b"\n")[:-1]  # what follows the last newline is still being written
        except FileNotFoundError:
            return found
        for line in lines:
            request = parse(line)
            if all(getattr(request, field) == value for field, value in wanted.items()):
                found.append(request)
        return found

    def verbs(self, user, resource=None, since=0):
        """Which verbs a user used on a resource, or {resource: verbs} without one."""
        used = {}
        for request in self.requests(since, user=user):
            used.setdefault(request.resource, set()).add(request.verb)
        return used.get(resource, set()) if resource is not None else used

    def refused(self, since=0, **wanted):
        """Requests that RBAC refused."""
        return [request for request in self.requests(since, **wanted) if request.code == 403 and not request.allowed]
