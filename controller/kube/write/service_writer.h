// SPDX-License-Identifier: Apache-2.0
// controller/kube/write/service_writer.h -- records decisions on Services: one conditional patch each, many in flight.
//
// A patch begins only while the Lease allows it, and is given up before anybody else can lead. Loop thread only.
#ifndef BERTH_CONTROLLER_KUBE_WRITE_SERVICE_WRITER_H_
#define BERTH_CONTROLLER_KUBE_WRITE_SERVICE_WRITER_H_

#include <cstddef>
#include <functional>
#include <memory>
#include <nlohmann/json_fwd.hpp>

#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "common/base/event_loop.h"
#include "controller/kube/client/api_client.h"
#include "controller/kube/objects/service_object.h"
#include "controller/kube/write/write_window.h"
#include "controller/model/source.h"

namespace berth::kube {

class ServiceWriter {
 public:
  // The object as the API server has it after the write, or what ApiClient says of a failure (Cancelled: not sent).
  using Done = std::function<void(absl::StatusOr<ServiceObject>)>;

  ServiceWriter(EventLoop& loop, ApiClient& client, std::function<WriteWindow()> window);
  ServiceWriter(const ServiceWriter&) = delete;
  ServiceWriter& operator=(const ServiceWriter&) = delete;

  // `done` comes in a turn of its own. `rest` is of the object at the write's revision.
  void Write(const model::ServiceWrite& write, const ServiceRest& rest, Done done);
  std::size_t in_flight() const { return in_flight_; }
  // Called whenever the last patch in flight has ended.
  std::function<void()> on_idle = [] {};

 private:
  EventLoop& loop_;
  ApiClient& client_;
  const std::function<WriteWindow()> window_;
  std::size_t in_flight_ = 0;
  std::shared_ptr<bool> alive_ = std::make_shared<bool>(true);
};

}  // namespace berth::kube

#endif  // BERTH_CONTROLLER_KUBE_WRITE_SERVICE_WRITER_H_
