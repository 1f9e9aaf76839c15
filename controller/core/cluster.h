// SPDX-License-Identifier: Apache-2.0
// controller/core/cluster.h -- the objects that placement looks up: nodes, namespaces and endpoints. A plain index.
#ifndef BERTH_CONTROLLER_CORE_CLUSTER_H_
#define BERTH_CONTROLLER_CORE_CLUSTER_H_

#include <map>
#include <optional>
#include <set>
#include <string>

#include "controller/model/source.h"

namespace berth::core {

struct Cluster {
  std::map<std::string, model::Node> nodes;
  std::map<std::string, model::Namespace> namespaces;
  std::map<model::ObjectId, std::map<model::ObjectId, model::EndpointSlice>> slices;  // by Service, then by slice
  std::map<model::ObjectId, model::ObjectId> service_of_slice;

  struct Changes {
    bool nodes = false, namespaces = false;
    std::set<model::ObjectId> endpoints;  // Services whose endpoints changed
    std::vector<std::string> gone_nodes;
  };
  Changes Apply(const model::ClusterDelta& delta);

  const model::Labels& NamespaceLabels(const std::string& name) const;
  // The nodes with an endpoint of that family that serves. nullopt: the Service has no EndpointSlice at all.
  std::optional<std::set<std::string>> EndpointNodes(const model::ObjectId& service, Family family) const;
};

}  // namespace berth::core

#endif  // BERTH_CONTROLLER_CORE_CLUSTER_H_
