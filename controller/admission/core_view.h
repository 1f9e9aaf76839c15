// SPDX-License-Identifier: Apache-2.0
// controller/admission/core_view.h -- what the webhook must know, from the controller's core.
//
// Who has which address is taken from the Services' records and not from the ledger, which a standby does not fill.
#ifndef BERTH_CONTROLLER_ADMISSION_CORE_VIEW_H_
#define BERTH_CONTROLLER_ADMISSION_CORE_VIEW_H_

#include <map>
#include <optional>
#include <string>
#include <vector>

#include "controller/admission/view.h"
#include "controller/core/controller_core.h"

namespace berth::admission {

class CoreView final : public AdmissionView {
 public:
  // `core` is borrowed.
  CoreView(const core::ControllerCore& core, std::optional<Family> first_family)
      : core_(core), first_family_(first_family) {}

  bool Synced() const override { return core_.Status().synced; }
  const std::map<std::string, model::Pool>& Pools() const override { return core_.pools().shown(); }
  std::vector<plan::Claim> ClaimsWithin(const IpRangeSet& addresses) const override;  // O(Services)
  const plan::Rules& Rules() const override { return core_.rules(); }
  const model::Labels& NamespaceLabels(const std::string& name) const override {
    return core_.cluster().NamespaceLabels(name);
  }
  std::optional<Family> FirstFamily() const override { return first_family_; }

 private:
  const core::ControllerCore& core_;
  const std::optional<Family> first_family_;
};

}  // namespace berth::admission

#endif  // BERTH_CONTROLLER_ADMISSION_CORE_VIEW_H_
