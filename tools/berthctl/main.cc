// SPDX-License-Identifier: Apache-2.0
// tools/berthctl/main.cc -- berthctl: asks a controller and prints what it says. Here are the flags; what the commands
// do is in commands.h.
#include <grpc/support/log.h>

#include <CLI/CLI.hpp>
#include <cstdlib>
#include <iostream>
#include <map>
#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "common/base/build_info.h"
#include "tools/berthctl/commands.h"
#include "tools/berthctl/completion.h"
#include "tools/berthctl/orders.h"
#include "tools/berthctl/probe.h"

namespace berth::ctl {
namespace {

constexpr absl::Duration kProbeTimeout = absl::Seconds(5);

constexpr char kDescription[] = R"(Asks a Berth controller about its pools, Services, addresses and agents.

Examples:
  berthctl get pools
  berthctl get services -o wide
  berthctl explain service default/web
  berthctl explain address 192.168.50.50
  berthctl watch -o json
  berthctl drain node1 && reboot-it node1; berthctl undrain node1
  berthctl --server=10.0.0.5:7444 --tls-ca=ca.crt --tls-cert=me.crt --tls-key=me.key get agents

Exit codes: 0 done, 1 the server said no or the doctor found an error, 2 bad usage, 3 not reachable.
)";

const std::map<std::string, Output> kOutputs = {
    {"table", Output::kTable}, {"wide", Output::kWide}, {"json", Output::kJson}, {"yaml", Output::kYaml}};
const std::map<std::string, std::string> kKinds = {
    {"pools", "pools"},         {"pool", "pools"},        {"services", "services"}, {"service", "services"},
    {"addresses", "addresses"}, {"address", "addresses"}, {"agents", "agents"},     {"agent", "agents"}};
const std::vector<CommandWords> kCommands = {
    {"get", "List pools, services, addresses or agents", {"pools", "services", "addresses", "agents"}},
    {"explain", "Say why a Service or an address is as it is", {"service", "address"}},
    {"watch", "Print each change as it happens", {}},
    {"drain", "Move all addresses away from a node", {}},
    {"undrain", "Let a drained node hold addresses again", {}},
    {"move", "Move an address to a node", {}},
    {"rebalance", "Even out the addresses per node", {}},
    {"doctor", "Look for what is wrong, and say how to mend it", {}},
    {"dump", "Print all that the controller knows, as JSON", {}},
    {"probe", "Ask a page such as /readyz of every address of a name", {}},
    {"version", "Print the versions of berthctl and of the controller", {}},
    {"completion", "Print a script that completes commands in a shell", {"bash", "zsh", "fish"}},
};

struct Arguments {
  ConnectOptions connect;
  std::string output = "table";
  std::string kind, name, node, shell, url;
  bool changes_only = false, dry_run = false, client_only = false, no_wait = false;
  int limit_seconds = 60;
};

CLI::App* AddCommand(CLI::App& app, const std::string& name) {
  for (const CommandWords& c : kCommands) {
    if (c.command == name) return app.add_subcommand(name, c.help);
  }
  return app.add_subcommand(name);
}

void Declare(CLI::App& app, Arguments& args) {
  app.description(kDescription);
  app.set_version_flag("--version", absl::StrCat(BuildVersion(), " (", BuildCommit(), ")"));
  app.require_subcommand(1);
  app.fallthrough();  // `berthctl get pools -o json` as well as `berthctl -o json get pools`
  app.add_option("--server", args.connect.server, "HOST:PORT of a controller's --admin-listen")->capture_default_str();
  app.add_option("-o,--output", args.output, "Form of what is printed")
      ->check(CLI::IsMember(kOutputs))
      ->option_text("table|wide|json|yaml");
  app.add_option("--tls-ca", args.connect.tls.ca, "PEM file: the CA of the controller's certificate");
  app.add_option("--tls-cert", args.connect.tls.cert, "PEM file: the certificate to show");
  app.add_option("--tls-key", args.connect.tls.key, "PEM file: the key of that certificate");
  app.add_flag("--insecure", args.connect.tls.insecure, "Plaintext also to another machine");

  CLI::App* get = AddCommand(app, "get");
  get->add_option("KIND", args.kind, "pools, services, addresses or agents")->required()->check(CLI::IsMember(kKinds));
  get->add_option("NAME", args.name, "Only this one; a Service is NAMESPACE/NAME");
  CLI::App* explain = AddCommand(app, "explain");
  explain->add_option("KIND", args.kind, "service or address")
      ->required()
      ->check(CLI::IsMember({"service", "address"}));
  explain->add_option("NAME", args.name, "NAMESPACE/NAME of the Service, or the address")->required();
  AddCommand(app, "watch")->add_flag("--changes-only", args.changes_only, "Not what exists already");
  const auto waits = [&args](CLI::App* command) {
    command->add_flag("--no-wait", args.no_wait, "Only give the order");
    command->add_option("--timeout", args.limit_seconds, "Wait no longer than so many seconds")
        ->check(CLI::Range(1, 86400))
        ->capture_default_str();
    return command;
  };
  waits(AddCommand(app, "drain"))->add_option("NODE", args.node)->required();
  AddCommand(app, "undrain")->add_option("NODE", args.node)->required();
  CLI::App* move = waits(AddCommand(app, "move"));
  move->add_option("ADDRESS", args.name)->required();
  move->add_option("NODE", args.node)->required();
  waits(AddCommand(app, "rebalance"))->add_flag("--dry-run", args.dry_run, "Only say what would move");
  AddCommand(app, "doctor");
  AddCommand(app, "dump");
  AddCommand(app, "probe")->add_option("URL", args.url, "http://HOST:PORT/PATH")->required();
  AddCommand(app, "version")->add_flag("--client", args.client_only, "Only berthctl's own");
  AddCommand(app, "completion")
      ->add_option("SHELL", args.shell, "bash, zsh or fish")
      ->required()
      ->check(CLI::IsMember({"bash", "zsh", "fish"}));
}

Outcome Run(const std::string& command, const Arguments& args, const Console& console) {
  if (command == "completion") {
    console.out << CompletionScript(args.shell, kCommands);
    return Outcome::Done();
  }
  if (command == "probe") return Probe(console, args.url, kProbeTimeout);
  if (command == "version" && !IsForPrograms(console.output)) {
    console.out << "berthctl:   " << BuildVersion() << " (" << BuildCommit() << ")\n" << std::flush;
    if (args.client_only) return Outcome::Done();
  }
  Client client;
  if (Outcome outcome = client.Connect(args.connect); !outcome.ok()) return outcome;
  if (command == "get") return Get(client, console, kKinds.at(args.kind), args.name);
  if (command == "explain") return ExplainObject(client, console, args.kind, args.name);
  if (command == "watch") return WatchChanges(client, console, !args.changes_only);
  const Patience patience{!args.no_wait, std::chrono::seconds(args.limit_seconds)};
  if (command == "drain") return Drain(client, console, args.node, patience);
  if (command == "undrain") return Undrain(client, console, args.node);
  if (command == "move") return Move(client, console, args.name, args.node, patience);
  if (command == "rebalance") return Rebalance(client, console, args.dry_run, patience);
  if (command == "doctor") return Doctor(client, console);
  if (command == "dump") return Dump(client, console);
  return ServerVersion(client, console);
}

int Main(int argc, char** argv) {
  // gRPC's own lines would stand between ours; whoever wants them asks gRPC's way.
  if (std::getenv("GRPC_VERBOSITY") == nullptr) {
    gpr_set_log_function([](gpr_log_func_args*) {});
  }
  Arguments args;
  CLI::App app;
  app.name("berthctl");
  Declare(app, args);
  try {
    app.parse(argc, argv);
  } catch (const CLI::ParseError& error) {
    // Help and version are "errors" too, with code 0; CLI11's other codes are its own.
    return app.exit(error) == 0 ? static_cast<int>(ExitCode::kDone) : static_cast<int>(ExitCode::kBadUsage);
  }
  const Console console{std::cout, std::cerr, kOutputs.at(args.output)};
  Outcome outcome = Run(app.get_subcommands().front()->get_name(), args, console);
  if (!std::cout.flush() && outcome.ok()) outcome = Outcome::Refused("cannot write to standard output");
  if (!outcome.ok()) std::cerr << "berthctl: " << outcome.message << "\n";
  return static_cast<int>(outcome.code);
}

}  // namespace
}  // namespace berth::ctl

int main(int argc, char** argv) { return berth::ctl::Main(argc, argv); }
