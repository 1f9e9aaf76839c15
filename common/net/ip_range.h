// SPDX-License-Identifier: Apache-2.0
// common/net/ip_range.h -- inclusive address ranges, sets of them, and the text forms of an Eip's `spec.address`.
//
//   IpRangeSet pool = *IpRangeSet::Parse("192.168.50.50-192.168.50.60, 10.0.0.0/30");
//   IpRangeSet free = pool;  free.Remove(taken);  free.First();   // O(log n) each
//
// A set stores ranges, never single addresses: an IPv6 /64 or an IPv4 /8 costs one node until it is carved up.
#ifndef BERTH_COMMON_NET_IP_RANGE_H_
#define BERTH_COMMON_NET_IP_RANGE_H_

#include <compare>
#include <cstddef>
#include <cstdint>
#include <map>
#include <optional>
#include <ostream>
#include <string>
#include <vector>

#include "common/net/cidr.h"
#include "common/net/ip_addr.h"

namespace berth {

// A count of addresses, exact from 0 to 2^128 (one more than uint128 holds).
class AddressCount {
 public:
  constexpr AddressCount() = default;
  constexpr explicit AddressCount(absl::uint128 n) : low_(n) {}
  static AddressCount TwoTo128();
  AddressCount& operator+=(const AddressCount& other);  // saturates at 2^128
  AddressCount& operator-=(const AddressCount& other);  // `other` must not be greater
  std::string ToString() const;                         // decimal
  std::int64_t SaturatedInt64() const;                  // at most 2^63-1: OpenELB's poolSize
  double ToDouble() const;
  bool is_zero() const { return low_ == 0 && !full_; }
  friend bool operator==(const AddressCount&, const AddressCount&) = default;
  friend std::strong_ordering operator<=>(const AddressCount& a, const AddressCount& b) {
    if (a.full_ != b.full_) return a.full_ <=> b.full_;
    if (a.low_ < b.low_) return std::strong_ordering::less;
    return b.low_ < a.low_ ? std::strong_ordering::greater : std::strong_ordering::equal;
  }

 private:
  absl::uint128 low_ = 0;
  bool full_ = false;  // true means 2^128, and low_ is 0
};

// first..last, both included, of one family, first <= last.
class IpRange {
 public:
  IpRange() = default;
  // Errors: InvalidArgument on mixed families or first after last (the message says which).
  static absl::StatusOr<IpRange> Make(IpAddr first, IpAddr last);
  static IpRange Of(const IpAddr& single) { return IpRange(single, single); }
  static IpRange Of(const Cidr& cidr) { return IpRange(cidr.first(), cidr.last()); }
  // One address, a CIDR, or "a-b"; blanks around each part are trimmed. Errors: InvalidArgument, quoting `text`.
  static absl::StatusOr<IpRange> Parse(absl::string_view text);

  IpAddr first() const { return first_; }
  IpAddr last() const { return last_; }
  Family family() const { return first_.family(); }
  AddressCount size() const;
  bool Contains(const IpAddr& a) const { return first_ <= a && a <= last_; }
  bool Overlaps(const IpRange& o) const { return first_ <= o.last_ && o.first_ <= last_; }
  // The address `offset` places after first(), or nullopt past the end; and back.
  std::optional<IpAddr> At(absl::uint128 offset) const;
  std::optional<absl::uint128> OffsetOf(const IpAddr& a) const;
  std::string ToString() const;  // "a" when single, else "a-b"

  friend bool operator==(const IpRange&, const IpRange&) = default;
  friend std::strong_ordering operator<=>(const IpRange&, const IpRange&) = default;
  friend std::ostream& operator<<(std::ostream& out, const IpRange& r) { return out << r.ToString(); }

 private:
  IpRange(IpAddr first, IpAddr last) : first_(first), last_(last) {}
  IpAddr first_, last_;
};

// A set of addresses kept as disjoint, merged ranges; families may be mixed. Add, Remove, Contains, First and
// NextAtOrAfter are O(log ranges); Remove of a large range costs the ranges it swallows.
class IpRangeSet {
 public:
  IpRangeSet() = default;
  // The forms of an Eip's spec.address: one IP, a CIDR, "a-b", or a comma list of them; blanks trimmed. All parts must
  // be of one family and must not overlap each other. Errors: InvalidArgument, quoting the bad part and saying why.
  static absl::StatusOr<IpRangeSet> Parse(absl::string_view text);

  void Add(const IpRange& range);
  void Add(const IpAddr& a) { Add(IpRange::Of(a)); }
  void Remove(const IpRange& range);
  void Remove(const IpAddr& a) { Remove(IpRange::Of(a)); }
  void Add(const IpRangeSet& other);
  void Remove(const IpRangeSet& other);

  bool empty() const { return ranges_.empty(); }
  bool Contains(const IpAddr& a) const;
  bool ContainsAll(const IpRange& r) const;
  bool Overlaps(const IpRange& r) const;
  bool Overlaps(const IpRangeSet& other) const;
  std::optional<IpAddr> First() const;
  std::optional<IpAddr> Last() const;
  // The lowest member at or after `a` in the order of IpAddr.
  std::optional<IpAddr> NextAtOrAfter(const IpAddr& a) const;
  AddressCount size() const;  // O(ranges)
  std::size_t range_count() const { return ranges_.size(); }
  std::vector<IpRange> ranges() const;
  std::string ToString() const;  // comma list, sorted
  friend bool operator==(const IpRangeSet&, const IpRangeSet&) = default;

 private:
  std::map<IpAddr, IpAddr> ranges_;  // first -> last
};

}  // namespace berth

#endif  // BERTH_COMMON_NET_IP_RANGE_H_
