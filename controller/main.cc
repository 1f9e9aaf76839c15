// SPDX-License-Identifier: Apache-2.0
// berth-controller: flags in, exit code out. Exit codes: 0 ended cleanly, 1 failed, 2 bad flags.
#include <CLI/CLI.hpp>
#include <csignal>
#include <cstdlib>
#include <iostream>
#include <string>
#include <vector>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/strip.h"
#include "common/base/build_info.h"
#include "common/base/duration_flag.h"
#include "common/base/heap.h"
#include "common/base/real_event_loop.h"
#include "common/base/status_macros.h"
#include "controller/app.h"

namespace berth {
namespace {

struct Raw {  // as typed
  std::string source = "kubernetes", state_dir = "/var/lib/berth/controller";
  std::string http = ":8080", agent = ":7443", admin = "127.0.0.1:7444", webhook = ":9443";
  std::string heartbeat = "200ms", agent_timeout = "600ms", uninstall_timeout = "1m30s";
  std::string sharing = "namespace", binding = "enforced";
  std::string log_level = "info", log_format = "text";
};

template <typename T>
absl::Status Take(T& into, absl::StatusOr<T> parsed, absl::string_view flag) {
  if (!parsed.ok()) return Annotate(parsed.status(), flag);
  into = *std::move(parsed);
  return absl::OkStatus();
}

std::string FromEnvironment(const char* name, const char* otherwise) {
  const char* value = std::getenv(name);
  return value != nullptr && *value != '\0' ? value : otherwise;
}

absl::Status Parse(const Raw& raw, ControllerFlags& flags) {
  absl::string_view dir = raw.source;
  if (raw.source == "kubernetes") {
    dir = "";
  } else if (!absl::ConsumePrefix(&dir, "files:") || dir.empty()) {
    return absl::InvalidArgumentError(
        absl::StrCat("--source: \"", raw.source, "\" is neither kubernetes nor files:DIR"));
  }
  flags.source_dir = std::string(dir);
  if (flags.kubernetes.ns.empty()) flags.kubernetes.ns = FromEnvironment("POD_NAMESPACE", "openelb-system");
  flags.state_dir = raw.state_dir;
  RETURN_IF_ERROR(Take(flags.http_listen, ParseListenAddress(raw.http), "--http-listen"));
  RETURN_IF_ERROR(Take(flags.agent_listen, ParseListenAddress(raw.agent), "--agent-listen"));
  RETURN_IF_ERROR(Take(flags.admin_listen, ParseListenAddress(raw.admin), "--admin-listen"));
  RETURN_IF_ERROR(Take(flags.heartbeat, ParseDuration(raw.heartbeat), "--heartbeat"));
  RETURN_IF_ERROR(Take(flags.agent_timeout, ParseDuration(raw.agent_timeout), "--agent-timeout"));
  RETURN_IF_ERROR(Take(flags.uninstall_timeout, ParseDuration(raw.uninstall_timeout), "--uninstall-timeout"));
  if (raw.webhook != "off" && flags.source_dir.empty()) {
    RETURN_IF_ERROR(Take(flags.webhook_listen, ParseListenAddress(raw.webhook), "--webhook-listen"));
    flags.kubernetes.webhook = true;
  }
  flags.kubernetes.tls_folder = flags.state_dir + "/tls";
  flags.kubernetes.manage_unclassed = flags.rules.manage_unclassed;
  if (!flags.uninstall.empty() && !flags.source_dir.empty()) {
    return absl::InvalidArgumentError("--uninstall: is for --source=kubernetes only");
  }
  RETURN_IF_ERROR(Take(flags.log_level, ParseLogLevel(raw.log_level), "--log-level"));
  RETURN_IF_ERROR(Take(flags.log_format, ParseLogFormat(raw.log_format), "--log-format"));
  if (flags.heartbeat < absl::Milliseconds(10)) return absl::InvalidArgumentError("--heartbeat: at least 10ms");
  if (flags.uninstall_timeout < absl::Seconds(3)) return absl::InvalidArgumentError("--uninstall-timeout: at least 3s");
  if (flags.agent_timeout < 2 * flags.heartbeat) {
    return absl::InvalidArgumentError(
        "--agent-timeout: at least twice --heartbeat, else one late heartbeat moves addresses");
  }
  flags.rules.open_sharing = raw.sharing == "open";
  flags.rules.advisory_namespace_binding = raw.binding == "advisory";
  return absl::OkStatus();
}

int Main(int argc, char** argv) {
  ControllerFlags flags;
  Raw raw;
  CLI::App app(
      "Berth's controller: gives Services of type LoadBalancer their addresses and tells the agents of the nodes "
      "which to announce.\nExample: berth-controller --source=files:examples/layer2 --insecure",
      "berth-controller");
  app.set_version_flag("--version", absl::StrCat("berth-controller ", BuildVersion(), " (", BuildCommit(), ")"));
  app.add_option("--source", raw.source, "kubernetes, or files:DIR, a folder of manifests")->capture_default_str();
  app.add_option("--kubeconfig", flags.kubernetes.kubeconfig, "of the API server; default: the pod's service account");
  app.add_option("--namespace", flags.kubernetes.ns, "of the Lease; default: $POD_NAMESPACE, else openelb-system");
  app.add_flag("--leader-elect", flags.kubernetes.leader_elect, "one of several controllers leads");
  app.add_option("--state-dir", raw.state_dir, "where allocations and the term survive")->capture_default_str();
  app.add_option("--http-listen", raw.http, "ADDR:PORT of /metrics, /healthz and /readyz")->capture_default_str();
  app.add_option("--agent-listen", raw.agent, "ADDR:PORT of gRPC for agents")->capture_default_str();
  app.add_option("--admin-listen", raw.admin, "ADDR:PORT of the gRPC admin interface")->capture_default_str();
  app.add_option("--webhook-listen", raw.webhook, "ADDR:PORT of the admission webhook; empty or off: none")
      ->capture_default_str();
  app.add_option("--uninstall", flags.uninstall,
                 "take Berth off the cluster and end: release the Services' addresses, or keep them")
      ->check(CLI::IsMember({"release", "keep"}));
  app.add_option("--uninstall-timeout", raw.uninstall_timeout,
                 "when --uninstall has failed; a third of it at most is for the agents")
      ->capture_default_str();
  app.add_option("--tls-cert", flags.tls.cert, "certificate chain for gRPC, PEM");
  app.add_option("--tls-key", flags.tls.key, "its key, PEM");
  app.add_option("--tls-ca", flags.tls.ca, "authorities that agents' certificates must lead to, PEM");
  app.add_flag("--insecure", flags.tls.insecure, "plaintext gRPC, for a lab");
  app.add_flag("--manage-unclassed", flags.rules.manage_unclassed, "serve Services without class and annotation too");
  app.add_option("--load-balancer-class", flags.rules.load_balancer_class, "spec.loadBalancerClass that is ours")
      ->capture_default_str();
  app.add_option("--sharing", raw.sharing, "who may share an address: namespace or open")
      ->check(CLI::IsMember({"namespace", "open"}))
      ->capture_default_str();
  app.add_option("--namespace-binding", raw.binding, "whether an Eip's namespaces bind: enforced or advisory")
      ->check(CLI::IsMember({"enforced", "advisory"}))
      ->capture_default_str();
  app.add_flag("--ignore-exclude-label", flags.rules.ignore_exclude_label,
               "use nodes labelled node.kubernetes.io/exclude-from-external-load-balancers too");
  app.add_option("--heartbeat", raw.heartbeat, "how often agents report")->capture_default_str();
  app.add_option("--agent-timeout", raw.agent_timeout, "silence after which an agent is lost")->capture_default_str();
  app.add_option("--log-level", raw.log_level, "debug, info, warn or error")->capture_default_str();
  app.add_option("--log-format", raw.log_format, "text or json")->capture_default_str();
  // CLI11 takes the flag that follows "--flag=" for its value.
  std::vector<std::string> given;
  for (int i = argc - 1; i > 0; --i) {
    given.push_back(absl::string_view(argv[i]) == "--webhook-listen=" ? "--webhook-listen=off" : argv[i]);
  }
  try {
    app.parse(given);
  } catch (const CLI::ParseError& e) {
    return app.exit(e) == 0 ? 0 : 2;
  }
  if (absl::Status bad = Parse(raw, flags); !bad.ok()) {
    std::cerr << "berth-controller: " << bad.message() << "\n";
    return 2;
  }
  absl::Status status = BlockSignals({SIGTERM, SIGINT});
  if (status.ok()) status = flags.uninstall.empty() ? RunController(flags) : RunUninstall(flags);
  if (status.ok()) return 0;
  std::cerr << "berth-controller: " << status.message() << "\n";
  return 1;
}

}  // namespace
}  // namespace berth

int main(int argc, char** argv) {
  berth::TuneHeap(2);
  return berth::Main(argc, argv);
}
