// SPDX-License-Identifier: Apache-2.0
// controller/files/manifest/decode.h -- one function for each kind of object: its fields to the model's value, with the
// defaults that the API server would fill in. Problems go to the reader; the result counts only when it is ok() then.
#ifndef BERTH_CONTROLLER_FILES_MANIFEST_DECODE_H_
#define BERTH_CONTROLLER_FILES_MANIFEST_DECODE_H_

#include <string>

#include "controller/files/manifest/fields.h"
#include "controller/model/objects.h"

namespace berth::files {

// network.kubesphere.io: `v1alpha1` is the old, IPv4-only form.
model::Pool DecodePool(FieldReader& read, const Field& root, std::string name, bool v1alpha1);
model::Service DecodeService(FieldReader& read, const Field& root, model::ObjectId id);
model::Node DecodeNode(FieldReader& read, const Field& root, std::string name);
model::Namespace DecodeNamespace(FieldReader& read, const Field& root, std::string name);
// Nothing for a slice that Berth has no use for: of host names, or of no Service.
std::optional<model::EndpointSlice> DecodeEndpointSlice(FieldReader& read, const Field& root, model::ObjectId id);

}  // namespace berth::files

#endif  // BERTH_CONTROLLER_FILES_MANIFEST_DECODE_H_
