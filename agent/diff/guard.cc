// SPDX-License-Identifier: Apache-2.0
#include "agent/diff/guard.h"

#include <netinet/in.h>

#include <algorithm>
#include <optional>

namespace berth::agent {
namespace {

std::optional<std::uint8_t> NumberOf(const std::string& protocol) {
  if (protocol == "TCP") return IPPROTO_TCP;
  if (protocol == "UDP") return IPPROTO_UDP;
  if (protocol == "SCTP") return IPPROTO_SCTP;
  return std::nullopt;
}

}  // namespace

void Guard(const sync::Assignment& assignment, Silence& silence) {
  if (assignment.services.empty()) return;
  silence.guarded.push_back(assignment.address);
  const auto first = static_cast<std::ptrdiff_t>(silence.open.size());
  for (const sync::ServiceRef& service : assignment.services) {
    for (const sync::PortRef& port : service.ports) {
      if (const auto number = NumberOf(port.protocol)) {
        silence.open.push_back({.address = assignment.address, .protocol = *number, .port = port.port});
      }
    }
  }
  const auto begin = silence.open.begin() + first;
  std::sort(begin, silence.open.end());
  silence.open.erase(std::unique(begin, silence.open.end()), silence.open.end());
}

}  // namespace berth::agent
