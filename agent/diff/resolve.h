// SPDX-License-Identifier: Apache-2.0
// agent/diff/resolve.h -- an Eip's interface rule, held against this node's links. Pure.
#ifndef BERTH_AGENT_DIFF_RESOLVE_H_
#define BERTH_AGENT_DIFF_RESOLVE_H_

#include <variant>
#include <vector>

#include "agent/effect/kernel/kernel.h"
#include "agent/effect/l2/frame_port.h"
#include "common/sync/interface_rule.h"
#include "common/sync/messages.h"

namespace berth::agent {

// The one interface that `rule` (common/sync/interface_rule.h) means here for `address`; or why there is none:
// kInterfaceMissing (the text names what exists) or kInterfaceDown (administratively, or without carrier). The
// rejection bears no address. `lan` is LanInterfaces(state).
std::variant<PortInterface, sync::Rejection> ResolveInterface(const sync::InterfaceRule& rule, const IpAddr& address,
                                                              const KernelState& state,
                                                              const std::vector<sync::InterfaceInfo>& lan);

}  // namespace berth::agent

#endif  // BERTH_AGENT_DIFF_RESOLVE_H_
