// SPDX-License-Identifier: Apache-2.0
#include "agent/peer/packet.h"

#include <openssl/crypto.h>
#include <openssl/evp.h>
#include <openssl/hmac.h>
#include <openssl/sha.h>

#include <algorithm>
#include <limits>

#include "absl/strings/str_cat.h"

namespace berth::agent::peer {
namespace {

constexpr absl::string_view kMagic = "BRP1";
constexpr std::uint8_t kLed = 1, kHasState = 2;        // of a packet
constexpr std::uint8_t kClaimHeld = 1, kClaimLed = 2;  // of a claim

bool HasClaims(Kind kind) { return kind == Kind::kAsk || kind == Kind::kTell; }

template <typename T>
void PutNumber(T value, std::string& out) {
  for (std::size_t i = sizeof(T); i-- > 0;) out.push_back(static_cast<char>(value >> (8 * i) & 0xff));
}

// Reads on from the front; its user has checked the size.
class Cursor {
 public:
  explicit Cursor(absl::string_view bytes) : rest_(bytes) {}
  absl::string_view Bytes(std::size_t n) {
    const absl::string_view taken = rest_.substr(0, n);
    rest_.remove_prefix(n);
    return taken;
  }
  template <typename T>
  T Number() {
    T value = 0;
    for (const char c : Bytes(sizeof(T))) value = static_cast<T>(value << 8 | static_cast<std::uint8_t>(c));
    return value;
  }
  template <std::size_t N>
  std::array<std::uint8_t, N> Array() {
    std::array<std::uint8_t, N> out{};
    const absl::string_view taken = Bytes(N);
    std::copy(taken.begin(), taken.end(), out.begin());
    return out;
  }

 private:
  absl::string_view rest_;
};

template <std::size_t N>
absl::string_view View(const std::array<std::uint8_t, N>& bytes) {
  return {reinterpret_cast<const char*>(bytes.data()), N};
}

void Put(const AddressClaim& c, std::string& out) {
  const std::string address = c.address.ToBytes();
  PutNumber(static_cast<std::uint8_t>(c.address.is_v4() ? 4 : 6), out);
  PutNumber(static_cast<std::uint8_t>((c.claim.held ? kClaimHeld : 0) | (c.claim.led ? kClaimLed : 0)), out);
  PutNumber(
      static_cast<std::uint16_t>(std::min<std::uint32_t>(c.claim.rank, std::numeric_limits<std::uint16_t>::max())),
      out);
  PutNumber(std::uint32_t{0}, out);
  out.append(address).append(16 - address.size(), '\0');
  PutNumber(c.claim.stamp.term, out);
  PutNumber(c.claim.stamp.version, out);
}

absl::StatusOr<AddressClaim> TakeClaim(Cursor& in) {
  AddressClaim c;
  const auto family = in.Number<std::uint8_t>();
  const auto flags = in.Number<std::uint8_t>();
  c.claim.rank = in.Number<std::uint16_t>();
  const auto zero = in.Number<std::uint32_t>();
  const absl::string_view address = in.Bytes(16);
  c.claim.held = (flags & kClaimHeld) != 0;
  c.claim.led = (flags & kClaimLed) != 0;
  c.claim.stamp.term = in.Number<std::uint64_t>();
  c.claim.stamp.version = in.Number<std::uint64_t>();
  const bool v4 = family == 4;
  const absl::string_view unused = v4 ? address.substr(4) : absl::string_view();
  if ((!v4 && family != 6) || zero != 0 || (flags & ~(kClaimHeld | kClaimLed)) != 0 ||
      unused.find_first_not_of('\0') != absl::string_view::npos) {
    return absl::InvalidArgumentError("a claim is not well formed");
  }
  absl::StatusOr<IpAddr> parsed = IpAddr::FromBytes(v4 ? address.substr(0, 4) : address);
  if (!parsed.ok()) return parsed.status();
  c.address = *parsed;
  return c;
}

}  // namespace

std::array<std::uint8_t, 32> Hmac(absl::string_view key, absl::string_view data) {
  std::array<std::uint8_t, 32> out{};
  unsigned int size = out.size();
  HMAC(EVP_sha256(), key.data(), static_cast<int>(key.size()), reinterpret_cast<const unsigned char*>(data.data()),
       data.size(), out.data(), &size);
  return out;
}

Tag TagOf(absl::string_view node) {
  std::array<std::uint8_t, SHA256_DIGEST_LENGTH> digest{};
  SHA256(reinterpret_cast<const unsigned char*>(node.data()), node.size(), digest.data());
  Tag tag{};
  std::copy_n(digest.begin(), tag.size(), tag.begin());
  return tag;
}

std::string Seal(const Packet& packet, const sync::PeerKey& key) {
  const std::size_t claims = HasClaims(packet.kind) ? std::min(packet.claims.size(), kMostClaims) : 0;
  std::string out;
  out.reserve(kClaimsSize);
  absl::StrAppend(&out, kMagic);
  PutNumber(static_cast<std::uint8_t>(packet.kind), out);
  PutNumber(static_cast<std::uint8_t>((packet.led ? kLed : 0) | (packet.has_state ? kHasState : 0)), out);
  PutNumber(static_cast<std::uint8_t>(claims), out);
  PutNumber(std::uint8_t{0}, out);
  PutNumber(key.id, out);
  absl::StrAppend(&out, View(packet.from), View(packet.to), View(packet.nonce));
  PutNumber(packet.process, out);
  PutNumber(packet.clock.term, out);
  PutNumber(packet.clock.version, out);
  for (std::size_t i = 0; i < claims; ++i) Put(packet.claims[i], out);
  if (HasClaims(packet.kind)) out.append((kMostClaims - claims) * kClaimSize, '\0');
  const auto mac = Hmac(key.secret, out);
  absl::StrAppend(&out, View(mac));
  return out;
}

absl::StatusOr<Opened> Open(absl::string_view bytes, const std::vector<sync::PeerKey>& keys, const Tag& self) {
  if ((bytes.size() != kProbeSize && bytes.size() != kClaimsSize) || bytes.substr(0, kMagic.size()) != kMagic) {
    return absl::InvalidArgumentError("no packet of an agent");
  }
  Opened out;
  Packet& packet = out.packet;
  Cursor in(bytes.substr(kMagic.size()));
  const auto kind = in.Number<std::uint8_t>();
  const auto flags = in.Number<std::uint8_t>();
  const auto claims = in.Number<std::uint8_t>();
  const auto zero = in.Number<std::uint8_t>();
  packet.kind = static_cast<Kind>(kind);
  const bool has_claims = HasClaims(packet.kind);
  if (kind < static_cast<std::uint8_t>(Kind::kPing) || kind > static_cast<std::uint8_t>(Kind::kTell) || zero != 0 ||
      (flags & ~(kLed | kHasState)) != 0 || (bytes.size() == kClaimsSize) != has_claims || claims > kMostClaims ||
      (claims > 0) != has_claims) {
    return absl::InvalidArgumentError("the head of a packet is not well formed");
  }
  packet.led = (flags & kLed) != 0;
  packet.has_state = (flags & kHasState) != 0;
  out.key_id = in.Number<std::uint64_t>();
  packet.from = in.Array<16>();
  packet.to = in.Array<16>();
  packet.nonce = in.Array<16>();
  packet.process = in.Number<std::uint64_t>();
  packet.clock.term = in.Number<std::uint64_t>();
  packet.clock.version = in.Number<std::uint64_t>();
  if (packet.to != self) return absl::NotFoundError("a packet for another node");
  const auto key = std::find_if(keys.begin(), keys.end(), [&](const auto& k) { return k.id == out.key_id; });
  if (key == keys.end()) return absl::NotFoundError(absl::StrCat("a packet with key ", out.key_id, ", unknown here"));
  const absl::string_view signed_part = bytes.substr(0, bytes.size() - kMacSize);
  const std::array<std::uint8_t, kMacSize> mac = Hmac(key->secret, signed_part);
  if (CRYPTO_memcmp(mac.data(), bytes.data() + signed_part.size(), kMacSize) != 0) {
    return absl::PermissionDeniedError("a packet that is not authentic");
  }
  for (std::size_t i = 0; i < claims; ++i) {
    absl::StatusOr<AddressClaim> claim = TakeClaim(in);
    if (!claim.ok()) return claim.status();
    packet.claims.push_back(*std::move(claim));
  }
  if (has_claims && in.Bytes((kMostClaims - claims) * kClaimSize).find_first_not_of('\0') != absl::string_view::npos) {
    return absl::InvalidArgumentError("a packet with more than its claims");
  }
  return out;
}

}  // namespace berth::agent::peer
