// SPDX-License-Identifier: Apache-2.0
// controller/kube/objects/bgp_object.h -- what can be said of a BgpConf or BgpPeer alone. The schemas of the CRDs see
// to types; here are the values that no speaker would take. For the webhook, and for objects that came past it.
#ifndef BERTH_CONTROLLER_KUBE_OBJECTS_BGP_OBJECT_H_
#define BERTH_CONTROLLER_KUBE_OBJECTS_BGP_OBJECT_H_

#include <nlohmann/json_fwd.hpp>

#include "absl/status/status.h"

namespace berth::kube {

// InvalidArgument names object, field, value and what to write instead; of several things that are wrong, the first.
absl::Status CheckBgpConf(const nlohmann::json& object);
absl::Status CheckBgpPeer(const nlohmann::json& object);

}  // namespace berth::kube

#endif  // BERTH_CONTROLLER_KUBE_OBJECTS_BGP_OBJECT_H_
