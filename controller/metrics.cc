// SPDX-License-Identifier: Apache-2.0
#include "controller/metrics.h"

#include <map>
#include <string>

namespace berth {
namespace {

const char* Name(model::ServiceState s) {
  switch (s) {
    case model::ServiceState::kAssigned:
      return "assigned";
    case model::ServiceState::kPending:
      return "pending";
    case model::ServiceState::kIgnored:
      return "ignored";
  }
  return "unknown";
}

const char* Name(model::AgentState s) {
  switch (s) {
    case model::AgentState::kReady:
      return "ready";
    case model::AgentState::kDraining:
      return "draining";
    case model::AgentState::kControlLost:
      return "control_lost";
    case model::AgentState::kLost:
      return "lost";
    case model::AgentState::kRejected:
      return "rejected";
  }
  return "unknown";
}

}  // namespace

ControllerMetrics::ControllerMetrics(Metrics& metrics)
    : metrics_(metrics),
      allocation_(metrics.Histogram("berth_allocation_seconds",
                                    "From a Service being seen to its address being written", SlowBuckets())),
      push_ack_(metrics.Histogram("berth_push_ack_seconds",
                                  "From a state being sent to an agent to its acknowledgement", SlowBuckets())),
      failover_(metrics.Histogram("berth_failover_seconds",
                                  "From the last heartbeat of a lost agent to the first announcement by the next",
                                  SlowBuckets())),
      failovers_(metrics.Counters("berth_failovers_total", "Addresses that changed their holder", {"reason"})) {}

void ControllerMetrics::Count(const core::Observe& o) {
  using What = core::Observe::What;
  switch (o.what) {
    case What::kAllocationSeconds:
      return allocation_.Observe(o.value);
    case What::kPushAckSeconds:
      return push_ack_.Observe(o.value);
    case What::kFailoverSeconds:
      return failover_.Observe(o.value);
    case What::kFailover:
      return failovers_.With({o.label}).Inc(o.value);
  }
}

void ControllerMetrics::Collect(const model::AdminBackend& backend) {
  metrics_.AddCollector([&backend](MetricSink& out) {
    for (const model::PoolView& p : backend.Pools()) {
      const MetricSink::Labels pool = {{"pool", p.name}};
      out.Gauge("berth_pool_addresses", "Addresses of an Eip", pool, p.total.ToDouble());
      out.Gauge("berth_pool_addresses_in_use", "Addresses of an Eip that Services have", pool, p.used.ToDouble());
      out.Gauge("berth_pool_conflicted_addresses", "Addresses of an Eip that somebody else on the LAN answers for",
                pool, static_cast<double>(p.conflicted.size()));
    }
    std::map<std::string, double> services = {{"assigned", 0}, {"pending", 0}, {"ignored", 0}}, pending, agents;
    for (const model::ServiceView& s : backend.Services()) {
      ++services[Name(s.state)];
      if (s.state == model::ServiceState::kPending) ++pending[s.reason];
    }
    for (const auto& [state, n] : services) {
      out.Gauge("berth_services", "Services of type LoadBalancer by state", {{"state", state}}, n);
    }
    for (const auto& [reason, n] : pending) {
      out.Gauge("berth_services_pending", "Services that wait for an address, by reason", {{"reason", reason}}, n);
    }
    for (const char* state : {"ready", "draining", "control_lost", "lost", "rejected"}) agents[state] = 0;
    for (const model::AgentView& a : backend.Agents()) {
      ++agents[Name(a.state)];
      const bool up = a.state == model::AgentState::kReady || a.state == model::AgentState::kDraining;
      out.Gauge("berth_agent_up", "Whether the agent of a node is in contact", {{"node", a.node}}, up ? 1 : 0);
    }
    for (const auto& [state, n] : agents) out.Gauge("berth_agents", "Agents by state", {{"state", state}}, n);
    const model::StatusView status = backend.Status();
    out.Gauge("berth_leader", "Whether this controller leads", {}, status.leader ? 1 : 0);
    out.Gauge("berth_term", "Term of leadership", {}, static_cast<double>(status.term));
  });
}

}  // namespace berth
