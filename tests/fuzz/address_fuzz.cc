// SPDX-License-Identifier: Apache-2.0
// Texts that name addresses, from manifests, flags and messages: the parsers take what the C library takes, what they
// take prints and reads back as the same, and what they refuse they refuse with words that are safe to show.
#include <arpa/inet.h>

#include <algorithm>
#include <array>
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <string>

#include "common/base/host_port.h"
#include "common/net/cidr.h"
#include "common/net/ip_range.h"
#include "common/net/mac_addr.h"

namespace berth {
namespace {

void Require(bool holds) {
  if (!holds) std::abort();
}

void CheckRefusal(const absl::Status& status) {
  Require(status.code() == absl::StatusCode::kInvalidArgument && !status.message().empty());
  const absl::string_view words = status.message();
  Require(std::all_of(words.begin(), words.end(), [](char c) { return c >= ' ' && c <= '~'; }));
}

bool Mapped(const IpAddr& a) { return a.is_v6() && (a.number() >> 32) == 0xffff; }

// Whether printing gives a text that is read. Ranges may end at an IPv4-mapped address, whose text is refused; an Eip
// may not (plan/validate.h).
template <typename T>
bool Readable(const T&) {
  return true;
}
bool Readable(const IpRange& range) { return !Mapped(range.first()) && !Mapped(range.last()); }
bool Readable(const IpRangeSet& set) {
  const std::vector<IpRange> ranges = set.ranges();
  return std::all_of(ranges.begin(), ranges.end(), [](const IpRange& range) { return Readable(range); });
}

// T::Parse of `text`; what it takes survives being printed.
template <typename T>
absl::StatusOr<T> Checked(const std::string& text) {
  const absl::StatusOr<T> value = T::Parse(text);
  if (!value.ok()) {
    CheckRefusal(value.status());
    return value;
  }
  if (!Readable(*value)) return value;
  const absl::StatusOr<T> again = T::Parse(value->ToString());
  Require(again.ok() && *again == *value && again->ToString() == value->ToString());
  return value;
}

void CheckAddress(const std::string& text) {
  const absl::StatusOr<IpAddr> address = Checked<IpAddr>(text);
  std::array<unsigned char, 16> bytes{};
  const bool whole = text.find('\0') == std::string::npos;  // the C library would stop there
  const bool v4 = whole && inet_pton(AF_INET, text.c_str(), bytes.data()) == 1;
  const bool v6 = whole && !v4 && inet_pton(AF_INET6, text.c_str(), bytes.data()) == 1;
  const bool mapped = v6 && IN6_IS_ADDR_V4MAPPED(reinterpret_cast<const in6_addr*>(bytes.data()));
  Require(address.ok() == (v4 || (v6 && !mapped)));
  if (!address.ok()) return;
  Require(address->is_v4() == v4);
  Require(address->ToBytes() == std::string(bytes.begin(), bytes.begin() + (v4 ? 4 : 16)));
}

void CheckPrefix(const std::string& text) {
  const absl::StatusOr<Cidr> cidr = Checked<Cidr>(text);
  if (!cidr.ok()) return;
  Require(cidr->Contains(cidr->address()) && cidr->first() <= cidr->last());
  Require(!cidr->first().Prev() || !cidr->Contains(*cidr->first().Prev()));
  Require(!cidr->last().Next() || !cidr->Contains(*cidr->last().Next()));
  const absl::StatusOr<IpRange> range = IpRange::Parse(text);
  Require(range.ok() && range->first() == cidr->first() && range->last() == cidr->last());
}

void CheckRanges(const std::string& text) {
  const absl::StatusOr<IpRange> one = Checked<IpRange>(text);
  const absl::StatusOr<IpRangeSet> set = Checked<IpRangeSet>(text);
  if (one.ok()) Require(set.ok() && set->range_count() == 1 && set->ranges().front() == *one);
  if (!set.ok()) return;
  AddressCount sum;
  for (const IpRange& range : set->ranges()) {
    Require(set->ContainsAll(range) && range.family() == set->First()->family());
    Require(!range.last().Next() || !set->Contains(*range.last().Next()));  // merged with no neighbour
    sum += range.size();
  }
  Require(!set->empty() && sum == set->size());
  IpRangeSet none = *set;
  none.Remove(*set);
  Require(none.empty() && none.size().is_zero());
}

void CheckHostPorts(const std::string& text) {
  const absl::StatusOr<HostPort> listen = ParseListenAddress(text);
  const absl::StatusOr<HostPort> target = ParseTarget(text);
  if (listen.ok()) Require(ParseListenAddress(listen->ToString()).value() == *listen);
  if (target.ok()) Require(listen.ok() && *listen == *target && !target->host.empty() && target->port != 0);
  const absl::StatusOr<std::vector<HostPort>> targets = ParseTargets(text);
  if (target.ok()) Require(targets.ok() && targets->size() == 1 && targets->front() == *target);
  if (!targets.ok()) return;
  std::string joined;
  for (const HostPort& one : *targets) joined += (joined.empty() ? "" : ",") + one.ToString();
  Require(ParseTargets(joined).value() == *targets);
}

}  // namespace
}  // namespace berth

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const std::string text(reinterpret_cast<const char*>(data), size);
  berth::CheckAddress(text);
  berth::CheckPrefix(text);
  berth::CheckRanges(text);
  berth::CheckHostPorts(text);
  static_cast<void>(berth::Checked<berth::MacAddr>(text));
  return 0;
}
