// SPDX-License-Identifier: Apache-2.0
// Random histories of whole clusters on virtual time: every invariant after each step, everything at each rest.
//
//   BERTH_HISTORY_HOURS=2000 build/release/bin/history_test      more of them: simulated hours, all shares together
//   BERTH_HISTORY_SEED=17 build/release/bin/history_test '[replay]'    one again
#include <catch2/catch.hpp>
#include <cstdlib>

#include "tests/sanitized.h"
#include "tests/system/play.h"

namespace berth::system {
namespace {

constexpr double kHours = kSanitized ? 4 : 200;
constexpr int kShares = 8;
constexpr int kShrinkPlays = 300;

double Hours() {
  const char* wanted = std::getenv("BERTH_HISTORY_HOURS");
  return wanted == nullptr ? kHours : std::atof(wanted);
}

// Histories of one share, until they make up its part of the hours. The first that violates anything fails.
void PlayShare(int share) {
  const absl::Duration wanted = absl::Hours(1) * Hours() / kShares;
  absl::Duration simulated;
  int histories = 0;
  for (std::uint64_t seed = static_cast<std::uint64_t>(share); simulated < wanted; seed += kShares) {
    const History history = MakeHistory(seed);
    const Outcome outcome = Play(history);
    simulated += outcome.simulated;
    ++histories;
    if (!outcome.violations.empty()) FAIL(Report(Shrink(history, kShrinkPlays)));
  }
  WARN("share " << share << ": " << histories << " histories, " << absl::ToDoubleHours(simulated) << " hours");
  CHECK(simulated >= wanted);
}

TEST_CASE("random histories keep every promise, share 1 of 8", "[system]") { PlayShare(1); }
TEST_CASE("random histories keep every promise, share 2 of 8", "[system]") { PlayShare(2); }
TEST_CASE("random histories keep every promise, share 3 of 8", "[system]") { PlayShare(3); }
TEST_CASE("random histories keep every promise, share 4 of 8", "[system]") { PlayShare(4); }
TEST_CASE("random histories keep every promise, share 5 of 8", "[system]") { PlayShare(5); }
TEST_CASE("random histories keep every promise, share 6 of 8", "[system]") { PlayShare(6); }
TEST_CASE("random histories keep every promise, share 7 of 8", "[system]") { PlayShare(7); }
TEST_CASE("random histories keep every promise, share 8 of 8", "[system]") { PlayShare(8); }

TEST_CASE("a history is the same whenever its seed is played", "[system][replay]") {
  const char* wanted = std::getenv("BERTH_HISTORY_SEED");
  const std::uint64_t seed = wanted == nullptr ? 5 : std::strtoull(wanted, nullptr, 10);
  const History history = MakeHistory(seed);
  const Outcome outcome = Play(history);
  if (!outcome.violations.empty()) FAIL(Report(Shrink(history, kShrinkPlays)));
  CHECK(Play(history).digest == outcome.digest);
}

}  // namespace
}  // namespace berth::system
