// SPDX-License-Identifier: Apache-2.0
#include <algorithm>
#include <utility>

#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "controller/kube/client/api_error.h"
#include "tests/fakes/kube/fake_api_server.h"

namespace berth::kube {
namespace {

using nlohmann::json;

json Line(const char* type, const json& object) { return {{"type", type}, {"object", object}}; }

}  // namespace

void FakeApiServer::BeginWatch(const CallPtr& call, const ApiPath& path) {
  const absl::StatusOr<Selector> labels = Selector::Labels(path.Query("labelSelector"));
  const absl::StatusOr<Selector> fields = Selector::Fields(path.Query("fieldSelector"));
  if (!labels.ok()) return Answer(call, Failure(400, "BadRequest", std::string(labels.status().message())));
  if (!fields.ok()) return Answer(call, Failure(400, "BadRequest", std::string(fields.status().message())));
  auto stream = std::make_shared<Stream>();
  stream->call = call;
  stream->resource = path.resource;
  stream->ns = path.ns;
  stream->labels = *labels;
  stream->fields = *fields;
  stream->bookmarks = path.QueryIs("allowWatchBookmarks");
  const std::string from = path.Query("resourceVersion");
  std::uint64_t revision = 0;
  if (!from.empty() && !absl::SimpleAtoi(from, &revision)) {
    return Answer(call, Failure(400, "BadRequest", absl::StrCat("invalid resource version \"", from, "\"")));
  }
  ToClient(call, kLatency, [call] { call->client->Began(call->id); });
  if (revision == 0) {
    for (const ObjectPtr& object : store_.List(path.resource, path.ns)) {
      if (stream->labels.Matches(*object) && stream->fields.Matches(*object)) {
        SendLine(stream, Line("ADDED", *object), absl::ZeroDuration());
      }
    }
  } else if (revision < store_.compacted()) {
    const std::string why = absl::StrCat("too old resource version: ", revision, " (", store_.compacted(), ")");
    SendLine(stream, Line("ERROR", Failure(410, "Expired", why).body), absl::ZeroDuration());
    return EndStream(stream);
  } else {
    for (const ApiStore::Event& event : store_.history()) {
      if (event.revision > revision) SendEvent(stream, event);
    }
  }
  std::int64_t seconds = 0;  // the real one chooses between 30 and 60 minutes without it
  if (!absl::SimpleAtoi(path.Query("timeoutSeconds"), &seconds) || seconds <= 0) seconds = 30 * 60;
  streams_.push_back(stream);
  stream->end_timer = loop_.RunAfter(absl::Seconds(seconds), [this, stream] {
    if (stream->bookmarks) SendBookmark(stream);
    EndStream(stream);
  });
  if (stream->bookmarks) stream->bookmark_timer = loop_.RunAfter(kBookmarks, [this, stream] { SendBookmark(stream); });
}

void FakeApiServer::OnEvent(const ApiStore::Event& event) {
  for (const StreamPtr& stream : std::vector<StreamPtr>(streams_)) SendEvent(stream, event);
}

// With a selector, what begins to match is added and what ceases to is deleted.
void FakeApiServer::SendEvent(const StreamPtr& stream, const ApiStore::Event& event) {
  if (event.resource != stream->resource || (!stream->ns.empty() && stream->ns != event.key.ns)) return;
  const auto matches = [&](const ObjectPtr& object) {
    return object != nullptr && stream->labels.Matches(*object) && stream->fields.Matches(*object);
  };
  const bool deleted = event.type[0] == 'D';
  const bool had = matches(event.before), has = !deleted && matches(event.object);
  if (!had && !has) return;
  json object = *event.object;
  if (had && !has && !deleted) {
    object = *event.before;
    object["metadata"]["resourceVersion"] = absl::StrCat(event.revision);
  }
  SendLine(stream, Line(!had ? "ADDED" : (has ? "MODIFIED" : "DELETED"), object), watch_lag_);
}

void FakeApiServer::SendLine(const StreamPtr& stream, const json& line, absl::Duration lag) {
  stream->next_delivery = std::max(stream->next_delivery, loop_.Now() + lag + kLatency);
  const CallPtr call = stream->call;
  ToClient(call, stream->next_delivery - loop_.Now(),
           [call, text = line.dump()] { call->client->Line(call->id, text); });
}

void FakeApiServer::SendBookmark(const StreamPtr& stream) {
  const ResourceType* type = store_.FindType(stream->resource);
  if (type == nullptr) return;
  // It vouches for all that was sent before it, no matter what kind of object moved the revision.
  SendLine(stream,
           Line("BOOKMARK", {{"kind", type->kind},
                             {"apiVersion", type->ApiVersion()},
                             {"metadata", {{"resourceVersion", absl::StrCat(store_.revision())}}}}),
           watch_lag_);
  loop_.Cancel(stream->bookmark_timer);
  stream->bookmark_timer = loop_.RunAfter(kBookmarks, [this, stream] { SendBookmark(stream); });
}

void FakeApiServer::Forget(const StreamPtr& stream) {
  loop_.Cancel(stream->bookmark_timer);
  loop_.Cancel(stream->end_timer);
  std::erase(streams_, stream);
}

void FakeApiServer::Abandoned(const CallPtr& call) {
  for (const StreamPtr& stream : StreamsOf("")) {
    if (stream->call == call) Forget(stream);
  }
}

void FakeApiServer::EndStream(const StreamPtr& stream) {
  Forget(stream);
  stream->next_delivery = std::max(stream->next_delivery, loop_.Now() + kLatency);
  const CallPtr call = stream->call;
  ToClient(call, stream->next_delivery - loop_.Now(), [call] { call->client->End(call->id, ApiResponse{200, ""}); });
}

std::vector<FakeApiServer::StreamPtr> FakeApiServer::StreamsOf(const std::string& resource) const {
  std::vector<StreamPtr> some;
  for (const StreamPtr& stream : streams_) {
    if (resource.empty() || stream->resource == resource) some.push_back(stream);
  }
  return some;
}

void FakeApiServer::EndWatches(const std::string& resource) {
  for (const StreamPtr& stream : StreamsOf(resource)) EndStream(stream);
}

void FakeApiServer::CutWatches(const std::string& resource) {
  for (const StreamPtr& stream : StreamsOf(resource)) {
    Forget(stream);
    const CallPtr call = stream->call;
    call->lost = true;
    call->client->End(call->id,
                      absl::UnknownError(absl::StrCat(Attempt(call->request), "the connection ended within a line")));
  }
}

}  // namespace berth::kube
