// SPDX-License-Identifier: Apache-2.0
// tests/system/rest.h -- what must be so once nothing has failed for a while. One line for each thing that is not.
#ifndef BERTH_TESTS_SYSTEM_REST_H_
#define BERTH_TESTS_SYSTEM_REST_H_

#include <string>
#include <vector>

#include "tests/system/world.h"

namespace berth::system {

// The node's agent could hold the address, as far as an onlooker can tell from the objects and the node.
bool CanHold(World& world, const Node& node, const IpAddr& address);

// Every address is answered for by one node that can hold it, or by none with a reason where none can; the client hears
// just that. Moves time by some milliseconds.
std::vector<std::string> WrongHolders(World& world);

// Everything else: one leader that decides and one agent on each node; every Service has what it can have, or a reason;
// what was deleted is gone; nothing is left over on any node.
std::vector<std::string> WrongAtRest(World& world);

}  // namespace berth::system

#endif  // BERTH_TESTS_SYSTEM_REST_H_
