// SPDX-License-Identifier: Apache-2.0
// cpp-httplib ends inside this file.
#include "controller/admission/webhook_server.h"

#include <httplib.h>
#include <openssl/ssl.h>
#include <sys/socket.h>

#include <chrono>
#include <condition_variable>
#include <deque>
#include <mutex>
#include <optional>
#include <thread>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "common/base/listen_error.h"
#include "common/base/quiet_thread.h"
#include "controller/admission/decide.h"
#include "controller/admission/open_connections.h"
#include "controller/admission/review.h"
#include "controller/admission/serving_identity.h"

namespace berth::admission {
namespace {

constexpr int kBacklog = 128;
constexpr char kJsonType[] = "application/json";
constexpr time_t kIoTimeoutSeconds = 5;  // of a peer that is slow to say or take what it must

// What each handshake meets.
struct Tls {
  ServingIdentity identity;
  OpenConnections connections;
};

bool SetUpTls(SSL_CTX& context, Tls& tls) {
  if (SSL_CTX_set_min_proto_version(&context, TLS1_2_VERSION) != 1) return false;
  SSL_CTX_set_options(&context, SSL_OP_NO_RENEGOTIATION | SSL_OP_NO_COMPRESSION | SSL_OP_NO_TICKET);
  // A session taken up again would skip the certificate, and with it whoever has replaced it.
  SSL_CTX_set_session_cache_mode(&context, SSL_SESS_CACHE_OFF);
  SSL_CTX_set_cert_cb(
      &context,
      [](SSL* connection, void* arg) {
        auto* with = static_cast<Tls*>(arg);
        with->connections.Add(connection);
        return with->identity.Show(connection) ? 1 : 0;
      },
      &tls);
  return true;
}

// A thread for each connection, made when there is none free, up to a limit. The library's own pool has all its threads
// from the start, and each that keeps an idle connection serves nobody else.
class ConnectionThreads final : public httplib::TaskQueue {
 public:
  explicit ConnectionThreads(std::size_t max) : max_(max) {}
  void enqueue(std::function<void()> job) override {
    {
      std::lock_guard lock(mutex_);
      jobs_.push_back(std::move(job));
      if (jobs_.size() > free_ && threads_.size() < max_) {
        threads_.push_back(StartQuietThread("webhook-io", [this] { Work(); }));
      }
    }
    changed_.notify_one();
  }
  void shutdown() override {
    {
      std::lock_guard lock(mutex_);
      ended_ = true;
    }
    changed_.notify_all();
    for (std::thread& thread : threads_) thread.join();  // only enqueue adds some, which is over
  }

 private:
  void Work() {
    std::unique_lock lock(mutex_);
    for (;;) {
      ++free_;
      changed_.wait(lock, [this] { return ended_ || !jobs_.empty(); });
      --free_;
      if (jobs_.empty()) return;
      const std::function<void()> job = std::move(jobs_.front());
      jobs_.pop_front();
      lock.unlock();
      job();
      lock.lock();
    }
  }

  const std::size_t max_;
  std::mutex mutex_;  // guards what follows
  std::condition_variable changed_;
  std::deque<std::function<void()>> jobs_;
  std::vector<std::thread> threads_;
  std::size_t free_ = 0;
  bool ended_ = false;
};

std::string OperationLabel(const std::string& operation) {
  const bool known = operation == "CREATE" || operation == "UPDATE" || operation == "DELETE" || operation == "CONNECT";
  return known ? operation : "OTHER";
}

Verdict NoAnswer(absl::string_view why) {
  Verdict verdict = Refused(absl::UnavailableError(absl::StrCat("no decision was made, try again: ", why)));
  verdict.code = 503;
  return verdict;
}

}  // namespace

// Where the server's threads bring their questions and wait for the loop's answers. Tasks that are still posted when
// the server is gone keep it alive and find it closed.
class WebhookServer::Desk : public std::enable_shared_from_this<Desk> {
 public:
  Desk(EventLoop& loop, const AdmissionView& view, absl::Duration timeout, OnReview on_review)
      : loop_(loop), view_(&view), timeout_(timeout), on_review_(std::move(on_review)) {}

  // The server's threads.
  Verdict Ask(Hook hook, Review review) {
    auto slot = std::make_shared<Slot>();
    {
      std::lock_guard lock(mutex_);
      if (closed_) return NoAnswer("this controller is ending");
    }
    const std::shared_ptr<const Review> question = std::make_shared<Review>(std::move(review));
    loop_.Post([desk = shared_from_this(), hook, question, slot] { desk->Answer(hook, *question, *slot); });
    std::unique_lock lock(mutex_);
    changed_.wait_for(lock, absl::ToChronoNanoseconds(timeout_), [&] { return closed_ || slot->verdict.has_value(); });
    if (slot->verdict.has_value()) return *std::move(slot->verdict);
    slot->given_up = true;
    return NoAnswer(closed_ ? "this controller is ending"
                            : absl::StrCat("this controller was too busy for ", absl::FormatDuration(timeout_)));
  }

  // Loop thread.
  void Close() {
    view_ = nullptr;
    {
      std::lock_guard lock(mutex_);
      closed_ = true;
    }
    changed_.notify_all();
  }

 private:
  struct Slot {  // under mutex_
    std::optional<Verdict> verdict;
    bool given_up = false;
  };

  void Answer(Hook hook, const Review& review, Slot& slot) {
    if (view_ == nullptr) return;
    {
      std::lock_guard lock(mutex_);
      if (slot.given_up) return Count(review, false);
    }
    Verdict verdict = Decide(hook, review, *view_);
    Count(review, verdict.allowed);
    {
      std::lock_guard lock(mutex_);
      slot.verdict = std::move(verdict);
    }
    changed_.notify_all();
  }
  void Count(const Review& review, bool allowed) {
    if (on_review_) on_review_(OperationLabel(review.operation), allowed);
  }

  EventLoop& loop_;
  const AdmissionView* view_;  // loop thread only; null once closed
  const absl::Duration timeout_;
  const OnReview on_review_;
  std::mutex mutex_;  // guards closed_ and every slot
  std::condition_variable changed_;
  bool closed_ = false;
};

struct WebhookServer::Running {
  explicit Running(const Options& options)
      : tls{{options.cert_file, options.key_file}, {}},
        server([this](SSL_CTX& context) { return SetUpTls(context, tls); }) {}
  Tls tls;  // outlives the server
  httplib::SSLServer server;
  std::thread thread;
  int socket = -1;  // the server's, which listens
  int port = 0;
};

WebhookServer::WebhookServer(EventLoop& loop, const AdmissionView& view, Options options, OnReview on_review)
    : options_(std::move(options)),
      desk_(std::make_shared<Desk>(loop, view, options_.decide_timeout, std::move(on_review))) {}

WebhookServer::~WebhookServer() { Shutdown(); }

absl::Status WebhookServer::Start() {
  auto running = std::make_unique<Running>(options_);
  httplib::SSLServer& server = running->server;
  if (!server.is_valid()) return absl::InternalError("webhook: OpenSSL cannot set up a TLS server");
  server.new_task_queue = [threads = options_.threads] { return new ConnectionThreads(threads); };
  server.set_payload_max_length(options_.max_body);
  server.set_keep_alive_max_count(1'000'000);
  server.set_keep_alive_timeout(static_cast<time_t>(absl::ToInt64Seconds(options_.idle)));
  server.set_read_timeout(kIoTimeoutSeconds);
  server.set_write_timeout(kIoTimeoutSeconds);
  server.set_tcp_nodelay(true);
  // Not the library's SO_REUSEPORT: a second controller on the port must fail, not share it.
  server.set_socket_options([socket = &running->socket](socket_t sock) {
    *socket = sock;
    const int on = 1;
    setsockopt(sock, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on));
  });
  server.Post(".*", [desk = desk_](const httplib::Request& request, httplib::Response& response) {
    const std::optional<Hook> hook = HookOf(request.path);
    if (!hook) {
      response.status = 404;
      response.set_content(absl::StrCat("there is no webhook ", request.path, "\n"), "text/plain");
      return;
    }
    absl::StatusOr<Review> review = ParseReview(request.body);
    if (!review.ok()) {
      response.status = 400;
      response.set_content(absl::StrCat("the body ", review.status().message(), "\n"), "text/plain");
      return;
    }
    const Verdict verdict = desk->Ask(*hook, *review);
    response.set_content(ReviewResponse(*review, verdict), kJsonType);
  });
  // All addresses of both families, where the host has both.
  bool bound = false;
  const std::string& host = options_.listen.host;
  for (const std::string& address : host.empty() ? std::vector<std::string>{"::", "0.0.0.0"} : std::vector{host}) {
    if (options_.listen.port == 0) {
      running->port = server.bind_to_any_port(address);
      bound = running->port > 0;
    } else {
      running->port = options_.listen.port;
      bound = server.bind_to_port(address, running->port);
    }
    if (bound) break;
  }
  if (!bound) return ListenError(options_.listen, "the webhook");
  // The library's own backlog is 5: of more that come at once some would try again a second later.
  listen(running->socket, kBacklog);
  running->thread = StartQuietThread("webhook", [&server] { server.listen_after_bind(); });
  running_ = std::move(running);
  return absl::OkStatus();
}

int WebhookServer::port() const { return running_ == nullptr ? 0 : running_->port; }

void WebhookServer::Shutdown() {
  desk_->Close();
  if (running_ == nullptr) return;
  // The library's own stop() does nothing to a server whose thread has not come so far yet, which then listens for
  // ever.
  shutdown(running_->socket, SHUT_RDWR);
  running_->tls.connections.EndAll();
  running_->thread.join();
  running_.reset();
}

}  // namespace berth::admission
