// SPDX-License-Identifier: Apache-2.0
// The part of ControllerCore that obeys people: drain, undrain, move, rebalance. Each order is judged by a Check first,
// which tells the person why not, and then comes in as an event like any other.
#include <algorithm>
#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "controller/core/controller_core.h"

namespace berth::core {

absl::Status ControllerCore::CheckOrder() const {
  if (!leader_) {
    return absl::FailedPreconditionError(
        leader_name_.empty()
            ? std::string("this controller is a standby, and it is not known who leads; ask again soon")
            : absl::StrCat("this controller is a standby: ", leader_name_, " leads, ask that one"));
  }
  if (!ctx_.active) {
    return absl::FailedPreconditionError(
        "this controller has just begun to lead and waits for its agents; ask again in some seconds");
  }
  return absl::OkStatus();
}

absl::Status ControllerCore::CheckDrain(const std::string& node) const {
  if (absl::Status status = CheckOrder(); !status.ok()) return status;
  if (agents_.Knows(node)) return absl::OkStatus();
  const std::string there =
      absl::StrJoin(agents_.all(), ", ", [](std::string* out, const auto& a) { *out += a.first; });
  return absl::NotFoundError(absl::StrCat(
      "no agent of a node ", node, " has ever connected",
      there.empty() ? std::string("; there is no agent at all") : absl::StrCat("; there are those of ", there)));
}

absl::Status ControllerCore::CheckMove(const IpAddr& address, const std::string& node) const {
  if (absl::Status status = CheckDrain(node); !status.ok()) return status;
  if (const auto view = AddressViewOf(address, absl::ZeroDuration()); !view.ok()) return view.status();
  return holders_.CheckMove(address, node);
}

void ControllerCore::On(const DrainOrder& e) {
  agents_.SetDrained(e.node, e.drained);
  ctx_.Info(e.drained ? "node drained by order" : "node undrained by order", {{"node", e.node}});
  ctx_.Emit(RememberAgents{agents_.Known()});
  changes_.agents.insert(e.node);
  holders_.ForgetViews();
  if (!ctx_.active) return;
  if (e.drained) return holders_.OnDrained(e.node);
  holders_.OnNodesChanged();  // what no node could hold, this one may
}

// What is on record has been read only now. Orders given meanwhile stand beside it.
void ControllerCore::RecallLate(const std::vector<model::ClusterSource::KnownAgent>& known) {
  agents_.Remember(known);
  ctx_.Emit(RememberAgents{agents_.Known()});
  for (const auto& k : known) {
    if (k.drained && !agents_.Drained(k.node)) On(DrainOrder{k.node, true});
  }
}

void ControllerCore::On(const MoveOrder& e) {
  if (!ctx_.active || holders_.Find(e.address) == nullptr) return;
  ctx_.Info("address moves by order", {{"address", e.address.ToString()}, {"node", e.node}});
  holders_.Move(e.address, e.node);
}

void ControllerCore::On(const RebalanceOrder&) {
  if (!ctx_.active) return;
  std::vector<plan::Shift> plan = holders_.PlanRebalance();
  ctx_.Info("rebalancing by order", {{"addresses", absl::StrCat(plan.size())}});
  holders_.Rebalance(std::move(plan));
}

model::AgentView ControllerCore::AgentViewOf(const std::string& node, absl::Duration wall_offset) const {
  if (const Agent* agent = agents_.Find(node); agent != nullptr) return View(*agent, wall_offset);
  Agent absent;
  absent.node = node;
  absent.message = "has not connected to this controller yet";
  return View(absent, wall_offset);
}

model::DrainView ControllerCore::DrainViewOf(const std::string& node, absl::Duration wall_offset) const {
  model::DrainView view;
  view.agent = AgentViewOf(node, wall_offset);
  for (const auto& [address, h] : holders_.all()) {
    if (h.holder != node || h.withdrawing) continue;
    if (h.next.empty()) {
      view.staying.push_back(View(address, wall_offset));
    } else {
      view.moving.push_back(address);
    }
  }
  return view;
}

std::vector<model::MoveView> ControllerCore::RebalanceView() const {
  std::vector<model::MoveView> view;
  for (plan::Shift& s : holders_.PlanRebalance()) view.push_back({s.address, std::move(s.from), std::move(s.to)});
  return view;
}

}  // namespace berth::core
