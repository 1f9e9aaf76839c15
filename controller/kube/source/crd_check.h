// SPDX-License-Identifier: Apache-2.0
// controller/kube/source/crd_check.h -- whether the CustomResourceDefinition in force has the fields that are written:
// OpenELB's lacks those it did not know, and an API server drops without a word what a schema does not name. Pure.
#ifndef BERTH_CONTROLLER_KUBE_SOURCE_CRD_CHECK_H_
#define BERTH_CONTROLLER_KUBE_SOURCE_CRD_CHECK_H_

#include <nlohmann/json_fwd.hpp>
#include <string>
#include <vector>

namespace berth::kube {

// Of version v1alpha2 of the Eip's CRD: "spec.nodeSelector", "status.conditions", ...
std::vector<std::string> MissingEipFields(const nlohmann::json& crd);

}  // namespace berth::kube

#endif  // BERTH_CONTROLLER_KUBE_SOURCE_CRD_CHECK_H_
