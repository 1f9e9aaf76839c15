// SPDX-License-Identifier: Apache-2.0
// controller/kube/write/event_recorder.h -- Events for people, in the API server: `kubectl describe`, `kubectl get
// events`.
//
// One object for each new text, whose count grows when the text comes again; at most 25 new ones in a burst for one
// object, then one in 30 s, so that what goes wrong again and again makes no flood. Best effort: an Event is tried
// again for a minute while the API server cannot be reached, and given up when it will not have it. Loop thread only.
#ifndef BERTH_CONTROLLER_KUBE_WRITE_EVENT_RECORDER_H_
#define BERTH_CONTROLLER_KUBE_WRITE_EVENT_RECORDER_H_

#include <cstddef>
#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <string>
#include <tuple>

#include "absl/status/status.h"
#include "absl/time/time.h"
#include "common/base/event_loop.h"
#include "controller/kube/client/api_client.h"
#include "controller/model/source.h"

namespace berth::kube {

class EventRecorder {
 public:
  // `identity` is this process, as Events name it. `on_problem` hears that we are not allowed to, and OK once we are.
  EventRecorder(
      EventLoop& loop, ApiClient& client, std::string identity,
      std::function<void(const absl::Status&)> on_problem = [](const absl::Status&) {});
  ~EventRecorder();
  EventRecorder(const EventRecorder&) = delete;
  EventRecorder& operator=(const EventRecorder&) = delete;

  // `uid` is the object's: without it `kubectl describe` does not find the Event.
  void Record(const model::EventRecord& event, const std::string& uid);

 private:
  using Key = std::tuple<model::EventRecord::Kind, model::ObjectId, std::string, std::string, std::string>;
  // An Event in the API server, or on its way there.
  struct Entry {
    model::EventRecord event;
    std::string uid, name;
    int count = 1;
    int told = 0;  // the count that the API server has
    int tries = 0;
    bool busy = false;
    absl::Time first, last;  // wall time
    absl::Time used;         // loop time
  };
  struct Bucket {
    double tokens = 0;
    absl::Time at;
  };

  bool Allow(const model::EventRecord& event);
  void Forget();
  void Send(const Key& key);
  void OnSent(const Key& key, int count, const absl::StatusOr<ApiResponse>& response);

  EventLoop& loop_;
  ApiClient& client_;
  const std::string identity_;
  const std::function<void(const absl::Status&)> on_problem_;
  std::map<Key, Entry> entries_;
  std::map<std::pair<model::EventRecord::Kind, model::ObjectId>, Bucket> buckets_;
  std::uint64_t last_ = 0;
  std::shared_ptr<bool> alive_ = std::make_shared<bool>(true);
};

}  // namespace berth::kube

#endif  // BERTH_CONTROLLER_KUBE_WRITE_EVENT_RECORDER_H_
