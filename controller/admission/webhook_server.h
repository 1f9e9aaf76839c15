// SPDX-License-Identifier: Apache-2.0
// controller/admission/webhook_server.h -- the HTTPS server that an API server asks before it makes a change.
//
//   CoreView view(runner.core());
//   WebhookServer server(loop, view, {.listen = *ParseListenAddress(":9443"), .cert_file = ..., .key_file = ...},
//   on_review); RETURN_IF_ERROR(server.Start());
//   ...
//   server.Shutdown();   // also by the destructor
//
// Has threads of its own that read, parse and write; decisions are made on the loop thread, each within
// `decide_timeout`, else the answer is an honest error. New connections get the certificate that the files hold then;
// while there is none they are refused. What is too large, too deep or no AdmissionReview is refused with 4xx.
#ifndef BERTH_CONTROLLER_ADMISSION_WEBHOOK_SERVER_H_
#define BERTH_CONTROLLER_ADMISSION_WEBHOOK_SERVER_H_

#include <cstddef>
#include <functional>
#include <memory>
#include <string>

#include "absl/status/status.h"
#include "absl/time/time.h"
#include "common/base/event_loop.h"
#include "common/base/host_port.h"
#include "controller/admission/view.h"

namespace berth::admission {

class WebhookServer {
 public:
  struct Options {
    HostPort listen = {};        // port 0: the kernel chooses, see port()
    std::string cert_file = "";  // PEM: a chain, own certificate first
    std::string key_file = "";
    // Below the 5 seconds that an API server waits by our configurations, so that it hears why.
    absl::Duration decide_timeout = absl::Seconds(4);
    std::size_t max_body = std::size_t{3} << 20;  // the largest object there can be, twice
    std::size_t threads = 64;                     // at most: as many connections are served at a time
    // A connection without a request is closed then; whole seconds. More than the 90 s after which an API server closes
    // it: a request that meets a connection being closed fails, and a user with it.
    absl::Duration idle = absl::Seconds(120);
  };
  // Each review, on the loop thread; `operation` as Kubernetes writes it, "OTHER" for anything it does not have.
  using OnReview = std::function<void(const std::string& operation, bool allowed)>;

  // `loop` and `view` are borrowed and must outlive the server.
  WebhookServer(EventLoop& loop, const AdmissionView& view, Options options, OnReview on_review);
  ~WebhookServer();
  WebhookServer(const WebhookServer&) = delete;
  WebhookServer& operator=(const WebhookServer&) = delete;

  // Once only. Errors: as ListenError has them.
  absl::Status Start();
  int port() const;  // 0 before Start has succeeded
  // Loop thread. Stops listening, answers what waits with an error, ends all connections and waits for the threads:
  // milliseconds, but seconds for one that is in the middle of its handshake.
  void Shutdown();

 private:
  class Desk;
  struct Running;

  const Options options_;
  const std::shared_ptr<Desk> desk_;
  std::unique_ptr<Running> running_;  // between Start and Shutdown
};

}  // namespace berth::admission

#endif  // BERTH_CONTROLLER_ADMISSION_WEBHOOK_SERVER_H_
