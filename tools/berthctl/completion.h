// SPDX-License-Identifier: Apache-2.0
// tools/berthctl/completion.h -- the scripts that teach a shell berthctl's commands. Pure.
#ifndef BERTH_TOOLS_BERTHCTL_COMPLETION_H_
#define BERTH_TOOLS_BERTHCTL_COMPLETION_H_

#include <string>
#include <vector>

#include "absl/strings/string_view.h"

namespace berth::ctl {

// What may follow a command: "get" -> "pools", ...; commands without words of their own have none.
struct CommandWords {
  std::string command;
  std::string help;
  std::vector<std::string> words;
};

// `shell` is "bash", "zsh" or "fish"; empty for another.
std::string CompletionScript(absl::string_view shell, const std::vector<CommandWords>& commands);

}  // namespace berth::ctl

#endif  // BERTH_TOOLS_BERTHCTL_COMPLETION_H_
