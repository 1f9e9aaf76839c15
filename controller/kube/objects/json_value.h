// SPDX-License-Identifier: Apache-2.0
// controller/kube/objects/json_value.h -- an object as the API server sent it, in the form that the decoders of
// manifests read (controller/files/manifest): one set of rules for both sources.
#ifndef BERTH_CONTROLLER_KUBE_OBJECTS_JSON_VALUE_H_
#define BERTH_CONTROLLER_KUBE_OBJECTS_JSON_VALUE_H_

#include <nlohmann/json_fwd.hpp>

#include "absl/status/statusor.h"
#include "controller/files/manifest/value.h"

namespace berth::kube {

// All of `object` but metadata.managedFields, which nobody reads and which is most of many an object. One root.
// Errors: InvalidArgument when it is nested deeper, or is larger, than any object of an API server can be.
absl::StatusOr<files::Documents> ToDocument(const nlohmann::json& object);

}  // namespace berth::kube

#endif  // BERTH_CONTROLLER_KUBE_OBJECTS_JSON_VALUE_H_
