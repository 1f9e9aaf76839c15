// SPDX-License-Identifier: Apache-2.0
// controller/kube/objects/cluster_objects.h -- nodes, namespaces and EndpointSlices of the API server to the model's
// values. Pure.
#ifndef BERTH_CONTROLLER_KUBE_OBJECTS_CLUSTER_OBJECTS_H_
#define BERTH_CONTROLLER_KUBE_OBJECTS_CLUSTER_OBJECTS_H_

#include <nlohmann/json_fwd.hpp>
#include <optional>

#include "absl/status/statusor.h"
#include "controller/model/objects.h"

namespace berth::kube {

// Errors: InvalidArgument naming the object, the field and its value.
absl::StatusOr<model::Node> ReadNode(const nlohmann::json& object);
absl::StatusOr<model::Namespace> ReadNamespace(const nlohmann::json& object);
// Nothing for a slice that Berth has no use for: of host names, or of no Service.
absl::StatusOr<std::optional<model::EndpointSlice>> ReadEndpointSlice(const nlohmann::json& object);

}  // namespace berth::kube

#endif  // BERTH_CONTROLLER_KUBE_OBJECTS_CLUSTER_OBJECTS_H_
