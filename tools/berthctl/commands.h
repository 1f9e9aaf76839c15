// SPDX-License-Identifier: Apache-2.0
// tools/berthctl/commands.h -- what each command of berthctl does, without the parsing of its flags.
#ifndef BERTH_TOOLS_BERTHCTL_COMMANDS_H_
#define BERTH_TOOLS_BERTHCTL_COMMANDS_H_

#include <ostream>
#include <string>

#include "tools/berthctl/client.h"
#include "tools/berthctl/outcome.h"
#include "tools/berthctl/printer.h"

namespace berth::ctl {

// Where and how a command prints: data to `out`, words to `err`.
struct Console {
  std::ostream& out;
  std::ostream& err;
  Output output = Output::kTable;
};

// In the form for programs that `console` names.
Outcome PrintMessage(const google::protobuf::Message& message, const Console& console);

// `kind`: "pools", "services", "addresses" or "agents". An empty `name` means all; a Service's is NAMESPACE/NAME.
Outcome Get(Client& client, const Console& console, const std::string& kind, const std::string& name);
// `kind`: "service" or "address".
Outcome ExplainObject(Client& client, const Console& console, const std::string& kind, const std::string& name);
// Ends when the server goes. `initial`: first all that exists.
Outcome WatchChanges(Client& client, const Console& console, bool initial);
// Refused when something that it finds is an error.
Outcome Doctor(Client& client, const Console& console);
Outcome Dump(Client& client, const Console& console);
// The server's; the tool's own is the caller's to print.
Outcome ServerVersion(Client& client, const Console& console);

}  // namespace berth::ctl

#endif  // BERTH_TOOLS_BERTHCTL_COMMANDS_H_
