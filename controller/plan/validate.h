// SPDX-License-Identifier: Apache-2.0
// controller/plan/validate.h -- the rules an Eip must keep, used by every source and by the admission webhook.
#ifndef BERTH_CONTROLLER_PLAN_VALIDATE_H_
#define BERTH_CONTROLLER_PLAN_VALIDATE_H_

#include <map>
#include <string>

#include "absl/status/status.h"
#include "controller/model/objects.h"
#include "controller/plan/ledger.h"

namespace berth::plan {

// Everything that can be said of one Eip alone: address parses (done by whoever filled Pool), layer2 and vip need an
// interface, interface syntax. Errors: InvalidArgument beginning with OpenELB's text and naming the field and value.
absl::Status ValidatePool(const model::Pool& pool);
// Against the others: no overlap, at most one default. `others` may contain the pool's own older version; it is
// skipped.
absl::Status ValidateAgainst(const model::Pool& pool, const std::map<std::string, model::Pool>& others);
// An edit: every address in use that lies in `before` must lie in `after` (rule 7). Names the Services that prevent it.
absl::Status ValidateUpdate(const model::Pool& before, const model::Pool& after, const Ledger& ledger);

}  // namespace berth::plan

#endif  // BERTH_CONTROLLER_PLAN_VALIDATE_H_
