// SPDX-License-Identifier: Apache-2.0
#include "tests/system/play.h"

#include <algorithm>
#include <iterator>
#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "tests/system/player.h"
#include "tests/system/rest.h"

namespace berth::system {

Outcome Play(const History& history) { return Player(history).Play(); }

namespace {

bool Fails(const History& history, int* plays) {
  --*plays;
  return !Play(history).violations.empty();
}

}  // namespace

History Shrink(History history, int plays) {
  // What comes after the first violation is of no account.
  const std::size_t played = Play(history).told.size();  // with the last rest, which is no step
  if (played < history.steps.size()) history.steps.resize(played);
  for (std::size_t part = std::max<std::size_t>(history.steps.size() / 2, 1);; part = (part + 1) / 2) {
    for (std::size_t from = 0; from < history.steps.size() && plays > 0;) {
      History less = history;
      const auto begin = less.steps.begin() + static_cast<std::ptrdiff_t>(from);
      const auto end = less.steps.size() - from <= part ? less.steps.end() : begin + static_cast<std::ptrdiff_t>(part);
      less.steps.erase(begin, end);
      if (Fails(less, &plays)) {
        history = std::move(less);
      } else {
        from += part;
      }
    }
    if (part == 1 || plays <= 0) return history;
  }
}

std::string Report(const History& history) {
  const Outcome outcome = Play(history);
  return absl::StrCat(Text(history), "\nreplay: BERTH_HISTORY_SEED=", history.seed,
                      " build/release/bin/history_test '[replay]'   (BERTH_TEST_LOG=1 tells everything)\n",
                      absl::StrJoin(outcome.told, "\n"), "\nviolates:\n", absl::StrJoin(outcome.violations, "\n"));
}

}  // namespace berth::system
