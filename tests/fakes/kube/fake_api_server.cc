// SPDX-License-Identifier: Apache-2.0
#include "tests/fakes/kube/fake_api_server.h"

#include <algorithm>
#include <utility>

#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "controller/kube/client/api_error.h"

namespace berth::kube {
namespace {

using nlohmann::json;

std::string VerbOf(const ApiRequest& request, const ApiPath& path) {
  switch (request.method) {
    case Method::kPost:
      return "create";
    case Method::kPut:
      return "update";
    case Method::kPatch:
      return "patch";
    case Method::kDelete:
      return "delete";
    case Method::kGet:
      break;
  }
  if (!path.name.empty()) return "get";
  return path.QueryIs("watch") ? "watch" : "list";
}

Reply NoSuchPage() { return {404, "404 page not found\n"}; }

// Of what a strategic merge does beyond a merge: conditions are merged one by one, by their type.
void MergeConditions(const json& before, json& patch) {
  const json::json_pointer at("/status/conditions");
  if (!patch.contains(at) || !before.contains(at)) return;
  json merged = before.at(at);
  for (const json& change : patch.at(at)) {
    const auto old = std::find_if(merged.begin(), merged.end(),
                                  [&](const json& c) { return c.value("type", "") == change.value("type", ""); });
    if (old == merged.end()) {
      merged.push_back(change);
    } else {
      old->merge_patch(change);
    }
  }
  patch[at] = std::move(merged);
}

}  // namespace

FakeApiServer::FakeApiServer(EventLoop& loop) : loop_(loop), store_([&loop] { return loop.WallNow(); }) {
  store_.on_event = [this](const ApiStore::Event& event) { OnEvent(event); };
  store_.on_type_gone = [this](const std::string& resource) { EndWatches(resource); };
}

void FakeApiServer::ToServer(const CallPtr& call, absl::Duration after, std::function<void()> task) {
  loop_.RunAfter(after, [this, call, task = std::move(task)] {
    if (call->lost) return;
    if (Silent(call->client_name)) {
      held_[call->client_name].emplace_back(call, task);
    } else {
      task();
    }
  });
}

void FakeApiServer::ToClient(const CallPtr& call, absl::Duration after, std::function<void()> task) {
  ToServer(call, after, [call, task = std::move(task)] {
    if (call->client != nullptr) task();
  });
}

void FakeApiServer::GiveUpIfSilent(const CallPtr& call) {
  if (call->client == nullptr || !Silent(call->client_name)) return;
  call->lost = true;
  call->client->End(call->id, absl::UnknownError(absl::StrCat(Attempt(call->request), "the server is silent")));
}

void FakeApiServer::Arrive(const CallPtr& call) {
  std::erase_if(calls_, [](const std::weak_ptr<Call>& other) { return other.expired(); });
  calls_.push_back(call);
  if (down_) {
    FakeApiClient* client = call->client;
    client->End(call->id, absl::UnavailableError(absl::StrCat(Attempt(call->request), "connection refused")));
    return;
  }
  if (Silent(call->client_name)) loop_.RunAfter(kDeadAfter, [this, call] { GiveUpIfSilent(call); });
  ToServer(call, kLatency, [this, call] {
    if (call->request.path == "/version") return Answer(call, {200, {{"major", "1"}, {"minor", "35"}}});
    const std::optional<ApiPath> path = ParseApiPath(call->request.path);
    if (!path) return Answer(call, NoSuchPage());
    const std::string verb = VerbOf(call->request, *path);
    const std::string resource = absl::StrCat(path->resource, path->subresource.empty() ? "" : "/", path->subresource);
    const Seen seen{call->client_name, verb, resource, *path, call->request};
    const Fault fault = faults ? faults(seen) : Fault{};
    if (fault.delay <= absl::ZeroDuration()) return Handle(call, *path, seen, fault);
    ToServer(call, fault.delay, [this, call, path, verb, resource, fault] {
      Handle(call, *path, {call->client_name, verb, resource, *path, call->request}, fault);
    });
  });
}

void FakeApiServer::Handle(const CallPtr& call, const ApiPath& path, const Seen& seen, const Fault& fault) {
  if (fault.kind == Fault::Kind::kLoseRequest) return LoseConnection(call, "the connection was reset");
  const bool reads = call->request.method == Method::kGet;
  Reply reply;
  if (fault.kind == Fault::Kind::kRefuse) {
    reply = Failure(fault.code, fault.reason, fault.message);
  } else if (std::optional<Reply> refusal = Refusal(seen)) {
    reply = *std::move(refusal);
  } else {
    ++(reads ? reads_ : writes_);
    if (call->watch) {
      if (on_answered) on_answered(seen, 200);
      return BeginWatch(call, path);
    }
    reply = Serve(seen);
  }
  if (on_answered) on_answered(seen, reply.code);
  if (fault.kind == Fault::Kind::kLoseAnswer) return LoseConnection(call, "the connection was reset");
  Answer(call, reply, fault.retry_after);
}

std::optional<Reply> FakeApiServer::Refusal(const Seen& seen) const {
  if (reject_tokens_) return Failure(401, "Unauthorized", "Unauthorized");
  const ResourceType* type = store_.FindType(seen.path.resource);
  if (forbidden_.contains({seen.verb, seen.resource})) {
    const std::string what = absl::StrCat(seen.resource, seen.path.group.empty() ? "" : ".", seen.path.group);
    return Failure(403, "Forbidden",
                   absl::StrCat(what, seen.path.name.empty() ? "" : absl::StrCat(" \"", seen.path.name, "\""),
                                " is forbidden: User \"", seen.client, "\" cannot ", seen.verb, " resource \"",
                                seen.resource, "\" in API group \"", seen.path.group, "\"",
                                seen.path.ns.empty() ? std::string(" at the cluster scope")
                                                     : absl::StrCat(" in the namespace \"", seen.path.ns, "\"")));
  }
  if (type == nullptr || type->group != seen.path.group || type->version != seen.path.version) return NoSuchPage();
  if (!seen.path.subresource.empty() && !(seen.path.subresource == "status" && type->status)) return NoSuchPage();
  // Metrics and messages of a client would lie.
  if (seen.request.verb != seen.verb || seen.request.resource != seen.path.resource) {
    return Failure(400, "BadRequest",
                   absl::StrCat("a request that calls itself ", seen.request.verb, " ", seen.request.resource, " is ",
                                seen.verb, " ", seen.path.resource));
  }
  const bool named = seen.verb != "create" && seen.verb != "list" && seen.verb != "watch";
  if (named != !seen.path.name.empty() ||
      (type->namespaced && (named || seen.verb == "create") && seen.path.ns.empty())) {
    return Failure(405, "MethodNotAllowed", "the server does not allow this method on the requested resource");
  }
  const std::string wanted = seen.verb == "patch" ? kMergePatch : kJson;
  const bool strategic = seen.verb == "patch" && !type->custom && seen.request.content_type == kStrategicMergePatch;
  if (seen.request.method != Method::kGet && !seen.request.body.empty() && seen.request.content_type != wanted &&
      !strategic) {
    return Failure(415, "UnsupportedMediaType", absl::StrCat("the body must be ", wanted));
  }
  return std::nullopt;
}

Reply FakeApiServer::Serve(const Seen& seen) {
  const ApiPath& path = seen.path;
  const StoreKey key{path.ns, path.name};
  if (seen.verb == "get") return store_.Get(path.resource, key);
  if (seen.verb == "list") return List(path);
  json body = json::parse(seen.request.body, nullptr, /*allow_exceptions=*/false);
  if (seen.verb == "delete") return store_.Delete(path.resource, key, body.is_discarded() ? json() : body);
  if (!body.is_object()) return Failure(400, "BadRequest", "the object provided is unrecognized");
  const bool status = path.subresource == "status";
  if (seen.verb == "create") return store_.Create(path.resource, path.ns, std::move(body));
  if (seen.verb == "update") return store_.Update(path.resource, key, std::move(body), status);
  const ObjectPtr before = store_.Find(path.resource, key);
  if (seen.request.content_type == kStrategicMergePatch && before != nullptr) MergeConditions(*before, body);
  return store_.Patch(path.resource, key, body, status, path.Query("dryRun") == "All");
}

// A token is "SNAPSHOT:REVISION:NEXT"; clients must not look into it.
Reply FakeApiServer::List(const ApiPath& path) {
  const absl::StatusOr<Selector> labels = Selector::Labels(path.Query("labelSelector"));
  const absl::StatusOr<Selector> fields = Selector::Fields(path.Query("fieldSelector"));
  if (!labels.ok()) return Failure(400, "BadRequest", std::string(labels.status().message()));
  if (!fields.ok()) return Failure(400, "BadRequest", std::string(fields.status().message()));
  std::uint64_t snapshot = 0, revision = store_.revision(), at = 0;
  std::vector<ObjectPtr> all;
  if (const std::string token = path.Query("continue"); !token.empty()) {
    const std::vector<std::string> parts = absl::StrSplit(token, ':');
    if (parts.size() != 3 || !absl::SimpleAtoi(parts[0], &snapshot) || !absl::SimpleAtoi(parts[1], &revision) ||
        !absl::SimpleAtoi(parts[2], &at)) {
      return Failure(400, "BadRequest", "continue key is not valid: illegal base64 data");
    }
    if (!path.Query("resourceVersion").empty()) {
      return Failure(400, "BadRequest", "specifying resource version is not allowed when using continue");
    }
    const auto found = snapshots_.find(snapshot);
    if (found == snapshots_.end()) {
      return Failure(410, "Expired",
                     "The provided continue parameter is too old to display a consistent list result. You can start a "
                     "new list without the continue parameter.");
    }
    all = found->second;
  } else {
    for (ObjectPtr& object : store_.List(path.resource, path.ns)) {
      if (labels->Matches(*object) && fields->Matches(*object)) all.push_back(std::move(object));
    }
  }
  std::uint64_t limit = 0;
  if (!absl::SimpleAtoi(path.Query("limit"), &limit) || limit == 0) limit = all.size();
  const std::uint64_t end = std::min<std::uint64_t>(at + limit, all.size());
  const ResourceType& type = *store_.FindType(path.resource);
  json list = {{"kind", absl::StrCat(type.kind, "List")},
               {"apiVersion", type.ApiVersion()},
               {"metadata", {{"resourceVersion", absl::StrCat(revision)}}},
               {"items", json::array()}};
  for (std::uint64_t i = at; i < end; ++i) {
    json item = *all[i];
    if (!type.custom) {
      item.erase("kind");
      item.erase("apiVersion");
    }
    list["items"].push_back(std::move(item));
  }
  if (end < all.size()) {
    if (snapshot == 0) snapshots_[snapshot = ++last_snapshot_] = all;
    list["metadata"]["continue"] = absl::StrCat(snapshot, ":", revision, ":", end);
    list["metadata"]["remainingItemCount"] = all.size() - end;
  } else {
    snapshots_.erase(snapshot);
  }
  return {200, std::move(list)};
}

void FakeApiServer::Answer(const CallPtr& call, const Reply& reply, bool retry_after) {
  const std::string body = reply.body.is_string() ? reply.body.get<std::string>() : reply.body.dump();
  ToClient(call, kLatency + answer_lag_, [call, body, retry_after, code = reply.code] {
    if (code < 300) {
      call->client->End(call->id, ApiResponse{code, body});
    } else {
      call->client->End(call->id, ErrorOfResponse(call->request, code, retry_after, body));
    }
  });
}

void FakeApiServer::LoseConnection(const CallPtr& call, const std::string& why) {
  ToClient(call, kLatency,
           [call, why] { call->client->End(call->id, absl::UnknownError(absl::StrCat(Attempt(call->request), why))); });
}

void FakeApiServer::SetDown(bool down) {
  down_ = down;
  if (!down) return;
  for (const StreamPtr& stream : StreamsOf("")) Forget(stream);
  const std::vector<std::weak_ptr<Call>> calls = std::exchange(calls_, {});
  for (const std::weak_ptr<Call>& weak : calls) {
    const CallPtr call = weak.lock();
    if (call == nullptr) continue;
    call->lost = true;
    if (call->client == nullptr) continue;
    call->client->End(call->id, absl::UnknownError(absl::StrCat(Attempt(call->request), "the connection was reset")));
  }
}

void FakeApiServer::SetSilent(bool silent, const std::string& client) {
  if (silent) {
    if (!silent_.insert(client).second) return;
    loop_.RunAfter(kDeadAfter, [this, client, waiting = calls_] {
      for (const std::weak_ptr<Call>& weak : waiting) {
        const CallPtr call = weak.lock();
        if (call != nullptr && (client.empty() || client == call->client_name)) GiveUpIfSilent(call);
      }
    });
    return;
  }
  silent_.erase(client);
  auto held = std::exchange(held_, {});
  for (auto& [name, tasks] : held) {
    if (Silent(name)) {
      held_[name] = std::move(tasks);
      continue;
    }
    for (const auto& [call, task] : tasks) {
      // A connection that its client has closed meanwhile takes with it what it had not delivered.
      if (call->client != nullptr && !call->lost) task();
    }
  }
}

void FakeApiServer::Compact() {
  store_.Compact();
  snapshots_.clear();
}

}  // namespace berth::kube
