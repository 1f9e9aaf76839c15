// SPDX-License-Identifier: Apache-2.0
// controller/kube/identity/token_review.h -- what an API server is asked about a token, and what its answer is worth.
// Pure.
//
//   request.body = TokenReviewBody(token, expected.audience);
//   ASSIGN_OR_RETURN(std::string node, JudgeReview(response.body, expected));
#ifndef BERTH_CONTROLLER_KUBE_IDENTITY_TOKEN_REVIEW_H_
#define BERTH_CONTROLLER_KUBE_IDENTITY_TOKEN_REVIEW_H_

#include <optional>
#include <string>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "absl/time/time.h"

namespace berth::kube {

inline constexpr char kTokenReviewsPath[] = "/apis/authentication.k8s.io/v1/tokenreviews";
// user.extra of a token that is bound to a pod (Kubernetes 1.30): the node that the pod is on.
inline constexpr char kNodeNameExtra[] = "authentication.kubernetes.io/node-name";

// Whose tokens are taken.
struct ExpectedAgent {
  std::string ns;
  std::string service_account = "berth-agent";
  std::string audience = "berth";
  std::string UserName() const;  // "system:serviceaccount:NS:NAME"
};

// A TokenReview (authentication.k8s.io/v1) to be created.
std::string TokenReviewBody(absl::string_view token, const std::string& audience);

// The node that the token in the TokenReview `body` speaks for.
// Errors: Unauthenticated   it is no valid token, or not for us
//         PermissionDenied  it is somebody else's, or names no node
//         Internal          `body` is no TokenReview; says nothing about the token
// No message has any of the token in it.
absl::StatusOr<std::string> JudgeReview(const std::string& body, const ExpectedAgent& expected);

// The claims `iat` and `exp` of a JWT, unverified: for how long an API server's word about it may be remembered.
struct TokenLife {
  absl::Time issued, expires;  // wall time
};
// nullopt when `token` is no JWT or lacks one of the two.
std::optional<TokenLife> ReadTokenLife(absl::string_view token);

// What a token is known by where the token itself must not be kept: its SHA-256, 32 bytes.
std::string TokenKey(absl::string_view token);

}  // namespace berth::kube

#endif  // BERTH_CONTROLLER_KUBE_IDENTITY_TOKEN_REVIEW_H_
