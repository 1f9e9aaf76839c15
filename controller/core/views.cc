// SPDX-License-Identifier: Apache-2.0
// How the core's state looks to people: the views of controller_core.h.
#include <algorithm>
#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "controller/core/controller_core.h"

namespace berth::core {

model::PoolView ControllerCore::View(const model::Pool& shown) const {
  const model::Pool* in_force = ctx_.ledger.FindPool(shown.name);
  const model::Pool& pool = in_force != nullptr ? *in_force : shown;
  model::PoolView v;
  v.name = pool.name;
  v.range = pool.address_text;
  v.interface = pool.interface;
  v.protocol = pool.protocol;
  v.disabled = pool.disable;
  if (in_force != nullptr) {
    v.used = AddressCount(ctx_.ledger.UsedCount(pool.name));
    v.total = ctx_.ledger.Capacity(pool.name);
  }
  for (const IpAddr& a : ctx_.ledger.conflicted()) {
    if (pool.addresses.Contains(a)) v.conflicted.push_back(a);
  }
  v.message = pools_.MessageOf(shown.name);
  v.trouble = !pools_.TroubleOf(shown.name).empty();
  return v;
}

model::ServiceView ControllerCore::View(const ServiceRecord& r) const {
  model::ServiceView v;
  v.id = r.object.id;
  for (const model::Allocation& a : r.object.allocations) {
    v.protocol = a.protocol;
    v.pools.push_back(a.pool);
    v.addresses.push_back(a.address);
  }
  if (!v.protocol) {
    auto it = r.object.annotations.find(model::kProtocolAnnotation);
    if (it != r.object.annotations.end()) v.protocol = model::ParseProtocol(it->second);
  }
  for (const model::ServicePort& p : r.object.ports) v.ports.push_back(absl::StrCat(p.port, "/", p.protocol));
  v.candidate_pools = r.decision.candidate_pools;
  v.reason = r.decision.reason.code;
  v.message = r.decision.reason.message;
  // Nothing is decided before the gate opens; whose a Service is can be told all the same.
  const plan::Ownership ownership = ctx_.active ? r.decision.ownership : plan::Classify(r.object, ctx_.options.rules);
  if (ownership == plan::Ownership::kForeign && r.object.allocations.empty()) {
    v.state = model::ServiceState::kIgnored;
    if (v.reason.empty()) {
      v.reason = plan::reason::kNotOurs;
      v.message = "not a LoadBalancer Service that asks for Berth (annotation or class)";
    }
    return v;
  }
  v.state = r.decision.satisfied && !r.object.allocations.empty() ? model::ServiceState::kAssigned
                                                                  : model::ServiceState::kPending;
  if (!ctx_.active && v.state == model::ServiceState::kPending && v.reason.empty()) {
    v.state = r.object.allocations.empty() ? model::ServiceState::kPending : model::ServiceState::kAssigned;
    v.reason = plan::reason::kStarting;
    v.message = "waiting for the agents known from before to report what they hold";
  } else if (r.phase == ServiceRecord::Phase::kProbing) {
    v.reason = plan::reason::kProbing;
    v.message = "asking the LAN whether anybody uses the address already";
  } else if (r.phase == ServiceRecord::Phase::kWriting) {
    v.reason = plan::reason::kWriting;
    v.message = r.op().write_error.empty()
                    ? "the result is being written"
                    : absl::StrCat("the result could not be written, which is tried again: ", r.op().write_error);
  } else if (v.state == model::ServiceState::kPending && v.reason.empty()) {
    v.reason = plan::reason::kWriting;
    v.message = "the Service changed while the result was being written: it is decided anew once it has been read";
  }
  return v;
}

model::AddressView ControllerCore::View(const IpAddr& address, absl::Duration wall_offset) const {
  model::AddressView v;
  v.address = address;
  for (const plan::Claim& c : ctx_.ledger.OwnersOf(address)) {
    v.services.push_back(c.service);
    v.pool = c.allocation.pool;
    v.protocol = c.allocation.protocol;
  }
  const Holding* h = holders_.Find(address);
  if (h == nullptr) {
    v.message = v.protocol == model::Protocol::kLayer2
                    ? "not placed yet"
                    : absl::StrCat("protocol ", std::string(model::ProtocolName(v.protocol)),
                                   " is not announced by this version");
    return v;
  }
  v.holder = h->holder;
  v.candidates = h->candidates;
  v.since = h->since + wall_offset;
  v.message = h->message;
  if (h->moving != nullptr) v.ordered = h->moving->ordered;
  for (const plan::Refusal& r : h->refusals) v.refusals.push_back(absl::StrCat(r.node, ": ", r.why));
  if (h->rival) {
    v.state = model::AddressState::kConflict;
    // Unless that is what the message says.
    if (v.message.find(h->rival->ToString()) == std::string::npos) {
      absl::StrAppend(&v.message, v.message.empty() ? "" : "; ", holders_.ClaimsText(*h), " claims it too");
    }
  } else if (h->phase == Holding::Phase::kVerifying && h->holder.empty()) {
    v.state = model::AddressState::kProbing;
  } else {
    v.state = holders_.IsAnnounced(*h) ? model::AddressState::kAnnounced : model::AddressState::kUnheld;
  }
  if (h->holder.empty() && v.message.empty()) v.message = "no node can hold it";
  return v;
}

model::AgentView ControllerCore::View(const Agent& agent, absl::Duration wall_offset) const {
  model::AgentView v;
  v.node = agent.node;
  v.version = agent.hello.version;
  v.interfaces = agent.hello.interfaces;
  if (agent.connected() || agent.control_lost) {
    for (const auto& [address, unused] : agent.announced) v.announced.push_back(address);
  }
  v.last_heartbeat = agent.last_heard == absl::InfinitePast() ? agent.last_heard : agent.last_heard + wall_offset;
  v.message = agent.message;
  v.drained = agents_.Drained(agent.node);
  v.rejected = agent.rejections.size();
  if (ctx_.now - agent.superseded_at <= absl::Minutes(1)) v.supersedes = agent.supersedes;
  if (agent.connected()) v.findings = agent.findings;
  if (agent.connected() && agent.wall_ns != 0) {
    v.clock_ahead = absl::FromUnixNanos(agent.wall_ns) - (agent.wall_heard + wall_offset);
  }
  if (agent.control_lost) {
    v.state = model::AgentState::kControlLost;
  } else if (!agent.connected()) {
    v.state = model::AgentState::kLost;
    if (agents_.Drained(agent.node)) absl::StrAppend(&v.message, v.message.empty() ? "" : "; ", "drained");
    const std::vector<std::string> hearers = agents_.HearersOf(agent.node);
    if (!hearers.empty()) absl::StrAppend(&v.message, "; it is still heard by ", absl::StrJoin(hearers, ", "));
  } else if (agent.leaving) {
    v.state = model::AgentState::kDraining;
  } else if (agents_.Drained(agent.node)) {
    v.state = model::AgentState::kDraining;
    v.message = absl::StrCat("drained; berthctl undrain ", agent.node, " lets it hold addresses again");
  } else if (!agent.rejections.empty()) {
    v.state = model::AgentState::kReady;
    v.message = absl::StrCat(agent.rejections.size(),
                             " addresses rejected, the first: ", agent.rejections.begin()->second.message);
  } else if (agent.hello.layer2_off) {
    v.state = model::AgentState::kReady;
    v.message = sync::kLayer2Off;
  } else if (agents_.Unsteady(agent)) {
    v.state = model::AgentState::kReady;
    v.message = absl::StrCat("its agent was lost ", agent.losses.size(), " times within ",
                             absl::FormatDuration(ctx_.options.unsteady_time),
                             ": other nodes are preferred until it has stayed for as long");
  } else if (!agent.findings.empty()) {
    v.state = model::AgentState::kReady;
    v.message = absl::StrCat(agent.findings.front().message, "; berthctl doctor says what to do about it");
  } else {
    v.state = model::AgentState::kReady;
  }
  return v;
}

std::vector<model::PoolView> ControllerCore::PoolViews() const {
  std::vector<model::PoolView> out;
  for (const auto& [name, pool] : pools_.shown()) out.push_back(View(pool));
  return out;
}

std::vector<model::ServiceView> ControllerCore::ServiceViews() const {
  std::vector<model::ServiceView> out;
  for (const auto& [id, record] : services_.all()) {
    if (record.object.load_balancer || !record.object.allocations.empty()) out.push_back(View(record));
  }
  return out;
}

std::vector<model::AddressView> ControllerCore::AddressViews(absl::Duration wall_offset) const {
  std::vector<model::AddressView> out;
  for (const IpAddr& address : ctx_.ledger.Used()) out.push_back(View(address, wall_offset));
  return out;
}

std::vector<model::AgentView> ControllerCore::AgentViews(absl::Duration wall_offset) const {
  std::vector<model::AgentView> out;
  for (const auto& [node, agent] : agents_.all()) out.push_back(View(agent, wall_offset));
  return out;
}

absl::StatusOr<model::ServiceView> ControllerCore::ServiceViewOf(const model::ObjectId& id) const {
  auto it = services_.all().find(id);
  if (it == services_.all().end()) return absl::NotFoundError(absl::StrCat("service ", id.ToString(), " not found"));
  return View(it->second);
}

absl::StatusOr<model::AddressView> ControllerCore::AddressViewOf(const IpAddr& address,
                                                                 absl::Duration wall_offset) const {
  if (ctx_.ledger.OwnersOf(address).empty()) {
    const model::Pool* pool = ctx_.ledger.PoolOf(address);
    return absl::NotFoundError(
        absl::StrCat("address ", address.ToString(), " is not assigned",
                     pool == nullptr ? " and lies in no Eip" : absl::StrCat("; it lies in Eip ", pool->name)));
  }
  return View(address, wall_offset);
}

model::StatusView ControllerCore::Status() const {
  model::StatusView v{leader_, synced_, ctx_.active, leader_name_, ctx_.term, problems_, {}};
  for (const auto& known : agents_.Known()) {
    if (agents_.Find(known.node) == nullptr) v.missing.push_back(known.node);
  }
  return v;
}

}  // namespace berth::core
