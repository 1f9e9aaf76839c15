// SPDX-License-Identifier: Apache-2.0
// controller/kubernetes.h -- the parts of the process that a cluster of Kubernetes needs, put together: the client of
// its API server and the source made of it.
#ifndef BERTH_CONTROLLER_KUBERNETES_H_
#define BERTH_CONTROLLER_KUBERNETES_H_

#include <functional>
#include <memory>
#include <string>

#include "absl/status/statusor.h"
#include "common/base/event_loop.h"
#include "common/obs/metrics.h"
#include "controller/kube/client/curl_client.h"
#include "controller/kube/source/kube_source.h"

namespace berth {

struct KubernetesFlags {
  std::string kubeconfig;  // --kubeconfig; empty: the pod's service account
  std::string ns;          // --namespace, of the Lease and of what else is the controller's own
  bool leader_elect = false;
};

// Loop thread only.
class Kubernetes {
 public:
  // Errors: no credentials for the API server, naming the file or the variable. That it cannot be reached is none.
  static absl::StatusOr<std::unique_ptr<Kubernetes>> Create(EventLoop& loop, const KubernetesFlags& flags,
                                                            Metrics& metrics);

  kube::KubeSource& source() { return *source_; }
  const std::string& identity() const { return identity_; }

 private:
  explicit Kubernetes(Metrics& metrics);

  CounterFamily requests_, restarts_;
  std::string identity_;
  std::unique_ptr<kube::CurlClient> client_;
  std::unique_ptr<kube::KubeSource> source_;
};

}  // namespace berth

#endif  // BERTH_CONTROLLER_KUBERNETES_H_
