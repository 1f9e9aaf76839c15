// SPDX-License-Identifier: Apache-2.0
// agent/diff/guard.h -- which ports of an address are open. Pure.
#ifndef BERTH_AGENT_DIFF_GUARD_H_
#define BERTH_AGENT_DIFF_GUARD_H_

#include "agent/effect/kernel/kernel.h"
#include "common/sync/messages.h"

namespace berth::agent {

// Guards the address of `assignment`, but for the ports of the Services on it. Where no Service is named, which ports
// it has is not known, and all stay open. Assignments must come in order of their addresses.
void Guard(const sync::Assignment& assignment, Silence& silence);

}  // namespace berth::agent

#endif  // BERTH_AGENT_DIFF_GUARD_H_
