// SPDX-License-Identifier: Apache-2.0
// agent/effect/l2/announce_frames.h -- the frames an announcer sends, whatever the address family. Pure.
//
//   ASSIGN_OR_RETURN(std::vector<std::string> frames, GratuitousFrames(interface.mac, address));
//   for (const std::string& frame : frames) port.Send(interface.index, frame);
#ifndef BERTH_AGENT_EFFECT_L2_ANNOUNCE_FRAMES_H_
#define BERTH_AGENT_EFFECT_L2_ANNOUNCE_FRAMES_H_

#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "common/net/ip_addr.h"
#include "common/net/mac_addr.h"

namespace berth::agent {

// Whole Ethernet frames that tell the LAN "`ip` is at `mac`", in the order to send them: for IPv4 the gratuitous
// request (RFC 5227's announcement), then the gratuitous reply for those that only learn from replies. Errors:
// Unimplemented for IPv6.
absl::StatusOr<std::vector<std::string>> GratuitousFrames(const MacAddr& mac, const IpAddr& ip);

// A whole Ethernet frame that asks whether anybody has `ip`, and tells nobody that we might (RFC 5227 section 2.1.1).
// Errors: Unimplemented for IPv6.
absl::StatusOr<std::string> ProbeFrame(const MacAddr& mac, const IpAddr& ip);

}  // namespace berth::agent

#endif  // BERTH_AGENT_EFFECT_L2_ANNOUNCE_FRAMES_H_
