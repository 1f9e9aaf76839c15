// SPDX-License-Identifier: Apache-2.0
#include "controller/kubernetes.h"

#include <unistd.h>

#include <array>
#include <utility>

#include "absl/random/random.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "common/base/status_macros.h"
#include "common/obs/log.h"

namespace berth {
namespace {

// Of this process: a pod that restarts is another one.
std::string Identity() {
  std::array<char, 256> host{};
  if (gethostname(host.data(), host.size() - 1) != 0) host = {"controller"};
  absl::BitGen random;
  return absl::StrCat(host.data(), "_", absl::StrFormat("%08x", absl::Uniform<std::uint32_t>(random)));
}

void TellProblem(const char* what, const absl::Status& status) {
  if (status.ok()) return LogInfo("works again", {{"what", what}});
  LogWarn("does not work at present, it is tried again", {{"what", what}, {"error", std::string(status.message())}});
}

}  // namespace

Kubernetes::Kubernetes(EventLoop& loop, const KubernetesFlags& flags, TlsFlags tls, Metrics& metrics)
    : loop_(loop),
      flags_(flags),
      tls_(std::move(tls)),
      requests_(metrics.Counters("berth_kube_requests_total",
                                 "Requests to the API server by its answer's code; 0: no answer",
                                 {"verb", "resource", "code"})),
      restarts_(metrics.Counters("berth_watch_restarts_total", "Watches that had to be begun anew", {"resource"})),
      expiry_(metrics.Gauges("berth_certificate_expiry_timestamp_seconds",
                             "When a certificate that the controller made ends to be valid", {"name"})),
      identity_(Identity()) {}

absl::StatusOr<std::unique_ptr<Kubernetes>> Kubernetes::Create(EventLoop& loop, const KubernetesFlags& flags,
                                                               const TlsFlags& tls, Metrics& metrics) {
  std::unique_ptr<Kubernetes> out(new Kubernetes(loop, flags, tls, metrics));
  ASSIGN_OR_RETURN(kube::KubeConfig config, kube::FindKubeConfig(flags.kubeconfig));
  kube::CurlClient::Options client;
  client.on_request = [requests = out->requests_](const kube::ApiRequest& request, int code, absl::Duration) {
    requests.With({request.verb, request.resource, absl::StrCat(code)}).Inc();
  };
  ASSIGN_OR_RETURN(out->client_, kube::CurlClient::Create(loop, std::move(config), std::move(client)));
  if (!tls.insecure && tls.cert.empty()) out->MakeCertificates();
  out->MakeSource();
  return out;
}

void Kubernetes::MakeSource() {
  kube::KubeSourceOptions options;
  options.lease.ns = flags_.ns;
  options.lease.identity = identity_;
  options.lease.elect = flags_.leader_elect;
  options.random = [random = std::make_shared<absl::BitGen>()] { return absl::Uniform(*random, 0.0, 1.0); };
  options.on_watch_restart = [restarts = restarts_](const std::string& resource) { restarts.With({resource}).Inc(); };
  options.on_leadership = [this](bool leader) {
    if (certificates_ != nullptr) certificates_->SetLeader(leader);
  };
  source_ = std::make_unique<kube::KubeSource>(loop_, *client_, std::move(options));
}

void Kubernetes::MakeCertificates() {
  kube::CertificateKeeper::Options options;
  options.ns = flags_.ns;
  options.folder = flags_.tls_folder;
  options.policy.names = kube::ControllerNames(flags_.ns);
  options.publish.ns = flags_.ns;
  if (flags_.webhook) options.publish.validating = {"berth-controller"};
  if (flags_.webhook && flags_.manage_unclassed) options.publish.mutating = {"berth-controller"};
  kube::CertificateKeeper::Hooks hooks;
  hooks.on_ready = [this] {
    if (ready_) loop_.Post(std::exchange(ready_, nullptr));
  };
  hooks.on_renewed = [](const std::string& why) { LogInfo("made certificates", {{"because", why}}); };
  hooks.on_expiry = [expiry = expiry_](const std::string& name, absl::Time at) {
    expiry.With({name}).Set(absl::ToDoubleSeconds(at - absl::UnixEpoch()));
  };
  hooks.on_problem = [](const absl::Status& status) { TellProblem("Secret berth-tls", status); };
  hooks.on_publish_problem = [](const absl::Status& status) { TellProblem("telling whom to trust", status); };
  certificates_ = std::make_unique<kube::CertificateKeeper>(loop_, *client_, std::move(options), std::move(hooks));
  // No authority is asked of agents: they show a token.
  tls_.cert = certificates_->File("tls.crt");
  tls_.key = certificates_->File("tls.key");
}

void Kubernetes::Start(std::function<void()> ready) {
  if (certificates_ == nullptr) return loop_.Post(std::move(ready));
  ready_ = std::move(ready);
  certificates_->Start();
}

std::unique_ptr<push::AgentPort> Kubernetes::MakeGate(push::AgentPort& port) {
  if (tls_.insecure || !tls_.ca.empty()) return nullptr;
  kube::TokenGate::Options options;
  options.agent.ns = flags_.ns;
  kube::TokenGate::Hooks hooks;
  hooks.on_refused = [](const push::StreamPeer& peer, const std::string& node, const absl::Status& why) {
    LogWarn("an agent was refused",
            {{"address", peer.address}, {"node", node}, {"reason", std::string(why.message())}});
  };
  hooks.on_problem = [](const absl::Status& status) { TellProblem("asking who an agent is", status); };
  return std::make_unique<kube::TokenGate>(loop_, *client_, port, options, std::move(hooks));
}

}  // namespace berth
