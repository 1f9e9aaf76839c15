// SPDX-License-Identifier: Apache-2.0
#include "tools/berthctl/completion.h"

#include <catch2/catch.hpp>

namespace berth::ctl {
namespace {

TEST_CASE("each shell gets a script with all commands, another none", "[unit]") {
  const std::vector<CommandWords> commands = {{"get", "List what's there", {"pools", "agents"}}, {"watch", "w", {}}};
  for (const char* shell : {"bash", "zsh"}) {
    CAPTURE(shell);
    const std::string script = CompletionScript(shell, commands);
    CHECK(script.find("words='get watch'") != std::string::npos);
    CHECK(script.find("get) words='pools agents'") != std::string::npos);
    CHECK(script.find("complete -F _berthctl berthctl") != std::string::npos);
  }
  const std::string fish = CompletionScript("fish", commands);
  CHECK(fish.find("-a get -d 'List what\\'s there'") != std::string::npos);
  CHECK(fish.find("-a 'pools agents'") != std::string::npos);
  CHECK(CompletionScript("tcsh", commands).empty());
}

}  // namespace
}  // namespace berth::ctl
