// SPDX-License-Identifier: Apache-2.0
// agent/link/link_stream.h -- one dial of a controller, from the first packet to the last: reads and posts, queues and
// writes.
//
// gRPC calls the reactions on its own threads, the loop calls the rest; what both touch is under one mutex. A reaction
// never waits, and hands the stream itself to the loop when it ends: letting go of a channel in a reaction can hang.
#ifndef BERTH_AGENT_LINK_LINK_STREAM_H_
#define BERTH_AGENT_LINK_LINK_STREAM_H_

#include <grpcpp/grpcpp.h>
#include <grpcpp/support/byte_buffer.h>
#include <grpcpp/support/client_callback.h>

#include <condition_variable>
#include <cstddef>
#include <cstdint>
#include <deque>
#include <memory>
#include <mutex>
#include <string>

#include "absl/status/status.h"
#include "absl/time/time.h"
#include "common/sync/messages.h"

namespace berth::agent {

// Open until Set; outlives what it tells of.
class Latch {
 public:
  void Set();
  bool IsSet() const;
  void Wait();
  bool WaitFor(absl::Duration timeout);  // false when it was still open then

 private:
  mutable std::mutex mutex_;
  std::condition_variable changed_;
  bool set_ = false;
};

struct LinkLimits {
  std::size_t queued_messages = 1024;  // waiting to be written; over one of these two the dial is given up
  std::size_t queued_bytes = std::size_t{32} << 20;
  std::size_t backlog = 64;  // read but not handled by the loop; at this bound reading pauses
};

class LinkStream final : public grpc::ClientBidiReactor<grpc::ByteBuffer, grpc::ByteBuffer> {
 public:
  // Where the events of dial `dial` go. Called on gRPC's threads, in order for one stream.
  class Sink {
   public:
    virtual ~Sink() = default;
    virtual void Established(std::uint64_t dial) = 0;
    virtual void Received(std::uint64_t dial, sync::ControllerMessage message) = 0;
    // Once, last. `why` is never OK. The receiver lets go of `stream` on the loop thread.
    virtual void Ended(std::uint64_t dial, absl::Status why, std::shared_ptr<LinkStream> stream) = 0;
  };

  // Starts a dial. `token` is shown to the controller unless it is empty.
  static std::shared_ptr<LinkStream> Open(std::shared_ptr<Sink> sink, std::uint64_t dial, const LinkLimits& limits,
                                          const std::shared_ptr<grpc::Channel>& channel, const std::string& token);

  // Any thread, each of these.
  void Send(const sync::AgentMessage& message);
  void Handled();        // the loop has dealt with one message
  void EndAfterQueue();  // writes what is queued, then tells the controller that this was all
  void Cancel(
      const absl::Status& why);  // ends it now; `why` goes to Sink::Ended unless something else was wrong before
  // Set when gRPC is done with the stream and Sink::Ended has returned.
  const std::shared_ptr<Latch>& gone() const { return gone_; }

  void OnReadInitialMetadataDone(bool ok) override;
  void OnReadDone(bool ok) override;
  void OnWriteDone(bool ok) override;
  void OnDone(const grpc::Status& status) override;

 private:
  struct Waiting {
    grpc::ByteBuffer bytes;
    bool heartbeat = false;
  };

  LinkStream(std::shared_ptr<Sink> sink, std::uint64_t dial, const LinkLimits& limits);
  absl::Status Accept();  // judges and passes on what was read
  // With mutex_ held.
  void Fail(const absl::Status& why);
  void ResumeReading();
  void Advance();  // the next write, or the end of writing

  const std::shared_ptr<Sink> sink_;
  const std::uint64_t dial_;
  const LinkLimits limits_;
  const std::shared_ptr<Latch> gone_ = std::make_shared<Latch>();
  grpc::ClientContext context_;

  grpc::ByteBuffer incoming_;  // reactions to reads only, of which there is one at a time

  std::mutex mutex_;  // guards what follows
  std::shared_ptr<LinkStream> self_;
  absl::Status failure_;  // ours, told in place of what gRPC makes of it
  std::deque<Waiting> queue_;
  std::size_t queued_bytes_ = 0;
  grpc::ByteBuffer outgoing_;  // being written
  bool writing_ = false;
  bool last_ = false;       // nothing is queued any more
  bool last_told_ = false;  // and the controller was told so
  std::size_t backlog_ = 0;
  bool paused_ = false;  // no read under way, since the backlog is full
  bool deaf_ = false;    // what is read is not wanted any more
  bool over_ = false;    // the last read has failed: nothing may be started any more
};

}  // namespace berth::agent

#endif  // BERTH_AGENT_LINK_LINK_STREAM_H_
