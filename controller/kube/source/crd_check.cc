// SPDX-License-Identifier: Apache-2.0
#include "controller/kube/source/crd_check.h"

#include <nlohmann/json.hpp>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "controller/kube/source/crd_fields.h"

namespace berth::kube {
namespace {

using nlohmann::json;

constexpr absl::Duration kCheckInterval = absl::Minutes(5);
constexpr absl::Duration kCheckRetry = absl::Seconds(10);

std::string CrdOf(const std::string& resource) { return absl::StrCat(resource, ".network.kubesphere.io"); }

absl::Status Judged(const std::string& resource, const absl::StatusOr<ApiResponse>& response) {
  if (absl::IsNotFound(response.status())) return absl::OkStatus();
  if (!response.ok()) return response.status();
  const json crd = json::parse(response->body, nullptr, /*allow_exceptions=*/false);
  const std::vector<std::string> missing = MissingFields(resource, crd);
  if (missing.empty()) return absl::OkStatus();
  return absl::FailedPreconditionError(
      absl::StrCat("the CRD ", CrdOf(resource), " is an older one: what is written to ", absl::StrJoin(missing, ", "),
                   " is lost; upgrade it with Berth's chart (value crds.install)"));
}

}  // namespace

CrdCheck::CrdCheck(EventLoop& loop, ApiClient& client,
                   std::function<void(const std::string& crd, const absl::Status& status)> on_answer)
    : loop_(loop), client_(client), on_answer_(std::move(on_answer)) {}

void CrdCheck::Start() {
  alive_ = std::make_shared<bool>(true);
  for (const std::string& resource : CrdResources()) Look(resource);
}

void CrdCheck::Stop() {
  alive_.reset();
  for (const auto& [resource, timer] : std::exchange(timers_, {})) loop_.Cancel(timer);
}

void CrdCheck::Look(const std::string& resource) {
  ApiRequest request;
  request.verb = "get";
  request.resource = "customresourcedefinitions";
  request.path = absl::StrCat("/apis/apiextensions.k8s.io/v1/customresourcedefinitions/", CrdOf(resource));
  client_.Do(std::move(request),
             [this, resource, alive = std::weak_ptr<bool>(alive_)](const absl::StatusOr<ApiResponse>& response) {
               if (!alive.expired()) OnAnswer(resource, response);
             });
}

void CrdCheck::OnAnswer(const std::string& resource, const absl::StatusOr<ApiResponse>& response) {
  const absl::Status judged = Judged(resource, response);
  const bool well = response.ok() && judged.ok();  // else somebody may be waiting to see that it is mended
  timers_[resource] = loop_.RunAfter(well ? kCheckInterval : kCheckRetry, [this, resource] { Look(resource); });
  on_answer_(CrdOf(resource), judged);
}

}  // namespace berth::kube
