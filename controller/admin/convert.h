// SPDX-License-Identifier: Apache-2.0
// controller/admin/convert.h -- the controller's views as messages of berth.admin.v1. Pure.
#ifndef BERTH_CONTROLLER_ADMIN_CONVERT_H_
#define BERTH_CONTROLLER_ADMIN_CONVERT_H_

#include <string>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "absl/time/time.h"
#include "berth/admin/v1/admin.pb.h"
#include "controller/model/views.h"

namespace berth::admin {

v1::Pool ToProto(const model::PoolView& view);
v1::Service ToProto(const model::ServiceView& view);
v1::Address ToProto(const model::AddressView& view);
v1::Agent ToProto(const model::AgentView& view);
v1::Status ToProto(const model::StatusView& view);
v1::DoctorResponse::Finding ToProto(const model::FindingView& view);

// Leaves `timestamp` alone, so absent, and returns false when `time` is infinite or outside of the years 1 to 9999.
bool ToTimestamp(absl::Time time, google::protobuf::Timestamp& timestamp);

// What names an object of a kind to Kubernetes: lower case letters, digits, '-' and '.'. `field` is for the message.
// Errors: InvalidArgument.
absl::Status CheckName(absl::string_view field, absl::string_view name);
// Errors: InvalidArgument when either name cannot be one.
absl::StatusOr<model::ObjectId> ParseObjectId(const std::string& ns, const std::string& name);

}  // namespace berth::admin

#endif  // BERTH_CONTROLLER_ADMIN_CONVERT_H_
