// SPDX-License-Identifier: Apache-2.0
#include <cmath>
#include <map>

#include "controller/doctor/findings.h"

namespace berth::doctor {
namespace {

using model::AgentState;
using model::AgentView;

constexpr absl::Duration kClockTolerance = absl::Seconds(1);

constexpr char kSeeAgent[] =
    "see its pod and its log: kubectl -n openelb-system get pods -o wide -l "
    "app.kubernetes.io/component=agent";

std::string ObjectOf(const AgentView& agent) { return absl::StrCat("agent ", agent.node); }

void JudgeContact(const AgentView& agent, Findings& out) {
  const std::string because = agent.message.empty() ? "" : absl::StrCat(": ", agent.message);
  if (agent.state == AgentState::kLost) {
    out.Warning(ObjectOf(agent),
                absl::StrCat("is lost", because, "; its node is given no address, and those it had have moved on"),
                absl::StrCat(kSeeAgent, "; a node that is gone for good is forgotten with its Node object"));
  } else if (agent.state == AgentState::kControlLost) {
    out.Warning(
        ObjectOf(agent),
        absl::StrCat("does not reach this controller, and still answers on the LAN for its addresses", because),
        "see that the node reaches port 7443 of the controller (network policies, routes, certificates), and the "
        "agent's log");
  } else if (agent.drained) {
    out.Warning(ObjectOf(agent), "is drained by order: it is given no address, whatever restarts",
                absl::StrCat("berthctl undrain ", agent.node, ", once its node may serve again"));
  }
}

void JudgeOne(const AgentView& agent, Findings& out) {
  JudgeContact(agent, out);
  if (agent.supersedes > 1) {
    out.Error(ObjectOf(agent),
              absl::StrCat("several agents run for this node and send each other away, ", agent.supersedes,
                           " times in the last minute"),
              "leave one only: look for a second DaemonSet, another release of the chart, or an agent outside of "
              "Kubernetes with the same --node-name");
  }
  if (agent.rejected != 0) {
    out.Error(
        ObjectOf(agent), absl::StrCat("could not do as it was told: ", agent.message),
        absl::StrCat("berthctl explain address says why of each; the log of the agent on ", agent.node, " has more"));
  }
  for (const sync::NodeFinding& finding : agent.findings) {
    out.Add(finding.severity, ObjectOf(agent), finding.message, finding.cure);
  }
}

std::string OffBy(absl::Duration ahead) {
  return absl::StrCat(
      absl::FormatDuration(absl::Trunc(absl::AbsDuration(ahead) + absl::Milliseconds(50), absl::Milliseconds(100))),
      ahead > absl::ZeroDuration() ? " ahead" : " behind");
}

// Clocks are compared with ours: where most are off, ours is.
void JudgeClocks(const std::vector<AgentView>& agents, Findings& out) {
  std::vector<const AgentView*> off;
  std::vector<std::string> names;
  std::size_t told = 0;
  for (const AgentView& agent : agents) {
    if (!agent.clock_ahead.has_value()) continue;
    ++told;
    if (absl::AbsDuration(*agent.clock_ahead) <= kClockTolerance) continue;
    off.push_back(&agent);
    names.push_back(agent.node);
  }
  static constexpr char kCure[] =
      "have chrony or systemd-timesyncd run there: timedatectl set-ntp true; a wrong clock "
      "breaks certificates, tokens and the order of logs";
  if (off.size() > 1 && off.size() * 2 > told) {
    out.Warning("controller",
                absl::StrCat("its clock and those of ", off.size(), " of ", told, " nodes differ: ", SomeOf(names),
                             "; that of ", names.front(), " is ", OffBy(*off.front()->clock_ahead)),
                absl::StrCat("compare the clock of the controller's node with the others first; ", kCure));
    return;
  }
  for (const AgentView* agent : off) {
    out.Warning(ObjectOf(*agent),
                absl::StrCat("its node's clock is ", OffBy(*agent->clock_ahead), " of the controller's"), kCure);
  }
}

void JudgeVersions(const Patient& patient, Findings& out) {
  std::map<std::string, std::vector<std::string>> others;
  for (const AgentView& agent : patient.agents) {
    if (agent.state == AgentState::kLost || agent.version == patient.version) continue;
    others[agent.version].push_back(agent.node);
  }
  for (const auto& [version, nodes] : others) {
    out.Warning("controller",
                absl::StrCat(Counted(nodes.size(), "agent is", "agents are"), " of version ", version,
                             ", this controller of ", patient.version, ": ", SomeOf(nodes)),
                "finish the upgrade: kubectl -n openelb-system rollout status daemonset/berth-agent");
  }
}

}  // namespace

void JudgeAgents(const Patient& patient, Findings& out) {
  const bool any = std::any_of(patient.agents.begin(), patient.agents.end(),
                               [](const AgentView& a) { return a.state != AgentState::kLost; });
  if (!any) {
    out.Error("controller", "no agent at all is connected: no address is announced but by the agents' own word",
              absl::StrCat(kSeeAgent, "; agents need --controller to name this one, and to reach its port 7443"));
  }
  for (const AgentView& agent : patient.agents) JudgeOne(agent, out);
  for (const std::string& node : patient.status.missing) {
    out.Warning(absl::StrCat("agent ", node), "has not connected since this controller started", kSeeAgent);
  }
  for (const std::string& node : patient.census.unheard) {
    out.Warning(absl::StrCat("agent ", node), "did not answer within a second when it was told to look at its node",
                "see whether its node is short of processor time, and the agent's log");
  }
  JudgeClocks(patient.agents, out);
  JudgeVersions(patient, out);
}

}  // namespace berth::doctor
