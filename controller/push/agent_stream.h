// SPDX-License-Identifier: Apache-2.0
// controller/push/agent_stream.h -- one agent's gRPC stream: reads, judges and posts; queues and writes.
//
// gRPC calls the reactions on its own threads, the loop calls the rest; what both touch is under one mutex. A reaction
// never waits. Bytes are parsed here and not by gRPC, so that what is wrong with a message reaches the one who sent it.
#ifndef BERTH_CONTROLLER_PUSH_AGENT_STREAM_H_
#define BERTH_CONTROLLER_PUSH_AGENT_STREAM_H_

#include <grpcpp/grpcpp.h>
#include <grpcpp/support/byte_buffer.h>
#include <grpcpp/support/server_callback.h>

#include <cstddef>
#include <deque>
#include <memory>
#include <mutex>
#include <optional>
#include <string>

#include "absl/status/status.h"
#include "common/sync/messages.h"
#include "controller/push/agent_port.h"

namespace berth::push {

struct StreamLimits {
  std::size_t queued_messages = 1024;  // waiting to be written; over one of these two the stream is ended
  std::size_t queued_bytes = std::size_t{64} << 20;
  std::size_t backlog = 64;  // read but not handled by the loop; at this bound reading pauses
};

class AgentStream final : public grpc::ServerBidiReactor<grpc::ByteBuffer, grpc::ByteBuffer> {
 public:
  // Where a stream's events go. Called on gRPC's threads, in order for one stream.
  class Sink {
   public:
    virtual ~Sink() = default;
    virtual void Opened(std::shared_ptr<AgentStream> stream, StreamPeer peer) = 0;
    virtual void Received(StreamId stream, sync::AgentMessage message) = 0;
    virtual void Ended(StreamId stream, std::string reason) = 0;  // once
    virtual void Gone() = 0;                                      // gRPC has let go of the stream; once, last
  };

  // Starts a stream that keeps itself alive until gRPC is done with it.
  static AgentStream* Open(std::shared_ptr<Sink> sink, StreamId id, const StreamLimits& limits,
                           grpc::CallbackServerContext* context);

  StreamId id() const { return id_; }

  // Any thread, each of these.
  void Send(const sync::ControllerMessage& message);
  void Handled();                                 // the loop has dealt with one message
  void CloseAfterQueue(const absl::Status& why);  // writes what is queued first
  void CloseNow(const absl::Status& why);         // drops what is queued
  void Cancel();                                  // breaks a stream that lingers, without a word

  void OnReadDone(bool ok) override;
  void OnWriteDone(bool ok) override;
  void OnCancel() override;
  void OnDone() override;

 private:
  enum class Queue { kWrite, kDrop };

  AgentStream(std::shared_ptr<Sink> sink, StreamId id, const StreamLimits& limits,
              grpc::CallbackServerContext* context);
  absl::Status Accept();  // judges and passes on what was read
  // With mutex_ held. After End nothing is read or queued any more.
  void End(const grpc::Status& status, Queue queue, absl::string_view reason);
  void Advance();  // the next write, or Finish

  const std::shared_ptr<Sink> sink_;
  const StreamId id_;
  const StreamLimits limits_;

  // Reactions to reads only, of which there is one at a time.
  grpc::ByteBuffer incoming_;
  std::size_t received_ = 0;

  std::mutex mutex_;  // guards what follows
  std::shared_ptr<AgentStream> self_;
  grpc::CallbackServerContext* context_;  // null once gRPC is done
  std::deque<grpc::ByteBuffer> queue_;
  std::size_t queued_bytes_ = 0;
  grpc::ByteBuffer outgoing_;  // being written
  bool writing_ = false;
  std::size_t backlog_ = 0;
  bool paused_ = false;                 // no read under way, since the backlog is full
  std::optional<grpc::Status> ending_;  // what Finish will say
  bool finished_ = false;               // Finish was called
};

}  // namespace berth::push

#endif  // BERTH_CONTROLLER_PUSH_AGENT_STREAM_H_
