// SPDX-License-Identifier: Apache-2.0
#include "controller/kube/identity/token_review.h"

#include <openssl/sha.h>

#include <algorithm>
#include <cstdint>
#include <nlohmann/json.hpp>
#include <vector>

#include "absl/strings/escaping.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "absl/strings/str_split.h"
#include "common/net/quote.h"
#include "controller/kube/objects/read_field.h"

namespace berth::kube {
namespace {

using nlohmann::json;

std::vector<std::string> Strings(const json& list) {
  std::vector<std::string> out;
  for (const json& each : list) {
    if (each.is_string()) out.push_back(each.get<std::string>());
  }
  return out;
}

bool IsTrue(const json& map, const char* key) {
  const auto it = map.find(key);
  return it != map.end() && it->is_boolean() && it->get<bool>();
}

std::optional<absl::Time> TimeAt(const json& claims, const char* key) {
  const auto it = claims.find(key);
  if (it == claims.end() || !it->is_number()) return std::nullopt;
  const double seconds = it->get<double>();
  // Beyond this no duration could be computed with it: the year 9999.
  if (!(seconds > 0 && seconds < 253402300800.0)) return std::nullopt;
  return absl::FromUnixSeconds(static_cast<std::int64_t>(seconds));
}

}  // namespace

std::string ExpectedAgent::UserName() const { return absl::StrCat("system:serviceaccount:", ns, ":", service_account); }

std::string TokenReviewBody(absl::string_view token, const std::string& audience) {
  const json review = {{"apiVersion", "authentication.k8s.io/v1"},
                       {"kind", "TokenReview"},
                       {"spec", {{"token", std::string(token)}, {"audiences", {audience}}}}};
  return review.dump(-1, ' ', false, json::error_handler_t::replace);
}

absl::StatusOr<std::string> JudgeReview(const std::string& body, const ExpectedAgent& expected) {
  const json review = json::parse(body, nullptr, /*allow_exceptions=*/false);
  const bool is_review = review.is_object() && StringAt(review, "kind") == "TokenReview" && review.contains("status") &&
                         review["status"].is_object();
  if (!is_review) return absl::InternalError("what the API server answered is no TokenReview");
  const json& status = MapAt(review, "status");
  if (!IsTrue(status, "authenticated")) {
    std::string why = StringAt(status, "error");
    const std::string token = StringAt(MapAt(review, "spec"), "token");
    if (!token.empty() && why.find(token) != std::string::npos) why.clear();
    return absl::UnauthenticatedError(absl::StrCat(
        "the API server does not know the token that this agent shows", why.empty() ? "" : ": ", why.substr(0, 500),
        "; mount a projected service account token with audience ", Quote(expected.audience)));
  }
  const std::vector<std::string> audiences = Strings(ListAt(status, "audiences"));
  if (std::find(audiences.begin(), audiences.end(), expected.audience) == audiences.end()) {
    return absl::UnauthenticatedError(
        absl::StrCat("the token that this agent shows is not for audience ", Quote(expected.audience), " but for ",
                     audiences.empty() ? "none in particular" : Quote(absl::StrJoin(audiences, ", "))));
  }
  const json& user = MapAt(status, "user");
  if (const std::string name = StringAt(user, "username"); name != expected.UserName()) {
    return absl::PermissionDeniedError(
        absl::StrCat("the token that this agent shows is of ", Quote(name), ", not of ", Quote(expected.UserName())));
  }
  const std::vector<std::string> nodes = Strings(ListAt(MapAt(user, "extra"), kNodeNameExtra));
  if (nodes.size() != 1 || nodes.front().empty()) {
    return absl::PermissionDeniedError(
        absl::StrCat("the token that this agent shows names no node (user.extra ", kNodeNameExtra,
                     "): it must be bound to the agent's pod, and Kubernetes must be 1.30 or newer"));
  }
  return nodes.front();
}

std::optional<TokenLife> ReadTokenLife(absl::string_view token) {
  const std::vector<absl::string_view> parts = absl::StrSplit(token, '.');
  std::string payload;
  if (parts.size() != 3 || !absl::WebSafeBase64Unescape(parts[1], &payload)) return std::nullopt;
  const json claims = json::parse(payload, nullptr, /*allow_exceptions=*/false);
  if (!claims.is_object()) return std::nullopt;
  const auto issued = TimeAt(claims, "iat");
  const auto expires = TimeAt(claims, "exp");
  if (!issued || !expires) return std::nullopt;
  return TokenLife{*issued, *expires};
}

std::string TokenKey(absl::string_view token) {
  std::string key(SHA256_DIGEST_LENGTH, '\0');
  SHA256(reinterpret_cast<const unsigned char*>(token.data()), token.size(),
         reinterpret_cast<unsigned char*>(key.data()));
  return key;
}

}  // namespace berth::kube
