// SPDX-License-Identifier: Apache-2.0
#include "controller/push/agent_stream.h"

#include <grpcpp/impl/codegen/proto_utils.h>

#include <utility>
#include <variant>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_replace.h"
#include "absl/strings/strip.h"
#include "berth/agent/v1/agent.pb.h"
#include "common/base/status_macros.h"
#include "common/sync/wire.h"
#include "controller/push/agent_codec.h"

namespace berth::push {
namespace {

grpc::Status ToGrpc(const absl::Status& status) {
  return grpc::Status(static_cast<grpc::StatusCode>(status.code()), sync::WireMessage(status.message()));
}

absl::string_view View(grpc::string_ref text) { return {text.data(), text.size()}; }

// gRPC says "ipv4:192.0.2.1:41922" and "ipv6:%5B2001:db8::1%5D:41922".
std::string PeerAddress(absl::string_view peer) {
  if (!absl::ConsumePrefix(&peer, "ipv4:")) absl::ConsumePrefix(&peer, "ipv6:");
  return absl::StrReplaceAll(peer, {{"%5B", "["}, {"%5D", "]"}, {"%25", "%"}});
}

StreamPeer PeerOf(const grpc::CallbackServerContext& context) {
  StreamPeer peer;
  peer.address = PeerAddress(context.peer());
  const auto authorization = context.client_metadata().find("authorization");
  if (authorization != context.client_metadata().end()) {
    absl::string_view value = View(authorization->second);
    if (absl::StartsWithIgnoreCase(value, "bearer ")) peer.token = std::string(value.substr(7));
  }
  const std::shared_ptr<const grpc::AuthContext> auth = context.auth_context();
  if (auth != nullptr && auth->IsPeerAuthenticated()) {
    for (const char* property : {"x509_subject_alternative_name", "x509_common_name"}) {
      for (const grpc::string_ref& name : auth->FindPropertyValues(property)) {
        peer.tls_names.emplace_back(name.data(), name.size());
      }
    }
  }
  return peer;
}

}  // namespace

AgentStream* AgentStream::Open(std::shared_ptr<Sink> sink, StreamId id, const StreamLimits& limits,
                               grpc::CallbackServerContext* context) {
  std::shared_ptr<AgentStream> stream(new AgentStream(std::move(sink), id, limits, context));
  AgentStream* raw = stream.get();
  context->AddInitialMetadata(sync::kApiMetadataKey, sync::kApiMetadataValue);
  const std::lock_guard lock(raw->mutex_);  // the loop may send as soon as it knows, but not before the metadata
  raw->sink_->Opened(stream, PeerOf(*context));
  raw->self_ = std::move(stream);
  raw->StartSendInitialMetadata();
  raw->StartRead(&raw->incoming_);
  return raw;
}

AgentStream::AgentStream(std::shared_ptr<Sink> sink, StreamId id, const StreamLimits& limits,
                         grpc::CallbackServerContext* context)
    : sink_(std::move(sink)), id_(id), limits_(limits), context_(context) {}

absl::Status AgentStream::Accept() {
  ++received_;
  agent::v1::AgentMessage message;
  const std::string which = absl::StrCat("message ", received_, " of the stream");
  if (!grpc::SerializationTraits<agent::v1::AgentMessage>::Deserialize(&incoming_, &message).ok()) {
    return absl::InvalidArgumentError(absl::StrCat(which, " is no berth.agent.v1.AgentMessage"));
  }
  absl::StatusOr<sync::AgentMessage> value = FromProto(message);
  if (!value.ok()) return Annotate(value.status(), which);
  const bool hello = std::holds_alternative<sync::Hello>(*value);
  if (hello != (received_ == 1)) {
    return absl::InvalidArgumentError(hello ? absl::StrCat(which, " is a Hello, which is only ever the first")
                                            : "the first message of the stream must be a Hello");
  }
  sink_->Received(id_, *std::move(value));
  return absl::OkStatus();
}

void AgentStream::OnReadDone(bool ok) {
  if (!ok) {
    const std::lock_guard lock(mutex_);
    End(grpc::Status::OK, Queue::kDrop, "the agent ended the stream, or the connection was lost");
    return;
  }
  {
    const std::lock_guard lock(mutex_);
    if (ending_.has_value()) return;
    ++backlog_;  // before it is posted: the loop may be done with it first
  }
  const absl::Status judged = Accept();
  incoming_.Clear();
  const std::lock_guard lock(mutex_);
  if (!judged.ok()) return End(ToGrpc(judged), Queue::kDrop, judged.message());
  if (ending_.has_value()) return;
  paused_ = backlog_ >= limits_.backlog;
  if (!paused_) StartRead(&incoming_);
}

void AgentStream::Handled() {
  const std::lock_guard lock(mutex_);
  --backlog_;
  if (!paused_ || ending_.has_value()) return;
  paused_ = false;
  StartRead(&incoming_);
}

void AgentStream::Send(const sync::ControllerMessage& message) {
  grpc::ByteBuffer bytes;
  bool own_buffer = false;
  const grpc::Status serialized =
      grpc::SerializationTraits<agent::v1::ControllerMessage>::Serialize(ToProto(message), &bytes, &own_buffer);
  const std::lock_guard lock(mutex_);
  if (ending_.has_value()) return;
  if (!serialized.ok()) return End(serialized, Queue::kDrop, "a message to the agent could not be serialized");
  queued_bytes_ += bytes.Length();
  queue_.push_back(std::move(bytes));
  // A message that waits alone is never too much.
  if (queue_.size() > limits_.queued_messages || (queue_.size() > 1 && queued_bytes_ > limits_.queued_bytes)) {
    const std::string why = absl::StrCat("the agent reads too slowly: ", queue_.size(), " messages of ", queued_bytes_,
                                         " bytes wait for it");
    context_->TryCancel();  // a status could not pass the write that is stuck
    return End(grpc::Status(grpc::StatusCode::RESOURCE_EXHAUSTED, why), Queue::kDrop, why);
  }
  Advance();
}

void AgentStream::CloseAfterQueue(const absl::Status& why) {
  const std::lock_guard lock(mutex_);
  End(ToGrpc(why), Queue::kWrite, why.message());
}

void AgentStream::CloseNow(const absl::Status& why) {
  const std::lock_guard lock(mutex_);
  End(ToGrpc(why), Queue::kDrop, why.message());
}

void AgentStream::Cancel() {
  const std::lock_guard lock(mutex_);
  if (context_ != nullptr) context_->TryCancel();
}

void AgentStream::OnWriteDone(bool ok) {
  const std::lock_guard lock(mutex_);
  writing_ = false;
  outgoing_.Clear();
  if (!ok) {
    queue_.clear();
    End(grpc::Status::CANCELLED, Queue::kDrop, "the connection was lost");
  }
  Advance();
}

void AgentStream::OnCancel() {
  const std::lock_guard lock(mutex_);
  queue_.clear();
  End(grpc::Status::CANCELLED, Queue::kDrop, "the connection was lost");
  Advance();
}

void AgentStream::OnDone() {
  std::shared_ptr<AgentStream> self;
  {
    const std::lock_guard lock(mutex_);
    context_ = nullptr;
    End(grpc::Status::CANCELLED, Queue::kDrop, "the connection was lost");
    self = std::move(self_);
  }
  sink_->Gone();
}

void AgentStream::End(const grpc::Status& status, Queue queue, absl::string_view reason) {
  if (ending_.has_value()) return;
  ending_ = status;
  if (queue == Queue::kDrop) queue_.clear();
  sink_->Ended(id_, std::string(reason));
  Advance();
}

void AgentStream::Advance() {
  if (writing_ || finished_ || context_ == nullptr) return;
  if (!queue_.empty()) {
    outgoing_ = std::move(queue_.front());
    queue_.pop_front();
    queued_bytes_ -= outgoing_.Length();
    writing_ = true;
    StartWrite(&outgoing_);
  } else if (ending_.has_value()) {
    finished_ = true;
    Finish(*ending_);
  }
}

}  // namespace berth::push
