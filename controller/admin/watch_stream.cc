// SPDX-License-Identifier: Apache-2.0
#include "controller/admin/watch_stream.h"

#include <utility>

namespace berth::admin {

std::shared_ptr<WatchStream> WatchStream::Open() {
  std::shared_ptr<WatchStream> stream(new WatchStream());
  stream->self_ = stream;
  return stream;
}

void WatchStream::set_on_gone(std::function<void()> on_gone) { on_gone_ = std::move(on_gone); }

void WatchStream::Begin(const std::vector<model::ChangeView>& existing, bool send_existing) {
  const std::lock_guard lock(mutex_);
  for (const model::ChangeView& view : existing) {
    if (send_existing) {
      queue_.Push(view);
    } else {
      queue_.Know(view);
    }
  }
  queue_.PushSynced();
  Advance();
}

void WatchStream::Tell(const std::vector<model::ChangeView>& changes) {
  const std::lock_guard lock(mutex_);
  if (ending_) return;
  for (const model::ChangeView& view : changes) queue_.Push(view);
  Advance();
}

void WatchStream::End(const grpc::Status& why) {
  const std::lock_guard lock(mutex_);
  if (ending_) return;
  ending_ = why;
  Advance();
}

void WatchStream::OnWriteDone(bool ok) {
  const std::lock_guard lock(mutex_);
  writing_ = false;
  if (!ok && !ending_) ending_ = grpc::Status::CANCELLED;
  Advance();
}

void WatchStream::OnCancel() { End(grpc::Status::CANCELLED); }

void WatchStream::OnDone() {
  if (on_gone_) on_gone_();
  const std::shared_ptr<WatchStream> self = [this] {
    const std::lock_guard lock(mutex_);
    return std::move(self_);
  }();
}

void WatchStream::Advance() {
  if (writing_ || finished_) return;
  if (ending_) {
    finished_ = true;
    Finish(*ending_);
    return;
  }
  std::optional<v1::Change> next = queue_.Pop();
  if (!next) return;
  outgoing_ = *std::move(next);
  writing_ = true;
  StartWrite(&outgoing_);
}

}  // namespace berth::admin
