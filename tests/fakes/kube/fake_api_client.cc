// SPDX-License-Identifier: Apache-2.0
#include <algorithm>
#include <utility>

#include "absl/strings/str_cat.h"
#include "controller/kube/client/api_error.h"
#include "tests/fakes/kube/fake_api_server.h"

namespace berth::kube {

FakeApiClient::~FakeApiClient() {
  alive_.reset();
  for (auto& [id, running] : running_) {
    running.call->client = nullptr;
    server_.Abandoned(running.call);
    process_.Cancel(running.timeout);
  }
}

RequestId FakeApiClient::Do(ApiRequest request, Done done) {
  return Send(std::move(request), false, {nullptr, std::move(done), {}, 0});
}

RequestId FakeApiClient::Watch(ApiRequest request, WatchHandler handler) {
  return Send(std::move(request), true, {nullptr, nullptr, std::move(handler), 0});
}

RequestId FakeApiClient::Send(ApiRequest request, bool watch, Running running) {
  const RequestId id = ++last_;
  running.call = std::make_shared<FakeApiServer::Call>();
  *running.call = {this, name_, id, std::move(request), watch};
  const auto call = running.call;
  const absl::Duration timeout = std::min(call->request.timeout, call->request.end_by - process_.Now());
  running.timeout = process_.RunAfter(timeout, [this, call, timeout] {
    End(call->id,
        absl::UnknownError(absl::StrCat(Attempt(call->request), "no answer within ", absl::FormatDuration(timeout))));
  });
  running_.emplace(id, std::move(running));
  // The real client sends from another thread: a process that freezes right after its decision sends once it thaws.
  process_.Post([this, call, alive = std::weak_ptr<int>(alive_)] {
    if (alive.expired() || call->client == nullptr) return;
    if (process_.Now() > call->request.not_after) {
      return End(call->id, absl::CancelledError(absl::StrCat(Attempt(call->request), "not sent, its time is over")));
    }
    server_.Arrive(call);
  });
  return id;
}

void FakeApiClient::Cancel(RequestId id) {
  const auto found = running_.find(id);
  if (found == running_.end()) return;
  // What was sent reaches the server all the same.
  const FakeApiServer::CallPtr call = found->second.call;
  process_.Cancel(found->second.timeout);
  call->client = nullptr;
  server_.Abandoned(call);
  running_.erase(found);
}

void FakeApiClient::Began(RequestId id) {
  process_.Post([this, id, alive = std::weak_ptr<int>(alive_)] {
    if (alive.expired()) return;
    const auto found = running_.find(id);
    if (found == running_.end()) return;
    process_.Cancel(found->second.timeout);
    if (const auto on_begin = found->second.handler.on_begin) on_begin();
  });
}

void FakeApiClient::Line(RequestId id, const std::string& line) {
  process_.Post([this, id, line, alive = std::weak_ptr<int>(alive_)] {
    if (alive.expired()) return;
    const auto found = running_.find(id);
    if (found == running_.end() || !found->second.handler.on_line) return;
    const auto on_line = found->second.handler.on_line;  // it may cancel its own watch
    on_line(line);
  });
}

void FakeApiClient::End(RequestId id, absl::StatusOr<ApiResponse> result) {
  if (const auto ended = running_.find(id); ended != running_.end()) {
    ended->second.call->client = nullptr;
    server_.Abandoned(ended->second.call);
  }
  process_.Post([this, id, result = std::move(result), alive = std::weak_ptr<int>(alive_)] {
    if (alive.expired()) return;
    const auto found = running_.find(id);
    if (found == running_.end()) return;
    const Running running = std::move(found->second);
    running_.erase(found);
    process_.Cancel(running.timeout);
    if (running.done) running.done(result);
    if (running.handler.on_end) running.handler.on_end(result.status());
  });
}

}  // namespace berth::kube
