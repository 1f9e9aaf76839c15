// SPDX-License-Identifier: Apache-2.0
#include "controller/kube/client/curl_client.h"

#include <algorithm>
#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/strings/string_view.h"
#include "common/base/build_info.h"
#include "common/base/status_macros.h"
#include "controller/kube/client/api_error.h"
#include "controller/kube/client/credentials.h"

namespace berth::kube {
namespace {

absl::StatusOr<ApiResponse> ResultOf(const ApiRequest& request, Outcome outcome) {
  switch (outcome.kind) {
    case Outcome::Kind::kAnswered:
      if (outcome.code < 300) return ApiResponse{outcome.code, std::move(outcome.body)};
      return ErrorOfResponse(request, outcome.code, outcome.retry_after.has_value(), outcome.body);
    case Outcome::Kind::kLate:
      return absl::CancelledError(absl::StrCat(Attempt(request), "not sent, its time is over"));
    case Outcome::Kind::kNotSent:
      return absl::UnavailableError(absl::StrCat(Attempt(request), outcome.error));
    case Outcome::Kind::kLost:
      break;
  }
  return absl::UnknownError(absl::StrCat(Attempt(request), outcome.error));
}

}  // namespace

absl::StatusOr<std::unique_ptr<CurlClient>> CurlClient::Create(EventLoop& loop, KubeConfig config, Options options) {
  ASSIGN_OR_RETURN(Credentials credentials, Credentials::Read(std::move(config), loop.Now()));
  if (options.user_agent.empty()) options.user_agent = absl::StrCat("berth-controller/", BuildVersion());
  return std::unique_ptr<CurlClient>(new CurlClient(loop, std::move(credentials), std::move(options)));
}

CurlClient::CurlClient(EventLoop& loop, Credentials credentials, Options options)
    : loop_(loop),
      options_(std::move(options)),
      limit_(options_.rate, loop.Now()),
      requests_(MakeEngine(credentials, "berth-kube")),
      watches_(MakeEngine(credentials, "berth-kube-watch")) {}

CurlClient::~CurlClient() {
  alive_.reset();
  loop_.Cancel(pump_timer_);
}

std::unique_ptr<CurlEngine> CurlClient::MakeEngine(Credentials credentials, const char* thread_name) {
  const auto on_loop = [this, alive = std::weak_ptr<int>(alive_)](auto task) {
    loop_.Post([alive, task = std::move(task)]() mutable {
      if (!alive.expired()) task();
    });
  };
  CurlEngine::Callbacks callbacks;
  callbacks.on_begin = [this, on_loop](RequestId id) { on_loop([this, id] { OnBegin(id); }); };
  callbacks.on_lines = [this, on_loop](RequestId id, std::string lines) {
    on_loop([this, id, lines = std::move(lines)] { OnLines(id, lines); });
  };
  callbacks.on_done = [this, on_loop](RequestId id, Outcome outcome) {
    on_loop([this, id, outcome = std::move(outcome)]() mutable { OnDone(id, std::move(outcome)); });
  };
  return std::make_unique<CurlEngine>(
      loop_, CurlEngine::Options{options_.user_agent, options_.connect_timeout, options_.dead_after, thread_name},
      std::move(credentials), std::move(callbacks));
}

RequestId CurlClient::Do(ApiRequest request, Done done) {
  Running running;
  running.request = std::move(request);
  running.done = std::move(done);
  return Add(std::move(running));
}

RequestId CurlClient::Watch(ApiRequest request, WatchHandler handler) {
  Running running;
  running.request = std::move(request);
  running.watch = true;
  running.handler = std::move(handler);
  return Add(std::move(running));
}

RequestId CurlClient::Add(Running running) {
  const RequestId id = ++last_;
  limit_.Push(id, running.request.urgency, running.request.not_after);
  running_.emplace(id, std::move(running));
  PumpSoon();
  return id;
}

void CurlClient::Cancel(RequestId id) {
  const auto found = running_.find(id);
  if (found == running_.end()) return;
  limit_.Remove(id);
  if (found->second.sent) {
    EngineOf(found->second).Cancel(id);
    Count(found->second, /*ended=*/true);
    PumpSoon();
  }
  running_.erase(found);
}

// Not at once, lest a callback come from within a call; and so that a burst is looked at once.
void CurlClient::PumpSoon() {
  if (std::exchange(pump_posted_, true)) return;
  loop_.Post([this, alive = std::weak_ptr<int>(alive_)] {
    if (alive.expired()) return;
    pump_posted_ = false;
    Pump();
  });
}

void CurlClient::Pump() {
  const auto left = [](std::size_t max, std::size_t taken) { return max - std::min(max, taken); };
  const std::size_t assigns = InFlight(Urgency::kAssign), writes = InFlight(Urgency::kWrite);
  const RateLimit::Turn turn =
      limit_.Take(loop_.Now(), {.all = left(options_.max_in_flight, in_flight()),
                                .changes = left(options_.max_changes_in_flight, assigns + writes),
                                .assigns = left(options_.max_of_either_in_flight, assigns),
                                .writes = left(options_.max_of_either_in_flight, writes)});
  loop_.Cancel(pump_timer_);
  pump_timer_ = 0;
  if (turn.next != absl::InfiniteFuture()) pump_timer_ = loop_.RunAt(turn.next, [this] { Pump(); });
  for (const RequestId id : turn.leave) Send(id);
  const std::weak_ptr<int> alive = alive_;
  for (const RequestId id : turn.late) {
    const auto found = running_.find(id);
    if (found == running_.end()) continue;
    Outcome late;
    late.kind = Outcome::Kind::kLate;
    End(id, ResultOf(found->second.request, std::move(late)));
    if (alive.expired()) return;
  }
}

void CurlClient::Count(const Running& sent, bool ended) {
  if (sent.watch) return;
  InFlight(sent.request.urgency) += ended ? -1 : 1;
}

void CurlClient::Send(RequestId id) {
  Running& running = running_.at(id);
  running.sent = true;
  Count(running, /*ended=*/false);
  Transfer transfer;
  transfer.id = id;
  transfer.method = running.request.method;
  transfer.path = running.request.path;
  transfer.content_type = running.request.content_type;
  transfer.body = std::move(running.request.body);
  transfer.timeout = running.request.timeout;
  transfer.not_after = running.request.not_after;
  transfer.end_by = running.request.end_by;
  transfer.stream = running.watch;
  transfer.silence = options_.watch_silence;
  transfer.max_bytes = running.watch ? options_.max_line_bytes : options_.max_answer_bytes;
  EngineOf(running).Start(std::move(transfer));
}

void CurlClient::OnBegin(RequestId id) {
  const auto found = running_.find(id);
  if (found == running_.end()) return;
  if (const std::function<void()> on_begin = found->second.handler.on_begin) on_begin();
}

void CurlClient::OnLines(RequestId id, const std::string& lines) {
  const auto found = running_.find(id);
  if (found == running_.end()) return;
  const std::function<void(absl::string_view)> on_line = found->second.handler.on_line;
  const std::weak_ptr<int> alive = alive_;
  absl::string_view rest = lines;
  while (!rest.empty()) {
    const std::size_t end = rest.find('\n');
    const absl::string_view line = rest.substr(0, end);
    rest.remove_prefix(end + 1);
    if (line.empty()) continue;
    on_line(line);
    if (alive.expired() || !running_.contains(id)) return;  // it may have had enough
  }
}

void CurlClient::OnDone(RequestId id, Outcome outcome) {
  const auto found = running_.find(id);
  if (found == running_.end()) return;  // cancelled while this was on its way
  Running& running = found->second;
  Count(running, /*ended=*/true);
  if (outcome.code == 429 || (outcome.code == 503 && outcome.retry_after)) {
    limit_.PauseUntil(loop_.Now() + outcome.retry_after.value_or(absl::Seconds(1)), running.request.urgency);
  }
  PumpSoon();
  if (options_.on_request && outcome.kind != Outcome::Kind::kLate) {
    options_.on_request(running.request, outcome.code, outcome.took);
  }
  End(id, ResultOf(running.request, std::move(outcome)));
}

void CurlClient::End(RequestId id, absl::StatusOr<ApiResponse> result) {
  const auto found = running_.find(id);
  const Running running = std::move(found->second);
  running_.erase(found);
  if (running.watch) {
    running.handler.on_end(result.status());
  } else {
    running.done(std::move(result));
  }
}

}  // namespace berth::kube
