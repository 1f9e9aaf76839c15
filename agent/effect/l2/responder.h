// SPDX-License-Identifier: Apache-2.0
// agent/effect/l2/responder.h -- what to do with one frame that came in: answer, report, both or nothing. Pure.
//
//   std::uint8_t reply[kMinFrameSize];
//   RespondResult result = Respond(table, frame, age, reply);
//   if (result.verdict == Verdict::kReply) Inject(reply, sizeof reply);
//
// Constant time, no allocation, no log line: whoever is on the LAN decides how often this runs.
//
// Answered is a well-formed ARP request for an address in `table.answer` whose Ethernet destination is broadcast or the
// interface's own MAC, probes (sender 0.0.0.0) included. Never answered: gratuitous requests, our own frames, and
// requests that waited longer than kMaxRequestAge, since the asker has asked again and the address may have moved.
#ifndef BERTH_AGENT_EFFECT_L2_RESPONDER_H_
#define BERTH_AGENT_EFFECT_L2_RESPONDER_H_

#include <cstdint>
#include <optional>

#include "absl/time/time.h"
#include "absl/types/span.h"
#include "agent/effect/l2/frame_port.h"

namespace berth::agent {

inline constexpr absl::Duration kMaxRequestAge = absl::Milliseconds(200);

enum class Verdict : std::uint8_t {
  kIgnore,     // fine, but not for us to answer
  kReply,      // `out` holds the answer
  kMalformed,  // not ARP for IPv4 over untagged Ethernet, see ArpFault
  kStale,      // would have been answered, were it younger
};

struct RespondResult {
  Verdict verdict = Verdict::kIgnore;
  bool request = false;              // a well-formed request of somebody else, for whatever address
  std::optional<Sighting> sighting;  // `ifindex` is left 0 for the caller to fill in; old frames are reported too
};

// `age` is the time since capture. One further below zero than kMaxRequestAge means that the clock was set back
// meanwhile: such a frame counts as too old, because its age is unknown. `out` has room for kMinFrameSize bytes, which
// are written only with kReply.
RespondResult Respond(const InterfaceTable& table, absl::Span<const std::uint8_t> frame, absl::Duration age,
                      std::uint8_t* out);

}  // namespace berth::agent

#endif  // BERTH_AGENT_EFFECT_L2_RESPONDER_H_
