// SPDX-License-Identifier: Apache-2.0
// agent/desired/state_codec.h -- the stored state as the bytes of a file, and back. Pure.
//
//   berth-agent-state 1
//   boot_id 5d3f0c1e-...
//   highest_term 7
//   checksum 2f0c...          XXH3 of all that follows the next line
//   ---
//   term: 7                   a berth.agent.v1.Snapshot in protobuf's text form, so that people can read it
//   assignments { address: "192.168.50.50" ...
#ifndef BERTH_AGENT_DESIRED_STATE_CODEC_H_
#define BERTH_AGENT_DESIRED_STATE_CODEC_H_

#include <string>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "agent/desired/stored_state.h"

namespace berth::agent {

std::string EncodeState(const StoredState& state);

// Errors: DataLoss, saying what is wrong with the bytes. A newer form (another number in the first line) is one too.
absl::StatusOr<StoredState> DecodeState(absl::string_view bytes);

}  // namespace berth::agent

#endif  // BERTH_AGENT_DESIRED_STATE_CODEC_H_
