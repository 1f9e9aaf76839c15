// SPDX-License-Identifier: Apache-2.0
// tests/fakes/neighbour_frame.h -- ARP and neighbour discovery told alike, so that a test says once what holds for
// both.
//
//   std::optional<agent::ArpPacket> told = ReadNeighbourFrame(frame);
//   if (told.has_value() && told->gratuitous()) ...
//   lan.Send(port, WriteNeighbourFrame(agent::ArpReplyTo(*told, mac)));
#ifndef BERTH_TESTS_FAKES_NEIGHBOUR_FRAME_H_
#define BERTH_TESTS_FAKES_NEIGHBOUR_FRAME_H_

#include <optional>
#include <string>

#include "agent/effect/l2/arp_packet.h"

namespace berth {

// An ARP frame as it is. A solicitation is a request whose sender is its source. An advertisement is a reply whose
// sender is its target; it is to whom it answers (the unspecified address when that was a probe), or to itself when it
// announces its target. nullopt for anything else, and for what is malformed.
std::optional<agent::ArpPacket> ReadNeighbourFrame(const std::string& frame);

// The other way round, by the family of `target_ip`. A broadcast solicitation goes to its target's group.
std::string WriteNeighbourFrame(const agent::ArpPacket& packet);

}  // namespace berth

#endif  // BERTH_TESTS_FAKES_NEIGHBOUR_FRAME_H_
