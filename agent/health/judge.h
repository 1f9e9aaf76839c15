// SPDX-License-Identifier: Apache-2.0
// agent/health/judge.h -- what is wrong with a node, and what to do about it. Pure.
#ifndef BERTH_AGENT_HEALTH_JUDGE_H_
#define BERTH_AGENT_HEALTH_JUDGE_H_

#include <set>
#include <string>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "agent/health/node_facts.h"
#include "common/sync/messages.h"

namespace berth::agent {

// The node as the agent knows it.
struct NodeState {
  NodeFacts facts{};  // empty before the first were read
  std::vector<sync::InterfaceInfo> interfaces{};
  std::set<std::string> announcing{};  // names of those that carry addresses, or would
  bool ipv4 = false, ipv6 = false;     // whether it has, or stands by for, an address of that family
  // OK, or why the kernel answers ARP for addresses itself; why it answers neighbour solicitations.
  absl::Status silence{}, silence6{};
  absl::Status host_ports{};  // OK, or why ports of the node's own are open through addresses
  absl::Status vip{};         // OK, or why there is no interface to make addresses local on
  std::string vip_rule{};     // --vip-interface
  std::string vip_down{};     // Berth's own interface, when somebody has set it down
  std::vector<std::pair<std::string, std::string>>
      deaf{};           // interfaces that cannot be listened on, each with the cause
  absl::Status disk{};  // OK, or why the state cannot be kept
};

// Errors before warnings; at most sync::kMaxFindings.
std::vector<sync::NodeFinding> JudgeNode(const NodeState& node);

// "iptables, ipvs"; "none".
std::string ModesText(const std::set<KubeProxyMode>& modes);

}  // namespace berth::agent

#endif  // BERTH_AGENT_HEALTH_JUDGE_H_
