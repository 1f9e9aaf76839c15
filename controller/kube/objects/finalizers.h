// SPDX-License-Identifier: Apache-2.0
// controller/kube/objects/finalizers.h -- one finalizer of an object among those of others, and the patch that sets or
// takes it away. Pure.
#ifndef BERTH_CONTROLLER_KUBE_OBJECTS_FINALIZERS_H_
#define BERTH_CONTROLLER_KUBE_OBJECTS_FINALIZERS_H_

#include <nlohmann/json_fwd.hpp>
#include <string>
#include <vector>

namespace berth::kube {

// OpenELB's, of Services, BgpConfs and BgpPeers alike. Berth sets it on Services alone.
inline constexpr char kLbFinalizer[] = "finalizer.lb.kubesphere.io/v1alpha1";

struct Finalizers {
  bool ours = false;  // the one that was asked for is there
  std::vector<std::string> others;
};
Finalizers FinalizersOf(const nlohmann::json& object, const char* ours);

// The merge patch that makes an object's finalizers `others`, and `ours` too if it shall be kept; refused when the
// object is at another revision meanwhile.
std::string FinalizerPatch(const std::string& revision, const std::vector<std::string>& others, const char* ours,
                           bool keep);

}  // namespace berth::kube

#endif  // BERTH_CONTROLLER_KUBE_OBJECTS_FINALIZERS_H_
