// SPDX-License-Identifier: Apache-2.0
// controller/kube/write/service_writer.h -- records decisions on Services: one conditional patch each, many in flight.
// Loop thread only.
#ifndef BERTH_CONTROLLER_KUBE_WRITE_SERVICE_WRITER_H_
#define BERTH_CONTROLLER_KUBE_WRITE_SERVICE_WRITER_H_

#include <functional>
#include <string>

#include "absl/status/statusor.h"
#include "common/base/event_loop.h"
#include "controller/kube/objects/service_object.h"
#include "controller/kube/write/writes.h"
#include "controller/model/source.h"

namespace berth::kube {

class ServiceWriter {
 public:
  // The object as the API server has it after the write, or what ApiClient says of a failure (Cancelled: not sent).
  using Done = std::function<void(absl::StatusOr<ServiceObject>)>;

  // What is known of that Service at that revision; null when it has changed. Called when the patch is made.
  using Rest = std::function<const ServiceRest*(const model::ObjectId& service, const std::string& revision)>;

  ServiceWriter(EventLoop& loop, Writes& writes, Rest rest);
  ServiceWriter(const ServiceWriter&) = delete;
  ServiceWriter& operator=(const ServiceWriter&) = delete;

  // `done` comes in a turn of its own; with Aborted, and without a patch, when the Service is not at the write's
  // revision (any more).
  void Write(const model::ServiceWrite& write, Done done);

 private:
  EventLoop& loop_;
  Writes& writes_;
  const Rest rest_;
};

}  // namespace berth::kube

#endif  // BERTH_CONTROLLER_KUBE_WRITE_SERVICE_WRITER_H_
