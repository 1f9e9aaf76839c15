// SPDX-License-Identifier: Apache-2.0
// tools/berthctl/orders.h -- the commands that change something: drain, undrain, move, rebalance.
//
// Each gives its order and then waits until it is carried out, which it sees by a watch that began before; each address
// is a line as it arrives. An interrupted command takes nothing back.
#ifndef BERTH_TOOLS_BERTHCTL_ORDERS_H_
#define BERTH_TOOLS_BERTHCTL_ORDERS_H_

#include <chrono>
#include <string>

#include "tools/berthctl/client.h"
#include "tools/berthctl/commands.h"

namespace berth::ctl {

struct Patience {
  bool wait = true;  // until all addresses have arrived, or:
  std::chrono::seconds limit{60};
};

// Refused also when addresses stay, which no other node can hold, and when some have not moved in time; the node is
// drained all the same.
Outcome Drain(Client& client, const Console& console, const std::string& node, const Patience& patience);
Outcome Undrain(Client& client, const Console& console, const std::string& node);
Outcome Move(Client& client, const Console& console, const std::string& address, const std::string& node,
             const Patience& patience);
// Has as much more time as the server takes to begin with all moves.
Outcome Rebalance(Client& client, const Console& console, bool dry_run, const Patience& patience);

}  // namespace berth::ctl

#endif  // BERTH_TOOLS_BERTHCTL_ORDERS_H_
