// SPDX-License-Identifier: Apache-2.0
// controller/admission/view.h -- what the webhook must know of the cluster to judge a change.
#ifndef BERTH_CONTROLLER_ADMISSION_VIEW_H_
#define BERTH_CONTROLLER_ADMISSION_VIEW_H_

#include <map>
#include <optional>
#include <string>
#include <vector>

#include "common/net/ip_addr.h"
#include "common/net/ip_range.h"
#include "controller/model/objects.h"
#include "controller/plan/ledger.h"
#include "controller/plan/rules.h"

namespace berth::admission {

// Of a leader and of a standby alike. Loop thread only; what is returned by reference is good for one decision.
class AdmissionView {
 public:
  virtual ~AdmissionView() = default;
  // Whether the cluster has been read at all: before that nothing can be said of one object beside the others.
  virtual bool Synced() const = 0;
  // All Eips as last shown, those that are not in force included.
  virtual const std::map<std::string, model::Pool>& Pools() const = 0;
  // Who has, or is about to get, an address of these.
  virtual std::vector<plan::Claim> ClaimsWithin(const IpRangeSet& addresses) const = 0;
  virtual const plan::Rules& Rules() const = 0;
  virtual const model::Labels& NamespaceLabels(const std::string& name) const = 0;
  // The family that the API server gives to a Service that names none, if it is known. It does so after the webhook.
  virtual std::optional<Family> FirstFamily() const = 0;
};

}  // namespace berth::admission

#endif  // BERTH_CONTROLLER_ADMISSION_VIEW_H_
