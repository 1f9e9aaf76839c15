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

}  // namespace

AnnouncedWriter::AnnouncedWriter(EventLoop& loop, Writes& writes, std::function<void(const json&)> on_written)
    : loop_(loop), writes_(writes), on_written_(std::move(on_written)) {}

void AnnouncedWriter::Show(const model::ObjectId& service, const std::string& uid, const std::string& recorded) {
  uids_[service] = uid;
  if (recorded.empty()) {
    recorded_.erase(service);
  } else {
    recorded_[service] = recorded;
  }
  Sync(service);
}

void AnnouncedWriter::Gone(const model::ObjectId& service) {
  uids_.erase(service);
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

std::string AnnouncedWriter::WantOf(const model::ObjectId& service) const {
  const auto wanted = wanted_->find(service);
  return wanted == wanted_->end() ? "" : AnnouncedMessage(wanted->second);
}

bool AnnouncedWriter::Differs(const model::ObjectId& service) const {
  if (!wanted_.has_value() || !uids_.contains(service)) return false;
  const auto recorded = recorded_.find(service);
  return WantOf(service) != (recorded == recorded_.end() ? "" : recorded->second);
}

ApiRequest AnnouncedWriter::Patch(const model::ObjectId& service, const std::string& want) const {
  ApiRequest request;
  request.verb = "patch";
  request.resource = "services";
  request.method = Method::kPatch;
  request.path = absl::StrCat("/api/v1/namespaces/", service.ns, "/services/", service.name, "/status");
  request.content_type = kStrategicMergePatch;
  request.body =
      AnnouncedPatch(uids_.at(service), want, /*was_announced=*/!recorded_.contains(service), loop_.WallNow());
  return request;
}

void AnnouncedWriter::Sync(const model::ObjectId& service) {
  if (busy_.contains(service) || !Differs(service)) return;
  busy_.insert(service);
  const auto want = std::make_shared<std::string>();
  auto make = [this, service, want]() -> std::optional<ApiRequest> {
    if (!Differs(service)) {  // any more
      busy_.erase(service);
      return std::nullopt;
    }
    *want = WantOf(service);
    return Patch(service, *want);
  };
  writes_.DoInTurn(
      service, std::move(make),
      [this, service, want, alive = std::weak_ptr<bool>(alive_)](const absl::StatusOr<ApiResponse>& response) {
        if (!alive.expired()) OnAnswer(service, *want, response);
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
  loop_.RunAfter(kWriteRetry, [this, service, alive = std::weak_ptr<bool>(alive_)] {
    if (alive.expired()) return;
    busy_.erase(service);
    Sync(service);
  });
}

}  // namespace berth::kube
