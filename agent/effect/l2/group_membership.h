// SPDX-License-Identifier: Apache-2.0
// agent/effect/l2/group_membership.h -- the multicast groups that one capture takes in, for IPv6 neighbours ask by
// multicast.
//
// A network card drops groups nobody has joined, and a switch that listens to MLD does not even forward them (RFC 4291
// section 2.8 and RFC 4862 section 5.4.2 ask for joining before an address is used or probed). The packet socket opens
// the card; a plain IPv6 socket has the kernel report the group to switches, where the interface speaks IPv6 at all.
//
//   membership.Aim(GroupsFor(table));
//   while (!*membership.Approach(20)) ...   // elsewhere, when there are many
//
// The kernel keeps groups in lists, so joining a few takes microseconds each and thousands a quarter of a second.
#ifndef BERTH_AGENT_EFFECT_L2_GROUP_MEMBERSHIP_H_
#define BERTH_AGENT_EFFECT_L2_GROUP_MEMBERSHIP_H_

#include <cstddef>
#include <map>
#include <mutex>
#include <vector>

#include "absl/status/statusor.h"
#include "agent/effect/l2/frame_port.h"
#include "agent/effect/l2/pcap_handle.h"
#include "common/net/ip_addr.h"

namespace berth::agent {

// The groups in which somebody may speak to or of an IPv6 address in the table: all nodes, and each address's own.
// Sorted; empty when there is no IPv6 address. Pure.
std::vector<IpAddr> GroupsFor(const InterfaceTable& table);

// Any thread.
class GroupMembership {
 public:
  // `pcap`, open on interface number `ifindex`, is borrowed.
  GroupMembership(const PcapHandle& pcap, int ifindex) : pcap_(pcap), ifindex_(ifindex) {}
  ~GroupMembership();  // leaves all for switches; the capture leaves them with its own end
  GroupMembership(const GroupMembership&) = delete;
  GroupMembership& operator=(const GroupMembership&) = delete;

  // Exactly these groups, sorted, are to be joined.
  void Aim(std::vector<IpAddr> groups);
  // Leaves and joins at most `steps` groups; true when nothing is left to do. Errors: as PcapHandle::SetMembership; a
  // kernel that does not report a group is none.
  absl::StatusOr<bool> Approach(std::size_t steps);
  // The capture is about to be closed: from now on nothing is left to do.
  void GiveUp();

 private:
  int Report(const IpAddr& group);

  const PcapHandle& pcap_;
  const int ifindex_;
  std::mutex mutex_;  // guards what follows
  bool given_up_ = false;
  std::vector<IpAddr> aim_;
  std::map<IpAddr, int> joined_;  // the socket that reports it, -1 where none does
  std::vector<int> sockets_;      // each can bear only so many groups (sysctl net.core.optmem_max)
};

}  // namespace berth::agent

#endif  // BERTH_AGENT_EFFECT_L2_GROUP_MEMBERSHIP_H_
