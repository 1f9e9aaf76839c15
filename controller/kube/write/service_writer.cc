// SPDX-License-Identifier: Apache-2.0
#include "controller/kube/write/service_writer.h"

#include <memory>
#include <nlohmann/json.hpp>
#include <optional>
#include <utility>

#include "absl/strings/str_cat.h"

namespace berth::kube {

ServiceWriter::ServiceWriter(EventLoop& loop, Writes& writes, Rest rest)
    : loop_(loop), writes_(writes), rest_(std::move(rest)) {}

void ServiceWriter::Write(const model::ServiceWrite& write, Done done) {
  const auto end = std::make_shared<const Done>(std::move(done));
  auto make = [this, write, end]() -> std::optional<ApiRequest> {
    const ServiceRest* rest = rest_(write.id, write.revision);
    if (rest == nullptr) {
      loop_.Post([end, name = write.id.ToString()] {
        (*end)(absl::AbortedError(absl::StrCat("Service ", name, " has changed")));
      });
      return std::nullopt;
    }
    ApiRequest request;
    request.verb = "patch";
    request.resource = "services";
    request.method = Method::kPatch;
    request.path = absl::StrCat("/api/v1/namespaces/", write.id.ns, "/services/", write.id.name, "/status");
    request.content_type = kMergePatch;
    if (!write.allocations.empty()) request.urgency = Urgency::kAssign;
    request.body = ServicePatch(write, *rest, loop_.WallNow());
    return request;
  };
  writes_.DoInTurn(write.id, std::move(make), [end](const absl::StatusOr<ApiResponse>& response) {
    if (!response.ok()) return (*end)(response.status());
    const auto object = nlohmann::json::parse(response->body, nullptr, /*allow_exceptions=*/false);
    (*end)(OrItsEnd(ReadService(object), object));
  });
}

}  // namespace berth::kube
