// SPDX-License-Identifier: Apache-2.0
// controller/kube/write/announced_writer.h -- keeps condition berth.io/Announced of Services as the leader wants it.
//
// Level-triggered, as PoolWriter is: what is wanted is compared with what the object last said. A Service whose
// addresses have always been announced has no such condition and costs no write. The patch is a strategic merge, which
// touches this one condition, so it needs no revision; the uid keeps it off another Service of the same name, and it
// waits for its turn among the writes of the Service. Loop thread only.
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
#include "controller/kube/write/writes.h"
#include "controller/model/source.h"

namespace berth::kube {

class AnnouncedWriter {
 public:
  // `on_written` hears of the object as it is after each of our writes.
  AnnouncedWriter(EventLoop& loop, Writes& writes, std::function<void(const nlohmann::json&)> on_written);
  AnnouncedWriter(const AnnouncedWriter&) = delete;
  AnnouncedWriter& operator=(const AnnouncedWriter&) = delete;

  // What a Service's condition says as the API server has it now: the message of one that is False, else "". `uid` is
  // the Service's.
  void Show(const model::ObjectId& service, const std::string& uid, const std::string& recorded);
  void Gone(const model::ObjectId& service);
  // All that shall say that they are not announced.
  void Want(model::UnannouncedServices services);
  // We lead no more: nothing is wanted.
  void Forget() { wanted_.reset(); }

 private:
  std::string WantOf(const model::ObjectId& service) const;  // its message, "" for none
  bool Differs(const model::ObjectId& service) const;        // and can be put right
  ApiRequest Patch(const model::ObjectId& service, const std::string& want) const;
  void Sync(const model::ObjectId& service);
  void OnAnswer(const model::ObjectId& service, const std::string& want, const absl::StatusOr<ApiResponse>& response);

  EventLoop& loop_;
  Writes& writes_;
  const std::function<void(const nlohmann::json&)> on_written_;
  std::optional<model::UnannouncedServices> wanted_;
  std::map<model::ObjectId, std::string> uids_;      // of all
  std::map<model::ObjectId, std::string> recorded_;  // of those whose condition is False
  std::set<model::ObjectId> busy_;                   // a patch is on its way, or waits for its turn or another try
  bool failing_ = false;                             // as the log was told
  std::shared_ptr<bool> alive_ = std::make_shared<bool>(true);
};

}  // namespace berth::kube

#endif  // BERTH_CONTROLLER_KUBE_WRITE_ANNOUNCED_WRITER_H_
