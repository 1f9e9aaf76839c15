// SPDX-License-Identifier: Apache-2.0
// controller/kube/write/announced_writer.h -- keeps condition berth.io/Announced of Services as the leader wants it.
//
// Level-triggered, as PoolWriter is: what is wanted is compared with what the object last said. A Service whose
// addresses have always been announced has no such condition and costs no write. The patch is a strategic merge, which
// touches this one condition, so it needs no revision and disturbs no other write than by making it try again. Loop
// thread only.
#ifndef BERTH_CONTROLLER_KUBE_WRITE_ANNOUNCED_WRITER_H_
#define BERTH_CONTROLLER_KUBE_WRITE_ANNOUNCED_WRITER_H_

#include <functional>
#include <map>
#include <memory>
#include <nlohmann/json_fwd.hpp>
#include <optional>
#include <set>
#include <string>

#include "common/base/event_loop.h"
#include "controller/kube/client/api_client.h"
#include "controller/kube/write/write_window.h"
#include "controller/model/source.h"

namespace berth::kube {

class AnnouncedWriter {
 public:
  // `on_written` hears of the object as it is after each of our writes.
  AnnouncedWriter(EventLoop& loop, ApiClient& client, std::function<WriteWindow()> window,
                  std::function<void(const nlohmann::json&)> on_written);
  AnnouncedWriter(const AnnouncedWriter&) = delete;
  AnnouncedWriter& operator=(const AnnouncedWriter&) = delete;

  // What a Service's condition says as the API server has it now: the message of one that is False, else "".
  void Show(const model::ObjectId& service, const std::string& recorded);
  void Gone(const model::ObjectId& service);
  // All that shall say that they are not announced.
  void Want(model::UnannouncedServices services);
  // We lead no more: nothing is wanted.
  void Forget() { wanted_.reset(); }

 private:
  void Sync(const model::ObjectId& service);
  void OnAnswer(const model::ObjectId& service, const std::string& want, const absl::StatusOr<ApiResponse>& response);

  EventLoop& loop_;
  ApiClient& client_;
  const std::function<WriteWindow()> window_;
  const std::function<void(const nlohmann::json&)> on_written_;
  std::optional<model::UnannouncedServices> wanted_;
  std::map<model::ObjectId, std::string> recorded_;  // of those whose condition is False
  std::set<model::ObjectId> busy_;                   // a patch is on its way, or waits to be tried again
  bool failing_ = false;                             // as the log was told
  std::shared_ptr<bool> alive_ = std::make_shared<bool>(true);
};

}  // namespace berth::kube

#endif  // BERTH_CONTROLLER_KUBE_WRITE_ANNOUNCED_WRITER_H_
