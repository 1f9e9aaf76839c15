// SPDX-License-Identifier: Apache-2.0
#include "controller/kube/client/curl_engine.h"

#include <sys/socket.h>

#include <algorithm>
#include <atomic>
#include <mutex>
#include <thread>
#include <unordered_map>
#include <utility>
#include <variant>
#include <vector>

#include "common/base/quiet_thread.h"
#include "common/obs/log.h"
#include "controller/kube/client/curl_handle.h"

namespace berth::kube {
namespace {

// At most once in a process, and never undone: other threads may be within curl as it exits.
void InitCurl() {
  static std::once_flag once;
  std::call_once(once, [] { curl_global_init(CURL_GLOBAL_DEFAULT); });
}

struct MultiDeleter {
  void operator()(CURLM* multi) const { curl_multi_cleanup(multi); }
};

}  // namespace

class CurlEngine::Impl {
 public:
  Impl(const Clock& clock, Options options, Credentials credentials, Callbacks callbacks)
      : options_(std::move(options)),
        callbacks_(std::move(callbacks)),
        credentials_(std::move(credentials)),
        shared_{clock, options_, callbacks_, {}, absl::InfinitePast()} {
    InitCurl();
    multi_.reset(curl_multi_init());
    curl_multi_setopt(multi_.get(), CURLMOPT_PIPELINING, static_cast<long>(CURLPIPE_MULTIPLEX));
    thread_ = StartQuietThread(options_.thread_name, [this] { Run(); });
  }

  ~Impl() {
    stop_ = true;
    curl_multi_wakeup(multi_.get());
    thread_.join();
    multi_.reset();  // closes the sockets, by way of shared_
  }

  void Tell(std::variant<Transfer, RequestId> command) {
    bool first = false;
    {
      const std::lock_guard<std::mutex> lock(mutex_);
      first = commands_.empty();
      commands_.push_back(std::move(command));
    }
    if (first) curl_multi_wakeup(multi_.get());
  }

 private:
  using HandlePtr = std::unique_ptr<CurlHandle>;

  void Run() {
    while (!stop_) {
      Obey();
      int running = 0;
      curl_multi_perform(multi_.get(), &running);
      TakeFinished();
      const absl::Time next = EndOverdue();
      const absl::Duration wait = std::min(next - shared_.clock.Now(), absl::Seconds(60));
      curl_multi_poll(multi_.get(), nullptr, 0,
                      static_cast<int>(absl::ToInt64Milliseconds(
                          absl::Ceil(std::max(wait, absl::ZeroDuration()), absl::Milliseconds(1)))),
                      nullptr);
    }
    for (auto& [id, handle] : handles_) curl_multi_remove_handle(multi_.get(), handle->easy());
    handles_.clear();
  }

  void Obey() {
    std::vector<std::variant<Transfer, RequestId>> commands;
    {
      const std::lock_guard<std::mutex> lock(mutex_);
      commands.swap(commands_);
    }
    for (auto& command : commands) {
      if (auto* transfer = std::get_if<Transfer>(&command)) {
        Begin(std::move(*transfer));
      } else if (const auto found = handles_.find(std::get<RequestId>(command)); found != handles_.end()) {
        curl_multi_remove_handle(multi_.get(), found->second->easy());
        handles_.erase(found);
      }
    }
  }

  void Begin(Transfer transfer) {
    const absl::Time now = shared_.clock.Now();
    const RequestId id = transfer.id;
    if (now > transfer.not_after) {
      Outcome late;
      late.kind = Outcome::Kind::kLate;
      return callbacks_.on_done(id, std::move(late));
    }
    const Credentials::Secrets& secrets = credentials_.At(now);
    ShowProblem();
    auto handle = std::make_unique<CurlHandle>(shared_, std::move(transfer), credentials_.config(), secrets);
    curl_multi_add_handle(multi_.get(), handle->easy());
    handles_.emplace(id, std::move(handle));
  }

  void ShowProblem() {
    if (credentials_.problem() == shown_) return;
    shown_ = credentials_.problem();
    if (!shown_.ok()) LogWarn("credentials cannot be read again, those known are used", {{"error", shown_}});
  }

  void TakeFinished() {
    int left = 0;
    bool silent = false;
    while (const CURLMsg* message = curl_multi_info_read(multi_.get(), &left)) {
      if (message->msg != CURLMSG_DONE) continue;
      const CURLcode result = message->data.result;  // the message dies with its handle
      CurlHandle* handle = nullptr;
      curl_easy_getinfo(message->easy_handle, CURLINFO_PRIVATE, &handle);
      silent = silent || (result == CURLE_OPERATION_TIMEDOUT && Unheard(*handle));
      End(*handle, result, "");
    }
    if (silent) CloseConnections();
  }

  // Nothing came for anybody since something came for that one.
  bool Unheard(const CurlHandle& handle) const { return handle.sent() && shared_.last_byte <= handle.heard_at(); }

  void End(CurlHandle& handle, CURLcode result, const std::string& why) {
    const RequestId id = handle.id();
    curl_multi_remove_handle(multi_.get(), handle.easy());
    Outcome outcome = handle.Finish(result, why);
    if (outcome.code == 401) credentials_.Refused(shared_.clock.Now());
    handles_.erase(id);
    callbacks_.on_done(id, std::move(outcome));
  }

  // curl notices, and ends what is on them.
  void CloseConnections() {
    for (const int fd : shared_.sockets) ::shutdown(fd, SHUT_RDWR);
  }

  // Streams that say nothing. Returns when to look again.
  absl::Time EndOverdue() {
    const absl::Time now = shared_.clock.Now();
    absl::Time next = absl::InfiniteFuture();
    std::vector<CurlHandle*> overdue;
    for (const auto& [id, handle] : handles_) {
      if (handle->deadline() <= now) {
        overdue.push_back(handle.get());
      } else {
        next = std::min(next, handle->deadline());
      }
    }
    bool silent = false;
    for (CurlHandle* handle : overdue) {
      silent = silent || Unheard(*handle);
      End(*handle, CURLE_OPERATION_TIMEDOUT, handle->began() ? "the server is silent" : "no answer in time");
    }
    if (silent) CloseConnections();
    return next;
  }

  const Options options_;
  const Callbacks callbacks_;
  std::atomic<bool> stop_{false};

  std::mutex mutex_;  // guards commands_
  std::vector<std::variant<Transfer, RequestId>> commands_;

  // Engine thread only; multi_ also for its wakeup.
  Credentials credentials_;
  absl::Status shown_;
  CurlShared shared_;
  std::unique_ptr<CURLM, MultiDeleter> multi_;
  std::unordered_map<RequestId, HandlePtr> handles_;
  std::thread thread_;  // last: it uses the others from its first moment
};

CurlEngine::CurlEngine(const Clock& clock, Options options, Credentials credentials, Callbacks callbacks)
    : impl_(std::make_unique<Impl>(clock, std::move(options), std::move(credentials), std::move(callbacks))) {}
CurlEngine::~CurlEngine() = default;
void CurlEngine::Start(Transfer transfer) { impl_->Tell(std::move(transfer)); }
void CurlEngine::Cancel(RequestId id) { impl_->Tell(id); }

}  // namespace berth::kube
