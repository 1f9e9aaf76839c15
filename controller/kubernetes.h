// SPDX-License-Identifier: Apache-2.0
// controller/kubernetes.h -- the parts of the process that a cluster of Kubernetes needs, put together: the client of
// its API server, the source made of it, certificates, and who may speak as an agent.
#ifndef BERTH_CONTROLLER_KUBERNETES_H_
#define BERTH_CONTROLLER_KUBERNETES_H_

#include <functional>
#include <memory>
#include <optional>
#include <string>

#include "absl/status/statusor.h"
#include "common/base/event_loop.h"
#include "common/obs/metrics.h"
#include "common/tls/credentials.h"
#include "controller/kube/certs/certificate_keeper.h"
#include "controller/kube/client/curl_client.h"
#include "controller/kube/identity/token_gate.h"
#include "controller/kube/source/kube_source.h"

namespace berth {

struct KubernetesFlags {
  std::string kubeconfig;  // --kubeconfig; empty: the pod's service account
  std::string ns;          // --namespace, of the Lease and of what else is the controller's own
  bool leader_elect = false;
  std::string tls_folder;         // for certificates to serve with; made where absent
  bool webhook = false;           // its configurations are kept in step with our certificates
  bool manage_unclassed = false;  // there is a mutating one, too
};

// Loop thread only.
class Kubernetes {
 public:
  // `tls`: certificates that are given count, and with none and no --insecure the controller makes its own. Errors: no
  // credentials for the API server, naming the file or the variable. That it cannot be reached is none.
  static absl::StatusOr<std::unique_ptr<Kubernetes>> Create(EventLoop& loop, const KubernetesFlags& flags,
                                                            const TlsFlags& tls, Metrics& metrics);
  // Calls `ready` once there are certificates to serve with, at the earliest in a later turn.
  void Start(std::function<void()> ready);
  // To serve agents with; call it once ready.
  const TlsFlags& tls() const { return tls_; }
  kube::ApiClient& client() { return *client_; }
  kube::KubeSource& source() { return *source_; }
  // Whether the API server and agents know by now what to trust, as far as a leader of us has to tell them.
  bool published() const { return certificates_ == nullptr || certificates_->published(); }
  const std::string& identity() const { return identity_; }
  // What stands between `port`, which is borrowed, and whoever listens to agents: it lets through only those with a
  // good token. Null where none is asked for: --insecure, or agents with certificates.
  std::unique_ptr<push::AgentPort> MakeGate(push::AgentPort& port);

 private:
  Kubernetes(EventLoop& loop, const KubernetesFlags& flags, TlsFlags tls, Metrics& metrics);
  void MakeSource();
  void MakeCertificates();

  EventLoop& loop_;
  const KubernetesFlags flags_;
  TlsFlags tls_;
  CounterFamily requests_, restarts_;
  GaugeFamily expiry_;
  const std::string identity_;
  std::unique_ptr<kube::CurlClient> client_;
  std::unique_ptr<kube::KubeSource> source_;
  std::unique_ptr<kube::CertificateKeeper> certificates_;
  std::function<void()> ready_;
};

}  // namespace berth

#endif  // BERTH_CONTROLLER_KUBERNETES_H_
