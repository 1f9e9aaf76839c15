// SPDX-License-Identifier: Apache-2.0
// controller/kube/objects/service_object.h -- a Service of the API server to the model's value, and a decision to the
// patch that records it. Pure.
//
// What Berth records of a Service, all in one merge patch of its `status` subresource (which keeps metadata, and
// refuses a stale metadata.resourceVersion):
//   status.loadBalancer.ingress          the addresses: the truth of an allocation
//   metadata.annotations berth.io/allocations   by which Eip, protocol and interface each was given, and how the
//   Service
//                                        was ours; OpenELB's Services, which have none, go by their label
//   metadata.labels eip.openelb.kubesphere.io/v1alpha2   the Eip of the first address, OpenELB's bookkeeping
//   metadata.finalizers finalizer.lb.kubesphere.io/v1alpha1
//   status.conditions berth.io/Assigned
// And in a patch of its own, once nobody has announced an address of it for a while: berth.io/Announced.
#ifndef BERTH_CONTROLLER_KUBE_OBJECTS_SERVICE_OBJECT_H_
#define BERTH_CONTROLLER_KUBE_OBJECTS_SERVICE_OBJECT_H_

#include <nlohmann/json_fwd.hpp>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "controller/model/objects.h"
#include "controller/model/source.h"

namespace berth::kube {

inline constexpr char kAllocationsAnnotation[] = "berth.io/allocations";
inline constexpr char kAssignedCondition[] = "berth.io/Assigned";
inline constexpr char kAnnouncedCondition[] = "berth.io/Announced";

// What a patch must know of the object besides what the model has: a merge patch replaces lists as wholes.
struct ServiceRest {
  std::string uid;
  std::vector<std::string> other_finalizers;
  std::string other_conditions;  // a JSON list, all but berth.io/Assigned; empty when there are none
  std::string unannounced;       // message of a berth.io/Announced that is False
  std::string foreign_ingress;   // likewise: entries of status.loadBalancer.ingress that are not ours
  bool unrecorded = false;       // allocations are by the label alone, as OpenELB left them
  bool has_condition = false;    // berth.io/Assigned
  bool assigned = false;         // its status
  std::string since;             // its lastTransitionTime
  friend bool operator==(const ServiceRest&, const ServiceRest&) = default;
};

struct ServiceObject {
  model::Service service;
  ServiceRest rest;
};

// Allocations without a record (OpenELB's) name the Eip of the label, or none, and have no protocol or interface.
// Errors: InvalidArgument naming the Service, the field and its value.
absl::StatusOr<ServiceObject> ReadService(const nlohmann::json& object);
// All but what its spec and annotations ask for: what is ours on it, and what a patch must know. For one that
// ReadService cannot read.
ServiceObject ReadServiceMetadata(const nlohmann::json& object);
// What ReadService said of `object`; of one that it could not read and that is being deleted, ReadServiceMetadata: its
// content has no say in whether it goes.
absl::StatusOr<ServiceObject> OrItsEnd(absl::StatusOr<ServiceObject> read, const nlohmann::json& object);

// The body of the patch for `write`, whose revision must be that of the object `rest` is of. `now` is wall time.
std::string ServicePatch(const model::ServiceWrite& write, const ServiceRest& rest, absl::Time now);

// The message that the condition has for a reason, which is not empty: at most as long as Kubernetes allows.
std::string AnnouncedMessage(const std::string& why);
// The body of a strategic merge patch of `status` that says what berth.io/Announced says: False with `message`, or,
// when that is empty, True. It fails on a Service with another `uid`. `was_announced`: it was not False before.
std::string AnnouncedPatch(const std::string& uid, const std::string& message, bool was_announced, absl::Time now);

// The body of a patch that takes everything of ours off a Service for good; with `keep_ingress` but its addresses.
std::string ForgetPatch(const ServiceObject& object, bool keep_ingress);

// A value for metadata.labels that stands for an Eip: its name, or where that is no label value its beginning and a
// fingerprint.
std::string PoolLabel(const std::string& pool);

}  // namespace berth::kube

#endif  // BERTH_CONTROLLER_KUBE_OBJECTS_SERVICE_OBJECT_H_
