// SPDX-License-Identifier: Apache-2.0
// controller/kube/client/curl_engine.h -- HTTP to one server by libcurl: a thread, a connection, many transfers.
//
// Knows nothing of Kubernetes. HTTP/2 over TLS: all transfers share one connection and wait for it to be made rather
// than make their own; HTTP/1.1, where the server knows no better: a connection each. A server or path that is silent
// is noticed in about ten seconds by TCP (keep-alive, user timeout). One that holds its connection and answers nothing
// is noticed when a transfer runs out of time with not a byte received since it began: the connection is closed then,
// with all that is on it, so that the next goes to a server that lives.
#ifndef BERTH_CONTROLLER_KUBE_CLIENT_CURL_ENGINE_H_
#define BERTH_CONTROLLER_KUBE_CLIENT_CURL_ENGINE_H_

#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>

#include "absl/time/time.h"
#include "common/base/event_loop.h"
#include "controller/kube/client/api_client.h"
#include "controller/kube/client/credentials.h"

namespace berth::kube {

struct Transfer {
  RequestId id = 0;
  Method method = Method::kGet;
  std::string path;  // after the server's URL
  std::string content_type, body;
  absl::Duration timeout;  // from Start to the end; of a stream, to the head of its answer
  absl::Time not_after = absl::InfiniteFuture();
  absl::Time end_by = absl::InfiniteFuture();  // given up then at the latest
  bool stream = false;                         // handed on line by line
  absl::Duration silence;                      // a stream without a byte for that long is ended
  std::size_t max_bytes = 0;                   // of an answer, or of a line of a stream
};

struct Outcome {
  enum class Kind : std::uint8_t {
    kAnswered,  // wholly; of a stream: to its clean end
    kNotSent,   // no connection: no byte of it left
    kLate,      // `not_after` passed first: no byte of it left
    kLost,      // sent, and then something went wrong; a stream that had begun has its `code`
  };
  Kind kind = Kind::kLost;
  int code = 0;       // 0 without the head of an answer
  std::string body;   // of a stream: only that of an error
  std::string error;  // of kNotSent and kLost
  std::optional<absl::Duration> retry_after;
  absl::Duration took;  // to the end; of a stream, to the head of its answer
};

class CurlEngine {
 public:
  struct Options {
    std::string user_agent;
    absl::Duration connect_timeout = absl::Seconds(5);
    absl::Duration dead_after = absl::Seconds(10);  // of a connection that acknowledges nothing
    const char* thread_name = "berth-kube";
  };
  struct Callbacks {                                             // on the engine's thread
    std::function<void(RequestId)> on_begin;                     // of a stream, when it was accepted
    std::function<void(RequestId, std::string lines)> on_lines;  // whole ones, each with its '\n'
    std::function<void(RequestId, Outcome)> on_done;             // once, unless Cancel came first
  };

  CurlEngine(const Clock& clock, Options options, Credentials credentials, Callbacks callbacks);
  ~CurlEngine();  // drops what runs without a callback
  CurlEngine(const CurlEngine&) = delete;
  CurlEngine& operator=(const CurlEngine&) = delete;

  // Any thread. A callback may still come while Cancel runs.
  void Start(Transfer transfer);
  void Cancel(RequestId id);

 private:
  class Impl;
  std::unique_ptr<Impl> impl_;
};

}  // namespace berth::kube

#endif  // BERTH_CONTROLLER_KUBE_CLIENT_CURL_ENGINE_H_
