// SPDX-License-Identifier: Apache-2.0
// controller/plan/ownership.h -- by which right a Service is ours. Classify itself is declared in allocate.h.
#ifndef BERTH_CONTROLLER_PLAN_OWNERSHIP_H_
#define BERTH_CONTROLLER_PLAN_OWNERSHIP_H_

#include <string>

#include "controller/model/objects.h"
#include "controller/plan/rules.h"

namespace berth::plan {

// Values of model::Service::managed_by.
inline constexpr char kManagedByAnnotation[] = "annotation";
inline constexpr char kManagedByClassPrefix[] = "class:";  // then the Service's loadBalancerClass
inline constexpr char kManagedByUnclassed[] = "unclassed";

// What to record for a Service that is ours.
std::string ManagedBy(const model::Service& service);

// For a Service that is not ours: what about it makes it so, and how to change that.
std::string WhyNotOurs(const model::Service& service, const Rules& rules);

}  // namespace berth::plan

#endif  // BERTH_CONTROLLER_PLAN_OWNERSHIP_H_
