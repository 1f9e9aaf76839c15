// SPDX-License-Identifier: Apache-2.0
#include "agent/health/judge.h"

#include <linux/capability.h>

#include <algorithm>
#include <iterator>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "absl/strings/str_replace.h"
#include "absl/strings/string_view.h"

namespace berth::agent {
namespace {

using Severity = sync::NodeFinding::Severity;
constexpr int kStrict = 1;  // RFC 3704: what comes in goes out by the same interface, or is dropped

class Findings {
 public:
  void Error(std::string message, std::string cure) {
    errors_.push_back({.severity = Severity::kError, .message = std::move(message), .cure = std::move(cure)});
  }
  void Warning(std::string message, std::string cure) {
    warnings_.push_back({.severity = Severity::kWarning, .message = std::move(message), .cure = std::move(cure)});
  }
  std::vector<sync::NodeFinding> Take() {
    std::move(warnings_.begin(), warnings_.end(), std::back_inserter(errors_));
    if (errors_.size() > sync::kMaxFindings) errors_.resize(sync::kMaxFindings);
    return std::move(errors_);
  }

 private:
  std::vector<sync::NodeFinding> errors_, warnings_;
};

absl::string_view ModeName(KubeProxyMode mode) {
  switch (mode) {
    case KubeProxyMode::kIptables:
      return "iptables";
    case KubeProxyMode::kIpvs:
      return "ipvs";
    case KubeProxyMode::kNftables:
      return "nftables";
  }
  return "unknown";
}

void JudgeCapabilities(const NodeFacts& facts, Findings& out) {
  if (!facts.capabilities.has_value()) return;
  const auto lacks = [&](unsigned bit) { return (*facts.capabilities >> bit & 1) == 0; };
  std::vector<absl::string_view> lacking;
  if (lacks(CAP_NET_ADMIN)) lacking.push_back("NET_ADMIN");
  if (lacks(CAP_NET_RAW)) lacking.push_back("NET_RAW");
  if (lacking.empty()) return;
  out.Error(absl::StrCat("the agent lacks the capabilities to do its work: ", absl::StrJoin(lacking, ", ")),
            "run it as root with securityContext.capabilities.add: [NET_ADMIN, NET_RAW], as the chart does");
}

void JudgeKernel(const NodeState& node, Findings& out) {
  if (!node.silence.ok()) {
    out.Error(
        absl::StrCat("the kernel's ARP cannot be silenced: ", node.silence.ToString()),
        "load the kernel module nf_tables, or use a kernel with CONFIG_NF_TABLES_ARP; until then this node is given "
        "no address");
  }
  if (!node.silence6.ok()) {
    const std::string message =
        absl::StrCat("the kernel's neighbour discovery cannot be silenced: ", node.silence6.ToString());
    const std::string cure = "use a kernel with CONFIG_NF_TABLES_IPV6; until then this node is given no IPv6 address";
    if (node.ipv6) {
      out.Error(message, cure);
    } else {
      out.Warning(message, cure);
    }
  }
  if (!node.vip.ok()) {
    out.Error(absl::StrCat("no interface to make addresses local on: ", node.vip.ToString()),
              node.vip_rule == "auto" || node.vip_rule == "berth0"
                  ? std::string("load the kernel module dummy, or name an interface of your own by --vip-interface")
                  : absl::StrCat("create the interface: ip link add ", node.vip_rule,
                                 " type dummy; or start the agent with --vip-interface=auto (agent.vipInterface in the "
                                 "chart)"));
  }
  if (!node.vip_down.empty()) {
    out.Error(
        absl::StrCat("interface ", node.vip_down,
                     ", on which addresses are made local, was set down: the node does not take packets for them"),
        absl::StrCat("ip link set ", node.vip_down, " up"));
  }
  for (const auto& [interface, cause] : node.deaf) {
    out.Error(absl::StrCat("interface ", interface, " cannot be listened on: ", cause),
              absl::StrCat(
                  "see that nothing took the interface away, and that the agent may capture on it (NET_RAW): tcpdump "
                  "-i ",
                  interface, " arp"));
  }
  if (!node.host_ports.ok()) {
    out.Warning(
        absl::StrCat("the node's own ports can be reached through addresses of Services: ", node.host_ports.ToString()),
        "load the kernel modules nf_tables and nf_conntrack, or use a kernel with CONFIG_NF_TABLES_INET");
  }
  if (!node.disk.ok()) {
    out.Warning(absl::StrCat("the agent's state cannot be kept on disk: ", node.disk.ToString()),
                "make room in --state-dir, or make it writable; else an agent that restarts without a controller "
                "announces nothing");
  }
}

// kube-proxy and the CNI set it, and only where somebody forwards to pods does it keep Services from being served.
void JudgeForwarding(const NodeState& node, Findings& out) {
  const auto judge = [&](const std::optional<bool>& on, absl::string_view family, absl::string_view setting) {
    if (on.value_or(true)) return;
    const std::string cure = absl::StrCat("sysctl -w ", setting, "=1, and keep it in /etc/sysctl.d");
    if (node.facts.kube_proxy.empty()) {
      out.Warning(absl::StrCat("this node does not forward ", family, ": only what runs on the node itself is reached"),
                  cure);
    } else {
      out.Error(absl::StrCat("this node does not forward ", family, ": no pod is reached through it"), cure);
    }
  };
  if (node.ipv4) judge(node.facts.forwarding, "IPv4", "net.ipv4.ip_forward");
  if (node.ipv6) judge(node.facts.forwarding6, "IPv6", "net.ipv6.conf.all.forwarding");
}

// A dot in an interface's name is no separator.
std::string SysctlName(absl::string_view interface) { return absl::StrReplaceAll(interface, {{".", "/"}}); }

// Strict filtering bears only on clients beyond the subnet, and only where the way back to them is another interface.
void JudgeReversePath(const NodeState& node, Findings& out) {
  if (!node.ipv4) return;
  const auto has_default = [](const sync::InterfaceInfo& i) {
    return std::any_of(i.routes.begin(), i.routes.end(),
                       [](const Cidr& route) { return route.address().is_v4() && route.length() == 0; });
  };
  const auto gateway = std::find_if(node.interfaces.begin(), node.interfaces.end(), has_default);
  if (gateway == node.interfaces.end()) return;
  for (const sync::InterfaceInfo& i : node.interfaces) {
    const auto mode = node.facts.rp_filter.find(i.name);
    if (mode == node.facts.rp_filter.end() || mode->second != kStrict) continue;
    if (node.announcing.count(i.name) == 0 || has_default(i)) continue;
    out.Warning(absl::StrCat("rp_filter is strict on interface ", i.name,
                             ", which carries addresses, and the way to clients "
                             "beyond its subnet is ",
                             gateway->name, ": the kernel drops what they send"),
                absl::StrCat("sysctl -w net.ipv4.conf.", SysctlName(i.name),
                             ".rp_filter=2 (loose), and keep it in /etc/sysctl.d; or "
                             "give the node a route to them through ",
                             i.name));
  }
}

void JudgeKubeProxy(const NodeFacts& facts, Findings& out) {
  if (facts.kube_proxy.size() > 1) {
    out.Warning(absl::StrCat("kube-proxy has rules of several modes on this node: ", ModesText(facts.kube_proxy),
                             "; what an earlier mode left behind still directs packets, to pods that may be gone"),
                "run kube-proxy --cleanup on the node and restart kube-proxy, or reboot the node");
  }
  if (facts.kube_proxy.empty() && facts.kube_proxy_known && facts.in_kubernetes) {
    out.Warning("kube-proxy has set nothing on this node: nothing directs packets for Services to their pods",
                "see that the pod of kube-proxy runs here: kubectl -n kube-system get pods -o wide; whoever uses a "
                "replacement for it may ignore this");
  }
}

}  // namespace

std::string ModesText(const std::set<KubeProxyMode>& modes) {
  if (modes.empty()) return "none";
  return absl::StrJoin(modes, ", ",
                       [](std::string* text, KubeProxyMode mode) { absl::StrAppend(text, ModeName(mode)); });
}

std::vector<sync::NodeFinding> JudgeNode(const NodeState& node) {
  Findings out;
  JudgeCapabilities(node.facts, out);
  JudgeKernel(node, out);
  JudgeForwarding(node, out);
  JudgeReversePath(node, out);
  JudgeKubeProxy(node.facts, out);
  return out.Take();
}

}  // namespace berth::agent
