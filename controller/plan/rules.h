// SPDX-License-Identifier: Apache-2.0
// controller/plan/rules.h -- the controller's flags that change which Services are served, and how strictly.
#ifndef BERTH_CONTROLLER_PLAN_RULES_H_
#define BERTH_CONTROLLER_PLAN_RULES_H_

#include <string>

#include "controller/model/objects.h"

namespace berth::plan {

struct Rules {
  bool manage_unclassed = false;                           // --manage-unclassed
  std::string load_balancer_class = model::kDefaultClass;  // --load-balancer-class
  bool open_sharing = false;                               // --sharing=open
  bool advisory_namespace_binding = false;                 // --namespace-binding=advisory
  bool ignore_exclude_label = false;                       // --ignore-exclude-label
};

}  // namespace berth::plan

#endif  // BERTH_CONTROLLER_PLAN_RULES_H_
