// SPDX-License-Identifier: Apache-2.0
#include "controller/kube/client/reflector.h"

#include <algorithm>
#include <nlohmann/json.hpp>
#include <optional>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "controller/kube/client/api_error.h"
#include "controller/kube/client/url.h"

namespace berth::kube {
namespace {

using nlohmann::json;

constexpr absl::Duration kShortLife = absl::Seconds(1);
constexpr int kExpiredLists = 3;

const json* Member(const json& object, const char* key) {
  const auto found = object.is_object() ? object.find(key) : object.end();
  return object.is_object() && found != object.end() ? &*found : nullptr;
}

std::string MetaText(const json& object, const char* key) {
  const json* meta = Member(object, "metadata");
  const json* text = meta == nullptr ? nullptr : Member(*meta, key);
  return text != nullptr && text->is_string() ? text->get<std::string>() : std::string();
}

model::ObjectId IdOf(const json& object) { return {MetaText(object, "namespace"), MetaText(object, "name")}; }

std::optional<Reflector::Change> ChangeOf(const std::string& type) {
  if (type == "ADDED") return Reflector::Change::kAdded;
  if (type == "MODIFIED") return Reflector::Change::kModified;
  if (type == "DELETED") return Reflector::Change::kDeleted;
  return std::nullopt;
}

}  // namespace

Reflector::Reflector(EventLoop& loop, ApiClient& client, Options options, Observer& observer)
    : loop_(loop), client_(client), options_(std::move(options)), observer_(observer) {}

Reflector::~Reflector() {
  client_.Cancel(request_);
  loop_.Cancel(retry_timer_);
}

void Reflector::Start() { Proceed(); }

void Reflector::Proceed() {
  if (next_ == Next::kWatch) return Watch();
  keys_.merge(listing_);  // of a list that failed half-way: the observer has been told of them
  listing_.clear();
  List("");
}

std::string Reflector::Query() const {
  std::string query;
  if (!options_.label_selector.empty())
    absl::StrAppend(&query, "&labelSelector=", EscapeQuery(options_.label_selector));
  if (!options_.field_selector.empty())
    absl::StrAppend(&query, "&fieldSelector=", EscapeQuery(options_.field_selector));
  return query;
}

ApiRequest Reflector::Request(const char* verb, std::string path) const {
  ApiRequest request;
  request.verb = verb;
  request.resource = options_.resource;
  request.path = std::move(path);
  return request;
}

void Reflector::List(const std::string& token) {
  begun_ = loop_.Now();
  // No resourceVersion: what is there now, and not what some cache of the server's remembers. A server that is busy
  // enough to let every token expire is asked for all at once.
  const int limit = expired_lists_ < kExpiredLists ? options_.page : 0;
  std::string path = absl::StrCat(options_.path, "?limit=", limit, Query());
  if (!token.empty()) absl::StrAppend(&path, "&continue=", EscapeQuery(token));
  request_ = client_.Do(Request("list", std::move(path)),
                        [this, token](absl::StatusOr<ApiResponse> response) { OnPage(token, std::move(response)); });
}

void Reflector::OnPage(const std::string& token, absl::StatusOr<ApiResponse> response) {
  request_ = 0;
  if (!response.ok()) {
    const bool expired = absl::IsOutOfRange(response.status()) && !token.empty();
    if (!expired) return Fail(response.status(), Next::kList);
    if (options_.on_restart) options_.on_restart();
    ++expired_lists_;
    next_ = Next::kList;
    return Proceed();
  }
  json page = json::parse(response->body, nullptr, /*allow_exceptions=*/false);
  response->body = std::string();
  std::string version = MetaText(page, "resourceVersion");
  const std::string more = MetaText(page, "continue");
  const json* items = Member(page, "items");
  if (version.empty() || items == nullptr || !(items->is_array() || items->is_null())) {
    return Fail(absl::UnknownError(absl::StrCat("list ", options_.resource, ": the answer is no list")), Next::kList);
  }
  if (!TakePage(page)) return;
  if (!more.empty()) return List(more);
  FinishList(std::move(version));
}

bool Reflector::TakePage(json& page) {
  const std::weak_ptr<int> alive = alive_;
  for (json& item : page["items"]) {
    const json object = std::move(item);  // freed as soon as it was seen
    listing_.insert(IdOf(object));
    observer_.OnObject(object);
    if (alive.expired()) return false;
  }
  return true;
}

void Reflector::FinishList(std::string version) {
  std::vector<model::ObjectId> vanished;
  std::set_difference(keys_.begin(), keys_.end(), listing_.begin(), listing_.end(), std::back_inserter(vanished));
  keys_ = std::exchange(listing_, {});
  version_ = std::move(version);
  listed_ = true;
  expired_lists_ = 0;
  const std::weak_ptr<int> alive = alive_;
  for (const model::ObjectId& id : vanished) {
    observer_.OnVanished(id);
    if (alive.expired()) return;
  }
  observer_.OnListed();
  if (alive.expired()) return;
  Watch();
}

void Reflector::Watch() {
  begun_ = loop_.Now();
  got_lines_ = false;
  next_ = Next::kWatch;
  // Servers end watches that run too long, and jitter keeps many of them from ending together.
  const int seconds = 300 + static_cast<int>(300 * options_.random());
  std::string path = absl::StrCat(options_.path, "?watch=true&allowWatchBookmarks=true&timeoutSeconds=", seconds,
                                  "&resourceVersion=", EscapeQuery(version_), Query());
  ApiClient::WatchHandler handler;
  handler.on_line = [this](absl::string_view line) { OnLine(line); };
  handler.on_end = [this](const absl::Status& status) { OnEnd(status); };
  handler.on_begin = [this] { Works(); };
  request_ = client_.Watch(Request("watch", std::move(path)), std::move(handler));
}

void Reflector::OnLine(absl::string_view line) {
  const json event = json::parse(line.data(), line.data() + line.size(), nullptr, /*allow_exceptions=*/false);
  const json* type = Member(event, "type");
  const json* object = Member(event, "object");
  if (type == nullptr || !type->is_string() || object == nullptr || !object->is_object()) {
    client_.Cancel(std::exchange(request_, 0));
    return Fail(absl::UnknownError(absl::StrCat("watch ", options_.resource, ": the server sent what is no event")),
                Next::kList);
  }
  const std::string& word = type->get_ref<const std::string&>();
  if (word == "ERROR") return OnErrorLine(object->dump());
  got_lines_ = true;
  if (std::string version = MetaText(*object, "resourceVersion"); !version.empty()) version_ = std::move(version);
  const std::optional<Change> change = ChangeOf(word);
  if (!change) return;  // a bookmark, or what a later server may tell
  if (*change == Change::kDeleted) {
    keys_.erase(IdOf(*object));
  } else {
    keys_.insert(IdOf(*object));
  }
  observer_.OnEvent(*change, *object);
}

void Reflector::OnErrorLine(const std::string& object) {
  client_.Cancel(std::exchange(request_, 0));
  const absl::Status status = ErrorOfWatchLine(Request("watch", ""), object);
  OnEnd(status);
}

void Reflector::OnEnd(const absl::Status& status) {
  request_ = 0;
  const bool lived = got_lines_ || loop_.Now() - begun_ >= kShortLife;
  if (lived) failures_ = 0;
  if (status.ok()) {
    // At once, unless this is all that the server ever does.
    if (lived) return Watch();
    return Retry(Next::kWatch);
  }
  if (absl::IsOutOfRange(status)) {
    if (options_.on_restart) options_.on_restart();
    next_ = Next::kList;
    if (lived || failures_ == 0) {
      ++failures_;
      return Proceed();
    }
    return Retry(Next::kList);
  }
  const bool wrong_place = absl::IsNotFound(status) || absl::IsInvalidArgument(status);
  Fail(status, wrong_place ? Next::kList : Next::kWatch);
}

void Reflector::Fail(const absl::Status& status, Next next) {
  if (options_.on_restart) options_.on_restart();
  // Another kind of trouble: a server that has just started refuses, for a moment, what it allows later.
  if (status.code() != problem_.code()) failures_ = 0;
  Retry(next, status);
  if (status == problem_) return;
  problem_ = status;
  observer_.OnProblem(status);
}

// The server has accepted a watch: everything is as up to date as it gets.
void Reflector::Works() {
  if (problem_.ok()) return;
  problem_ = absl::OkStatus();
  observer_.OnProblem(problem_);
}

void Reflector::Retry(Next next, const absl::Status& status) {
  next_ = next;
  const bool away =
      absl::IsUnavailable(status) || absl::IsResourceExhausted(status) || absl::IsDeadlineExceeded(status);
  const absl::Duration most = away ? options_.max_away_backoff : options_.max_backoff;
  absl::Duration delay = options_.min_backoff;
  for (int i = 0; i < failures_ && delay < most; ++i) delay *= 2;
  ++failures_;
  delay = std::min(delay, most) * (0.5 + options_.random() / 2);
  retry_timer_ = loop_.RunAfter(delay, [this] {
    retry_timer_ = 0;
    Proceed();
  });
}

}  // namespace berth::kube
