// SPDX-License-Identifier: Apache-2.0
// common/sync/proto_writer.h -- desired state from sync values to agent.proto: for the controller, which sends it, and
// for the agent, which keeps it on disk. Pure.
//
// Texts that are too long, or no UTF-8, are made fit (wire.h: WireText); the rest goes over as it is. Each writes into
// a fresh message: lists are appended to.
#ifndef BERTH_COMMON_SYNC_PROTO_WRITER_H_
#define BERTH_COMMON_SYNC_PROTO_WRITER_H_

#include "absl/time/time.h"
#include "berth/agent/v1/agent.pb.h"
#include "common/sync/messages.h"

namespace berth::sync {

// Exact to the nanosecond; an infinite duration is no value of a setting.
void Write(absl::Duration value, google::protobuf::Duration* out);
void Write(const Settings& settings, agent::v1::Settings* out);
void Write(const Assignment& assignment, agent::v1::Assignment* out);
void Write(const Removal& removal, agent::v1::Removal* out);
void Write(const Snapshot& snapshot, agent::v1::Snapshot* out);

}  // namespace berth::sync

#endif  // BERTH_COMMON_SYNC_PROTO_WRITER_H_
