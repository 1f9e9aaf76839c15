// SPDX-License-Identifier: Apache-2.0
// tests/unit/common/net/net_testing.h -- short ways to say addresses, ranges and sets in tests.
#ifndef BERTH_TESTS_UNIT_COMMON_NET_NET_TESTING_H_
#define BERTH_TESTS_UNIT_COMMON_NET_NET_TESTING_H_

#include <optional>
#include <string>

#include "common/net/ip_range.h"

namespace berth {

// Each of these aborts when `text` does not parse.
inline IpAddr Addr(absl::string_view text) { return IpAddr::Parse(text).value(); }
inline Cidr Prefix(absl::string_view text) { return Cidr::Parse(text).value(); }
inline IpRange Range(absl::string_view text) { return IpRange::Parse(text).value(); }
inline IpRangeSet Set(absl::string_view text) { return IpRangeSet::Parse(text).value(); }

inline std::string Text(const std::optional<IpAddr>& a) { return a.has_value() ? a->ToString() : "none"; }

// The message of an InvalidArgument error; says so when there is no error or another one.
template <typename T>
std::string Complaint(const absl::StatusOr<T>& result) {
  if (result.ok()) return "no error";
  if (result.status().code() != absl::StatusCode::kInvalidArgument) return "wrong code: " + result.status().ToString();
  return std::string(result.status().message());
}

}  // namespace berth

#endif  // BERTH_TESTS_UNIT_COMMON_NET_NET_TESTING_H_
