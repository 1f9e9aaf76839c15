// SPDX-License-Identifier: Apache-2.0
#include "controller/kubernetes.h"

#include <unistd.h>

#include <array>
#include <utility>

#include "absl/random/random.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "common/base/status_macros.h"

namespace berth {
namespace {

// Of this process: a pod that restarts is another one.
std::string Identity() {
  std::array<char, 256> host{};
  if (gethostname(host.data(), host.size() - 1) != 0) host = {"controller"};
  absl::BitGen random;
  return absl::StrCat(host.data(), "_", absl::StrFormat("%08x", absl::Uniform<std::uint32_t>(random)));
}

}  // namespace

Kubernetes::Kubernetes(Metrics& metrics)
    : requests_(metrics.Counters("berth_kube_requests_total",
                                 "Requests to the API server that were answered, or not (code 0)",
                                 {"verb", "resource", "code"})),
      restarts_(metrics.Counters("berth_watch_restarts_total", "Watches that had to be begun anew", {"resource"})),
      identity_(Identity()) {}

absl::StatusOr<std::unique_ptr<Kubernetes>> Kubernetes::Create(EventLoop& loop, const KubernetesFlags& flags,
                                                               Metrics& metrics) {
  std::unique_ptr<Kubernetes> out(new Kubernetes(metrics));
  ASSIGN_OR_RETURN(kube::KubeConfig config, kube::FindKubeConfig(flags.kubeconfig));
  kube::CurlClient::Options client;
  client.on_request = [requests = out->requests_](const kube::ApiRequest& request, int code, absl::Duration) {
    requests.With({request.verb, request.resource, absl::StrCat(code)}).Inc();
  };
  ASSIGN_OR_RETURN(out->client_, kube::CurlClient::Create(loop, std::move(config), std::move(client)));
  kube::KubeSourceOptions source;
  source.lease.ns = flags.ns;
  source.lease.identity = out->identity_;
  source.lease.elect = flags.leader_elect;
  source.random = [random = std::make_shared<absl::BitGen>()] { return absl::Uniform(*random, 0.0, 1.0); };
  source.on_watch_restart = [restarts = out->restarts_](const std::string& resource) {
    restarts.With({resource}).Inc();
  };
  out->source_ = std::make_unique<kube::KubeSource>(loop, *out->client_, std::move(source));
  return out;
}

}  // namespace berth
