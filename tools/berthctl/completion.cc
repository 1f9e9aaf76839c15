// SPDX-License-Identifier: Apache-2.0
#include "tools/berthctl/completion.h"

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "absl/strings/str_replace.h"

namespace berth::ctl {
namespace {

constexpr char kFlags[] =
    "--server --output --insecure --tls-cert --tls-key --tls-ca --no-wait --timeout --dry-run --help";

std::string Names(const std::vector<CommandWords>& commands) {
  return absl::StrJoin(commands, " ", [](std::string* out, const CommandWords& c) { out->append(c.command); });
}

// The function of bash, which zsh runs too.
std::string Bash(const std::vector<CommandWords>& commands) {
  std::string cases;
  for (const CommandWords& c : commands) {
    if (!c.words.empty())
      absl::StrAppend(&cases, "    ", c.command, ") words='", absl::StrJoin(c.words, " "), "' ;;\n");
  }
  return absl::StrCat(
      "_berthctl() {\n"
      "  local current=${COMP_WORDS[COMP_CWORD]} previous=${COMP_WORDS[COMP_CWORD-1]} words=''\n"
      "  case $previous in\n",
      cases,
      "    -o|--output) words='table wide json yaml' ;;\n"
      "    berthctl|kubectl-berth) words='",
      Names(commands),
      "' ;;\n"
      "  esac\n"
      "  [[ $current == -* ]] && words='",
      kFlags,
      "'\n"
      "  COMPREPLY=($(compgen -W \"$words\" -- \"$current\"))\n"
      "}\n"
      "complete -F _berthctl berthctl kubectl-berth\n");
}

std::string Quoted(const std::string& text) {
  return absl::StrCat("'", absl::StrReplaceAll(text, {{"\\", "\\\\"}, {"'", "\\'"}}), "'");
}

std::string Fish(const std::vector<CommandWords>& commands) {
  std::string out = "complete -c berthctl -f\ncomplete -c berthctl -s o -l output -x -a 'table wide json yaml'\n";
  for (const CommandWords& c : commands) {
    absl::StrAppend(&out, "complete -c berthctl -n __fish_use_subcommand -a ", c.command, " -d ", Quoted(c.help), "\n");
    if (c.words.empty()) continue;
    absl::StrAppend(&out, "complete -c berthctl -n '__fish_seen_subcommand_from ", c.command, "' -a '",
                    absl::StrJoin(c.words, " "), "'\n");
  }
  return out;
}

}  // namespace

std::string CompletionScript(absl::string_view shell, const std::vector<CommandWords>& commands) {
  if (shell == "bash") return Bash(commands);
  if (shell == "zsh") return absl::StrCat("autoload -U +X bashcompinit && bashcompinit\n", Bash(commands));
  if (shell == "fish") return Fish(commands);
  return "";
}

}  // namespace berth::ctl
