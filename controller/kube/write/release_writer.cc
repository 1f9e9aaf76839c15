// SPDX-License-Identifier: Apache-2.0
#include "controller/kube/write/release_writer.h"

#include <nlohmann/json.hpp>
#include <utility>

#include "absl/strings/str_cat.h"
#include "common/obs/log.h"
#include "controller/kube/objects/finalizers.h"
#include "controller/kube/objects/read_field.h"

namespace berth::kube {
namespace {

using nlohmann::json;

}  // namespace

ReleaseWriter::~ReleaseWriter() {
  for (const auto& [key, entry] : entries_) loop_.Cancel(entry.timer);
}

void ReleaseWriter::Show(const Collection& collection, const json& object) {
  const json& metadata = MapAt(object, "metadata");
  const Key key{collection.resource, StringAt(metadata, "name")};
  Finalizers finalizers = FinalizersOf(object, collection.finalizer);
  if (!finalizers.ours || StringAt(metadata, "deletionTimestamp").empty()) return Drop(key);
  Entry& entry = entries_[key];
  entry.collection = collection;
  entry.revision = StringAt(metadata, "resourceVersion");
  entry.others = std::move(finalizers.others);
  Sync(key);
}

void ReleaseWriter::Gone(const Collection& collection, const std::string& name) { Drop({collection.resource, name}); }

void ReleaseWriter::Drop(const Key& key) {
  const auto it = entries_.find(key);
  if (it == entries_.end()) return;
  loop_.Cancel(it->second.timer);
  entries_.erase(it);
}

void ReleaseWriter::Lead(bool leading) {
  leading_ = leading;
  for (const auto& [key, entry] : entries_) Sync(key);
}

void ReleaseWriter::Sync(const Key& key) {
  Entry& entry = entries_.at(key);
  if (!leading_ || entry.busy) return;
  entry.busy = true;
  loop_.Cancel(std::exchange(entry.timer, 0));
  ApiRequest request;
  request.verb = "patch";
  request.resource = entry.collection.resource;
  request.method = Method::kPatch;
  request.path = absl::StrCat(entry.collection.path, "/", key.second);
  request.content_type = kMergePatch;
  request.body = FinalizerPatch(entry.revision, entry.others, entry.collection.finalizer, /*keep=*/false);
  writes_.Do(std::move(request), [this, key, revision = entry.revision,
                                  alive = std::weak_ptr<bool>(alive_)](const absl::StatusOr<ApiResponse>& response) {
    if (!alive.expired()) OnAnswer(key, revision, response.status());
  });
}

void ReleaseWriter::OnAnswer(const Key& key, const std::string& revision, const absl::Status& status) {
  const auto it = entries_.find(key);
  if (it == entries_.end()) return;
  Entry& entry = it->second;
  entry.busy = false;
  if (entry.revision != revision) return Sync(key);  // shown anew meanwhile
  if (status.ok() || absl::IsNotFound(status)) return Drop(key);
  // One that has changed comes by the watch, too.
  if (!absl::IsAborted(status) && leading_ && !std::exchange(entry.failing, true)) {
    LogWarn("taking a finalizer off what is being deleted failed, it is tried again",
            {{"object", absl::StrCat(key.first, "/", key.second)}, {"error", std::string(status.message())}});
  }
  loop_.Cancel(entry.timer);
  entry.timer = loop_.RunAfter(kWriteRetry, [this, key] {
    entries_.at(key).timer = 0;
    Sync(key);
  });
}

}  // namespace berth::kube
