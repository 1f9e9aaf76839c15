// SPDX-License-Identifier: Apache-2.0
// tests/property.h -- a rapidcheck property as a test of its own: how often it is tried, and from which seed.
//
//   TEST_CASE("...", "[unit]") { Property("no address has two owners", 2500, [](const std::vector<Op>& ops) { ... }); }
//
// Each has a seed of its own, made of its name, and so tries the same inputs in every run: a build is not red by
// chance, and never because of something that its change has nothing to do with. Exploring is asked for, by another
// seed. The seed is printed whether the property holds or not (the one that rapidcheck prints first, unasked, is not
// used); a failure also says how to run exactly the case that failed (after it was made as small as possible):
//
//   RC_PARAMS="seed=123" build/release/bin/controller_core_test "name of the test"
//   RC_PARAMS="seed=$RANDOM max_success=100000" ...     looks at other inputs, and at more of them
#ifndef BERTH_TESTS_PROPERTY_H_
#define BERTH_TESTS_PROPERTY_H_

#include <algorithm>
#include <cstdint>
#include <cstdlib>
#include <iostream>
#include <sstream>
#include <string>
#include <string_view>

#include <catch2/catch.hpp>

// After catch.hpp, which it builds on.
#include <rapidcheck/catch.h>

#include "tests/sanitized.h"

namespace berth {

inline constexpr int kTriesDivisor = kSanitized ? 25 : 1;

// FNV-1a: the same on every machine, and another for each property.
constexpr std::uint64_t SeedOf(std::string_view name) {
  std::uint64_t hash = 0xcbf29ce484222325;
  for (const char c : name) hash = (hash ^ static_cast<unsigned char>(c)) * 0x100000001b3;
  return hash;
}

inline bool SeedIsAskedFor() {
  const char* params = std::getenv("RC_PARAMS");
  return params != nullptr && std::string_view(params).find("seed=") != std::string_view::npos;
}

template <typename Testable>
void Property(const std::string& name, int tries, Testable&& testable) {
  rc::detail::TestParams params = rc::detail::configuration().testParams;
  // Unless somebody asked for a number of tries.
  if (params.maxSuccess == rc::detail::TestParams().maxSuccess) params.maxSuccess = std::max(1, tries / kTriesDivisor);
  if (!SeedIsAskedFor()) params.seed = SeedOf(name);
  std::cout << name << ": " << params.maxSuccess << " tries, seed=" << params.seed << std::endl;
  rc::detail::TestMetadata metadata;
  metadata.id = name;
  metadata.description = name;
  const auto result = rc::detail::checkTestable(std::forward<Testable>(testable), metadata, params);
  std::ostringstream text;
  rc::detail::printResultMessage(result, text);
  INFO(text.str() << "\nseed=" << params.seed);
  REQUIRE(result.template is<rc::detail::SuccessResult>());
}

}  // namespace berth

#endif  // BERTH_TESTS_PROPERTY_H_
