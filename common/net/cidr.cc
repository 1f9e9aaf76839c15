// SPDX-License-Identifier: Apache-2.0
#include "common/net/cidr.h"

#include "absl/status/status.h"
#include "absl/strings/ascii.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "common/net/quote.h"

namespace berth {
namespace {

// The host bits of a prefix, all set.
absl::uint128 HostMask(Family family, int length) {
  const int host_bits = FamilyBits(family) - length;
  if (host_bits == 128) return absl::Uint128Max();  // a shift by the full width is undefined
  return (absl::uint128(1) << host_bits) - 1;
}

// Digits without sign, blank or leading zero; whether the family has that length is for the caller to say.
bool ParseLength(absl::string_view text, int* length) {
  if (text.empty() || (text.size() > 1 && text[0] == '0')) return false;
  for (const char c : text) {
    if (!absl::ascii_isdigit(static_cast<unsigned char>(c))) return false;
  }
  return absl::SimpleAtoi(text, length);
}

absl::Status BadLength(Family family, absl::string_view given) {
  const absl::string_view hint =
      IpAddr::Parse(given).ok() ? "; write a prefix length such as /24 in place of a netmask" : "";
  return absl::InvalidArgumentError(absl::StrCat("prefix length ", Quote(given), " is not a number from 0 to ",
                                                 FamilyBits(family), " (", FamilyName(family), ")", hint));
}

}  // namespace

absl::StatusOr<Cidr> Cidr::Make(IpAddr address, int length) {
  if (length < 0 || length > FamilyBits(address.family())) return BadLength(address.family(), absl::StrCat(length));
  return Cidr(address, length);
}

absl::StatusOr<Cidr> Cidr::Parse(absl::string_view text) {
  const auto invalid = [text](absl::string_view why) {
    return absl::InvalidArgumentError(absl::StrCat(Quote(text), ": ", why));
  };
  const auto slash = text.find('/');
  if (slash == absl::string_view::npos) return invalid("a prefix length is missing, as in 192.0.2.0/24");
  const auto address = IpAddr::Parse(text.substr(0, slash));
  if (!address.ok()) return invalid(address.status().message());
  int length = 0;
  const absl::string_view length_text = text.substr(slash + 1);
  if (!ParseLength(length_text, &length)) return invalid(BadLength(address->family(), length_text).message());
  auto cidr = Make(*address, length);
  if (!cidr.ok()) return invalid(cidr.status().message());
  return cidr;
}

IpAddr Cidr::first() const {
  const Family family = address_.family();
  return IpAddr::FromNumber(family, address_.number() & ~HostMask(family, length_));
}

IpAddr Cidr::last() const {
  const Family family = address_.family();
  return IpAddr::FromNumber(family, address_.number() | HostMask(family, length_));
}

bool Cidr::Contains(const IpAddr& address) const { return first() <= address && address <= last(); }

std::string Cidr::ToString() const { return absl::StrCat(address_.ToString(), "/", length_); }

}  // namespace berth
