// SPDX-License-Identifier: Apache-2.0
// controller/admission/review.h -- AdmissionReview (admission.k8s.io/v1): the question read, the answer written. Pure.
//
//   ASSIGN_OR_RETURN(Review review, ParseReview(body));
//   reply = ReviewResponse(review, Decide(Hook::kEip, review, view));
#ifndef BERTH_CONTROLLER_ADMISSION_REVIEW_H_
#define BERTH_CONTROLLER_ADMISSION_REVIEW_H_

#include <memory>
#include <nlohmann/json_fwd.hpp>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"

namespace berth::admission {

inline constexpr int kMaxJsonDepth = 100;

struct Review {
  std::string uid;
  std::string operation;  // CREATE, UPDATE, DELETE, CONNECT
  std::string group, resource, subresource;
  std::string ns, name;                          // either may be empty
  std::shared_ptr<const nlohmann::json> object;  // what it would be; an empty map with DELETE
  std::shared_ptr<const nlohmann::json> before;  // what it is; an empty map with CREATE
};

// Errors: InvalidArgument when `body` is no JSON, nested deeper than kMaxJsonDepth, or no AdmissionReview of v1.
absl::StatusOr<Review> ParseReview(absl::string_view body);

struct Verdict {
  bool allowed = true;
  int code = 403;                     // of a refusal, as HTTP has it
  std::string message;                // of a refusal
  std::vector<std::string> warnings;  // shown to whoever made the change
  std::string patch;                  // a JSON patch (RFC 6902); empty: none
};
Verdict Refused(const absl::Status& why);

// The AdmissionReview that answers `review`.
std::string ReviewResponse(const Review& review, const Verdict& verdict);

// Whether an update needs no judgement: of a subresource, of an object that is being deleted, or one that leaves spec
// and annotations as they are.
bool SaysNothingNew(const Review& review);

}  // namespace berth::admission

#endif  // BERTH_CONTROLLER_ADMISSION_REVIEW_H_
