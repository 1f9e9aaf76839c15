// SPDX-License-Identifier: Apache-2.0
#include "controller/core/cluster.h"

namespace berth::core {

Cluster::Changes Cluster::Apply(const model::ClusterDelta& delta) {
  Changes changes;
  for (const model::Node& node : delta.nodes) {
    nodes[node.name] = node;
    changes.nodes = true;
  }
  for (const std::string& name : delta.gone_nodes) {
    if (nodes.erase(name) != 0) changes.gone_nodes.push_back(name);
    changes.nodes = true;
  }
  for (const model::Namespace& ns : delta.namespaces) {
    namespaces[ns.name] = ns;
    changes.namespaces = true;
  }
  for (const std::string& name : delta.gone_namespaces) changes.namespaces |= namespaces.erase(name) != 0;
  auto forget = [&](const model::ObjectId& slice) {
    auto it = service_of_slice.find(slice);
    if (it == service_of_slice.end()) return;
    changes.endpoints.insert(it->second);
    auto of = slices.find(it->second);
    of->second.erase(slice);
    if (of->second.empty()) slices.erase(of);
    service_of_slice.erase(it);
  };
  for (const model::EndpointSlice& slice : delta.slices) {
    forget(slice.id);  // its label may name another Service now
    slices[slice.service][slice.id] = slice;
    service_of_slice[slice.id] = slice.service;
    changes.endpoints.insert(slice.service);
  }
  for (const model::ObjectId& id : delta.gone_slices) forget(id);
  return changes;
}

const model::Labels& Cluster::NamespaceLabels(const std::string& name) const {
  static const model::Labels kNone;
  auto it = namespaces.find(name);
  return it == namespaces.end() ? kNone : it->second.labels;
}

std::optional<std::set<std::string>> Cluster::EndpointNodes(const model::ObjectId& service, Family family) const {
  auto it = slices.find(service);
  if (it == slices.end()) return std::nullopt;
  std::set<std::string> out;
  for (const auto& [id, slice] : it->second) {
    if (slice.family != family) continue;  // kube-proxy sends traffic to endpoints of its own family alone
    for (const model::Endpoint& e : slice.endpoints) {
      if (!e.node.empty() && (e.ready || e.serving)) out.insert(e.node);
    }
  }
  return out;
}

}  // namespace berth::core
