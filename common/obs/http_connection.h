// SPDX-License-Identifier: Apache-2.0
// common/obs/http_connection.h -- one connection of the HttpServer: reads heads, runs handlers, writes answers.
#ifndef BERTH_COMMON_OBS_HTTP_CONNECTION_H_
#define BERTH_COMMON_OBS_HTTP_CONNECTION_H_

#include <cstddef>
#include <cstdint>
#include <functional>
#include <string>

#include "absl/status/status.h"
#include "common/base/event_loop.h"
#include "common/obs/http_parse.h"
#include "common/obs/http_server.h"

namespace berth {

// Owned by HttpServer; loop thread only. Takes `fd` (non-blocking) and closes it in the end.
//
// It reads no further while an answer waits to be taken, so one connection holds at most one head and one answer.
class HttpConnection {
 public:
  // `on_done` is called once, last of all, when the connection is over: it destroys this object.
  HttpConnection(EventLoop& loop, int fd, const HttpHandlers& handlers, std::function<void()> on_done);
  ~HttpConnection();
  HttpConnection(const HttpConnection&) = delete;
  HttpConnection& operator=(const HttpConnection&) = delete;

  absl::Status Start();

 private:
  // What it waits for. Draining: the answer is out and our side is shut; what the client still sends is thrown away
  // until it closes, for a close with unread bytes would reset the connection and could take the answer with it.
  enum class Phase { kReading, kWriting, kDraining };
  enum class Progress { kMore, kWait, kDone };

  void OnEvents(std::uint32_t events);
  Progress Step();
  Progress Read();
  Progress Write();
  Progress Drain();
  Progress Enter(Phase phase);
  void Answer(const HttpHead& head);
  void Queue(const HttpResponse& response, bool with_body, bool keep_alive);
  void RestartTimer(absl::Duration limit);
  void Finish();

  EventLoop& loop_;
  const int fd_;
  const HttpHandlers& handlers_;
  const std::function<void()> on_done_;
  Phase phase_ = Phase::kReading;
  std::string in_;
  std::string out_;
  std::size_t written_ = 0;  // bytes of out_ that the kernel has taken
  bool close_after_ = false;
  TimerId timer_ = 0;
};

}  // namespace berth

#endif  // BERTH_COMMON_OBS_HTTP_CONNECTION_H_
