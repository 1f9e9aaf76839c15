// SPDX-License-Identifier: Apache-2.0
// tools/berthctl/outcome.h -- how a command ended, as the shell sees it.
#ifndef BERTH_TOOLS_BERTHCTL_OUTCOME_H_
#define BERTH_TOOLS_BERTHCTL_OUTCOME_H_

#include <string>
#include <utility>

namespace berth::ctl {

enum class ExitCode : int { kDone = 0, kRefused = 1, kBadUsage = 2, kNotReachable = 3 };

struct [[nodiscard]] Outcome {
  ExitCode code = ExitCode::kDone;
  std::string message;  // for stderr; empty when done

  bool ok() const { return code == ExitCode::kDone; }
  static Outcome Done() { return {}; }
  static Outcome Refused(std::string message) { return {ExitCode::kRefused, std::move(message)}; }
  static Outcome BadUsage(std::string message) { return {ExitCode::kBadUsage, std::move(message)}; }
  static Outcome NotReachable(std::string message) { return {ExitCode::kNotReachable, std::move(message)}; }
};

}  // namespace berth::ctl

#endif  // BERTH_TOOLS_BERTHCTL_OUTCOME_H_
