// SPDX-License-Identifier: Apache-2.0
// controller/kube/objects/pool_object.h -- an Eip of the API server to the model's value, and a pool's status to its
// `status` field. Pure.
#ifndef BERTH_CONTROLLER_KUBE_OBJECTS_POOL_OBJECT_H_
#define BERTH_CONTROLLER_KUBE_OBJECTS_POOL_OBJECT_H_

#include <nlohmann/json_fwd.hpp>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "controller/model/objects.h"
#include "controller/model/source.h"

namespace berth::kube {

inline constexpr char kPoolFinalizer[] = "finalizer.ipam.kubesphere.io/v1alpha1";

struct PoolObject {
  model::Pool pool;
  std::string uid;
  std::vector<std::string> other_finalizers;
  std::string status;   // its `status` as JSON text; empty when there is none
  bool unread = false;  // `pool` is without content: no version of it could be read
};

// Errors: InvalidArgument naming the Eip, the field and its value.
absl::StatusOr<PoolObject> ReadPool(const nlohmann::json& object);

// One whose spec cannot be read: `content`, and what holds of the object whatever it contains, that it goes, how it
// goes, and what its writes must know.
PoolObject ReadPoolMetadata(const nlohmann::json& object, model::Pool content);

// The `status` field for `status`: OpenELB's fields, then ours. `before` is the field as it is now; times of conditions
// that stay are taken from it. `now` is wall time.
nlohmann::json PoolStatusJson(const model::PoolStatus& status, const nlohmann::json& before, absl::Time now);

// The merge patch (RFC 7386) that makes `to` of `from`; an empty object when they are equal.
nlohmann::json MergeDiff(const nlohmann::json& from, const nlohmann::json& to);

}  // namespace berth::kube

#endif  // BERTH_CONTROLLER_KUBE_OBJECTS_POOL_OBJECT_H_
