// SPDX-License-Identifier: Apache-2.0
#include "controller/admission/core_view.h"

namespace berth::admission {

std::vector<plan::Claim> CoreView::ClaimsWithin(const IpRangeSet& addresses) const {
  std::vector<plan::Claim> out;
  for (const auto& [id, record] : core_.services().all()) {
    const std::vector<model::Allocation>& held = record.object.allocations;
    for (const model::Allocation& allocation : held) {
      if (addresses.Contains(allocation.address)) out.push_back(plan::MakeClaim(record.object, allocation));
    }
    // What is being probed or written for it: promised, if not given.
    if (record.phase == core::ServiceRecord::Phase::kIdle) continue;
    for (const model::Allocation& allocation : record.op().target) {
      if (model::Holds(held, allocation.address) || !addresses.Contains(allocation.address)) continue;
      out.push_back(plan::MakeClaim(record.object, allocation));
    }
  }
  return out;
}

}  // namespace berth::admission
