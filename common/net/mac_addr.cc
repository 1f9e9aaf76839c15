// SPDX-License-Identifier: Apache-2.0
#include "common/net/mac_addr.h"

#include <algorithm>
#include <cstddef>

#include "absl/status/status.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "common/net/quote.h"

namespace berth {
namespace {

// The value of one hexadecimal digit, or -1.
int HexDigit(char c) {
  if (c >= '0' && c <= '9') return c - '0';
  if (c >= 'a' && c <= 'f') return c - 'a' + 10;
  if (c >= 'A' && c <= 'F') return c - 'A' + 10;
  return -1;
}

}  // namespace

absl::StatusOr<MacAddr> MacAddr::Parse(absl::string_view text) {
  constexpr std::size_t kTextLength = 17;
  std::array<std::uint8_t, 6> bytes{};
  bool ok = text.size() == kTextLength;
  for (std::size_t i = 0; ok && i < bytes.size(); ++i) {
    const int high = HexDigit(text[3 * i]);
    const int low = HexDigit(text[3 * i + 1]);
    ok = high >= 0 && low >= 0 && (i + 1 == bytes.size() || text[3 * i + 2] == ':');
    bytes[i] = static_cast<std::uint8_t>((high << 4) | low);
  }
  if (!ok) {
    return absl::InvalidArgumentError(
        absl::StrCat(Quote(text), " is not a MAC address; write six hexadecimal pairs such as 02:00:5e:00:00:01"));
  }
  return MacAddr(bytes);
}

absl::StatusOr<MacAddr> MacAddr::FromBytes(absl::string_view bytes) {
  std::array<std::uint8_t, 6> out{};
  if (bytes.size() != out.size()) {
    return absl::InvalidArgumentError(absl::StrCat("a MAC address has 6 bytes, but ", bytes.size(), " were given"));
  }
  std::transform(bytes.begin(), bytes.end(), out.begin(), [](char c) { return static_cast<std::uint8_t>(c); });
  return MacAddr(out);
}

std::string MacAddr::ToBytes() const { return std::string(bytes_.begin(), bytes_.end()); }

std::string MacAddr::ToString() const {
  return absl::StrFormat("%02x:%02x:%02x:%02x:%02x:%02x", bytes_[0], bytes_[1], bytes_[2], bytes_[3], bytes_[4],
                         bytes_[5]);
}

}  // namespace berth
