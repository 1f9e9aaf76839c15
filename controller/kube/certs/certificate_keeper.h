// SPDX-License-Identifier: Apache-2.0
// controller/kube/certs/certificate_keeper.h -- the controller's own authority and serving certificate: made where
// there are none, renewed in time, the same in every replica.
//
//   CertificateKeeper keeper(loop, client, options, hooks);
//   keeper.Start();            // hooks.on_ready once the files are there
//   keeper.SetLeader(true);    // a leader also tells others whom to trust (bundle_publisher.h)
//
//   Secret berth-tls ──► files in a folder ──► gRPC, webhook server          whoever comes first makes it
//                 └────► ConfigMap berth-ca, webhook configurations          the leader
//
// Every replica reads the Secret each `look` and brings its files in step; one that finds it lacking (Renew) writes it
// on condition that nobody else has meanwhile. What is in the Secret and of no use is never served: the files change
// only once there is something better. While no API server answers all goes on with what there is. Loop thread only.
#ifndef BERTH_CONTROLLER_KUBE_CERTS_CERTIFICATE_KEEPER_H_
#define BERTH_CONTROLLER_KUBE_CERTS_CERTIFICATE_KEEPER_H_

#include <functional>
#include <memory>
#include <nlohmann/json_fwd.hpp>
#include <string>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "common/base/event_loop.h"
#include "controller/kube/certs/bundle_publisher.h"
#include "controller/kube/certs/tls_material.h"
#include "controller/kube/client/api_client.h"

namespace berth::kube {

class CertificateKeeper {
 public:
  struct Options {
    std::string ns;
    std::string secret = "berth-tls";
    std::string folder;  // of ca.crt, tls.crt and tls.key
    TlsPolicy policy;    // see ControllerNames
    absl::Duration look = absl::Seconds(20);
    absl::Duration retry = absl::Seconds(5);  // after something failed
    BundlePublisher::Options publish;
  };
  // Any may be empty.
  struct Hooks {
    std::function<void()> on_ready;                                             // once: the first files are there
    std::function<void(const std::string& why)> on_renewed;                     // by us
    std::function<void(const std::string& name, absl::Time expiry)> on_expiry;  // of "ca" and "serving"; wall time
    std::function<void(const absl::Status&)> on_problem;  // what cannot be done, when that changes; OK when it can
    std::function<void(const absl::Status&)> on_publish_problem;  // likewise of telling others
  };
  CertificateKeeper(EventLoop& loop, ApiClient& client, Options options, Hooks hooks);
  ~CertificateKeeper();
  CertificateKeeper(const CertificateKeeper&) = delete;
  CertificateKeeper& operator=(const CertificateKeeper&) = delete;

  void Start();
  void SetLeader(bool leader) { publisher_.SetLeader(leader); }
  bool published() const { return publisher_.published(); }
  std::string File(const std::string& name) const { return options_.folder + "/" + name; }

 private:
  void LookAfter(absl::Duration delay);
  void Look();
  void OnRead(const absl::StatusOr<ApiResponse>& response);
  void Write(bool exists, nlohmann::json object, Renewal renewal);
  void OnWritten(const Renewal& renewal, const absl::Status& status);
  void Adopt(const TlsMaterial& material);
  void Problem(const absl::Status& status);
  std::string Collection() const;

  EventLoop& loop_;
  ApiClient& client_;
  const Options options_;
  const Hooks hooks_;
  BundlePublisher publisher_;
  TlsMaterial served_;  // in the files
  bool ready_ = false;
  absl::Status problem_;
  RequestId request_ = 0;
  TimerId timer_ = 0;
};

}  // namespace berth::kube

#endif  // BERTH_CONTROLLER_KUBE_CERTS_CERTIFICATE_KEEPER_H_
