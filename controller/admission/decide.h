// SPDX-License-Identifier: Apache-2.0
// controller/admission/decide.h -- whether a change may be made. Pure: the same rules that the controller itself keeps
// (controller/plan/validate.h), asked before instead of after.
#ifndef BERTH_CONTROLLER_ADMISSION_DECIDE_H_
#define BERTH_CONTROLLER_ADMISSION_DECIDE_H_

#include <cstdint>
#include <optional>

#include "absl/strings/string_view.h"
#include "controller/admission/review.h"
#include "controller/admission/view.h"

namespace berth::admission {

enum class Hook : std::uint8_t { kEip, kBgpConf, kBgpPeer, kService };

// By the path that an API server calls, which is written in the webhook configurations:
//   /validate-network-kubesphere-io-v1alpha2-eip, ...-bgpconf, ...-bgppeer, and /mutate-v1-service
std::optional<Hook> HookOf(absl::string_view path);

Verdict Decide(Hook hook, const Review& review, const AdmissionView& view);

// The parts of it, one for each kind.
//
// An Eip may be created and changed as plan::ValidatePool, ValidateAgainst and ValidateUpdate allow; a change is judged
// by what it changes, so that an Eip that breaks a rule already can still be disabled, or mended step by step. One in
// use may be deleted: it waits for its users, who are named in a warning.
Verdict DecideEip(const Review& review, const AdmissionView& view);
Verdict DecideBgpConf(const Review& review);
Verdict DecideBgpPeer(const Review& review);
// Never refuses. With --manage-unclassed a new Service of type LoadBalancer without a class that asks for nothing, and
// that the default Eip will serve, gets the annotations that say so. The controller decides the same without them.
Verdict DecideService(const Review& review, const AdmissionView& view);

}  // namespace berth::admission

#endif  // BERTH_CONTROLLER_ADMISSION_DECIDE_H_
