// SPDX-License-Identifier: Apache-2.0
// controller/kube/source/crd_check.h -- looks every five minutes, and every ten seconds while not, whether the CRDs in
// force have the fields that Berth knows: an upgrade over OpenELB may have left its older ones.
//
//   CrdCheck crds(loop, client, [](const std::string& crd, const absl::Status& status) { ... });
//   crds.Start();
//
// Loop thread only.
#ifndef BERTH_CONTROLLER_KUBE_SOURCE_CRD_CHECK_H_
#define BERTH_CONTROLLER_KUBE_SOURCE_CRD_CHECK_H_

#include <functional>
#include <map>
#include <memory>
#include <string>

#include "absl/status/status.h"
#include "common/base/event_loop.h"
#include "controller/kube/client/api_client.h"

namespace berth::kube {

class CrdCheck {
 public:
  // `on_answer` hears of a CRD ("eips.network.kubesphere.io") after each look: what it lacks, or why it cannot be read.
  // One that is not there is OK: whoever lists its objects says so.
  CrdCheck(EventLoop& loop, ApiClient& client,
           std::function<void(const std::string& crd, const absl::Status& status)> on_answer);
  ~CrdCheck() { Stop(); }
  CrdCheck(const CrdCheck&) = delete;
  CrdCheck& operator=(const CrdCheck&) = delete;

  void Start();
  void Stop();

 private:
  void Look(const std::string& resource);
  void OnAnswer(const std::string& resource, const absl::StatusOr<ApiResponse>& response);

  EventLoop& loop_;
  ApiClient& client_;
  const std::function<void(const std::string&, const absl::Status&)> on_answer_;
  std::map<std::string, TimerId> timers_;  // by resource
  std::shared_ptr<bool> alive_;            // null while not running
};

}  // namespace berth::kube

#endif  // BERTH_CONTROLLER_KUBE_SOURCE_CRD_CHECK_H_
