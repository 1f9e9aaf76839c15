// SPDX-License-Identifier: Apache-2.0
// tests/fakes/kube/selector.h -- labelSelector and fieldSelector as an API server reads them. Pure.
#ifndef BERTH_TESTS_FAKES_KUBE_SELECTOR_H_
#define BERTH_TESTS_FAKES_KUBE_SELECTOR_H_

#include <nlohmann/json_fwd.hpp>
#include <set>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"

namespace berth::kube {

// All terms must hold.
class Selector {
 public:
  // "a=b,c!=d,e,!f,g in (h,i),j notin (k)". Errors: InvalidArgument.
  static absl::StatusOr<Selector> Labels(absl::string_view text);
  // "metadata.name=web,spec.type!=ClusterIP": any path of strings. Errors: InvalidArgument.
  static absl::StatusOr<Selector> Fields(absl::string_view text);

  bool Matches(const nlohmann::json& object) const;

 private:
  struct Term {
    std::vector<std::string> path;  // within the object
    bool in = true;                 // one of `values`, else none of them
    bool any = false;               // just being there (or, unless `in`, not) is enough
    std::set<std::string> values;
  };
  std::vector<Term> terms_;
};

}  // namespace berth::kube

#endif  // BERTH_TESTS_FAKES_KUBE_SELECTOR_H_
