// SPDX-License-Identifier: Apache-2.0
// agent/peer/packet.h -- what agents say to each other over UDP, as bytes and back. Pure.
//
//   offset  bytes
//        0      4  "BRP1"
//        4      1  kind
//        5      1  flags: 1 a leader is heard, 2 the sender has a state to act on
//        6      1  number of claims
//        7      1  0
//        8      8  id of the key
//       16     16  sender: the first half of SHA-256 of the node's name
//       32     16  receiver, likewise
//       48     16  nonce: of a question never used before, of an answer that of its question
//       64      8  the sender's process, a random number
//       72      8  its highest term
//       80      8  the highest version of that term that it has heard of
//       88         questions and answers about claims: room for kMostClaims of kClaimSize bytes, unused ones 0
//    at end     32  HMAC-SHA256 of all before, with the key
//
// All numbers are big endian. A packet has one of two sizes, by its kind, and an answer that of its question: nobody is
// flooded by way of an agent. What is not exactly so is refused before the HMAC is computed.
#ifndef BERTH_AGENT_PEER_PACKET_H_
#define BERTH_AGENT_PEER_PACKET_H_

#include <array>
#include <cstddef>
#include <cstdint>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "agent/peer/seat.h"
#include "common/net/ip_addr.h"
#include "common/sync/messages.h"

namespace berth::agent::peer {

using Tag = std::array<std::uint8_t, 16>;  // of a node
using Nonce = std::array<std::uint8_t, 16>;
Tag TagOf(absl::string_view node);

enum class Kind : std::uint8_t {
  kPing = 1,  // are you there?
  kPong = 2,
  kAsk = 3,   // here are my claims on these addresses: what are yours?
  kTell = 4,  // these, in the order asked
};
struct AddressClaim {
  IpAddr address;
  Claim claim;
  friend bool operator==(const AddressClaim&, const AddressClaim&) = default;
};
struct Packet {
  Kind kind = Kind::kPing;
  bool led = false;        // the sender hears a leader
  bool has_state = false;  // it has one to act on: told by a leader since its node was started
  Tag from{}, to{};
  Nonce nonce{};
  std::uint64_t process = 0;
  sync::Stamp clock;
  std::vector<AddressClaim> claims;  // of kAsk and kTell: 1 to kMostClaims
  friend bool operator==(const Packet&, const Packet&) = default;
};

inline constexpr std::size_t kMostClaims = 16;
inline constexpr std::size_t kHeadSize = 88, kClaimSize = 40, kMacSize = 32;
inline constexpr std::size_t kProbeSize = kHeadSize + kMacSize;  // of kPing, kPong
inline constexpr std::size_t kClaimsSize = kHeadSize + kMostClaims * kClaimSize + kMacSize;

// The bytes of `packet`, authentic by `key`. Ranks from 2^16 on are cut to 2^16 - 1.
std::string Seal(const Packet& packet, const sync::PeerKey& key);

// Errors: InvalidArgument for bytes of another form, NotFound for another receiver or an unknown key, PermissionDenied
// for a wrong HMAC.
struct Opened {
  Packet packet;
  std::uint64_t key_id = 0;
};
absl::StatusOr<Opened> Open(absl::string_view bytes, const std::vector<sync::PeerKey>& keys, const Tag& self);

// HMAC-SHA256.
std::array<std::uint8_t, 32> Hmac(absl::string_view key, absl::string_view data);

}  // namespace berth::agent::peer

#endif  // BERTH_AGENT_PEER_PACKET_H_
