// SPDX-License-Identifier: Apache-2.0
// agent/effect/l2/responder.h -- what to do with one frame that came in: answer, report, both or nothing. Pure.
//
//   std::uint8_t reply[kMaxReplySize];
//   RespondResult result = Respond(table, frame, age, reply);
//   if (result.verdict == Verdict::kReply) Inject(reply, result.reply_size);
//
// Constant time, no allocation, no log line: whoever is on the LAN decides how often this runs.
//
// Answered is a well-formed ARP request for an address in `table.answer` whose Ethernet destination is broadcast or the
// interface's own MAC, probes (sender 0.0.0.0) included; and a well-formed neighbour solicitation for one that came to
// the group of its target or to the interface's own MAC, as a host does that checks whether its neighbour is still
// there. Never answered: gratuitous requests, our own frames, and requests that waited longer than kMaxRequestAge,
// since the asker has asked again and the address may have moved.
//
// Reported is who claims a watched address: an ARP frame's sender, an advertisement's target, a solicitation's source.
// A probe claims nothing.
#ifndef BERTH_AGENT_EFFECT_L2_RESPONDER_H_
#define BERTH_AGENT_EFFECT_L2_RESPONDER_H_

#include <cstddef>
#include <cstdint>
#include <optional>

#include "absl/time/time.h"
#include "absl/types/span.h"
#include "agent/effect/l2/frame_port.h"

namespace berth::agent {

inline constexpr absl::Duration kMaxRequestAge = absl::Milliseconds(200);
inline constexpr std::size_t kMaxReplySize = 86;  // an advertisement; an ARP reply has 60

enum class Verdict : std::uint8_t {
  kIgnore,     // fine, but not for us to answer
  kReply,      // `out` holds the answer
  kMalformed,  // neither ARP for IPv4 nor neighbour discovery over untagged Ethernet, see ArpFault and NdpFault
  kStale,      // would have been answered, were it younger
};

struct RespondResult {
  Verdict verdict = Verdict::kIgnore;
  Family family = Family::kIpv4;     // of the protocol that the frame speaks: ARP, else neighbour discovery
  bool request = false;              // a well-formed request of somebody else, for whatever address
  std::uint8_t reply_size = 0;       // bytes of `out` that are the answer
  std::optional<Sighting> sighting;  // `ifindex` is left 0 for the caller to fill in; old frames are reported too
};

// `age` is the time since capture. One further below zero than kMaxRequestAge means that the clock was set back
// meanwhile: such a frame counts as too old, because its age is unknown. `out` has room for kMaxReplySize bytes, which
// are written only with kReply.
RespondResult Respond(const InterfaceTable& table, absl::Span<const std::uint8_t> frame, absl::Duration age,
                      std::uint8_t* out);

}  // namespace berth::agent

#endif  // BERTH_AGENT_EFFECT_L2_RESPONDER_H_
