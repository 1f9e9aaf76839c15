// SPDX-License-Identifier: Apache-2.0
// controller/admin/admin_calls.h -- what each call answers: a request and the controller in, a response or an error
// out.
//
// No gRPC here: the server runs these on the loop thread, and tests without a server.
#ifndef BERTH_CONTROLLER_ADMIN_ADMIN_CALLS_H_
#define BERTH_CONTROLLER_ADMIN_ADMIN_CALLS_H_

#include <vector>

#include "absl/status/status.h"
#include "absl/time/time.h"
#include "berth/admin/v1/admin.pb.h"
#include "controller/model/views.h"

namespace berth::admin {

struct CallContext {
  model::AdminBackend& backend;
  absl::Time wall_now;
};

// Errors: as admin.proto says. `response` counts only when the result is OK.
absl::Status Answer(const CallContext& context, const v1::ListPoolsRequest& request, v1::ListPoolsResponse& response);
absl::Status Answer(const CallContext& context, const v1::ListServicesRequest& request,
                    v1::ListServicesResponse& response);
absl::Status Answer(const CallContext& context, const v1::ListAddressesRequest& request,
                    v1::ListAddressesResponse& response);
absl::Status Answer(const CallContext& context, const v1::ListAgentsRequest& request, v1::ListAgentsResponse& response);
absl::Status Answer(const CallContext& context, const v1::ExplainServiceRequest& request,
                    v1::ExplainServiceResponse& response);
absl::Status Answer(const CallContext& context, const v1::ExplainAddressRequest& request,
                    v1::ExplainAddressResponse& response);
absl::Status Answer(const CallContext& context, const v1::DrainNodeRequest& request, v1::DrainNodeResponse& response);
absl::Status Answer(const CallContext& context, const v1::UndrainNodeRequest& request,
                    v1::UndrainNodeResponse& response);
absl::Status Answer(const CallContext& context, const v1::MoveAddressRequest& request,
                    v1::MoveAddressResponse& response);
absl::Status Answer(const CallContext& context, const v1::RebalanceRequest& request, v1::RebalanceResponse& response);
absl::Status Answer(const CallContext& context, const v1::DumpRequest& request, v1::DumpResponse& response);
absl::Status Answer(const CallContext& context, const v1::GetVersionRequest& request, v1::GetVersionResponse& response);

// Doctor, once the backend has done the examination that it asks for.
void Diagnose(const CallContext& context, const model::LanCensus& census, v1::DoctorResponse& response);

// All that exists, for a watch that begins.
std::vector<model::ChangeView> Everything(const model::AdminBackend& backend);

}  // namespace berth::admin

#endif  // BERTH_CONTROLLER_ADMIN_ADMIN_CALLS_H_
