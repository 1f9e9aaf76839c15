// SPDX-License-Identifier: Apache-2.0
// controller/plan/sharing.h -- when several Services may have one address (rule 5 of docs/allocation.md).
#ifndef BERTH_CONTROLLER_PLAN_SHARING_H_
#define BERTH_CONTROLLER_PLAN_SHARING_H_

#include <optional>
#include <vector>

#include "controller/plan/ledger.h"
#include "controller/plan/reason.h"
#include "controller/plan/rules.h"

namespace berth::plan {

// Why `claim` may not join the owners of its address, or nullopt when it may. An entry of the same Service is skipped.
// The message never shows a sharing key.
std::optional<Reason> RefuseJoin(const Claim& claim, const std::vector<Claim>& owners, const Rules& rules);

// For a Service that is among the owners already, with the claim it would make today: why it must give the address up
// (its ports clash now), or nullopt. The first owner never must. Between later owners it is the one that changed that
// goes, which shows in its claim differing from the one in `owners`; where that cannot be seen, the later one goes.
std::optional<Reason> MustLeave(const Claim& claim, const std::vector<Claim>& owners);

// For the same: what no longer agrees with another owner but disturbs nobody (policy, selector, key), or nullopt.
std::optional<Reason> Disagreement(const Claim& claim, const std::vector<Claim>& owners, const Rules& rules);

}  // namespace berth::plan

#endif  // BERTH_CONTROLLER_PLAN_SHARING_H_
