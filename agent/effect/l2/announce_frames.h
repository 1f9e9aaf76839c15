// SPDX-License-Identifier: Apache-2.0
// agent/effect/l2/announce_frames.h -- the frames an announcer sends, whatever the address family. Pure.
//
//   for (const std::string& frame : GratuitousFrames(interface.mac, address)) port.Send(interface.index, frame);
#ifndef BERTH_AGENT_EFFECT_L2_ANNOUNCE_FRAMES_H_
#define BERTH_AGENT_EFFECT_L2_ANNOUNCE_FRAMES_H_

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "absl/types/span.h"
#include "common/net/ip_addr.h"
#include "common/net/mac_addr.h"

namespace berth::agent {

// Whole Ethernet frames that tell the LAN "`ip` is at `mac`", in the order to send them: for IPv4 the gratuitous
// request (RFC 5227's announcement), then the gratuitous reply for those that only learn from replies; for IPv6 an
// unsolicited advertisement to all nodes (RFC 4861 section 7.2.6).
std::vector<std::string> GratuitousFrames(const MacAddr& mac, const IpAddr& ip);

// A whole Ethernet frame that asks whether anybody has `ip`, and tells nobody that we might (RFC 5227 section 2.1.1,
// RFC 4862 section 5.4.2).
std::string ProbeFrame(const MacAddr& mac, const IpAddr& ip);

// The same for IPv6, but asked by an address of our own (RFC 4861 section 7.2.2): who answers tells us only, where a
// probe is answered to all nodes, which believe it.
std::string QuestionFrame(const MacAddr& mac, const IpAddr& own, const IpAddr& ip);

// The address that one of GratuitousFrames announces, whoever made it; none for any other frame.
std::optional<IpAddr> AnnouncedBy(absl::Span<const std::uint8_t> frame);

}  // namespace berth::agent

#endif  // BERTH_AGENT_EFFECT_L2_ANNOUNCE_FRAMES_H_
