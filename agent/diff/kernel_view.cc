// SPDX-License-Identifier: Apache-2.0
#include "agent/diff/kernel_view.h"

#include <algorithm>

namespace berth::agent {
namespace {

bool IsShared(const Link& link) { return link.name == kKubeInterface; }
bool IsOwn(const Link& link) { return link.name == kOwnInterface; }

bool FacesLan(const Link& link) {
  return link.ethernet && !link.loopback && link.master == 0 && !IsShared(link) && !IsOwn(link);
}

absl::flat_hash_map<IpAddr, std::string> OwnAddresses(const KernelState& state) {
  absl::flat_hash_map<IpAddr, std::string> own;
  for (const Link& link : state.links) {
    if (IsShared(link) || IsOwn(link)) continue;
    for (const LinkAddress& a : link.addresses) {
      if (!a.ours) own.emplace(a.cidr.address(), link.name);
    }
  }
  return own;
}

// With which address of its own the kernel may ask there. Link-local ones are every neighbour's neighbours, so they
// come first; but every veth of a pod has one too, so it takes another address to tell a LAN.
std::optional<IpAddr> Ipv6SourceOn(const Link& link) {
  std::optional<IpAddr> link_local, global;
  bool addressed = false;
  for (const LinkAddress& a : link.addresses) {
    const IpAddr& address = a.cidr.address();
    if (a.ours) continue;
    addressed = addressed || !address.is_link_local();
    if (address.is_v4() || a.tentative) continue;
    std::optional<IpAddr>& kind = address.is_link_local() ? link_local : global;
    if (!kind.has_value()) kind = address;
  }
  if (!addressed) return std::nullopt;
  return link_local.has_value() ? link_local : global;
}

Silence SilenceBesides(const KernelState& state, const absl::flat_hash_map<IpAddr, std::string>& own) {
  Silence silence;
  for (const Link& link : state.links) {
    for (const LinkAddress& a : link.addresses) {
      const IpAddr& address = a.cidr.address();
      if (!a.ours && !IsShared(link) && !IsOwn(link)) continue;
      if (!address.is_link_local() && !own.contains(address)) silence.addresses.insert(address);
    }
    if (!FacesLan(link)) continue;
    for (const LinkAddress& a : link.addresses) {
      if (a.ours || !a.cidr.address().is_v4()) continue;
      silence.rewrite.emplace(link.name, a.cidr.address());
      break;
    }
    if (const std::optional<IpAddr> source = Ipv6SourceOn(link)) silence.rewrite6.emplace(link.name, *source);
  }
  return silence;
}

}  // namespace

Silence SilenceFor(const KernelState& state) { return SilenceBesides(state, OwnAddresses(state)); }

std::vector<sync::InterfaceInfo> LanInterfaces(const KernelState& state) {
  std::vector<sync::InterfaceInfo> interfaces;
  for (const Link& link : state.links) {
    if (!FacesLan(link)) continue;
    sync::InterfaceInfo info;
    info.name = link.name;
    info.mac = link.mac;
    info.up = link.up && link.carrier;
    for (const LinkAddress& a : link.addresses) {
      if (!a.ours) info.prefixes.push_back(a.cidr);
    }
    info.gateways = link.gateways;
    info.routes = link.routes;
    std::stable_sort(info.routes.begin(), info.routes.end(),
                     [](const Cidr& a, const Cidr& b) { return a.length() < b.length(); });
    if (info.routes.size() > sync::kMaxRoutes) info.routes.resize(sync::kMaxRoutes);
    interfaces.push_back(std::move(info));
  }
  std::sort(interfaces.begin(), interfaces.end(), [](const auto& a, const auto& b) { return a.name < b.name; });
  return interfaces;
}

KernelView ViewOf(const KernelState& state, const std::optional<VipInterface>& vip) {
  KernelView view;
  view.own = OwnAddresses(state);
  view.silence = SilenceBesides(state, view.own);
  view.interfaces = LanInterfaces(state);
  for (const Link& link : state.links) {
    if (!link.mac.is_zero()) view.macs.insert(link.mac);
    for (const LinkAddress& a : link.addresses) {
      if (vip.has_value() && link.index == vip->index && a.delivered) view.on_vip.insert(a.cidr.address());
      if (a.ours) view.marked.push_back({link.index, IsOwn(link), a.cidr.address()});
    }
  }
  std::sort(view.marked.begin(), view.marked.end());
  return view;
}

}  // namespace berth::agent
