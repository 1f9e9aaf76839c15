// SPDX-License-Identifier: Apache-2.0
#include "controller/kube/objects/finalizers.h"

#include <nlohmann/json.hpp>
#include <utility>

#include "controller/kube/objects/read_field.h"

namespace berth::kube {

using nlohmann::json;

Finalizers FinalizersOf(const json& object, const char* ours) {
  Finalizers out;
  for (const json& finalizer : ListAt(MapAt(object, "metadata"), "finalizers")) {
    if (finalizer == ours) {
      out.ours = true;
    } else if (finalizer.is_string()) {
      out.others.push_back(finalizer.get<std::string>());
    }
  }
  return out;
}

std::string FinalizerPatch(const std::string& revision, const std::vector<std::string>& others, const char* ours,
                           bool keep) {
  json finalizers = others;
  if (keep) finalizers.push_back(ours);
  const json patch = {
      {"metadata",
       {{"resourceVersion", revision}, {"finalizers", finalizers.empty() ? json(nullptr) : std::move(finalizers)}}}};
  return patch.dump();
}

}  // namespace berth::kube
