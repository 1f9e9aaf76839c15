// SPDX-License-Identifier: Apache-2.0
// common/base/host_port.h -- the ADDR:PORT and HOST:PORT values of flags.
//
//   HostPort listen = *ParseListenAddress(":8080");                 // host "" means all addresses
//   std::vector<HostPort> to = *ParseTargets("a.example:7443,[fd00::1]:7443");
#ifndef BERTH_COMMON_BASE_HOST_PORT_H_
#define BERTH_COMMON_BASE_HOST_PORT_H_

#include <compare>
#include <cstdint>
#include <ostream>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"

namespace berth {

struct HostPort {
  std::string host;        // a name, an IPv4 or an IPv6 address without brackets; "" for all addresses
  std::uint16_t port = 0;  // 0: the kernel chooses (listeners only)

  std::string ToString() const;  // IPv6 in brackets; "" stays empty: ":8080"
  // What gRPC's AddListeningPort takes: like ToString, but "[::]:8080" (both families) where host is empty.
  std::string ToGrpcListen() const;
  friend bool operator==(const HostPort&, const HostPort&) = default;
  friend auto operator<=>(const HostPort&, const HostPort&) = default;
  friend std::ostream& operator<<(std::ostream& out, const HostPort& h) { return out << h.ToString(); }
};

// A listener: "ADDR:PORT", ":PORT" or "[V6]:PORT"; port 0 is allowed.
// Errors of all three: InvalidArgument, quoting `text` and saying what is wrong with it.
absl::StatusOr<HostPort> ParseListenAddress(absl::string_view text);
// Somebody to dial: host and a port from 1 to 65535 are required.
absl::StatusOr<HostPort> ParseTarget(absl::string_view text);
// A comma list of at least one target; blanks around each are trimmed; doubles are refused.
absl::StatusOr<std::vector<HostPort>> ParseTargets(absl::string_view text);

// Whether `host` never leaves this machine: "localhost", 127.0.0.0/8, ::1. Other names and "" do not count; no lookup.
bool IsLoopback(absl::string_view host);

}  // namespace berth

#endif  // BERTH_COMMON_BASE_HOST_PORT_H_
