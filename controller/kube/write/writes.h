// SPDX-License-Identifier: Apache-2.0
// controller/kube/write/writes.h -- the way of all that a leader writes to objects: within its Lease, counted, and for
// each Service one after the other.
//
//   Writes writes(client, [&] { return WriteWindow{...}; });
//   writes.Do(request, done);
//   writes.DoInTurn(service, [&] { return std::optional(request); }, done);
//
// A write begins only while the Lease allows it, and is given up before anybody else can lead. Two patches of one
// Service at a time would make the later one fail, or worse, both succeed upon different states. Loop thread only.
#ifndef BERTH_CONTROLLER_KUBE_WRITE_WRITES_H_
#define BERTH_CONTROLLER_KUBE_WRITE_WRITES_H_

#include <cstddef>
#include <deque>
#include <functional>
#include <map>
#include <memory>
#include <optional>

#include "controller/kube/client/api_client.h"
#include "controller/kube/write/write_window.h"
#include "controller/model/objects.h"

namespace berth::kube {

inline constexpr absl::Duration kWriteRetry = absl::Seconds(1);  // from a write that failed to the next try

class Writes {
 public:
  using Make = std::function<std::optional<ApiRequest>()>;

  Writes(ApiClient& client, std::function<WriteWindow()> window);
  Writes(const Writes&) = delete;
  Writes& operator=(const Writes&) = delete;

  // `done` as of ApiClient; Cancelled when it was not sent.
  void Do(ApiRequest request, ApiClient::Done done);
  // Once no other write of that Service is under way, perhaps at once: `make` then says what to send, or nothing when
  // there is nothing to do any more; in that case `done` is not called.
  void DoInTurn(const model::ObjectId& service, Make make, ApiClient::Done done);

  std::size_t in_flight() const { return in_flight_; }
  // Called whenever the last write in flight has ended, and no other follows it.
  std::function<void()> on_idle = [] {};

 private:
  struct Turn {
    Make make;
    ApiClient::Done done;
  };
  void BeginTurn(const model::ObjectId& service);
  bool EndTurn(const model::ObjectId& service);  // whether others wait

  ApiClient& client_;
  const std::function<WriteWindow()> window_;
  std::size_t in_flight_ = 0;
  std::map<model::ObjectId, std::deque<Turn>> turns_;  // the first of each is under way
  std::shared_ptr<bool> alive_ = std::make_shared<bool>(true);
};

}  // namespace berth::kube

#endif  // BERTH_CONTROLLER_KUBE_WRITE_WRITES_H_
