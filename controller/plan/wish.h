// SPDX-License-Identifier: Apache-2.0
// controller/plan/wish.h -- what a Service asks for explicitly, read from its annotations and fields.
#ifndef BERTH_CONTROLLER_PLAN_WISH_H_
#define BERTH_CONTROLLER_PLAN_WISH_H_

#include <map>
#include <optional>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "controller/model/objects.h"

namespace berth::plan {

struct WantedAddress {
  IpAddr address;
  std::string field;  // where it was asked for: "spec.loadBalancerIP" or "annotation ..."
};

struct Wish {
  std::vector<std::string> pools;             // Eips by name, as listed
  std::map<Family, WantedAddress> addresses;  // at most one for each family
  std::optional<model::Protocol> protocol;
};

// Errors: InvalidArgument naming the field, its value and the cure: a part does not parse, two addresses of one family,
// or spec.loadBalancerIP and the annotation contradict each other.
absl::StatusOr<Wish> ReadWish(const model::Service& service);

// The families a Service has addresses of, in order and each once; never empty. One for SingleStack; an unwritten list
// counts as IPv4, or as both where dual stack is asked for.
std::vector<Family> FamiliesOf(const model::Service& service);

}  // namespace berth::plan

#endif  // BERTH_CONTROLLER_PLAN_WISH_H_
