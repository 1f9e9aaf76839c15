// SPDX-License-Identifier: Apache-2.0
#include "common/base/host_port.h"

#include <arpa/inet.h>

#include <algorithm>
#include <array>

#include "absl/status/status.h"
#include "absl/strings/ascii.h"
#include "absl/strings/match.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "common/base/status_macros.h"

namespace berth {
namespace {

absl::Status Bad(absl::string_view text, absl::string_view why) {
  return absl::InvalidArgumentError(absl::StrCat("\"", text, "\": ", why));
}

// inet_pton would take what comes before a NUL for the whole.
bool HasNul(const std::string& host) { return host.find('\0') != std::string::npos; }

bool IsIpv6(const std::string& host) {
  std::array<unsigned char, 16> bytes{};
  return !HasNul(host) && ::inet_pton(AF_INET6, host.c_str(), bytes.data()) == 1;
}

bool IsName(absl::string_view host) {
  return host.size() <= 253 && std::all_of(host.begin(), host.end(), [](char c) {
           return absl::ascii_isalnum(static_cast<unsigned char>(c)) || c == '.' || c == '-' || c == '_';
         });
}

// A last label of digits only is no host name (RFC 1123, 2.1), so such text is meant as an IPv4 address.
bool LooksLikeIpv4(absl::string_view host) {
  const std::size_t dot = host.rfind('.');
  const absl::string_view last = dot == absl::string_view::npos ? host : host.substr(dot + 1);
  return !last.empty() && std::all_of(last.begin(), last.end(), [](char c) { return c >= '0' && c <= '9'; });
}

bool IsIpv4(const std::string& host) {
  in_addr address{};
  return !HasNul(host) && ::inet_pton(AF_INET, host.c_str(), &address) == 1;
}

absl::StatusOr<HostPort> Parse(absl::string_view text) {
  const std::size_t colon = text.rfind(':');
  if (colon == absl::string_view::npos) return Bad(text, "has no port, write ADDRESS:PORT");
  const absl::string_view port_text = text.substr(colon + 1);
  absl::string_view host = text.substr(0, colon);
  HostPort result;
  if (absl::StartsWith(host, "[")) {
    if (!absl::EndsWith(host, "]")) return Bad(text, "has no port after the bracket, write [ADDRESS]:PORT");
    result.host = std::string(host.substr(1, host.size() - 2));
    if (!IsIpv6(result.host)) return Bad(text, "what is in brackets is not an IPv6 address");
  } else {
    if (absl::StrContains(host, ':')) return Bad(text, "an IPv6 address needs brackets, write [ADDRESS]:PORT");
    if (!IsName(host)) return Bad(text, "host is neither an address nor a name");
    result.host = std::string(host);
    if (LooksLikeIpv4(host) && !IsIpv4(result.host)) return Bad(text, "host is not an IPv4 address");
  }
  std::uint32_t port = 0;
  const bool digits = !port_text.empty() &&
                      std::all_of(port_text.begin(), port_text.end(), [](char c) { return c >= '0' && c <= '9'; });
  if (!digits || !absl::SimpleAtoi(port_text, &port) || port > 65535) {
    return Bad(text, absl::StrCat("port \"", port_text, "\" is not a number from 0 to 65535"));
  }
  result.port = static_cast<std::uint16_t>(port);
  return result;
}

}  // namespace

std::string HostPort::ToString() const {
  return absl::StrContains(host, ':') ? absl::StrCat("[", host, "]:", port) : absl::StrCat(host, ":", port);
}

std::string HostPort::ToGrpcListen() const { return host.empty() ? absl::StrCat("[::]:", port) : ToString(); }

absl::StatusOr<HostPort> ParseListenAddress(absl::string_view text) { return Parse(text); }

absl::StatusOr<HostPort> ParseTarget(absl::string_view text) {
  ASSIGN_OR_RETURN(HostPort target, Parse(text));
  if (target.host.empty()) return Bad(text, "has no host, write HOST:PORT");
  if (target.port == 0) return Bad(text, "port 0 cannot be dialled");
  return target;
}

absl::StatusOr<std::vector<HostPort>> ParseTargets(absl::string_view text) {
  std::vector<HostPort> targets;
  for (absl::string_view part : absl::StrSplit(text, ',')) {
    part = absl::StripAsciiWhitespace(part);
    if (part.empty()) return Bad(text, "has an empty entry, write HOST:PORT[,HOST:PORT]");
    ASSIGN_OR_RETURN(HostPort target, ParseTarget(part));
    if (std::find(targets.begin(), targets.end(), target) != targets.end()) {
      return Bad(text, absl::StrCat("names ", target.ToString(), " twice"));
    }
    targets.push_back(std::move(target));
  }
  return targets;
}

bool IsLoopback(absl::string_view host) {
  if (absl::EqualsIgnoreCase(host, "localhost")) return true;
  const std::string text(host);
  if (IsIpv4(text)) return absl::StartsWith(text, "127.");
  in6_addr address{};
  return !HasNul(text) && ::inet_pton(AF_INET6, text.c_str(), &address) == 1 && IN6_IS_ADDR_LOOPBACK(&address);
}

}  // namespace berth
