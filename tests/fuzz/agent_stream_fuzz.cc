// SPDX-License-Identifier: Apache-2.0
// Bytes that arrive on an agent's stream, at either end: the first byte says which ('a': from an agent, else from a
// controller), the rest is the message. What is accepted keeps the bounds and comes through the wire once more as it
// is.
#include <google/protobuf/stubs/logging.h>

#include <cstddef>
#include <cstdint>
#include <cstdlib>

#include "agent/link/controller_codec.h"
#include "common/sync/wire.h"
#include "controller/push/agent_codec.h"

namespace berth {
namespace {

void Require(bool holds) {
  if (!holds) std::abort();
}

void CheckFromAgent(const void* data, int size) {
  agent::v1::AgentMessage message;
  if (!message.ParseFromArray(data, size)) return;
  const absl::StatusOr<sync::AgentMessage> value = push::FromProto(message);
  if (!value.ok()) {
    Require(value.status().code() == absl::StatusCode::kInvalidArgument && !value.status().message().empty());
    return;
  }
  const absl::StatusOr<sync::AgentMessage> again = push::FromProto(agent::ToProto(*value));
  Require(again.ok() && *again == *value);
}

void CheckFromController(const void* data, int size) {
  agent::v1::ControllerMessage message;
  if (!message.ParseFromArray(data, size)) return;
  const absl::StatusOr<sync::ControllerMessage> value = agent::FromProto(message);
  if (!value.ok()) {
    Require(value.status().code() == absl::StatusCode::kInvalidArgument && !value.status().message().empty());
    return;
  }
  const absl::StatusOr<sync::ControllerMessage> again = agent::FromProto(push::ToProto(*value));
  Require(again.ok() && *again == *value);
}

}  // namespace
}  // namespace berth

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  [[maybe_unused]] static auto* const loud = google::protobuf::SetLogHandler(nullptr);  // bad UTF-8 is expected here
  if (size == 0 || size > berth::sync::kMaxAgentMessageBytes) return 0;
  const int rest = static_cast<int>(size) - 1;
  if (data[0] == 'a') {
    berth::CheckFromAgent(data + 1, rest);
  } else {
    berth::CheckFromController(data + 1, rest);
  }
  return 0;
}
