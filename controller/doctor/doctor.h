// SPDX-License-Identifier: Apache-2.0
// controller/doctor/doctor.h -- what is wrong with the cluster, or soon will be, and what to do about it. Pure.
//
//   for (const model::FindingView& f : doctor::Diagnose(patient)) ...   // the worst first
#ifndef BERTH_CONTROLLER_DOCTOR_DOCTOR_H_
#define BERTH_CONTROLLER_DOCTOR_DOCTOR_H_

#include <string>
#include <vector>

#include "absl/time/time.h"
#include "controller/model/views.h"

namespace berth::doctor {

// All that is judged, as of one moment.
struct Patient {
  std::string version;  // of this controller
  absl::Time wall_now;
  model::StatusView status;
  std::vector<model::PoolView> pools;
  std::vector<model::ServiceView> services;
  std::vector<model::AddressView> addresses;
  std::vector<model::AgentView> agents;
  model::LanCensus census;
};

// Errors first, then warnings; of each the whole before its parts: controller, agents, LAN, addresses, Services, Eips.
// Of what ails many objects alike some are named and the others counted.
std::vector<model::FindingView> Diagnose(const Patient& patient);

}  // namespace berth::doctor

#endif  // BERTH_CONTROLLER_DOCTOR_DOCTOR_H_
