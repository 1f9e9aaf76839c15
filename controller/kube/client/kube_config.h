// SPDX-License-Identifier: Apache-2.0
// controller/kube/client/kube_config.h -- where the API server is and who we are to it: a pod's own, or a kubeconfig's.
// Pure.
//
//   ASSIGN_OR_RETURN(KubeConfig config, ParseKubeconfig(text, "/etc/berth", "/etc/berth/kubeconfig"));
//   ASSIGN_OR_RETURN(KubeConfig config, InClusterConfig(getenv("KUBERNETES_SERVICE_HOST"), ...));
//
// Names files, and does not read them: credentials.h does.
#ifndef BERTH_CONTROLLER_KUBE_CLIENT_KUBE_CONFIG_H_
#define BERTH_CONTROLLER_KUBE_CLIENT_KUBE_CONFIG_H_

#include <optional>
#include <string>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "common/net/ip_addr.h"

namespace berth::kube {

// Something that is given in place, or by the name of a file; neither: not given.
struct TextOrFile {
  std::string text;
  std::string file;  // absolute, or relative to the working folder; counts only without `text`
  bool given() const { return !text.empty() || !file.empty(); }
};

struct KubeConfig {
  std::string server;           // "https://10.96.0.1:443/prefix", no slash at its end
  TextOrFile ca;                // PEM; not given: the system's authorities
  bool insecure = false;        // the server's certificate is not looked at
  std::string tls_server_name;  // what the certificate is checked for; empty: the host of `server`
  TextOrFile certificate, key;  // PEM, both or none
  TextOrFile token;             // white space around it does not count
  std::string ns = "default";   // of the context, or of the pod unless `ns_file` is to say it
  std::string ns_file;
};

inline constexpr char kServiceAccountFolder[] = "/var/run/secrets/kubernetes.io/serviceaccount";

// Of a pod: `host` and `port` are KUBERNETES_SERVICE_HOST and KUBERNETES_SERVICE_PORT, `folder` has token, ca.crt and
// namespace. Errors: FailedPrecondition when one of them is empty, saying what to do.
absl::StatusOr<KubeConfig> InClusterConfig(absl::string_view host, absl::string_view port,
                                           const std::string& folder = kServiceAccountFolder);

// The cluster's first family, which the API server gives to Services that name none, by `host`, as for InClusterConfig:
// the address of Service "kubernetes". Nothing when that is none, as outside of a pod.
std::optional<Family> FirstFamily(absl::string_view host);

// A kubeconfig, YAML or JSON. Paths in it are relative to `folder`; `file` begins messages. `context` is the one to
// use; empty: its current-context. Errors: InvalidArgument naming file, line and field; NotFound for a context, cluster
// or user that is named and not there (the message has those that are); Unimplemented for users who get their
// credentials by a plugin (exec, auth-provider), by a password or as somebody else.
absl::StatusOr<KubeConfig> ParseKubeconfig(absl::string_view text, const std::string& folder, absl::string_view file,
                                           absl::string_view context = "");

}  // namespace berth::kube

#endif  // BERTH_CONTROLLER_KUBE_CLIENT_KUBE_CONFIG_H_
