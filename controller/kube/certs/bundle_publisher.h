// SPDX-License-Identifier: Apache-2.0
// controller/kube/certs/bundle_publisher.h -- tells others whom to trust: agents by ConfigMap berth-ca (key ca.crt),
// the API server by the caBundle of our webhook configurations.
//
//   BundlePublisher publisher(loop, client, options, on_problem);
//   publisher.Publish(material.ca_bundle);   // what there is to be told
//   publisher.SetLeader(true);               // only a leader tells
//
// Looks again every `again`, since others may write there too; writes only what differs. A webhook configuration that
// is not there is waited for a while, since an installation may make it after us, and then none of our business; a
// webhook of it that is called by URL is left alone. Loop thread only.
#ifndef BERTH_CONTROLLER_KUBE_CERTS_BUNDLE_PUBLISHER_H_
#define BERTH_CONTROLLER_KUBE_CERTS_BUNDLE_PUBLISHER_H_

#include <cstddef>
#include <functional>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "common/base/event_loop.h"
#include "controller/kube/client/api_client.h"

namespace berth::kube {

class BundlePublisher {
 public:
  struct Options {
    std::string ns;
    std::string config_map = "berth-ca";
    std::vector<std::string> validating = {};  // names of ValidatingWebhookConfigurations
    std::vector<std::string> mutating = {};    // and of MutatingWebhookConfigurations
    absl::Duration again = absl::Minutes(5);
    absl::Duration retry = absl::Seconds(5);  // after something failed
    absl::Duration soon = absl::Seconds(1);   // where a webhook configuration is to come yet,
    int rounds = 60;                          // so many times
  };
  // `on_problem` gets what went wrong when that changes, and OK once all is as it should be.
  BundlePublisher(EventLoop& loop, ApiClient& client, Options options,
                  std::function<void(const absl::Status&)> on_problem);
  ~BundlePublisher();
  BundlePublisher(const BundlePublisher&) = delete;
  BundlePublisher& operator=(const BundlePublisher&) = delete;

  void SetLeader(bool leader);
  void Publish(const std::string& bundle);  // PEM
  // Everybody has been told who could be, since we lead.
  bool published() const { return published_; }

 private:
  // Where the bundle is to be found.
  struct Place {
    std::string resource, collection, name;
    bool webhooks = false;
  };
  void Restart();
  void Stop();
  void Next();
  void OnRead(const absl::StatusOr<ApiResponse>& response);
  void Write(ApiRequest request);
  void OnWritten(const absl::Status& status);
  void PlaceDone(const absl::Status& status);
  const Place& place() const { return places_[at_]; }

  EventLoop& loop_;
  ApiClient& client_;
  const Options options_;
  const std::function<void(const absl::Status&)> on_problem_;
  std::vector<Place> places_;

  bool leader_ = false;
  bool published_ = false;
  int waited_ = 0;  // rounds in which a webhook configuration was absent
  bool absent_ = false;
  std::string bundle_;
  std::size_t at_ = 0;    // the place being seen to
  int conflicts_ = 0;     // at that place
  absl::Status trouble_;  // the first of this round
  absl::Status problem_;  // as told last
  RequestId request_ = 0;
  TimerId timer_ = 0;
};

}  // namespace berth::kube

#endif  // BERTH_CONTROLLER_KUBE_CERTS_BUNDLE_PUBLISHER_H_
