// SPDX-License-Identifier: Apache-2.0
#include "common/obs/http_connection.h"

#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <utility>
#include <variant>

#include "absl/strings/str_cat.h"

namespace berth {
namespace {

constexpr absl::Duration kDrainTimeout = absl::Seconds(1);
constexpr int kStepsPerTurn = 64;

absl::string_view Phrase(int code) {
  switch (code) {
    case 200:
      return "OK";
    case 400:
      return "Bad Request";
    case 404:
      return "Not Found";
    case 405:
      return "Method Not Allowed";
    case 431:
      return "Request Header Fields Too Large";
    case 503:
      return "Service Unavailable";
    case 505:
      return "HTTP Version Not Supported";
    default:
      return "Status";
  }
}

HttpResponse Refusal(int code) { return {.code = code, .body = absl::StrCat(Phrase(code), "\n")}; }

}  // namespace

HttpConnection::HttpConnection(EventLoop& loop, int fd, const HttpHandlers& handlers, std::function<void()> on_done)
    : loop_(loop), fd_(fd), handlers_(handlers), on_done_(std::move(on_done)) {}

HttpConnection::~HttpConnection() {
  loop_.Cancel(timer_);
  loop_.UnwatchFd(fd_);
  ::close(fd_);
}

absl::Status HttpConnection::Start() {
  RestartTimer(HttpServer::kIdleTimeout);
  return loop_.WatchFd(fd_, EPOLLIN, [this](std::uint32_t events) { OnEvents(events); });
}

void HttpConnection::RestartTimer(absl::Duration limit) {
  loop_.Cancel(timer_);
  timer_ = loop_.RunAfter(limit, [this] { Finish(); });
}

void HttpConnection::Finish() {
  const std::function<void()> on_done = on_done_;  // this object goes while it runs
  on_done();
}

void HttpConnection::OnEvents(std::uint32_t events) {
  Progress progress = (events & EPOLLERR) != 0 ? Progress::kDone : Progress::kMore;
  // A client that sends or takes faster than we work must not keep the loop here. While reading, input may lie in in_
  // that no event will announce; in the other phases a level-triggered event comes again at once.
  for (int steps = 0; progress == Progress::kMore; ++steps) {
    if (steps >= kStepsPerTurn && phase_ != Phase::kReading) return;
    progress = Step();
  }
  if (progress == Progress::kDone) Finish();
}

HttpConnection::Progress HttpConnection::Step() {
  switch (phase_) {
    case Phase::kReading:
      return Read();
    case Phase::kWriting:
      return Write();
    case Phase::kDraining:
      return Drain();
  }
  return Progress::kDone;
}

HttpConnection::Progress HttpConnection::Enter(Phase phase) {
  phase_ = phase;
  RestartTimer(phase == Phase::kDraining ? kDrainTimeout : HttpServer::kIdleTimeout);
  const std::uint32_t events = phase == Phase::kWriting ? EPOLLOUT : EPOLLIN;
  const absl::Status watched = loop_.WatchFd(fd_, events, [this](std::uint32_t e) { OnEvents(e); });
  return watched.ok() ? Progress::kMore : Progress::kDone;
}

HttpConnection::Progress HttpConnection::Read() {
  const HttpParseResult parsed = ParseHttpHead(in_, HttpServer::kMaxHeadBytes);
  if (const auto* head = std::get_if<HttpHead>(&parsed)) {
    Answer(*head);
    in_.erase(0, head->size);
    return Enter(Phase::kWriting);
  }
  if (const auto* refused = std::get_if<HttpRefused>(&parsed)) {
    Queue(Refusal(refused->code), true, false);
    return Enter(Phase::kWriting);
  }
  std::array<char, 2048> block;
  const std::size_t room = std::min(block.size(), HttpServer::kMaxHeadBytes - in_.size());
  const ssize_t count = ::recv(fd_, block.data(), room, 0);
  if (count > 0) {
    in_.append(block.data(), static_cast<std::size_t>(count));
    return Progress::kMore;
  }
  if (count < 0 && errno == EINTR) return Progress::kMore;
  return count < 0 && errno == EAGAIN ? Progress::kWait : Progress::kDone;
}

HttpConnection::Progress HttpConnection::Write() {
  const ssize_t count = ::send(fd_, out_.data() + written_, out_.size() - written_, MSG_NOSIGNAL);
  if (count < 0) {
    if (errno == EINTR) return Progress::kMore;
    return errno == EAGAIN ? Progress::kWait : Progress::kDone;
  }
  written_ += static_cast<std::size_t>(count);
  if (written_ < out_.size()) return Progress::kMore;
  out_ = std::string();  // gives the memory of a large scrape back
  written_ = 0;
  if (!close_after_) return Enter(Phase::kReading);
  if (::shutdown(fd_, SHUT_WR) != 0) return Progress::kDone;
  return Enter(Phase::kDraining);
}

HttpConnection::Progress HttpConnection::Drain() {
  std::array<char, 2048> block;
  const ssize_t count = ::recv(fd_, block.data(), block.size(), 0);
  if (count > 0 || (count < 0 && errno == EINTR)) return Progress::kMore;
  return count < 0 && errno == EAGAIN ? Progress::kWait : Progress::kDone;
}

void HttpConnection::Answer(const HttpHead& head) {
  const bool keep_alive = head.keep_alive && !head.has_body;
  if (head.method != "GET" && head.method != "HEAD") {
    Queue(Refusal(405), true, keep_alive);
    return;
  }
  const auto handler = handlers_.find(head.path);
  const HttpResponse response =
      handler == handlers_.end() ? Refusal(404) : handler->second({.path = head.path, .query = head.query});
  Queue(response, head.method == "GET", keep_alive);
}

void HttpConnection::Queue(const HttpResponse& response, bool with_body, bool keep_alive) {
  close_after_ = !keep_alive;
  out_ =
      absl::StrCat("HTTP/1.1 ", response.code, " ", Phrase(response.code),
                   "\r\nDate: ", absl::FormatTime("%a, %d %b %E4Y %H:%M:%S GMT", loop_.WallNow(), absl::UTCTimeZone()),
                   "\r\nContent-Type: ", response.content_type, "\r\nContent-Length: ", response.body.size(),
                   "\r\nCache-Control: no-store\r\nX-Content-Type-Options: nosniff\r\n",
                   response.code == 405 ? "Allow: GET, HEAD\r\n" : "", keep_alive ? "" : "Connection: close\r\n",
                   "\r\n", with_body ? absl::string_view(response.body) : absl::string_view());
}

}  // namespace berth
