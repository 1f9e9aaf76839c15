// SPDX-License-Identifier: Apache-2.0
#include "controller/kube/write/announced_writer.h"

#include <nlohmann/json.hpp>
#include <utility>

#include "absl/strings/str_cat.h"
#include "common/obs/log.h"
#include "controller/kube/objects/service_object.h"

namespace berth::kube {
namespace {

using nlohmann::json;

constexpr absl::Duration kRetry = absl::Seconds(1);

}  // namespace

AnnouncedWriter::AnnouncedWriter(EventLoop& loop, ApiClient& client, std::function<WriteWindow()> window,
                                 std::function<void(const json&)> on_written)
    : loop_(loop), client_(client), window_(std::move(window)), on_written_(std::move(on_written)) {}

void AnnouncedWriter::Show(const model::ObjectId& service, const std::string& recorded) {
  if (recorded.empty()) {
    recorded_.erase(service);
  } else {
    recorded_[service] = recorded;
  }
  Sync(service);
}

void AnnouncedWriter::Gone(const model::ObjectId& service) {
  recorded_.erase(service);
  if (wanted_.has_value()) wanted_->erase(service);
}

void AnnouncedWriter::Want(model::UnannouncedServices services) {
  wanted_ = std::move(services);
  std::set<model::ObjectId> concerned;
  for (const auto& [id, why] : *wanted_) concerned.insert(id);
  for (const auto& [id, why] : recorded_) concerned.insert(id);
  for (const model::ObjectId& id : concerned) Sync(id);
}

void AnnouncedWriter::Sync(const model::ObjectId& service) {
  if (!wanted_.has_value() || busy_.contains(service)) return;
  const auto wanted = wanted_->find(service);
  const std::string want = wanted == wanted_->end() ? "" : AnnouncedMessage(wanted->second);
  const auto recorded = recorded_.find(service);
  if (want == (recorded == recorded_.end() ? "" : recorded->second)) return;
  busy_.insert(service);
  ApiRequest request;
  request.verb = "patch";
  request.resource = "services";
  request.method = Method::kPatch;
  request.path = absl::StrCat("/api/v1/namespaces/", service.ns, "/services/", service.name, "/status");
  request.content_type = kStrategicMergePatch;
  request.body = AnnouncedPatch(want, /*was_announced=*/recorded == recorded_.end(), loop_.WallNow());
  request.urgency = Urgency::kWrite;
  window_().Bound(request, loop_.Now());
  client_.Do(std::move(request),
             [this, service, want, alive = std::weak_ptr<bool>(alive_)](const absl::StatusOr<ApiResponse>& response) {
               if (!alive.expired()) OnAnswer(service, want, response);
             });
}

void AnnouncedWriter::OnAnswer(const model::ObjectId& service, const std::string& want,
                               const absl::StatusOr<ApiResponse>& response) {
  if (response.ok()) {
    failing_ = false;
    busy_.erase(service);
    if (want.empty()) {
      recorded_.erase(service);
    } else {
      recorded_[service] = want;
    }
    const json object = json::parse(response->body, nullptr, /*allow_exceptions=*/false);
    if (object.is_object()) on_written_(object);
    return Sync(service);
  }
  if (absl::IsNotFound(response.status())) {  // the watch tells so, too
    busy_.erase(service);
    return Gone(service);
  }
  if (wanted_.has_value() && !std::exchange(failing_, true)) {
    LogWarn("writing a condition of a Service failed, it is tried again",
            {{"service", service.ToString()}, {"error", std::string(response.status().message())}});
  }
  loop_.RunAfter(kRetry, [this, service, alive = std::weak_ptr<bool>(alive_)] {
    if (alive.expired()) return;
    busy_.erase(service);
    Sync(service);
  });
}

}  // namespace berth::kube
