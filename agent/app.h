// SPDX-License-Identifier: Apache-2.0
// agent/app.h -- berth-agent put together: real seams, the core's runner, metrics and probes. main.cc fills in options.
//
//   kernel (netlink, nftables) ─┐
//   LAN (libpcap)              ─┼─► AgentRunner ─► AgentCore ─► effects ─► kernel, LAN, controller, disk
//   controller (gRPC)          ─┤
//   disk (one file)            ─┘
#ifndef BERTH_AGENT_APP_H_
#define BERTH_AGENT_APP_H_

#include <optional>
#include <string>
#include <vector>

#include "common/base/host_port.h"
#include "common/tls/credentials.h"

namespace berth::agent {

struct AppOptions {
  std::vector<HostPort> controllers;
  std::string node_name;
  std::string vip_interface = "auto";
  bool layer2 = true;  // answer for addresses by ARP and NDP
  std::string state_dir;
  std::string token_file;  // empty: no token is shown
  HostPort http_listen;
  std::optional<HostPort> peer_listen;  // absent: no probes among agents
  TlsFlags tls;
};

// Runs the agent until it is told to end. Call with SIGTERM and SIGINT blocked (BlockSignals) and the log set up.
// Returns the exit code; what went wrong is logged.
int RunAgent(const AppOptions& options);

// --cleanup: takes everything off this node that an agent ever set, and returns the exit code.
int RunCleanup(const AppOptions& options);

}  // namespace berth::agent

#endif  // BERTH_AGENT_APP_H_
