// SPDX-License-Identifier: Apache-2.0
#include "controller/kube/objects/finalizers.h"

#include <catch2/catch.hpp>
#include <nlohmann/json.hpp>

namespace berth::kube {
namespace {

using nlohmann::json;

constexpr char kOurs[] = "ours/one";

json Object(const json& finalizers) { return {{"metadata", {{"name", "a"}, {"finalizers", finalizers}}}}; }

TEST_CASE("a finalizer is found among those of others", "[unit]") {
  const Finalizers both = FinalizersOf(Object({"theirs/b", kOurs, "theirs/a"}), kOurs);
  CHECK(both.ours);
  CHECK(both.others == std::vector<std::string>{"theirs/b", "theirs/a"});
  CHECK_FALSE(FinalizersOf(Object({"theirs/b"}), kOurs).ours);
  for (const json& none : {json(), json::object(), Object(nullptr), Object(json::array()), Object({1, nullptr})}) {
    CHECK_FALSE(FinalizersOf(none, kOurs).ours);
    CHECK(FinalizersOf(none, kOurs).others.empty());
  }
}

TEST_CASE("our finalizer comes and goes, those of others stay", "[unit]") {
  const auto patched = [](const std::vector<std::string>& others, bool keep) {
    const json metadata = json::parse(FinalizerPatch("7", others, kOurs, keep))["metadata"];
    CHECK(metadata["resourceVersion"] == "7");
    return metadata["finalizers"];
  };
  CHECK(patched({}, true) == json{kOurs});
  CHECK(patched({}, false).is_null());
  CHECK(patched({"theirs/a"}, false) == json{"theirs/a"});
  CHECK(patched({"theirs/a"}, true) == json{"theirs/a", kOurs});
}

}  // namespace
}  // namespace berth::kube
