// SPDX-License-Identifier: Apache-2.0
#include "controller/kube/write/pool_writer.h"

#include <nlohmann/json.hpp>
#include <utility>

#include "absl/strings/str_cat.h"
#include "common/obs/log.h"
#include "controller/kube/objects/finalizers.h"
#include "controller/kube/objects/read_field.h"

namespace berth::kube {
namespace {

using nlohmann::json;

constexpr absl::Duration kStatusInterval = absl::Seconds(1);
constexpr char kPath[] = "/apis/network.kubesphere.io/v1alpha2/eips/";

}  // namespace

PoolWriter::PoolWriter(EventLoop& loop, Writes& writes, std::function<void(const json&)> on_written)
    : loop_(loop), writes_(writes), on_written_(std::move(on_written)) {}

PoolWriter::~PoolWriter() {
  for (const auto& [name, entry] : entries_) loop_.Cancel(entry.timer);
}

void PoolWriter::Show(const PoolObject& object) {
  entries_[object.pool.name].object = object;
  Sync(object.pool.name);
}

void PoolWriter::Gone(const std::string& name) {
  const auto it = entries_.find(name);
  if (it == entries_.end()) return;
  it->second.object.reset();
  it->second.wanted.reset();
  if (it->second.busy) return;  // its answer comes, and finds nothing to do
  loop_.Cancel(it->second.timer);
  entries_.erase(it);
}

void PoolWriter::Want(const model::PoolStatus& status) {
  entries_[status.pool].wanted = status;
  Sync(status.pool);
}

void PoolWriter::Forget() {
  for (auto& [name, entry] : entries_) entry.wanted.reset();
}

void PoolWriter::SyncAt(const std::string& name, absl::Time at) {
  Entry& entry = entries_[name];
  if (entry.timer != 0) return;
  entry.timer = loop_.RunAt(at, [this, name] {
    const auto it = entries_.find(name);
    if (it == entries_.end()) return;
    it->second.timer = 0;
    Sync(name);
  });
}

void PoolWriter::Sync(const std::string& name) {
  Entry& entry = entries_[name];
  if (entry.busy || !entry.object || !entry.wanted) return;
  const PoolObject& object = *entry.object;
  const bool keep = !object.pool.deleting || entry.wanted->hold;
  // A finalizer cannot be added to what is being deleted.
  if (object.pool.has_finalizer != keep && !(object.pool.deleting && keep)) {
    return Patch(name, /*status=*/false,
                 FinalizerPatch(object.pool.revision, object.other_finalizers, kPoolFinalizer, keep));
  }
  const json before = object.status.empty() ? json::object() : json::parse(object.status, nullptr, false);
  // Times of conditions are kept from where there are some.
  const json times = before.contains("conditions") || entry.told.empty() ? before : json::parse(entry.told);
  const json want = PoolStatusJson(*entry.wanted, times, loop_.WallNow());
  const json diff = MergeDiff(before, want);
  if (diff.empty()) return;
  std::string body = json{{"status", diff}}.dump(-1, ' ', false, json::error_handler_t::replace);
  if (body == entry.wrote) entry.futile = body;  // still, right after it was done
  entry.wrote.clear();
  if (body == entry.futile) return;
  if (loop_.Now() < entry.next) return SyncAt(name, entry.next);
  entry.next = loop_.Now() + kStatusInterval;
  entry.told = want.dump(-1, ' ', false, json::error_handler_t::replace);
  Patch(name, /*status=*/true, std::move(body));
}

void PoolWriter::Patch(const std::string& name, bool status, std::string body) {
  entries_[name].busy = true;
  ApiRequest request;
  request.verb = "patch";
  request.resource = "eips";
  request.method = Method::kPatch;
  request.path = absl::StrCat(kPath, name, status ? "/status" : "");
  request.content_type = kMergePatch;
  request.body = body;
  writes_.Do(std::move(request), [this, name, status, body = std::move(body),
                                  alive = std::weak_ptr<bool>(alive_)](const absl::StatusOr<ApiResponse>& response) {
    if (alive.expired()) return;
    Entry& entry = entries_[name];
    entry.busy = false;
    if (!entry.object) return Gone(name);
    if (response.ok()) {
      entry.failing = false;
      const json object = json::parse(response->body, nullptr, /*allow_exceptions=*/false);
      entry.wrote = status ? body : "";
      if (object.is_object()) on_written_(object);  // which shows it to us, too
      if (const auto left = entries_.find(name); left != entries_.end()) left->second.wrote.clear();
      return;
    }
    // Whatever it is, the object comes by the watch when it changed, and is tried again when it did not.
    if (!absl::IsAborted(response.status()) && !absl::IsNotFound(response.status()) && !entry.failing) {
      entry.failing = true;
      LogWarn("writing an Eip failed, it is tried again",
              {{"eip", name}, {"error", std::string(response.status().message())}});
    }
    SyncAt(name, loop_.Now() + kWriteRetry);
  });
}

}  // namespace berth::kube
