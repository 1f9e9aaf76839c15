// SPDX-License-Identifier: Apache-2.0
#include "controller/plan/ownership.h"

#include "absl/strings/str_cat.h"
#include "common/net/quote.h"
#include "controller/plan/allocate.h"

namespace berth::plan {
namespace {

bool HasClass(const model::Service& service) {
  return service.load_balancer_class && !service.load_balancer_class->empty();
}

bool OptsIn(const model::Service& service) {
  const auto it = service.annotations.find(model::kOptInAnnotation);
  return it != service.annotations.end() && (it->second == "openelb" || it->second == "porter");
}

bool OursByFlags(const model::Service& service, const Rules& rules) {
  if (HasClass(service)) return *service.load_balancer_class == rules.load_balancer_class;
  return OptsIn(service) || rules.manage_unclassed;
}

// A Service with allocations stays ours while the right by which it got them lasts, whatever the flags say now.
bool OursByRecord(const model::Service& service) {
  if (service.allocations.empty() || service.managed_by.empty()) return false;
  if (HasClass(service)) return service.managed_by == kManagedByClassPrefix + *service.load_balancer_class;
  if (service.managed_by == kManagedByAnnotation) return OptsIn(service);
  return service.managed_by == kManagedByUnclassed;
}

}  // namespace

Ownership Classify(const model::Service& service, const Rules& rules) {
  const bool present = service.load_balancer && !service.deleting;
  if (present && (OursByFlags(service, rules) || OursByRecord(service))) return Ownership::kOurs;
  return service.touched() ? Ownership::kRelease : Ownership::kForeign;
}

std::string ManagedBy(const model::Service& service) {
  if (HasClass(service)) return kManagedByClassPrefix + *service.load_balancer_class;
  return OptsIn(service) ? kManagedByAnnotation : kManagedByUnclassed;
}

std::string WhyNotOurs(const model::Service& service, const Rules& rules) {
  if (service.deleting) return "the Service is being deleted";
  if (!service.load_balancer) return "spec.type is not LoadBalancer";
  if (HasClass(service)) {
    return absl::StrCat("spec.loadBalancerClass ", Quote(*service.load_balancer_class),
                        " belongs to somebody else; ours is ", Quote(rules.load_balancer_class));
  }
  const auto annotation = service.annotations.find(model::kOptInAnnotation);
  const std::string state = annotation == service.annotations.end()
                                ? " is missing"
                                : absl::StrCat(" is ", Quote(annotation->second), ", not \"openelb\"");
  return absl::StrCat("annotation ", model::kOptInAnnotation, state,
                      "; set it to \"openelb\", or spec.loadBalancerClass to ", Quote(rules.load_balancer_class),
                      ", or run the controller with --manage-unclassed");
}

}  // namespace berth::plan
