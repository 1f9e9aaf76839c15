// SPDX-License-Identifier: Apache-2.0
// agent/link/controller_codec.h -- between sync values and agent.proto, as the agent needs it. Pure.
//
// Whatever a controller sends, decoding ends with a value that keeps every bound of agent.proto, or with
// InvalidArgument naming the field: snapshot.assignments[3].role: must be PREPARE, ANNOUNCE or MUTE.
#ifndef BERTH_AGENT_LINK_CONTROLLER_CODEC_H_
#define BERTH_AGENT_LINK_CONTROLLER_CODEC_H_

#include "absl/status/statusor.h"
#include "berth/agent/v1/agent.pb.h"
#include "common/sync/messages.h"

namespace berth::agent {

// Texts that are too long, or no UTF-8, are made fit (wire.h: WireText); the rest goes over as it is.
v1::AgentMessage ToProto(const sync::AgentMessage& message);

absl::StatusOr<sync::ControllerMessage> FromProto(const v1::ControllerMessage& message);

}  // namespace berth::agent

#endif  // BERTH_AGENT_LINK_CONTROLLER_CODEC_H_
