// SPDX-License-Identifier: Apache-2.0
#include "controller/admission/review.h"

#include <nlohmann/json.hpp>
#include <utility>

#include "absl/strings/escaping.h"
#include "absl/strings/str_cat.h"
#include "common/base/status_macros.h"
#include "common/net/quote.h"
#include "controller/kube/objects/read_field.h"

namespace berth::admission {
namespace {

using kube::MapAt;
using kube::StringAt;
using nlohmann::json;

constexpr char kApiVersion[] = "admission.k8s.io/v1";
// What the API server passes on of one warning, and of all of them together.
constexpr std::size_t kMaxWarning = 256;

// Looked at before parsing, so that nothing deep is ever built: whatever walks it later may recurse.
absl::Status CheckDepth(absl::string_view body) {
  int depth = 0;
  bool in_string = false;
  for (std::size_t i = 0; i < body.size(); ++i) {
    const char c = body[i];
    if (in_string) {
      if (c == '\\') ++i;
      if (c == '"') in_string = false;
    } else if (c == '"') {
      in_string = true;
    } else if (c == '{' || c == '[') {
      if (++depth > kMaxJsonDepth) {
        return absl::InvalidArgumentError(absl::StrCat("is nested deeper than ", kMaxJsonDepth, " levels"));
      }
    } else if (c == '}' || c == ']') {
      --depth;
    }
  }
  return absl::OkStatus();
}

std::string Shortened(const std::string& warning) {
  return warning.size() <= kMaxWarning ? warning : absl::StrCat(warning.substr(0, kMaxWarning - 3), "...");
}

}  // namespace

absl::StatusOr<Review> ParseReview(absl::string_view body) {
  RETURN_IF_ERROR(CheckDepth(body));
  json review = json::parse(body.begin(), body.end(), nullptr, /*allow_exceptions=*/false);
  if (!review.is_object()) return absl::InvalidArgumentError("is no JSON object");
  if (StringAt(review, "kind") != "AdmissionReview" || StringAt(review, "apiVersion") != kApiVersion) {
    return absl::InvalidArgumentError(absl::StrCat("is ", Quote(StringAt(review, "kind")), " of ",
                                                   Quote(StringAt(review, "apiVersion")), ", not AdmissionReview of ",
                                                   Quote(kApiVersion)));
  }
  const json& request = MapAt(review, "request");
  Review out;
  out.uid = StringAt(request, "uid");
  out.operation = StringAt(request, "operation");
  if (out.uid.empty() || out.operation.empty()) {
    return absl::InvalidArgumentError("has no request.uid or no request.operation");
  }
  const json& resource = MapAt(request, "resource");
  out.group = StringAt(resource, "group");
  out.resource = StringAt(resource, "resource");
  out.subresource = StringAt(request, "subResource");
  out.ns = StringAt(request, "namespace");
  out.name = StringAt(request, "name");
  out.object = std::make_shared<const json>(MapAt(request, "object"));
  out.before = std::make_shared<const json>(MapAt(request, "oldObject"));
  return out;
}

Verdict Refused(const absl::Status& why) {
  Verdict verdict;
  verdict.allowed = false;
  verdict.message = std::string(why.message());
  return verdict;
}

std::string ReviewResponse(const Review& review, const Verdict& verdict) {
  json response = {{"uid", review.uid}, {"allowed", verdict.allowed}};
  if (!verdict.allowed) {
    response["status"] = {{"message", verdict.message}, {"code", verdict.code}};
    if (verdict.code == 403) response["status"]["reason"] = "Forbidden";
  }
  for (const std::string& warning : verdict.warnings) response["warnings"].push_back(Shortened(warning));
  if (verdict.allowed && !verdict.patch.empty()) {
    response["patchType"] = "JSONPatch";
    response["patch"] = absl::Base64Escape(verdict.patch);
  }
  const json out = {{"apiVersion", kApiVersion}, {"kind", "AdmissionReview"}, {"response", std::move(response)}};
  return out.dump(-1, ' ', false, json::error_handler_t::replace);
}

bool SaysNothingNew(const Review& review) {
  if (review.operation != "UPDATE") return false;
  if (!review.subresource.empty()) return true;
  const json& metadata = MapAt(*review.object, "metadata");
  if (!StringAt(metadata, "deletionTimestamp").empty()) return true;
  return MapAt(*review.object, "spec") == MapAt(*review.before, "spec") &&
         MapAt(metadata, "annotations") == MapAt(MapAt(*review.before, "metadata"), "annotations");
}

}  // namespace berth::admission
