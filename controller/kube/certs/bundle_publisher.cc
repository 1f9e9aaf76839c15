// SPDX-License-Identifier: Apache-2.0
#include "controller/kube/certs/bundle_publisher.h"

#include <nlohmann/json.hpp>
#include <optional>
#include <utility>

#include "absl/strings/escaping.h"
#include "absl/strings/str_cat.h"
#include "common/base/status_macros.h"
#include "controller/kube/objects/read_field.h"

namespace berth::kube {
namespace {

using nlohmann::json;

constexpr int kMaxConflicts = 3;
constexpr char kKey[] = "ca.crt";

std::string Text(const json& value) { return value.dump(-1, ' ', false, json::error_handler_t::replace); }

// The merge patch that makes every webhook of `configuration` trust `bundle`; nullopt when they do. A list is replaced
// as a whole, so the patch is good for this revision only.
std::optional<std::string> WebhookPatch(const json& configuration, const std::string& bundle) {
  const std::string encoded = absl::Base64Escape(bundle);
  json webhooks = ListAt(configuration, "webhooks");
  bool differs = false;
  for (json& webhook : webhooks) {
    if (!MapAt(webhook, "clientConfig").contains("service")) continue;
    if (StringAt(webhook["clientConfig"], "caBundle") == encoded) continue;
    webhook["clientConfig"]["caBundle"] = encoded;
    differs = true;
  }
  if (!differs) return std::nullopt;
  return Text({{"metadata", {{"resourceVersion", StringAt(MapAt(configuration, "metadata"), "resourceVersion")}}},
               {"webhooks", std::move(webhooks)}});
}

}  // namespace

BundlePublisher::BundlePublisher(EventLoop& loop, ApiClient& client, Options options,
                                 std::function<void(const absl::Status&)> on_problem)
    : loop_(loop), client_(client), options_(std::move(options)), on_problem_(std::move(on_problem)) {
  places_.push_back(
      {"configmaps", absl::StrCat("/api/v1/namespaces/", options_.ns, "/configmaps"), options_.config_map, false});
  const std::string admission = "/apis/admissionregistration.k8s.io/v1/";
  for (const auto& [resource, names] : {std::pair("validatingwebhookconfigurations", options_.validating),
                                        std::pair("mutatingwebhookconfigurations", options_.mutating)}) {
    for (const std::string& name : names) places_.push_back({resource, absl::StrCat(admission, resource), name, true});
  }
}

BundlePublisher::~BundlePublisher() { Stop(); }

void BundlePublisher::SetLeader(bool leader) {
  if (leader == leader_) return;
  leader_ = leader;
  published_ = false;
  waited_ = 0;
  Restart();
}

void BundlePublisher::Publish(const std::string& bundle) {
  if (bundle == bundle_) return;
  bundle_ = bundle;
  Restart();
}

void BundlePublisher::Stop() {
  client_.Cancel(std::exchange(request_, 0));
  loop_.Cancel(std::exchange(timer_, 0));
}

void BundlePublisher::Restart() {
  Stop();
  if (!leader_ || bundle_.empty()) return;
  at_ = 0;
  conflicts_ = 0;
  absent_ = false;
  trouble_ = absl::OkStatus();
  Next();
}

// One place after the other.
void BundlePublisher::Next() {
  if (at_ == places_.size()) {
    const bool wait = absent_ && ++waited_ < options_.rounds;
    published_ = published_ || !wait;
    timer_ = loop_.RunAfter(wait            ? options_.soon
                            : trouble_.ok() ? options_.again
                                            : options_.retry,
                            [this] {
                              timer_ = 0;
                              Restart();
                            });
    if (trouble_ == problem_) return;
    problem_ = trouble_;
    if (on_problem_) on_problem_(problem_);
    return;
  }
  ApiRequest request;
  request.verb = "get";
  request.resource = place().resource;
  request.path = absl::StrCat(place().collection, "/", place().name);
  request_ = client_.Do(std::move(request), [this](const absl::StatusOr<ApiResponse>& response) {
    request_ = 0;
    OnRead(response);
  });
}

void BundlePublisher::OnRead(const absl::StatusOr<ApiResponse>& response) {
  const bool absent = absl::IsNotFound(response.status());
  if (absent && place().webhooks) {
    absent_ = true;
    return PlaceDone(absl::OkStatus());
  }
  if (!response.ok() && !absent) return PlaceDone(response.status());
  json object = absent ? json::object() : json::parse(response->body, nullptr, /*allow_exceptions=*/false);
  if (!object.is_object()) {
    return PlaceDone(absl::InternalError(
        absl::StrCat("what the API server answered for ", place().resource, " ", place().name, " is no JSON object")));
  }
  ApiRequest request;
  request.resource = place().resource;
  request.path = absl::StrCat(place().collection, "/", place().name);
  if (place().webhooks) {
    std::optional<std::string> patch = WebhookPatch(object, bundle_);
    if (!patch) return PlaceDone(absl::OkStatus());
    request.verb = "patch";
    request.method = Method::kPatch;
    request.content_type = kMergePatch;
    request.body = *std::move(patch);
    return Write(std::move(request));
  }
  if (StringAt(MapAt(object, "data"), kKey) == bundle_) return PlaceDone(absl::OkStatus());
  request.verb = absent ? "create" : "update";
  request.method = absent ? Method::kPost : Method::kPut;
  if (absent) {
    request.path = place().collection;
    object["metadata"] = {{"name", place().name}, {"namespace", options_.ns}};
  } else {
    MapIn(object, "metadata").erase("managedFields");
  }
  object["apiVersion"] = "v1";
  object["kind"] = "ConfigMap";
  MapIn(object, "data")[kKey] = bundle_;
  request.content_type = kJson;
  request.body = Text(object);
  Write(std::move(request));
}

void BundlePublisher::Write(ApiRequest request) {
  request.urgency = Urgency::kWrite;
  request_ = client_.Do(std::move(request), [this](const absl::StatusOr<ApiResponse>& response) {
    request_ = 0;
    OnWritten(response.status());
  });
}

void BundlePublisher::OnWritten(const absl::Status& status) {
  const bool changed_meanwhile = absl::IsAborted(status) || absl::IsAlreadyExists(status) || absl::IsNotFound(status);
  if (changed_meanwhile && ++conflicts_ <= kMaxConflicts) return Next();  // look again
  PlaceDone(status);
}

void BundlePublisher::PlaceDone(const absl::Status& status) {
  if (trouble_.ok()) trouble_ = Annotate(status, absl::StrCat(place().resource, " ", place().name));
  ++at_;
  conflicts_ = 0;
  Next();
}

}  // namespace berth::kube
