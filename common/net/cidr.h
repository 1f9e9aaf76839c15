// SPDX-License-Identifier: Apache-2.0
// common/net/cidr.h -- an address together with a prefix length, as an interface carries it (host bits are kept).
#ifndef BERTH_COMMON_NET_CIDR_H_
#define BERTH_COMMON_NET_CIDR_H_

#include <compare>
#include <ostream>
#include <string>

#include "common/net/ip_addr.h"

namespace berth {

class Cidr {
 public:
  Cidr() = default;
  // Errors: InvalidArgument when `length` is not within 0..FamilyBits.
  static absl::StatusOr<Cidr> Make(IpAddr address, int length);
  // "10.0.0.5/24", "2001:db8::/64". A bare address is refused. Errors: InvalidArgument, quoting `text`.
  static absl::StatusOr<Cidr> Parse(absl::string_view text);

  IpAddr address() const { return address_; }  // as given, host bits included
  int length() const { return length_; }
  IpAddr first() const;  // network address: host bits cleared
  IpAddr last() const;   // host bits set; the broadcast address for IPv4
  bool Contains(const IpAddr& address) const;
  std::string ToString() const;  // host bits kept

  friend std::strong_ordering operator<=>(const Cidr&, const Cidr&) = default;
  friend bool operator==(const Cidr&, const Cidr&) = default;
  friend std::ostream& operator<<(std::ostream& out, const Cidr& c) { return out << c.ToString(); }

 private:
  Cidr(IpAddr address, int length) : address_(address), length_(length) {}
  IpAddr address_;
  int length_ = 32;
};

}  // namespace berth

#endif  // BERTH_COMMON_NET_CIDR_H_
