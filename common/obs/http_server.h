// SPDX-License-Identifier: Apache-2.0
// common/obs/http_server.h -- a small HTTP/1.1 endpoint on the event loop for probes and scrapes: GET and HEAD, no TLS,
// no thread, no body taken.
//
//   ASSIGN_OR_RETURN(auto http, HttpServer::Listen(loop, *ParseListenAddress(":8080"), StandardPages(...)));
//
// Holds out against strangers: 8 KiB of request head (431), 64 connections (the next one is closed at once), 10 s for a
// request to come or an answer to be taken; what it cannot read is answered 400, other methods 405, other paths 404.
#ifndef BERTH_COMMON_OBS_HTTP_SERVER_H_
#define BERTH_COMMON_OBS_HTTP_SERVER_H_

#include <cstddef>
#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <string>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "absl/time/time.h"
#include "common/base/event_loop.h"
#include "common/base/host_port.h"

namespace berth {

struct HttpRequest {
  std::string path;   // "/readyz"
  std::string query;  // what follows '?', undecoded; "" without
};

struct HttpResponse {
  int code = 200;
  std::string body;
  std::string content_type = "text/plain; charset=utf-8";
};

using HttpHandler = std::function<HttpResponse(const HttpRequest&)>;
using HttpHandlers = std::map<std::string, HttpHandler>;  // exact path -> handler, run on the loop thread

// Owned by the app; loop thread only. Its connections end with it. The loop must outlive it. A handler must not destroy
// it.
class HttpServer {
 public:
  static constexpr std::size_t kMaxHeadBytes = 8192;
  static constexpr std::size_t kMaxConnections = 64;
  static constexpr absl::Duration kIdleTimeout = absl::Seconds(10);

  // Host "" listens on both families. `address.host` must be an address or "localhost": no name is looked up.
  // Errors: as bind failed, naming the address (AlreadyExists when it is in use, PermissionDenied for a low port).
  static absl::StatusOr<std::unique_ptr<HttpServer>> Listen(EventLoop& loop, const HostPort& address,
                                                            HttpHandlers handlers);
  ~HttpServer();
  HttpServer(const HttpServer&) = delete;
  HttpServer& operator=(const HttpServer&) = delete;

  std::uint16_t port() const;  // the bound one
  std::size_t connection_count() const;

 private:
  class Impl;
  explicit HttpServer(std::unique_ptr<Impl> impl);
  std::unique_ptr<Impl> impl_;
};

}  // namespace berth

#endif  // BERTH_COMMON_OBS_HTTP_SERVER_H_
