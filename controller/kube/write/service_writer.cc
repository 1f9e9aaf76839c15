// SPDX-License-Identifier: Apache-2.0
#include "controller/kube/write/service_writer.h"

#include <nlohmann/json.hpp>
#include <utility>

#include "absl/strings/str_cat.h"

namespace berth::kube {

ServiceWriter::ServiceWriter(EventLoop& loop, ApiClient& client, std::function<WriteWindow()> window)
    : loop_(loop), client_(client), window_(std::move(window)) {}

void ServiceWriter::Write(const model::ServiceWrite& write, const ServiceRest& rest, Done done) {
  ++in_flight_;
  ApiRequest request;
  request.verb = "patch";
  request.resource = "services";
  request.method = Method::kPatch;
  request.path = absl::StrCat("/api/v1/namespaces/", write.id.ns, "/services/", write.id.name, "/status");
  request.content_type = kMergePatch;
  request.body = ServicePatch(write, rest, loop_.WallNow());
  request.urgency = Urgency::kWrite;
  window_().Bound(request, loop_.Now());
  client_.Do(std::move(request), [this, done = std::move(done),
                                  alive = std::weak_ptr<bool>(alive_)](const absl::StatusOr<ApiResponse>& response) {
    if (alive.expired()) return;
    --in_flight_;
    if (!response.ok()) {
      done(response.status());
    } else {
      done(ReadService(nlohmann::json::parse(response->body, nullptr, /*allow_exceptions=*/false)));
    }
    if (!alive.expired() && in_flight_ == 0) on_idle();
  });
}

}  // namespace berth::kube
