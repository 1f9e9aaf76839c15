// SPDX-License-Identifier: Apache-2.0
// Any bytes off the wire: refused, or a packet that has one form only. Most bytes fail at the HMAC, so each input is
// also looked at with an HMAC that fits.
#include <cstdlib>
#include <string>

#include "agent/peer/packet.h"

namespace berth::agent::peer {
namespace {

void Require(bool held) {
  if (!held) std::abort();
}

const std::vector<sync::PeerKey>& Keys() {
  static const auto* const keys = new std::vector<sync::PeerKey>{{.id = 2, .secret = std::string(32, 'b')},
                                                                 {.id = 1, .secret = std::string(32, 'a')}};
  return *keys;
}

void Check(absl::string_view bytes) {
  const absl::StatusOr<Opened> opened = Open(bytes, Keys(), TagOf("node1"));
  if (!opened.ok()) return;
  Require(opened->packet.to == TagOf("node1"));
  Require(opened->packet.claims.size() <= kMostClaims);
  const sync::PeerKey& key = Keys()[opened->key_id == 2 ? 0 : 1];
  Require(Seal(opened->packet, key) == bytes);
}

}  // namespace
}  // namespace berth::agent::peer

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  namespace peer = berth::agent::peer;
  std::string bytes(reinterpret_cast<const char*>(data), size);
  peer::Check(bytes);
  if (size <= peer::kHeadSize) return 0;
  // Of a right size, for us, by a key that we have, and authentic: what remains is for the parser.
  bytes.resize(size < peer::kClaimsSize ? peer::kProbeSize : peer::kClaimsSize);
  const berth::sync::PeerKey& key = peer::Keys()[0];
  bytes.replace(8, 8, std::string("\0\0\0\0\0\0\0\2", 8));
  const peer::Tag tag = peer::TagOf("node1");
  bytes.replace(32, tag.size(), reinterpret_cast<const char*>(tag.data()), tag.size());
  bytes.resize(bytes.size() - peer::kMacSize);
  const auto mac = peer::Hmac(key.secret, bytes);
  bytes.append(reinterpret_cast<const char*>(mac.data()), mac.size());
  peer::Check(bytes);
  return 0;
}
