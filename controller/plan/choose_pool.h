// SPDX-License-Identifier: Apache-2.0
// controller/plan/choose_pool.h -- which Eip a Service's next address of one family comes from (rule 3 of
// docs/allocation.md): the first step that finds an Eip of the right protocol and family decides, even when all it
// finds are full or disabled.
#ifndef BERTH_CONTROLLER_PLAN_CHOOSE_POOL_H_
#define BERTH_CONTROLLER_PLAN_CHOOSE_POOL_H_

#include <optional>
#include <string>
#include <vector>

#include "controller/model/objects.h"
#include "controller/plan/ledger.h"
#include "controller/plan/reason.h"
#include "controller/plan/rules.h"
#include "controller/plan/wish.h"

namespace berth::plan {

// What choosing needs to know; borrows everything.
struct Request {
  const model::Service& service;
  const Wish& wish;
  std::vector<Family> families;  // of the Service
  const Ledger& ledger;
  const model::Labels& namespace_labels;
  const Rules& rules;
};

// What the pool annotation says about one family: an Eip, or why it cannot be followed, or neither (nothing is said).
struct NamedPool {
  const model::Pool* pool = nullptr;
  std::optional<Reason> problem;
  bool said_something() const { return pool != nullptr || problem.has_value(); }
};
NamedPool FindNamed(const Request& request, Family family);

struct PoolChoice {
  const model::Pool* pool = nullptr;  // null: see `reason`
  Reason reason;
  std::vector<std::string> looked_at;  // best first
};
// The Eip for a new address of `family`. An Eip chosen for a wanted address contains it, and may be full.
PoolChoice ChoosePool(const Request& request, Family family);

}  // namespace berth::plan

#endif  // BERTH_CONTROLLER_PLAN_CHOOSE_POOL_H_
