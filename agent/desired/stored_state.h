// SPDX-License-Identifier: Apache-2.0
// agent/desired/stored_state.h -- what an agent remembers across its own restart.
#ifndef BERTH_AGENT_DESIRED_STORED_STATE_H_
#define BERTH_AGENT_DESIRED_STORED_STATE_H_

#include <cstdint>
#include <string>
#include <vector>

#include "common/sync/messages.h"

namespace berth::agent {

struct StoredState {
  std::string boot_id;             // of the kernel under which it was written: another one means the node was restarted
  std::uint64_t highest_term = 0;  // seen from any controller; outlives a restart of the node too
  sync::Stamp state;               // of `assignments`
  sync::Settings settings;
  std::vector<sync::Assignment> assignments;  // sorted by address
  friend bool operator==(const StoredState&, const StoredState&) = default;
};

}  // namespace berth::agent

#endif  // BERTH_AGENT_DESIRED_STORED_STATE_H_
