// SPDX-License-Identifier: Apache-2.0
// controller/push/agent_codec.h -- between sync values and agent.proto, as the controller needs it. Pure.
//
// Whatever an agent sends, decoding ends with a value that keeps every bound of agent.proto, or with InvalidArgument
// naming the field: hello.local[3]: "10.0.0.x" is not an IPv4 or IPv6 address.
#ifndef BERTH_CONTROLLER_PUSH_AGENT_CODEC_H_
#define BERTH_CONTROLLER_PUSH_AGENT_CODEC_H_

#include "absl/status/statusor.h"
#include "berth/agent/v1/agent.pb.h"
#include "common/sync/messages.h"

namespace berth::push {

// Texts that are too long, or no UTF-8, are made fit (wire.h: WireText); the rest goes over as it is.
agent::v1::ControllerMessage ToProto(const sync::ControllerMessage& message);

absl::StatusOr<sync::AgentMessage> FromProto(const agent::v1::AgentMessage& message);

}  // namespace berth::push

#endif  // BERTH_CONTROLLER_PUSH_AGENT_CODEC_H_
