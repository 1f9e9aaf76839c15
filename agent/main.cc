// SPDX-License-Identifier: Apache-2.0
// berth-agent: announces on one node what the controller assigns to it. Flags to options, nothing else.
#include <unistd.h>

#include <CLI/CLI.hpp>
#include <climits>
#include <csignal>
#include <cstdio>
#include <string>

#include "absl/status/status.h"
#include "absl/strings/str_cat.h"
#include "agent/app.h"
#include "common/base/build_info.h"
#include "common/base/heap.h"
#include "common/base/real_event_loop.h"
#include "common/base/status_macros.h"
#include "common/net/ip_addr.h"
#include "common/obs/log.h"
#include "common/tls/grpc_log.h"

namespace {

using berth::Annotate;

constexpr int kBadUsage = 2;

struct Flags {
  std::string controller, node_name, vip_interface = "auto", state_dir = "/var/lib/berth/agent", token_file;
  std::string peer_listen = ":7445", http_listen = ":8081", log_level = "info", log_format = "text";
  berth::TlsFlags tls;
  bool layer2 = true, cleanup = false;
};

void Declare(CLI::App& cli, Flags& flags) {
  cli.add_option("--controller", flags.controller,
                 "HOST:PORT[,HOST:PORT] of the controllers; a name stands for all its addresses");
  cli.add_option("--node-name", flags.node_name, "name of this node; the host's name by default")->envname("NODE_NAME");
  cli.add_option("--vip-interface", flags.vip_interface,
                 "where addresses are made local: auto (kube-ipvs0 when present, else our own berth0), none, or a name")
      ->capture_default_str();
  cli.add_flag("--enable-layer2", flags.layer2,
               "=false: this node answers for no address by ARP or NDP, and others hold them")
      ->default_str("true");
  cli.add_option("--state-dir", flags.state_dir, "folder that keeps the newest state")->capture_default_str();
  cli.add_option("--token-file", flags.token_file, "file with a service account token, read again for each connection");
  cli.add_option("--peer-listen", flags.peer_listen, "ADDR:PORT (UDP) of probes among agents; empty turns them off")
      ->capture_default_str();
  cli.add_option("--http-listen", flags.http_listen, "ADDR:PORT of /metrics, /healthz and /readyz")
      ->capture_default_str();
  cli.add_option("--tls-ca", flags.tls.ca, "PEM file with the authority of the controller's certificate");
  cli.add_option("--tls-cert", flags.tls.cert, "PEM file with this agent's certificate");
  cli.add_option("--tls-key", flags.tls.key, "PEM file with its key");
  cli.add_flag("--insecure", flags.tls.insecure, "plaintext to the controller, for a lab");
  cli.add_option("--log-level", flags.log_level, "debug, info, warn or error")->capture_default_str();
  cli.add_option("--log-format", flags.log_format, "text or json")->capture_default_str();
  cli.add_flag("--cleanup", flags.cleanup, "take away everything an agent ever set on this node, and end");
  cli.set_version_flag("--version",
                       absl::StrCat("berth-agent ", berth::BuildVersion(), " (", berth::BuildCommit(), ")"));
  cli.footer("Example: berth-agent --controller=berth-controller:7443 --tls-ca=/etc/berth/ca.crt");
}

absl::Status SetUpLog(const Flags& flags) {
  const absl::StatusOr<berth::LogLevel> level = berth::ParseLogLevel(flags.log_level);
  if (!level.ok()) return Annotate(level.status(), "--log-level");
  const absl::StatusOr<berth::LogFormat> format = berth::ParseLogFormat(flags.log_format);
  if (!format.ok()) return Annotate(format.status(), "--log-format");
  berth::LogInit(*level, *format);
  berth::RouteGrpcLog();
  return absl::OkStatus();
}

absl::Status CheckInterfaceRule(const std::string& rule) {
  if (rule.empty() || rule.size() >= 16 || rule.find_first_of("/ \t\n") != std::string::npos) {
    return absl::InvalidArgumentError(absl::StrCat(
        "--vip-interface: \"", rule, "\" must be auto, none or an interface's name of at most 15 characters"));
  }
  return absl::OkStatus();
}

absl::StatusOr<berth::agent::AppOptions> ToOptions(const Flags& flags) {
  berth::agent::AppOptions options;
  RETURN_IF_ERROR(CheckInterfaceRule(flags.vip_interface));
  if (flags.state_dir.empty()) return absl::InvalidArgumentError("--state-dir must not be empty");
  options.vip_interface = flags.vip_interface;
  options.layer2 = flags.layer2;
  options.state_dir = flags.state_dir;
  options.token_file = flags.token_file;
  options.tls = flags.tls;
  options.node_name = flags.node_name;
  if (options.node_name.empty()) {
    char name[HOST_NAME_MAX + 1] = {};
    if (gethostname(name, sizeof name - 1) == 0) options.node_name = name;
  }
  if (options.node_name.empty()) return absl::InvalidArgumentError("--node-name is needed: this host has no name");
  if (flags.cleanup) return options;

  if (flags.controller.empty()) {
    return absl::InvalidArgumentError("--controller is needed, such as --controller=berth-controller:7443");
  }
  absl::StatusOr<std::vector<berth::HostPort>> controllers = berth::ParseTargets(flags.controller);
  if (!controllers.ok()) return Annotate(controllers.status(), "--controller");
  options.controllers = *std::move(controllers);
  const absl::StatusOr<berth::HostPort> http = berth::ParseListenAddress(flags.http_listen);
  if (!http.ok()) return Annotate(http.status(), "--http-listen");
  options.http_listen = *http;
  if (!flags.peer_listen.empty()) {
    const absl::StatusOr<berth::HostPort> peer = berth::ParseListenAddress(flags.peer_listen);
    if (!peer.ok()) return Annotate(peer.status(), "--peer-listen");
    if (peer->port == 0 || (!peer->host.empty() && !berth::IpAddr::Parse(peer->host).ok())) {
      return absl::InvalidArgumentError("--peer-listen: other agents need an address and a port from 1 to 65535");
    }
    options.peer_listen = *peer;
  }
  return options;
}

int Fail(const absl::Status& status) {
  std::fprintf(stderr, "berth-agent: %s\n", std::string(status.message()).c_str());
  return kBadUsage;
}

}  // namespace

int main(int argc, char** argv) {
  berth::TuneHeap(1);
  if (const absl::Status blocked = berth::BlockSignals({SIGTERM, SIGINT}); !blocked.ok()) return Fail(blocked);
  Flags flags;
  CLI::App cli("Announces the addresses of LoadBalancer Services on this node.", "berth-agent");
  Declare(cli, flags);
  try {
    cli.parse(argc, argv);
  } catch (const CLI::ParseError& error) {
    return cli.exit(error) == 0 ? 0 : kBadUsage;
  }
  if (const absl::Status log = SetUpLog(flags); !log.ok()) return Fail(log);
  const absl::StatusOr<berth::agent::AppOptions> options = ToOptions(flags);
  if (!options.ok()) return Fail(options.status());
  return flags.cleanup ? berth::agent::RunCleanup(*options) : berth::agent::RunAgent(*options);
}
