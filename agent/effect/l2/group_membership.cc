// SPDX-License-Identifier: Apache-2.0
#include "agent/effect/l2/group_membership.h"

#include <netinet/in.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <utility>

#include "agent/effect/l2/ndp_packet.h"
#include "common/base/status_macros.h"

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

void GroupMembership::Aim(std::vector<IpAddr> groups) {
  const std::lock_guard<std::mutex> lock(mutex_);
  aim_ = std::move(groups);
}

void GroupMembership::GiveUp() {
  const std::lock_guard<std::mutex> lock(mutex_);
  given_up_ = true;
}

absl::StatusOr<bool> GroupMembership::Approach(std::size_t steps) {
  const std::lock_guard<std::mutex> lock(mutex_);
  if (given_up_) return true;
  for (auto it = joined_.begin(); it != joined_.end();) {
    const auto& [group, fd] = *it;
    if (std::binary_search(aim_.begin(), aim_.end(), group)) {
      ++it;
      continue;
    }
    if (steps-- == 0) return false;
    pcap_.SetMembership(MacOfGroup(group), false).IgnoreError();  // an interface that is gone has forgotten it
    if (fd >= 0) SetReported(fd, ifindex_, group, false);
    it = joined_.erase(it);
  }
  for (const IpAddr& group : aim_) {
    if (joined_.contains(group)) continue;
    if (steps-- == 0) return false;
    RETURN_IF_ERROR(pcap_.SetMembership(MacOfGroup(group), true));
    joined_.emplace(group, Report(group));
  }
  return true;
}

}  // namespace berth::agent
