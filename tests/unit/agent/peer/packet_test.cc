// SPDX-License-Identifier: Apache-2.0
#include "agent/peer/packet.h"

#include <catch2/catch.hpp>

namespace berth::agent::peer {
namespace {

const sync::PeerKey kKey{.id = 7, .secret = std::string(32, 'k')};
const std::vector<sync::PeerKey> kKeys = {{.id = 9, .secret = std::string(32, 'n')}, kKey};

Packet Example(Kind kind) {
  Packet p{.kind = kind,
           .led = true,
           .has_state = true,
           .from = TagOf("node1"),
           .to = TagOf("node2"),
           .nonce = {1, 2, 3},
           .process = 0x0102030405060708,
           .clock = {12, 345},
           .claims = {}};
  if (kind == Kind::kPing || kind == Kind::kPong) return p;
  p.claims.push_back({*IpAddr::Parse("192.168.50.100"), {.held = true, .led = false, .stamp = {12, 344}, .rank = 2}});
  p.claims.push_back({*IpAddr::Parse("2001:db8::50"), {.held = false, .led = true, .stamp = {1, 2}, .rank = 65535}});
  return p;
}

TEST_CASE("a packet is read as it was written, and has one of two sizes", "[unit]") {
  const Kind kind = GENERATE(Kind::kPing, Kind::kPong, Kind::kAsk, Kind::kTell);
  const std::string bytes = Seal(Example(kind), kKey);
  CHECK(bytes.size() == (kind < Kind::kAsk ? kProbeSize : kClaimsSize));
  const auto opened = Open(bytes, kKeys, TagOf("node2"));
  REQUIRE(opened.ok());
  CHECK(opened->packet == Example(kind));
  CHECK(opened->key_id == 7);
}

TEST_CASE("a packet is refused when any bit of it is another", "[unit]") {
  const std::string bytes = Seal(Example(GENERATE(Kind::kPing, Kind::kTell)), kKey);
  for (std::size_t bit = 0; bit < bytes.size() * 8; ++bit) {
    std::string changed = bytes;
    changed[bit / 8] = static_cast<char>(changed[bit / 8] ^ (1 << (bit % 8)));
    CAPTURE(bit);
    CHECK_FALSE(Open(changed, kKeys, TagOf("node2")).ok());
  }
}

TEST_CASE("why a packet is refused", "[unit]") {
  const std::string bytes = Seal(Example(Kind::kPing), kKey);
  CHECK(absl::IsNotFound(Open(bytes, kKeys, TagOf("node3")).status()));
  CHECK(absl::IsNotFound(Open(bytes, {kKeys.front()}, TagOf("node2")).status()));
  CHECK(absl::IsPermissionDenied(Open(bytes, {{.id = 7, .secret = std::string(32, 'x')}}, TagOf("node2")).status()));
  CHECK(absl::IsInvalidArgument(Open(bytes + "x", kKeys, TagOf("node2")).status()));
  CHECK(absl::IsInvalidArgument(Open("", kKeys, TagOf("node2")).status()));
  // A ping is no answer to itself: kind and receiver are under the HMAC.
  Packet twisted = Example(Kind::kPing);
  std::swap(twisted.from, twisted.to);
  CHECK_FALSE(Open(Seal(twisted, kKey), kKeys, TagOf("node2")).ok());
}

TEST_CASE("HMAC-SHA256 is that of RFC 4231", "[unit]") {
  // Test case 2.
  const auto mac = Hmac("Jefe", "what do ya want for nothing?");
  const std::array<std::uint8_t, 8> begins = {0x5b, 0xdc, 0xc1, 0x46, 0xbf, 0x60, 0x75, 0x4e};
  CHECK(std::equal(begins.begin(), begins.end(), mac.begin()));
}

}  // namespace
}  // namespace berth::agent::peer
