// SPDX-License-Identifier: Apache-2.0
#include "common/net/ip_range.h"

#include <cassert>
#include <cmath>
#include <limits>
#include <sstream>

#include "absl/status/status.h"
#include "absl/strings/ascii.h"
#include "absl/strings/str_cat.h"
#include "common/net/quote.h"

namespace berth {
namespace {

// The refusal of `text`, quoted, because of `why`.
absl::Status About(absl::string_view text, absl::string_view why) {
  return absl::InvalidArgumentError(absl::StrCat(Quote(text), ": ", why));
}

// "first-last", blanks around both allowed.
absl::StatusOr<IpRange> ParseEnds(absl::string_view text, absl::string_view::size_type dash) {
  if (text.find('-', dash + 1) != absl::string_view::npos) {
    return About(text, "a range has two ends, as in 192.0.2.10-192.0.2.20");
  }
  const auto first = IpAddr::Parse(absl::StripAsciiWhitespace(text.substr(0, dash)));
  if (!first.ok()) return About(text, absl::StrCat("start ", first.status().message()));
  const auto last = IpAddr::Parse(absl::StripAsciiWhitespace(text.substr(dash + 1)));
  if (!last.ok()) return About(text, absl::StrCat("end ", last.status().message()));
  auto range = IpRange::Make(*first, *last);
  if (!range.ok()) return About(text, range.status().message());
  return range;
}

}  // namespace

AddressCount AddressCount::TwoTo128() {
  AddressCount count;
  count.full_ = true;
  return count;
}

AddressCount& AddressCount::operator+=(const AddressCount& other) {
  const absl::uint128 sum = low_ + other.low_;
  const bool full = full_ || other.full_ || sum < low_;
  *this = full ? TwoTo128() : AddressCount(sum);
  return *this;
}

AddressCount& AddressCount::operator-=(const AddressCount& other) {
  assert(other <= *this);
  // 2^128 is 0 in low_, so the subtraction modulo 2^128 is right for it, too.
  full_ = full_ && other.is_zero();
  low_ -= other.low_;
  return *this;
}

std::string AddressCount::ToString() const {
  if (full_) return "340282366920938463463374607431768211456";
  std::ostringstream out;
  out << low_;
  return out.str();
}

std::int64_t AddressCount::SaturatedInt64() const {
  constexpr std::int64_t kMost = std::numeric_limits<std::int64_t>::max();
  if (full_ || low_ > absl::uint128(kMost)) return kMost;
  return static_cast<std::int64_t>(low_);
}

double AddressCount::ToDouble() const { return full_ ? std::ldexp(1.0, 128) : static_cast<double>(low_); }

absl::StatusOr<IpRange> IpRange::Make(IpAddr first, IpAddr last) {
  if (first.family() != last.family()) {
    return absl::InvalidArgumentError(absl::StrCat("start ", first.ToString(), " is ", FamilyName(first.family()),
                                                   " but end ", last.ToString(), " is ", FamilyName(last.family())));
  }
  if (first > last) {
    return absl::InvalidArgumentError(absl::StrCat("start ", first.ToString(), " is after end ", last.ToString()));
  }
  return IpRange(first, last);
}

absl::StatusOr<IpRange> IpRange::Parse(absl::string_view text) {
  const absl::string_view trimmed = absl::StripAsciiWhitespace(text);
  if (trimmed.empty()) return About(text, "an address is missing");
  const auto dash = trimmed.find('-');
  if (dash != absl::string_view::npos) return ParseEnds(trimmed, dash);
  if (trimmed.find('/') != absl::string_view::npos) {
    const auto cidr = Cidr::Parse(trimmed);
    if (!cidr.ok()) return cidr.status();
    return Of(*cidr);
  }
  const auto single = IpAddr::Parse(trimmed);
  if (!single.ok()) return single.status();
  return Of(*single);
}

AddressCount IpRange::size() const {
  AddressCount count(last_.number() - first_.number());
  count += AddressCount(1);
  return count;
}

std::optional<IpAddr> IpRange::At(absl::uint128 offset) const {
  if (offset > last_.number() - first_.number()) return std::nullopt;
  return IpAddr::FromNumber(family(), first_.number() + offset);
}

std::optional<absl::uint128> IpRange::OffsetOf(const IpAddr& a) const {
  if (!Contains(a)) return std::nullopt;
  return a.number() - first_.number();
}

std::string IpRange::ToString() const {
  if (first_ == last_) return first_.ToString();
  return absl::StrCat(first_.ToString(), "-", last_.ToString());
}

}  // namespace berth
