// SPDX-License-Identifier: Apache-2.0
// controller/kube/objects/read_field.h -- fields of JSON that need no complaint: what is absent, or of another type
// than asked for, reads as empty. For objects that the API server has checked, and for records of our own.
#ifndef BERTH_CONTROLLER_KUBE_OBJECTS_READ_FIELD_H_
#define BERTH_CONTROLLER_KUBE_OBJECTS_READ_FIELD_H_

#include <nlohmann/json_fwd.hpp>
#include <string>

#include "absl/time/time.h"
#include "controller/model/objects.h"

namespace berth::kube {

// A reference into `map`, or to an empty map (list) of static life.
const nlohmann::json& MapAt(const nlohmann::json& map, const char* key);
const nlohmann::json& ListAt(const nlohmann::json& map, const char* key);
std::string StringAt(const nlohmann::json& map, const char* key);
bool BoolAt(const nlohmann::json& map, const char* key);
// The map at `key` of a map, for writing: where there is none, an empty one is put there.
nlohmann::json& MapIn(nlohmann::json& map, const char* key);
// Of an object's metadata.
model::ObjectId IdOf(const nlohmann::json& object);

// Wall time as metav1.Time ("2026-01-02T03:04:05Z") and metav1.MicroTime (with six more digits).
std::string Rfc3339(absl::Time time);
std::string Rfc3339Micro(absl::Time time);

}  // namespace berth::kube

#endif  // BERTH_CONTROLLER_KUBE_OBJECTS_READ_FIELD_H_
