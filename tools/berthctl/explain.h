// SPDX-License-Identifier: Apache-2.0
// tools/berthctl/explain.h -- why a Service or an address is as it is, for people. Pure.
#ifndef BERTH_TOOLS_BERTHCTL_EXPLAIN_H_
#define BERTH_TOOLS_BERTHCTL_EXPLAIN_H_

#include <string>

#include "absl/time/time.h"
#include "berth/admin/v1/admin.pb.h"

namespace berth::ctl {

namespace v1 = admin::v1;

// Lines of "Label: value"; what is empty is left out. `now` is for ages.
std::string Explain(const v1::ExplainServiceResponse& answer, absl::Time now);
std::string Explain(const v1::ExplainAddressResponse& answer, absl::Time now);
// Of `version`: who leads, since which term, what the source cannot read.
std::string Explain(const v1::GetVersionResponse& answer);

}  // namespace berth::ctl

#endif  // BERTH_TOOLS_BERTHCTL_EXPLAIN_H_
