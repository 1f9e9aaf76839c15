// SPDX-License-Identifier: Apache-2.0
#include "controller/kube/write/event_recorder.h"

#include <algorithm>
#include <nlohmann/json.hpp>
#include <utility>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "common/obs/log.h"
#include "controller/kube/objects/read_field.h"

namespace berth::kube {
namespace {

using nlohmann::json;

constexpr double kBurst = 25;
constexpr absl::Duration kRefill = absl::Seconds(30);  // for one more
constexpr absl::Duration kKeep = absl::Minutes(10);    // a text that comes again later makes a new Event
constexpr std::size_t kMaxEntries = 10'000;
constexpr absl::Duration kEventRetry = absl::Seconds(5);
constexpr int kMaxTries = 12;
constexpr std::size_t kMaxName = 253;
constexpr std::size_t kMaxNote = 1024;

constexpr char kOurs[] = "network.kubesphere.io/v1alpha2";

// Events of objects without a namespace live in this one.
std::string NamespaceOf(const model::EventRecord& event) {
  return event.object.ns.empty() ? "default" : event.object.ns;
}

json InvolvedObject(const model::EventRecord& event, const std::string& uid) {
  json object = {{"name", event.object.name}, {"uid", uid}};
  const auto is = [&](const char* version, const char* kind) {
    object["apiVersion"] = version;
    object["kind"] = kind;
  };
  switch (event.kind) {
    case model::EventRecord::Kind::kService:
      is("v1", "Service");
      break;
    case model::EventRecord::Kind::kPool:
      is(kOurs, "Eip");
      break;
    case model::EventRecord::Kind::kBgpConf:
      is(kOurs, "BgpConf");
      break;
    case model::EventRecord::Kind::kBgpPeer:
      is(kOurs, "BgpPeer");
      break;
  }
  if (!event.object.ns.empty()) object["namespace"] = event.object.ns;
  return object;
}

}  // namespace

EventRecorder::EventRecorder(EventLoop& loop, ApiClient& client, std::string identity,
                             std::function<void(const absl::Status&)> on_problem)
    : loop_(loop), client_(client), identity_(std::move(identity)), on_problem_(std::move(on_problem)) {}

EventRecorder::~EventRecorder() = default;

void EventRecorder::Record(const model::EventRecord& event, const std::string& uid) {
  const Key key{event.kind, event.object, uid, event.reason, event.message};
  const auto found = entries_.find(key);
  if (found != entries_.end() && loop_.Now() - found->second.used < kKeep) {
    Entry& entry = found->second;
    ++entry.count;
    entry.used = loop_.Now();
    entry.last = loop_.WallNow();
    return Send(key);
  }
  if (!Allow(event)) return;
  Forget();
  Entry entry;
  entry.event = event;
  entry.uid = uid;
  const std::string suffix =
      absl::StrFormat(".%x", absl::ToUnixNanos(loop_.WallNow()) + static_cast<std::int64_t>(++last_));
  entry.name = absl::StrCat(event.object.name.substr(0, kMaxName - suffix.size()), suffix);
  entry.first = entry.last = loop_.WallNow();
  entry.used = loop_.Now();
  entries_.insert_or_assign(key, std::move(entry));
  Send(key);
}

bool EventRecorder::Allow(const model::EventRecord& event) {
  const absl::Time now = loop_.Now();
  auto [it, fresh] = buckets_.try_emplace({event.kind, event.object}, Bucket{kBurst, now});
  Bucket& bucket = it->second;
  bucket.tokens = std::min(kBurst, bucket.tokens + absl::FDivDuration(now - bucket.at, kRefill));
  bucket.at = now;
  if (bucket.tokens < 1) return false;
  bucket.tokens -= 1;
  return true;
}

// What is old, or too much, is not worth remembering: its text would make a new Event.
void EventRecorder::Forget() {
  if (entries_.size() < kMaxEntries / 2) return;
  const absl::Time now = loop_.Now();
  std::erase_if(entries_, [&](const auto& e) { return !e.second.busy && now - e.second.used >= kKeep; });
  std::erase_if(buckets_, [&](const auto& b) { return now - b.second.at >= kRefill * kBurst; });
  for (auto it = entries_.begin(); it != entries_.end() && entries_.size() >= kMaxEntries;) {
    it = it->second.busy ? std::next(it) : entries_.erase(it);
  }
}

void EventRecorder::Send(const Key& key) {
  const auto it = entries_.find(key);
  if (it == entries_.end() || it->second.busy || it->second.told == it->second.count) return;
  Entry& entry = it->second;
  const model::EventRecord& event = entry.event;
  entry.busy = true;
  ApiRequest request;
  request.resource = "events";
  request.urgency = Urgency::kEvent;
  request.path = absl::StrCat("/api/v1/namespaces/", NamespaceOf(event), "/events");
  json body = {{"count", entry.count}, {"lastTimestamp", Rfc3339(entry.last)}};
  if (entry.told > 0) {
    request.verb = "patch";
    request.method = Method::kPatch;
    request.content_type = kMergePatch;
    absl::StrAppend(&request.path, "/", entry.name);
  } else {
    request.verb = "create";
    request.method = Method::kPost;
    request.content_type = kJson;
    body["metadata"] = {{"name", entry.name}, {"namespace", NamespaceOf(event)}};
    body["involvedObject"] = InvolvedObject(event, entry.uid);
    body["reason"] = event.reason;
    body["message"] = event.message.substr(0, kMaxNote);
    body["type"] = event.warning ? "Warning" : "Normal";
    body["firstTimestamp"] = Rfc3339(entry.first);
    body["source"] = {{"component", "berth-controller"}};
    body["reportingComponent"] = "berth.io/controller";
    body["reportingInstance"] = identity_;
  }
  request.body = body.dump(-1, ' ', false, json::error_handler_t::replace);
  client_.Do(std::move(request), [this, key, count = entry.count,
                                  alive = std::weak_ptr<bool>(alive_)](const absl::StatusOr<ApiResponse>& response) {
    if (!alive.expired()) OnSent(key, count, response);
  });
}

void EventRecorder::OnSent(const Key& key, int count, const absl::StatusOr<ApiResponse>& response) {
  const auto it = entries_.find(key);
  if (it == entries_.end()) return;
  Entry& entry = it->second;
  entry.busy = false;
  const absl::Status& status = response.status();
  // In a namespace that is going nobody may make anything, which is nothing to tell.
  const bool refused = absl::IsPermissionDenied(status) && !absl::StrContains(status.message(), "being terminated");
  if (status.ok() || refused) on_problem_(status);
  if (status.ok() || absl::IsAlreadyExists(status)) {  // a create whose answer was lost
    entry.told = count;
    entry.tries = 0;
    return Send(key);
  }
  const bool later = absl::IsUnavailable(status) || absl::IsUnknown(status) || absl::IsResourceExhausted(status) ||
                     absl::IsUnauthenticated(status);
  if (later && ++entry.tries < kMaxTries) {
    entry.busy = true;  // until then
    loop_.RunAfter(kEventRetry, [this, key, alive = std::weak_ptr<bool>(alive_)] {
      if (alive.expired()) return;
      const auto again = entries_.find(key);
      if (again == entries_.end()) return;
      again->second.busy = false;
      Send(key);
    });
    return;
  }
  // Its namespace is going, or it expired: the text may make a new one.
  LogDebug("an Event could not be recorded", {{"object", entry.event.object.ToString()},
                                              {"reason", entry.event.reason},
                                              {"error", std::string(status.message())}});
  entries_.erase(it);
}

}  // namespace berth::kube
