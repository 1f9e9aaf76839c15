// SPDX-License-Identifier: Apache-2.0
#include "controller/kube/identity/token_gate.h"

#include <algorithm>
#include <utility>
#include <variant>

#include "absl/strings/str_cat.h"
#include "common/net/quote.h"

namespace berth::kube {
namespace {

std::string NodeOf(const std::deque<sync::AgentMessage>& held) {
  const auto* hello = held.empty() ? nullptr : std::get_if<sync::Hello>(&held.front());
  return hello == nullptr ? "" : hello->node;
}

absl::Status WrongNode(const std::string& said, const std::string& node) {
  return absl::PermissionDeniedError(absl::StrCat("this agent says that it is of node ", Quote(said),
                                                  ", but its token is of a pod on node ", Quote(node)));
}

// Whether the same question may be answered a moment later.
bool MayPass(const absl::Status& status) {
  return !absl::IsUnauthenticated(status) && !absl::IsPermissionDenied(status) && !absl::IsNotFound(status);
}

}  // namespace

TokenGate::TokenGate(EventLoop& loop, ApiClient& client, push::AgentPort& port, Options options, Hooks hooks)
    : loop_(loop),
      client_(client),
      port_(port),
      options_(std::move(options)),
      hooks_(std::move(hooks)),
      memory_(options_.max_remembered) {}

TokenGate::~TokenGate() { Clear(); }

absl::Status TokenGate::Start(push::AgentPort::Observer& observer) {
  observer_ = &observer;
  return port_.Start(*this);
}

void TokenGate::Send(StreamId stream, const sync::ControllerMessage& message) {
  if (passed_.contains(stream)) port_.Send(stream, message);
}

void TokenGate::Close(StreamId stream, const absl::Status& status) {
  if (passed_.contains(stream)) port_.Close(stream, status);
}

void TokenGate::Shutdown() {
  observer_ = nullptr;
  port_.Shutdown();
  Clear();
}

void TokenGate::Clear() {
  for (auto& [key, review] : reviews_) {
    client_.Cancel(review.request);
    loop_.Cancel(review.retry);
  }
  for (auto& [stream, waiting] : waiting_) loop_.Cancel(waiting.patience);
  reviews_.clear();
  queue_.clear();
  in_flight_ = 0;
  waiting_.clear();
  passed_.clear();
}

// ---- streams

void TokenGate::OnStreamOpened(StreamId stream, const push::StreamPeer& peer) {
  Waiting& waiting = waiting_[stream];
  waiting.peer = {.address = peer.address, .token = "", .tls_names = peer.tls_names};
  if (peer.token.empty()) {
    return Refuse(stream, absl::UnauthenticatedError(absl::StrCat(
                              "this agent shows no token; mount a projected service account token with audience ",
                              Quote(options_.agent.audience), " and name its file by --token-file")));
  }
  waiting.key = TokenKey(peer.token);
  const absl::Time now = loop_.Now();
  if (const TokenMemory::Bad* bad = memory_.FindBad(waiting.key, now)) return Refuse(stream, absl::Status(bad->why));
  const TokenMemory::Good* good = memory_.FindGood(waiting.key, now);
  if (good != nullptr && now < good->reviewed + options_.review_again) return Accept(stream, std::string(good->node));
  if (queue_.size() >= options_.max_waiting && !reviews_.contains(waiting.key)) {
    if (good != nullptr) return Accept(stream, std::string(good->node));
    return Refuse(stream, absl::UnavailableError(absl::StrCat("the tokens of ", queue_.size(),
                                                              " agents wait for their review already, dial again")));
  }
  const auto [it, is_new] = reviews_.try_emplace(waiting.key);
  it->second.streams.insert(stream);
  if (good != nullptr) {
    waiting.patience = loop_.RunAfter(options_.patience, [this, stream] { TrustMemory(stream); });
  }
  if (!is_new) return;
  it->second.token = peer.token;
  queue_.push_back(waiting.key);
  Pump();
}

void TokenGate::OnAgentMessage(StreamId stream, sync::AgentMessage message) {
  if (const auto passed = passed_.find(stream); passed != passed_.end()) {
    const auto* hello = std::get_if<sync::Hello>(&message);
    if (hello != nullptr && hello->node != passed->second) {
      return port_.Close(stream, WrongNode(hello->node, passed->second));
    }
    return observer_->OnAgentMessage(stream, std::move(message));
  }
  const auto waiting = waiting_.find(stream);
  if (waiting == waiting_.end()) return;  // refused: what it still says is not wanted
  if (waiting->second.held.size() >= options_.max_held) {
    return Refuse(stream, absl::UnavailableError(absl::StrCat("this agent's token is still being reviewed, and ",
                                                              options_.max_held, " messages have come already")));
  }
  waiting->second.held.push_back(std::move(message));
  if (waiting->second.good) LetThrough(stream);
}

void TokenGate::OnStreamClosed(StreamId stream, const std::string& reason) {
  if (const auto waiting = waiting_.find(stream); waiting != waiting_.end()) {
    loop_.Cancel(waiting->second.patience);
    Leave(stream, waiting->second.key);
    waiting_.erase(waiting);
  }
  if (passed_.erase(stream) != 0) observer_->OnStreamClosed(stream, reason);
}

void TokenGate::Accept(StreamId stream, const std::string& node) {
  Waiting& waiting = waiting_.at(stream);
  loop_.Cancel(std::exchange(waiting.patience, 0));
  waiting.good = true;
  waiting.node = node;
  if (!waiting.held.empty()) LetThrough(stream);
}

void TokenGate::LetThrough(StreamId stream) {
  Waiting& waiting = waiting_.at(stream);
  if (const std::string said = NodeOf(waiting.held); said != waiting.node) {
    return Refuse(stream, WrongNode(said, waiting.node));
  }
  Waiting taken = std::move(waiting);
  waiting_.erase(stream);
  passed_[stream] = taken.node;
  observer_->OnStreamOpened(stream, taken.peer);
  // Each may end the stream.
  for (sync::AgentMessage& message : taken.held) {
    if (observer_ != nullptr && passed_.contains(stream)) observer_->OnAgentMessage(stream, std::move(message));
  }
}

void TokenGate::Refuse(StreamId stream, const absl::Status& why) {
  const auto it = waiting_.find(stream);
  if (it == waiting_.end()) return;
  const Waiting waiting = std::move(it->second);
  loop_.Cancel(waiting.patience);
  waiting_.erase(it);
  Leave(stream, waiting.key);
  port_.Close(stream, why);
  if (hooks_.on_refused) hooks_.on_refused(waiting.peer, NodeOf(waiting.held), why);
}

void TokenGate::TrustMemory(StreamId stream) {
  const auto waiting = waiting_.find(stream);
  if (waiting == waiting_.end()) return;
  waiting->second.patience = 0;
  const TokenMemory::Good* good = memory_.FindGood(waiting->second.key, loop_.Now());
  if (good == nullptr) return;
  if (const auto review = reviews_.find(waiting->second.key); review != reviews_.end()) {
    review->second.streams.erase(stream);
    review->second.trusted.insert(stream);
  }
  Accept(stream, std::string(good->node));
}

// ---- reviews

// A review that has begun goes on without the stream: the agent will dial again. One that has not costs nothing to
// forget, and whoever dials with ever new tokens must not fill memory with them.
void TokenGate::Leave(StreamId stream, const std::string& key) {
  const auto review = reviews_.find(key);
  if (review == reviews_.end()) return;
  review->second.streams.erase(stream);
  if (review->second.tried > 0 || !review->second.streams.empty() || !review->second.trusted.empty()) return;
  reviews_.erase(review);
  queue_.erase(std::find(queue_.begin(), queue_.end(), key));
}

void TokenGate::Pump() {
  while (in_flight_ < options_.max_in_flight && !queue_.empty()) {
    const std::string key = std::move(queue_.front());
    queue_.pop_front();
    ++in_flight_;
    Try(key);
  }
}

void TokenGate::Try(const std::string& key) {
  Review& review = reviews_.at(key);
  review.retry = 0;
  ++review.tried;
  ApiRequest request;
  request.verb = "create";
  request.resource = "tokenreviews";
  request.method = Method::kPost;
  request.path = kTokenReviewsPath;
  request.content_type = kJson;
  request.body = TokenReviewBody(review.token, options_.agent.audience);
  request.urgency = Urgency::kRead;  // nothing is changed: it waits for no place among writes that hang
  request.timeout = options_.timeout;
  review.request = client_.Do(std::move(request),
                              [this, key](const absl::StatusOr<ApiResponse>& response) { OnReviewed(key, response); });
}

void TokenGate::OnReviewed(const std::string& key, const absl::StatusOr<ApiResponse>& response) {
  Review& review = reviews_.at(key);
  review.request = 0;
  absl::Status failed = response.status();
  if (response.ok()) {
    const absl::StatusOr<std::string> node = JudgeReview(response->body, options_.agent);
    if (!absl::IsInternal(node.status())) {
      Problem(absl::OkStatus());
      return node.ok() ? Vouched(key, *node) : Denied(key, node.status());
    }
    failed = node.status();
  } else if (absl::IsInvalidArgument(failed)) {  // of this token nothing can even be asked; others may be well
    return Denied(key, absl::UnauthenticatedError(absl::StrCat(
                           "the API server refuses to review the token that this agent shows: ", failed.message())));
  }
  Problem(failed);
  if (!MayPass(failed) || review.tried >= options_.tries) return NotAnswered(key, failed);
  review.retry = loop_.RunAfter(options_.retry * (1 << (review.tried - 1)), [this, key] { Try(key); });
}

TokenGate::Review TokenGate::Finish(const std::string& key) {
  auto node = reviews_.extract(key);
  --in_flight_;
  return std::move(node.mapped());
}

void TokenGate::Vouched(const std::string& key, const std::string& node) {
  const Review review = Finish(key);
  const absl::Time now = loop_.Now();
  absl::Duration life = options_.review_again;
  if (const std::optional<TokenLife> token = ReadTokenLife(review.token)) {
    // The wall clock may be wrong, by years if need be, but a token never lives longer than it was made for.
    life = std::clamp(token->expires - loop_.WallNow(), absl::ZeroDuration(),
                      std::max(token->expires - token->issued, absl::ZeroDuration()));
  }
  memory_.SetGood(key, {node, now, now + life});
  for (const StreamId stream : review.streams) {
    if (waiting_.contains(stream)) Accept(stream, node);
  }
  Pump();
}

void TokenGate::Denied(const std::string& key, const absl::Status& why) {
  const Review review = Finish(key);
  memory_.SetBad(key, {why, loop_.Now(), loop_.Now() + options_.refusal_holds});
  for (const StreamId stream : review.streams) Refuse(stream, why);
  for (const StreamId stream : review.trusted) {
    Refuse(stream, why);  // if its Hello has not come yet
    if (passed_.contains(stream)) port_.Close(stream, why);
  }
  Pump();
}

void TokenGate::NotAnswered(const std::string& key, const absl::Status& why) {
  const Review review = Finish(key);
  const absl::Status unavailable = absl::UnavailableError(
      absl::StrCat("no API server can be asked about the token that this agent shows, dial again: ", why.message()));
  for (const StreamId stream : review.streams) {
    TrustMemory(stream);
    const auto waiting = waiting_.find(stream);
    if (waiting != waiting_.end() && !waiting->second.good) Refuse(stream, unavailable);
  }
  Pump();
}

void TokenGate::Problem(const absl::Status& status) {
  if (status == problem_) return;
  problem_ = status;
  if (hooks_.on_problem) hooks_.on_problem(status);
}

}  // namespace berth::kube
