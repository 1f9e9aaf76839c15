// SPDX-License-Identifier: Apache-2.0
// controller/app.h -- puts the controller together: this file and app.cc are the map of the process.
#ifndef BERTH_CONTROLLER_APP_H_
#define BERTH_CONTROLLER_APP_H_

#include <string>

#include "absl/status/status.h"
#include "absl/time/time.h"
#include "common/base/host_port.h"
#include "common/obs/log.h"
#include "common/tls/credentials.h"
#include "controller/kubernetes.h"
#include "controller/plan/rules.h"

namespace berth {

// The flags, parsed (docs/flags.md).
struct ControllerFlags {
  std::string source_dir;  // of --source=files:DIR; empty: --source=kubernetes
  KubernetesFlags kubernetes;
  std::string uninstall;  // "release" or "keep": take Berth off the cluster, and end
  absl::Duration uninstall_timeout = absl::Seconds(90);
  std::string state_dir = "/var/lib/berth/controller";
  HostPort http_listen, agent_listen, admin_listen, webhook_listen;
  TlsFlags tls;
  plan::Rules rules;
  absl::Duration heartbeat = absl::Milliseconds(200);
  absl::Duration agent_timeout = absl::Milliseconds(600);
  LogLevel log_level = LogLevel::kInfo;
  LogFormat log_format = LogFormat::kText;
};

// Runs until SIGTERM or SIGINT, or until something essential fails. Signals must be blocked already (BlockSignals).
// Errors: why it could not start, naming the flag or the address.
absl::Status RunController(const ControllerFlags& flags);

// --uninstall. Errors: what could not be taken away in time.
absl::Status RunUninstall(const ControllerFlags& flags);

}  // namespace berth

#endif  // BERTH_CONTROLLER_APP_H_
