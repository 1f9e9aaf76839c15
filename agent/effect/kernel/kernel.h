// SPDX-License-Identifier: Apache-2.0
// agent/effect/kernel/kernel.h -- the seam to the node's kernel: links, addresses, and the silence of its ARP and its
// neighbour discovery.
//
// Two implementations: LinuxKernel (linux_kernel.h: libnl-3 and libnftnl) and FakeKernel (tests/fakes). All methods are
// for the loop thread; the observer is called on the loop thread. Nothing here polls: changes come by netlink.
#ifndef BERTH_AGENT_EFFECT_KERNEL_KERNEL_H_
#define BERTH_AGENT_EFFECT_KERNEL_KERNEL_H_

#include <compare>
#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "common/net/cidr.h"
#include "common/net/ip_addr.h"
#include "common/net/mac_addr.h"

namespace berth::agent {

struct LinkAddress {
  Cidr cidr{};
  bool ours = false;  // carries Berth's mark (IFA_PROTO 0xBE): put there by an agent, this one or an earlier one
  // IPv6: the kernel is still finding out whether somebody else has it, or has found somebody, and does not use it.
  bool tentative = false;
  // False: an IPv6 address whose local route the kernel has not made yet, or has lost. What comes for it is thrown
  // away.
  bool delivered = true;
  friend bool operator==(const LinkAddress&, const LinkAddress&) = default;
};

struct Link {
  int index = 0;
  std::string name{};
  MacAddr mac{};
  bool up = false;       // IFF_UP
  bool carrier = false;  // IFF_LOWER_UP / IFF_RUNNING
  bool loopback = false;
  bool ethernet = true;                  // ARPHRD_ETHER and not IFF_NOARP
  int master = 0;                        // index of the bridge or bond it is a port of, 0 if none
  std::vector<LinkAddress> addresses{};  // sorted
  std::vector<IpAddr> gateways{};        // next hops of routes through this link, sorted
  std::vector<Cidr> routes{};            // destinations of those of the main table for which no link is better, sorted
  friend bool operator==(const Link&, const Link&) = default;
};

// All links of the node's network namespace at one moment, ordered by index.
struct KernelState {
  std::vector<Link> links;
  const Link* Find(const std::string& name) const;
  const Link* Find(int index) const;
  friend bool operator==(const KernelState&, const KernelState&) = default;
};

// A port that Services declare on an address.
struct OpenPort {
  IpAddr address{};
  std::uint8_t protocol = 0;  // IPPROTO_TCP, ...
  std::uint16_t port = 0;
  friend auto operator<=>(const OpenPort&, const OpenPort&) = default;
};

// What the kernel must keep quiet about, and what it must keep shut. Held in nftables tables of our own (`berth`,
// families arp, ip6 and inet), which need CAP_NET_ADMIN only and outlive the process.
struct Silence {
  // ARP requests and neighbour solicitations for these are dropped before the kernel sees them (capture sees them).
  std::set<IpAddr> addresses{};
  // Interface name -> the node's own IPv4 address there. ARP requests the kernel itself sends through that interface
  // with one of `addresses` as sender get this sender instead; where there is none, they are dropped.
  std::map<std::string, IpAddr> rewrite{};
  // The same for IPv6: neighbour solicitations that the kernel itself sends from one of `addresses`.
  std::map<std::string, IpAddr> rewrite6{};
  // What comes for one of these and not by a port in `open` is dropped, except ICMP and answers to what the node itself
  // began: else a port of the node's own that is bound to all addresses could be reached through it. Both are sorted,
  // nothing twice.
  std::vector<IpAddr> guarded{};
  std::vector<OpenPort> open{};
  // What is there already besides stays. For whoever does not know yet all that shall be there, while another agent of
  // this node does.
  bool keep_others = false;
  friend bool operator==(const Silence&, const Silence&) = default;
};

// The interface on which addresses are made local.
struct VipInterface {
  int index = 0;
  std::string name{};
  bool own = false;           // created by Berth: nobody else's addresses are on it
  std::string description{};  // how it was chosen, for the log: "bridge without ports (this kernel has no dummy)"
};

class Kernel {
 public:
  class Observer {
   public:
    virtual ~Observer() = default;
    // After Start and after every change that alters the state, coalesced per turn of the loop.
    virtual void OnKernelState(std::shared_ptr<const KernelState> state) = 0;
    // Somebody changed or flushed our nftables tables (never called for our own changes).
    virtual void OnSilenceDisturbed() = 0;
  };
  virtual ~Kernel() = default;

  // Subscribes, then dumps, and calls the observer with the first state before returning.
  virtual absl::Status Start(Observer& observer) = 0;
  // `rule` is --vip-interface: "auto" (kube-ipvs0 when present, else our own berth0), "none", or a name. nullopt for
  // "none". Creates and raises berth0 (dummy, else a bridge without ports) when it is to be ours.
  // Errors: NotFound when a named interface is absent.
  virtual absl::StatusOr<std::optional<VipInterface>> EnsureVipInterface(const std::string& rule) = 0;
  // Adds address/32 (/128) with our mark. OK when the interface has the address already, whoever put it there.
  virtual absl::Status AddAddress(int ifindex, const IpAddr& address) = 0;
  // Calls `done` once the node takes in what comes for an IPv6 address that AddAddress has added, on whatever
  // interface: maybe before this returns, and not after the kernel's end. Linux takes an address first, and then a
  // worker of it makes the route that delivers. Errors: DeadlineExceeded when that takes seconds.
  virtual void AwaitDelivery(const IpAddr& address, std::function<void(const absl::Status&)> done) = 0;
  // Removes it if it carries our mark; OK when absent. Errors: FailedPrecondition when it is somebody else's.
  virtual absl::Status RemoveAddress(int ifindex, const IpAddr& address) = 0;
  // Makes tables, chains, rules and sets be exactly this, in one transaction, however they look now.
  // Errors: Unimplemented when the kernel has no nftables arp family, or none for IPv6 and an address that needs it
  // (the message names the cure).
  virtual absl::Status ApplySilence(const Silence& silence) = 0;
  // OK, or why the last ApplySilence could not do as `guarded` and `open` say; it has done all else. Unimplemented when
  // this kernel never will.
  virtual absl::Status host_ports_status() const = 0;
  // --cleanup: tables, berth0, and every marked address. Works through to the end; the first error is returned.
  virtual absl::Status RemoveEverything() = 0;
};

}  // namespace berth::agent

#endif  // BERTH_AGENT_EFFECT_KERNEL_KERNEL_H_
