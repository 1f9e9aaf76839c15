// SPDX-License-Identifier: Apache-2.0
#include "controller/doctor/doctor.h"

#include "controller/doctor/findings.h"

namespace berth::doctor {

void JudgeController(const Patient& patient, Findings& out) {
  const model::StatusView& status = patient.status;
  if (!status.leader && status.leader_name.empty()) {
    out.Error(
        "controller", "nobody is known to lead: nothing is allocated, and no address moves but by the agents' own word",
        "see whether a controller runs and reaches the API server: kubectl -n openelb-system get pods, and get lease "
        "berth-controller -o yaml");
  } else if (!status.leader) {
    out.Warning(
        "controller",
        absl::StrCat("this one is a standby, which knows little of agents and asks nobody: ", status.leader_name,
                     " leads"),
        absl::StrCat("ask the leader: kubectl -n openelb-system exec ", status.leader_name, " -- berthctl doctor"));
  } else if (!status.started) {
    out.Warning("controller",
                status.synced ? "it has just begun to lead and waits for the agents known from before"
                              : "it has not read all objects of its source yet, and decides nothing before",
                status.synced ? "ask again in some seconds"
                              : "ask again; should it last, the controller's log says what it waits for");
  }
  for (const std::string& problem : status.problems) {
    out.Warning("source", problem, "mend what it names; what was read of it before stays in force");
  }
}

std::vector<model::FindingView> Diagnose(const Patient& patient) {
  Findings out;
  JudgeController(patient, out);
  // A standby is told of few agents and holds no address, which is no ailment.
  if (patient.status.leader && patient.status.started) {
    JudgeAgents(patient, out);
    JudgeLan(patient, out);
    JudgeAddresses(patient, out);
    JudgeServices(patient, out);
    JudgePools(patient, out);
  }
  return out.Take();
}

}  // namespace berth::doctor
