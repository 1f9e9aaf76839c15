# SPDX-License-Identifier: Apache-2.0
"""What Berth promises of every Service and Eip, judged by what the API server, berthctl and the LAN say."""
import ipaddress
import json

from kube_case import core, resource

EIPS = resource("network.kubesphere.io/v1alpha2", "eips")
OPT_IN = "lb.kubesphere.io/v1alpha1"
ASKED = "eip.openelb.kubesphere.io/v1alpha1"
KEY = "berth.io/sharing-key"
CLASS = "berth.io/lb"


def ingress_of(service):
    return [entry["ip"] for entry in service["status"].get("loadBalancer", {}).get("ingress") or [] if "ip" in entry]


def name_of(thing):
    metadata = thing["metadata"]
    return f"{metadata['namespace']}/{metadata['name']}" if metadata.get("namespace") else metadata["name"]


def is_ours(service):
    spec = service["spec"]
    if spec["type"] != "LoadBalancer" or "deletionTimestamp" in service["metadata"]:
        return False
    if spec.get("loadBalancerClass"):
        return spec["loadBalancerClass"] == CLASS
    return annotation(service, OPT_IN) in ("openelb", "porter")


def annotation(thing, key):
    return (thing["metadata"].get("annotations") or {}).get(key, "")


def ranges_of(eip):
    for part in eip["spec"]["address"].split(","):
        if "/" in part:
            network = ipaddress.ip_network(part.strip(), strict=False)
            yield network[0], network[-1]
        else:
            first, _, last = (end.strip() for end in part.partition("-"))
            yield ipaddress.ip_address(first), ipaddress.ip_address(last or first)


def eip_of(address, eips):
    address = ipaddress.ip_address(address)
    return next((eip for eip in eips for first, last in ranges_of(eip) if first.version == address.version and first <= address <= last), None)


def broken_promises(cluster, berth, orphans):
    """One sentence for each promise that is not kept at this moment; `orphans` are addresses that may lie in no Eip."""
    services = cluster.api.items(core("services"))
    owners = {}
    for service in services:
        if is_ours(service) or annotation(service, "berth.io/allocations"):
            for address in ingress_of(service):
                owners.setdefault(address, []).append(service)
    eips = cluster.api.items(EIPS)
    return [*_clashes(owners), *_strays(owners, eips, orphans), *_miscounts(owners, eips), *_silent_waiters(cluster, berth, services),
            *_answers(cluster, berth, owners)]


def _clashes(owners):
    for address, services in owners.items():
        taken = {}
        for service in services:
            for port in service["spec"]["ports"]:
                pair = (port["protocol"], port["port"])
                if pair in taken:
                    yield f"{address} port {pair} is of {taken[pair]} and of {name_of(service)}"
                taken[pair] = name_of(service)
        silent = [s for s in services if address not in annotation(s, ASKED).split(",") + [s["spec"].get("loadBalancerIP")]]
        if len(silent) > 1:
            yield f"{address} is shared by {[name_of(s) for s in services]}, and {[name_of(s) for s in silent]} did not ask for it"
        if len({s["metadata"]["namespace"] for s in services}) > 1 and len({annotation(s, KEY) for s in services}) > 1:
            yield f"{address} is shared by namespaces without one key: {[name_of(s) for s in services]}"


def _strays(owners, eips, orphans):
    for address, services in owners.items():
        eip = eip_of(address, eips)
        if eip is None and address not in orphans:
            yield f"{address} of {name_of(services[0])} is in no Eip"
        wanted = {annotation(s, "protocol.openelb.kubesphere.io/v1alpha1") for s in services} - {""}
        if eip and wanted - {eip["spec"].get("protocol", "bgp")}:
            yield f"{address} is of Eip {name_of(eip)}, which is not of protocol {wanted}"


def _miscounts(owners, eips):
    for eip in eips:
        status = eip.get("status") or {}
        used = {address: sorted(users.split(";")) for address, users in (status.get("used") or {}).items()}
        truth = {address: sorted(map(name_of, services)) for address, services in owners.items() if eip_of(address, [eip])}
        if used != truth or status.get("usage") != len(truth):
            yield f"Eip {name_of(eip)} says {status.get('usage')} in use, {used}, and in use are {truth}"


def _silent_waiters(cluster, berth, services):
    for service in services:
        if not is_ours(service) or ingress_of(service):
            continue
        condition = next((c for c in service["status"].get("conditions") or [] if c["type"] == "berth.io/Assigned"), {})
        if condition.get("status") != "False" or not condition.get("reason") or not condition.get("message"):
            yield f"{name_of(service)} waits, and its condition is {condition}"
            continue
        events = [e["message"] for e in cluster.api.items(core("events", service["metadata"]["namespace"]))
                  if e["involvedObject"].get("uid") == service["metadata"]["uid"] and e["type"] == "Warning"]
        if condition["message"] not in events:
            yield f"{name_of(service)} waits because {condition['message']!r}, and its Events are {events}"
        explained = berth.ctl("explain", "service", name_of(service))
        if condition["reason"] not in explained:
            yield f"{name_of(service)} waits because of {condition['reason']}, and berthctl says {explained}"


def _answers(cluster, berth, owners):
    """One node answers for each address of layer2, or none and berthctl says why."""
    told = {a["address"]: a for a in berth.get("addresses")}
    asked = [address for address in owners if ":" not in address and told.get(address, {}).get("protocol") == "layer2"]
    for address in owners:
        if address not in told:
            yield f"{address} is in use, and berthctl does not know it"
    for address, macs in answers(cluster, asked).items():
        says = told[address]
        holder = says.get("holder")
        # Two answers of one node may be one to a question of before.
        expected = {cluster.node(holder).mac} if holder else set()
        if set(macs) != expected or not (holder or says.get("message") or says.get("refusals")):
            yield f"{address} is answered by {[cluster.node_of_mac(mac) or mac for mac in macs]}, and berthctl says {json.dumps(says)}"


def answers(cluster, addresses, seconds=0.15, at_once=100):
    """{address: the MACs that answer for it, one for each answer}; so many are asked for at once, that no socket overflows."""
    found = {address: [] for address in addresses}
    cluster.asker.drain()
    for first in range(0, len(addresses), at_once):
        for address in addresses[first:first + at_once]:
            cluster.asker.ask(address)
        for _, op, mac, sender, _, _, _ in cluster.asker.frames(seconds):
            if op == 2 and sender in found:
                found[sender].append(mac)
    return found
