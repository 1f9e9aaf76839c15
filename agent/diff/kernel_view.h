// SPDX-License-Identifier: Apache-2.0
// agent/diff/kernel_view.h -- one kernel state, looked at from Berth's side: what is ours, what is the node's. Pure.
#ifndef BERTH_AGENT_DIFF_KERNEL_VIEW_H_
#define BERTH_AGENT_DIFF_KERNEL_VIEW_H_

#include <map>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "absl/container/flat_hash_map.h"
#include "absl/container/flat_hash_set.h"
#include "agent/effect/kernel/kernel.h"
#include "common/sync/messages.h"

namespace berth::agent {

inline constexpr char kKubeInterface[] = "kube-ipvs0";  // kube-proxy's, in IPVS mode
inline constexpr char kOwnInterface[] = "berth0";       // ours

// An address that carries our mark.
struct MarkedAddress {
  int ifindex = 0;
  bool own_interface = false;  // on an interface that is Berth's alone
  IpAddr address;
  friend auto operator<=>(const MarkedAddress&, const MarkedAddress&) = default;
};

struct KernelView {
  // The node's own: unmarked, on any interface but kube-ipvs0 and berth0. Never made local, silenced or removed by us.
  absl::flat_hash_map<IpAddr, std::string> own;  // -> name of the interface
  absl::flat_hash_set<IpAddr> on_vip;            // at work on the VIP interface, whoever put it there
  std::vector<MarkedAddress> marked;             // on any interface, sorted
  // What the kernel must keep quiet about as things are, and with which sender it asks instead. See SilenceFor.
  Silence silence;
  std::vector<sync::InterfaceInfo> interfaces;  // what Hello and Report list, by name
  absl::flat_hash_set<MacAddr> macs;            // every link's: who speaks with one of them is this node
};

KernelView ViewOf(const KernelState& state, const std::optional<VipInterface>& vip);

// Present on kube-ipvs0 (whoever put it there) or berth0, or marked as ours anywhere; minus what the node itself owns
// and link-local addresses. `rewrite` has each interface that talks to a LAN and has an IPv4 address of its own;
// `rewrite6` each that has an IPv6 address in use, and one of either family that is not link-local.
Silence SilenceFor(const KernelState& state);

// The node's interfaces towards LANs: Ethernet, no loopback, no port of a bridge or bond, neither kube-ipvs0 nor
// berth0. Prefixes without our addresses.
std::vector<sync::InterfaceInfo> LanInterfaces(const KernelState& state);

}  // namespace berth::agent

#endif  // BERTH_AGENT_DIFF_KERNEL_VIEW_H_
