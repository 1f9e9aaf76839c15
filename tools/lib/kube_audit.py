# SPDX-License-Identifier: Apache-2.0
"""What an API server's audit log says: who asked for what, and what became of it."""
import dataclasses
import json
import time

from netns import wait_for

# One line a finished request; a watch has one when it begins and one when it ends. What Berth writes has one more when it
# begins, which is not counted as a request of its own.
POLICY = """apiVersion: audit.k8s.io/v1
kind: Policy
omitManagedFields: true
rules:
  - level: None
    userGroups: ["berth:harness", "system:apiservers"]
  - level: Metadata
    userGroups: ["system:serviceaccounts:openelb-system"]
    verbs: ["create", "patch"]
  - level: Metadata
    omitStages: ["RequestReceived"]
"""


MOST_LINE = 1 << 16  # bytes; such lines have a few hundred


@dataclasses.dataclass(frozen=True)
class Request:
    user: str
    pod: str  # that the user's token is bound to
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
        user=event["user"].get("username", ""),
        pod=event["user"].get("extra", {}).get("authentication.kubernetes.io/pod-name", [""])[0], verb=event["verb"], group=reference.get("apiGroup", ""), resource=what,
        namespace=reference.get("namespace", ""), name=reference.get("name", ""),
        code=event.get("responseStatus", {}).get("code", 0), stage=event["stage"], time=event["requestReceivedTimestamp"],
        allowed=event.get("annotations", {}).get("authorization.k8s.io/decision") != "forbid")


def _is(request, wanted):
    return all(getattr(request, field) == value for field, value in wanted.items())


class AuditLog:
    """A log that grows; mark() and `since` limit a question to what came after."""

    def __init__(self, path):
        self.path = path

    def mark(self):
        """The place where the log's last whole line ends now."""
        try:
            with open(self.path, "rb") as log:
                end = log.seek(0, 2)
                begin = max(0, end - MOST_LINE)
                log.seek(begin)
                return begin + log.read(end - begin).rfind(b"\n") + 1
        except FileNotFoundError:
            return 0

    def mark_after(self, user, namespace, *services):
        """The place where the log ends now that it has what `user` wrote to the status of these Services: what was written
        can be seen before the log has it."""
        wait_for("the audit log", lambda: set(services) <= {r.name for r in self.requests(
            user=user, namespace=namespace, verb="patch", resource="services/status", code=200)}, 10)
        return self.mark()

    def requests(self, since=0, **wanted):
        """Requests in order of their ends. `wanted` names fields and their values: user="system:kube-proxy", resource="services"."""
        found = []
        try:
            with open(self.path, "rb") as log:
                log.seek(since)
                lines = log.read().split(b"\n")[:-1]  # what follows the last newline is still being written
        except FileNotFoundError:
            return found
        for line in lines:
            request = parse(line)
            if request.stage != "RequestReceived" and _is(request, wanted):
                found.append(request)
        return found

    def await_request(self, since, timeout=60, **wanted):
        """The first such request after `since`, at any stage unless `wanted` names one, within a millisecond of its line."""
        deadline, pending = time.monotonic() + timeout, b""
        with open(self.path, "rb") as log:
            log.seek(since)
            while time.monotonic() < deadline:
                *lines, pending = (pending + log.read()).split(b"\n")
                for request in map(parse, lines):
                    if _is(request, wanted):
                        return request
                time.sleep(0.0005)
        raise TimeoutError(f"no request {wanted} within {timeout} s")

    def verbs(self, user, resource=None, since=0):
        """Which verbs a user used on a resource, or {resource: verbs} without one."""
        used = {}
        for request in self.requests(since, user=user):
            used.setdefault(request.resource, set()).add(request.verb)
        return used.get(resource, set()) if resource is not None else used

    def refused(self, since=0, **wanted):
        """Requests that RBAC refused."""
        return [request for request in self.requests(since, **wanted) if request.code == 403 and not request.allowed]
