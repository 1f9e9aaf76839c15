// SPDX-License-Identifier: Apache-2.0
// controller/plan/allocate.h -- which Services are ours, and which address each gets. Pure: same input, same output.
//
//   Decision d = Decide(service, ledger, namespaces, rules);
//
// Implements the rules of docs/allocation.md. Never moves a Service that holds a valid address.
#ifndef BERTH_CONTROLLER_PLAN_ALLOCATE_H_
#define BERTH_CONTROLLER_PLAN_ALLOCATE_H_

#include <map>
#include <string>
#include <vector>

#include "controller/model/objects.h"
#include "controller/plan/ledger.h"
#include "controller/plan/reason.h"
#include "controller/plan/rules.h"

namespace berth::plan {

// Whose Service it is (rule 1). A Service that has allocations of ours stays ours whatever the flags say, until its own
// type, annotation or class changes.
enum class Ownership : std::uint8_t {
  kOurs,
  kForeign,  // never touched: no event, status, finalizer or annotation
  kRelease,  // was ours (marked, or has allocations) and is not any more: let go of everything
};
Ownership Classify(const model::Service& service, const Rules& rules);

struct Decision {
  Ownership ownership = Ownership::kForeign;
  // What the Service shall have, in the order of its families. Allocations it has and that are listed here are kept;
  // those it has and that are not listed are to be released; those it has not yet are new and must be probed.
  std::vector<model::Allocation> want;
  // Why something is missing (or, with everything in place, something worth an Event: a sharer's policy differs, a
  // requested change is impossible and the old address is kept). Empty code: nothing to say.
  Reason reason;
  bool satisfied = false;                    // every family the Service must have is in `want`
  std::vector<std::string> candidate_pools;  // the pools looked at, best first, for `explain`
  // How the Service is ours, to be recorded with the allocations; empty unless kOurs. See model::Service::managed_by.
  std::string managed_by;
};

// `service.allocations` is what it holds now; the ledger knows those claims too. Candidate addresses that are blocked
// in the ledger are skipped, except those the Service itself has. `namespace_labels` are those of its Namespace.
// When a Service changed, decide before its new claims are assigned: that the claim in the ledger differs from what the
// Service would claim now shows who brought about a port clash. An entry of `want` with an address that the Service
// holds is that allocation, even where its pool, protocol or interface differ (an Eip adopted an orphan): nothing to
// probe.
Decision Decide(const model::Service& service, const Ledger& ledger, const model::Labels& namespace_labels,
                const Rules& rules);

}  // namespace berth::plan

#endif  // BERTH_CONTROLLER_PLAN_ALLOCATE_H_
