// SPDX-License-Identifier: Apache-2.0
#include "agent/effect/l2/group_membership.h"

#include <netinet/in.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>

#include "agent/effect/l2/ndp_packet.h"

namespace berth::agent {
namespace {

bool SetReported(int fd, int ifindex, const IpAddr& group, bool member) {
  ipv6_mreq request{};
  const std::array<std::uint8_t, 16> bytes = group.V6Bytes();
  std::copy(bytes.begin(), bytes.end(), request.ipv6mr_multiaddr.s6_addr);
  request.ipv6mr_interface = static_cast<unsigned>(ifindex);
  return setsockopt(fd, IPPROTO_IPV6, member ? IPV6_JOIN_GROUP : IPV6_LEAVE_GROUP, &request, sizeof request) == 0;
}

}  // namespace

std::vector<IpAddr> GroupsFor(const InterfaceTable& table) {
  std::vector<IpAddr> groups;
  for (const auto* addresses : {&table.answer, &table.watch}) {
    for (const IpAddr& address : *addresses) {
      if (address.is_v6()) groups.push_back(SolicitedNodeGroup(address));
    }
  }
  if (!groups.empty()) groups.push_back(AllNodesGroup());
  std::sort(groups.begin(), groups.end());
  groups.erase(std::unique(groups.begin(), groups.end()), groups.end());
  return groups;
}

GroupMembership::~GroupMembership() {
  for (const int fd : sockets_) close(fd);
}

// A socket that reports `group` from now on, or -1.
int GroupMembership::Report(const IpAddr& group) {
  const bool fits = !sockets_.empty() && SetReported(sockets_.back(), ifindex_, group, true);
  if (fits) return sockets_.back();
  if (!sockets_.empty() && errno != ENOBUFS && errno != ENOMEM) return -1;
  const int fd = socket(AF_INET6, SOCK_DGRAM | SOCK_CLOEXEC, 0);
  if (fd < 0) return -1;
  if (!SetReported(fd, ifindex_, group, true)) {
    close(fd);
    return -1;
  }
  sockets_.push_back(fd);
  return fd;
}

absl::Status GroupMembership::Set(const std::vector<IpAddr>& groups) {
  absl::Status first;
  std::erase_if(joined_, [&](const auto& each) {
    const auto& [group, fd] = each;
    if (std::binary_search(groups.begin(), groups.end(), group)) return false;
    pcap_.SetMembership(MacOfGroup(group), false).IgnoreError();  // an interface that is gone has forgotten it
    if (fd >= 0) SetReported(fd, ifindex_, group, false);
    return true;
  });
  for (const IpAddr& group : groups) {
    if (joined_.contains(group)) continue;
    if (const absl::Status s = pcap_.SetMembership(MacOfGroup(group), true); !s.ok()) {
      first.Update(s);
      continue;
    }
    joined_.emplace(group, Report(group));
  }
  return first;
}

}  // namespace berth::agent
