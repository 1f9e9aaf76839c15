// SPDX-License-Identifier: Apache-2.0
// controller/admin/watch_stream.h -- one caller of Watch: what it has still to be told, one write at a time.
//
// The loop pushes, gRPC's threads report what was written; what both touch is under one mutex. Nobody waits.
#ifndef BERTH_CONTROLLER_ADMIN_WATCH_STREAM_H_
#define BERTH_CONTROLLER_ADMIN_WATCH_STREAM_H_

#include <grpcpp/support/server_callback.h>

#include <functional>
#include <memory>
#include <mutex>
#include <optional>
#include <vector>

#include "berth/admin/v1/admin.pb.h"
#include "controller/admin/change_queue.h"
#include "controller/model/views.h"

namespace berth::admin {

class WatchStream final : public grpc::ServerWriteReactor<v1::Change> {
 public:
  // Keeps itself alive until gRPC is done with it, and calls `on_gone` then, once, on a gRPC thread.
  static std::shared_ptr<WatchStream> Open();
  void set_on_gone(std::function<void()> on_gone);  // before the stream is given to gRPC

  // Loop thread. `existing` is sent first, or only taken as known, then SYNCED.
  void Begin(const std::vector<model::ChangeView>& existing, bool send_existing);
  void Tell(const std::vector<model::ChangeView>& changes);
  // Any thread. Drops what is not written yet. Only the first counts.
  void End(const grpc::Status& why);

  void OnWriteDone(bool ok) override;
  void OnCancel() override;
  void OnDone() override;

 private:
  WatchStream() = default;
  void Advance();  // with mutex_ held: the next write, or Finish

  std::function<void()> on_gone_;
  std::mutex mutex_;  // guards what follows
  std::shared_ptr<WatchStream> self_;
  ChangeQueue queue_;
  v1::Change outgoing_;  // being written
  bool writing_ = false;
  std::optional<grpc::Status> ending_;  // what Finish says
  bool finished_ = false;               // Finish was called
};

}  // namespace berth::admin

#endif  // BERTH_CONTROLLER_ADMIN_WATCH_STREAM_H_
