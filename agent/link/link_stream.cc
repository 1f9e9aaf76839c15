// SPDX-License-Identifier: Apache-2.0
#include "agent/link/link_stream.h"

#include <grpcpp/generic/generic_stub.h>
#include <grpcpp/impl/codegen/proto_utils.h>

#include <algorithm>
#include <utility>
#include <variant>

#include "absl/strings/str_cat.h"
#include "agent/link/controller_codec.h"
#include "berth/agent/v1/agent.pb.h"
#include "common/base/status_macros.h"
#include "common/sync/wire.h"

namespace berth::agent {
namespace {

constexpr char kMethod[] = "/berth.agent.v1.AgentService/Connect";

absl::Status FromGrpc(const grpc::Status& status) {
  if (status.ok()) return absl::UnavailableError("the controller ended the stream");
  return absl::Status(static_cast<absl::StatusCode>(status.error_code()), status.error_message());
}

}  // namespace

void Latch::Set() {
  const std::lock_guard lock(mutex_);
  set_ = true;
  changed_.notify_all();
}

bool Latch::IsSet() const {
  const std::lock_guard lock(mutex_);
  return set_;
}

void Latch::Wait() {
  std::unique_lock lock(mutex_);
  changed_.wait(lock, [this] { return set_; });
}

bool Latch::WaitFor(absl::Duration timeout) {
  std::unique_lock lock(mutex_);
  return changed_.wait_for(lock, absl::ToChronoNanoseconds(timeout), [this] { return set_; });
}

std::shared_ptr<LinkStream> LinkStream::Open(std::shared_ptr<Sink> sink, std::uint64_t dial, const LinkLimits& limits,
                                             const std::shared_ptr<grpc::Channel>& channel, const std::string& token) {
  std::shared_ptr<LinkStream> stream(new LinkStream(std::move(sink), dial, limits));
  if (!token.empty()) stream->context_.AddMetadata("authorization", absl::StrCat("Bearer ", token));
  // The raw form of the call: what cannot be parsed is told, instead of looking like the end of the stream.
  grpc::GenericStub(channel).PrepareBidiStreamingCall(&stream->context_, kMethod, grpc::StubOptions(), stream.get());
  const std::lock_guard lock(stream->mutex_);
  stream->self_ = stream;
  stream->AddHold();  // for what the loop starts; until the last read has failed
  stream->StartRead(&stream->incoming_);
  stream->StartCall();
  return stream;
}

LinkStream::LinkStream(std::shared_ptr<Sink> sink, std::uint64_t dial, const LinkLimits& limits)
    : sink_(std::move(sink)), dial_(dial), limits_(limits) {}

void LinkStream::OnReadInitialMetadataDone(bool ok) {
  if (!ok) return;
  // A call that failed gets here too, with no metadata; a server that is no controller goes on without the key, and the
  // dial times out.
  const auto& metadata = context_.GetServerInitialMetadata();
  const auto api = metadata.find(sync::kApiMetadataKey);
  if (api != metadata.end() && api->second == sync::kApiMetadataValue) sink_->Established(dial_);
}

absl::Status LinkStream::Accept() {
  v1::ControllerMessage message;
  if (!grpc::SerializationTraits<v1::ControllerMessage>::Deserialize(&incoming_, &message).ok()) {
    return absl::InvalidArgumentError("what the controller sent is no berth.agent.v1.ControllerMessage");
  }
  ASSIGN_OR_RETURN(sync::ControllerMessage value, FromProto(message));
  sink_->Received(dial_, std::move(value));
  return absl::OkStatus();
}

void LinkStream::OnReadDone(bool ok) {
  bool wanted = false;
  {
    const std::lock_guard lock(mutex_);
    if (!ok) {
      over_ = true;
      queue_.clear();
      RemoveHold();
      return;
    }
    wanted = !deaf_;
    if (wanted) ++backlog_;  // before it is posted: the loop may be done with it first
  }
  const absl::Status judged = wanted ? Accept() : absl::OkStatus();
  incoming_.Clear();
  const std::lock_guard lock(mutex_);
  if (!judged.ok()) Fail(judged);
  paused_ = true;
  if (deaf_ || backlog_ < limits_.backlog) ResumeReading();
}

void LinkStream::Handled() {
  const std::lock_guard lock(mutex_);
  --backlog_;
  ResumeReading();
}

void LinkStream::Send(const sync::AgentMessage& message) {
  Waiting waiting;
  bool own_buffer = false;
  const grpc::Status serialized =
      grpc::SerializationTraits<v1::AgentMessage>::Serialize(ToProto(message), &waiting.bytes, &own_buffer);
  waiting.heartbeat = std::holds_alternative<sync::Heartbeat>(message);
  const std::size_t size = waiting.bytes.Length();
  const std::lock_guard lock(mutex_);
  if (over_ || last_ || deaf_) return;
  if (!serialized.ok()) return Fail(FromGrpc(serialized));
  if (size > sync::kMaxAgentMessageBytes) {
    return Fail(absl::ResourceExhaustedError(
        absl::StrCat("a message of ", size, " bytes is over the ", sync::kMaxAgentMessageBytes, " that may be sent")));
  }
  if (waiting.heartbeat) {
    const auto old = std::find_if(queue_.begin(), queue_.end(), [](const Waiting& w) { return w.heartbeat; });
    if (old != queue_.end()) {
      queued_bytes_ += size - old->bytes.Length();
      *old = std::move(waiting);
      return;
    }
  }
  queued_bytes_ += size;
  queue_.push_back(std::move(waiting));
  if (queue_.size() > limits_.queued_messages || (queue_.size() > 1 && queued_bytes_ > limits_.queued_bytes)) {
    return Fail(absl::ResourceExhaustedError(absl::StrCat("the controller reads too slowly: ", queue_.size(),
                                                          " messages of ", queued_bytes_, " bytes wait for it")));
  }
  Advance();
}

void LinkStream::EndAfterQueue() {
  const std::lock_guard lock(mutex_);
  last_ = true;
  deaf_ = true;
  ResumeReading();  // else the end would not be heard
  Advance();
}

void LinkStream::Cancel(const absl::Status& why) {
  const std::lock_guard lock(mutex_);
  Fail(why);
}

void LinkStream::Fail(const absl::Status& why) {
  if (failure_.ok()) failure_ = why;
  deaf_ = true;
  queue_.clear();
  context_.TryCancel();
  ResumeReading();
}

void LinkStream::ResumeReading() {
  if (!paused_ || over_) return;
  paused_ = false;
  StartRead(&incoming_);
}

void LinkStream::OnWriteDone(bool ok) {
  const std::lock_guard lock(mutex_);
  writing_ = false;
  outgoing_.Clear();
  if (!ok) queue_.clear();  // the read that fails as well ends the stream
  Advance();
}

void LinkStream::Advance() {
  if (writing_ || over_ || last_told_) return;
  if (!queue_.empty()) {
    outgoing_ = std::move(queue_.front().bytes);
    queue_.pop_front();
    queued_bytes_ -= outgoing_.Length();
    writing_ = true;
    StartWrite(&outgoing_);
  } else if (last_) {
    last_told_ = true;
    StartWritesDone();
  }
}

void LinkStream::OnDone(const grpc::Status& status) {
  // From Ended on the loop may destroy the stream at any moment: only locals are used.
  const std::shared_ptr<Sink> sink = sink_;
  const std::shared_ptr<Latch> gone = gone_;
  const std::uint64_t dial = dial_;
  absl::Status why;
  std::shared_ptr<LinkStream> self;
  {
    const std::lock_guard lock(mutex_);
    why = failure_.ok() ? FromGrpc(status) : failure_;
    self = std::move(self_);
  }
  sink->Ended(dial, std::move(why), std::move(self));
  gone->Set();
}

}  // namespace berth::agent
