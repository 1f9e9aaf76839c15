// SPDX-License-Identifier: Apache-2.0
#include <algorithm>
#include <utility>

#include "agent/core/core_impl.h"

namespace berth::agent {
namespace {

constexpr absl::Duration kReadInterval = absl::Seconds(30);  // settings change seldom, and a census reads them anew
constexpr absl::Duration kJudgeInterval = absl::Seconds(1);

}  // namespace

void AgentCore::Impl::ReadNodeIfDue() {
  if (!config_.reads_node || kernel_ == nullptr || now_ < facts_due_) return;
  facts_read_ = now_;
  facts_due_ = now_ + kReadInterval;
  ReadNode read;
  for (const sync::InterfaceInfo& i : view_.interfaces) {
    const bool may_carry =
        std::any_of(i.prefixes.begin(), i.prefixes.end(), [](const Cidr& prefix) { return prefix.address().is_v4(); });
    if (may_carry) read.interfaces.push_back(i.name);
  }
  Emit(std::move(read));
}

void AgentCore::Impl::On(const NodeRead& e) {
  if (e.facts.kube_proxy != facts_.kube_proxy) {
    Write(Log::Level::kInfo, "kube-proxy's mode on this node", {{"mode", ModesText(e.facts.kube_proxy)}});
  }
  facts_ = e.facts;
  wall_offset_ = facts_.wall - now_;
  if (std::exchange(asked_for_facts_, false)) wall_wanted_ = true;
  findings_due_ = now_;
}

std::int64_t AgentCore::Impl::WallNs() const {
  return facts_.wall == absl::InfinitePast() ? 0 : absl::ToUnixNanos(now_ + wall_offset_);
}

NodeState AgentCore::Impl::StateOfNode() const {
  NodeState node{.facts = facts_, .interfaces = view_.interfaces};
  for (const auto& [key, weak] : groups_) {
    const std::shared_ptr<Group> group = weak.lock();
    if (group != nullptr && group->where != nullptr) node.announcing.insert(group->where->name);
  }
  // Both are ordered by address, IPv4 first.
  node.ipv4 = (!entries_.empty() && entries_.begin()->first.is_v4()) ||
              (!standbys_.empty() && standbys_.begin()->first.is_v4());
  node.ipv6 = (!entries_.empty() && entries_.rbegin()->first.is_v6()) ||
              (!standbys_.empty() && standbys_.rbegin()->first.is_v6());
  node.silence = silence_status_;
  node.silence6 = silence6_status_;
  node.host_ports = host_ports_status_;
  node.vip = vip_status_;
  node.vip_rule = config_.vip_interface;
  node.disk = store_status_;
  if (kernel_ == nullptr) return node;
  if (vip_.has_value() && vip_->own) {
    const Link* link = kernel_->Find(vip_->index);
    if (link != nullptr && !link->up) node.vip_down = link->name;
  }
  for (const auto& [ifindex, bad] : bad_ports_) {
    const Link* link = kernel_->Find(ifindex);
    if (link != nullptr) node.deaf.emplace_back(link->name, std::string(bad.status.message()));
  }
  return node;
}

void AgentCore::Impl::JudgeNodeIfDue() {
  if (now_ < findings_due_ || cleaning_) return;
  findings_due_ = now_ + kJudgeInterval;
  findings_ = JudgeNode(StateOfNode());
}

}  // namespace berth::agent
