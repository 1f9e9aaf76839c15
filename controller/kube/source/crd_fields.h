// SPDX-License-Identifier: Apache-2.0
// controller/kube/source/crd_fields.h -- whether a CustomResourceDefinition in force has the fields that Berth knows:
// OpenELB's lacks those it did not, and an API server drops without a word what a schema does not name. Pure.
#ifndef BERTH_CONTROLLER_KUBE_SOURCE_CRD_FIELDS_H_
#define BERTH_CONTROLLER_KUBE_SOURCE_CRD_FIELDS_H_

#include <nlohmann/json_fwd.hpp>
#include <string>
#include <vector>

namespace berth::kube {

// The resources of network.kubesphere.io: "eips", "bgpconfs", "bgppeers".
const std::vector<std::string>& CrdResources();

// What version v1alpha2 of the CRD of `resource`, one of these, lacks: "spec.nodeSelector", "status.conditions", ...
std::vector<std::string> MissingFields(const std::string& resource, const nlohmann::json& crd);

}  // namespace berth::kube

#endif  // BERTH_CONTROLLER_KUBE_SOURCE_CRD_FIELDS_H_
